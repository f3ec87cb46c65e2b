//! `hbb ctl` against the real server: what it tells, what it changes, who may ask.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::disallowed_methods, reason = "tests wait by the clock and have settings")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

#[path = "ctl/approval.rs"]
mod approval;
#[path = "sim/chance.rs"]
mod chance;
#[allow(dead_code, reason = "each test binary uses a part")]
#[path = "api/client.rs"]
mod client;
#[path = "ctl/files.rs"]
mod files;
#[path = "ctl/ids.rs"]
mod ids;
#[path = "ctl/lists.rs"]
mod lists;
mod model;
#[path = "ctl/reload.rs"]
mod reload;
#[path = "conformance/say.rs"]
mod say;
#[path = "ctl/socket.rs"]
mod socket;

use hbb::cli::ctl_commands;
use model::host::{Host, PATIENCE, again};
use model::line::Line;
use model::link::Link;
use model::server::Server;
use model::target::{Registers, Target};
use model::wire::send;
use say::take;

/// What `hbb ctl` said and whether it was pleased.
fn ctl(server: &Server, words: &[&str]) -> Result<String, String> {
    ctl_at(server.data(), words)
}

fn ctl_at(data: &Path, words: &[&str]) -> Result<String, String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hbb"));
    let ended = command.args(["ctl", "--data"]).arg(data).args(words).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    match ended.status.code() {
        Some(0) => Ok(text(ended.stdout)),
        Some(1 | 2) if words.contains(&"--json") => Err(text(ended.stdout)),
        Some(1 | 2) => Err(text(ended.stderr)),
        _ => panic!("{words:?}: {ended:?}"),
    }
}

fn address(server: &Server) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], server.port))
}

fn register(server: &Server, host: &str, id: &str) -> Target {
    Target::register(&Host::local(host), address(server), id, &server.key())
}

fn hears(words: &str, server: &Server, expected: &str) {
    let words: Vec<&str> = words.split(' ').collect();
    let said = ctl(server, &words).unwrap();
    assert!(said.contains(expected), "{words:?} says {said}");
}

/// A session whose legs come from these addresses; one byte went through it.
fn relayed(server: &Server, token: &str, hosts: [&str; 2]) -> [TcpStream; 2] {
    let relay = SocketAddr::from(([127, 0, 0, 1], server.port + 1));
    let legs = hosts.map(|host| {
        let mut leg = Host::local(host).connect(0, relay).unwrap();
        let wish = say::request_relay("", |wish| wish.uuid = token.into());
        send(&mut leg, &wish).unwrap();
        leg.set_read_timeout(Some(PATIENCE)).unwrap();
        leg
    });
    (&legs[0]).write_all(b"x").unwrap();
    (&legs[1]).read_exact(&mut [0]).unwrap();
    legs
}

/// Whether the other side ended this connection within a while.
fn is_over(leg: &TcpStream) -> bool {
    let mut reader = leg;
    match again(|| reader.read(&mut [0])) {
        Ok(0) => true,
        Ok(_) => false,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

fn until(mut happens: impl FnMut() -> bool, what: &str) {
    let start = Instant::now();
    while !happens() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn status_counts_who_is_there_in_both_forms() {
    let server = Server::start(&["--public", "rd.example.org", "--max-peers", "5"]);
    let _peer = register(&server, "127.0.0.9", "123456789");
    let text = ctl(&server, &["status"]).unwrap();
    for line in ["role                      all", "1 registered, 1 online, 5 limit"] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let json = ctl(&server, &["--json", "status"]).unwrap();
    let key = server.key();
    for member in [
        r#""version":"0."#,
        r#""public":"rd.example.org","key":""#,
        key.as_str(),
        r#""peers":{"registered":1,"online":1,"limit":5,"kept":0}"#,
        r#""store":{"commits":1,"changes":1,"failures":0,"written_today":"#,
        r#""sessions":{"running":0,"waiting":0,"limit":32},"relayed_bytes":0,"dropped":{"#,
    ] {
        assert!(json.contains(member), "{member}: {json}");
    }
    assert!(json.starts_with('{') && json.ends_with("}\n"));
}

#[test]
fn connections_that_never_became_anything_are_counted() {
    let server = Server::start(&[]);
    for port in [server.port + 2, server.port + 3] {
        let mut caller =
            Host::local("127.0.0.9").connect(0, ([127, 0, 0, 1], port).into()).unwrap();
        caller.write_all(b"no request\r\n\r\n").unwrap();
        caller.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut answer = String::new();
        caller.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
    let counted = || ctl(&server, &["--json", "status"]).unwrap().contains(r#""malformed":2"#);
    until(counted, "one refused handshake of the ID server, one of the relay");
}

/// The names of all members of a JSON object, at any depth.
fn members(json: &str) -> BTreeSet<&str> {
    let ends = json.match_indices("\":").filter_map(|(end, _)| json.get(..end));
    ends.filter_map(|text| text.rsplit('"').next()).collect()
}

/// What the manual says a command's JSON has.
fn explained(command: &str) -> String {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/board/manual.md");
    let page = fs::read_to_string(page).unwrap();
    let row = page.lines().find(|line| line.starts_with(&format!("| `{command}")));
    row.and_then(|row| row.split(" | ").nth(2)).expect("the manual has a row for it").to_owned()
}

#[test]
fn the_manual_names_every_member_of_the_json() {
    let server = Server::start(&[]);
    let _peer = register(&server, "127.0.0.9", "123456789");
    for command in ["status", "peers"] {
        let json = ctl(&server, &["--json", command]).unwrap();
        let (json, dropped) = json.split_once("\"dropped\":").unwrap_or((&json, "{}"));
        assert!(dropped.trim_end().ends_with('}') && !dropped.contains('['), "{dropped}");
        let explained = explained(command);
        let words: BTreeSet<_> =
            explained.split(|c: char| c != '_' && !c.is_ascii_lowercase()).collect();
        let named = members(json);
        assert!(named.len() > 5, "{json}");
        for name in named {
            assert!(words.contains(name), "{command}: {name} is not in {explained}");
        }
    }
}

#[test]
fn peers_are_listed_by_id_in_pages() {
    let server =
        Server::start(&["--new-peers-per-day", "65535", "--registrations-per-minute", "65535"]);
    let ids: Vec<String> = (0..9).map(|n| format!("peer{n}00")).collect();
    let kept: Vec<Target> = ids.iter().rev().map(|id| register(&server, "127.0.0.9", id)).collect();
    let over_tcp = Target::register_by(
        Registers::Tcp,
        (&Host::local("127.0.0.8"), address(&server)),
        "tcppeer1",
        &server.key(),
    );
    let page = |words: &[&str]| ctl(&server, &[&["--json", "peers"], words].concat()).unwrap();
    let all = page(&[]);
    let places: Vec<_> = ids.iter().map(|id| all.find(id.as_str()).expect("listed")).collect();
    assert!(places.is_sorted(), "{all}");
    assert!(
        all.contains(r#""id":"tcppeer1","online":true,"transport":"tcp","address":"127.0.0.8:"#)
    );
    assert!(all.ends_with("],\"next\":null}\n"), "{all}");
    let first = page(&["count=4"]);
    assert!(first.contains("peer300") && !first.contains("peer400"), "{first}");
    assert!(first.ends_with("\"next\":\"peer300\"}\n"), "{first}");
    let rest = page(&["after=peer300", "part=00"]);
    assert!(!rest.contains("peer300") && rest.contains("peer400") && !rest.contains("tcppeer1"));
    let text = ctl(&server, &["peers", "part=peer8"]).unwrap();
    assert!(text.contains("peer800          yes    udp       127.0.0.9:"), "{text}");
    assert_eq!(text.lines().count(), 2);
    assert!(ctl(&server, &["peers", "last=x"]).unwrap_err().contains("after=ID"));
    drop((kept, over_tcp));
    // What it spoke is not known of a connection that is closed.
    let away = r#""id":"tcppeer1","online":false,"transport":null,"address":"127.0.0.8:"#;
    until(|| page(&["part=tcp"]).contains(away), "the peer on a connection is away");
}

#[test]
fn a_long_list_goes_page_by_page_and_names_each_once() {
    let server = Server::start(&[
        "--max-peers",
        "4096",
        "--writes-per-day",
        "0",
        "--new-peers-per-day",
        "65535",
        "--registrations-per-minute",
        "65535",
    ]);
    let host = Host::local("127.0.0.9");
    let line = Line::datagrams(&host, address(&server));
    let count = 1500;
    // Four come after a proof and share a commit; scattered, no page is a stretch of the table.
    for first in (0..count).step_by(4) {
        host.prove(address(&server));
        for number in first..first + 4 {
            let id = 100_000 + number * 7919 % 100_000;
            line.send(&say::register_pk(&id.to_string(), b"a device", &[7; 32]));
        }
        (0..4).for_each(|_| drop(line.next(PATIENCE).expect("an answer")));
    }
    let json = ctl(&server, &["--json", "peers"]).unwrap();
    let mut ids: Vec<&str> =
        json.split("{\"id\":\"").skip(1).map(|rest| rest.get(..6).unwrap()).collect();
    assert!(ids.is_sorted());
    ids.dedup();
    assert_eq!(ids.len(), count);
}

#[test]
fn a_leg_that_is_refused_counts_once() {
    let server = Server::start(&["--key="]);
    let relay = SocketAddr::from(([127, 0, 0, 1], server.port + 1));
    for refused in 1..=2 {
        let mut leg = Host::local("127.0.0.1").connect(0, relay).unwrap();
        send(&mut leg, &say::request_relay("", |asked| asked.uuid.clear())).unwrap();
        leg.set_read_timeout(Some(PATIENCE)).unwrap();
        assert!(is_over(&leg));
        hears("--json status", &server, &format!("\"dropped\":{{\"incomplete\":{refused}}}"));
        // In text each counter is explained.
        let missing = "an id, device or token that the message needs is missing";
        let counted = format!("{:26}{refused} incomplete\n", "dropped");
        hears("status", &server, &format!("{counted}{:26}{missing}\n", "incomplete"));
    }
}

#[test]
fn a_session_is_told_with_its_bytes_and_ended() {
    for threads in ["1", "2"] {
        let server = Server::start(&["--key=", "--relay-threads", threads]);
        let [one, other] = relayed(&server, "a token", ["127.0.0.1", "127.0.0.2"]);
        (&one).write_all(&[7; 999]).unwrap();
        (&other).read_exact(&mut [0; 999]).unwrap();
        until(
            || {
                let json = ctl(&server, &["--json", "sessions"]).unwrap();
                // Whichever leg was there first.
                let ends = [r#""from":"127.0.0."#, r#""to":"127.0.0."#, ".1:", ".2:"];
                json.contains(r#"{"number":1,"#)
                    && ends.iter().all(|part| json.contains(part))
                    && json.contains(r#","bytes":1000,"rate":"#)
                    && json.contains(r#","limited":false,"tunnel":false}"#)
            },
            "the session is listed with 1000 bytes",
        );
        hears("sessions", &server, "1000");
        for none in ["2", "123456789", "two"] {
            let said = ctl(&server, &["disconnect", none]).unwrap_err();
            // The latter without accounts, as the program may be built.
            let of_id = ["with that id has one", "An id is"].iter().any(|it| said.contains(it));
            assert!(said.starts_with("No session has that number;") && of_id, "{said}");
        }
        hears("disconnect 1", &server, "was ended");
        assert!(is_over(&one) && is_over(&other));
        assert_eq!(ctl(&server, &["--json", "sessions"]).unwrap(), "{\"sessions\":[]}\n");
        hears("--json status", &server, "\"sessions\":{\"running\":0");
        hears("--json status", &server, "\"relayed_bytes\":1000");
        let log = server.log();
        let ended = log.lines().find(|line| line.starts_with("info relay-ended bytes=1000 secs="));
        assert!(
            ended.is_some_and(|line| line.contains(" reason=dismissed from=127.0.0.")),
            "{log}"
        );
        // Its place is free again, and the next one has its own number.
        drop(relayed(&server, "another", ["127.0.0.1", "127.0.0.2"]));
        until(
            || server.log().matches("relay-ended").count() == 2,
            "the second session ends by itself",
        );
        hears("--json sessions", &server, "[]");
    }
}

#[test]
fn a_forgotten_peer_is_gone_from_the_disk_too() {
    let mut server = Server::start(&[]);
    drop(register(&server, "127.0.0.9", "123456789"));
    let host = Host::local("127.0.0.8");
    let connected =
        Target::register_by(Registers::Tcp, (&host, address(&server)), "abcdefg", &server.key());
    assert!(
        ctl(&server, &["forget", "987654321"]).unwrap_err().contains("no such registered peer")
    );
    hears("forget 123456789", &server, "was forgotten");
    hears("forget abcdefg", &server, "was forgotten");
    assert_eq!(ctl(&server, &["--json", "peers"]).unwrap(), "{\"peers\":[],\"next\":null}\n");
    hears("--json status", &server, "\"connections\":{\"open\":0");
    server.kill_and_restart();
    hears("--json status", &server, "\"peers\":{\"registered\":0");
    // Whoever still runs registers anew.
    drop(connected);
    let _back = register(&server, "127.0.0.9", "123456789");
}

#[test]
fn a_banned_id_is_to_others_as_if_it_did_not_exist() {
    let mut server = Server::start(&["--key="]);
    let peer = register(&server, "127.0.0.9", "123456789");
    let host = Host::local("127.0.0.8");
    let at = address(&server);
    let connected = Target::register_by(Registers::WebSocket, (&host, at), "abcdefg", "");
    let punched = |id: &str| {
        let mut link = Link::tcp(&Host::local("127.0.0.7"), at);
        link.send(&say::punch(id, |_| {})).unwrap();
        link.set_patience(Duration::from_millis(300));
        link.receive().map(|answer| take!(&answer, PunchHoleResponse).failure)
    };
    assert!(punched("123456789").is_err(), "the target is told, it may answer");
    hears("ban 123456789", &server, "is shut out");
    hears("ban abcdefg", &server, "is shut out");
    for _ in 0..2 {
        assert_eq!(punched("123456789").unwrap(), 0, "ID_NOT_EXIST");
        assert_eq!(punched("abcdefg").unwrap(), 0, "ID_NOT_EXIST");
        let line = Line::datagrams(&Host::local("127.0.0.9"), at);
        line.send(&say::register_peer("123456789"));
        assert_eq!(line.next(Duration::from_millis(300)), None, "no answer");
        hears("--json status", &server, "\"online\":0");
        hears("bans", &server, "123456789\nabcdefg\n");
        server.kill_and_restart();
    }
    drop((peer, connected));
    hears("unban 123456789", &server, "let in again");
    let _back = register(&server, "127.0.0.9", "123456789");
    assert!(ctl(&server, &["unban", "123456789"]).unwrap_err().contains("not shut out"));
}

#[test]
fn a_banned_network_is_gone_at_once_and_stays_out() {
    let server = Server::start(&["--key="]);
    let at = address(&server);
    let inside = Host::local("127.0.9.1");
    let peer = Target::register_by(Registers::Tcp, (&inside, at), "123456789", &server.key());
    let session = relayed(&server, "a token", ["127.0.0.1", "127.0.9.2"]);
    let other = relayed(&server, "others", ["127.0.0.1", "127.0.0.2"]);
    hears("ban 127.0.9.0/24", &server, "is shut out");
    assert!(is_over(&session[0]) && is_over(&session[1]));
    hears("--json status", &server, "\"connections\":{\"open\":0");
    hears("--json peers", &server, "\"id\":\"123456789\",\"online\":false");
    let line = Line::datagrams(&inside, at);
    line.send(&say::register_peer("123456789"));
    assert_eq!(line.next(Duration::from_millis(300)), None);
    for port in [server.port, server.port + 1] {
        let to = SocketAddr::from(([127, 0, 0, 1], port));
        let stranger = inside.connect(0, to).unwrap();
        stranger.set_read_timeout(Some(PATIENCE)).unwrap();
        assert!(is_over(&stranger), "port {port}");
    }
    hears("--json status", &server, "\"blocked\":");
    // Others notice nothing.
    (&other[0]).write_all(b"y").unwrap();
    (&other[1]).read_exact(&mut [0]).unwrap();
    assert_eq!(
        fs::read_to_string(server.data().join("banned.txt")).unwrap(),
        "# Who is shut out: ids, addresses, networks; one a line.\n127.0.9.0/24\n"
    );
    drop(peer);
    for bad in ["127.0.0.0/33", "1.2.3", "a/b", "-x", "1.2.3.4-9", "\"192.0.2.1\""] {
        assert!(ctl(&server, &["ban", bad]).unwrap_err().contains("must be an id"), "{bad}");
    }
}

#[test]
fn bans_that_cannot_be_kept_are_refused() {
    let server = Server::start(&[]);
    fs::create_dir(server.data().join("banned.txt.new")).unwrap();
    let said = ctl(&server, &["ban", "10.0.0.1"]).unwrap_err();
    assert!(said.contains("Cannot write banned.txt"), "{said}");
    assert_eq!(ctl(&server, &["--json", "bans"]).unwrap(), "{\"bans\":[]}\n");
}

#[test]
fn limits_change_until_the_next_reload() {
    let server = Server::start_with(&[("flags", "--max-sessions 3")], &["--key="]);
    let said = ctl(&server, &["limits"]).unwrap();
    assert!(said.contains("max-sessions              32\n"), "{said}");
    hears("limits max-sessions 1", &server, "max-sessions is 1 until the next reload");
    hears("--json limits", &server, "\"max-sessions\":1,");
    let kept = relayed(&server, "first", ["127.0.0.1", "127.0.0.2"]);
    let relay = SocketAddr::from(([127, 0, 0, 1], server.port + 1));
    let legs = [0, 1].map(|_| {
        let mut leg = Host::local("127.0.0.1").connect(0, relay).unwrap();
        send(&mut leg, &say::request_relay("", |wish| wish.uuid = "second".into())).unwrap();
        leg.set_read_timeout(Some(PATIENCE)).unwrap();
        leg
    });
    assert!(legs.iter().all(is_over), "a second session is refused");
    for (name, value) in [("max-sessions", "0"), ("max-sessions", "x"), ("port", "7")] {
        let said = ctl(&server, &["limits", name, value]).unwrap_err();
        assert!(said.contains(name), "{said}");
    }
    hears("reload", &server, "Reloaded.");
    hears("--json limits", &server, "\"max-sessions\":32,");
    drop(relayed(&server, "third", ["127.0.0.1", "127.0.0.2"]));
    drop(kept);
}

#[test]
fn a_part_that_does_not_run_says_so() {
    let relay = Server::start(&["--role", "relay", "--key="]);
    assert!(ctl(&relay, &["peers"]).unwrap_err().contains("a relay alone"));
    hears("--json status", &relay, "\"role\":\"relay\"");
    let rendezvous = Server::start(&["--role", "rendezvous"]);
    assert!(ctl(&rendezvous, &["sessions"]).unwrap_err().contains("relays nothing"));
}

#[test]
fn every_command_of_the_list_is_known() {
    let server = Server::start(&[]);
    for command in ctl_commands().filter(|command| command.arguments != " --follow") {
        let values = command.arguments.split_whitespace().filter(|word| !word.contains('='));
        // Capitals stand for a value. What follows the log until ^C is tried in tests/log.rs.
        let is_value = |word: &str| word.trim_start_matches('[').starts_with(char::is_uppercase);
        let value = |word: &'static str| if is_value(word) { "7" } else { word };
        let words: Vec<&str> = std::iter::once(command.name).chain(values.map(value)).collect();
        let said = ctl(&server, &words).unwrap_or_else(|said| said);
        assert!(!said.contains("no such command"), "{words:?}: {said}");
    }
}

#[test]
fn the_socket_is_for_owner_and_group_and_goes_with_the_server() {
    let mut server = Server::start(&[]);
    let path = server.data().join("hbb.sock");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    server.kill();
    assert!(path.exists());
    assert!(ctl(&server, &["status"]).unwrap_err().contains("Start 'hbb serve'"));
    server.restart();
    hears("status", &server, "uptime");
    assert!(server.terminate(PATIENCE).success());
    assert!(!path.exists());
}

#[test]
fn a_socket_that_cannot_be_opened_stops_nothing() {
    let server = Server::start(&["--control", "/proc/hbb.sock"]);
    assert!(server.log().contains("warn control-unavailable path=/proc/hbb.sock"));
    let _peer = register(&server, "127.0.0.9", "123456789");
}

#[test]
fn operators_who_say_nothing_or_nonsense_block_nobody() {
    let server = Server::start(&[]);
    let path = server.data().join("hbb.sock");
    let silent: Vec<_> = (0..3).map(|_| UnixStream::connect(&path).unwrap()).collect();
    for nonsense in [&b"\n"[..], b"json\n", &[0xff; 512], b"text peers after=\n"] {
        let mut stream = UnixStream::connect(&path).unwrap();
        let _ = stream.write_all(nonsense);
        let mut said = Vec::new();
        stream.read_to_end(&mut said).unwrap();
        assert_eq!(said.first(), Some(&b'-'), "{said:?}");
    }
    hears("status", &server, "uptime");
    drop(silent);
}
