//! Sessions: two legs, each direction by itself, nothing added, nothing lost, and how they end;
//! and legs that wait for a partner. It knows no message. C65, C67, C69, C70.

use core::mem::MaybeUninit;
use core::pin::{Pin, pin};
use core::task::{Context, Poll};
use std::net::TcpStream;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv, sockopt};
use smol::{Async, Timer, future};

use hbb_core::base::counters::DropReason;
use hbb_core::base::limits::{PARKED_BYTES_MAX, RESET_PAUSE_MS, WRITE_MS};
use hbb_core::base::time::Time;

use crate::net::conn::link::{Link, readable, within, writable};
use crate::net::message::SessionEnd;
use crate::net::session::copy::{Copier, DirectionEnd, Flow};
use crate::net::session::pipe::PipePool;
use crate::net::session::rate::RateLimit;

/// A connection and what was read of it but not passed on.
pub struct Leg {
    stream: Async<TcpStream>,
    leftover: Vec<u8>,
}

impl From<Link> for Leg {
    fn from(Link { stream, leftover, .. }: Link) -> Self {
        Self { stream, leftover }
    }
}

/// Joins two legs until both have sent all, one breaks, or nothing moves for `idle_ms`, which is
/// noticed up to a tenth late. A leg's end of file reaches the other after the last byte, and the
/// reverse direction goes on; a leg that breaks breaks the other one, after the last byte as well.
/// Both connections are closed on return.
pub fn join(
    first: impl Into<Leg>,
    second: impl Into<Leg>,
    (idle_ms, limit): (u64, &RateLimit),
    pipes: &PipePool,
) -> impl Future<Output = SessionEnd> {
    let (first, second) = (first.into(), second.into());
    // An async function would keep its arguments twice.
    async move {
        let flows = [Flow::new(limit), Flow::new(limit)];
        let (one, other) = (&first.stream, &second.stream);
        let over = {
            let [ahead, behind] = &flows;
            let forth = Copier { from: one, to: other, flow: ahead, pipes };
            let back = Copier { from: other, to: one, flow: behind, pipes };
            let forth = pin!(forth.run(first.leftover));
            let back = pin!(back.run(second.leftover));
            until_over(forth, back, pin!(quiet(&flows, idle_ms, limit))).await
        };
        over.settle([one, other], &flows, limit).await
    }
}

/// How both directions ended, if they did.
#[derive(Clone, Copy, Default)]
pub(super) struct Over {
    forth: Option<DirectionEnd>,
    back: Option<DirectionEnd>,
}

impl Over {
    /// Breaks off the leg whose partner broke, and sums up.
    pub(super) async fn settle(
        self,
        [one, other]: [&Async<TcpStream>; 2],
        flows: &[Flow<'_>; 2],
        limit: &RateLimit,
    ) -> SessionEnd {
        let secs = limit.age_secs();
        match self.gone() {
            (true, false) => reset(other).await,
            (false, true) => reset(one).await,
            _ => {}
        }
        let bytes = flows.iter().map(Flow::moved).sum();
        SessionEnd { bytes, secs, reason: self.reason() }
    }

    const fn reason(self) -> DropReason {
        match (self.forth, self.back) {
            (Some(DirectionEnd::Malformed), _) | (_, Some(DirectionEnd::Malformed)) => {
                DropReason::Malformed
            }
            (Some(DirectionEnd::Broken), _) | (_, Some(DirectionEnd::Broken)) => {
                DropReason::SendFailed
            }
            (Some(_), Some(_)) => DropReason::Done,
            _ => DropReason::Idle,
        }
    }

    /// Whether the first leg broke, and whether the second did.
    fn gone(self) -> (bool, bool) {
        let gone = |as_sender, as_receiver| match as_sender {
            Some(DirectionEnd::Broken) => true,
            Some(DirectionEnd::Closed) => false,
            _ => as_receiver == Some(DirectionEnd::Refused),
        };
        (gone(self.forth, self.back), gone(self.back, self.forth))
    }
}

/// Ready when both directions are over, a sender broke (nothing more reaches that one), or the
/// pair is quiet. The futures stay where they are: combinators would keep a second copy of each,
/// and this is what an idle pair costs.
pub(super) async fn until_over(
    mut forth: Pin<&mut impl Future<Output = DirectionEnd>>,
    mut back: Pin<&mut impl Future<Output = DirectionEnd>>,
    mut quiet: Pin<&mut impl Future<Output = ()>>,
) -> Over {
    let mut over = Over::default();
    future::poll_fn(move |context| {
        advance(&mut over.forth, forth.as_mut(), context);
        advance(&mut over.back, back.as_mut(), context);
        if over.reason() != DropReason::Idle || quiet.as_mut().poll(context).is_ready() {
            return Poll::Ready(over);
        }
        Poll::Pending
    })
    .await
}

fn advance(
    outcome: &mut Option<DirectionEnd>,
    way: Pin<&mut impl Future<Output = DirectionEnd>>,
    context: &mut Context<'_>,
) {
    if outcome.is_none()
        && let Poll::Ready(end) = way.poll(context)
    {
        *outcome = Some(end);
    }
}

const TICKS: u32 = 10;

/// Ready when nothing moved either way for `idle_ms`, or a receiver took nothing for so long of
/// what waits for it; up to a tenth late. No timer is touched by traffic, and all sessions look in
/// the same moments, so that a thousand idle ones wake the processor as often as one.
pub(super) fn quiet(
    flows: &[Flow<'_>; 2],
    idle_ms: u64,
    limit: &RateLimit,
) -> impl Future<Output = ()> {
    let tick_ms = (idle_ms / u64::from(TICKS)).max(1);
    // The first look, in the middle of a tick, counts for nothing.
    let mut watches = flows.each_ref().map(|_| Watch { moved: u64::MAX, still: 0, stuck: 0 });
    async move {
        while watches.iter().any(|watch| watch.still < TICKS)
            && watches.iter().all(|watch| watch.stuck <= TICKS)
        {
            let clock = limit.clock();
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
    still: u32,
    stuck: u32,
}

impl Watch {
    fn look(&mut self, flow: &Flow<'_>) {
        let still = flow.moved() == self.moved;
        self.moved = flow.moved();
        self.still = if still { self.still + 1 } else { 0 };
        self.stuck = if still && flow.is_stalled() { self.stuck + 1 } else { 0 };
    }
}

/// Breaks a connection off once its peer has what was given to it; closes it in order if the peer
/// takes that too slowly. A small send buffer counts as writable only while next to nothing is in
/// it; the pause is for what then is on its way.
async fn reset(stream: &Async<TcpStream>) {
    let _ = sockopt::set_socket_send_buffer_size(stream, 0);
    let taken = async { writable(stream).await.is_ok() };
    if within(WRITE_MS, false, taken).await {
        Timer::after(Duration::from_millis(RESET_PAUSE_MS)).await;
        let _ = sockopt::set_socket_linger(stream, Some(Duration::ZERO));
    }
}

/// Ready when a waiting leg is gone. Reads at most [`PARKED_BYTES_MAX`] of what it sends
/// meanwhile, which is how the end shows early; a leg that sends more is not watched further.
pub async fn watch_parked(leg: &mut Link) {
    while leg.leftover.len() < PARKED_BYTES_MAX {
        if readable(&leg.stream).await.is_err() || !keep_some(leg) {
            return;
        }
    }
    future::pending().await
}

/// Keeps what a leg sent, up to [`PARKED_BYTES_MAX`] in all; false if it is gone.
fn keep_some(leg: &mut Link) -> bool {
    let mut buffer = [const { MaybeUninit::<u8>::uninit() }; 2048];
    let room = PARKED_BYTES_MAX.saturating_sub(leg.leftover.len()).min(buffer.len());
    let part = buffer.get_mut(..room).unwrap_or_default();
    match recv(leg.stream.get_ref(), part, RecvFlags::empty()) {
        Ok(((read, _), _)) => {
            leg.leftover.extend_from_slice(read);
            !read.is_empty()
        }
        Err(errno) => errno == Errno::AGAIN,
    }
}
