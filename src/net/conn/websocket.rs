//! Opens WebSockets: the handshake within its deadline and size. C31, C53, C54.

use hbb_core::base::counters::DropReason;
use hbb_core::base::limits::{HANDSHAKE_BYTES_MAX, HANDSHAKE_MS};
use hbb_core::wire::handshake::{Opening, parse};
use hbb_core::wire::websocket::Assembly;

use crate::net::conn::Connection;
use crate::net::conn::gate::Door;
use crate::net::conn::link::{Codec, Link, within};
use crate::net::conn::proxied::take_word;

/// Turns a fresh connection into a WebSocket, whatever its path. From now on it comes from where
/// its client is.
///
/// # Errors
/// Why the connection must end; a request that opens no WebSocket was answered.
pub(crate) async fn upgrade(connection: &mut Connection, door: Door<'_>) -> Result<(), DropReason> {
    let link = &mut connection.link;
    let opening = within(HANDSHAKE_MS, Err(DropReason::Idle), opening(link)).await?;
    take_word(connection, door, &opening)?;
    let link = &mut connection.link;
    link.write(opening.answer.as_bytes()).await?;
    link.codec = Codec::WebSocket(Assembly::default());
    Ok(())
}

async fn opening(link: &mut Link) -> Result<Opening, DropReason> {
    loop {
        match parse(&link.leftover) {
            Ok(Some(opening)) => {
                link.leftover = link.leftover.split_off(opening.consumed);
                return Ok(opening);
            }
            Ok(None) if link.leftover.len() > HANDSHAKE_BYTES_MAX => {
                return Err(DropReason::Oversized);
            }
            Ok(None) => link.read_more().await?,
            Err(refusal) => {
                link.write(refusal.answer().as_bytes()).await?;
                return Err(DropReason::Malformed);
            }
        }
    }
}
