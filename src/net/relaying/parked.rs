//! A leg that waits for its partner: what it sends meanwhile is kept, and its end is noticed. C67;
//! checks: relay_pump of conformance.

use core::mem::MaybeUninit;

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use smol::future;

use hbb_core::base::limits::PARKED_BYTES_MAX;

use crate::net::conn::link::Link;

/// Bytes read at once.
const READ_BYTES: usize = 2048;

/// Ready when a parked leg is gone. Its end counts as that even behind a few bytes: a target says
/// its first words at once, and one that left must not be joined with its own next try. Reads at
/// most [`PARKED_BYTES_MAX`] of what it sends meanwhile, which is how the end shows early; a leg
/// that sends more is not watched further. Those are its own (C107).
pub async fn until_gone(leg: &mut Link) {
    while leg.leftover.len() < PARKED_BYTES_MAX
        && leg.has_room(READ_BYTES.min(PARKED_BYTES_MAX - leg.leftover.len()))
    {
        leg.stream.readable().await;
        if !keep_some(leg) {
            return;
        }
    }
    future::pending().await
}

/// Keeps what a leg sent, up to [`PARKED_BYTES_MAX`] in all; false if it is gone.
fn keep_some(leg: &mut Link) -> bool {
    let mut buffer = [const { MaybeUninit::<u8>::uninit() }; READ_BYTES];
    let room = PARKED_BYTES_MAX.saturating_sub(leg.leftover.len()).min(buffer.len());
    let part = buffer.get_mut(..room).unwrap_or_default();
    match recv(leg.stream.socket(), part, RecvFlags::empty()) {
        Ok(((read, _), _)) => {
            if read.len() < room {
                leg.stream.read_short();
            }
            leg.keep(read);
            !read.is_empty()
        }
        Err(Errno::AGAIN) => {
            leg.stream.drained();
            true
        }
        Err(_) => false,
    }
}
