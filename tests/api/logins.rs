//! Logins at the real server: a second factor by a clock that is moved, a clock that is not set,
//! thousands of wrong passwords, and a password that is hashed while others are served. C166, C168,
//! C169.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use hbb_core::accounts::{Command, Hashed, Told as Operator};
use hbb_core::base::limits::AccountLimits;
use sha1_smol::Sha1;

use crate::client::{Door, Told, call, ctl, login, raw};
use crate::machine::{Drive, error, stored, text};
use crate::model::clock::Clock;
use crate::model::host::Host;
use crate::model::server::{Server, free_ports};
use crate::model::target::Target;
use crate::{FLAGS, PASSWORD, with_anna};

const TOO_MANY: &str = "too many attempts";
const DAY_SECS: u64 = 24 * 3_600;

/// RFC 6238, as a telephone does it: what is scanned, and a time.
fn code(uri: &str, unix_secs: u64) -> String {
    let text = uri.split("secret=").nth(1).unwrap().split('&').next().unwrap();
    let bits = text.bytes().flat_map(|letter| {
        let value = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".iter().position(|it| *it == letter);
        let value = value.expect("base 32");
        (0..5).rev().map(move |bit| (value >> bit & 1) == 1)
    });
    let bits: Vec<bool> = bits.collect();
    let byte = |bits: &[bool]| bits.iter().fold(0_u8, |byte, bit| byte << 1 | u8::from(*bit));
    let secret: Vec<u8> = bits.chunks_exact(8).map(byte).collect();
    let pad = |with: u8| {
        let padded = secret.iter().copied().chain([0; 64]).take(64);
        padded.map(|byte| byte ^ with).collect::<Vec<_>>()
    };
    let sha1 = |parts: &[&[u8]]| Sha1::from(parts.concat()).digest().bytes();
    let inner = sha1(&[&pad(0x36), &(unix_secs / 30).to_be_bytes()]);
    let mac = sha1(&[&pad(0x5c), &inner]);
    let at = usize::from(mac[19] & 15);
    let word = u32::from_be_bytes(mac[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", word % 1_000_000)
}

fn unix_secs() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn post(server: &Server, path: &str, token: Option<&str>, body: &str) -> Told {
    call((server, Door::Sealed), ("POST", path), token, body)
}

/// The first step of a login: the secret that comes back with the code.
fn first_step(server: &Server) -> String {
    let asked = post(server, "/api/login", None, &login("anna", PASSWORD));
    assert_eq!(asked.text("tfa_type"), "tfa_check");
    asked.text("secret")
}

fn second_step(server: &Server, secret: &str, code: &str) -> Told {
    let body = format!(
        r#"{{"username":"anna","verificationCode":"{code}","tfaCode":"{code}",
        "secret":"{secret}","type":"email_code","id":"123456789","uuid":"MTIz"}}"#
    );
    post(server, "/api/login", None, &body)
}

#[test]
fn c169_a_telephone_s_code_is_good_once_at_its_time_and_a_restart_knows_it() {
    let clock = Clock::new();
    let prefix = clock.prefix();
    let prefix: Vec<&str> = prefix.iter().map(String::as_str).collect();
    let mut server = Server::start_behind(&prefix, FLAGS);
    ctl(&server, &["user", "add", "anna"], &format!("{PASSWORD}\n")).unwrap();
    let uri = ctl(&server, &["user", "totp", "anna", "on"], "").unwrap();
    let used = code(&uri, unix_secs());
    let given = second_step(&server, &first_step(&server), &used);
    let token = given.text("access_token");
    assert_eq!(post(&server, "/api/currentUser", Some(&token), "{}").text("name"), "anna");
    // Whoever saw it being typed is late, now and after a power cut.
    let wrong = |server: &Server, secret: &str, code: &str| {
        let told = second_step(server, secret, code);
        assert_eq!((told.status, &*told.text("error")), (200, WRONG_CODE));
    };
    wrong(&server, &first_step(&server), &used);
    server.kill_and_restart();
    let secret = first_step(&server);
    wrong(&server, &secret, &used);
    // One that is over, and one that is not yet; then that of now.
    clock.ahead(600);
    let now = unix_secs() + 600;
    for other in [now - 120, now + 120] {
        wrong(&server, &first_step(&server), &code(&uri, other));
    }
    let late = second_step(&server, &secret, &code(&uri, now));
    assert_eq!(late.text("error"), "This took too long. Log in again.");
    assert!(!second_step(&server, &first_step(&server), &code(&uri, now)).body.contains("error"));
    // The token is the second login's now; it ends in its time.
    let told = second_step(&server, &first_step(&server), &code(&uri, now + 30));
    let token = told.text("access_token");
    let status = |server: &Server| post(server, "/api/currentUser", Some(&token), "{}").status;
    clock.ahead(600 + 90 * DAY_SECS - 60);
    assert_eq!(status(&server), 200);
    clock.ahead(600 + 90 * DAY_SECS + 1);
    assert_eq!(status(&server), 401);
}

const WRONG_CODE: &str = "The code is wrong, or was used already.";

#[test]
fn c169_while_the_clock_is_not_set_that_is_said_and_nobody_is_logged_out() {
    let clock = Clock::new();
    let prefix = clock.prefix();
    let prefix: Vec<&str> = prefix.iter().map(String::as_str).collect();
    let rules = ("rules.conf", "allow to=987654321 hours=00:00-24:00\n");
    let mut server = Server::start_behind_with(&prefix, &[rules], FLAGS);
    ctl(&server, &["user", "add", "anna"], &format!("{PASSWORD}\n")).unwrap();
    let token = post(&server, "/api/login", None, &login("anna", PASSWORD)).text("access_token");
    let uri = ctl(&server, &["user", "totp", "anna", "on"], "").unwrap();
    // A router without a battery, after a power cut.
    server.kill();
    clock.unset();
    server.restart();
    for body in [login("anna", PASSWORD), login("anna", "wrong horse battery")] {
        let told = post(&server, "/api/login", None, &body);
        assert!(told.status == 200 && told.text("error").contains("clock"), "{told:?}");
    }
    let told = post(&server, "/api/currentUser", Some(&token), "{}");
    assert!(told.status == 200 && told.text("error").contains("clock"), "{told:?}");
    let asks = |server: &Server| crate::dialled(server, "")[0].contains("does not know the time");
    assert!(asks(&server), "rules with hours refuse");
    // It asks a time server, and all is as it was.
    server.kill();
    clock.ahead(0);
    server.restart();
    assert!(!asks(&server));
    assert_eq!(post(&server, "/api/currentUser", Some(&token), "{}").text("name"), "anna");
    let told = second_step(&server, &first_step(&server), &code(&uri, unix_secs()));
    assert_eq!(told.text("type"), "access_token");
}

/// A client's login by HTTP from there, as a proxy on this machine says.
fn login_from(port: u16, from: &str, body: &str) -> String {
    let head = format!(
        "POST /api/login HTTP/1.1\r\nX-Real-IP: {from}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    raw(port, &[head.as_bytes(), body.as_bytes()].concat())
}

fn rss_kib(server: &Server) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// What stays when thousands have gone: tables, and what the allocator keeps.
const STAYS_KIB_MAX: u64 = 1_024;

#[test]
fn c166_wrong_passwords_by_the_thousand_leave_the_owner_her_account_and_no_memory() {
    let times = if crate::is_long() { 10_000 } else { 1_200 };
    let port = free_ports();
    let server = with_anna(&["--api", &format!("127.0.0.1:{port}")]);
    let right = login("anna", PASSWORD);
    assert!(login_from(port, "203.0.113.7", &right).contains("access_token"));
    let wrong = login("anna", "wrong horse battery");
    let attack = |times: u32, network: u8| {
        for number in 0..times {
            let from = format!("198.51.{network}.{}", number % 250);
            let said = login_from(port, &from, &wrong);
            assert!(said.contains("Wrong credentials") || said.contains(TOO_MANY), "{said}");
        }
    };
    attack(200, 0);
    let before = rss_kib(&server);
    thread::scope(|scope| {
        for network in 1..=4 {
            scope.spawn(move || attack((times - 200) / 4, network));
        }
        // Meanwhile, too.
        assert!(login_from(port, "203.0.113.7", &right).contains("access_token"));
    });
    assert!(login_from(port, "203.0.113.7", &right).contains("access_token"));
    let (after, log) = (rss_kib(&server), server.log());
    println!("{times} wrong passwords: {} KiB more", after.saturating_sub(before));
    assert!(after <= before + STAYS_KIB_MAX, "{before} KiB, then {after}");
    assert!(log.len() < 64 * 1024, "{} bytes of log", log.len());
    assert_eq!(log.matches("user-logged-in").count(), 3, "{log}");
}

/// How many heartbeats are answered while a password is hashed: as many as come, where that is not
/// done by who answers them.
#[test]
fn c166_heartbeats_are_answered_while_a_password_is_hashed() {
    let server = Server::start(&["--accounts", "--password-memory", "64"]);
    ctl(&server, &["user", "add", "anna"], &format!("{PASSWORD}\n")).unwrap();
    let at = ([127, 0, 0, 1], server.port).into();
    let device = Target::register(&Host::local("127.0.1.2"), at, "123456789", &server.key());
    let is_hashed = || {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
        let mut names =
            tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")));
        names.any(|name| name.is_ok_and(|name| name.trim() == "password"))
    };
    let (over, mut beats) = (AtomicBool::new(false), 0);
    thread::scope(|scope| {
        scope.spawn(|| {
            let told = post(&server, "/api/login", None, &login("anna", PASSWORD));
            assert_eq!(told.text("type"), "access_token");
            over.store(true, Ordering::Relaxed);
        });
        while !over.load(Ordering::Relaxed) {
            device.keep();
            beats += u32::from(is_hashed());
        }
    });
    assert!(beats >= 20, "{beats} heartbeats while a password was hashed");
}

/// Whoever knew the password before waits for a code no more: an operator took that back.
#[test]
fn c169_who_waits_for_a_code_is_logged_out_with_the_user() {
    let mut drive =
        Drive::new(AccountLimits { users: 1, password_kib: 4096, ..Default::default() });
    drive.add("anna");
    drive.ask(Command::Totp("anna".into(), true));
    let Some(Operator::Totp(uri)) = drive.told.pop() else { panic!("no secret") };
    let code = code(&uri, 1_800_000_000);
    let asked = |drive: &mut Drive| {
        let conn = drive.log_in("192.0.2.1", true, &login("anna", "right"));
        drive.hashed(Hashed::Fits(true));
        text(&drive.answer(conn).unwrap(), "secret")
    };
    let shown = |secret: &str| {
        format!(r#"{{"tfaCode":"{code}","secret":"{secret}","type":"email_code","id":"1"}}"#)
    };
    let secret = asked(&mut drive);
    let name = || "anna".to_owned();
    drive.ask(Command::Password { name: name(), password: "another one".into() });
    drive.hashed(Hashed::Made(stored("anna")));
    let answer = drive.post("/api/login", None, &shown(&secret));
    assert!(error(&answer).contains("Log in again"), "after another password");
    let secret = asked(&mut drive);
    drive.ask(Command::Disable(name(), true));
    drive.ask(Command::Disable(name(), false));
    let answer = drive.post("/api/login", None, &shown(&secret));
    assert!(error(&answer).contains("Log in again"), "after the account was shut");
    let secret = asked(&mut drive);
    assert!(!text(&drive.post("/api/login", None, &shown(&secret)), "access_token").is_empty());
}
