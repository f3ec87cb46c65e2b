//! What operators ask of the rendezvous, and what they are answered. Checks: tests/ctl.rs.

use hbb_core::base::time::Time;
#[cfg(feature = "accounts")]
use hbb_core::rendezvous::Approval;
use hbb_core::rendezvous::{Event, Input, PeerQuery};

use crate::config::relays;
use crate::net::health::ToWatch;
use crate::net::message::{Answer, AnswerTo, Forgotten, RendezvousLoad, RendezvousQuestion};
use crate::net::signalling::Signalling;

impl Signalling {
    /// Answers a question, or has it wait for what becomes of it.
    pub(super) fn asked(&mut self, question: RendezvousQuestion, to: AnswerTo) {
        let now = self.clock.now();
        let answer = match question {
            RendezvousQuestion::Load => {
                let occupancy = self.machine.occupancy();
                let online = self.machine.online_peers(now);
                let kept = self.machine.kept_ids(now);
                let dropped = [self.machine.counters().clone(), self.counters.clone()];
                let (store, datagrams) = (self.store.counts(), self.datagrams.counts());
                Answer::RendezvousLoad(Box::new(RendezvousLoad {
                    #[cfg(feature = "accounts")]
                    accounts: self.accounts.load(),
                    occupancy,
                    online,
                    kept,
                    store,
                    datagrams,
                    dropped,
                }))
            }
            RendezvousQuestion::Typed(line) => {
                let told = self.machine.console(now, &line, relays);
                if let Some(relays) = told.relays {
                    let _ = self.watch.force_send(ToWatch::Relays(relays));
                }
                Answer::Typed(told.text)
            }
            RendezvousQuestion::Peers(wanted) => self.peers(now, &wanted),
            #[cfg(feature = "accounts")]
            RendezvousQuestion::Accounts(command) => {
                return self.accounts.asked(command, to, &self.store);
            }
            #[cfg(feature = "accounts")]
            RendezvousQuestion::Log(wanted) => Answer::Log(self.log.read(&wanted)),
            RendezvousQuestion::Forget { id, free } => {
                self.forgetting = Some((id.clone(), to));
                self.machine.handle(now, Input::Forget { id, free }, &mut self.effects);
                return;
            }
            #[cfg(feature = "accounts")]
            RendezvousQuestion::EndConnections(id) => self.end_connections(&id),
            #[cfg(feature = "accounts")]
            RendezvousQuestion::Waiting => Answer::Waiting(self.machine.waiting(now)),
            #[cfg(feature = "accounts")]
            RendezvousQuestion::Invite(hours) => Answer::Invited(self.machine.invite(now, hours)),
            #[cfg(feature = "accounts")]
            RendezvousQuestion::Approve { id, at } => {
                let approval = self.machine.approve(&id, at, &mut self.effects);
                if approval == Approval::Saving {
                    self.forgetting = Some((id, to));
                    return;
                }
                Answer::Approved(approval)
            }
        };
        let _ = to.try_send(answer);
    }

    /// Registered peers, and what they told of themselves.
    fn peers(&mut self, now: Time, wanted: &PeerQuery) -> Answer {
        let peers = self.machine.list(now, wanted);
        #[cfg(feature = "accounts")]
        let told = self.devices(&peers);
        #[cfg(not(feature = "accounts"))]
        let told = ();
        Answer::Peers(peers, told)
    }

    /// Tells whoever waits for it what became of a peer that was to be forgotten.
    pub(super) fn tell_operator(&mut self, event: &Event) {
        let (id, outcome) = match event {
            Event::PeerForgotten { id } => (id, Answer::Forgotten(Forgotten::Durably)),
            Event::PeerUnknown { id } => (id, Answer::Forgotten(Forgotten::Unknown)),
            Event::SaveFailed { id } => (id, Answer::Forgotten(Forgotten::Failed)),
            #[cfg(feature = "accounts")]
            Event::PeerApproved { id } => (id, Answer::Approved(Approval::Saving)),
            _ => return,
        };
        if let Some((_, to)) = self.forgetting.take_if(|(waiting, _)| waiting == id) {
            let _ = to.try_send(outcome);
        }
    }
}
