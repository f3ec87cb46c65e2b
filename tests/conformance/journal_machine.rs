//! The log of connections, told by the machine: C188 to C190. Refusals first.

use hbb_core::base::conn::Conn;
use hbb_core::base::counters::DropReason;
use hbb_core::base::limits::Limits;
use hbb_core::base::peer::RelayToken;
use hbb_core::base::table::Seed;
use hbb_core::base::time::Time;
use hbb_core::journal::{
    Audit, AuditKind, Entry, Journal, Outcome, SessionEnd, Step, StepKind, Wanted,
};

use crate::drive::{A_AT, B1, B1_AT, Drive, at, server_key};
use crate::say::{self, take};

/// Another port of B1's address, as its short answers come from.
const B1_ONE_SHOT: &str = "203.0.113.9:61234";
/// More than any test has.
const ALL: usize = 100_000;

fn entries(drive: &mut Drive) -> Vec<Entry> {
    drive.journal.read(drive.now(), &Wanted { count: ALL, ..Wanted::default() })
}

/// Whom each entry asks for, what came of it, and how often it was asked.
fn outcomes(drive: &mut Drive) -> Vec<(Option<String>, Outcome, u16)> {
    let to = |entry: &Entry| entry.to.as_ref().map(|to| to.as_str().to_owned());
    entries(drive).iter().map(|entry| (to(entry), entry.outcome, entry.asks)).collect()
}

fn ask(drive: &mut Drive, from: &str, id: &str, key: &str) -> Conn {
    let conn = drive.connect(from);
    drive.stream(conn, &say::punch(id, |wish| wish.access_key = key.into()));
    conn
}

/// B1 is asked from there and answers that it opened a path.
fn direct(drive: &mut Drive, from: &str) -> Conn {
    let conn = drive.connect(from);
    let key = server_key().public_text();
    let deeds = drive.stream(conn, &say::punch(B1, |wish| wish.access_key = key));
    let echo = take!(deeds.datagram_to(B1_AT), PunchHole).socket_addr;
    let short = drive.connect(B1_ONE_SHOT);
    drive.stream(short, &say::punch_sent(B1, &echo, |_| ())).stream_to(conn);
    drive.hang_up(short);
    conn
}

#[test]
fn c188_each_refusal_is_an_entry_with_its_reason() {
    let mut drive = Drive::enforcing();
    let key = server_key().public_text();
    drive.enroll(B1, B1_AT);
    ask(&mut drive, A_AT, B1, "another");
    ask(&mut drive, A_AT, "987654321", &key);
    // As a client that asks again.
    ask(&mut drive, "198.51.100.7:40002", "987654321", &key);
    ask(&mut drive, A_AT, "no id", &key);
    let conn = drive.connect("192.0.2.1:40001");
    drive.stream(conn, &say::request_relay("987654321", |_| ()));
    drive.wait(31_000);
    (0..2).for_each(|_| drive.enroll("234567890", "198.51.100.7:50002"));
    ask(&mut drive, A_AT, B1, &key);
    let id = |id: &str| Some(id.to_owned());
    assert_eq!(
        outcomes(&mut drive),
        [
            (id(B1), Outcome::Refused(DropReason::WrongKey), 1),
            (id("987654321"), Outcome::UnknownId, 2),
            (None, Outcome::UnknownId, 1),
            (id("987654321"), Outcome::Refused(DropReason::NotGranted), 1),
            (id(B1), Outcome::Offline, 1),
        ]
    );
    let trusted: Vec<_> = entries(&mut drive).iter().map(|entry| entry.trusted).collect();
    assert_eq!(trusted, [false, false, false, false, true], "who has a device there is trusted");
}

#[test]
fn c188_all_attempts_of_one_dial_are_one_entry() {
    let mut drive = Drive::open();
    drive.enroll(B1, B1_AT);
    // Two complete attempts at once, of which one is asked for again.
    let first = ask(&mut drive, A_AT, B1, "");
    drive.wait(3_000);
    drive.stream(first, &say::punch(B1, |_| ()));
    direct(&mut drive, "198.51.100.7:40002");
    assert_eq!(outcomes(&mut drive), [(Some(B1.into()), Outcome::Direct, 3)]);
    // It took no path: the relay, after 18 s.
    drive.wait(18_000);
    drive.enroll(B1, B1_AT);
    let conn = drive.connect("198.51.100.7:40003");
    let wish = say::request_relay(B1, |wish| wish.relay_server = "203.0.113.80".into());
    let deeds = drive.stream(conn, &wish);
    assert_eq!(outcomes(&mut drive)[0].1, Outcome::Direct, "it is not answered yet");
    let push = take!(deeds.datagram_to(B1_AT), RequestRelay);
    let short = drive.connect(B1_ONE_SHOT);
    let answer = say::relay_agreed(&push.socket_addr);
    drive.stream(short, &answer).stream_to(conn);
    assert_eq!(outcomes(&mut drive), [(Some(B1.into()), Outcome::Relay, 4)]);
    let entry = entries(&mut drive).remove(0);
    assert_eq!((entry.from, entry.target_at), (at(A_AT), Some(at(B1_AT).ip())));
    // A minute later it is another dial.
    drive.wait(60_000);
    drive.enroll(B1, B1_AT);
    direct(&mut drive, A_AT);
    assert_eq!(outcomes(&mut drive)[1], (Some(B1.into()), Outcome::Direct, 1));
}

#[test]
fn c188_a_target_in_the_same_network_and_one_that_is_silent() {
    let mut drive = Drive::open();
    drive.enroll(B1, "198.51.100.7:50002");
    let conn = drive.connect(A_AT);
    let deeds = drive.stream(conn, &say::punch(B1, |_| ()));
    let echo = take!(deeds.datagram_to("198.51.100.7:50002"), FetchLocalAddr).socket_addr;
    let short = drive.connect("198.51.100.7:61234");
    drive.stream(short, &say::local_addr(B1, &echo, |_| ())).stream_to(conn);
    ask(&mut drive, "192.0.2.1:40001", B1, "");
    let told = |drive: &mut Drive| outcomes(drive).into_iter().map(|it| it.1).collect::<Vec<_>>();
    assert_eq!(told(&mut drive), [Outcome::Lan, Outcome::Waiting]);
    drive.wait(60_000);
    assert_eq!(told(&mut drive), [Outcome::Lan, Outcome::NoAnswer]);
}

#[test]
fn c190_a_session_is_joined_with_its_ask_by_what_both_bring() {
    let mut drive = Drive::open();
    drive.enroll(B1, B1_AT);
    let conn = drive.connect(A_AT);
    let deeds = drive.stream(conn, &say::punch(B1, |wish| wish.force_relay = true));
    let echo = take!(deeds.datagram_to(B1_AT), PunchHole).socket_addr;
    let short = drive.connect(B1_ONE_SHOT);
    let answer = say::relay_chosen(B1, &echo, |answer| answer.uuid = "a-token".into());
    drive.stream(short, &answer).stream_to(conn);
    let (now, token) = (drive.now(), RelayToken::new("a-token").unwrap());
    let ends = [at("203.0.113.9:7000"), at("198.51.100.7:7001")];
    let number = drive.journal.session_started(now, &token, ends, true);
    assert_eq!(outcomes(&mut drive), [(Some(B1.into()), Outcome::Relayed, 1)]);
    let end = SessionEnd { secs: 90, bytes: 4_096, reason: DropReason::Done };
    drive.journal.session_ended(number, end);
    let entry = entries(&mut drive).remove(0);
    assert_eq!((entry.from, entry.session.unwrap().end), (at(A_AT), Some(end)));
    // A token that nobody told us belongs to no ask.
    let number = drive.journal.session_started(now, &token, ends, false);
    drive.journal.session_ended(number, end);
    let entry = entries(&mut drive).remove(1);
    assert_eq!((entry.from, entry.to, entry.target_at), (ends[0], None, Some(ends[1].ip())));
}

/// An ask of a host in `network` of IPv4's 10.0.0.0/8.
fn step(network: u32, host: u32, kind: StepKind) -> Step {
    let ip = std::net::Ipv4Addr::from((10 << 24) | (network << 8) | host);
    let to = hbb_core::base::peer::PeerId::new(&format!("{}", 100_000_000 + host));
    Step { from: at(&format!("{ip}:1000")), to, user: None, kind }
}

fn asked(trusted: bool) -> StepKind {
    StepKind::Asked { at: [203, 0, 113, 9].into(), trusted, token: None }
}

fn refused() -> StepKind {
    StepKind::Refused { outcome: Outcome::UnknownId, trusted: false }
}

#[test]
fn c189_strangers_push_out_none_that_are_trusted_and_the_refused_none_that_were_served() {
    let limits = Limits::default();
    let mut journal = Journal::new(&limits, false, Seed(1, 2));
    let now = Time::START;
    for host in 0..100 {
        journal.step(now, step(1, host, asked(true)));
    }
    for host in 0..60 {
        journal.step(now, step(2 + host % 8, host, asked(false)));
    }
    for many in 0..20_000 {
        journal.step(now, step(100 + many % 3_000, many / 3_000, refused()));
    }
    let count = |journal: &mut Journal, is: fn(&Entry) -> bool| {
        let all = journal.read(now, &Wanted { count: ALL, ..Wanted::default() });
        all.into_iter().filter(is).count()
    };
    assert_eq!(count(&mut journal, |entry| entry.trusted), 100);
    assert_eq!(count(&mut journal, |entry| entry.outcome == Outcome::Waiting), 160);
    assert_eq!(journal.len(), 160 + 64);
    for many in 0..20_000 {
        journal.step(now, step(100 + many % 3_000, many / 3_000, asked(false)));
    }
    assert_eq!(count(&mut journal, |entry| entry.trusted), 100);
    assert_eq!(journal.len(), 100 + 64 + 64);
    for many in 0..20_000 {
        journal.step(now, step(100 + many % 3_000, many / 3_000, asked(true)));
    }
    assert_eq!(journal.len(), limits.connections_kept());
}

#[test]
fn c189_a_network_above_a_quarter_gives_way_to_others_first() {
    let mut journal = Journal::new(&Limits::default(), false, Seed(1, 2));
    let now = Time::START;
    for host in 0..20 {
        journal.step(now, step(1, host, asked(true)));
    }
    for host in 0..250 {
        journal.step(now, step(2, host, asked(true)));
    }
    for host in 0..20 {
        journal.step(now, step(3, host, asked(true)));
    }
    let all = journal.read(now, &Wanted { count: ALL, ..Wanted::default() });
    let of = |third: u8| {
        let from = |entry: &&Entry| entry.from.to_string().starts_with(&format!("10.0.{third}."));
        all.iter().filter(from).count()
    };
    assert_eq!((of(1), of(2), of(3)), (20, 88, 20), "half of 256 places");
}

#[test]
fn c189_strangers_and_each_network_are_told_of_so_often_an_hour() {
    let mut journal = Journal::new(&Limits::default(), true, Seed(1, 2));
    let mut told = |ms, network: u32, host: u32, trusted| {
        let kind = StepKind::Refused { outcome: Outcome::UnknownId, trusted };
        let now = Time::from_millis(ms);
        journal.step(now, step(network, host, kind));
        let told = journal.take_told();
        let may = told.iter().filter(|entry| journal.may_tell(now, entry)).count();
        (may, told.len() - may)
    };
    let hour = 3_600_000;
    let mut of = |at: u64, networks: core::ops::Range<u32>, hosts: u32, trusted| {
        let all = networks.flat_map(|network| (0..hosts).map(move |host| (network, host)));
        let one = all.map(|(network, host)| told(at, network, host, trusted));
        one.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
    };
    for (minutes, left) in [(2, 250), (4, 250), (6, 100), (8, 0)] {
        let trusted = of(minutes * 60_000, 1_000..1_001, 250, true);
        assert_eq!(trusted, (left, 250 - left), "one of those who are trusted");
    }
    assert_eq!(of(500_000, 1..2, 100, false), (16, 84), "one network of strangers");
    assert_eq!(of(500_001, 2..902, 10, false), (16, 8_984), "many");
    assert_eq!(of(600_000, 1_001..1_002, 100, true), (100, 0), "another, beside all of these");
    assert_eq!(of(2 * hour, 1..2, 100, false), (16, 84), "the next hour");
}

#[test]
fn c190_a_running_session_is_pushed_out_by_nothing() {
    let mut journal = Journal::new(&Limits::default(), false, Seed(1, 2));
    let (now, token) = (Time::START, RelayToken::new("t").unwrap());
    let mut first = step(1, 1, asked(true));
    first.kind =
        StepKind::Asked { at: [203, 0, 113, 9].into(), trusted: true, token: Some(token.clone()) };
    journal.step(now, first);
    let ends = [at("10.0.1.1:1"), at("203.0.113.9:2")];
    let number = journal.session_started(now, &token, ends, true);
    for many in 0..5_000 {
        journal.step(now, step(many, 7, asked(true)));
    }
    journal.session_ended(number, SessionEnd { secs: 1, bytes: 2, reason: DropReason::Done });
    let id = hbb_core::base::peer::PeerId::new("100000001");
    let found = journal.read(now, &Wanted { count: ALL, id, ..Wanted::default() });
    assert_eq!((found.len(), found[0].number, found[0].outcome), (1, 1, Outcome::Relayed));
}

#[test]
fn c190_pages_follow_each_other_and_what_is_told_is_told_once() {
    let mut journal = Journal::new(&Limits::default(), true, Seed(1, 2));
    for host in 0..30 {
        let now = Time::from_millis(u64::from(host) * 1000);
        let kind = if host % 2 == 0 { refused() } else { asked(true) };
        journal.step(now, step(1, host, kind));
    }
    assert_eq!(journal.take_told().len(), 15);
    let now = Time::from_millis(30_000);
    let page = |journal: &mut Journal, after| {
        let wanted = Wanted { after, count: 20, ..Wanted::default() };
        journal.read(now, &wanted).iter().map(|entry| entry.number).collect::<Vec<_>>()
    };
    assert!(page(&mut journal, 0).into_iter().eq(1..=20));
    assert!(page(&mut journal, 20).into_iter().eq(21..=30));
    let since = Some(Time::from_millis(25_000));
    assert_eq!(journal.read(now, &Wanted { since, count: ALL, ..Wanted::default() }).len(), 5);
    // Those that nobody answered are told of when nothing more can belong to them.
    assert_eq!(journal.next_timeout(), Some(Time::from_millis(61_000)));
    journal.handle_timeout(Time::from_millis(90_000));
    let told = journal.take_told();
    assert_eq!((told.len(), told[0].outcome), (15, Outcome::NoAnswer));
    assert!(journal.take_told().is_empty() && journal.next_timeout().is_none());
}

#[test]
fn c188_of_513_open_asks_the_first_is_given_up_and_64_outcomes_are_told_of_at_once() {
    let limits = Limits { peers: 131_072, ..Limits::default() };
    assert_eq!(limits.connections_kept(), 8_192);
    let mut journal = Journal::new(&limits, true, Seed(1, 2));
    let mut ask = |network: u32| {
        journal.step(Time::START, step(network, 1, asked(true)));
        journal.take_told()
    };
    assert!((0..512).all(|network| ask(network).is_empty()));
    let told = ask(512);
    assert_eq!((told.len(), told[0].number, told[0].outcome), (1, 1, Outcome::NoAnswer));
    journal.handle_timeout(Time::from_millis(59_999));
    assert!(journal.take_told().is_empty());
    journal.handle_timeout(Time::from_millis(60_000));
    assert_eq!(journal.take_told().len(), 64);
    assert_eq!(journal.len(), 513, "the rest is in memory");
}

#[test]
fn c188_a_dial_goes_on_for_so_long() {
    let mut journal = Journal::new(&Limits::default(), false, Seed(1, 2));
    let direct = || StepKind::Answered { outcome: Outcome::Direct, token: None };
    for (ms, kind) in [
        (0, asked(true)),
        (1, direct()),
        (5_000 - 1, asked(true)),
        // A path was told, and it is tried no more.
        (2 * 5_000 - 1, asked(true)),
        (10_000, refused()),
        (70_000 - 2, refused()),
        (70_000 - 1, refused()),
        (130_000 - 2, refused()),
        (130_000 - 1, refused()),
    ] {
        journal.step(Time::from_millis(ms), step(1, 1, kind));
    }
    let all = journal.read(Time::from_millis(130_000), &Wanted { count: ALL, ..Wanted::default() });
    let asks: Vec<_> = all.iter().map(|entry| entry.asks).collect();
    assert_eq!(asks, [2, 3, 2, 1], "{all:?}");
}

#[test]
fn c215_two_users_behind_one_address_are_told_apart() {
    let mut journal = Journal::new(&Limits::default(), false, Seed(1, 2));
    let mut by = |user: Option<&str>, from: &str, kind| {
        let step = step(1, 1, kind);
        journal.step(Time::START, Step { from: at(from), user: user.map(Into::into), ..step });
    };
    by(Some("anna"), "10.0.1.1:1001", asked(true));
    by(Some("bert"), "10.0.1.1:1002", asked(true));
    // Nobody is logged in there; then each tries another way.
    by(None, "10.0.1.1:1003", refused());
    by(None, "10.0.1.1:1004", refused());
    by(Some("anna"), "10.0.1.1:1005", asked(true));
    by(Some("bert"), "10.0.1.1:1006", refused());
    // An answer names the connection that asked, and no user.
    by(None, "10.0.1.1:1001", StepKind::Answered { outcome: Outcome::Lan, token: None });
    let all = journal.read(Time::START, &Wanted { count: ALL, ..Wanted::default() });
    let told: Vec<_> = all.iter().map(|it| (it.user.as_deref(), it.outcome, it.asks)).collect();
    assert_eq!(
        told,
        [
            (Some("anna"), Outcome::Lan, 2),
            (Some("bert"), Outcome::UnknownId, 2),
            (None, Outcome::UnknownId, 2)
        ]
    );
}

#[test]
fn c194_a_report_belongs_to_the_last_ask_of_two_minutes() {
    let to = hbb_core::base::peer::PeerId::new("100000001").unwrap();
    for (ms, entries) in [(119_999, 1), (120_000, 2)] {
        let mut journal = Journal::new(&Limits::default(), false, Seed(1, 2));
        journal.step(Time::START, step(1, 1, asked(true)));
        let now = Time::from_millis(ms);
        journal.report(
            now,
            &to,
            Audit { conn: 1, at: [10, 1, 0, 1].into(), kind: AuditKind::Began(None) },
        );
        assert_eq!(journal.len(), entries, "after {ms} ms");
    }
}

/// Of connections from wherever it says.
#[test]
fn c194_a_device_that_reports_without_end_pushes_out_no_other_s() {
    let mut journal = Journal::new(&Limits::default(), true, Seed(1, 2));
    let mut told = 0;
    let mut report = |target: &str, at: [u8; 4], conn: u32| {
        let id = hbb_core::base::peer::PeerId::new(target).unwrap();
        let from = (0xcb00_0000 | conn << 8).to_be_bytes();
        for kind in [AuditKind::Began(Some(from.into())), AuditKind::Closed] {
            journal.report(Time::START, &id, Audit { conn: conn.into(), at: at.into(), kind });
        }
        for entry in journal.take_told() {
            told += usize::from(journal.may_tell(Time::START, &entry));
        }
        let all = journal.read(Time::START, &Wanted { count: ALL, ..Wanted::default() });
        (told, all.into_iter().map(|entry| (entry.number, entry.target_at)).collect::<Vec<_>>())
    };
    report("100000001", [198, 51, 100, 1], 1);
    (0..2_000).for_each(|conn| drop(report("200000002", [10, 1, 0, 1], conn)));
    let (told, kept) = report("100000001", [198, 51, 100, 1], 2);
    assert_eq!((kept.len(), kept[0]), (64, (1, Some([198, 51, 100, 1].into()))));
    assert_eq!(told, 1 + 30 + 1);
}

#[test]
fn c194_what_a_target_reports_is_joined_with_the_ask_it_belongs_to() {
    let mut drive = Drive::open();
    drive.enroll(B1, B1_AT);
    direct(&mut drive, "192.0.2.9:40001");
    direct(&mut drive, A_AT);
    let (now, b1) = (drive.now(), hbb_core::base::peer::PeerId::new(B1).unwrap());
    let report = |drive: &mut Drive, ms: u64, conn, kind| {
        drive.journal.report(now.after_ms(ms), &b1, Audit { conn, at: at(B1_AT).ip(), kind });
    };
    report(&mut drive, 0, 7, AuditKind::Began(Some(at("192.0.2.9:1").ip())));
    let id = hbb_core::base::peer::PeerId::new("987654321");
    let peer = AuditKind::Peer { id: id.clone(), name: "Otto".into(), session: "remote" };
    report(&mut drive, 100, 7, peer);
    report(&mut drive, 150, 7, AuditKind::Files("first".into()));
    report(&mut drive, 200, 7, AuditKind::Files("plan.pdf".into()));
    report(&mut drive, 61_000, 7, AuditKind::Closed);
    // The same number, after it was closed, is another connection.
    report(&mut drive, 62_000, 7, AuditKind::Began(None));
    report(&mut drive, 63_000, 9, AuditKind::Alarm(1));
    let all = entries(&mut drive);
    assert_eq!(all.len(), 3);
    let first = all[0].report.as_ref().unwrap();
    assert_eq!((&first.by, &*first.name), (&id, "Otto"));
    assert_eq!((first.files, &*first.file), (2, "plan.pdf"));
    assert_eq!((all[0].secs(), all[1].secs()), (Some(61), None));
    assert_eq!(all[1].report.as_ref().unwrap().conn, 7);
    // Nobody asked for that one here.
    assert_eq!((all[2].outcome, all[2].trusted), (Outcome::Reported, false));
    assert_eq!(all[2].report.as_ref().unwrap().alarm, Some(1));
    // A device that reports without end has the room of strangers.
    for conn in 100..2_000 {
        report(&mut drive, 64_000, conn, AuditKind::Began(Some([10, 1, 1, 1].into())));
    }
    let numbers: Vec<_> = entries(&mut drive).iter().map(|entry| entry.number).collect();
    assert_eq!((numbers.len(), &numbers[..2]), (64, &[1, 2][..]));
}
