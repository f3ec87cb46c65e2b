//! The program under the names of upstream's: guides' commands, variables and files do here what
//! they did there, or a line says that they do not. The table in MIGRATING.md is made of the code.

#![allow(clippy::disallowed_methods, reason = "tests wait by the clock")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::string_slice)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use hbb::upstream::{Asked, Meaning, Program, WORDS, Word};

#[path = "../sim/chance.rs"]
mod chance;
mod first;
mod keys;
#[path = "../model/mod.rs"]
mod model;
#[path = "../conformance/say.rs"]
mod say;

use model::server::free_ports;

/// A working directory with links by upstream's names.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("hbb-upstream-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        for link in ["hbbs", "hbbr", "rustdesk-utils"] {
            symlink(env!("CARGO_BIN_EXE_hbb"), path.join(link)).unwrap();
        }
        Self(path)
    }

    fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new(self.0.join(program));
        command.args(args).current_dir(&self.0).stdin(Stdio::null());
        for word in WORDS {
            command.env_remove(word.variable());
        }
        command
    }

    fn output(&self, program: &str, args: &[&str]) -> Output {
        self.command(program, args).output().unwrap()
    }

    /// Starts it and waits until it serves.
    fn serve(&self, program: &str, args: &[&str], variables: &[(&str, &str)]) -> Running {
        let mut command = self.command(program, args);
        let log = self.0.join(format!("{program}.log"));
        let file = File::create(&log).unwrap();
        command.envs(variables.iter().copied()).stdout(file.try_clone().unwrap()).stderr(file);
        let mut running = Running { child: command.spawn().unwrap(), log };
        let begin = Instant::now();
        while !running.said().contains(" info ready ") {
            let ended = running.child.try_wait().unwrap();
            assert!(ended.is_none() && begin.elapsed().as_secs() < 20, "{}", running.said());
            std::thread::sleep(Duration::from_millis(10));
        }
        running
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the console at a port says.
fn typed(port: u16, line: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(format!("{line}\n").as_bytes()).unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    said
}

fn is_open(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

#[track_caller]
fn said(output: &Output, code: i32) -> String {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    let text = String::from_utf8(text).unwrap();
    assert_eq!(output.status.code(), Some(code), "{text}");
    text
}

#[test]
fn two_units_beside_each_other_share_folder_and_key() {
    let folder = Folder::new("units");
    let port = free_ports();
    let [id, relay] = [port.to_string(), (port + 1).to_string()];
    let server = format!("rd.example.org:{relay}");
    let hbbr = folder.serve("hbbr", &["-p", &relay, "-k", "_"], &[]);
    let key = folder.text("id_ed25519.pub");
    let args = ["-r", &server, "-k", "_", "-p", &id];
    let hbbs = folder.serve("hbbs", &args, &[("RELAY", "other.example.org")]);
    assert_eq!(folder.text("id_ed25519.pub"), key, "one key for both");
    let said = hbbs.said();
    assert!(said.contains(&key) && !said.contains("unused"), "{said}");
    for open in [port - 1, port, port + 1, port + 2, port + 3] {
        assert!(is_open(open), "port {open} of {port}");
    }
    assert!(!is_open(port - 2), "the port of an API server is left to it");
    let ctl = |socket: &str| {
        let words = ["ctl", "--json", "--control", socket, "status"];
        let mut command = Command::new(env!("CARGO_BIN_EXE_hbb"));
        crate::said(&command.args(words).current_dir(&folder.0).output().unwrap(), 0)
    };
    assert!(ctl("hbb.sock").contains("rendezvous") && ctl("hbbr.sock").contains("relay"));
    drop(hbbr);
}

#[test]
fn a_relay_without_a_key_touches_no_file_and_takes_its_port_from_the_environment() {
    let folder = Folder::new("env");
    let port = free_ports();
    let below = (port - 1).to_string();
    let variables =
        [("PORT", below.as_str()), ("SINGLE_BANDWIDTH", "64"), ("DOWNGRADE_THRESHOLD", "0.333")];
    let hbbr = folder.serve("hbbr", &["-b", "0.0.0.0"], &variables);
    assert!(is_open(port) && is_open(port + 2));
    assert_eq!(typed(port, "dt"), "0.33\n", "in hundredths, as upstream has it");
    let said = hbbr.said();
    assert!(!said.contains("--relay-servers 0.0.0.0"), "no client finds that: {said}");
    assert!(!folder.0.join("id_ed25519").exists());
}

#[test]
fn flags_come_before_the_file_that_before_dot_env_and_that_before_the_environment() {
    let folder = Folder::new("order");
    let port = free_ports();
    fs::write(folder.0.join(".env"), "export KEY=\"dot\"\n# PORT=1\nRelay-Servers='from.env'\n")
        .unwrap();
    fs::write(folder.0.join("hbbs.ini"), format!("; port = 9\nPORT = {port}\nkey=ini\n")).unwrap();
    let args = ["--config=hbbs.ini", "-kflag"];
    let environment =
        [("PORT", "7"), ("TEST_HBBS", "no"), ("RUST_LOG", "debug"), ("always_use_relay", "Y")];
    let hbbs = folder.serve("hbbs", &args, &environment);
    assert!(is_open(port), "of the file, not of the environment");
    let said = hbbs.said();
    assert!(said.contains("hbbs: variable TEST_HBBS: it never tests itself"), "{said}");
    assert!(said.contains(" flag"), "the key of the flag: {said}");
    assert_eq!(typed(port - 1, "aur"), "ALWAYS_USE_RELAY: true\n", "by a name in small letters");
    assert_eq!(typed(port - 1, "rs"), "from.env\n");
}

/// As editors of Windows leave it, with comments behind values, and with what compose files set to
/// nothing: none of that is a word that clients must show, or lets in everybody.
#[test]
fn what_is_no_value_is_none() {
    let folder = Folder::new("values");
    let port = free_ports();
    let text = format!(
        "\u{feff}PORT={port} # ours\r\nKEY=_\t# who has it\r\nRELAY=\r\nMASK=''\r\n\
         LOCAL_IP='' # none\r\n"
    );
    fs::write(folder.0.join(".env"), text).unwrap();
    let variables = [("KEY_PRIV", ""), ("Relay-Servers", "rd.example.org"), ("RMEM", "")];
    let hbbs = folder.serve("hbbs", &[], &variables);
    let said = hbbs.said();
    assert!(is_open(port), "behind the mark of the file: {said}");
    assert!(!said.contains("hbbs: ") && !said.contains("key-unsigned"), "{said}");
    assert!(!said.contains("serves anybody"), "{said}");
    assert_eq!(typed(port - 1, "rs"), "rd.example.org\n");
}

#[test]
fn each_variable_of_the_table_is_named_by_check() {
    let folder = Folder::new("variables");
    symlink(env!("CARGO_BIN_EXE_hbb"), folder.0.join("hbb")).unwrap();
    let port = free_ports().to_string();
    for word in WORDS.iter().filter(|word| word.has_value) {
        let mut command = folder.command("hbb", &["check", "--port", &port]);
        let output = command.env(word.variable(), "x").output().unwrap();
        let line = format!("doubt    variables that hbb does not read: {};", word.variable());
        let told = said(&output, 0);
        assert!(told.contains(&line), "{told}");
    }
}

#[test]
fn the_doctor_tries_a_server() {
    let folder = Folder::new("doctor");
    let port = free_ports();
    let words = ["doctor", "127.0.0.1", "--timeout", "1", "--port", &port.to_string()];
    let text = said(&folder.output("rustdesk-utils", &words), 1);
    assert!(text.contains("7 wrong, see above"), "{text}");
    let text = String::from_utf8(folder.output("rustdesk-utils", &words).stdout).unwrap();
    assert!(text.contains(&format!("WRONG  tcp 127.0.0.1:{port}: TCP {port}: refused")), "{text}");
    let text = said(&folder.output("rustdesk-utils", &["doctor"]), 1);
    assert!(text.starts_with("Usage: rustdesk-utils"), "{text}");
}

/// As `command: hbbs ...` of a compose file has it, where the image starts hbb.
#[test]
fn the_first_word_may_name_the_program() {
    let folder = Folder::new("word");
    let hbb = |words: &[&str]| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_hbb"));
        command.args(words).current_dir(&folder.0).output().unwrap()
    };
    for name in ["hbbs", "hbbr", "rustdesk-utils"] {
        assert_eq!(
            hbb(&[name, "--help"]).stdout,
            folder.output(name, &["--help"]).stdout,
            "{name}"
        );
    }
    let pair = String::from_utf8(hbb(&["rustdesk-utils", "genkeypair"]).stdout).unwrap();
    assert!(pair.contains("Secret Key:  "), "{pair}");
    assert_eq!(hbb(&["serve", "hbbs"]).status.code(), Some(2), "no other word does");
}

#[test]
fn what_is_wrong_is_named() {
    let folder = Folder::new("wrong");
    assert!(said(&folder.output("hbbs", &["-x"]), 2).contains("Unknown word '-x'"));
    let nearly = said(&folder.output("hbbs", &["--relay-server=a"]), 2);
    assert!(nearly.contains("Unknown word '--relay-server=a'. Did you mean --relay-servers? See"));
    assert!(said(&folder.output("hbbr", &["-r", "a"]), 2).contains("Unknown word '-r'"));
    assert!(said(&folder.output("hbbs", &["-p"]), 2).contains("a value must follow"));
    assert!(said(&folder.output("hbbs", &["-c", "none"]), 2).contains("Cannot read --config none"));
    for name in ["pipe", ".env"] {
        assert!(Command::new("mkfifo").arg(folder.0.join(name)).status().unwrap().success());
        let text = said(&folder.output("hbbs", &["-c", "pipe"]), 2);
        assert!(text.contains("Cannot read --config pipe: it is a pipe"), "{text}");
    }
    let text = said(&folder.output("hbbs", &[]), 2);
    assert!(text.contains("Cannot read .env: it is a pipe"), "{text}");
    fs::remove_file(folder.0.join(".env")).unwrap();
    for program in ["hbbs", "hbbr"] {
        let help = said(&folder.output(program, &["--help"]), 0);
        assert!(help.contains("-k, --key") && help.contains("ENCRYPTED_ONLY"), "{help}");
    }
}

/// A mistake names our flag, and by which word of upstream's it was given.
#[test]
fn what_is_wrong_is_named_as_it_was_given() {
    let folder = Folder::new("given");
    let path = folder.0.join("hbbs.ini");
    fs::write(path, "relay-servers = a:b:c\n").unwrap();
    let port = free_ports().to_string();
    let tried = |program: &str, args: &[&str], variable: (&str, &str)| {
        let mut command = folder.command(program, args);
        let output = command.env(variable.0, variable.1).output().unwrap();
        crate::said(&output, 2)
    };
    let nothing = ("HBB_NOTHING", "");
    for (args, variable, given) in [
        (&["-r", "a:b:c"][..], nothing, "-r"),
        (&["-ra:b:c"], nothing, "-r"),
        (&["--relay-servers=a:b:c"], ("RELAY", "d"), "--relay-servers"),
        (&[], ("RELAY-SERVERS", "a:b:c"), "variable RELAY-SERVERS"),
        (&[], ("RELAY", "a:b:c"), "variable RELAY"),
        (&["-c", "hbbs.ini", "-p", &port], nothing, "relay-servers in hbbs.ini"),
    ] {
        let text = tried("hbbs", args, variable);
        let line = format!("\nhbbs: --relay-servers was given as {given}\n");
        assert!(text.contains("--relay-servers 'a:b:c': must be "), "{text}");
        assert!(text.ends_with(&line) && text.matches("given as").count() == 1, "{text}");
    }
    // The word is another flag here.
    let text = tried("hbbr", &["-p", "0"], nothing);
    assert!(text.ends_with("\nhbbr: --relay-port was given as -p\n"), "{text}");
    fs::write(folder.0.join(".env"), "export Port='99999'\n").unwrap();
    let text = tried("hbbs", &[], nothing);
    assert!(text.ends_with("\nhbbs: --port was given as Port in .env\n"), "{text}");
    // What failed while it started, too.
    fs::remove_file(folder.0.join(".env")).unwrap();
    let _taken = TcpListener::bind(("127.0.0.1", port.parse().unwrap())).unwrap();
    let text = said(&folder.output("hbbs", &["-b", "127.0.0.1", "-p", &port]), 1);
    assert!(text.ends_with("\nhbbs: --port was given as -p\n"), "{text}");
}

/// The names of variables are told apart without case, but that of the table comes first.
#[test]
fn the_name_of_the_table_counts_before_others() {
    let folder = Folder::new("cases");
    let port = free_ports();
    let text = port.to_string();
    let others = [("Max-Peers", "7"), ("max_peers", "9"), ("max-peers", "8")];
    let variables = [&[("Port", &*text), ("MAX_PEERS", "131072")], &others[..]].concat();
    let hbbs = folder.serve("hbbs", &[], &variables);
    assert!(is_open(port), "{}", hbbs.said());
    let words = ["ctl", "--control", "hbb.sock", "limits"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_hbb"));
    let told = said(&command.args(words).current_dir(&folder.0).output().unwrap(), 0);
    assert!(told.contains("max-peers                 131072\n"), "{told}");
}

/// What every word does if it alone is given, as a flag or as a variable.
#[test]
fn every_word_does_what_the_table_says() {
    for word in WORDS {
        for program in [Program::Hbbs, Program::Hbbr] {
            if word.is_of(program) && word.has_value && word.name != "config" {
                does_what_the_table_says(program, word);
            }
        }
    }
}

fn does_what_the_table_says(program: Program, word: &Word) {
    let value = match word.meaning {
        Meaning::Relayed => "Y",
        Meaning::Enforced => "1",
        Meaning::Level => "hbbs=warn,info",
        Meaning::SecretKey => keys::SECRET,
        _ => "4711",
    };
    let name = word.name.to_ascii_uppercase().replace('-', "_");
    let flag = word.letter.map(|letter| format!("-{letter}"));
    let args: Vec<&str> = flag.iter().flat_map(|flag| [flag.as_str(), value]).collect();
    let variables = [(name.clone(), value.to_owned())];
    let variables = if flag.is_none() { &variables[..] } else { &[] };
    let mut notes = Vec::new();
    let note = &mut |text: &str| notes.push(text.to_owned());
    let Ok(Asked::Serve { words, .. }) = program.read(&args, variables, note) else {
        panic!("{name} of {program:?}");
    };
    let has = |word: &str| words.iter().any(|[own, _]| own == word);
    let is_done = match word.meaning {
        // The one without the other.
        Meaning::Flag if matches!(word.name, "mask" | "local-ip") => {
            !words.concat().concat().contains(word.name) && notes.len() == 1
        }
        Meaning::Flag => has(&format!("--{}=4711", word.name)),
        Meaning::Relays => has("--relay-servers=4711"),
        // Nobody asks for a key at a relay that was told none.
        Meaning::SecretKey if program == Program::Hbbr => has("--key="),
        Meaning::SecretKey => has(&format!("--key={value}")),
        Meaning::PortBelow => has("--relay-port=4712"),
        Meaning::Relayed => has("--always-use-relay"),
        Meaning::Enforced => has("--key=_"),
        Meaning::Level => has("--log-level=warn"),
        Meaning::Here => true,
        Meaning::Nothing(why) => notes.len() == 1 && notes[0].ends_with(why.text()),
    };
    assert!(is_done, "{name} of {program:?}: {notes:?}");
}

#[test]
fn the_level_that_only_debug_builds_have_is_the_one_above() {
    let note = &mut |text: &str| panic!("{text}");
    let read = Program::Hbbs.read(&[], &[("RUST_LOG".into(), "trace".into())], note);
    let Ok(Asked::Serve { words, .. }) = read else { panic!() };
    assert!(words.iter().any(|[word, _]| word == "--log-level=debug"), "{words:?}");
}

#[test]
fn the_page_has_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("MIGRATING.md");
    let page = fs::read_to_string(&path).unwrap();
    let title = "| `hbbs` | `hbbr` | variable | here |\n|---|---|---|---|\n";
    let (before, rest) = page.split_once(title).unwrap();
    let (_, after) = rest.split_once("\n\n").unwrap();
    let made = [before, title, &table(), "\n", after].concat();
    if std::env::var_os("HBB_WRITE").is_some() {
        fs::write(&path, &made).unwrap();
    }
    assert!(made == page, "HBB_WRITE=1 cargo test --test upstream writes the table anew");
}

/// A row for each name and meaning.
fn table() -> String {
    let mut rows: BTreeMap<(usize, String), [String; 3]> = BTreeMap::new();
    for (number, word) in WORDS.iter().enumerate() {
        let row = rows.entry((number, word.fate())).or_default();
        let shown = word.letter.map(|letter| match word.name {
            "relay-port" => format!("`-{letter}`, `--port`"),
            name => format!("`-{letter}`, `--{name}`"),
        });
        for (column, program) in [(0, Program::Hbbs), (1, Program::Hbbr)] {
            if word.is_of(program) {
                row[column] = shown.clone().unwrap_or_else(|| "variable".into());
            }
        }
        // The file of settings is named by a flag alone.
        if word.has_value && (word.letter.is_none() || !matches!(word.meaning, Meaning::Here)) {
            row[2] = format!("`{}`", word.name.to_ascii_uppercase().replace('-', "_"));
        }
    }
    let row = |((_, fate), [hbbs, hbbr, name]): (&(usize, String), &[String; 3])| {
        format!("| {hbbs} | {hbbr} | {name} | {fate} |\n")
    };
    rows.iter().map(row).collect()
}
