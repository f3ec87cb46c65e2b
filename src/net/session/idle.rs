//! Notices that a session is idle, or that a receiver takes nothing. C69; checks: relay_pump,
//! relay_stream and relay_bridge of conformance.

use smol::Timer;

use hbb_core::base::time::Time;

use crate::net::clock::Clock;
use crate::net::session::copy::Flow;
use crate::net::session::rate::RateLimit;

/// How often a session is looked at within the time after which it is idle.
const TICKS: u32 = 10;

/// How long and how fast a session may go on.
#[derive(Clone, Copy)]
pub struct Bounds<'a> {
    /// It ends when nothing moved for so long.
    pub idle_ms: u64,
    /// It moves no more than this.
    pub limit: &'a RateLimit,
}

/// Ready when nothing moved either way for as long as the bounds allow, or a receiver took nothing
/// for so long of what waits for it; up to a tenth late. No timer is touched by traffic, and all
/// sessions look in the same moments, so that a thousand idle ones wake the processor as often as
/// one.
pub(super) fn until_idle(flows: &[Flow<'_>; 2], bounds: Bounds<'_>) -> impl Future<Output = ()> {
    let tick_ms = (bounds.idle_ms / u64::from(TICKS)).max(1);
    let clock = bounds.limit.clock();
    async move {
        // The first tick is a part of one: counting begins at its end.
        next_tick(clock, tick_ms).await;
        let mut watches = flows.each_ref().map(Watch::new);
        while !watches.iter().all(Watch::is_idle) && !watches.iter().any(Watch::is_stuck) {
            next_tick(clock, tick_ms).await;
            watches.iter_mut().zip(flows).for_each(|(watch, flow)| watch.look(flow));
        }
    }
}

async fn next_tick(clock: Clock, tick_ms: u64) {
    let next = (clock.now().as_millis() / tick_ms + 1) * tick_ms;
    if let Some(at) = clock.instant(Time::from_millis(next)) {
        Timer::at(at).await;
    }
}

/// For how many ticks a direction did not move, and did not though it had something to move.
struct Watch {
    moved: u64,
    still: u32,
    stuck: u32,
}

impl Watch {
    const fn new(flow: &Flow<'_>) -> Self {
        Self { moved: flow.moved(), still: 0, stuck: 0 }
    }

    fn look(&mut self, flow: &Flow<'_>) {
        let still = flow.moved() == self.moved;
        self.moved = flow.moved();
        self.still = if still { self.still + 1 } else { 0 };
        self.stuck = if still && flow.is_stalled() { self.stuck + 1 } else { 0 };
    }

    const fn is_idle(&self) -> bool {
        self.still >= TICKS
    }

    const fn is_stuck(&self) -> bool {
        self.stuck > TICKS
    }
}
