//! A new server key while clients still have the old one: each is served with the one it has, until
//! the old one ends. C156, C157.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::disallowed_methods, reason = "tests wait by the clock and have settings")]

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Output;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[path = "sim/chance.rs"]
mod chance;
mod model;
#[path = "conformance/say.rs"]
mod say;

use hbb_core::base::time::Utc;
use model::host::Host;
use model::initiator::{Asks, Initiator, Session, Tries};
use model::link::Link;
use model::server::{Server, command};
use model::target::{Habit, Registers, Target};
use model::wire::{receive, send};
use say::take;

/// What a client is answered that shows a wrong key (C39).
const LICENCE_MISMATCH: i32 = 3;

/// A server whose key was replaced, and the old public key and the new one.
struct Rotated {
    server: Server,
    old: String,
    new: String,
}

impl Rotated {
    fn new(flags: &[&str]) -> Self {
        let mut server = Server::start(flags);
        let old = server.key();
        let said = keygen(&server, &["--rotate"]);
        assert!(said.status.success(), "{said:?}");
        let new = server.key();
        assert_ne!(old, new);
        let said = String::from_utf8(said.stdout).unwrap();
        assert!(said.contains(&new) && said.contains("A relay on another machine"), "{said}");
        server.kill_and_restart();
        assert!(server.log().contains(&format!("info key-rotation old={old} until=")));
        Self { server, old, new }
    }

    fn at(&self) -> SocketAddr {
        SocketAddr::new(Ipv4Addr::LOCALHOST.into(), self.server.port)
    }

    fn target(&self, registers: Registers, id: &str, key: &str) -> Target {
        let host = Host::local("127.0.0.2");
        host.prove(self.at());
        Target::register_by(registers, (&host, self.at()), id, key)
    }

    /// A session; the model verifies the target's key by the key it has.
    fn session(&self, target: &Target, key: &str, (asks, tries): (Asks, Tries)) -> Session {
        let (host, server) = (Host::local("127.0.0.3"), self.at());
        let initiator = Initiator { host, server, key: key.into(), tries, asks };
        thread::scope(|scope| {
            let habit = if tries == Tries::RelayOnly { Habit::Relay } else { Habit::Willing };
            let answering = scope.spawn(move || {
                let mut link = target.answer(habit);
                target.hello(&mut link);
            });
            let mut session = initiator.dial(&target.id);
            session.hello();
            answering.join().unwrap();
            session
        })
    }

    /// Whether an initiator with that key is told to go away.
    fn refuses(&self, key: &str) -> bool {
        let mut link = Link::tcp(&Host::local("127.0.0.4"), self.at());
        link.send(&say::punch("nobody-here", |wish| wish.access_key = key.into())).unwrap();
        take!(&link.receive().unwrap(), PunchHoleResponse).failure == LICENCE_MISMATCH
    }

    fn ctl(&self, words: &[&str]) -> String {
        let socket = self.server.data().join("hbb.sock");
        let mut command = command(&[]);
        let said = command.args(["ctl", "--control"]).arg(socket).args(words).output().unwrap();
        assert!(said.status.success(), "{said:?}");
        String::from_utf8(said.stdout).unwrap()
    }
}

fn keygen(server: &Server, words: &[&str]) -> Output {
    let mut command = command(&[]);
    command.args(["keygen", "--data"]).arg(server.data()).args(words).output().unwrap()
}

/// Whether a client that has that key gets a sealed channel; one that has not hangs up.
fn is_sealed(at: SocketAddr, ip: &str, key: &str) -> bool {
    let host = Host::local(ip);
    let mut link = catch_unwind(AssertUnwindSafe(|| Link::sealed(&host, at, key))).ok();
    link.as_mut().is_some_and(|link| {
        link.send(&say::test_nat(1)).unwrap();
        link.receive().is_ok()
    })
}

fn in_secs(secs: u64) -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + secs
}

#[test]
fn c156_either_key_dials_and_is_dialled() {
    let rotated = Rotated::new(&[]);
    let Rotated { old, new, .. } = &rotated;
    let (direct, relayed) = ((Asks::Tcp, Tries::Everything), (Asks::Tcp, Tries::RelayOnly));
    for (id, has, asks, how) in [
        ("target-1", new, old, direct),
        ("target-2", old, new, direct),
        ("target-3", new, old, relayed),
        ("target-4", old, new, relayed),
        ("target-5", old, old, relayed),
    ] {
        let target = rotated.target(Registers::Udp, id, has);
        let first = rotated.session(&target, asks, how).target_key;
        // The other one as well, of the same target: each has its signature.
        let other = if asks == old { new } else { old };
        assert_eq!(rotated.session(&target, other, how).target_key, first);
    }
    assert!(rotated.refuses("A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="), "a third key");
    assert!(!rotated.refuses(old) && !rotated.refuses(new));
    assert!(!rotated.ctl(&["--json", "status"]).contains("\"old_key_until\":null"));
    let status = rotated.ctl(&["status"]);
    let until = status.lines().find_map(|line| line.strip_prefix("old key until")).unwrap();
    assert!(Utc::parse(until.trim()).is_some() && until.contains('T'), "{status}");
}

#[test]
fn c156_the_offer_is_signed_by_the_key_that_was_shown_last() {
    let rotated = Rotated::new(&[]);
    let Rotated { old, new, .. } = &rotated;
    let at = rotated.at();
    // An address of which nothing is known: the new one first, then the other.
    assert!(!is_sealed(at, "127.0.0.5", old));
    assert!(is_sealed(at, "127.0.0.5", old) && is_sealed(at, "127.0.0.5", old));
    assert!(!is_sealed(at, "127.0.0.5", new));
    assert!(is_sealed(at, "127.0.0.5", new));
    // Whoever dialled with the old one in clear gets an offer under it at once.
    let target = rotated.target(Registers::Udp, "target-1", new);
    rotated.session(&target, old, (Asks::Tcp, Tries::RelayOnly));
    rotated.session(&target, old, (Asks::Sealed, Tries::RelayOnly));
    // A device that registers over TCP with the old one.
    assert!(!is_sealed(at, "127.0.0.2", old));
    let target = rotated.target(Registers::Tcp, "target-2", old);
    rotated.session(&target, new, (Asks::Tcp, Tries::RelayOnly));
}

#[test]
fn c157_devices_that_come_to_our_relay_show_which_key_they_have() {
    let rotated = Rotated::new(&[]);
    let Rotated { old, new, .. } = &rotated;
    for (id, has) in [("target-old", old), ("target-new", new)] {
        let target = rotated.target(Registers::Udp, id, has);
        rotated.session(&target, new, (Asks::Tcp, Tries::RelayOnly));
        rotated.session(&target, old, (Asks::Tcp, Tries::NoDirectPath));
    }
    let _never = rotated.target(Registers::Udp, "target-never", new);
    for (key, id) in [("old", "target-old"), ("new", "target-new"), ("unknown", "target-never")] {
        let listed = rotated.ctl(&["--json", "peers", &format!("key={key}")]);
        let ids: Vec<_> = listed.matches("\"id\":\"").collect();
        assert!(ids.len() == 1 && listed.contains(id), "{key}: {listed}");
    }
}

#[test]
fn c156_one_command_ends_it() {
    let rotated = Rotated::new(&[]);
    let Rotated { server, old, new } = &rotated;
    // What only prints replaces nothing.
    assert_eq!(keygen(server, &["--end-rotation", "--print"]).status.code(), Some(2));
    let again = keygen(server, &["--rotate"]);
    assert_eq!(again.status.code(), Some(3), "{again:?}");
    assert!(String::from_utf8(again.stderr).unwrap().contains("--end-rotation"));
    assert_eq!(server.key(), *new);
    assert!(keygen(server, &["--end-rotation"]).status.success());
    rotated.ctl(&["reload"]);
    assert!(rotated.refuses(old) && !rotated.refuses(new));
    assert!(!is_sealed(rotated.at(), "127.0.0.5", old));
    assert!(!is_sealed(rotated.at(), "127.0.0.5", old), "no second try");
    assert!(is_sealed(rotated.at(), "127.0.0.5", new));
    let kept = fs::read_dir(server.data()).unwrap().flatten();
    assert!(
        kept.map(|file| file.file_name())
            .any(|name| { name.to_str().is_some_and(|name| name.starts_with("id_ed25519.old.2")) })
    );
}

/// A relay on another machine knows the keys of the files it was given; of `--key` it knows one.
#[test]
fn c156_a_relay_of_its_own_takes_both_if_it_has_both_files() {
    let Rotated { server, old, new } = &Rotated::new(&[]);
    let read = |name: &str| fs::read_to_string(server.data().join(name)).unwrap();
    let texts = ["id_ed25519", "id_ed25519.old"].map(|name| (name, read(name)));
    let files = texts.each_ref().map(|(name, text)| (*name, text.as_str()));
    let relay = Server::start_with(&files, &["--role", "relay"]);
    assert!(relay_takes(&relay, old) && relay_takes(&relay, new));
    assert!(!relay_takes(&relay, "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="));
    let relay = Server::start(&["--role", "relay", "--key", new]);
    assert!(!relay_takes(&relay, old) && relay_takes(&relay, new));
}

/// Whether two legs that show this key meet.
fn relay_takes(relay: &Server, key: &str) -> bool {
    let at = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), relay.port + 1);
    let mut legs = ["127.0.0.3", "127.0.0.4"].map(|ip| {
        let mut leg = Host::local(ip).connect(0, at).unwrap();
        let first = say::request_relay("", |wish| {
            wish.relay_server.clear();
            wish.access_key = key.into();
            // A token is used once: that of a refused leg is good for nobody.
            wish.uuid = key.into();
        });
        // It may be closed by then.
        let _ = send(&mut leg, &first);
        leg
    });
    let _ = send(&mut legs[0], b"a word");
    receive(&mut legs[1]).is_ok_and(|told| told == b"a word")
}

#[test]
fn c156_it_ends_by_itself() {
    let mut rotated = Rotated::new(&[]);
    let file = rotated.server.data().join("id_ed25519.old");
    let text = fs::read_to_string(&file).unwrap();
    let (secret, _) = text.split_once('\n').unwrap();
    let until = Utc { unix_secs: in_secs(3) };
    fs::write(&file, format!("{secret}\nuntil {until}\n")).unwrap();
    rotated.server.kill_and_restart();
    assert!(!rotated.refuses(&rotated.old));
    rotated.server.wait_log("warn key-rotation-ended");
    thread::sleep(Duration::from_millis(200));
    assert!(rotated.refuses(&rotated.old) && !rotated.refuses(&rotated.new));
    // Nor does it come back.
    rotated.server.kill_and_restart();
    assert!(!rotated.server.log().contains("key-rotation"));
    assert!(rotated.refuses(&rotated.old));
}

#[test]
fn c156_without_a_key_to_show_each_is_answered_in_its_own() {
    let rotated = Rotated::new(&["--key="]);
    let Rotated { old, new, .. } = &rotated;
    let target = rotated.target(Registers::Udp, "target-1", new);
    for key in [old, new] {
        rotated.session(&target, key, (Asks::Tcp, Tries::RelayOnly));
    }
}

/// Whom the old one was stolen from wants it good no more.
#[test]
fn c156_a_key_made_by_force_ends_it() {
    let mut rotated = Rotated::new(&[]);
    let Output { status, .. } = keygen(&rotated.server, &["--force"]);
    assert!(status.success());
    rotated.server.kill_and_restart();
    assert!(!rotated.server.log().contains("key-rotation"), "{}", rotated.server.log());
    let newest = rotated.server.key();
    assert!(rotated.refuses(&rotated.old) && rotated.refuses(&rotated.new));
    assert!(!rotated.refuses(&newest));
    let files = fs::read_dir(rotated.server.data()).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.filter(|name| name.starts_with("id_ed25519.old.")).count(), 1, "it is kept");
}

#[test]
fn a_reload_says_that_another_key_needs_a_restart() {
    let mut rotated = Rotated::new(&[]);
    assert_eq!(rotated.ctl(&["reload"]), "Reloaded.\n");
    for words in [&["--end-rotation"][..], &["--rotate"]] {
        assert!(keygen(&rotated.server, words).status.success());
    }
    assert_eq!(rotated.ctl(&["reload"]), "Reloaded. Only a restart changes: id_ed25519\n");
    assert!(rotated.server.log().contains("restart-needed flag=id_ed25519"));
    rotated.server.kill_and_restart();
    assert_eq!(rotated.ctl(&["reload"]), "Reloaded.\n");
}

#[test]
fn a_rotation_that_was_cut_short_begins_anew() {
    let mut server = Server::start(&[]);
    let key = server.key();
    let secret = fs::read_to_string(server.data().join("id_ed25519")).unwrap();
    // The old one was written, the new one had no name yet.
    let until = Utc { unix_secs: in_secs(1_000) };
    fs::write(server.data().join("id_ed25519.old"), format!("{secret}\nuntil {until}\n")).unwrap();
    server.kill_and_restart();
    assert!(!server.log().contains("key-rotation"));
    assert!(keygen(&server, &["--rotate", "--days", "7"]).status.success());
    assert_ne!(server.key(), key);
    server.kill_and_restart();
    assert!(server.log().contains("info key-rotation old="));
}

#[test]
fn what_cannot_be_meant_is_refused_and_changes_nothing() {
    let server = Server::start(&[]);
    let key = server.key();
    for (words, code) in [
        (&["--rotate", "--days", "0"][..], 2),
        (&["--rotate", "--days", "soon"], 2),
        (&["--days", "3"], 2),
        (&["--rotate", "--end-rotation"], 2),
        (&["--end-rotation"], 1),
    ] {
        assert_eq!(keygen(&server, words).status.code(), Some(code), "{words:?}");
    }
    assert_eq!(server.key(), key);
    assert!(!server.data().join("id_ed25519.old").exists());
}
