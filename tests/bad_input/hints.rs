//! What can hardly be meant is named as it was typed, with what was meant, before and while it
//! serves.

use std::fs;
use std::process::{Command, Output};

use super::keys::SECRET;
use super::model::server::{Server, command, free_ports};
use super::{Folder, refused, serve};

/// Runs a command in a folder of its own.
fn run(folder: &Folder, args: &[&str]) -> Output {
    let mut command = command(&[]);
    command.current_dir(&folder.0).args(args).output().unwrap()
}

/// What `check` finds with these flags, on free ports.
fn checked(folder: &Folder, flags: &[&str]) -> String {
    let port = free_ports().to_string();
    let found = run(folder, &[&["check", "--port", &port], flags].concat());
    String::from_utf8(found.stdout).unwrap()
}

#[test]
fn a_word_that_is_nearly_one_of_ours_is_told_which() {
    let folder = Folder::new("nearly");
    for (words, said) in [
        (&["serve", "--relay-server", "h.example"][..], "Did you mean --relay-servers?"),
        (&["check", "--relay", "h.example"], "--relay-port, --relay-servers, --relay-threads?"),
        (&["export", "--hots", "h.example"], "Did you mean --host?"),
        (&["exprot"], "Did you mean export?"),
        (&["serve", "--max-peer=9"], "Did you mean --max-peers?"),
    ] {
        refused(&run(&folder, words), 2, &["Unrecognized argument: ", said]);
    }
    fs::write(folder.file("flags"), "--relay-server h.example\n").unwrap();
    let said = "flags line 1: Unrecognized argument: --relay-server. Did you mean --relay-servers?";
    refused(&serve(&folder.0, &["--flags", folder.file("flags").to_str().unwrap()]), 2, &[said]);
    let server = Server::start(&[]);
    let asked = |words: &[&str]| {
        let data = server.data().to_str().unwrap();
        run(&folder, &[&["ctl", "--data", data], words].concat())
    };
    refused(&asked(&["stauts"]), 2, &["There is no such command. Did you mean status? Those"]);
    refused(&asked(&["frobnicate"]), 2, &["There is no such command. Those there are: status"]);
    refused(&asked(&["forget"]), 2, &["command. Those there are: forget ID, forget --free ID."]);
    refused(&asked(&["limits", "max-peer", "9"]), 2, &["Did you mean max-peers?"]);
    // Its words are joined by blanks on the way, and flags behind the first are words.
    for odd in ["1234 5678", ""] {
        refused(&asked(&["forget", odd]), 2, &["forget ID, ", &format!("'{odd}' is not one")]);
    }
    let said = "--data stands before the command: see 'hbb ctl --help'";
    refused(&run(&folder, &["ctl", "status", "--data", "."]), 2, &[said]);
    refused(&run(&folder, &["ctl", "forget", "1", "--data=."]), 2, &[said]);
    for long in ["a\nb", &"x".repeat(600)] {
        refused(&asked(&["forget", long]), 2, &["one line of at most 500 bytes"]);
    }
}

/// As pages and word processors make of two dashes and of quotes, or without its blank.
#[test]
fn a_flag_that_was_pasted_is_told() {
    let folder = Folder::new("pasted");
    for (words, said) in [
        (&["serve", "\u{2014}key", "_"][..], "Did you mean --key?"),
        (&["serve", "\u{2013}relay-servers=rd.example.org"], "Did you mean --relay-servers?"),
        (&["serve", "-rrd.example.org"], "-r is --relay-servers here"),
        (&["check", "-p21116"], "-p is --port here"),
    ] {
        refused(&run(&folder, words), 2, &["Unrecognized argument: ", said]);
    }
    for (line, said) in [
        ("\u{2014}key _", "\u{2014}key: Did you mean --key?"),
        ("--relay-servers \u{201c}rd.example.org\u{201d}", "--relay-servers: leave out quotes"),
    ] {
        fs::write(folder.file("flags"), line).unwrap();
        let flags = ["--flags", folder.file("flags").to_str().unwrap()].map(str::to_owned);
        let flags = flags.each_ref().map(String::as_str);
        refused(&serve(&folder.0, &flags), 2, &[&format!("flags line 1: {said}")]);
    }
}

/// Where nothing takes the quotes off, as in a list of a compose file.
#[test]
fn quotes_that_came_with_the_key_are_no_part_of_it_or_doubted() {
    for key in ["'_'", "\" _\"", "\u{201c}-\u{201d}"] {
        let server = Server::start(&["--key", key]);
        assert!(!server.log().contains("key-unsigned"), "{key}: {}", server.log());
        assert!(server.data().join("id_ed25519").exists(), "{key}");
    }
    let folder = Folder::new("quoted");
    for (key, doubted) in [("'_'", false), ("\"\"", true), ("'a word'", true)] {
        let said = checked(&folder, &["--key", key]);
        let doubt = "doubt    --key: the quotes around it would be part of what clients must enter";
        assert_eq!(said.contains(doubt), doubted, "{key}: {said}");
    }
    let mut server = Server::start(&["--key", "\"\""]);
    server.wait_log("warn setting-doubtful count=1 help='hbb check' cause='--key: the quotes");
}

#[test]
fn a_relay_alone_that_would_make_its_key_is_doubted() {
    let folder = Folder::new("relay-key");
    let said = checked(&folder, &["--role", "relay", "--key", "_"]);
    assert!(said.contains("doubt    --key: 'hbb serve' will make a key that no client"), "{said}");
    assert!(!said.contains("no key files yet"), "{said}");
    let said = checked(&folder, &["--role", "relay", "--key", "a word"]);
    assert!(said.contains("ok       key of --key") && !said.contains("--key: 'hbb"), "{said}");
}

/// The address of a machine that ports are forwarded from would be another's.
#[test]
fn an_address_of_the_lan_that_no_interface_has_is_doubted() {
    let folder = Folder::new("local-ip");
    let local_ip = |ip: &str| checked(&folder, &["--mask", "127.0.0.0/8", "--local-ip", ip]);
    let said = local_ip("127.0.0.9");
    assert!(said.contains("doubt    --local-ip 127.0.0.9: no interface of this machine"), "{said}");
    assert!(!local_ip("127.0.0.1").contains("--local-ip 127"));
}

#[test]
fn a_relay_on_the_port_of_the_id_server_is_named_by_its_own_flag() {
    let folder = Folder::new("two-on-one");
    let port = free_ports().to_string();
    let flags = ["check", "--port", &port, "--relay-port", &port, "--public", "203.0.113.1"];
    let found = run(&folder, &flags);
    let said = String::from_utf8(found.stdout).unwrap();
    let named = format!("problem  --relay-port {port}: that is --port, where the ID server is");
    assert!(said.contains(&named) && said.contains("--single-port"), "{said}");
    assert!(!said.contains("--relay-servers") && !said.contains("must differ"), "{said}");
    // Nobody gave --relay-servers here either.
    let said = checked(&folder, &["--relay-port", "443", "--public", "localhost"]);
    assert!(said.contains("doubt    --public localhost"), "{said}");
    assert!(!said.contains("doubt    --relay-servers"), "{said}");
}

#[test]
fn a_server_for_anybody_says_so() {
    let folder = Folder::new("open");
    let open = ["--key=open:", SECRET].concat();
    for flags in [&["--key="][..], &["--key=", "--role", "relay"], &[&open]] {
        let said = checked(&folder, flags);
        assert!(said.contains("doubt    --key serves anybody who reaches this server"), "{said}");
    }
    assert!(!checked(&folder, &[]).contains("anybody"));
    let told = "\nWith --key= it serves anybody, with the key or not.\n";
    assert!(Server::start(&["--key="]).log().contains(told));
    assert!(!Server::start(&[]).log().contains("anybody"));
}

#[test]
fn hosts_that_no_client_finds_are_said_by_export() {
    let folder = Folder::used("export-hosts");
    for (host, said) in [
        ("localhost", "each client would look for it on its own machine"),
        ("127.0.0.1", "each client would look for it on its own machine"),
        ("0.0.0.0", "each client would look for it on its own machine"),
        ("hbb", "a name without a dot"),
        ("rd.example.org", ""),
        ("192.0.2.7", ""),
    ] {
        let script = run(&folder, &["export", "--host", host, "--format", "json"]);
        let shown = String::from_utf8(script.stdout).unwrap();
        assert!(shown.starts_with(&format!("{{\"host\":\"{host}\",")), "{shown}");
        assert!(script.stderr.is_empty(), "a script takes that for the form");
        let printed = run(&folder, &["export", "--host", host]);
        assert!(printed.status.success());
        let shown = String::from_utf8(printed.stdout).unwrap();
        assert!(shown.contains(&format!("ID server:     {host}\n")), "{shown}");
        let noted = String::from_utf8(printed.stderr).unwrap();
        let begin = format!("--host {host}: {said}");
        assert_eq!(noted.starts_with(&begin), !said.is_empty(), "{noted}");
        assert_eq!(noted.is_empty(), said.is_empty(), "{noted}");
    }
}

#[test]
fn variables_of_upstream_point_to_what_they_are_here() {
    let folder = Folder::new("variables");
    let mut check = command(&[]);
    let found = check.current_dir(&folder.0).arg("check").env("ENCRYPTED_ONLY", "1").output();
    let said = String::from_utf8(found.unwrap().stdout).unwrap();
    let doubt =
        "variables that hbb does not read: ENCRYPTED_ONLY; give the flags that 'hbb hbbs --help'";
    assert!(said.contains(doubt), "{said}");
    let table = String::from_utf8(run(&folder, &["hbbs", "--help"]).stdout).unwrap();
    assert!(table.contains("ENCRYPTED_ONLY"), "{table}");
    let prefix = ["env", "ENCRYPTED_ONLY=1"];
    let mut server = Server::start_behind(&prefix, &[]);
    let line = server.wait_log("warn upstream-variables-unused names=ENCRYPTED_ONLY ");
    assert!(line.ends_with("help='hbb hbbs --help, MIGRATING.md'"), "{line}");
}

/// A machine with addresses in many networks shows nine of ten, and says that there are more.
#[test]
fn the_greeting_shows_each_of_two_ulas_and_how_many_more_there_are() {
    let name = format!("hbb-many-{}", std::process::id());
    let ip = |words: &str| {
        let done = Command::new("ip").args(words.split(' ')).status();
        assert!(done.expect("ip of the package iproute2").success(), "ip {words}");
    };
    ip(&format!("netns add {name}"));
    ip(&format!("-n {name} link set lo up"));
    let shown = |addresses: &[&str]| {
        for address in addresses {
            ip(&format!("-n {name} addr add {address} dev lo"));
        }
        Server::start_behind(&["ip", "netns", "exec", &name], &[]).log()
    };
    let few = shown(&["192.168.1.1/24", "10.0.0.1/8", "100.64.0.1/32", "fd01::1/64", "fd02::1/64"]);
    let many = shown(&["fd03::1/64", "fd04::1/64", "fd05::1/64", "fd06::1/64", "fd07::1/64"]);
    ip(&format!("netns del {name}"));
    assert!(few.contains("  or [fd01::1]:") && few.contains("  or [fd02::1]:"), "{few}");
    assert!(!few.contains("more"), "{few}");
    assert!(many.contains("  or one of 2 more; 'ip addr' lists them\n"), "{many}");
}
