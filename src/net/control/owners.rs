//! Asks the owners of the machines and waits for what they say, in a line with strangers who keep
//! them busy. Must not run on the thread that serves.

use smol::future::block_on;

use crate::net::message::{
    Answer, AnswerTo, RelayQuestion, RendezvousQuestion, ToRelay, ToRendezvous,
};
use crate::net::tasks::queue::{Sender, bounded};

pub(super) const BUSY: &str = "hbb is stopping, or too busy to answer; try again.";
const NO_RENDEZVOUS: &str = "This hbb is a relay alone (--role); ask the one that has the peers.";
const NO_RELAY: &str = "This hbb relays nothing (--role); ask the one that does.";

/// The owners of the machines that run.
#[derive(Clone)]
pub struct Owners {
    /// That of the rendezvous.
    pub rendezvous: Option<Sender<ToRendezvous>>,
    /// That of the relay.
    pub relay: Option<Sender<ToRelay>>,
}

impl Owners {
    /// How many there are.
    pub fn machines(&self) -> usize {
        usize::from(self.rendezvous.is_some()) + usize::from(self.relay.is_some())
    }

    pub(super) fn ask_rendezvous(&self, question: RendezvousQuestion) -> Result<Answer, String> {
        let owner = self.rendezvous.as_ref().ok_or(NO_RENDEZVOUS)?;
        ask(|to| block_on(owner.send(ToRendezvous::Asked(question, to))).is_ok())
    }

    pub(super) fn ask_relay(&self, question: RelayQuestion) -> Result<Answer, String> {
        let owner = self.relay.as_ref().ok_or(NO_RELAY)?;
        ask(|to| block_on(owner.send(ToRelay::Asked(question, to))).is_ok())
    }
}

/// Waits for the answer to what `put` hands to its owner.
fn ask(put: impl FnOnce(AnswerTo) -> bool) -> Result<Answer, String> {
    let (to, answer) = bounded(1);
    let answered = put(to).then(|| answer.recv_blocking()).flatten();
    answered.ok_or_else(|| BUSY.into())
}

/// An owner answered another question: a fault of ours, for which this one conversation ends.
pub(super) fn odd<T>() -> Result<T, String> {
    Err(BUSY.into())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// Strangers who fill the queue keep no operator out.
    #[test]
    fn an_operator_waits_for_room() {
        let (owner, inbox) = bounded(1);
        let (stranger, _) = bounded(1);
        owner.try_send(ToRendezvous::Asked(RendezvousQuestion::Load, stranger)).unwrap();
        let owners = Owners { rendezvous: Some(owner), relay: None };
        let is_told = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let told = owners.ask_rendezvous(RendezvousQuestion::Load);
                assert!(matches!(told, Ok(Answer::InForce)));
                is_told.store(true, Ordering::Relaxed);
            });
            thread::sleep(Duration::from_millis(50));
            for answers in [false, true] {
                let came = inbox.recv_within(5_000).unwrap();
                let Some(ToRendezvous::Asked(_, to)) = came else { return };
                if answers {
                    to.try_send(Answer::InForce).unwrap();
                }
            }
        });
        assert!(is_told.load(Ordering::Relaxed));
    }
}
