//! How many legs the relay machine takes and who gives way: tests of its limits, and a long run
//! against a plain model. No numbered check covers them.

use hbb_core::base::conn::Conn;
use hbb_core::base::counters::DropReason::{ConnectionsFull, LegsFull, SessionsFull, Unpaired};
use hbb_core::base::limits::{Limits, PARKED_MS};
use hbb_core::relay::{Effect, LegCounts};

use crate::chance::Chance;
use crate::relay_machine::{A, B, Legs, closed, paired, wish};

#[test]
fn a_source_pushes_out_only_its_own_oldest_leg() {
    let mut legs = Legs::new(Limits { parked_per_source: 2, ..Limits::default() }, None);
    let elder = legs.park(B, "b");
    let oldest = legs.park("[2001:db8::1]:1", "1");
    legs.park("[2001:db8::2]:2", "2");
    let (conn, did) = legs.ask("[2001:db8::3]:3", "3");
    assert_eq!(did, [Effect::Park { conn, known: false }, closed(oldest, LegsFull)]);
    let (partner, did) = legs.ask(B, "b");
    assert_eq!(did, [paired(elder, partner)], "another source is not touched");
    assert_eq!(legs.machine.counts(), LegCounts { fresh: 0, parked: 2, sessions: 1 });
}

#[test]
fn a_source_with_all_its_places_taken_can_still_pair() {
    let mut legs = Legs::new(Limits { parked_per_source: 2, ..Limits::default() }, None);
    let first = legs.park(A, "1");
    legs.park(A, "2");
    let (second, did) = legs.ask(A, "1");
    assert_eq!(did, [paired(first, second)]);
    legs.park(A, "3");
}

#[test]
fn with_all_places_taken_the_oldest_leg_gives_way() {
    let mut legs = Legs::new(Limits { connections: 2, ..Limits::default() }, None);
    let oldest = legs.park("192.0.2.1:1", "1");
    legs.park("192.0.2.2:1", "2");
    let (conn, did) = legs.ask("192.0.2.3:1", "3");
    assert_eq!(did, [Effect::Park { conn, known: false }, closed(oldest, LegsFull)]);
    assert_eq!(legs.machine.counters().of(LegsFull), 1);
}

#[test]
fn with_all_places_taken_the_longest_silent_gives_way() {
    let mut legs = Legs::new(Limits { connections: 2, ..Limits::default() }, None);
    let silent = legs.connect(A);
    legs.connect(A);
    assert_eq!(legs.accept(B).1, [closed(silent, ConnectionsFull)]);
    assert_eq!(legs.machine.counts(), LegCounts { fresh: 2, parked: 0, sessions: 0 });
}

#[test]
fn a_pair_beyond_the_limit_loses_both_legs() {
    let mut legs = Legs::new(Limits { sessions: 1, ..Limits::default() }, None);
    let first = legs.park(A, "t");
    let (second, _) = legs.ask(B, "t");
    let third = legs.park(A, "u");
    let (fourth, did) = legs.ask(B, "u");
    assert_eq!(did, [closed(third, SessionsFull), closed(fourth, SessionsFull)]);
    assert_eq!(legs.machine.counts(), LegCounts { fresh: 0, parked: 0, sessions: 1 });

    // Either leg's end frees the place, once.
    legs.hang_up(second);
    legs.hang_up(first);
    let fifth = legs.park(A, "v");
    let (sixth, did) = legs.ask(B, "v");
    assert_eq!(did, [paired(fifth, sixth)]);
    let seventh = legs.park(A, "w");
    let (eighth, did) = legs.ask(B, "w");
    assert_eq!(did, [closed(seventh, SessionsFull), closed(eighth, SessionsFull)]);
}

#[test]
fn lowered_limits_drop_nobody_and_lose_nobody() {
    let mut legs = Legs::open();
    let waiting: Vec<_> = ["a", "b", "c"].into_iter().map(|token| legs.park(A, token)).collect();
    let silent = [legs.connect(A), legs.connect(A)];
    legs.machine.reconfigure(Limits { connections: 1, ..Limits::default() }, None);
    let (refused, did) = legs.accept(B);
    assert_eq!(did, [closed(refused, ConnectionsFull)]);
    assert_eq!(legs.request(silent[0], &wish("d", "", 0)), [closed(silent[0], LegsFull)]);
    assert_eq!(legs.request(silent[1], &wish("b", "", 0)), [paired(waiting[1], silent[1])]);
    let unpaired = [closed(waiting[0], Unpaired), closed(waiting[2], Unpaired)];
    assert_eq!(legs.wait(PARKED_MS), unpaired);
    legs.park(B, "e");
}

#[test]
fn no_room_at_all_refuses_everybody() {
    let mut legs = Legs::new(Limits { connections: 0, ..Limits::default() }, None);
    let (conn, did) = legs.accept(A);
    assert_eq!(did, [closed(conn, ConnectionsFull)]);
    let mut legs = Legs::new(Limits { parked_per_source: 0, ..Limits::default() }, None);
    let (conn, did) = legs.ask(A, "t");
    assert_eq!(did, [closed(conn, LegsFull)]);
}

/// A plain model beside the machine: who was opened and not closed, who waits under what, who is
/// joined. Every effect must fit it, and both must count alike.
#[test]
fn a_long_run_of_chance_keeps_every_leg_in_one_place() {
    for seed in 0..40 {
        let chance = &mut Chance::new(seed);
        let limits =
            Limits { connections: 8, sessions: 3, parked_per_source: 3, ..Limits::default() };
        let mut run = Run { legs: Legs::new(limits, None), states: Vec::new() };
        for _ in 0..2_000 {
            run.step(chance);
            run.check(limits);
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Fresh,
    Parked(String),
    Joined(Conn),
}

struct Run {
    legs: Legs,
    states: Vec<(Conn, State)>,
}

impl Run {
    fn step(&mut self, chance: &mut Chance) {
        let did = match chance.below(8) {
            0..=2 => {
                let (conn, did) = self.legs.accept(&format!("192.0.2.{}:9", chance.below(5)));
                self.states.push((conn, State::Fresh));
                did
            }
            3..=5 => return self.request(chance),
            6 if !self.states.is_empty() => return self.hang_up(chance),
            _ => self.legs.wait(chance.below(8_000)),
        };
        for effect in did {
            self.see(effect, None);
        }
    }

    fn request(&mut self, chance: &mut Chance) {
        let fresh: Vec<_> =
            self.states.iter().filter(|(_, state)| *state == State::Fresh).collect();
        if fresh.is_empty() {
            return;
        }
        let (conn, token) = (chance.choose(&fresh).0, format!("t{}", chance.below(6)));
        for effect in self.legs.request(conn, &wish(&token, "", 0)) {
            self.see(effect, Some(&token));
        }
    }

    fn hang_up(&mut self, chance: &mut Chance) {
        let (conn, state) = chance.choose(&self.states).clone();
        self.legs.hang_up(conn);
        self.forget(conn);
        if let State::Joined(partner) = state {
            self.forget(partner);
        }
    }

    fn see(&mut self, effect: Effect, token: Option<&str>) {
        match effect {
            Effect::Known { .. } | Effect::Showed { .. } => {}
            Effect::Park { conn, .. } => {
                assert_eq!(self.forget(conn), State::Fresh);
                let token = token.unwrap().to_string();
                assert!(self.states.iter().all(|(_, s)| *s != State::Parked(token.clone())));
                self.states.push((conn, State::Parked(token)));
            }
            Effect::Pair { waiting, joining, .. } => {
                assert_eq!(self.forget(waiting), State::Parked(token.unwrap().into()));
                assert_eq!(self.forget(joining), State::Fresh);
                self.states.push((waiting, State::Joined(joining)));
                self.states.push((joining, State::Joined(waiting)));
            }
            Effect::Close { conn, .. } => {
                let state = self.forget(conn);
                assert!(!matches!(state, State::Joined(_)), "a session was dropped");
            }
        }
    }

    fn forget(&mut self, conn: Conn) -> State {
        let at = self.states.iter().position(|(known, _)| *known == conn).unwrap();
        self.states.swap_remove(at).1
    }

    fn check(&self, limits: Limits) {
        let count = |wanted: fn(&State) -> bool| {
            self.states.iter().filter(|(_, state)| wanted(state)).count()
        };
        let fresh = count(|state| matches!(state, State::Fresh));
        let parked = count(|state| matches!(state, State::Parked(_)));
        let joined = count(|state| matches!(state, State::Joined(_)));
        assert_eq!(self.legs.machine.counts(), LegCounts { fresh, parked, sessions: joined / 2 });
        assert!(fresh.max(parked) <= limits.connections && joined <= 2 * limits.sessions);
        assert_eq!(self.legs.machine.next_timeout().is_some(), fresh + parked > 0);
    }
}
