//! One connection or socket: how it is opened, cut into payloads, sealed, counted. It knows no
//! machine and nobody's queue. C04, C136.

pub(crate) mod gate;
pub mod link;
pub(crate) mod pool;
pub(crate) mod proxied;
pub(crate) mod secrecy;
pub(crate) mod socket;
pub(crate) mod udp;
pub(crate) mod websocket;

use std::rc::Rc;

use hbb_core::base::address::Endpoint;
use hbb_core::base::counters::DropReason;
use hbb_core::base::limits::{FRAME_BYTES_MAX, ONLINE_BYTES_MAX};

use link::Link;
use pool::Place;

/// A connection that was accepted.
pub(crate) struct Connection {
    /// Its stream, and what was read of it.
    pub(crate) link: Box<Link>,
    /// Where its client is: where it came from, unless a trusted proxy knows better (C54).
    pub(crate) from: Endpoint,
    /// Kept to its end.
    pub(crate) place: Rc<Place>,
}

impl Connection {
    /// Waits for the next payload of signalling.
    ///
    /// # Errors
    /// As [`payload`] and [`Link::read`].
    pub(crate) async fn next_payload(&mut self) -> Result<Vec<u8>, DropReason> {
        loop {
            if let Some(payload) = payload(&mut self.link, &self.place).await? {
                return Ok(payload);
            }
            self.link.read_more().await?;
        }
    }
}

/// The next payload of signalling, as [`Link::payload`]: an online query of somebody who is known
/// may be longer than others, which its first bytes tell.
///
/// # Errors
/// As [`Link::payload`].
pub(crate) async fn payload(link: &mut Link, place: &Place) -> Result<Option<Vec<u8>>, DropReason> {
    match link.payload(FRAME_BYTES_MAX).await {
        Err(DropReason::Oversized) if link.brings_query() && place.is_known() => {
            link.may_hold_query();
            link.payload(ONLINE_BYTES_MAX).await
        }
        payload => payload,
    }
}
