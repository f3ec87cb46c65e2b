//! Answers HTTP requests within their deadline and size: opens WebSockets, and tells whoever calls
//! the API that there is none. C31, C53, C54, C130.

use std::net::Shutdown;

use hbb_core::base::counters::DropReason;
use hbb_core::base::limits::{HANDSHAKE_BYTES_MAX, HANDSHAKE_MS};
use hbb_core::wire::handshake::{Opening, Refusal, parse};
use hbb_core::wire::websocket::Assembly;

use crate::net::conn::Connection;
use crate::net::conn::gate::Door;
use crate::net::conn::link::{Codec, Link, within};
use crate::net::conn::proxied::{refused, take_word};

/// What a call of the API is told. Nothing below 500 makes a client call again over P.
const NO_API: &str = "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
/// How often is read of a request's body, 2 KiB at most each time; the longest is an address book.
const BODY_READS_MAX: usize = 512;

/// Turns a fresh connection into a WebSocket, whatever its path. From now on it comes from where
/// its client is.
///
/// # Errors
/// Why the connection must end; a request that opens no WebSocket was answered.
pub(crate) async fn upgrade(connection: &mut Connection, door: Door<'_>) -> Result<(), DropReason> {
    let link = &mut connection.link;
    // Its headers tell.
    link.unnamed = false;
    let opening = match within(HANDSHAKE_MS, Err(DropReason::Idle), request(link)).await? {
        Ok(opening) => opening,
        Err(refusal) => {
            link.write(refusal.answer().as_bytes()).await?;
            link.warn_of_proxy();
            refused(connection, refusal);
            return Err(DropReason::Malformed);
        }
    };
    link.leftover = link.leftover.split_off(opening.consumed);
    take_word(connection, door, &opening.forwarded)?;
    let link = &mut connection.link;
    link.write(opening.answer.as_bytes()).await?;
    link.codec = Codec::WebSocket(Assembly::default());
    Ok(())
}

/// Tells whoever calls the API that there is none; why the connection ends (C130).
pub(crate) async fn refuse_call(link: &mut Link) -> DropReason {
    let refused = within(HANDSHAKE_MS, Err(DropReason::Idle), async {
        let answer = match request(link).await? {
            Err(refusal @ Refusal::Malformed) => refusal.answer(),
            Ok(_) | Err(Refusal::NotWebSocket | Refusal::UpgradeLost) => NO_API,
        };
        link.write(answer.as_bytes()).await
    });
    match refused.await {
        Ok(()) => end_answered(link).await,
        Err(reason) => reason,
    }
}

/// Ends a connection whose answer is written; what is still on its way must not reset it before
/// that is read. Gives why it ends.
pub(crate) async fn end_answered(link: &mut Link) -> DropReason {
    let ended = within(HANDSHAKE_MS, Err(DropReason::Idle), async {
        let _ = link.stream.socket().shutdown(Shutdown::Write);
        for _ in 0..BODY_READS_MAX {
            link.take_leftover();
            link.read_more().await?;
        }
        Ok(())
    });
    ended.await.err().unwrap_or(DropReason::Done)
}

/// Waits for a whole request.
async fn request(link: &mut Link) -> Result<Result<Opening, Refusal>, DropReason> {
    loop {
        match parse(&link.leftover) {
            Ok(Some(opening)) => return Ok(Ok(opening)),
            Err(refusal) => return Ok(Err(refusal)),
            Ok(None) if link.leftover.len() > HANDSHAKE_BYTES_MAX => {
                return Err(DropReason::Oversized);
            }
            Ok(None) => link.read_more().await?,
        }
    }
}
