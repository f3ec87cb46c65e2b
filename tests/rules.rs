//! `hbb rules`, and the rules in a server that serves: C183, C184. What a rule means for a dial
//! stands in tests/conformance/rules_machine.rs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::disallowed_methods, reason = "tests wait by the clock and have settings")]

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

#[path = "sim/chance.rs"]
mod chance;
mod model;
#[path = "conformance/say.rs"]
mod say;

use model::host::{Host, PATIENCE};
use model::server::Server;
use model::target::Target;
use model::wire::{receive, send};
use say::take;

const TO: &str = "123456789";

/// What `hbb` said and how it ended.
fn hbb(words: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_hbb")).args(words).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

/// A folder with these rules; gone when the test is over.
struct Folder(std::path::PathBuf);

impl Folder {
    fn with(name: &str, rules: &str) -> Self {
        let path = std::env::temp_dir().join(format!("hbb-rules-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&path));
        fs::create_dir(&path).unwrap();
        fs::write(path.join("rules.conf"), rules).unwrap();
        Self(path)
    }

    /// What 'hbb rules' says with these words.
    fn rules(&self, words: &[&str]) -> (Option<i32>, String) {
        hbb(&[&["rules"], words, &["--data", self.0.to_str().unwrap()]].concat())
    }

    fn tested(&self, words: &[&str]) -> String {
        let (code, text) = self.rules(&[&["test"], words].concat());
        assert_eq!(code, Some(0), "{text}");
        text
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

const EXAMPLE: &str = "\
# The children's PC, in the evening and at the weekend.
zone CET-1CEST,M3.5.0,M10.5.0/3
group parents = 192.168.1.20 user:anna
allow from=group:parents to=123456789 days=Mon-Fri hours=17:00-20:00 only=direct
allow from=group:parents to=123456789 days=Sat,Sun view-only audio=yes
deny to=123456789 say=\"Only in the evening, or at the weekend.\"
";

#[test]
fn c184_the_test_names_the_line_and_what_the_person_would_read() {
    let folder = Folder::with("test", EXAMPLE);
    let at = |from, time| folder.tested(&[from, TO, "--at", time]);
    let told = at("192.168.1.20", "Mon 17:00");
    assert!(
        told.starts_with("time     mon 17:00\nline     4: allow from=group:parents "),
        "{told}"
    );
    assert!(told.ends_with("allowed  directly only\n"), "{told}");
    let told = at("234567890@192.168.1.20", "Sun 09:15");
    assert!(told.contains("line     5: ") && told.contains("without  keyboard printer "), "{told}");
    assert!(told.contains("with     audio; Android targets ignore it\n"), "{told}");
    let told = at("192.168.1.21", "Mon 17:00");
    let refused = "line     6: deny to=123456789 say=\"Only in the evening, or at the weekend.\"\n\
                   refused  Only in the evening, or at the weekend.\n";
    assert!(told.ends_with(refused), "{told}");
    let told = folder.tested(&["192.168.1.21", TO, "--at", "Mon 17:00", "--user", "anna"]);
    assert!(told.contains("line     4: "), "{told}");
    let told = folder.tested(&["192.168.1.21", "999999999"]);
    let (time, rest) = told.split_once('\n').unwrap();
    assert!(time.starts_with("time     "), "{told}");
    assert!(
        rest.starts_with("rule     none fits, so it is allowed\nallowed  directly or"),
        "{told}"
    );
}

#[test]
fn c217_the_test_is_told_the_groups_of_accounts() {
    let folder = Folder::with("named", "allow from=@office to=@tills\ndeny\n");
    let groups = ["--user-group", "office", "--to-group", "tills"];
    for (groups, line, said) in [
        (&groups[..], "line     1: ", "groups   from @office to @tills\n"),
        (&groups[..2], "line     2: ", "groups   from @office\n"),
        (&[], "line     2: ", "groups   none: give --user-group and --to-group, or ask the server"),
    ] {
        let (code, told) = folder.rules(&[&["test", "192.0.2.1", TO], groups].concat());
        assert!(code == Some(0) && told.contains(line) && told.starts_with(said), "{told}");
    }
}

#[test]
fn c184_what_is_no_question_is_named() {
    let folder = Folder::with("no-question", EXAMPLE);
    for (words, said) in [
        (&["test", TO][..], "must be 'rules check' or 'rules test FROM TO'"),
        (&["judge"], "must be 'rules check'"),
        (&[], "must be 'rules check'"),
        (&["test", "a b", TO], "'a b': must be an ID, an address or ID@ADDRESS"),
        (&["test", "123456789@home", TO], "must be an ID, an address or ID@ADDRESS"),
        (&["test", "192.0.2.1/24", TO], "'192.0.2.1/24': must be an ID, an address"),
        (&["test", "192.0.2.1", "1"], "'1': must be an ID, an address"),
        (&["test", "192.0.2.1", "192.0.2.2"], "TO must be an ID"),
        (&["test", "192.0.2.1", TO, "--at", "14:00"], "--at '14:00': must be a time"),
    ] {
        let (code, text) = folder.rules(words);
        assert!(code == Some(2) && text.contains(said), "{words:?}: {text}");
    }
}

#[test]
fn c183_each_wrong_line_is_named_by_rules_check_and_by_check() {
    let folder = Folder::with("wrong", "allow\nallow form=1\n\ndeny keyboard=no\n");
    let data = folder.0.to_str().unwrap();
    for words in [&["rules", "check", "--data", data][..], &["check", "--data", data]] {
        let (code, text) = hbb(words);
        assert_eq!(code, Some(2), "{text}");
        for said in
            ["rules.conf line 2 'form=1': must be from=", "rules.conf line 4 what is denied"]
        {
            assert!(text.contains(said), "{words:?}: {text}");
        }
    }
    fs::write(folder.0.join("rules.conf"), "deny\n").unwrap();
    assert!(folder.rules(&["check"]).1.ends_with("rules.conf is well, with 1 rule.\n"));
    fs::remove_file(folder.0.join("rules.conf")).unwrap();
    let (code, text) = folder.rules(&["check"]);
    assert!(code == Some(0) && text.contains("everybody may dial"), "{text}");
    // One that was named, and one whose disk is not there, are missed.
    let (code, text) = hbb(&["rules", "check", "--rules", "/nowhere/rules.conf"]);
    assert!(code == Some(2) && text.contains("Cannot read /nowhere/rules.conf"), "{text}");
    std::os::unix::fs::symlink("/nowhere/rules.conf", folder.0.join("rules.conf")).unwrap();
    assert_eq!(folder.rules(&["check"]).0, Some(2));
}

/// What somebody reads who dials the target from there.
fn reads(server: &Server, from: &str) -> String {
    let at = SocketAddr::from(([127, 0, 0, 1], server.port));
    let mut stream = Host::local(from).connect(0, at).unwrap();
    let key = server.key();
    send(&mut stream, &say::punch(TO, |wish| wish.access_key = key)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    take!(&receive(&mut stream).unwrap(), PunchHoleResponse).other_failure
}

fn write(data: &Path, rules: &str) {
    fs::write(data.join("rules.conf"), rules).unwrap();
}

#[test]
fn c183_a_reload_takes_rules_whole_or_leaves_those_in_force() {
    let server = Server::start(&[]);
    let at = SocketAddr::from(([127, 0, 0, 1], server.port));
    let _target = Target::register(&Host::local("127.0.0.9"), at, TO, &server.key());
    let data = server.data();
    let reload = || hbb(&["ctl", "--data", data.to_str().unwrap(), "reload"]);
    write(data, "deny from=127.0.0.8 say=\"Not from there.\"\n");
    assert_eq!(reload().0, Some(0));
    assert_eq!(reads(&server, "127.0.0.8"), "Not from there.");
    let said = hbb(&["rules", "test", "127.0.0.8", TO, "--data", data.to_str().unwrap()]).1;
    assert!(
        said.contains("line     1: ") && said.ends_with("refused  Not from there.\n"),
        "{said}"
    );
    let ctl = |words: &[&str]| hbb(&[&["ctl", "--data", data.to_str().unwrap()], words].concat());
    let (code, told) = ctl(&["rule", "test", "127.0.0.8", TO]);
    assert_eq!((code, told), (Some(0), said));
    let at = ctl(&["rule", "test", "127.0.0.9", TO, "user=anna", "at=Mon,14:00"]).1;
    assert!(at.starts_with("time     mon 14:00\nrule     none fits"), "{at}");
    for (word, is) in [("at=today", "must be a time"), ("x", "must be user=NAME, user-group=")] {
        let (code, told) = ctl(&["rule", "test", "127.0.0.9", TO, word]);
        assert!(code == Some(2) && told.contains(is), "{told}");
    }
    let listed = ctl(&["--json", "rule", "list"]).1;
    let line = r#"{"rules":["deny from=127.0.0.8 say=\"Not from there.\""],"done":""#;
    assert!(listed.starts_with(line), "{listed}");
    // Half of it would let somebody in; a wrong list beside it changes nothing either.
    write(data, "allow\ndeny from=127.0.0.8 sya=\"x\"\n");
    let (code, text) = reload();
    assert!(code != Some(0) && text.contains("rules.conf line 2 'sya=\"x\"': must be"), "{text}");
    assert_eq!(reads(&server, "127.0.0.8"), "Not from there.");
    write(data, "allow\n");
    fs::write(data.join("blocklist.txt"), "nothing\n").unwrap();
    assert_ne!(reload().0, Some(0));
    assert_eq!(reads(&server, "127.0.0.8"), "Not from there.");
    // A server does not start with half of them.
    fs::remove_file(data.join("blocklist.txt")).unwrap();
    write(data, "deny from=127.0.0.8 sya=\"x\"\n");
    let (code, text) = hbb(&["serve", "--data", data.to_str().unwrap(), "--port", "3"]);
    assert!(code == Some(2) && text.contains("rules.conf line 1"), "{code:?} {text}");
}
