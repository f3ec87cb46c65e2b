//! Who has an account, who is logged in, and what users and operators may ask: a pure machine that
//! knows no socket, clock, file or thread. Calls of the API come in, answers and changes of rows go
//! out; a change is answered when it is durable. C165-C179.

mod access;
mod admin;
pub mod books;
pub mod call;
pub mod devices;
mod router;
mod row;

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use heapless::Deque;

use crate::base::conn::{Conn, SaveOutcome, SaveRank, Ticket};
use crate::base::limits::{ACCOUNT_EFFECTS_MAX, AccountLimits, SAVES_WAITING_MAX};
use crate::base::peer::PeerId;
use crate::base::rows::RowChange;
use crate::base::table::Seed;
use crate::base::time::Time;
use crate::identity::seal::Secrets;
use crate::journal::Audit;

pub use access::attempts::LoginCounts;
use access::attempts::Logins;
use access::password::Cost;
pub use access::password::{HashJob, Hashed};
use access::tokens::{TOKEN_KEY, Tokens};
use access::users::{USER_KEY, Users};
pub use admin::{Command, GroupRow, NO_USER, Told, UserRow};
use books::{BOOK_KEY, Books};
use call::{Answer, Call, Changes, Who};
use devices::{DEVICE_KEY, DeviceRow, Devices, GROUP_KEY};

/// What happens to the accounts.
pub enum Input<'a> {
    /// A call came on a connection; an answer follows, at once or later.
    Call(Conn, Call<'a>),
    /// An operator wants something; [`Effect::Told`] follows. They come one at a time.
    Asked(Command),
    /// The job that was handed out last is done.
    Hashed(Hashed),
    /// The store is done with rows.
    Saved(Ticket, SaveOutcome),
    /// A device goes by another id from now on, or by none: it was forgotten.
    Moved(&'a PeerId, Option<&'a PeerId>),
}

/// What the accounts want done.
pub enum Effect {
    /// Answer the call that came on this connection.
    Answer(Conn, Answer),
    /// Answer the operator.
    Told(Told),
    /// Make rows durable, all of them or none, then give `Saved`.
    Save {
        /// Comes back with `Saved`; never used twice.
        ticket: Ticket,
        /// What to store.
        rows: Vec<RowChange>,
        /// Whose turn it is when others wait too.
        rank: SaveRank,
    },
    /// Run this on a thread that serves nobody, then give `Hashed`.
    Hash(HashJob),
    /// Something an operator may want to read.
    Report(AccountEvent),
}

/// What happened, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountEvent {
    /// Somebody logged in.
    LoggedIn {
        /// As whom.
        user: String,
        /// From where.
        from: IpAddr,
    },
    /// Somebody showed a wrong password or code.
    LoginFailed {
        /// For whom, if there is such a user.
        user: Option<String>,
        /// From where.
        from: IpAddr,
    },
    /// There were too many logins, of one kind or another: this one was not looked at.
    LoginsTooMany {
        /// From where.
        from: IpAddr,
    },
    /// Rows were not stored; what they changed was taken back.
    NotSaved,
}

/// What one input led to, in order.
pub type Effects = Deque<Effect, ACCOUNT_EFFECTS_MAX>;

/// Where the numbers of its tickets begin, so that one store serves other machines as well.
const TICKETS_BEGIN: u64 = 1 << 63;

const NOT_STORED: &str = "The server could not store this. Try again.";
const BUSY: &str = "The server is busy. Try again.";
const CLOCK: &str = "The clock of the server is not set yet. Try again in a few minutes.";
/// Why a session is refused, as the person reads it (C172).
const LOG_IN: &str = "This server connects only users who are logged in. Log in under Settings, \
                      Account.";

/// Who waits for an answer, and the answer.
enum Whom {
    Call(Conn, Answer),
    Operator(Told),
    /// What devices told, or what became of one.
    Nobody,
}

/// What waits for the store.
struct Saving {
    whom: Whom,
    before: Vec<RowChange>,
}

/// How many there are, and what they did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccountLoad {
    /// Users.
    pub users: usize,
    /// Tokens that were given and not taken back.
    pub tokens: usize,
    /// Logins since start.
    pub logins: LoginCounts,
}

/// The accounts machine.
pub struct Accounts {
    limits: AccountLimits,
    users: Users,
    tokens: Tokens,
    logins: Logins,
    books: Books,
    devices: Devices,
    /// The device that the next call is of, which proved itself.
    device: Option<PeerId>,
    secrets: Secrets,
    /// In the order they were given, [`SAVES_WAITING_MAX`] at most.
    saving: Vec<(Ticket, Saving)>,
    tickets: u64,
    epoch_secs: u64,
}

impl Accounts {
    /// Nobody has an account. `seed` keys the tables; tokens and salts are drawn from `entropy`:
    /// both must be secret.
    pub fn new(limits: AccountLimits, seed: Seed, entropy: [u8; 32]) -> Self {
        Self {
            users: Users::new(limits.users),
            tokens: Tokens::new(),
            logins: Logins::new(seed),
            books: Books::new(limits.books, seed),
            devices: Devices::new(seed),
            device: None,
            secrets: Secrets::new(entropy),
            saving: Vec::new(),
            tickets: TICKETS_BEGIN,
            epoch_secs: 0,
            limits,
        }
    }

    /// Takes in what a row says, at start; false for one that says nothing here.
    pub fn load(&mut self, key: &[u8], value: Option<&[u8]>) -> bool {
        let Some((kind, name)) = key.split_first() else { return false };
        let Ok(name) = core::str::from_utf8(name) else { return false };
        match *kind {
            USER_KEY => self.users.load(name, value),
            TOKEN_KEY => self.tokens.load(name, value),
            BOOK_KEY => self.books.load(name, value),
            DEVICE_KEY => self.devices.load(name, value),
            GROUP_KEY => self.devices.groups.load(name, value),
            _ => false,
        }
    }

    /// Whether [`Effect::Save`] gave this ticket.
    pub const fn gave(ticket: Ticket) -> bool {
        ticket.0 > TICKETS_BEGIN
    }

    /// Changes limits. Nothing is lost, also where one is lower than before.
    pub fn reconfigure(&mut self, limits: AccountLimits) {
        self.users.set_limit(limits.users);
        self.books.set_limits(limits.books);
        self.limits = limits;
    }

    /// Sets the Unix time of [`Time::START`], in seconds; 0 while the clock is not set.
    pub fn set_epoch_secs(&mut self, epoch_secs: u64) {
        self.epoch_secs = epoch_secs;
    }

    /// How many there are, and what they did.
    pub fn load_now(&self) -> AccountLoad {
        let (users, tokens) = (self.users.len(), self.tokens.len());
        AccountLoad { users, tokens, logins: self.logins.counts }
    }

    /// Takes one input; at most [`ACCOUNT_EFFECTS_MAX`] effects follow.
    pub fn handle(&mut self, now: Time, input: Input<'_>, effects: &mut Effects) {
        match input {
            Input::Call(conn, call) => {
                let mut changes = Changes::default();
                if let Some(answer) = self.route(now, (conn, &call), &mut changes, effects) {
                    let user = self.user_of(now, &call);
                    let rank = self.rank(now, user.as_deref(), &changes);
                    self.finish(Whom::Call(conn, answer), changes, rank, effects);
                }
            }
            Input::Asked(command) => self.asked(&command, effects),
            Input::Hashed(hashed) => self.hashed(now, &hashed, effects),
            Input::Saved(ticket, outcome) => self.saved(ticket, outcome, effects),
            Input::Moved(from, to) => self.moved(from, to, effects),
        }
        self.save_devices(now, effects);
        if let Some(job) = self.logins.next() {
            push(effects, Effect::Hash(job));
        }
    }

    /// The next call is of this device, which proved itself.
    pub fn set_device(&mut self, device: Option<PeerId>) {
        self.device = device;
    }

    /// What a device reported with the last input, told once.
    pub fn take_audit(&mut self) -> Option<(PeerId, Audit)> {
        self.devices.take_audit()
    }

    /// What devices told of themselves.
    pub fn device(&self, id: &PeerId) -> Option<DeviceRow> {
        self.devices.row(id)
    }

    /// The group that an operator put a device in; empty for none.
    pub fn group_of(&self, id: &PeerId) -> &str {
        self.devices.groups.get(id.as_str())
    }

    /// An operator wants everybody off a device; false if nobody is known to be connected to it.
    pub fn end_connections(&mut self, now: Time, id: &PeerId) -> bool {
        self.devices.end_connections(now, id)
    }

    /// What is known of a device goes with it: its group, and who is logged in there.
    fn moved(&mut self, from: &PeerId, to: Option<&PeerId>, effects: &mut Effects) {
        self.devices.moved(from, to);
        let (groups, mut changes) = (&mut self.devices.groups, Changes::default());
        let group = String::from(groups.get(from.as_str()));
        groups.put(from, "", &mut changes);
        if let Some(to) = to {
            self.tokens.moved(from.as_str(), to.as_str(), &mut changes);
            // Else an operator may have put the new id into one.
            if !group.is_empty() {
                groups.put(to, &group, &mut changes);
            }
        }
        // What an operator had forgotten is in no group.
        let rank = if to.is_none() { SaveRank::Operator } else { SaveRank::Known };
        self.finish(Whom::Nobody, changes, rank, effects);
    }

    fn save_devices(&mut self, now: Time, effects: &mut Effects) {
        // A password to be hashed may follow.
        if self.saving.len() >= SAVES_WAITING_MAX || effects.len() + 2 > ACCOUNT_EFFECTS_MAX {
            return;
        }
        let rows = self.devices.rows(now);
        if !rows.is_empty() {
            self.tickets += 1;
            let ticket = Ticket(self.tickets);
            self.saving.push((ticket, Saving { whom: Whom::Nobody, before: Vec::new() }));
            // Of no account that anybody waits for: it is put off first.
            push(effects, Effect::Save { ticket, rows, rank: SaveRank::Stranger });
        }
    }

    /// Who shows this token.
    ///
    /// # Errors
    /// What to say to the person: it is none of a user who may log in, or the clock is not set.
    pub fn who(&self, now: Time, token: &str) -> Result<Who<'_>, &'static str> {
        let now_secs = self.unix_secs(now).ok_or(CLOCK)?;
        let token = self.tokens.get(token, now_secs).ok_or(LOG_IN)?;
        self.users.who(token.user()).ok_or(LOG_IN)
    }

    /// Unix time, in seconds; None while the clock is not set.
    fn unix_secs(&self, now: Time) -> Option<u64> {
        (self.epoch_secs > 0).then(|| self.epoch_secs.saturating_add(now.as_millis() / 1000))
    }

    /// Whose turn it is with what a user changed; nobody is whoever logged out by it, and must not
    /// be back.
    fn rank(&mut self, now: Time, user: Option<&str>, changes: &Changes) -> SaveRank {
        match user {
            None => SaveRank::Operator,
            Some(user) if !changes.is_empty() => self.logins.changed(now, user),
            Some(_) => SaveRank::Known,
        }
    }

    const fn cost(&self) -> Cost {
        Cost::of_kib(self.limits.password_kib)
    }

    /// Answers at once if nothing changed, else when that is durable.
    fn finish(&mut self, whom: Whom, changes: Changes, rank: SaveRank, effects: &mut Effects) {
        if changes.is_empty() {
            return tell(whom, None, effects);
        }
        let Changes { rows, before } = changes;
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        // An operator has room where clients have none, and they where one of them fills it.
        if self.saving.len() + rank as usize * 8 >= SAVES_WAITING_MAX {
            self.take_back(before, SAVES_WAITING_MAX);
            return tell(whom, Some(BUSY), effects);
        }
        self.saving.push((ticket, Saving { whom, before }));
        push(effects, Effect::Save { ticket, rows, rank });
    }

    fn saved(&mut self, ticket: Ticket, outcome: SaveOutcome, effects: &mut Effects) {
        let Some(at) = self.saving.iter().position(|(given, _)| *given == ticket) else { return };
        let (_, Saving { whom, before }) = self.saving.remove(at);
        // What devices told has nothing before it.
        if matches!(whom, Whom::Nobody) && before.is_empty() {
            return self.devices.stored(outcome == SaveOutcome::Durable);
        }
        if outcome == SaveOutcome::Durable {
            return tell(whom, None, effects);
        }
        self.take_back(before, at);
        push(effects, Effect::Report(AccountEvent::NotSaved));
        tell(whom, Some(NOT_STORED), effects);
    }

    /// Makes rows again what they were, the last change first; but what was given to the store
    /// since, from `later` on, stands, and would be taken back to this.
    fn take_back(&mut self, before: Vec<RowChange>, later: usize) {
        for row in before.into_iter().rev() {
            let since = self.saving.iter_mut().skip(later).flat_map(|(_, it)| &mut it.before);
            match since.into_iter().find(|it| it.key == row.key) {
                Some(it) => it.value = row.value,
                None => drop(self.load(&row.key, row.value.as_deref())),
            }
        }
    }
}

/// Gives whoever waits the answer, or why there is another.
fn tell(whom: Whom, instead: Option<&'static str>, effects: &mut Effects) {
    push(
        effects,
        match whom {
            Whom::Call(conn, answer) => Effect::Answer(conn, instead.map_or(answer, Answer::error)),
            Whom::Operator(told) => {
                Effect::Told(instead.map_or(told, |said| Told::Refused(said.into())))
            }
            Whom::Nobody => return,
        },
    );
}

/// Adds an effect. No input has more than [`ACCOUNT_EFFECTS_MAX`]; a debug build checks that.
fn push(effects: &mut Effects, effect: Effect) {
    let pushed = effects.push_back(effect).is_ok();
    debug_assert!(pushed, "more effects than ACCOUNT_EFFECTS_MAX");
}
