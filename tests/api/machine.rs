//! The machine by itself: the test plays store, clock and the thread for passwords.

use std::collections::BTreeMap;
use std::net::IpAddr;

use hbb_core::accounts::call::{Answer, Call, Door, HttpCall, Source};
use hbb_core::accounts::{Accounts, Command, Effect, Effects, Hashed, Input, Told};
use hbb_core::base::conn::{Conn, SaveOutcome, SaveRank};
use hbb_core::base::json::Value;
use hbb_core::base::limits::{AccountLimits, TOKEN_SECS};
use hbb_core::base::rows::RowChange;
use hbb_core::base::table::Seed;
use hbb_core::base::time::Time;

use crate::client::login;

/// Of a password "right" that nobody hashed: what tests do not look at.
const NOW: u64 = 1_800_000_000;

pub(crate) struct Drive {
    pub(crate) accounts: Accounts,
    pub(crate) now: Time,
    pub(crate) rows: BTreeMap<Vec<u8>, Vec<u8>>,
    /// What the store says to the next rows.
    outcome: SaveOutcome,
    /// The store is slow: what it is given waits.
    pub(crate) holds: bool,
    held: Vec<Effect>,
    /// Whose turn each commit was.
    pub(crate) ranks: Vec<SaveRank>,
    /// Whether a password is with the thread.
    pub(crate) hashing: bool,
    answers: Vec<(Conn, Answer)>,
    pub(crate) told: Vec<Told>,
    calls: u32,
}

impl Drive {
    pub(crate) fn new(limits: AccountLimits) -> Self {
        let mut accounts = Accounts::new(limits, Seed(1, 2), [7; 32]);
        accounts.set_epoch_secs(NOW);
        Self {
            accounts,
            now: Time::START,
            rows: BTreeMap::new(),
            outcome: SaveOutcome::Durable,
            holds: false,
            held: Vec::new(),
            ranks: Vec::new(),
            hashing: false,
            answers: Vec::new(),
            told: Vec::new(),
            calls: 0,
        }
    }

    fn with(users: &[&str]) -> Self {
        let mut drive =
            Self::new(AccountLimits { users: 64, password_kib: 4096, ..AccountLimits::default() });
        for user in users {
            drive.add(user);
        }
        drive
    }

    pub(crate) fn add(&mut self, user: &str) -> Told {
        self.ask(Command::Add { name: user.to_owned(), password: "long enough".into() });
        if self.hashing {
            self.hashed(Hashed::Made(stored(user)));
        }
        self.told.pop().unwrap()
    }

    pub(crate) fn ask(&mut self, command: Command) {
        self.give(Input::Asked(command));
    }

    pub(crate) fn hashed(&mut self, hashed: Hashed) {
        assert!(std::mem::take(&mut self.hashing), "nothing is being hashed");
        self.give(Input::Hashed(hashed));
    }

    /// Calls, and gives the handle it was called by.
    pub(crate) fn call(&mut self, from: &str, known: bool, call: &HttpCall) -> Conn {
        self.calls += 1;
        let conn = Conn { slot: self.calls, generation: 1 };
        let ip: IpAddr = from.parse().unwrap();
        let source = Source { ip, known, door: Door::Http };
        self.give(Input::Call(conn, Call::new(call, source)));
        conn
    }

    pub(crate) fn post(&mut self, path: &str, token: Option<&str>, body: &str) -> Answer {
        let shown = token.map(|token| format!("Bearer {token}"));
        let call = HttpCall::new("POST", path, shown.as_deref(), body.as_bytes().to_vec());
        let conn = self.call("192.0.2.1", true, &call);
        self.answer(conn).expect("an answer at once")
    }

    pub(crate) fn answer(&mut self, conn: Conn) -> Option<Answer> {
        let at = self.answers.iter().position(|(to, _)| *to == conn)?;
        Some(self.answers.remove(at).1)
    }

    pub(crate) fn log_in(&mut self, from: &str, known: bool, body: &str) -> Conn {
        let call = HttpCall::new("POST", "/api/login", None, body.as_bytes().to_vec());
        self.call(from, known, &call)
    }

    /// Logs a user in with the right password; the token.
    pub(crate) fn token(&mut self, user: &str) -> String {
        let conn = self.log_in("192.0.2.1", true, &login(user, "right"));
        self.hashed(Hashed::Fits(true));
        text(&self.answer(conn).unwrap(), "access_token")
    }

    pub(crate) fn give(&mut self, input: Input<'_>) {
        let mut effects = Effects::new();
        self.accounts.handle(self.now, input, &mut effects);
        while let Some(effect) = effects.pop_front() {
            match effect {
                Effect::Answer(conn, answer) => self.answers.push((conn, answer)),
                Effect::Told(told) => self.told.push(told),
                Effect::Hash(_) => {
                    assert!(!self.hashing, "two passwords at a time");
                    self.hashing = true;
                }
                held @ Effect::Save { .. } if self.holds => self.held.push(held),
                Effect::Save { ticket, rows, rank } => {
                    self.ranks.push(rank);
                    if self.outcome == SaveOutcome::Durable {
                        rows.into_iter().for_each(|row| self.store(row));
                    }
                    self.accounts.handle(
                        self.now,
                        Input::Saved(ticket, self.outcome),
                        &mut effects,
                    );
                }
                Effect::Report(_) => {}
            }
        }
    }

    /// What waits is stored, but for so many that came first: the store puts those off.
    pub(crate) fn release_but(&mut self, put_off: usize) {
        self.holds = false;
        for (at, held) in std::mem::take(&mut self.held).into_iter().enumerate() {
            let Effect::Save { ticket, rows, .. } = held else { continue };
            if at < put_off {
                self.give(Input::Saved(ticket, SaveOutcome::Postponed));
                continue;
            }
            rows.into_iter().for_each(|row| self.store(row));
            self.give(Input::Saved(ticket, SaveOutcome::Durable));
        }
    }

    fn store(&mut self, row: RowChange) {
        match row.value {
            Some(value) => drop(self.rows.insert(row.key, value)),
            None => drop(self.rows.remove(&row.key)),
        }
    }

    /// As after a restart: a machine of the rows alone.
    pub(crate) fn restarted(&self) -> Accounts {
        let limits = AccountLimits { users: 64, password_kib: 4096, ..AccountLimits::default() };
        let mut again = Accounts::new(limits, Seed(3, 4), [8; 32]);
        again.set_epoch_secs(NOW);
        for (key, value) in &self.rows {
            assert!(again.load(key, Some(value)), "{key:?}");
        }
        again
    }
}

/// A stored hash, as the thread makes it: of one version, 4 MiB, 9 rounds.
pub(crate) fn stored(user: &str) -> Vec<u8> {
    let salt = user.bytes().next().unwrap();
    let (kib, rounds) = (4096_u32.to_le_bytes(), 9_u32.to_le_bytes());
    [&[1][..], &kib, &rounds, &[salt; 16], &[salt; 32]].concat()
}

pub(crate) fn text(answer: &Answer, name: &str) -> String {
    let body = std::str::from_utf8(&answer.body).unwrap();
    let value = Value::parse(body).unwrap();
    value.text_of(name).unwrap_or_else(|| panic!("no {name} in {body}")).into_owned()
}

pub(crate) fn error(answer: &Answer) -> String {
    text(answer, "error")
}

#[test]
fn c166_ten_thousand_wrong_passwords_lock_nobody_else_out() {
    let mut drive = Drive::with(&["anna", "bert"]);
    let mut hashed = 0;
    for number in 0..10_000_u32 {
        drive.now = Time::from_millis(u64::from(number) * 10);
        let from = IpAddr::from((0xc000_0000 + number).to_be_bytes()).to_string();
        // One address a hundred times, or each another.
        let from = if number % 2 == 0 { "198.51.100.1" } else { &from };
        let conn = drive.log_in(from, false, &login("anna", "wrong"));
        if drive.hashing {
            hashed += 1;
            drive.hashed(Hashed::Fits(false));
        }
        let said = error(&drive.answer(conn).unwrap());
        assert!(["Wrong credentials", TOO_MANY].contains(&&*said), "{said}");
    }
    // 100 s of them: two windows of strangers at most, and 20 for a user.
    assert!((10..=60).contains(&hashed), "{hashed} were looked at");
    let load = drive.accounts.load_now().logins;
    assert_eq!((load.wrong, load.refused), (hashed, 10_000 - hashed));
    // The user herself from where a device of hers is, and another one from anywhere known.
    assert!(!drive.token("anna").is_empty() && !drive.token("bert").is_empty());
    assert_eq!(drive.accounts.load_now().logins.done, 2);
}

#[test]
fn c166_who_has_the_key_locks_no_user_out_at_home() {
    let mut drive = Drive::with(&["anna"]);
    drive.token("anna");
    for address in 0..100_u32 {
        for _ in 0..10 {
            let from = format!("203.0.{address}.7");
            let conn = drive.log_in(&from, true, &login("anna", "wrong"));
            if drive.hashing {
                drive.hashed(Hashed::Fits(false));
            }
            drive.answer(conn).unwrap();
        }
    }
    assert!(!drive.token("anna").is_empty());
}

/// What is known after a restart, before any of her devices calls.
#[test]
fn c216_who_has_the_key_locks_no_user_out_at_home_after_a_restart() {
    let mut drive = Drive::with(&["anna", "bert"]);
    for user in ["anna", "bert"] {
        let commits = drive.ranks.len();
        drive.token(user);
        assert_eq!(drive.ranks.len(), commits + 1, "with the token");
        let rows = drive.rows.clone();
        let token = drive.token(user);
        let differs = drive.rows.iter().filter(|(key, row)| rows.get(*key) != Some(row));
        assert_eq!(differs.count(), 1, "at home again: the token alone");
        // A password changed, or a logout, forgets no home.
        assert_eq!(drive.post("/api/logout", Some(&token), "{}").status, 200);
    }
    drive.ask(Command::Password { name: "anna".into(), password: "another one".into() });
    drive.hashed(Hashed::Made(stored("x")));
    drive.accounts = drive.restarted();
    for address in 0..100_u32 {
        for user in ["anna", "bert"] {
            let conn = drive.log_in(&format!("203.0.{address}.7"), true, &login(user, "wrong"));
            if drive.hashing {
                drive.hashed(Hashed::Fits(false));
            }
            drive.answer(conn).unwrap();
        }
    }
    assert!(!drive.token("anna").is_empty() && !drive.token("bert").is_empty());
}

#[test]
fn c166_one_network_does_not_take_what_all_strangers_have() {
    let mut drive = Drive::with(&["anna"]);
    let mut hashed = 0;
    for address in 1..=9 {
        for _ in 0..10 {
            let conn = drive.log_in(&format!("203.0.113.{address}"), false, &login("x", "wrong"));
            if drive.hashing {
                hashed += 1;
                drive.hashed(Hashed::Fits(false));
            }
            drive.answer(conn).unwrap();
        }
    }
    assert_eq!(hashed, 20);
}

pub(crate) const TOO_MANY: &str = "There were too many attempts. Try again in a few minutes.";

#[test]
fn c166_passwords_are_hashed_one_at_a_time_and_few_wait() {
    let mut drive = Drive::with(&["anna"]);
    let calls: Vec<_> = (0..20)
        .map(|at| drive.log_in(&format!("192.0.2.{at}"), true, &login("anna", "x")))
        .collect();
    let at_once = calls.iter().filter(|conn| drive.answer(**conn).is_some()).count();
    assert_eq!(at_once, 20 - 7, "one is hashed, six wait");
    // An operator is the next.
    drive.ask(Command::Add { name: "bert".into(), password: "long enough".into() });
    drive.hashed(Hashed::Fits(true));
    drive.hashed(Hashed::Made(stored("bert")));
    assert_eq!(drive.told, [Told::Done("The user was added.")]);
    (0..6).for_each(|_| drive.hashed(Hashed::Fits(true)));
    assert!(!drive.hashing);
}

/// A slow router takes a second for each: those who flood fill no place that the owner needs.
#[test]
fn c166_strangers_who_wait_leave_room_for_those_at_home() {
    let mut drive = Drive::with(&["anna"]);
    drive.token("anna");
    let flood = |drive: &mut Drive, known, network: u8| {
        for number in 0..20 {
            let from = format!("203.0.{network}.{number}");
            drive.log_in(&from, known, &login("anna", "wrong"));
        }
    };
    flood(&mut drive, false, 1);
    let known = drive.log_in("198.51.100.1", true, &login("nobody", "right"));
    flood(&mut drive, true, 2);
    let home = drive.log_in("192.0.2.1", false, &login("anna", "right"));
    assert!(drive.answer(known).is_none() && drive.answer(home).is_none(), "they wait");
    // One is being hashed; then it is her turn.
    drive.hashed(Hashed::Fits(false));
    drive.hashed(Hashed::Fits(true));
    assert!(!text(&drive.answer(home).unwrap(), "access_token").is_empty());
}

#[test]
fn c166_who_has_no_account_is_told_no_sooner() {
    let mut drive = Drive::with(&["anna"]);
    let conn = drive.log_in("192.0.2.1", true, &login("nobody", "x"));
    assert!(drive.hashing && drive.answer(conn).is_none());
    drive.hashed(Hashed::Fits(true));
    assert_eq!(error(&drive.answer(conn).unwrap()), "Wrong credentials");
    let conn = drive.log_in("192.0.2.1", true, &login("anna", "x"));
    drive.hashed(Hashed::Failed);
    assert!(error(&drive.answer(conn).unwrap()).contains("no memory"));
    assert_eq!(drive.post("/api/login", None, "{").status, 400);
    let long = login("anna", &"x".repeat(257));
    assert_eq!(error(&drive.post("/api/login", None, &long)), "Wrong credentials");
}

#[test]
fn c167_operators_are_told_what_they_may_not() {
    let mut drive =
        Drive::new(AccountLimits { users: 2, password_kib: 4096, ..AccountLimits::default() });
    let refused = |told: Told, said: &str| match told {
        Told::Refused(why) => assert!(why.contains(said), "{why}"),
        told => panic!("{told:?}"),
    };
    assert_eq!(drive.add("anna"), Told::Done("The user was added."));
    refused(drive.add("anna"), "already");
    refused(drive.add("a b"), "must be a name");
    drive.add("bert");
    refused(drive.add("carl"), "--max-users");
    drive.ask(Command::Add { name: "x".into(), password: "short".into() });
    let told = |drive: &mut Drive, command| {
        drive.ask(command);
        drive.told.pop().unwrap()
    };
    drive.told.clear();
    for field in ["admin=maybe", "colour=red", "group=a b", "note", &format!("note={:257}", "x")] {
        refused(told(&mut drive, Command::Set("anna".into(), field.into())), "': must be");
    }
    refused(told(&mut drive, Command::Remove("carl".into())), "no such user");
    assert_eq!(drive.accounts.load_now().users, 2);
}

#[test]
fn c167_what_operators_change_holds_at_once_and_after_a_restart() {
    let mut drive = Drive::with(&["anna", "bert"]);
    let (anna, bert) = (drive.token("anna"), drive.token("bert"));
    for field in ["display=Anna B.", "group=sales", "admin=yes", "email=a@b"] {
        drive.ask(Command::Set("anna".into(), field.into()));
    }
    let again = drive.restarted();
    let who = again.who(drive.now, &anna).unwrap();
    assert_eq!((who.name, who.group, who.is_admin), ("anna", "sales", true));
    drive.ask(Command::Disable("anna".into(), true));
    assert!(drive.accounts.who(drive.now, &anna).is_err());
    let conn = drive.log_in("192.0.2.1", true, &login("anna", "right"));
    drive.hashed(Hashed::Fits(true));
    assert_eq!(error(&drive.answer(conn).unwrap()), "This account is disabled.");
    drive.ask(Command::Disable("anna".into(), false));
    let anna = drive.token("anna");
    drive.ask(Command::Password { name: "anna".into(), password: "another one".into() });
    drive.hashed(Hashed::Made(stored("x")));
    drive.ask(Command::Remove("bert".into()));
    for gone in [&anna, &bert] {
        assert!(drive.accounts.who(drive.now, gone).is_err());
        assert!(drive.restarted().who(drive.now, gone).is_err());
    }
    drive.ask(Command::List);
    let Some(Told::Users(rows)) = drive.told.pop() else { panic!() };
    assert_eq!(rows.iter().map(|row| &*row.name).collect::<Vec<_>>(), ["anna"]);
    assert_eq!((&*rows[0].display, rows[0].tokens), ("Anna B.", 0));
}

#[test]
fn c168_tokens_end_and_the_oldest_give_way() {
    let mut drive = Drive::with(&["anna"]);
    let first = drive.token("anna");
    assert_eq!(drive.accounts.load_now().tokens, 1);
    // The same device has one.
    let second = drive.token("anna");
    assert!(drive.accounts.who(drive.now, &first).is_err());
    let later = Time::from_millis(TOKEN_SECS * 1000);
    assert!(drive.accounts.who(Time::from_millis((TOKEN_SECS - 1) * 1000), &second).is_ok());
    assert!(drive.accounts.who(later, &second).is_err());
    drive.accounts.set_epoch_secs(0);
    assert!(drive.accounts.who(drive.now, &second).unwrap_err().contains("clock"));
    let answer = drive.post("/api/currentUser", Some(&second), "{}");
    assert_eq!(answer.status, 200, "who is told 401 logs out");
    assert!(error(&answer).contains("clock"));
    assert!(error(&drive.post("/api/login", None, &login("anna", "right"))).contains("clock"));
}

/// On a router without a battery, before its clock is set.
#[test]
fn c220_without_a_clock_a_password_and_a_code_are_not_judged_and_it_is_said_why() {
    let mut drive = Drive::with(&["anna"]);
    drive.ask(Command::Totp("anna".into(), true));
    let asked = drive.log_in("192.0.2.1", true, &login("anna", "right"));
    drive.hashed(Hashed::Fits(true));
    let secret = text(&drive.answer(asked).unwrap(), "secret");
    let code = format!(r#"{{"type":"email_code","tfaCode":"000000","secret":"{secret}"}}"#);
    drive.accounts.set_epoch_secs(0);
    for body in [&code, &login("anna", "right")] {
        let said = error(&drive.post("/api/login", None, body));
        assert!(said.contains("clock of the server is not set"), "{said}");
    }
    assert!(!drive.hashing);
    // Nothing was counted against her.
    drive.accounts.set_epoch_secs(NOW);
    assert_eq!(drive.accounts.load_now().logins.wrong, 0);
    assert!(error(&drive.post("/api/login", None, &code)).contains("code is wrong"));
}

#[test]
fn c165_what_is_not_stored_is_taken_back_and_told() {
    let mut drive = Drive::with(&["anna"]);
    let before = drive.rows.clone();
    for outcome in [SaveOutcome::Failed, SaveOutcome::Postponed] {
        drive.outcome = outcome;
        let conn = drive.log_in("192.0.2.1", true, &login("anna", "right"));
        drive.hashed(Hashed::Fits(true));
        assert!(error(&drive.answer(conn).unwrap()).contains("could not store"));
        assert!(matches!(drive.add("bert"), Told::Refused(_)));
        drive.ask(Command::Remove("anna".into()));
        assert!(matches!(drive.told.pop(), Some(Told::Refused(_))));
        let load = drive.accounts.load_now();
        assert_eq!((load.users, load.tokens), (1, 0));
    }
    assert_eq!(drive.rows, before);
    drive.outcome = SaveOutcome::Durable;
    let commits = drive.ranks.len();
    let token = drive.token("anna");
    assert_eq!(drive.ranks.len() - commits, 1);
    assert_eq!(drive.post("/api/logout", Some(&token), "{}"), Answer::empty());
    assert_eq!(drive.restarted().load_now().tokens, 0);
}

#[test]
fn c169_a_code_is_asked_for_behind_the_password() {
    let mut drive = Drive::with(&["anna"]);
    drive.ask(Command::Totp("anna".into(), true));
    let Some(Told::Totp(uri)) = drive.told.pop() else { panic!() };
    assert!(uri.starts_with("otpauth://totp/hbb:anna?secret="), "{uri}");
    let conn = drive.log_in("192.0.2.1", true, &login("anna", "right"));
    drive.hashed(Hashed::Fits(true));
    let asked = drive.answer(conn).unwrap();
    let kind = [text(&asked, "type"), text(&asked, "tfa_type")];
    assert_eq!(kind, ["email_check", "tfa_check"]);
    assert_eq!(drive.accounts.load_now().tokens, 0);
    let second = |secret: &str, code: &str| {
        format!(
            r#"{{"username":"anna","verificationCode":"","tfaCode":"{code}","secret":"{secret}",
            "type":"email_code","id":"1","uuid":"MTIz"}}"#
        )
    };
    let secret = text(&asked, "secret");
    for _ in 0..5 {
        let answer = drive.post("/api/login", None, &second(&secret, "abcdef"));
        assert!(error(&answer).contains("code is wrong"));
    }
    // It was tried often enough, and another secret was never given.
    for secret in [&secret, "0"] {
        let answer = drive.post("/api/login", None, &second(secret, "000000"));
        assert!(error(&answer).contains("Log in again"));
    }
    // The telephone goes on with the secret that it has.
    let rows = drive.rows.clone();
    drive.ask(Command::Totp("anna".into(), true));
    let Some(Told::Refused(said)) = drive.told.pop() else { panic!("another secret") };
    assert!(said.contains("'hbb ctl user totp NAME off'") && drive.rows == rows, "{said}");
    drive.ask(Command::Totp("anna".into(), false));
    assert!(!drive.token("anna").is_empty());
    drive.told.clear();
    drive.ask(Command::Totp("anna".into(), true));
    assert!(matches!(drive.told.pop(), Some(Told::Totp(other)) if other != uri));
}
