//! On which terms an initiator may reach a target, by an operator's rules: the one place that asks
//! them. They count when somebody asks; a session that runs goes on. Without the feature `accounts`
//! there are none. C172, C180-C182.

use alloc::boxed::Box;
use core::net::IpAddr;

use crate::base::address::Prefix;
use crate::base::conn::{Conn, Via};
use crate::base::counters::DropReason;
use crate::base::peer::PeerId;
use crate::base::time::Time;
use crate::rendezvous::registry::Peer;
use crate::rendezvous::{Effects, Rendezvous, reply};
use crate::rules::{self, At, DIRECT_ONLY, Dial, Only, RELAY_ONLY, Rules};
use crate::wire::reply::{Remarks, Reply};
use crate::wire::request::Given;

/// What an operator's rules allow of a dial, and which line does; 0 if none says it.
#[derive(Clone, Copy, Default)]
pub(super) struct Terms {
    permissions: u64,
    line: u32,
    only: Only,
}

/// Who asks for whom.
pub(super) struct Asks<'a> {
    pub(super) via: Via,
    pub(super) from: IpAddr,
    pub(super) target: &'a Given<PeerId>,
    /// It asks for the relay, no direct path having opened.
    pub(super) relay: bool,
}

impl Rendezvous {
    /// The terms; None if it was refused, in words for the person who asks (C180).
    pub(super) fn terms(
        &mut self,
        now: Time,
        asks: &Asks<'_>,
        effects: &mut Effects,
    ) -> Option<Terms> {
        if let Some(said) = self.caller.barred {
            self.refuse(now, asks.via, DropReason::Denied, effects);
            reply(effects, asks.via, Reply::Denied { said: said.into(), relay: asks.relay });
            return None;
        }
        let (Some(rules), Some(id)) = (&self.policy.rules, asks.target.value()) else {
            return Some(Terms::default());
        };
        let said = match self.judge(now, (rules, asks.from), id) {
            Ok(terms) if asks.relay && terms.only == Only::Direct => self.said(terms, DIRECT_ONLY),
            Ok(terms) => return Some(terms),
            Err(said) => said,
        };
        let said = self.caller.doubt.map_or(said, Box::from);
        self.refuse(now, asks.via, DropReason::Denied, effects);
        reply(effects, asks.via, Reply::Denied { said, relay: asks.relay });
        None
    }

    fn judge(
        &self,
        now: Time,
        (rules, from): (&Rules, IpAddr),
        id: &PeerId,
    ) -> Result<Terms, Box<str>> {
        let here = Prefix::of(from);
        let is_there = |id: &PeerId| {
            let contact = self.registry.peer(id).and_then(|peer| peer.present(now));
            contact.is_some_and(|contact| contact.from.prefix() == here)
        };
        let decision = rules.decide(&Dial {
            from: Some(from),
            user: self.caller.user.as_deref(),
            user_group: &self.caller.group,
            to: id,
            to_group: &self.caller.to_group,
            to_ip: self.registry.found(id).and_then(Peer::last_ip),
            at: At::Unix(self.unix_secs(now)),
            is_there: &is_there,
        });
        let rules::Terms { only, permissions } = decision.outcome?;
        Ok(Terms { permissions, line: decision.line.unwrap_or_default(), only })
    }

    /// What is said to who may not go the only path there is: the sentence of the line that
    /// decided, if it stands there still.
    fn said(&self, terms: Terms, otherwise: &str) -> Box<str> {
        let rules = self.policy.rules.as_deref();
        rules.and_then(|rules| rules.said(terms.line)).unwrap_or(otherwise).into()
    }

    /// What the target is told beside (C182, C194).
    pub(super) const fn remarks(&self, terms: Terms) -> Remarks {
        Remarks { permissions: terms.permissions, reports: self.caller.reports }
    }

    /// Refuses an initiator for whom only the relay is left, if that is not for it (C181).
    pub(super) fn bars_relay(
        &mut self,
        now: Time,
        (via, terms): (Via, Terms),
        effects: &mut Effects,
    ) -> bool {
        let bars = terms.only == Only::Direct;
        if bars {
            self.refuse(now, via, DropReason::Denied, effects);
            let said = self.said(terms, DIRECT_ONLY);
            reply(effects, via, Reply::Denied { said, relay: false });
        }
        bars
    }

    /// Keeps a target's answer from its initiator, who is told why, if the path it offers is not
    /// one it may go (C181).
    pub(super) fn withholds(
        &mut self,
        (conn, terms): (Conn, Terms),
        offers_relay: bool,
        effects: &mut Effects,
    ) -> bool {
        let said = match (terms.only, offers_relay) {
            (Only::Direct, true) => DIRECT_ONLY,
            (Only::Relay, false) => RELAY_ONLY,
            _ => return false,
        };
        self.counters.count(DropReason::Denied);
        let said = self.said(terms, said);
        reply(effects, Via::Stream(conn), Reply::Denied { said, relay: false });
        true
    }
}

impl Terms {
    /// Whether no direct path is to be tried.
    pub(super) fn is_relay_only(self) -> bool {
        self.only == Only::Relay
    }
}
