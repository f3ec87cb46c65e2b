//! The task of a leg: first message, parking, the start of its session. The stream travels: the
//! task reads the first message and hands the stream to the owner; a leg that must wait gets it
//! back, a leg that completes a pair does not. C65-C67, C71; checks: relay_socket, half_minute of
//! conformance.

use smol::future;

use hbb_core::base::limits::RELAY_FRAME_BYTES_MAX;

use crate::net::conn::Connection;
use crate::net::conn::link::Link;
use crate::net::message::{FromLeg, Paired, ToLeg, ToRelay};
use crate::net::relaying::parked::until_gone;
use crate::net::session::{Session, Sessions};
use crate::net::tasks::queue::{Receiver, Sender, bounded};

/// What every leg needs of the relay.
pub(crate) struct RelayHandle {
    /// The owner of the machine.
    pub(crate) legs: Sender<FromLeg>,
    /// The same, for sessions and operators.
    pub(crate) inbox: Sender<ToRelay>,
    /// Where pairs go.
    pub(crate) sessions: &'static Sessions,
}

/// How waiting for a partner ended.
enum WaitEnd {
    /// The partner came.
    Paired(Box<Paired>),
    /// The leg is gone.
    Gone,
    /// The owner closes the leg.
    Dismissed,
}

/// Serves a leg until its session begins; `first` is its first message if that was read already.
pub(crate) async fn serve(
    connection: Connection,
    first: Option<Vec<u8>>,
    relay: &'static RelayHandle,
) {
    // The place is kept until the session begins, or the leg is gone.
    let Connection { mut link, from, place } = connection;
    let (conn, owner) = (place.conn(), &relay.legs);
    // Two messages at most are ever sent: park, then pair.
    let (outbox, mut orders) = bounded(2);
    if owner.send(FromLeg::Opened { conn, from, outbox }).await.is_err() {
        return;
    }
    let first = match first {
        Some(payload) => Some(payload),
        None => first_message(&mut link, &orders).await,
    };
    let Some(payload) = first else {
        let _ = owner.send(FromLeg::Closed { conn }).await;
        return;
    };
    if owner.send(FromLeg::Joined { conn, payload, leg: link }).await.is_err() {
        return;
    }
    let Some(ToLeg::Park(mut waiting)) = orders.recv().await else { return };
    match partner(&mut waiting, &mut orders).await {
        WaitEnd::Paired(paired) => {
            place.settle();
            let Paired { partner: joining, terms, number, traffic } = *paired;
            let inbox = relay.inbox.clone();
            let session = Session { waiting, joining, terms, number, traffic, conn, inbox };
            relay.sessions.start(session).await;
        }
        WaitEnd::Gone => {
            let _ = owner.send(FromLeg::Closed { conn }).await;
        }
        WaitEnd::Dismissed => {}
    }
    drop(place);
}

/// The first message; None if the peer or the owner ends it before.
async fn first_message(link: &mut Link, orders: &Receiver<ToLeg>) -> Option<Vec<u8>> {
    let dismissed = async {
        let _ = orders.recv().await;
        None
    };
    future::or(dismissed, async { link.next_payload(RELAY_FRAME_BYTES_MAX).await.ok() }).await
}

/// Waits for the partner of a parked leg.
async fn partner(parked: &mut Link, orders: &mut Receiver<ToLeg>) -> WaitEnd {
    let order = async {
        match orders.recv().await {
            Some(ToLeg::Pair(paired)) => WaitEnd::Paired(paired),
            Some(ToLeg::Park(_)) | None => WaitEnd::Dismissed,
        }
    };
    let gone = async {
        until_gone(parked).await;
        WaitEnd::Gone
    };
    future::or(order, gone).await
}
