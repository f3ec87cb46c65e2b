//! What `hbb check` finds, and that it changes nothing.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixListener;
use std::path::Path;

use crate::{Folder, PUBLIC, free_ports};

#[test]
fn check_names_every_problem_and_ends_as_the_worst() {
    let folder = Folder::new().write("flags", "--max-peers 0\n--prot 1\n--bind 192.0.2.1\n");
    let folder = folder.write("id_ed25519", "damaged");
    let ended = folder.run(&["check", "--flags", "flags"]);
    ended.failed(3, &["4 problems"]);
    for said in ["flags line 1: --max-peers", "flags line 2: ", "is damaged", "--bind 192.0.2.1"] {
        assert!(ended.out.contains(said), "{said}: {ended:?}");
    }
}

/// What is right of the flags counts, and of a file that cannot be read nothing is known.
#[test]
fn check_looks_beside_wrong_flags_where_the_right_ones_lead() {
    let port = free_ports();
    let _relay = TcpListener::bind(("::", port + 1)).unwrap();
    let folder = Folder::new().write("flags", &format!("--prot 1\n--port {port}\n"));
    let ended = folder.run(&["check", "--flags", "flags"]);
    let taken = format!("TCP port {} is taken", port + 1);
    assert!(ended.out.contains(&taken) && !ended.out.contains("21117"), "{ended:?}");
    let ended = folder.run(&["check", "--flags", "none"]);
    ended.failed(2, &["--flags: cannot read none"]);
    assert_eq!(ended.out, "");
}

#[test]
fn check_is_content_with_what_is_fine_and_changes_nothing() {
    let folder = Folder::new();
    let port = free_ports().to_string();
    let out = folder.run(&["check", "--port", &port, "--public", "203.0.113.1"]).done();
    assert!(out.lines().all(|line| line.starts_with("ok ")), "{out}");
    assert!(folder.names().is_empty());
    let folder = Folder::with_key();
    let out = folder.run(&["check", "--port", &port]).done();
    assert!(out.contains(PUBLIC) && out.contains("doubt    ./id_ed25519 has mode 644"), "{out}");
}

#[test]
fn check_doubts_what_clients_cannot_reach() {
    let folder = Folder::new();
    let flags = ["--port", &free_ports().to_string(), "--relay-servers", "localhost"];
    let out = folder.run(&[&["check"], &flags[..]].concat()).done();
    assert!(out.contains("doubt    --relay-servers localhost: each client"), "{out}");
}

#[test]
#[cfg(feature = "accounts")]
fn check_doubts_rules_that_name_users_where_there_are_none() {
    let folder = Folder::new().write("rules.conf", "deny from=user:anna\n");
    let port = free_ports().to_string();
    let out = folder.run(&["check", "--port", &port]).done();
    assert!(out.contains("doubt    ./rules.conf names users or groups"), "{out}");
    let out = folder.run(&["check", "--port", &port, "--accounts"]).done();
    assert!(!out.contains("names users"), "{out}");
    let folder = folder.write("rules.conf", "deny from=192.0.2.1\n");
    let out = folder.run(&["check", "--port", &port]).done();
    assert!(!out.contains("names users"), "{out}");
}

#[test]
fn check_doubts_a_control_socket_that_serve_could_not_open() {
    let folder = Folder::new().write("file", "precious");
    let _there = UnixListener::bind(folder.0.join("taken")).unwrap();
    drop(UnixListener::bind(folder.0.join("left")).unwrap());
    let port = free_ports().to_string();
    for (path, why) in [
        ("file", "it is not a socket"),
        ("taken", "another hbb answers there"),
        ("not/there", "there is no folder not"),
        ("file/sock", "Not a directory"),
        ("left", ""),
        ("new", ""),
    ] {
        let out = folder.run(&["check", "--port", &port, "--control", path]).done();
        let doubt = format!("doubt    --control {path}: {why}");
        assert_eq!(out.contains(&doubt), !why.is_empty(), "{path}: {out}");
        assert_eq!(out.contains("doubt"), !why.is_empty(), "{path}: {out}");
    }
    // Where a flag is wrong there is no path to judge.
    let ended = folder.run(&["check", "--port", "0"]);
    ended.failed(2, &["1 problem"]);
    assert!(!ended.out.contains("--control"), "{ended:?}");
    assert_eq!(folder.read("file"), "precious");
    assert!(folder.0.join("left").exists() && !folder.0.join("new").exists());
}

#[test]
fn a_wrong_list_ends_the_start_and_check_names_its_lines() {
    let folder = Folder::with_key().write(
        "banned.txt",
        "192.0.2.1\n192.0.2.0/33\n\nx/y\n1.2.3.4-9\n\"192.0.2.1\"\nid=1.2.3.4-9\n",
    );
    fs::write(folder.0.join("blocklist.txt"), b"# caf\xe9\n192.0.2.1\xff").unwrap();
    fs::create_dir(folder.0.join("blacklist.txt")).unwrap();
    let port = free_ports().to_string();
    let said = [
        "Cannot read ./blacklist.txt: ",
        "./blocklist.txt line 2 must be an address or a network",
        "./banned.txt line 2 must be an id, an address or a network",
        "./banned.txt line 4 must",
        "./banned.txt line 5 must",
        "./banned.txt line 6 must",
    ];
    folder.run(&["serve", "--port", &port]).failed(2, &said);
    let ended = folder.run(&["check", "--port", &port]);
    ended.failed(2, &["6 problems"]);
    assert!(said.iter().all(|said| ended.out.contains(said)), "{ended:?}");
}

#[test]
fn check_writes_through_no_link_and_removes_only_what_it_made() {
    let folder = Folder::with_key().write("precious", "of another").write("empty", "");
    let port = free_ports().to_string();
    let probe = folder.0.join(".hbb-check");
    for target in ["precious", "not there", "empty"] {
        std::os::unix::fs::symlink(target, &probe).unwrap();
        let ended = folder.run(&["check", "--port", &port]);
        ended.failed(3, &["1 problem"]);
        assert!(ended.out.contains("remove ./.hbb-check"), "{ended:?}");
        assert_eq!(fs::read_link(&probe).unwrap(), Path::new(target));
        fs::remove_file(&probe).unwrap();
    }
    assert_eq!(folder.read("precious"), "of another");
    assert_eq!(folder.names(), ["empty", "id_ed25519", "id_ed25519.pub", "precious"]);
}

#[test]
fn check_finds_taken_ports() {
    let folder = Folder::new();
    // Another test may start a program this moment, and until that runs it holds what we probed.
    let taken = (0..20).find_map(|_| {
        let port = free_ports();
        let relay = TcpListener::bind(("::", port + 1)).ok()?;
        Some((port, relay, UdpSocket::bind(("::", port)).ok()?))
    });
    let (port, _relay, _ids) = taken.unwrap();
    let ended = folder.run(&["check", "--port", &port.to_string()]);
    ended.failed(1, &["2 problems"]);
    assert!(ended.out.contains(&format!("TCP port {} is taken", port + 1)), "{ended:?}");
    assert!(ended.out.contains(&format!("UDP port {port} is taken")), "{ended:?}");
}

#[cfg(feature = "web")]
#[test]
fn check_tries_each_port_at_its_own_address() {
    let folder = Folder::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let check = |web: &str| {
        let base = free_ports().to_string();
        folder.run(&["check", "--accounts", "--port", &base, "--web", web])
    };
    assert!(check(&format!("127.0.0.2:{port}")).out.contains("ports are free"));
    let ended = check(&format!("127.0.0.1:{port}"));
    ended.failed(1, &["1 problem"]);
    assert!(ended.out.contains(&format!("TCP port {port} is taken")), "{ended:?}");
    let ended = check(&format!("192.0.2.1:{port}"));
    ended.failed(1, &["1 problem"]);
    assert!(ended.out.contains("Check --bind and the flag of that port"), "{ended:?}");
}
