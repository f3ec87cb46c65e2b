//! Notices that a session is idle, or that a receiver takes nothing. C69; checks: relay_pump,
//! relay_stream and relay_bridge of conformance.

use hbb_core::base::time::Time;

use crate::net::conn::link::bytes::ByteBudget;
use crate::net::reactor::Timer;
use crate::net::session::copy::Flow;
use crate::net::session::rate::RateLimit;

/// How often a session is looked at within the time after which it is idle.
const TICKS: u8 = 10;

/// How long and how fast a session may go on.
#[derive(Clone, Copy)]
pub struct Bounds<'a> {
    /// It ends when nothing moved for so long.
    pub idle_ms: u64,
    /// It moves no more than this.
    pub limit: &'a RateLimit,
    /// What waits for a receiver comes out of this.
    pub bytes: &'a ByteBudget,
    /// Whether it has the share of those who are known.
    pub known: bool,
}

impl<'a> Bounds<'a> {
    /// Both directions of a session, which moved nothing.
    pub(super) fn flows(self) -> [Flow<'a>; 2] {
        [(); 2].map(|()| Flow::new(self.limit, self.bytes, self.known))
    }
}

/// Ready when nothing moved either way for so many milliseconds, or a receiver took nothing
/// for so long of what waits for it; up to a tenth late. No timer is touched by traffic, and all
/// sessions look in the same moments, so that a thousand idle ones wake the processor as often as
/// one.
pub(super) fn until_idle(flows: &[Flow<'_>; 2], idle_ms: u64) -> impl Future<Output = ()> {
    let tick_ms = (idle_ms / u64::from(TICKS)).max(1);
    let mut watches = flows.each_ref().map(Watch::new);
    // Every idle session holds this: one wait, and nothing in it that can be worked out again.
    async move {
        while !watches.iter().all(Watch::is_idle) && !watches.iter().any(Watch::is_stuck) {
            let [flow, _] = flows;
            let clock = flow.limit().clock();
            let next = (clock.now().as_millis() / tick_ms + 1) * tick_ms;
            match clock.instant(Time::from_millis(next)) {
                Some(at) => Timer::at(at).await,
                None => return,
            };
            watches.iter_mut().zip(flows).for_each(|(watch, flow)| watch.look(flow));
        }
    }
}

/// For how many ticks a direction did not move, and did not though it had something to move.
struct Watch {
    moved: u64,
    still: i32,
    stuck: i32,
}

impl Watch {
    /// It begins in the middle of a tick, whose end counts for nothing.
    const fn new(flow: &Flow<'_>) -> Self {
        Self { moved: flow.moved(), still: -1, stuck: -1 }
    }

    fn look(&mut self, flow: &Flow<'_>) {
        let still = flow.moved() == self.moved;
        self.moved = flow.moved();
        self.still = if still { self.still + 1 } else { 0 };
        self.stuck = if still && flow.is_stalled() { self.stuck + 1 } else { 0 };
    }

    const fn is_idle(&self) -> bool {
        self.still >= TICKS as i32
    }

    const fn is_stuck(&self) -> bool {
        self.stuck > TICKS as i32
    }
}
