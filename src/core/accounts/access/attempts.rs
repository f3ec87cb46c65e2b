//! How often somebody may try to log in, and what waits: passwords to be hashed, one at a time, and
//! logins that lack a code. C166, C167, C169, C199.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use super::password::HashJob;
use super::tokens::TokenHash;
use crate::accounts::call::Source;
use crate::base::address::Prefix;
use crate::base::conn::{Conn, SaveRank};
use crate::base::limits::{
    CHANGED_PER_USER, CHANGED_WINDOW_MS, CODE_TRIES_MAX, HASHES_WAITING_MAX, LOGIN_CODE_MS,
    LOGIN_CODES_MAX, LOGIN_WINDOW_MS, LOGINS_IN_ALL, LOGINS_OF_STRANGERS, LOGINS_PER_NETWORK,
    LOGINS_PER_SOURCE, USERS_CEILING, WRONG_PER_USER, WRONG_WINDOW_MS,
};
use crate::base::peer::PeerId;
use crate::base::table::Seed;
use crate::base::time::{RateWindow, Throttle, Time};

/// A user's windows beside those of wrong passwords: which it is, how long, for how many.
const AT_HOME: (usize, u64, u16) = (3, LOGIN_WINDOW_MS, LOGINS_PER_NETWORK);
const CHANGES: (usize, u64, u16) = (4, CHANGED_WINDOW_MS, CHANGED_PER_USER);

/// What a hash is for.
pub(in crate::accounts) enum Then {
    /// Somebody logs in.
    LogIn(Attempt),
    /// An operator gives a user of this name a password.
    Password {
        name: String,
        /// There is no such user yet.
        is_new: bool,
    },
}

/// Somebody who logs in.
#[derive(Clone, Debug)]
pub(in crate::accounts) struct Attempt {
    /// Of the call, for its answer.
    pub(in crate::accounts) conn: Conn,
    pub(in crate::accounts) user: String,
    pub(in crate::accounts) device: String,
    /// The device, if it proved itself.
    pub(in crate::accounts) proved: Option<PeerId>,
    pub(in crate::accounts) source: Source,
    /// Whether the user was logged in there.
    pub(in crate::accounts) at_home: bool,
    /// The stored hash it is compared with, as it may be another by the time that is known.
    pub(in crate::accounts) stored: Vec<u8>,
}

/// A login that lacks a code.
struct Code {
    /// The hash of its secret.
    key: TokenHash,
    user: String,
    device: String,
    until: Time,
    tries: u8,
}

/// How often there were logins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoginCounts {
    /// That led to a token.
    pub done: u64,
    /// With a wrong password or code.
    pub wrong: u64,
    /// Refused unseen, as there were too many.
    pub refused: u64,
}

/// Logins on their way.
pub(in crate::accounts) struct Logins {
    sources: Throttle,
    networks: Throttle,
    strangers: RateWindow,
    all: RateWindow,
    /// Wrong passwords of a user, from where nothing is known, from where somebody is, and from
    /// where the user was logged in; logins from there; and changes. The oldest first.
    users: Vec<(String, [RateWindow; 5])>,
    waiting: VecDeque<(HashJob, Then)>,
    running: Option<Then>,
    /// The oldest first.
    codes: Vec<Code>,
    pub(in crate::accounts) counts: LoginCounts,
}

impl Logins {
    pub(in crate::accounts) fn new(seed: Seed) -> Self {
        Self {
            sources: Throttle::new(LOGIN_WINDOW_MS, seed),
            networks: Throttle::new(LOGIN_WINDOW_MS, seed),
            strangers: RateWindow::EMPTY,
            all: RateWindow::EMPTY,
            users: Vec::new(),
            waiting: VecDeque::new(),
            running: None,
            codes: Vec::new(),
            counts: LoginCounts::default(),
        }
    }

    /// Counts one more attempt, from where the user was logged in or not; None if it goes no
    /// further, else whether it counts as from there. Whoever dials with the key is known, too, and
    /// must not lock a user out at home; nor must a user who is at home at many places.
    pub(in crate::accounts) fn admit(
        &mut self,
        now: Time,
        (source, at_home): (Source, bool),
        user: &str,
    ) -> Option<bool> {
        let network = Prefix::of_network(source.ip);
        let at_home = at_home && self.count(now, user, AT_HOME, 0);
        // Strangers leave half of the places to others, and who is known a quarter to users at
        // home.
        let places = HASHES_WAITING_MAX * (2 + trust((source, at_home))) / 4;
        let allowed = self.waiting.len() < places
            && self.count(now, user, wrong((source, at_home)), 0)
            && (at_home && self.count(now, user, AT_HOME, 1)
                || (self.sources.allow(now, Prefix::of(source.ip), LOGINS_PER_SOURCE)
                    && self.networks.allow(now, network, LOGINS_PER_NETWORK)
                    && (source.known
                        || self.strangers.allow(now, LOGIN_WINDOW_MS, LOGINS_OF_STRANGERS))
                    && self.all.allow(now, LOGIN_WINDOW_MS, LOGINS_IN_ALL)));
        self.counts.refused += u64::from(!allowed);
        allowed.then_some(at_home)
    }

    /// Whose turn a change of this user is: one who changes much leaves what may be written to
    /// others, and room where changes wait.
    pub(in crate::accounts) fn changed(&mut self, now: Time, user: &str) -> SaveRank {
        match self.count(now, user, CHANGES, 1) {
            true => SaveRank::Known,
            false => SaveRank::Stranger,
        }
    }

    /// Counts a wrong password or code, of a user if there is such a one.
    pub(in crate::accounts) fn was_wrong(
        &mut self,
        now: Time,
        from: (Source, bool),
        user: Option<&str>,
    ) {
        self.counts.wrong += 1;
        if let Some(user) = user {
            self.count(now, user, wrong(from), 1);
        }
    }

    /// Counts so many more in one of a user's windows; whether there were fewer than too many.
    fn count(
        &mut self,
        now: Time,
        user: &str,
        (which, window_ms, most): (usize, u64, u16),
        more: u16,
    ) -> bool {
        let most = most - 1 + more;
        let place = self.users.iter().position(|(name, _)| name == user);
        let known = place.and_then(|at| self.users.get(at));
        let mut windows = known.map_or([RateWindow::EMPTY; 5], |(_, windows)| *windows);
        let window = windows.get_mut(which);
        let allowed = window.is_some_and(|it| it.allow_many(now, window_ms, most, more));
        if more > 0 {
            if place.is_some() || self.users.len() >= USERS_CEILING {
                self.users.remove(place.unwrap_or(0));
            }
            self.users.push((user.into(), windows));
        }
        allowed
    }

    /// Has a password hashed when it is its turn; an operator's is the next, and a user's at home.
    pub(in crate::accounts) fn hash(&mut self, job: HashJob, then: Then) {
        match &then {
            Then::LogIn(who) if !who.at_home => {
                self.waiting.push_back((job, then));
            }
            _ => self.waiting.push_front((job, then)),
        }
    }

    /// What is to be hashed now, if nothing is being hashed.
    pub(in crate::accounts) fn next(&mut self) -> Option<HashJob> {
        if self.running.is_some() {
            return None;
        }
        let (job, then) = self.waiting.pop_front()?;
        self.running = Some(then);
        Some(job)
    }

    /// What the hash was for that is done.
    pub(in crate::accounts) fn hashed(&mut self) -> Option<Then> {
        self.running.take()
    }

    /// Remembers a login that lacks a code under the hash of a secret.
    pub(in crate::accounts) fn ask_code(
        &mut self,
        now: Time,
        key: TokenHash,
        (user, device): (&str, &str),
    ) {
        let (user, device) = (user.into(), device.into());
        let until = now.after_ms(LOGIN_CODE_MS);
        if self.codes.len() >= LOGIN_CODES_MAX {
            self.codes.remove(0);
        }
        self.codes.push(Code { key, user, device, until, tries: CODE_TRIES_MAX });
    }

    /// Whose login a code is for, and on which device; each may be tried a few times.
    pub(in crate::accounts) fn code_for(
        &mut self,
        now: Time,
        key: &TokenHash,
    ) -> Option<(String, String)> {
        self.codes.retain(|code| code.tries > 0 && code.until > now);
        let code = self.codes.iter_mut().find(|code| code.key == *key)?;
        code.tries -= 1;
        Some((code.user.clone(), code.device.clone()))
    }

    /// A user is logged out: no code is waited for any more.
    pub(in crate::accounts) fn forget_codes(&mut self, user: &str) {
        self.codes.retain(|code| code.user != user);
    }

    /// The code was right.
    pub(in crate::accounts) fn code_done(&mut self, key: &TokenHash) {
        self.codes.retain(|code| code.key != *key);
    }
}

/// The window of a user in which wrong passwords from there are counted.
const fn wrong(from: (Source, bool)) -> (usize, u64, u16) {
    (trust(from), WRONG_WINDOW_MS, WRONG_PER_USER)
}

/// How far somebody is trusted: 0 for a stranger, 1 where somebody is known, 2 where the user was
/// logged in.
const fn trust((source, at_home): (Source, bool)) -> usize {
    match (at_home, source.known) {
        (true, _) => 2,
        (false, known) => known as usize,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::call::Door;
    use alloc::format;

    /// Of more names than there may ever be users, as some are removed and others added.
    #[test]
    fn c166_wrong_passwords_of_so_many_users_are_kept_and_the_oldest_forgotten() {
        let (mut logins, now) = (Logins::new(Seed(1, 2)), Time::START);
        let from = (Source { ip: [192, 0, 2, 1].into(), known: true, door: Door::Http }, false);
        for number in 0..USERS_CEILING {
            for _ in 0..WRONG_PER_USER {
                logins.was_wrong(now, from, Some(&format!("user{number}")));
            }
        }
        assert!(!logins.count(now, "user0", wrong(from), 0), "too many were wrong");
        logins.was_wrong(now, from, Some("one more"));
        assert_eq!(logins.users.len(), USERS_CEILING);
        assert!(logins.count(now, "user0", wrong(from), 0), "it is forgotten");
        assert!(!logins.count(now, "user1", wrong(from), 0));
    }
}
