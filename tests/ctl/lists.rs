//! The lists of addresses: long ones, wrong ones, and what is in force meanwhile; and what is
//! doubted of the settings.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use crate::model::host::{Host, PATIENCE};
use crate::model::line::Line;
use crate::model::server::Server;
use crate::{address, ctl, hears, is_over, say};

/// As many networks as a list holds, the last of which is this one.
fn full_list(last: &str) -> String {
    let networks = (0..=u16::MAX).skip(1).map(|n| format!("10.{}.{}.0/24\n", n >> 8, n & 255));
    networks.chain([[last, "\n"].concat()]).collect()
}

/// Whether somebody there is told whether a peer is known.
fn is_served(server: &Server, host: &str) -> bool {
    let line = Line::datagrams(&Host::local(host), address(server));
    line.send(&say::register_peer("123456789"));
    line.next(Duration::from_millis(300)).is_some()
}

#[test]
fn lists_of_65536_networks_count_to_the_last() {
    let (banned, blocked) = (full_list("127.0.9.0/24"), full_list("127.0.7.7"));
    let lists = [("banned.txt", banned.as_str()), ("blocklist.txt", blocked.as_str())];
    let server = Server::start_with(&lists, &["--key="]);
    assert!(is_served(&server, "127.0.8.1") && !is_served(&server, "127.0.9.1"));
    let relay = ([127, 0, 0, 1], server.port + 1).into();
    for outside in ["127.0.9.1", "127.0.7.7"] {
        let leg = Host::local(outside).connect(0, relay).unwrap();
        leg.set_read_timeout(Some(PATIENCE)).unwrap();
        assert!(is_over(&leg), "{outside}");
    }
    let said = ctl(&server, &["ban", "192.0.2.1"]).unwrap_err();
    assert!(said.contains("65536 are shut out, which is the most"), "{said}");
    let said = ctl(&server, &["bans"]).unwrap();
    assert!(said.lines().count() == 65_536 && said.ends_with("127.0.9.0/24\n"));
    hears("unban 10.7.7.0/24", &server, "is let in again");
    hears("ban 127.0.8.0/24", &server, "is shut out");
    assert!(!is_served(&server, "127.0.8.1") && !is_served(&server, "127.0.9.1"));
}

#[test]
fn a_reload_of_a_wrong_list_keeps_what_was_in_force_and_names_every_line() {
    let server = Server::start_with(&[("banned.txt", "127.0.9.0/24\n")], &["--key="]);
    let file = server.data().join("banned.txt");
    let wrong = b"127.0.8.0/24\n127.0.9.0/33 mistyped\n# a comment\xff\n\n127.0.9.\xff\n1.2.3\n";
    fs::write(&file, wrong).unwrap();
    let said = ctl(&server, &["reload"]).unwrap_err();
    let log = server.log();
    for line in [2, 5, 6] {
        let named = format!("banned.txt line {line} must be an id, an address or a network");
        assert!(said.contains(&named), "{named}: {said}");
        assert!(log.contains("error list-refused") && log.contains(&named), "{named}: {log}");
    }
    assert_eq!(said.lines().count(), 3, "{said}");
    let long = "192.0.2.1\n".repeat(65_537);
    for (text, named) in [("127.0.9\n".repeat(1000), "900 more"), (long, "more than 65536")] {
        fs::write(&file, text).unwrap();
        let said = ctl(&server, &["reload"]).unwrap_err();
        assert!(said.contains(named), "{named}: {said}");
    }
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    let said = ctl(&server, &["reload"]).unwrap_err();
    assert!(said.contains("Cannot read ") && said.contains("banned.txt"), "{said}");
    assert!(is_served(&server, "127.0.8.1") && !is_served(&server, "127.0.9.1"));
    fs::remove_dir(&file).unwrap();
    hears("reload", &server, "Reloaded.");
    assert!(is_served(&server, "127.0.9.1"));
}

#[test]
fn status_says_what_is_doubted() {
    let server = Server::start(&["--relay-servers", "hbbr"]);
    let doubt = "--relay-servers hbbr: a name without a dot";
    hears("status", &server, &format!("doubts                    {doubt}"));
    hears("--json status", &server, &format!("\"doubts\":[\"{doubt}"));
    hears("--json status", &Server::start(&[]), "\"doubts\":[]");
}

#[test]
fn a_ban_leaves_the_lines_of_others_as_they_are() {
    let ours = "# The office.\n127.0.9.0/24 Otto\n\n127.0.8.1 # until May\nid=a/b\nid=a/b x";
    let server = Server::start_with(&[("banned.txt", ours)], &["--key="]);
    let file = server.data().join("banned.txt");
    let written = || fs::read_to_string(&file).unwrap();
    hears("ban 127.0.9.0/24", &server, "is shut out");
    assert_eq!(written(), ours, "it was there");
    hears("ban 127.0.7.0/24", &server, "is shut out");
    assert_eq!(written(), [ours, "\n127.0.7.0/24\n"].concat());
    hears("unban 127.0.8.1/32", &server, "is let in again");
    hears("unban id=a/b", &server, "is let in again");
    assert_eq!(written(), "# The office.\n127.0.9.0/24 Otto\n\n127.0.7.0/24\n");
    assert!(is_served(&server, "127.0.8.1") && !is_served(&server, "127.0.9.1"));
}

#[test]
fn what_was_written_into_the_list_since_is_not_lost() {
    let server = Server::start_with(&[("banned.txt", "127.0.9.0/24\n")], &["--key="]);
    let file = server.data().join("banned.txt");
    fs::write(&file, "127.0.9.0/24\n127.0.8.0/24\n").unwrap();
    hears("ban 127.0.7.0/24", &server, "is shut out");
    for shut in ["127.0.7.1", "127.0.8.1", "127.0.9.1"] {
        assert!(!is_served(&server, shut), "{shut}");
    }
    let mistyped = "127.0.9.0/24\n127.0.8.0/33\n";
    fs::write(&file, mistyped).unwrap();
    let said = ctl(&server, &["ban", "192.0.2.1"]).unwrap_err();
    assert!(said.contains("banned.txt line 2 must be"), "{said}");
    assert_eq!(fs::read_to_string(&file).unwrap(), mistyped);
}

#[test]
fn a_list_that_is_a_link_to_nowhere_is_not_empty() {
    let server = Server::start_with(&[("banned.txt", "127.0.9.0/24\n")], &["--key="]);
    let file = server.data().join("banned.txt");
    fs::remove_file(&file).unwrap();
    symlink("/not/mounted/banned.txt", &file).unwrap();
    assert!(ctl(&server, &["reload"]).unwrap_err().contains("Cannot read"));
    assert!(!is_served(&server, "127.0.9.1"));
}
