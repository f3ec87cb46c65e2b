//! What devices tell of themselves, over the doors of the real server: `hbb ctl peers`, the log of
//! connections, the tab of accessible devices and their groups, and an end to a direct session.
//! C192 to C194, C215, C217.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::string_slice)] // a test may panic, anywhere in it
#![allow(clippy::disallowed_methods, reason = "tests wait by the clock")]

#[path = "sim/chance.rs"]
mod chance;
#[path = "api/client.rs"]
mod client;
mod model;
#[path = "conformance/say.rs"]
mod say;

use std::net::SocketAddr;

use client::{Door, Told, call, ctl, login};
use model::host::Host;
use model::initiator::{Asks, Initiator, Tries};
use model::server::Server;
use model::target::{Habit, Target};
use model::wire::send;

const PASSWORD: &str = "correct horse battery";
const ID: &str = "123456789";

fn server() -> Server {
    with(&[])
}

fn with(flags: &[&str]) -> Server {
    let server = Server::start(&[&["--accounts", "--password-memory", "4"], flags].concat());
    for name in ["anna", "otto"] {
        ctl(&server, &["user", "add", name], &format!("{PASSWORD}\n")).unwrap();
    }
    server
}

/// A device at 127.0.0.1, where calls come from.
fn register(server: &Server, id: &str) -> (Target, String) {
    register_at(server, "127.0.0.1", id)
}

fn register_at(server: &Server, ip: &str, id: &str) -> (Target, String) {
    let at = SocketAddr::new(ip.parse().unwrap(), server.port);
    let target = Target::register(&Host::local(ip), at, id, &server.key());
    // "a device", by which modelled targets prove themselves.
    (target, "YSBkZXZpY2U=".into())
}

fn tell(server: &Server, path: &str, body: &str) -> Told {
    let told = call((server, Door::Sealed), ("POST", path), None, body);
    assert_eq!(told.status, 200, "{path} {body}");
    told
}

fn peers(server: &Server) -> String {
    ctl(server, &["--json", "peers"], "").unwrap()
}

#[test]
fn c192_a_device_is_heard_where_it_is_and_nobody_else_is() {
    let server = server();
    let (_target, uuid) = register(&server, ID);
    let info = |uuid: &str, name: &str| {
        format!(
            r#"{{"id":"{ID}","uuid":"{uuid}","version":"1.4.9","os":"Linux / Debian",
            "hostname":"{name}","username":"root"}}"#
        )
    };
    let beat = |uuid: &str| format!(r#"{{"id":"{ID}","uuid":"{uuid}","ver":1004090}}"#);
    assert_eq!(tell(&server, "/api/heartbeat", &beat(&uuid)).body, r#"{"sysinfo":true}"#);
    assert_eq!(tell(&server, "/api/sysinfo", &info(&uuid, "desk")).body, "SYSINFO_UPDATED");
    assert_eq!(tell(&server, "/api/heartbeat", &beat(&uuid)).body, "{}");
    let told = [
        r#""name":"desk","system":"Linux / Debian","user":"root","#,
        r#""version":"1.4.9","connections":0"#,
    ]
    .concat();
    let told = told.as_str();
    assert!(peers(&server).contains(told), "{}", peers(&server));
    // Who has another uuid changes nothing, and nor does an id that nobody registered.
    let other = "YW5vdGhlciBkZXZpY2U=";
    assert_eq!(tell(&server, "/api/sysinfo", &info(other, "evil")).body, "{}");
    assert_eq!(tell(&server, "/api/heartbeat", &beat(other)).body, "{}");
    let unknown = info(&uuid, "evil").replace(ID, "987654321");
    assert_eq!(tell(&server, "/api/sysinfo", &unknown).body, "{}");
    assert_eq!(tell(&server, "/api/audit/conn", "{}").body, "");
    assert!(peers(&server).contains(told) && !peers(&server).contains("evil"));
    let text = ctl(&server, &["peers"], "").unwrap();
    assert!(text.contains(" desk ") && text.contains(" connections "), "{text}");
    // A name leads to both families; registered by the other, it is heard. Elsewhere it is not.
    let (both, away) = ("111222333", "444555666");
    let (_both, uuid) = register_at(&server, "::1", both);
    let (_away, _) = register_at(&server, "127.0.9.9", away);
    for (id, heard) in [(both, "SYSINFO_UPDATED"), (away, "{}")] {
        let info = info(&uuid, "both").replace(ID, id);
        assert_eq!(tell(&server, "/api/sysinfo", &info).body, heard, "{id}");
    }
}

#[test]
fn c193_a_direct_session_ends_with_the_next_heartbeat_and_the_log_knows_of_it() {
    let server = server();
    let (target, uuid) = register(&server, ID);
    let mut stream =
        Host::local("127.0.0.1").connect(0, ([127, 0, 0, 1], server.port).into()).unwrap();
    send(&mut stream, &say::punch(ID, |wish| wish.access_key = server.key())).unwrap();
    let audit = |rest: &str| {
        let body = format!(r#"{{"id":"{ID}","uuid":"{uuid}","conn_id":7,{rest}}}"#);
        assert_eq!(tell(&server, "/api/audit/conn", &body).body, "");
    };
    audit(r#""action":"new","ip":"127.0.0.1""#);
    audit(r#""peer":["987654321","Otto"],"type":0"#);
    let beat = format!(r#"{{"id":"{ID}","uuid":"{uuid}","conns":[7]}}"#);
    assert_eq!(tell(&server, "/api/heartbeat", &beat).body, r#"{"sysinfo":true}"#);
    assert!(peers(&server).contains(r#""connections":1"#));
    let said = ctl(&server, &["disconnect", ID], "").unwrap();
    assert!(said.contains("end within seconds"), "{said}");
    assert_eq!(tell(&server, "/api/heartbeat", &beat).body, r#"{"sysinfo":true,"disconnect":[7]}"#);
    // A client that does not hear that it was heard says it again.
    for nonce in ["a", "b", "a"] {
        let file =
            format!(r#"{{"id":"{ID}","uuid":"{uuid}","conn_id":7,"path":"/x","nonce":"{nonce}"}}"#);
        assert_eq!(tell(&server, "/api/audit/file", &file).body, "");
    }
    audit(r#""action":"close""#);
    let log = ctl(&server, &["log", "--lines"], "").unwrap();
    assert!(log.contains(r#""files":2,"file":"x""#), "{log}");
    assert!(!log.contains(r#""secs":null"#), "it is over: {log}");
    assert!(log.contains(r#""by":"987654321","by_name":"Otto","use":"remote""#), "{log}");
    assert_eq!(log.lines().count(), 1, "joined with the ask: {log}");
    let said = ctl(&server, &["disconnect", "987654321"], "").unwrap_err();
    assert!(said.contains("No session"), "{said}");
    drop(target);
}

#[test]
fn c193_the_tab_of_accessible_devices_shows_what_its_user_may_see() {
    let port = model::server::free_ports();
    let server = with(&["--api", &port.to_string()]);
    let (_target, uuid) = register(&server, ID);
    let (_other, other_uuid) = register(&server, "234567890");
    for (id, uuid, group) in [(ID, &uuid, "office"), ("234567890", &other_uuid, "office")] {
        let body = format!(
            r#"{{"id":"{id}","uuid":"{uuid}","os":"Windows / 11","hostname":"h{id}",
            "preset-device-group-name":"{group}"}}"#
        );
        assert_eq!(tell(&server, "/api/sysinfo", &body).body, "SYSINFO_UPDATED");
    }
    let door = (&server, Door::Http(i32::from(port) - i32::from(server.port)));
    // By HTTP this machine is a proxy that names no client, and so no device of ours.
    let log_in = |at, name: &str, uuid: &str| {
        let body = login(name, PASSWORD).replace("MTIz", uuid);
        call(at, ("POST", "/api/login"), None, &body).text("access_token")
    };
    let sealed = (&server, Door::Sealed);
    let (anna, otto) = (log_in(sealed, "anna", &uuid), log_in(door, "otto", &uuid));
    let list = |token: &str, path: &str| {
        let path = format!("/api/{path}?current=1&pageSize=100&accessible=&status=1");
        call(door, ("GET", &path), Some(token), "").body
    };
    let peers = list(&anna, "peers");
    let own = format!(r#""id":"{ID}","info":{{"username":"","os":"Windows / 11""#);
    assert!(peers.contains(&own), "{peers}");
    assert!(peers.ends_with(r#""total":1}"#) && peers.contains(r#""user":"anna""#), "{peers}");
    assert!(list(&otto, "peers").ends_with(r#""total":0}"#), "otto is logged in nowhere");
    assert!(list(&otto, "users").contains(r#""name":"otto""#));
    assert!(!list(&otto, "users").contains("anna"));
    // A group of users sees what its members have. That a device says it is of the group makes
    // nobody see it: a stranger's could say so.
    for name in ["anna", "otto"] {
        ctl(&server, &["user", "set", name, "group=office"], "").unwrap();
    }
    assert!(list(&otto, "users").ends_with(r#""total":2}"#));
    assert!(list(&otto, "peers").ends_with(r#""total":1}"#));
    let groups = list(&otto, "device-group/accessible");
    assert_eq!(groups, r#"{"data":[{"name":"office"}],"total":1}"#);
    assert_eq!(call(door, ("GET", "/api/peers"), None, "").status, 401);
    assert!(list("none", "users").is_empty());
    // A page goes on where the one before ended, though devices call in between.
    ctl(&server, &["user", "set", "otto", "admin=yes"], "").unwrap();
    let page = |number| {
        let path = format!("/api/peers?current={number}&pageSize=1");
        call(door, ("GET", &path), Some(&otto), "").body
    };
    let first = page(1);
    for (id, uuid) in [("234567890", &other_uuid), (ID, &uuid)] {
        if first.contains(id) {
            tell(&server, "/api/heartbeat", &format!(r#"{{"id":"{id}","uuid":"{uuid}"}}"#));
        }
    }
    let both = first + &page(2);
    assert!(both.contains(ID) && both.contains("234567890"), "{both}");
    ctl(&server, &["user", "disable", "anna"], "").unwrap();
    assert!(list(&otto, "users").ends_with(r#""total":1}"#), "clients ask for who may log in");
}

/// As two clients have it: the target ends what the answer to its heartbeat names.
#[test]
fn c193_a_direct_session_of_two_clients_ends_once_an_operator_wants_it() {
    let server = server();
    let (target, uuid) = register(&server, ID);
    let answering = std::thread::spawn(move || {
        let mut link = target.answer(Habit::Willing);
        target.hello(&mut link);
        link.into_tcp()
    });
    let (host, key) = (Host::local("127.0.1.1"), server.key());
    let at = SocketAddr::from(([127, 0, 0, 1], server.port));
    let initiator = Initiator { host, server: at, key, tries: Tries::Everything, asks: Asks::Tcp };
    let mut session = initiator.dial(ID);
    session.hello();
    let (mut near, far) = (session.link.into_tcp(), answering.join().unwrap());
    let beat = format!(r#"{{"id":"{ID}","uuid":"{uuid}","conns":[41]}}"#);
    assert!(!tell(&server, "/api/heartbeat", &beat).body.contains("disconnect"));
    assert!(ctl(&server, &["--json", "sessions"], "").unwrap().contains("[]"), "it is direct");
    ctl(&server, &["disconnect", ID], "").unwrap();
    let mut ours = Some(far);
    let told = tell(&server, "/api/heartbeat", &beat).body;
    ours.take_if(|_| told.contains(r#""disconnect":[41]"#));
    near.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
    assert_eq!(std::io::Read::read(&mut near, &mut [0; 16]).unwrap(), 0, "the other end is gone");
}

fn refuses_what_means_no_group(server: &Server) {
    for (words, why) in [
        (&["group", "add", "a/b", ID][..], "group 'a/b': must be a name"),
        // As rules have it.
        (&["group", "add", "@office", ID], "group '@office': must be a name"),
        (&["user", "set", "anna", "group=@office"], "group '@office': must be a name"),
        (&["group", "add", "x", "anna"], "must be the ID of a device"),
        (&["group", "remove", "987654321"], "in no group"),
        (&["rule", "test", "192.0.2.1", ID, "user="], "'user=': must be user=NAME"),
        (&["rule", "test", "192.0.2.1", ID, "user=anne"], "There is no such user"),
    ] {
        let told = ctl(server, words, "").unwrap_err();
        assert!(told.contains(why), "{words:?}: {told}");
    }
}

/// One name for the tab, for rules and for shared books.
#[test]
fn c217_a_group_of_devices_is_seen_by_its_users_and_named_by_rules() {
    let mut server = server();
    std::fs::write(
        server.data().join("rules.conf"),
        "allow from=@office to=@office\ndeny to=@office say=\"Not of your office.\"\n",
    )
    .unwrap();
    let said = |server: &Server, words: &[&str]| ctl(server, words, "");
    said(&server, &["reload"]).unwrap();
    for words in [&["user", "set", "anna", "group=office"][..], &["group", "add", "office", ID]] {
        assert_eq!(said(&server, words), Ok("Done.\n".into()));
    }
    refuses_what_means_no_group(&server);
    // The groups that the server knows.
    for (user, line) in [("user=anna", "line     1: "), ("user=otto", "line     2: ")] {
        let told = said(&server, &["rule", "test", "192.0.2.1", ID, user]).unwrap();
        assert!(told.contains(line) && told.contains(" to @office\n"), "{told}");
    }
    let given = ["rule", "test", "192.0.2.1", ID, "user=anna", "user-group=x", "to-group=y"];
    assert!(said(&server, &given).unwrap().contains("rule     none fits"));
    let listed = said(&server, &["--json", "group", "list"]).unwrap();
    let rows = [
        r#"{"group":"office","user":null,"device":"123456789"},"#,
        r#"{"group":"office","user":"anna","device":null}"#,
    ];
    assert_eq!(listed, format!("{{\"groups\":[{}]}}\n", rows.concat()));
    server.kill_and_restart();
    assert_eq!(said(&server, &["--json", "group", "list"]).unwrap(), listed);
    let at = ([127, 0, 0, 1], server.port).into();
    for name in ["anna", "otto"] {
        let of_anna = name == "anna";
        let door = (&server, Door::Sealed);
        let token = call(door, ("POST", "/api/login"), None, &login(name, PASSWORD));
        let token = token.text("access_token");
        let list = |path: &str| {
            let path = format!("/api/{path}?current=1&pageSize=100&accessible=&status=1");
            call(door, ("GET", &path), Some(&token), "").body
        };
        // It never called.
        let own = r#"{"id":"123456789","info":{"username":"","os":"","device_name":""},"#;
        assert_eq!(list("peers").contains(own), of_anna, "{}", list("peers"));
        assert_eq!(list("peers").contains(r#""device_group_name":"office""#), of_anna);
        assert_eq!(list("device-group/accessible").contains("office"), of_anna);
        let mut stream = Host::local("127.0.0.1").connect(0, at).unwrap();
        let wish = say::punch(ID, |wish| {
            (wish.access_key, wish.token) = (server.key(), token.clone());
        });
        send(&mut stream, &wish).unwrap();
        let answer = model::wire::receive(&mut stream).unwrap();
        let answer = say::take!(&answer, PunchHoleResponse);
        let refused = if of_anna { "" } else { "Not of your office." };
        assert_eq!(answer.other_failure, refused, "{name}");
    }
    said(&server, &["group", "remove", ID]).unwrap();
    assert!(!said(&server, &["group", "list"]).unwrap().contains(ID));
    said(&server, &["group", "add", "office", ID]).unwrap();
    goes_by_another_id_in_its_group(&server);
}

fn goes_by_another_id_in_its_group(server: &Server) {
    let (_target, uuid) = register(server, ID);
    tell(server, "/api/sysinfo", &format!(r#"{{"id":"{ID}","uuid":"{uuid}","hostname":"box"}}"#));
    let door = (server, Door::Sealed);
    let anna = login("anna", PASSWORD).replace("MTIz", &uuid);
    let token = call(door, ("POST", "/api/login"), None, &anna).text("access_token");
    let at = ([127, 0, 0, 1], server.port).into();
    let mut stream = Host::local("127.0.0.1").connect(0, at).unwrap();
    send(&mut stream, &say::change_id(ID, "newname1", b"a device")).unwrap();
    model::wire::receive(&mut stream).unwrap();
    let listed = || ctl(server, &["group", "list"], "").unwrap();
    assert!(listed().contains("newname1") && !listed().contains(ID), "{}", listed());
    assert!(peers(server).contains(r#""name":"box""#), "{}", peers(server));
    let told = call(door, ("GET", "/api/peers"), Some(&token), "").body;
    let is_shown = told.contains(r#""id":"newname1""#) && told.contains(r#""user":"anna""#);
    assert!(is_shown && told.ends_with(r#""total":1}"#), "{told}");
    // Who has the id of a device that was forgotten is not in its group.
    ctl(server, &["forget", "--free", "newname1"], "").unwrap();
    assert!(!listed().contains("newname1"));
}

/// By the relay the target sees the relay's address alone, whoever comes.
#[test]
fn c194_what_is_reported_of_two_who_dial_at_once_is_not_swapped() {
    let server = server();
    let (target, uuid) = register(&server, ID);
    let at = ([127, 0, 0, 1], server.port).into();
    let door = (&server, Door::Sealed);
    let dials = [("anna", "127.0.1.1", 7), ("otto", "127.0.1.2", 8)].map(|(name, from, conn)| {
        let token = call(door, ("POST", "/api/login"), None, &login(name, PASSWORD));
        let mut stream = Host::local(from).connect(0, at).unwrap();
        let wish = say::punch(ID, |wish| {
            (wish.access_key, wish.token) = (server.key(), token.text("access_token"));
            wish.force_relay = true;
        });
        send(&mut stream, &wish).unwrap();
        let push = say::take!(&target.pushed(), PunchHole);
        (name, push.controlled_context.unwrap().conn_audit_ref, conn, stream)
    });
    for (name, named, conn, _) in &dials {
        let tell = |rest: &str| {
            let body = format!(r#"{{"id":"{ID}","uuid":"{uuid}","conn_id":{conn},{rest}}}"#);
            assert_eq!(tell(&server, "/api/audit/conn", &body).body, "");
        };
        tell(&format!(r#""action":"new","ip":"127.0.0.1","conn_audit_ref":"{named}""#));
        tell(&format!(r#""peer":["23456789{conn}","{name}"],"type":0"#));
    }
    let log = ctl(&server, &["log", "--lines"], "").unwrap();
    assert_eq!(log.lines().count(), 2, "{log}");
    for (line, (name, ..)) in log.lines().zip(&dials) {
        let (by, user) = (format!(r#""by_name":"{name}""#), format!(r#","user":"{name}"}}"#));
        assert!(line.contains(&by) && line.ends_with(&user), "{line}");
    }
}

/// As a client does whose option "ask for note" is on (protocol §9.5).
#[test]
fn c194_notes_of_callers_are_answered_and_not_kept() {
    let server = server();
    let (_target, _) = register(&server, ID);
    let door = (&server, Door::Sealed);
    let token = call(door, ("POST", "/api/login"), None, &login("otto", PASSWORD));
    let token = token.text("access_token");
    let active = format!("/api/audit/conn/active?id={ID}&session_id=5&conn_type=0");
    assert_eq!(call(door, ("GET", &active), Some(&token), "").status, 404);
    let note = r#"{"guid":"1","note":"done"}"#;
    assert_eq!(call(door, ("PUT", "/api/audit"), Some(&token), note).status, 404);
    // `rustdesk --assign` prints what it is told; to nothing it says "Done!".
    let assigned = call(door, ("POST", "/api/devices/cli"), Some(&token), "{}");
    assert!(assigned.status == 404 && assigned.body.contains("hbb ctl group"), "{assigned:?}");
    let note = format!(r#"{{"id":"{ID}","session_id":5,"note":"done"}}"#);
    assert_eq!(tell(&server, "/api/audit/conn", &note).body, "");
    assert_eq!(ctl(&server, &["log", "--lines"], "").unwrap(), "");
}

/// For a SIEM: who asked, who was there by the target's account, how long, and alarms at once.
#[test]
fn c215_the_log_names_the_user_who_asked_and_lines_tell_what_devices_report() {
    let mut server = with(&["--connection-log", "log"]);
    let (_target, uuid) = register(&server, ID);
    let door = (&server, Door::Sealed);
    let token = call(door, ("POST", "/api/login"), None, &login("otto", PASSWORD));
    let token = token.text("access_token");
    let at = ([127, 0, 0, 1], server.port).into();
    let dial = |id: &str| {
        let mut stream = Host::local("127.0.0.1").connect(0, at).unwrap();
        let wish = say::punch(id, |wish| {
            (wish.access_key, wish.token) = (server.key(), token.clone());
        });
        send(&mut stream, &wish).unwrap();
        stream
    };
    let (_heard, mut refused) = (dial(ID), dial("987654321"));
    model::wire::receive(&mut refused).unwrap();
    let audit = |path: &str, rest: &str| {
        let body = format!(r#"{{"id":"{ID}","uuid":"{uuid}","conn_id":7,{rest}}}"#);
        assert_eq!(tell(&server, &format!("/api/audit/{path}"), &body).body, "");
    };
    audit("conn", r#""action":"new","ip":"127.0.0.1""#);
    audit("conn", r#""peer":["234567890","Otto"],"type":1"#);
    audit("file", r#""path":"/data/x","is_file":true,"info":"{}""#);
    audit("alarm", r#""typ":2,"info":"{}""#);
    audit("conn", r#""action":"close""#);
    let log = ctl(&server, &["log", "--lines"], "").unwrap();
    assert_eq!(log.lines().filter(|line| line.ends_with(r#","user":"otto"}"#)).count(), 2, "{log}");
    assert!(log.contains(r#""files":1,"file":"x","alarm":2"#), "{log}");
    let csv = ctl(&server, &["log", "--csv"], "").unwrap();
    assert!(csv.contains(",1,x,2,otto"), "{csv}");
    assert!(csv.lines().next().unwrap().ends_with(",alarm,user"), "{csv}");
    assert_eq!(csv.lines().filter(|line| line.ends_with(",otto")).count(), 2, "{csv}");
    assert!(ctl(&server, &["log"], "").unwrap().contains(" otto\n"));
    let refused = server.wait_log("info connection outcome=unknown-id from=127.0.0.1");
    assert!(refused.contains(" to=987654321 user=otto "), "{refused}");
    let line = "info connection outcome=waiting from=127.0.0.1 to=123456789 user=otto target-at=";
    // At once, and again when it is over.
    for more in ["by=", "secs="] {
        let told = server.wait_log(&format!("{line}127.0.0.1 {more}"));
        assert!(told.contains("by=234567890 use=file files=1 alarm=2 asks=1 number=1"), "{told}");
    }
}
