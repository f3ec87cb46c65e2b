//! A server's accounts with a user, her token and her address book, for calls that strangers make
//! up; what it stores, and whether that is all there is.

use std::collections::BTreeMap;

use hbb_core::accounts::call::{Answer, Call, Door, HttpCall, Source};
use hbb_core::accounts::devices::claim;
use hbb_core::accounts::{Accounts, Command, Effect, Effects, Hashed, Input};
use hbb_core::base::conn::{Conn, SaveOutcome};
use hbb_core::base::json::Value;
use hbb_core::base::limits::{AccountLimits, BookLimits, Limits};
use hbb_core::base::table::Seed;
use hbb_core::base::time::Time;
use hbb_core::journal::Journal;

/// Small, so that short calls reach them.
const LIMITS: AccountLimits = AccountLimits {
    users: 2,
    password_kib: 4096,
    books: BookLimits { entries: 8, book_bytes: 4096, all_bytes: 6000, whole_bytes: 2048 },
};
const UNIX_SECS: u64 = 1_800_000_000;
/// What a call shows instead of her token, and names instead of her book.
const TOKEN: &str = "T";
const BOOK: &str = "BOOK";

pub(crate) struct Office {
    accounts: Accounts,
    journal: Journal,
    now: Time,
    slot: u32,
    rows: BTreeMap<Vec<u8>, Vec<u8>>,
    token: String,
    book: String,
}

impl Office {
    pub(crate) fn new() -> Self {
        let mut accounts = Accounts::new(LIMITS, Seed(1, 2), [3; 32]);
        accounts.set_epoch_secs(UNIX_SECS);
        let mut office = Self {
            accounts,
            journal: Journal::new(&Limits::default(), true, Seed(1, 2)),
            now: Time::START,
            slot: 0,
            rows: BTreeMap::new(),
            token: String::new(),
            book: String::new(),
        };
        let (name, password) = ("anna".into(), "long enough".into());
        office.give(Input::Asked(Command::Add { name, password }), false);
        let login = r#"{"username":"anna","password":"x","id":"1"}"#;
        office.token = text(&office.ask("/api/login", None, login), "access_token");
        let token = Some(TOKEN.to_owned());
        office.book = text(&office.ask("/api/ab/personal", token, ""), "guid");
        office
    }

    fn ask(&mut self, path: &str, token: Option<String>, body: &str) -> Answer {
        let mut call = HttpCall::new("POST", path, None, body.into());
        call.token = token;
        self.call(&mut call)
    }

    /// Each call is an hour later, so that what devices tell is stored; the store fails each fifth
    /// time. It is answered once.
    pub(crate) fn call(&mut self, call: &mut HttpCall) -> Answer {
        self.slot += 1;
        self.now = self.now.after_ms(3_600_000);
        if call.token.as_deref() == Some(TOKEN) {
            call.token = Some(self.token.clone());
        }
        call.target = call.target.replacen(BOOK, &self.book, 1);
        let source = Source { ip: [192, 0, 2, 1].into(), known: true, door: Door::Http };
        let call = Call::new(call, source);
        // As if each device proved itself by what it says.
        self.accounts.set_device(claim(&call).map(|claim| claim.id));
        let conn = Conn { slot: self.slot, generation: 0 };
        let mut answers = self.give(Input::Call(conn, call), self.slot.is_multiple_of(5));
        if let Some((id, audit)) = self.accounts.take_audit() {
            self.journal.report(self.now, &id, audit);
        }
        assert!(answers.len() == 1 && answers[0].0 == conn, "{} answers", answers.len());
        answers.remove(0).1
    }

    fn give(&mut self, input: Input<'_>, fails: bool) -> Vec<(Conn, Answer)> {
        let (mut effects, mut answers) = (Effects::new(), Vec::new());
        self.accounts.handle(self.now, input, &mut effects);
        while let Some(effect) = effects.pop_front() {
            let again = match effect {
                Effect::Answer(conn, answer) => {
                    answers.push((conn, answer));
                    continue;
                }
                // Every password is right; that of a new user is stored as the thread makes it.
                Effect::Hash(_) if self.token.is_empty() && self.rows.is_empty() => {
                    let (kib, rounds) = (4096_u32.to_le_bytes(), 9_u32.to_le_bytes());
                    Input::Hashed(Hashed::Made([&[1][..], &kib, &rounds, &[7; 48]].concat()))
                }
                Effect::Hash(_) => Input::Hashed(Hashed::Fits(true)),
                Effect::Save { ticket, .. } if fails => Input::Saved(ticket, SaveOutcome::Failed),
                Effect::Save { ticket, rows, .. } => {
                    for row in rows {
                        match row.value {
                            Some(value) => drop(self.rows.insert(row.key, value)),
                            None => drop(self.rows.remove(&row.key)),
                        }
                    }
                    Input::Saved(ticket, SaveOutcome::Durable)
                }
                _ => continue,
            };
            self.accounts.handle(self.now, again, &mut effects);
        }
        answers
    }

    /// What is stored is what is known, and good for a start.
    pub(crate) fn check(&self) {
        let mut again = Accounts::new(LIMITS, Seed(5, 6), [8; 32]);
        again.set_epoch_secs(UNIX_SECS);
        for (key, value) in &self.rows {
            assert!(again.load(key, Some(value)), "{key:?} {value:?}");
        }
        let (here, there) = (self.accounts.load_now(), again.load_now());
        assert_eq!((here.users, here.tokens), (there.users, there.tokens));
        assert!(here.users <= LIMITS.users && here.tokens <= 16, "{here:?}");
        let who = |accounts: &Accounts| {
            accounts.who(self.now, &self.token).map(|who| who.name.to_owned())
        };
        assert_eq!(who(&self.accounts), who(&again));
    }
}

fn text(answer: &Answer, name: &str) -> String {
    let body = str::from_utf8(&answer.body).unwrap();
    Value::parse(body).unwrap().text_of(name).unwrap_or_else(|| panic!("{body}")).into_owned()
}
