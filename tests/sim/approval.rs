//! Worlds in which devices wait for an operator (`--private`) and only users who are logged in may
//! connect (`--must-login`), with the rules "nobody is dialled whom no operator let in", "who was
//! let in is not turned away" and "who is not logged in gets through to nobody".

use std::collections::BTreeMap;
use std::net::IpAddr;

use hbb_core::base::address::Endpoint;
use hbb_core::base::conn::Ticket;
use hbb_core::base::peer::{PeerId, Record};
use hbb_core::rendezvous::{Approval, Caller, Effects};
use hbb_core::wire::reply::Reply;

use crate::cause::{Author, Cause, Kind};
use crate::ledger::Ledger;
use crate::say::{self, Body};
use crate::server::{Deed, Server};
use crate::world::World;

/// What the people read who are not logged in.
const LOG_IN: &str = "Log in.";

/// See the file's head.
#[derive(Default)]
pub(crate) struct Approvals {
    /// Whether only users who are logged in may connect.
    must_login: bool,
    /// Whether the input at hand is of somebody who is not.
    barred: bool,
    /// What an operator let in, on its way to disk.
    saving: BTreeMap<u64, Record>,
    /// How many were let in, and how many dials were refused.
    pub(crate) done: u64,
    pub(crate) barred_dials: u64,
}

impl Approvals {
    /// Nothing is on its way any more.
    pub(crate) fn clear(&mut self) {
        self.saving.clear();
    }

    /// What follows is nobody's input.
    pub(crate) const fn nobody_asks(&mut self) {
        self.barred = false;
    }

    /// Whether the input at hand is of somebody who must log in first.
    pub(crate) const fn bars(&self) -> bool {
        self.barred
    }

    /// Judges what is sent because of somebody's input.
    pub(crate) fn judge(&mut self, cause: &Cause, reply: &Reply) {
        let asks = matches!(cause.kind, Kind::Punch(_, true) | Kind::Relay(_));
        if !self.barred || !asks {
            return;
        }
        match reply {
            Reply::Denied { said, .. } => {
                assert_eq!(&**said, LOG_IN, "{cause:?}");
                self.barred_dials += 1;
            }
            Reply::Punch(_) | Reply::FetchLocalAddr { .. } | Reply::PunchAnswer(_) => {
                panic!("nobody is logged in: {cause:?}")
            }
            Reply::Forward(payload) => {
                let Body::RelayResponse(_) = say::read(payload) else {
                    panic!("nobody is logged in: {cause:?}")
                };
            }
            _ => {}
        }
    }
}

impl Ledger {
    /// A device that nobody stored is about to be: an operator let it in, where that is asked.
    pub(crate) fn joins(&mut self, ticket: Ticket, record: &Record, cause: &Cause) {
        let known = self.acked.contains_key(&record.id);
        if matches!(cause.kind, Kind::Approved) {
            assert!(!known, "{} is somebody's, and given to another", record.id);
            self.approvals.saving.insert(ticket.0, record.clone());
        } else if self.policy.private {
            assert!(known, "{} is stored and nobody let it in", record.id);
        }
    }

    /// What an operator wished is durable, or came to nothing; whether it was one's wish.
    pub(crate) fn let_in(&mut self, ticket: Ticket, durable: bool) -> bool {
        let Some(record) = self.approvals.saving.remove(&ticket.0) else { return false };
        if durable {
            self.approvals.done += 1;
            self.comes_to_be_known(record);
        }
        true
    }

    /// A device is told to wait for an operator.
    pub(crate) fn waits(&self, cause: &Cause) {
        let Kind::RegisterPk(record) = &cause.kind else { panic!("it waits: {cause:?}") };
        assert!(self.policy.private, "{} waits for nobody", record.id);
        assert!(!self.acked.contains_key(&record.id), "{} was let in, and waits", record.id);
    }

    /// Somebody is told of who asks for it.
    pub(crate) fn is_let_in(&self, target: &PeerId) {
        let known = self.acked.contains_key(target);
        assert!(known || !self.policy.private, "{target} was never let in, and is dialled");
    }
}

impl Server {
    /// Says who asks with the next input.
    pub(crate) fn set_author(&mut self, author: Author) {
        let logged_in = matches!(author, Author::Device(number) if number % 2 == 0);
        let barred = self.ledger.approvals.must_login && !logged_in;
        self.ledger.approvals.barred = barred;
        self.machine.set_caller(Caller { barred: barred.then_some(LOG_IN), ..Caller::default() });
    }

    fn approve(&mut self, now: u64, id: &PeerId, at: IpAddr) -> Vec<Deed> {
        let mut effects = Effects::new();
        self.ledger.input(self.time(now).as_millis());
        let told = self.machine.approve(id, Some(Endpoint::new(at, 0)), &mut effects);
        assert_eq!(told == Approval::Saving, !effects.is_empty(), "{told:?}");
        self.carry_out(now, effects, &Cause::APPROVED)
    }
}

impl World {
    /// From now on devices wait for an operator, or do not; and people must log in, or need not.
    pub(crate) fn close(&mut self, private: bool, must_login: bool) {
        self.server.ledger.approvals.must_login = must_login;
        let policy = hbb_core::rendezvous::Policy { private, ..self.server.ledger.policy.clone() };
        self.server.reconfigure(self.server.limits, policy);
    }

    /// An operator looks who waits, and lets in whoever is at an address where a device with that
    /// id is.
    pub(crate) fn operator_approves(&mut self) {
        let time = self.server.time(self.now);
        for row in self.server.machine.waiting(time) {
            let is_it = |device: &crate::device::Device| {
                device.id == row.id.as_str() && device.at.ip() == row.from.ip()
            };
            if self.devices.iter().any(is_it) {
                let deeds = self.server.approve(self.now, &row.id, row.from.ip());
                self.carry_out(deeds);
            }
        }
    }
}
