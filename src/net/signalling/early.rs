//! Claims in datagrams whose connection the kernel has and nobody took yet: it proves where they
//! come from, and clients open it right before. They wait for it a moment. C96.

use hbb_core::base::address::Endpoint;
use hbb_core::base::limits::{EARLY_MAX, EARLY_MS};
use hbb_core::base::time::Time;
use hbb_core::wire::request::Registration;

/// Claims in the order they came.
#[derive(Default)]
pub(super) struct Early(Vec<(Time, Endpoint, Registration)>);

impl Early {
    /// Keeps one for a moment; gives the oldest if there is no room.
    pub(super) fn keep(
        &mut self,
        now: Time,
        claim: (Endpoint, Registration),
    ) -> Option<(Endpoint, Registration)> {
        let oldest = if self.0.len() < EARLY_MAX { None } else { Some(self.remove(0)) };
        self.0.push((now.after_ms(EARLY_MS), claim.0, claim.1));
        oldest
    }

    /// One that has waited long enough, or need not any more.
    pub(super) fn take(
        &mut self,
        now: Time,
        waits: impl Fn(Endpoint, &Registration) -> bool,
    ) -> Option<(Endpoint, Registration)> {
        let mut all = self.0.iter();
        let at = all.position(|(until, from, claim)| *until <= now || !waits(*from, claim))?;
        Some(self.remove(at))
    }

    fn remove(&mut self, at: usize) -> (Endpoint, Registration) {
        let (_, from, claim) = self.0.remove(at);
        (from, claim)
    }

    /// When the first has waited long enough.
    pub(super) fn due(&self) -> Option<Time> {
        self.0.first().map(|(until, ..)| *until)
    }
}
