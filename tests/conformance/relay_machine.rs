//! What the relay machine does with legs: pairing, waiting, refusing. C65-C67, C69, C71.
//! What legs carry once they are joined is asked in `relay_pump`.

use hbb_core::base::address::{Network, NetworkSet};
use hbb_core::base::conn::Conn;
use hbb_core::base::counters::DropReason::{
    self, Idle, Incomplete, Malformed, PartnerRefused, Unexpected, Unpaired, WrongKey,
};
use hbb_core::base::limits::{IDLE_MS, Limits, PARKED_MS, TOKEN_KNOWN_MS, TOKENS_REFUSED_MAX};
use hbb_core::base::peer::RelayToken;
use hbb_core::base::table::Seed;
use hbb_core::base::time::Time;
use hbb_core::relay::{Effect, Effects, Input, LegCounts, Relay, SessionTerms, SourceLists};
use hbb_core::wire::ConnType;
use hbb_core::wire::message::decode;

use crate::drive::at;
use crate::say;

/// The machine and its clock.
pub(crate) struct Legs {
    pub(crate) machine: Relay,
    now: Time,
    slots: u32,
}

impl Legs {
    pub(crate) fn new(limits: Limits, access_key: Option<&str>) -> Self {
        let machine = Relay::new(limits, access_key.map(Into::into), Seed(3, 5));
        Self { machine, now: Time::START, slots: 0 }
    }

    /// A relay beside a rendezvous.
    pub(crate) fn beside_rendezvous(limits: Limits) -> Self {
        Self::new(limits, None).beside()
    }

    /// The same, with the key that legs must show.
    fn enforcing_beside_rendezvous(key: &str) -> Self {
        Self::new(Limits::default(), Some(key)).beside()
    }

    fn beside(self) -> Self {
        Self { machine: self.machine.beside_rendezvous(), ..self }
    }

    /// Somebody at `from` had this token passed on; the leg that waited under it.
    pub(crate) fn expect(&mut self, token: &str, from: &str) -> Option<Conn> {
        let token = RelayToken::new(token).unwrap();
        match self.input(Input::Expected { token, from: at(from) })[..] {
            [] => None,
            [Effect::Known { conn }] => Some(conn),
            ref more => panic!("{more:?}"),
        }
    }

    /// Something moved in the session of this leg.
    pub(crate) fn moved(&mut self, conn: Conn) {
        assert_eq!(self.input(Input::Moved { conn }), []);
    }

    pub(crate) fn open() -> Self {
        Self::new(Limits::default(), None)
    }

    pub(crate) fn connect(&mut self, from: &str) -> Conn {
        let (conn, did) = self.accept(from);
        assert_eq!(did, []);
        conn
    }

    pub(crate) fn accept(&mut self, from: &str) -> (Conn, Vec<Effect>) {
        self.slots += 1;
        let conn = Conn { slot: self.slots, generation: 1 };
        (conn, self.input(Input::Opened { conn, from: at(from) }))
    }

    /// A new connection from `from` asks to be paired under `token`.
    pub(crate) fn ask(&mut self, from: &str, token: &str) -> (Conn, Vec<Effect>) {
        let conn = self.connect(from);
        (conn, self.request(conn, &wish(token, "", 0)))
    }

    pub(crate) fn park(&mut self, from: &str, token: &str) -> Conn {
        let (conn, did) = self.ask(from, token);
        assert!(matches!(did[..], [Effect::Park { conn: parked, .. }] if parked == conn));
        conn
    }

    pub(crate) fn request(&mut self, conn: Conn, payload: &[u8]) -> Vec<Effect> {
        self.input(Input::Request { conn, request: decode(payload).unwrap() })
    }

    pub(crate) fn hang_up(&mut self, conn: Conn) {
        assert_eq!(self.input(Input::Closed { conn }), []);
    }

    fn input(&mut self, input: Input<'_>) -> Vec<Effect> {
        let mut effects = Effects::new();
        self.machine.handle(self.now, input, &mut effects);
        effects.iter().cloned().collect()
    }

    /// Lets `ms` pass; what timed out, in order.
    pub(crate) fn wait(&mut self, ms: u64) -> Vec<Effect> {
        self.now = self.now.after_ms(ms);
        let mut did = Vec::new();
        while self.machine.next_timeout().is_some_and(|due| due <= self.now) {
            let mut effects = Effects::new();
            self.machine.handle_timeout(self.now, &mut effects);
            assert!(!effects.is_empty(), "due, but nothing to do");
            did.extend(effects.iter().cloned());
        }
        did
    }
}

pub(crate) fn wish(token: &str, access_key: &str, conn_type: i32) -> Vec<u8> {
    say::request_relay("123456789", |wish| {
        wish.uuid = token.into();
        wish.access_key = access_key.into();
        wish.conn_type = conn_type;
    })
}

pub(crate) fn closed(conn: Conn, reason: DropReason) -> Effect {
    Effect::Close { conn, reason }
}

pub(crate) fn paired(waiting: Conn, joining: Conn) -> Effect {
    let terms = SessionTerms { conn_type: ConnType::Interactive, limited: false, known: true };
    Effect::Pair { waiting, joining, terms }
}

/// The same of a token that passed no signalling.
fn met(waiting: Conn, joining: Conn) -> Effect {
    let terms = SessionTerms { conn_type: ConnType::Interactive, limited: false, known: false };
    Effect::Pair { waiting, joining, terms }
}

pub(crate) const A: &str = "198.51.100.7:40001";
pub(crate) const B: &str = "203.0.113.9:50002";

#[test]
fn c118_a_leg_refused_for_its_key_ends_the_wait_of_its_partner() {
    let mut legs = Legs::enforcing_beside_rendezvous("the key");
    let ask = |legs: &mut Legs, token: &str, key: &str| {
        let conn = legs.connect(A);
        (conn, legs.request(conn, &wish(token, key, 0)))
    };
    let (other, _) = ask(&mut legs, "other", "the key");
    let (waiting, did) = ask(&mut legs, "t", "the key");
    assert_eq!(did, [Effect::Park { conn: waiting, known: false }]);
    let (refused, did) = ask(&mut legs, "t", "");
    assert_eq!(did, [closed(waiting, PartnerRefused), closed(refused, WrongKey)]);
    // And of one that comes second, if the token passed our signalling, for as long as that counts.
    legs.expect("u", A);
    let (refused, did) = ask(&mut legs, "u", "a key");
    assert_eq!(did, [closed(refused, WrongKey)]);
    let late = legs.connect(B);
    let did = legs.wait(IDLE_MS - 1);
    assert_eq!(did, [], "the first waits yet");
    assert_eq!(legs.request(late, &wish("u", "the key", 0)), [closed(late, PartnerRefused)]);
    let (conn, did) = ask(&mut legs, "other", "the key");
    assert_eq!(did, [met(other, conn)]);
    legs.wait(TOKEN_KNOWN_MS);
    let (conn, did) = ask(&mut legs, "u", "the key");
    assert_eq!(did, [Effect::Park { conn, known: false }]);
}

#[test]
fn c118_at_a_relay_alone_a_leg_that_comes_behind_a_refused_one_does_not_wait() {
    let mut legs = Legs::new(Limits::default(), Some("the key"));
    let mut ask = |from: &str, token: &str, key: &str| {
        let conn = legs.connect(from);
        (conn, legs.request(conn, &wish(token, key, 0)))
    };
    let (refused, did) = ask(A, "t", "a key");
    assert_eq!(did, [closed(refused, WrongKey)]);
    // One stranger with many tokens makes nobody forget those of others.
    for n in 0..2 * TOKENS_REFUSED_MAX {
        ask("198.51.100.99:1", &format!("guess {n}"), "");
    }
    let (late, did) = ask(B, "t", "the key");
    assert_eq!(did, [closed(late, PartnerRefused)]);
    let (conn, did) = ask(B, "another", "the key");
    assert_eq!(did, [Effect::Park { conn, known: false }]);
}

#[test]
fn c118_strangers_without_the_key_end_no_wait_but_of_the_tokens_they_name() {
    let mut legs = Legs::enforcing_beside_rendezvous("the key");
    let waiting = legs.connect(A);
    assert_eq!(
        legs.request(waiting, &wish("t", "the key", 0)),
        [Effect::Park { conn: waiting, known: false }]
    );
    for n in 0..2 * TOKENS_REFUSED_MAX {
        let conn = legs.connect(B);
        let did = legs.request(conn, &wish(&format!("guess {n}"), "", 0));
        assert_eq!(did, [closed(conn, WrongKey)]);
    }
    let conn = legs.connect(B);
    assert_eq!(legs.request(conn, &wish("t", "the key", 0)), [met(waiting, conn)]);
    let conn = legs.connect(B);
    assert_eq!(
        legs.request(conn, &wish("guess 9", "the key", 0)),
        [Effect::Park { conn, known: false }]
    );
}

#[test]
fn c065_two_legs_of_one_token_are_paired() {
    let mut legs = Legs::open();
    let first = legs.park(A, "t");
    let other = legs.park(A, "u");
    let (second, did) = legs.ask(B, "t");
    assert_eq!(did, [paired(first, second)]);
    assert_eq!(legs.machine.counts(), LegCounts { fresh: 0, parked: 1, sessions: 1 });
    let (last, did) = legs.ask(A, "u");
    assert_eq!(did, [paired(other, last)]);
    assert_eq!(legs.wait(10 * PARKED_MS), [], "sessions do not expire here");
}

#[test]
fn c065_a_third_leg_waits_anew() {
    let mut legs = Legs::open();
    let first = legs.park(A, "t");
    let (second, did) = legs.ask(B, "t");
    assert_eq!(did, [paired(first, second)]);
    let third = legs.park(B, "t");
    let (fourth, did) = legs.ask(A, "t");
    assert_eq!(did, [paired(third, fourth)]);
}

#[test]
fn c066_a_wrong_key_closes_without_a_word() {
    let mut legs = Legs::new(Limits::default(), Some("secret"));
    for wrong in ["", "Secret", "secret "] {
        let conn = legs.connect(A);
        assert_eq!(legs.request(conn, &wish("t", wrong, 0)), [closed(conn, WrongKey)]);
    }
    // Of another token: whoever comes behind a leg that was refused does not wait (C118).
    let conn = legs.connect(A);
    assert_eq!(legs.request(conn, &wish("u", "secret", 0)), [Effect::Park { conn, known: false }]);
    assert_eq!(legs.machine.counters().of(WrongKey), 3);
    assert_eq!(legs.machine.counts(), LegCounts { fresh: 0, parked: 1, sessions: 0 });
}

#[test]
fn c066_without_a_key_any_key_passes() {
    let mut legs = Legs::open();
    let conn = legs.connect(A);
    assert_eq!(
        legs.request(conn, &wish("t", "whatever", 0)),
        [Effect::Park { conn, known: false }]
    );
}

#[test]
fn c066_a_changed_key_counts_from_the_next_leg_on() {
    let mut legs = Legs::open();
    let first = legs.park(A, "t");
    legs.machine.reconfigure(Limits::default(), Some("secret".into()));
    let (second, did) = legs.ask(B, "u");
    assert_eq!(did, [closed(second, WrongKey)]);
    let third = legs.connect(B);
    assert_eq!(legs.request(third, &wish("t", "secret", 0)), [paired(first, third)]);
}

#[test]
fn c066_a_token_missing_or_too_long_closes() {
    let mut legs = Legs::open();
    let conn = legs.connect(A);
    assert_eq!(legs.request(conn, &wish("", "", 0)), [closed(conn, Incomplete)]);
    let conn = legs.connect(A);
    assert_eq!(legs.request(conn, &wish(&"x".repeat(65), "", 0)), [closed(conn, Malformed)]);
    let conn = legs.connect(A);
    assert_eq!(
        legs.request(conn, &wish(&"x".repeat(64), "", 0)),
        [Effect::Park { conn, known: false }]
    );
}

#[test]
fn c066_any_other_message_closes() {
    let mut legs = Legs::open();
    for payload in [say::test_nat(0), say::online(&["123456789"]), say::register_peer("123456789")]
    {
        let conn = legs.connect(A);
        assert_eq!(legs.request(conn, &payload), [closed(conn, Unexpected)]);
    }
    assert_eq!(legs.machine.counts(), LegCounts { fresh: 0, parked: 0, sessions: 0 });
}

#[test]
fn c066_a_second_message_closes_the_leg_and_its_partner() {
    let mut legs = Legs::open();
    let first = legs.park(A, "t");
    assert_eq!(legs.request(first, &wish("t", "", 0)), [closed(first, Unexpected)]);
    let second = legs.park(A, "t");
    let (third, _) = legs.ask(B, "t");
    let did = legs.request(third, &wish("v", "", 0));
    assert_eq!(did, [closed(third, Unexpected), closed(second, Unexpected)]);
    assert_eq!(legs.machine.counts(), LegCounts { fresh: 0, parked: 0, sessions: 0 });
}

#[test]
fn c066_silence_closes_after_30_s() {
    let mut legs = Legs::open();
    let first = legs.connect(A);
    assert_eq!(legs.wait(IDLE_MS - 1), []);
    let second = legs.connect(A);
    assert_eq!(legs.wait(1), [closed(first, Idle)]);
    assert_eq!(legs.wait(IDLE_MS), [closed(second, Idle)]);
    assert_eq!(legs.machine.next_timeout(), None);
}

#[test]
fn c067_a_partner_after_25_s_pairs_after_31_s_it_waits() {
    let mut legs = Legs::open();
    let first = legs.park(A, "t");
    assert_eq!(legs.wait(25_000), []);
    let (second, did) = legs.ask(B, "t");
    assert_eq!(did, [paired(first, second)]);

    let third = legs.park(A, "u");
    assert_eq!(legs.wait(31_000), [closed(third, Unpaired)]);
    legs.park(B, "u");
}

#[test]
fn c067_the_wait_starts_with_the_message() {
    let mut legs = Legs::open();
    let conn = legs.connect(A);
    assert_eq!(legs.wait(IDLE_MS - 1), []);
    assert_eq!(legs.request(conn, &wish("t", "", 0)), [Effect::Park { conn, known: false }]);
    assert_eq!(legs.wait(PARKED_MS - 1), []);
    assert_eq!(legs.wait(1), [closed(conn, Unpaired)]);
}

#[test]
fn c067_a_parked_leg_that_leaves_breaks_no_later_pair() {
    let mut legs = Legs::open();
    let gone = legs.park(A, "t");
    legs.hang_up(gone);
    let second = legs.park(A, "t");
    let (third, did) = legs.ask(B, "t");
    assert_eq!(did, [paired(second, third)]);
    legs.hang_up(gone);
    assert_eq!(legs.machine.counts(), LegCounts { fresh: 0, parked: 0, sessions: 1 });
}

#[test]
fn c067_one_timeout_is_one_bounded_bite() {
    let mut legs = Legs::open();
    for token in ["a", "b", "c"] {
        legs.park(A, token);
    }
    legs.now = legs.now.after_ms(PARKED_MS);
    let mut effects = Effects::new();
    legs.machine.handle_timeout(legs.now, &mut effects);
    assert_eq!(effects.len(), 1);
    assert!(legs.machine.next_timeout().is_some_and(|due| due <= legs.now), "more remains");
    assert_eq!(legs.wait(0).len(), 2);
}

#[test]
fn c069_either_leg_makes_the_pair_long_lived() {
    let tunnels = [(0, 0, false), (2, 0, true), (0, 3, true), (2, 3, true), (1, 4, false)];
    for (first_type, second_type, tunnel) in tunnels {
        let mut legs = Legs::open();
        let waiting = legs.connect(A);
        legs.request(waiting, &wish("t", "", first_type));
        let joining = legs.connect(B);
        let did = legs.request(joining, &wish("t", "", second_type));
        let conn_type = if tunnel { ConnType::Tunnel } else { ConnType::Interactive };
        let terms = SessionTerms { conn_type, limited: false, known: true };
        assert_eq!(did, [Effect::Pair { waiting, joining, terms }]);
    }
}

#[test]
fn c071_loopback_is_a_source_like_any_other() {
    for from in ["127.0.0.1:40001", "[::1]:40001", "[::ffff:127.0.0.1]:40001"] {
        let mut legs = Legs::open();
        let first = legs.park(from, "t");
        let (second, did) = legs.ask(from, "t");
        assert_eq!(did, [paired(first, second)]);
    }
}

#[test]
fn c072_blacklisted_legs_make_the_pair_limited_and_blocked_ones_are_closed() {
    let mut legs = Legs::open();
    let network = |text| NetworkSet::from(vec![Network::parse(text).unwrap()]);
    let (black, block) = (network("203.0.113.0/24"), network("192.0.2.7"));
    let lists = SourceLists { black, block, ..SourceLists::default() };
    legs.machine.set_lists(lists);
    for (first, second) in [(A, B), (B, A)] {
        let waiting = legs.connect(first);
        legs.request(waiting, &wish("t", "", 0));
        let joining = legs.connect(second);
        let did = legs.request(joining, &wish("t", "", 0));
        let terms = SessionTerms { conn_type: ConnType::Interactive, limited: true, known: true };
        assert_eq!(did, [Effect::Pair { waiting, joining, terms }]);
    }
    let (conn, did) = legs.accept("192.0.2.7:1");
    assert_eq!(did, [closed(conn, DropReason::Blocked)]);
}
