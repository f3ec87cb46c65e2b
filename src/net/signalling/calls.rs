//! Calls of the HTTP API on their way to the accounts and back: over the sealed channel, or as a
//! request of HTTP on a connection of their own. C165, C170.

use std::rc::Rc;

use hbb_core::accounts::call::{Answer as Called, Door as Way, HttpCall, Method, Source};
use hbb_core::base::counters::DropReason;
use hbb_core::base::limits::{
    CALL_BYTES_MAX, CALL_MS, FRAME_BYTES_MAX, HANDSHAKE_BYTES_MAX, HANDSHAKE_MS,
};
use hbb_core::wire::handshake::Refusal;
use hbb_core::wire::http::{self, Head, head, response_head};

use crate::net::conn::Connection;
use crate::net::conn::gate::Door;
use crate::net::conn::link::bytes::{Held, Purpose};
use crate::net::conn::link::{Link, within};
use crate::net::conn::pool::Place;
use crate::net::conn::proxied::take_word;
use crate::net::message::{Answer, ToRendezvous};
use crate::net::tasks::queue::{Sender, bounded};

const TOO_LONG: &str = "This is more than the server takes at once.";
const NO_MEMORY: &str = "The server has no memory to send this much at once; it has more where one \
                         of its devices is.";
const GO_ON: &str = "HTTP/1.1 100 Continue\r\n\r\n";

/// Has a call answered; the memory of the answer comes with it.
///
/// # Errors
/// Why the connection must end: there is no answer in time, or no memory for it.
pub(crate) async fn ask(
    inbox: &Sender<ToRendezvous>,
    place: &Place,
    call: HttpCall,
    door: Way,
) -> Result<(Called, Held), DropReason> {
    let source = Source { ip: place.ip(), known: place.is_known(), door };
    let (to, answered) = bounded(1);
    let asked = ToRendezvous::Called { conn: place.conn(), call: Box::new(call), source, to };
    inbox.send(asked).await.map_err(|_| DropReason::Done)?;
    let answer = async { answered.recv().await.ok_or(DropReason::Done) };
    let Answer::Called(answer) = within(CALL_MS, Err(DropReason::Idle), answer).await? else {
        return Err(DropReason::Bug);
    };
    let held = Held::none(place.account(Purpose::Unread, false));
    if source.known {
        // A whole address book.
        held.may_be_long();
    }
    if let Some(held) = held.another(answer.body.len(), place.is_familiar()) {
        return Ok((answer, held));
    }
    // A page of long entries. The person is shown why; a change is answered with nothing.
    let answer = Called { status: 413, ..Called::error(NO_MEMORY) };
    let held = held.another(answer.body.len(), false);
    Ok((answer, held.ok_or(DropReason::MemoryFull)?))
}

/// Answers the one request of a connection.
///
/// # Errors
/// Why the connection must end.
pub(crate) async fn answer(
    connection: &mut Connection,
    door: Door<'_>,
    inbox: &Sender<ToRendezvous>,
) -> Result<(), DropReason> {
    let place = Rc::clone(&connection.place);
    let (answer, with_body, _held) = match received(connection, door).await? {
        Ok((call, held)) => {
            let with_body = call.method != Method::Head;
            let (answer, another) = ask(inbox, &place, call, Way::Http).await?;
            drop(held);
            (answer, with_body, Some(another))
        }
        // Clients show that of an address book that is too long.
        Err(413) => (Called { status: 413, ..Called::error(TOO_LONG) }, true, None),
        Err(status) => (Called::status(status), true, None),
    };
    let Called { status, content, body } = answer;
    let mut answer = response_head(status, content, body.len()).into_bytes();
    if with_body {
        answer.extend(body);
    }
    connection.link.write(&answer).await
}

/// The one request of a connection and the memory it takes, or the status that refuses it.
///
/// # Errors
/// Why the connection must end.
pub(crate) fn received(
    connection: &mut Connection,
    door: Door<'_>,
) -> impl Future<Output = Result<Result<(HttpCall, Held), u16>, DropReason>> {
    within(HANDSHAKE_MS, Err(DropReason::Idle), receive(connection, door))
}

/// Waits for a whole request, and gives it with the memory it takes; else the status that refuses
/// it.
async fn receive(
    connection: &mut Connection,
    door: Door<'_>,
) -> Result<Result<(HttpCall, Held), u16>, DropReason> {
    connection.link.unnamed = false;
    let Some(Head { mut call, body_bytes, forwarded, waits, consumed, .. }) =
        whole_head(&mut connection.link).await?
    else {
        return Ok(Err(400));
    };
    connection.link.leftover.drain(..consumed);
    take_word(connection, door, &forwarded)?;
    let known = connection.place.is_known();
    let link = &mut connection.link;
    link.familiar = connection.place.is_familiar();
    let Some(bytes) = body_bytes else { return Ok(Err(411)) };
    if bytes > if known { CALL_BYTES_MAX } else { FRAME_BYTES_MAX } {
        return Ok(Err(413));
    }
    if bytes > FRAME_BYTES_MAX {
        link.may_hold_query();
    }
    if waits && link.leftover.len() < bytes {
        link.write(GO_ON.as_bytes()).await?;
    }
    while link.leftover.len() < bytes {
        link.read_more().await?;
    }
    let mut body = link.take_leftover();
    body.truncate(bytes);
    let held = link.hold(body.len())?;
    call.body = body;
    Ok(Ok((call, held)))
}

/// Whether a connection of the single port is a call: no message begins so, and a request that
/// opens a WebSocket is none.
///
/// # Errors
/// As [`Link::read`], or `Oversized`.
pub(crate) async fn begins(link: &mut Link) -> Result<bool, DropReason> {
    loop {
        match http::begins(&link.leftover) {
            Some(false) => return Ok(false),
            Some(true) => break,
            None => link.read_more().await?,
        }
    }
    Ok(whole_head(link).await?.is_some_and(|head| !head.is_opening))
}

/// Waits for the head of a request; None if it is none.
async fn whole_head(link: &mut Link) -> Result<Option<Head>, DropReason> {
    loop {
        match head(&link.leftover) {
            Ok(Some(head)) => return Ok(Some(head)),
            Err(Refusal::Malformed | Refusal::NotWebSocket | Refusal::UpgradeLost) => {
                return Ok(None);
            }
            Ok(None) if link.leftover.len() > HANDSHAKE_BYTES_MAX => {
                return Err(DropReason::Oversized);
            }
            Ok(None) => link.read_more().await?,
        }
    }
}

#[cfg(test)]
mod tests {
    use core::pin::pin;
    use core::task::{Context, Poll, Waker};
    use core::time::Duration;

    use hbb_core::base::limits::Limits;
    use hbb_core::base::places::Origin;
    use hbb_core::base::table::Seed;
    use smol::future::block_on;

    use super::*;
    use crate::net::clock::{Clock, pass};
    use crate::net::conn::pool::Pool;

    /// As where the store has hung, and the accounts wait for it.
    #[test]
    fn c170_a_call_that_nobody_answers_ends_in_its_time() {
        let pool = Pool::new(&Limits::default(), Seed(1, 2), Clock::start());
        let origin = Origin { ip: [192, 0, 2, 1].into(), exempt: false };
        let place = block_on(pool.place(origin)).unwrap();
        let (inbox, called) = bounded(1);
        let call = HttpCall::new("POST", "/api/currentUser", None, b"{}".to_vec());
        let mut asked = pin!(ask(&inbox, &place, call, Way::Http));
        let mut poll = || asked.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(poll().is_pending());
        let Some(ToRendezvous::Called { to, .. }) = called.try_recv() else { panic!("no call") };
        // The test itself takes less than the second.
        pass(Duration::from_millis(CALL_MS - 1_000));
        assert!(poll().is_pending());
        pass(Duration::from_secs(1));
        assert!(matches!(poll(), Poll::Ready(Err(DropReason::Idle))));
        drop(to);
    }
}
