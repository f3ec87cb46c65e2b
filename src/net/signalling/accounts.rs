//! The accounts machine beside the rendezvous, in the same task: calls and operators' commands go
//! in, answers, rows for the store and passwords to be hashed come out. It decides nothing.

use core::task::{Context, Poll};

use hbb_core::accounts::call::Call;
use hbb_core::accounts::{
    AccountLoad, Accounts, Command, Effect, Effects, HashJob, Hashed, Input, Told,
};
use hbb_core::base::conn::{Conn, SaveOutcome, Ticket};
use hbb_core::base::limits::PASSWORD_STACK_BYTES;
use hbb_core::base::peer::{Change, PeerId};
use hbb_core::base::places::SlotTable;
use hbb_core::base::time::Time;
use hbb_core::rendezvous::Caller;
use hbb_core::wire::message::access_token;
use hbb_core::wire::request::Request;

use crate::config::AccountSettings;
use crate::net::clock::Clock;
use crate::net::message::{Answer, AnswerTo};
use crate::net::report;
use crate::net::store::{PendingChange, StoreThread};
use crate::net::tasks::queue::{Receiver, Sender, bounded};
use crate::net::tasks::thread;

/// What operators are told where nobody has an account.
const OFF: &str = "This server has no accounts: start it with --accounts.";

/// The machine, if there are accounts, and who waits for what it says.
pub(crate) struct Accounting {
    /// Whether only users who are logged in may connect.
    must_login: bool,
    machine: Option<&'static mut Accounts>,
    effects: Effects,
    clock: Clock,
    waiting: SlotTable<AnswerTo>,
    /// An operator who waits: they come one at a time.
    operator: Option<AnswerTo>,
    /// Hears of the one password that is being hashed.
    hashed: (Sender<Answer>, Receiver<Answer>),
}

impl Accounting {
    pub(crate) fn new(
        machine: Option<&'static mut Accounts>,
        must_login: bool,
        clock: Clock,
    ) -> Self {
        let (waiting, hashed) = (SlotTable::new(), bounded(1));
        Self {
            must_login,
            machine,
            effects: Effects::new(),
            clock,
            waiting,
            operator: None,
            hashed,
        }
    }

    /// New settings.
    pub(super) fn reconfigure(&mut self, settings: &AccountSettings) {
        self.must_login = settings.must_login;
        if let Some(machine) = &mut self.machine {
            machine.reconfigure(settings.limits);
        }
    }

    /// How many there are; None without accounts.
    pub(super) fn load(&self) -> Option<Box<AccountLoad>> {
        self.machine.as_ref().map(|machine| Box::new(machine.load_now()))
    }

    /// Who asks to connect with this payload, which says this (C172, C217).
    pub(super) fn caller(&mut self, payload: &[u8], request: &Request<'_>) -> Caller {
        let (now, epoch_secs, must_login) =
            (self.clock.now(), self.clock.epoch_secs(), self.must_login);
        let Some(machine) = self.machine() else { return Caller::default() };
        let mut caller = Caller { reports: true, ..Caller::default() };
        let token = access_token(payload).unwrap_or_default();
        match machine.who(now, token) {
            Ok(who) => (caller.user, caller.group) = (Some(who.name.into()), who.group.into()),
            Err(said) => {
                caller.barred = must_login.then_some(said);
                caller.doubt = (!token.is_empty() && epoch_secs == 0).then_some(said);
            }
        }
        let to = match request {
            Request::PunchHole(wish) => wish.target.value(),
            Request::RequestRelay(wish) => wish.target.value(),
            _ => None,
        };
        caller.to_group = to.map_or("", |to| machine.group_of(to)).into();
        caller
    }

    /// Whether anybody may have an account.
    pub(super) const fn are_on(&self) -> bool {
        self.machine.is_some()
    }

    /// Whether a token is an administrator's.
    pub(super) fn is_admin(&mut self, token: &str) -> bool {
        let now = self.clock.now();
        self.machine().is_some_and(|it| it.who(now, token).is_ok_and(|who| who.is_admin))
    }

    /// Ready when a password was hashed.
    pub(super) fn poll_hashed(&self, context: &Context<'_>) -> Poll<Hashed> {
        loop {
            match self.hashed.1.poll_recv(context) {
                Poll::Ready(Some(Answer::Hashed(hashed))) => return Poll::Ready(hashed),
                Poll::Ready(Some(_)) => {}
                Poll::Ready(None) | Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// A call came; with the device that proved itself by it, if one did.
    pub(super) fn call(
        &mut self,
        conn: Conn,
        (call, device): (Call<'_>, Option<PeerId>),
        to: AnswerTo,
        store: &StoreThread,
    ) {
        self.waiting.insert(conn, to);
        if let Some(machine) = &mut self.machine {
            machine.set_device(device);
        }
        self.handle(Input::Call(conn, call), store);
    }

    /// The machine, if there are accounts, which knows what time it is.
    pub(super) fn machine(&mut self) -> Option<&mut Accounts> {
        let machine = self.machine.as_deref_mut()?;
        machine.set_epoch_secs(self.clock.epoch_secs());
        Some(machine)
    }

    /// An operator wants something.
    pub(super) fn asked(&mut self, command: Command, to: AnswerTo, store: &StoreThread) {
        if self.machine.is_none() {
            let _ = to.try_send(Answer::Accounts(Told::Refused(OFF.into())));
            return;
        }
        self.operator = Some(to);
        self.handle(Input::Asked(command), store);
    }

    /// The store is done; false if that was nothing of the accounts.
    pub(super) fn saved(
        &mut self,
        ticket: Ticket,
        outcome: SaveOutcome,
        store: &StoreThread,
    ) -> bool {
        let is_ours = Accounts::gave(ticket);
        if is_ours {
            self.handle(Input::Saved(ticket, outcome), store);
        }
        is_ours
    }

    /// Something happened.
    pub(super) fn handle(&mut self, input: Input<'_>, store: &StoreThread) {
        let now = self.clock.now();
        let Some(machine) = &mut self.machine else { return };
        machine.set_epoch_secs(self.clock.epoch_secs());
        machine.handle(now, input, &mut self.effects);
        self.carry_out(now, store);
    }

    /// Does what the machine wants. A save that is refused, and a thread there is none for, come
    /// back to it, whose effects are carried out too; those hold neither.
    fn carry_out(&mut self, now: Time, store: &StoreThread) {
        while let Some(effect) = self.effects.pop_front() {
            let again = match effect {
                Effect::Answer(conn, answer) => {
                    if let Some(to) = self.waiting.remove(conn) {
                        let _ = to.try_send(Answer::Called(answer));
                    }
                    None
                }
                Effect::Told(told) => {
                    if let Some(to) = self.operator.take() {
                        let _ = to.try_send(Answer::Accounts(told));
                    }
                    None
                }
                Effect::Save { ticket, rows, rank } => {
                    let change = PendingChange { rank, ticket, change: Change::Rows(rows) };
                    let refused = store.save(change).is_err();
                    refused.then_some(Input::Saved(ticket, SaveOutcome::Failed))
                }
                Effect::Hash(job) => (!self.hash(job)).then_some(Input::Hashed(Hashed::Failed)),
                Effect::Report(event) => {
                    report::account(&event);
                    None
                }
            };
            if let (Some(input), Some(machine)) = (again, &mut self.machine) {
                machine.handle(now, input, &mut self.effects);
            }
        }
    }

    /// Has a password hashed on a thread of its own; false if there is none to be had.
    fn hash(&self, job: HashJob) -> bool {
        let to = self.hashed.0.clone();
        let run = move || {
            // There is room: one is hashed at a time.
            let _ = to.try_send(Answer::Hashed(job.run()));
        };
        thread::start("password", PASSWORD_STACK_BYTES, Box::new(run)).is_ok()
    }
}
