//! The real binary as an operator sees it: what it prints, what it writes, how it ends.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

#[path = "cli/check.rs"]
mod check;
#[path = "model/ports.rs"]
mod ports;

use ports::free_ports;

use hbb_core::base::limits::{CONNECTIONS_CEILING, Limits, PEERS_CEILING, SESSIONS_CEILING};

const SECRET: &str =
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8DoQe/884Qvh1w3RjnS8CZZ+TWMJulDV8d3IZkElUxuA==";
const PUBLIC: &str = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";

/// An empty folder to run in, open to other users, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("hbb-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Self(path)
    }

    fn with_key() -> Self {
        Self::new().write("id_ed25519", SECRET).write("id_ed25519.pub", PUBLIC)
    }

    fn write(self, name: &str, text: &str) -> Self {
        fs::write(self.0.join(name), text).unwrap();
        self
    }

    fn run(&self, args: &[&str]) -> Ended {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hbb"));
        Ended::from(&command.args(args).current_dir(&self.0).output().unwrap())
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap()
    }

    fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.0.join(name)).unwrap().mode() & 0o777
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

#[derive(Debug)]
struct Ended {
    code: i32,
    out: String,
    err: String,
}

impl Ended {
    fn from(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let code = output.status.code().unwrap();
        Self { code, out: text(&output.stdout), err: text(&output.stderr) }
    }

    /// Ended with this code, having said each of these to stderr.
    #[track_caller]
    fn failed(&self, code: i32, said: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        for said in said {
            assert!(self.err.contains(said), "no '{said}' in {self:?}");
        }
    }

    #[track_caller]
    fn done(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (0, ""), "{}", self.out);
        self.out
    }
}

#[test]
fn wrong_arguments_end_with_2_and_the_way_to_help() {
    let folder = Folder::new();
    folder.run(&[]).failed(2, &["Usage: hbb <command>", "serve"]);
    folder.run(&["frobnicate"]).failed(2, &["frobnicate", "See 'hbb --help'"]);
    folder.run(&["serve", "--prot"]).failed(2, &["--prot", "See 'hbb serve --help'"]);
    folder.run(&["serve", "--port"]).failed(2, &["--port", "See 'hbb serve --help'"]);
    folder.run(&["serve", "--port", "x"]).failed(2, &["--port 'x'", "3 to 65532"]);
    folder.run(&["serve", "--max-peers=9999999"]).failed(2, &["from 1 to 131072"]);
    let relay = "A relay is named by its flag: --relay-servers rd.example.org:21117";
    folder.run(&["serve", "rd.example.org:21117"]).failed(2, &[relay]);
    folder.run(&["serve", "-r", "rd.example.org"]).failed(2, &["-r is --relay-servers here"]);
    let ended = folder.run(&["check", "--port"]);
    assert!(!ended.err.contains("relay"), "{ended:?}");
    folder.run(&["serve", "-k", "_"]).failed(2, &["-k is --key here"]);
    folder.run(&["keygen", "--data", "a", "--data", "b"]).failed(2, &["--data"]);
    folder.run(&["export", "--format", "svg", "--host", "h"]).failed(2, &["--format"]);
    assert!(folder.names().is_empty());
}

#[test]
fn who_asks_a_command_of_ctl_for_help_is_given_it() {
    for words in [&["ctl", "ban", "--help"][..], &["ctl", "forget", "-h"], &["ctl", "help"]] {
        assert!(Folder::new().run(words).done().contains("  forget ID "), "{words:?}");
    }
    Folder::new().run(&["ctl"]).failed(2, &["see 'hbb ctl --help'"]);
}

#[test]
fn flags_file_errors_name_file_and_line() {
    let folder = Folder::new().write("flags", "# ours\n\n--port=0\nport 1\n--mask 1.2.3.4/8\n");
    let said = ["flags line 3: --port '0'", "flags line 4: a line must start with a flag"];
    folder.run(&["serve", "--flags", "flags"]).failed(2, &said);
    folder.run(&["serve", "--flags", "none"]).failed(2, &["--flags: cannot read none"]);
    folder.run(&["serve", "--flags", "."]).failed(2, &["--flags: cannot read ."]);
}

#[test]
fn version_and_help_go_to_stdout() {
    let folder = Folder::new();
    assert_eq!(folder.run(&["--version"]).done(), "hbb 0.1.0\n");
    assert!(folder.run(&["--help"]).done().contains("Error codes:\n  0 done\n"));
    for command in ["serve", "keygen", "export", "check"] {
        let help = folder.run(&[command, "--help"]).done();
        let example = help.split_once("Examples:\n  ").expect(command).1;
        assert!(example.contains(&format!("hbb {command}")), "{help}");
        assert_eq!(folder.run(&["help", command]).done(), help);
    }
}

#[test]
fn help_states_the_bounds_and_defaults_in_force() {
    let help = Folder::new().run(&["serve", "--help"]).done();
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let limits = Limits::default();
    for (ceiling, default) in [
        (PEERS_CEILING, limits.peers),
        (CONNECTIONS_CEILING, limits.connections),
        (SESSIONS_CEILING, limits.sessions),
        (usize::from(u16::MAX), usize::from(limits.registrations_per_source)),
        (usize::from(u16::MAX), usize::from(limits.newcomers_per_source)),
    ] {
        let said = format!("1 to {ceiling} ({default})");
        assert!(help.contains(&said), "{said}");
    }
}

#[test]
fn closed_output_is_no_failure_but_a_full_disk_is() {
    let folder = Folder::new();
    let run = |out: Stdio| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hbb"));
        let command = command.args(["keygen", "--print"]).current_dir(&folder.0).stdout(out);
        Ended::from(&command.output().unwrap())
    };
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    run(writer.into()).done();
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    run(full.into()).failed(1, &["Cannot write the output"]);
}

#[test]
fn keygen_writes_a_pair_and_never_replaces_it_unasked() {
    let folder = Folder::new();
    let said = folder.run(&["keygen"]).done();
    assert_eq!(folder.names(), ["id_ed25519", "id_ed25519.pub"]);
    assert_eq!(folder.mode("id_ed25519"), 0o600);
    let (secret, public) = (folder.read("id_ed25519"), folder.read("id_ed25519.pub"));
    assert!(said.ends_with(&format!("Public Key:  {public}\n")), "{said}");
    folder.run(&["keygen"]).failed(3, &["already", "--force"]);
    assert_eq!(folder.read("id_ed25519"), secret);
    folder.run(&["keygen", "--data", "typo"]).failed(3, &["typo", "--data"]);
}

#[test]
fn keygen_force_keeps_what_was_there() {
    let folder = Folder::new().write("id_ed25519", "damaged").write("id_ed25519.pub", PUBLIC);
    let damaged = fs::File::options().write(true).open(folder.0.join("id_ed25519")).unwrap();
    let then = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_709_251_199);
    damaged.set_modified(then).unwrap();
    folder.run(&["keygen", "--force"]).done();
    let date = "20240229-235959";
    assert_eq!(folder.read(&format!("id_ed25519.{date}")), "damaged");
    assert_eq!(folder.read(&format!("id_ed25519.pub.{date}")), PUBLIC);
    assert_eq!(folder.read("id_ed25519").len(), 88);
    folder.run(&["keygen", "--force"]).done();
    assert_eq!(folder.names().len(), 6);
}

#[test]
fn keygen_print_writes_nothing() {
    let folder = Folder::new();
    let pair = folder.run(&["keygen", "--print"]).done();
    let lines: Vec<_> = pair.lines().collect();
    assert_eq!(lines[0].strip_prefix("Public Key:  ").unwrap().len(), 44);
    assert_eq!(lines[1].strip_prefix("Secret Key:  ").unwrap().len(), 88);
    assert_eq!((lines.len(), folder.names().len()), (2, 0));
}

#[test]
fn serve_refuses_to_start_with_a_bad_key_file() {
    let start = |folder: &Folder| folder.run(&["serve", "--bind", "127.0.0.1"]);
    let folder = Folder::new().write("id_ed25519", SECRET.trim_end_matches("uA=="));
    start(&folder).failed(3, &["id_ed25519 is damaged", "backup", "keygen --force"]);
    let folder = Folder::new();
    fs::create_dir(folder.0.join("id_ed25519")).unwrap();
    start(&folder).failed(3, &["id_ed25519 cannot be read", "It was not changed"]);
}

#[test]
fn serve_refuses_to_start_with_a_key_file_of_somebody_else() {
    let folder = Folder::with_key();
    let binary = folder.0.join("hbb");
    // By a process of its own: while we hold it open for writing, a child that another test starts
    // would inherit that, and nobody could run it ("text file busy").
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_hbb")).arg(&binary).status().unwrap();
    assert!(copied.success());
    let mode = |name: &str, mode| {
        fs::set_permissions(folder.0.join(name), fs::Permissions::from_mode(mode)).unwrap();
    };
    mode("id_ed25519", 0o000);
    mode("", 0o777);
    // Root reads everything, so root runs this as nobody.
    let is_root = fs::metadata(&folder.0).unwrap().uid() == 0;
    let run = |args: &[&str]| {
        let mut command = Command::new(if is_root { Path::new("setpriv") } else { &*binary });
        if is_root {
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&binary);
        }
        let output = command.args(args).current_dir(&folder.0).output();
        Ended::from(&output.expect("this test runs setpriv: install the package util-linux"))
    };
    run(&["serve"]).failed(
        3,
        &["id_ed25519 cannot be read: Permission denied", "Run this as its owner or as root"],
    );
    run(&["check"]).failed(3, &["problem"]);
    assert_eq!(folder.read("id_ed25519.pub"), PUBLIC);
    assert_eq!(run(&["export", "--host", "h.test", "--format", "text"]).done().lines().count(), 2);
}

#[test]
fn export_takes_every_form() {
    let folder = Folder::with_key();
    let export = |format| {
        let host = ["export", "--host", "192.0.2.10", "--format", format];
        folder.run(&host).done()
    };
    let string = "0nI9cmYNZlSCp1R5RGSmFTUwJ2QqFzamdVbBZHM1kFMONGZ0wURPB1L2hUR2EkI6ISeltmIsICMx4iMuA\
                  jLykTMiojI0N3boJye";
    assert_eq!(export("string"), format!("{string}\n"));
    assert_eq!(export("json"), format!("{{\"host\":\"192.0.2.10\",\"key\":\"{PUBLIC}\"}}\n"));
    // The key holds a slash, so it cannot stand in a file name by itself.
    assert_eq!(export("exe"), format!("rustdesk-licensed-{string}.exe\n"));
    let toml =
        format!("[options]\ncustom-rendezvous-server = \"192.0.2.10\"\nkey = \"{PUBLIC}\"\n");
    assert_eq!(export("toml"), toml);
    assert!(export("text").contains(PUBLIC));
    let code = export("qr");
    let width = code.lines().next().unwrap().chars().count();
    assert!(code.lines().all(|line| line.chars().count() == width), "{code}");
    assert_eq!(code.lines().count(), width.div_ceil(2));
    let all = folder.run(&["export", "--host", "192.0.2.10"]).done();
    for part in [string, PUBLIC, &toml, &code] {
        assert!(all.contains(part), "{part}");
    }
}

#[test]
fn export_follows_the_flags_file() {
    let key = "dGhlIGtleSBpcyBub3QgdGhpcyBidXQgYSB3b3JkISE=";
    let text = format!("--public rd.example.org\n--port 443\n--key={key}\n");
    let folder = Folder::new().write("flags", &text);
    let json = folder.run(&["export", "--flags", "flags", "--format", "json"]).done();
    assert_eq!(json, format!("{{\"host\":\"rd.example.org:443\",\"key\":\"{key}\"}}\n"));
    let args = ["export", "--flags", "flags", "--host", "h.t", "--port=21116", "--format", "exe"];
    assert_eq!(folder.run(&args).done(), format!("rustdesk-host=h.t,key={key},.exe\n"));
}

#[test]
fn export_refuses_what_clients_could_not_use() {
    let folder = Folder::with_key();
    folder.run(&["export"]).failed(2, &["--host"]);
    folder.run(&["export", "--host", "h:1"]).failed(2, &["--host 'h:1'", "--port"]);
    folder.run(&["export", "--host", "h", "--api", "h"]).failed(2, &["--api", "https://"]);
    folder.run(&["export", "--host", "h", "--format", "svg"]).failed(2, &["toml or json"]);
    Folder::new().run(&["export", "--host", "h"]).failed(3, &["keygen"]);
    folder.run(&["export", "--host", "h", "--host", "h:1"]).failed(2, &["--host 'h:1'"]);
    folder.run(&["export", "--host", "h", "--write", "o", "--peers"]).failed(2, &["--write"]);
    assert_eq!(folder.names(), ["id_ed25519", "id_ed25519.pub"]);
}

#[test]
fn export_names_several_servers_in_order() {
    let folder = Folder::with_key();
    let of = |hosts: &[&str], format: &str| {
        let hosts = hosts.iter().flat_map(|host| ["--host", host]);
        let args: Vec<_> = ["export", "--format", format].into_iter().chain(hosts).collect();
        folder.run(&args).done()
    };
    let names = ["rd.example.org", "100.64.0.1"];
    let both = |format: &str, between: &str| {
        let [one, two] = names.map(|name| of(&[name], format));
        assert_eq!(of(&names, format), [&one, between, &two].concat(), "{format}");
    };
    for (format, between) in
        [("string", ""), ("exe", ""), ("json", ""), ("text", "\n"), ("qr", "\n")]
    {
        both(format, between);
    }
    for format in ["toml", "server-conf"] {
        let [one, two] = names.map(|name| of(&[name], format));
        let comment: String = two.lines().map(|line| format!("# {line}\n")).collect();
        assert_eq!(of(&names, format), [&one, "\n", &comment].concat(), "one table in a file");
    }
    let [conf, toml, string] =
        ["server-conf", "toml", "string"].map(|of_it| of(&names[..1], of_it));
    assert!(conf.ends_with(&format!("\n# {string}{toml}")), "{conf}");
    let all = folder.run(&["export", "--host", names[0], "--host", names[1]]).done();
    for format in ["text", "string", "exe", "toml", "qr"] {
        assert!(all.contains(&of(&names, format)), "{format}");
    }
}

#[test]
fn export_writes_all_forms_into_a_folder() {
    let folder = Folder::with_key();
    let host = ["export", "--host", "rd.example.org", "--host", "100.64.0.1"];
    let args = [&host[..], &["--write", "out"]].concat();
    let first = folder.run(&args).done();
    let forms = [
        ("server.conf", "server-conf"),
        ("RustDesk2.toml", "toml"),
        ("import.txt", "string"),
        ("exe-name.txt", "exe"),
    ];
    for (name, format) in forms {
        let name = format!("out/{name}");
        let printed = folder.run(&[&host[..], &["--format", format]].concat()).done();
        assert_eq!(folder.read(&name), printed, "{name}");
        assert_eq!(folder.mode(&name), 0o644);
        assert!(first.contains(&format!("Wrote {name}\n")), "{first}");
    }
    // No link is followed; what is too long for a file name leaves no older one.
    let folder = folder.write("mine", "mine");
    for link in ["out/key", "out/key.new", "out/import.txt.new"] {
        let _ = fs::remove_file(folder.0.join(link));
        std::os::unix::fs::symlink("../mine", folder.0.join(link)).unwrap();
    }
    let api = format!("https://{}.example.org", "a".repeat(200));
    let told = folder.run(&[&args[..], &["--api", &api]].concat()).done();
    assert!(told.contains("Left out exe-name.txt: This is too long"), "{told}");
    assert_eq!(folder.read("mine"), "mine");
    assert_eq!(folder.read("out/key"), format!("{PUBLIC}\n"));
    assert_eq!(fs::read_dir(folder.0.join("out")).unwrap().count(), 4);
    folder.run(&[&host[..], &["--write", "mine"]].concat()).failed(1, &["Cannot write mine"]);
    assert_eq!(folder.read("mine"), "mine");
}
