//! When a signalling connection is due for something: the offer of a sealed channel, a heartbeat,
//! its end. C05, C26, C28, C102.

use std::time::Duration;

use smol::future;

use hbb_core::base::counters::DropReason;
use hbb_core::base::limits::{HEARTBEAT_MISSED_MS, HEARTBEAT_MS, IDLE_MS, MESSAGE_MS};

use crate::net::reactor::Timer;

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
    Open {
        /// A message has begun since the last one that said something: no other beginning moves
        /// its deadline.
        begun: bool,
    },
    /// It is a peer's presence. The timer runs out every half heartbeat, whatever comes.
    Kept {
        /// Half heartbeats so far.
        beats: u64,
        /// Half heartbeats since something whole came.
        silent: u64,
        /// Half heartbeats after which it ends, for one that is nobody's presence.
        beats_max: Option<u64>,
    },
}

impl IdleTimer {
    /// For a connection that is made an offer if it is silent for so many milliseconds.
    pub(super) fn for_first_words(offer_ms: u64) -> Self {
        Self { timer: after(offer_ms), phase: Phase::FirstWords }
    }

    /// For a connection that is not waited for with an offer.
    pub(super) fn for_open() -> Self {
        Self { timer: after(IDLE_MS), phase: Phase::Open { begun: false } }
    }

    /// Waits for the timer to run out.
    pub(super) async fn wait(&mut self) {
        (&mut self.timer).await;
    }

    /// Whether the timer has run out.
    pub(super) async fn is_over(&mut self) -> bool {
        future::poll_once(self.wait()).await.is_some()
    }

    /// Something came: `said` tells whether a whole message that says something was in it,
    /// `begun` whether one is half there. Pings and empty messages keep nobody but a presence.
    pub(super) fn heard(&mut self, said: bool, begun: bool) {
        match &mut self.phase {
            Phase::Kept { silent, .. } if said || !begun => *silent = 0,
            Phase::Kept { .. } => {}
            Phase::Open { begun: before } if !said => {
                if begun && !*before {
                    *before = true;
                    self.set(MESSAGE_MS);
                }
            }
            Phase::FirstWords | Phase::Open { .. } => {
                self.phase = Phase::Open { begun };
                self.set(if begun { MESSAGE_MS } else { IDLE_MS });
            }
        }
    }

    /// The connection is a peer's presence from now on, or is kept for `ms_max` milliseconds.
    pub(super) fn keep(&mut self, ms_max: Option<u64>) {
        let most = ms_max.map(|ms| ms / (HEARTBEAT_MS / 2));
        match &mut self.phase {
            Phase::Kept { beats_max, .. } if most.is_none() => *beats_max = None,
            Phase::Kept { .. } => {}
            Phase::FirstWords | Phase::Open { .. } => {
                self.phase = Phase::Kept { beats: 0, silent: 0, beats_max: most };
                self.set(HEARTBEAT_MS / 2);
            }
        }
    }

    /// The timer has run out.
    ///
    /// # Errors
    /// `Idle` if the connection was silent for too long.
    pub(super) fn elapsed(&mut self) -> Result<Due, DropReason> {
        match &mut self.phase {
            Phase::FirstWords => {
                self.phase = Phase::Open { begun: false };
                self.set(IDLE_MS);
                Ok(Due::Offer)
            }
            Phase::Open { .. } => Err(DropReason::Idle),
            Phase::Kept { beats, silent, beats_max } => {
                *silent += 1;
                *beats += 1;
                let missed = *silent * HEARTBEAT_MS / 2 >= HEARTBEAT_MISSED_MS;
                if missed || beats_max.is_some_and(|most| *beats >= most) {
                    return Err(DropReason::Idle);
                }
                let due = if beats.is_multiple_of(2) { Due::Heartbeat } else { Due::Nothing };
                self.set(HEARTBEAT_MS / 2);
                Ok(due)
            }
        }
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
    use hbb_core::base::limits::HEALTH_CHECK_MS;

    use super::*;

    #[test]
    fn c026_an_offer_is_due_once_and_only_before_the_first_words() {
        let mut silent = IdleTimer::for_first_words(250);
        assert_eq!(silent.elapsed(), Ok(Due::Offer));
        assert_eq!(silent.elapsed(), Err(DropReason::Idle));
        let mut spoke = IdleTimer::for_first_words(250);
        spoke.heard(true, false);
        assert_eq!(spoke.elapsed(), Err(DropReason::Idle));
        assert_eq!(IdleTimer::for_open().elapsed(), Err(DropReason::Idle));
    }

    #[test]
    fn c028_a_kept_connection_beats_until_it_is_not_answered() {
        let mut timer = IdleTimer::for_open();
        timer.keep(None);
        for _ in 0..9 {
            assert_eq!(timer.elapsed(), Ok(Due::Nothing));
            timer.keep(None);
            timer.heard(false, false);
            assert_eq!(timer.elapsed(), Ok(Due::Heartbeat));
        }
        let unanswered = [(); 5].map(|()| timer.elapsed().ok());
        let [nothing, beat] = [Some(Due::Nothing), Some(Due::Heartbeat)];
        assert_eq!(unanswered, [nothing, beat, nothing, None, None]);
    }

    #[test]
    fn c102_half_a_message_is_no_sign_of_life() {
        let mut timer = IdleTimer::for_open();
        timer.keep(None);
        for _ in 0..4 {
            assert!(timer.elapsed().is_ok());
            timer.heard(false, true);
        }
        assert_eq!(timer.elapsed(), Err(DropReason::Idle));
    }

    #[test]
    fn c102_whoever_asks_with_a_health_check_is_kept_for_ten_minutes() {
        let kept_for = |orders: &[Option<u64>]| {
            let mut timer = IdleTimer::for_open();
            orders.iter().for_each(|order| timer.keep(*order));
            let lives = (0..100).take_while(|_| {
                timer.heard(true, false);
                timer.elapsed().is_ok()
            });
            lives.count() as u64 * HEARTBEAT_MS / 2
        };
        let asked = Some(HEALTH_CHECK_MS);
        assert_eq!(kept_for(&[asked]), HEALTH_CHECK_MS - HEARTBEAT_MS / 2);
        assert_eq!(kept_for(&[asked, asked]), HEALTH_CHECK_MS - HEARTBEAT_MS / 2);
        for presence in [[asked, None], [None, asked]] {
            assert_eq!(kept_for(&presence), 1_000_000);
        }
    }
}
