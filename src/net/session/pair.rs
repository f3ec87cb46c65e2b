//! Joined legs: each direction by itself, nothing added, nothing lost, and how both end. It knows
//! no message. C65, C69, C70; checks: relay_pump, relay_stream of conformance.

use core::pin::{Pin, pin};
use core::task::{Context, Poll};
use std::net::TcpStream;
use std::time::Duration;

use rustix::net::sockopt;
use smol::future;

use hbb_core::base::counters::DropReason;
use hbb_core::base::limits::{RESET_PAUSE_MS, WRITE_MS};

use crate::net::conn::link::{Link, within};
use crate::net::message::SessionEnd;
use crate::net::reactor::{Source, Timer};
use crate::net::session::copy::{Copier, DirectionEnd, Flow};
use crate::net::session::idle::{Bounds, until_idle};
use crate::net::session::pipe::PipePool;

/// A connection and what was read of it but not passed on.
pub struct Leg {
    stream: Source<TcpStream>,
    leftover: Vec<u8>,
}

impl From<Box<Link>> for Leg {
    fn from(link: Box<Link>) -> Self {
        let Link { stream, leftover, .. } = *link;
        Self { stream, leftover }
    }
}

/// Joins two legs until both have sent all, one breaks, or nothing moves for as long as `bounds`
/// allow, which is noticed up to a tenth late. A leg's end of file reaches the other after the last
/// byte, and the reverse direction goes on; a leg that breaks breaks the other one, after the last
/// byte as well. Both connections are closed on return.
pub fn join(
    first: Leg,
    second: Leg,
    bounds: Bounds<'_>,
    pipes: &PipePool,
) -> impl Future<Output = SessionEnd> {
    // An idle pair costs what is moved in here, which stays to the end, and what is held there
    // while it waits; an async function would keep its arguments twice.
    let (flows, idle_ms) = (bounds.flows(), bounds.idle_ms);
    let unread = Unread::of([first.leftover, second.leftover]);
    let streams = [first.stream, second.stream];
    async move {
        let end = {
            let ([one, other], [ahead, behind]) = (&streams, &flows);
            let [from_first, from_second] = unread.take();
            let forth = Copier { from: one, to: other, flow: ahead, pipes };
            let back = Copier { from: other, to: one, flow: behind, pipes };
            let (forth, back) = (pin!(forth.run(from_first)), pin!(back.run(from_second)));
            until_over(forth, back, pin!(until_idle(&flows, idle_ms))).await
        };
        end.settle(&streams, &flows).await
    }
}

/// What was read of both legs, mostly nothing, and not passed on.
pub(super) struct Unread(Option<Box<[Vec<u8>; 2]>>);

impl Unread {
    pub(super) fn of(both: [Vec<u8>; 2]) -> Self {
        let any = both.iter().any(|leftover| !leftover.is_empty());
        Self(any.then(|| Box::new(both)))
    }

    pub(super) fn take(self) -> [Vec<u8>; 2] {
        self.0.map_or_else(Default::default, |both| *both)
    }
}

/// How the directions of a session ended; one that did not was still running.
#[derive(Clone, Copy, Default)]
pub(super) struct PairEnd {
    forth: Option<DirectionEnd>,
    back: Option<DirectionEnd>,
}

impl PairEnd {
    /// Breaks off the leg whose partner broke, and sums up.
    pub(super) async fn settle(
        self,
        [one, other]: &[Source<TcpStream>; 2],
        flows: &[Flow<'_>; 2],
    ) -> SessionEnd {
        let [flow, _] = flows;
        let secs = flow.limit().age_secs();
        match (gone(self.forth, self.back), gone(self.back, self.forth)) {
            (true, false) => reset(other).await,
            (false, true) => reset(one).await,
            _ => {}
        }
        let bytes = flows.iter().map(Flow::moved).sum();
        SessionEnd { bytes, secs, reason: self.reason().unwrap_or(DropReason::Idle) }
    }

    /// Why the session is over, if the directions tell: both ended, or a sender broke, to whom
    /// nothing more gets through.
    fn reason(self) -> Option<DropReason> {
        let either = |end| self.forth == Some(end) || self.back == Some(end);
        if either(DirectionEnd::Malformed) {
            return Some(DropReason::Malformed);
        }
        if either(DirectionEnd::SenderBroke) {
            return Some(DropReason::SendFailed);
        }
        self.forth.and(self.back).map(|_| DropReason::Done)
    }
}

/// Whether a leg broke, by the ends of the direction it sends in and of the one it receives in.
fn gone(as_sender: Option<DirectionEnd>, as_receiver: Option<DirectionEnd>) -> bool {
    match as_sender {
        Some(DirectionEnd::SenderBroke) => true,
        Some(DirectionEnd::Closed) => false,
        _ => as_receiver == Some(DirectionEnd::ReceiverGone),
    }
}

/// Runs both directions until the session is over or idle. The futures stay where they are:
/// combinators would keep a second copy of each, and this is what an idle pair costs.
pub(super) fn until_over(
    mut forth: Pin<&mut impl Future<Output = DirectionEnd>>,
    mut back: Pin<&mut impl Future<Output = DirectionEnd>>,
    mut idle: Pin<&mut impl Future<Output = ()>>,
) -> impl Future<Output = PairEnd> {
    let mut end = PairEnd::default();
    future::poll_fn(move |context| {
        advance(&mut end.forth, forth.as_mut(), context);
        advance(&mut end.back, back.as_mut(), context);
        if end.reason().is_some() || idle.as_mut().poll(context).is_ready() {
            return Poll::Ready(end);
        }
        Poll::Pending
    })
}

fn advance(
    end: &mut Option<DirectionEnd>,
    direction: Pin<&mut impl Future<Output = DirectionEnd>>,
    context: &mut Context<'_>,
) {
    if end.is_none()
        && let Poll::Ready(ended) = direction.poll(context)
    {
        *end = Some(ended);
    }
}

/// Breaks a connection off once its peer has what was given to it; closes it in order if the peer
/// takes that too slowly. A small send buffer counts as writable only while next to nothing is in
/// it; the pause is for what then is on its way.
async fn reset(stream: &Source<TcpStream>) {
    let _ = sockopt::set_socket_send_buffer_size(stream.socket(), 0);
    let taken = async {
        stream.writable_anew().await;
        true
    };
    if within(WRITE_MS, false, taken).await {
        Timer::after(Duration::from_millis(RESET_PAUSE_MS)).await;
        let _ = sockopt::set_socket_linger(stream.socket(), Some(Duration::ZERO));
    }
}
