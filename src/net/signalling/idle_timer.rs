//! When a signalling connection is due for something: the offer of a sealed channel, a heartbeat,
//! its end. C05, C26, C28.

use std::time::Duration;

use smol::Timer;

use hbb_core::base::counters::DropReason;
use hbb_core::base::limits::{HEARTBEAT_MISSED_MS, HEARTBEAT_MS, IDLE_MS};

/// What a connection is due for when its timer has run out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// It is silent, which is how some clients ask for the sealed channel.
    Offer,
    /// The half of a heartbeat that sends nothing.
    Nothing,
    /// An empty payload.
    Heartbeat,
}

/// A timer that runs as the connection's phase wants.
pub(super) struct IdleTimer {
    timer: Timer,
    phase: Phase,
}

/// What a connection is to us.
enum Phase {
    /// Nothing came yet: when the timer has run out, the offer is made.
    FirstWords,
    /// It spoke, or has an offer to answer: when the timer has run out, it ends.
    Open,
    /// It is a peer's presence. The timer runs out every half heartbeat, whatever comes.
    Kept {
        /// Half heartbeats so far.
        beats: u64,
        /// Half heartbeats since something came.
        silent: u64,
    },
}

impl IdleTimer {
    /// For a connection that is made an offer if it is silent for so many milliseconds.
    pub(super) fn for_first_words(offer_ms: u64) -> Self {
        Self { timer: after(offer_ms), phase: Phase::FirstWords }
    }

    /// For a connection that is not waited for with an offer.
    pub(super) fn for_open() -> Self {
        Self { timer: after(IDLE_MS), phase: Phase::Open }
    }

    /// Waits for the timer to run out.
    pub(super) async fn wait(&mut self) {
        (&mut self.timer).await;
    }

    /// Something came.
    pub(super) fn heard(&mut self) {
        match &mut self.phase {
            Phase::Kept { silent, .. } => *silent = 0,
            Phase::FirstWords | Phase::Open => self.open(),
        }
    }

    /// The connection is a peer's presence from now on.
    pub(super) fn keep(&mut self) {
        if !matches!(self.phase, Phase::Kept { .. }) {
            self.phase = Phase::Kept { beats: 0, silent: 0 };
            self.set(HEARTBEAT_MS / 2);
        }
    }

    /// The timer has run out.
    ///
    /// # Errors
    /// `Idle` if the connection was silent for too long.
    pub(super) fn elapsed(&mut self) -> Result<Due, DropReason> {
        match &mut self.phase {
            Phase::FirstWords => {
                self.open();
                Ok(Due::Offer)
            }
            Phase::Open => Err(DropReason::Idle),
            Phase::Kept { beats, silent } => {
                *silent += 1;
                if *silent * HEARTBEAT_MS / 2 >= HEARTBEAT_MISSED_MS {
                    return Err(DropReason::Idle);
                }
                *beats += 1;
                let due = if beats.is_multiple_of(2) { Due::Heartbeat } else { Due::Nothing };
                self.set(HEARTBEAT_MS / 2);
                Ok(due)
            }
        }
    }

    fn open(&mut self) {
        self.phase = Phase::Open;
        self.set(IDLE_MS);
    }

    fn set(&mut self, ms: u64) {
        self.timer.set_after(Duration::from_millis(ms));
    }
}

fn after(ms: u64) -> Timer {
    Timer::after(Duration::from_millis(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c026_an_offer_is_due_once_and_only_before_the_first_words() {
        let mut silent = IdleTimer::for_first_words(250);
        assert_eq!(silent.elapsed(), Ok(Due::Offer));
        assert_eq!(silent.elapsed(), Err(DropReason::Idle));
        let mut spoke = IdleTimer::for_first_words(250);
        spoke.heard();
        assert_eq!(spoke.elapsed(), Err(DropReason::Idle));
        assert_eq!(IdleTimer::for_open().elapsed(), Err(DropReason::Idle));
    }

    #[test]
    fn c028_a_kept_connection_beats_until_it_is_not_answered() {
        let mut timer = IdleTimer::for_open();
        timer.keep();
        for _ in 0..9 {
            assert_eq!(timer.elapsed(), Ok(Due::Nothing));
            timer.keep();
            timer.heard();
            assert_eq!(timer.elapsed(), Ok(Due::Heartbeat));
        }
        let unanswered = [(); 5].map(|()| timer.elapsed().ok());
        let [nothing, beat] = [Some(Due::Nothing), Some(Due::Heartbeat)];
        assert_eq!(unanswered, [nothing, beat, nothing, None, None]);
    }
}
