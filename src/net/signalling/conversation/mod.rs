//! One signalling connection, from its first words to its end: payloads in, payloads out,
//! deadlines. It knows nothing of what payloads say but the key exchange of `conn/secrecy.rs`.
//! C03-C05, C26-C29, C31, C139.

mod idle_timer;

use std::cell::Cell;
use std::net::IpAddr;
use std::task::Poll;
use std::time::Duration;

use smol::future;

#[cfg(feature = "accounts")]
use hbb_core::accounts::call::{Door, HttpCall};
use hbb_core::base::counters::DropReason;
use hbb_core::base::limits::{HEALTH_CHECK_MS, LISTENS_MS, OUTBOX_MAX};

#[cfg(feature = "accounts")]
use hbb_core::wire::message::{http_answer, http_call};

use crate::net::conn::link::Link;
use crate::net::conn::link::bytes::{Held, Purpose};
use crate::net::conn::pool::Place;
use crate::net::conn::secrecy::{Caller, Offers, Secrecy};
use crate::net::conn::{Connection, payload};
use crate::net::message::{Outbox, ToConnection, ToRendezvous};
use crate::net::reactor::{Timer, give_way};
use crate::net::report;
#[cfg(feature = "accounts")]
use crate::net::signalling::calls;
use crate::net::tasks::queue::{Receiver, Sender, bounded};
use idle_timer::{Due, IdleTimer};

/// The way to the owner of the rendezvous.
pub(crate) struct SignallingHandle {
    /// Takes what comes.
    pub(crate) inbox: Sender<ToRendezvous>,
    /// Makes offers of a sealed channel; None if there is no key to sign them with.
    pub(crate) offers: Option<&'static Offers>,
    /// Whether calls of the API are answered.
    #[cfg(feature = "accounts")]
    pub(crate) answers_calls: bool,
}

/// How a connection begins, which tells whether it is made an offer of a sealed channel.
pub(crate) enum Beginning {
    /// Nothing is known of it: the offer is made if it stays silent (C26).
    Fresh,
    /// It was silent long enough: the offer is made now.
    Silent,
    /// Whoever comes this way expects no offer (C31, C37).
    Unoffered,
    /// It spoke, so it expects none; this came first.
    Spoke(Vec<u8>),
}

/// Serves a connection until either side ends it.
pub(crate) async fn serve(
    connection: Connection,
    beginning: Beginning,
    rendezvous: &'static SignallingHandle,
) {
    let Connection { link, from, place } = connection;
    let (conn, transport) = (place.conn(), link.transport());
    let (queue, outbox) = bounded(OUTBOX_MAX);
    let held = Held::none(place.account(Purpose::Unread, link.unnamed));
    let outbox_in = Outbox { queue, held, asked: None, told: (0, 0) };
    let opened = ToRendezvous::Opened { conn, from, transport, outbox: outbox_in };
    if rendezvous.inbox.send(opened).await.is_ok() {
        let ip = from.ip();
        let secrecy = Secrecy::Silent;
        let idle = idle_timer(&beginning, rendezvous);
        let talk = Talk { link, place: &place, ip, rendezvous, secrecy, outbox, idle };
        let reason = talk.run(beginning).await;
        report::refused(ip, reason);
        let _ = rendezvous.inbox.send(ToRendezvous::Closed { conn, reason }).await;
    }
}

/// What a conversation waits for.
enum Happening {
    Readable,
    /// The owner says this; None: nothing any more.
    Told(Option<ToConnection>),
    Elapsed,
}

/// One conversation.
struct Talk<'a> {
    link: Box<Link>,
    place: &'a Place,
    ip: IpAddr,
    rendezvous: &'static SignallingHandle,
    secrecy: Secrecy,
    outbox: Receiver<ToConnection>,
    idle: IdleTimer,
}

fn idle_timer(beginning: &Beginning, rendezvous: &SignallingHandle) -> IdleTimer {
    match (beginning, &rendezvous.offers) {
        (Beginning::Fresh, Some(offers)) => IdleTimer::for_first_words(offers.delay_ms()),
        _ => IdleTimer::for_open(),
    }
}

impl Talk<'_> {
    /// Goes on until there is a reason to end.
    async fn run(mut self, beginning: Beginning) -> DropReason {
        let mut went = self.begin(beginning).await;
        loop {
            if let Err(reason) = went {
                return reason;
            }
            let happening = {
                let readable = async {
                    self.link.stream.readable().await;
                    Happening::Readable
                };
                let told = async { Happening::Told(self.outbox.recv().await) };
                let elapsed = async {
                    self.idle.wait().await;
                    Happening::Elapsed
                };
                future::or(told, future::or(readable, elapsed)).await
            };
            went = match happening {
                Happening::Readable => self.receive().await,
                Happening::Told(message) => self.told(message).await,
                Happening::Elapsed => self.elapsed().await,
            };
        }
    }

    /// Does what the owner says; at the end of that, it is done.
    async fn told(&mut self, message: Option<ToConnection>) -> Result<(), DropReason> {
        match message.ok_or(DropReason::Done)? {
            ToConnection::Payload(payload, held) => return self.send(payload, held).await,
            ToConnection::Pause => Timer::after(Duration::from_millis(LISTENS_MS)).await,
            ToConnection::Keep => self.idle.keep(None),
            ToConnection::Linger => self.idle.keep(Some(HEALTH_CHECK_MS)),
        }
        Ok(())
    }

    /// Does what is due at once, and passes on what was read before.
    async fn begin(&mut self, beginning: Beginning) -> Result<(), DropReason> {
        match beginning {
            Beginning::Fresh | Beginning::Unoffered => {}
            Beginning::Silent => self.offer().await?,
            Beginning::Spoke(payload) => self.pass_on(payload).await?,
        }
        let said = self.pass_on_whole().await?;
        if said || self.link.is_half_read() {
            self.idle.heard(said, self.link.is_half_read());
            self.link.let_others().await;
        }
        Ok(())
    }

    /// Reads what is there and passes on every whole payload.
    async fn receive(&mut self) -> Result<(), DropReason> {
        self.link.familiar = self.place.is_familiar();
        if let Err(reason) = self.link.read() {
            self.secrecy.left(self.ip);
            return Err(reason);
        }
        let said = self.pass_on_whole().await?;
        self.idle.heard(said, self.link.is_half_read());
        self.link.let_others().await;
        // Whoever sends faster than is read is always readable: no deadline had its turn otherwise.
        let unread = self.link.stream.is_unread();
        if unread && self.idle.is_over().await { self.elapsed().await } else { Ok(()) }
    }

    /// Passes on every whole payload; whether one of them says something.
    async fn pass_on_whole(&mut self) -> Result<bool, DropReason> {
        let mut said = false;
        loop {
            // Who says goodbye in the same breath is answered before it, as who just ends is.
            if self.link.takes_leave() {
                give_way().await;
                while let Some(message) = self.outbox.try_recv() {
                    self.told(Some(message)).await?;
                }
            }
            let Some(payload) = payload(&mut self.link, self.place).await? else {
                return Ok(said);
            };
            said |= !payload.is_empty();
            self.pass_on(payload).await?;
        }
    }

    /// Hands a payload to the owner; an empty one is a sign of life and no more.
    async fn pass_on(&mut self, payload: Vec<u8>) -> Result<(), DropReason> {
        if payload.is_empty() {
            return Ok(());
        }
        let caller = || Caller { ip: self.ip, known: self.place.is_known() };
        self.secrecy.turn(&payload, caller).await?;
        let Some(payload) = self.secrecy.incoming(payload, caller)? else { return Ok(()) };
        #[cfg(feature = "accounts")]
        if self.rendezvous.answers_calls
            && self.secrecy.is_sealed()
            && let Some(call) = http_call(&payload)
        {
            return self.call(call).await;
        }
        let held = self.link.hold(payload.len())?;
        self.put(ToRendezvous::Payload { conn: self.place.conn(), payload, held }).await
    }

    /// Puts a message into the owner's inbox. What the connection is told until then goes out, also
    /// while that is full: its outbox is short, and others fill it (C30).
    async fn put(&mut self, message: ToRendezvous) -> Result<(), DropReason> {
        let (inbox, waits) = (&self.rendezvous.inbox, Cell::new(true));
        // It is polled first, also while something goes out: nobody waits behind its turn.
        let putting = async {
            let put = inbox.send(message).await;
            waits.set(false);
            put.map_err(|_| DropReason::Done)
        };
        let telling = async {
            loop {
                let told = future::poll_fn(|context| match self.outbox.poll_recv(context) {
                    Poll::Pending if !waits.get() => Poll::Ready(None),
                    told => told.map(Some),
                });
                let Some(message) = told.await else { return Ok(()) };
                self.told(message).await?;
            }
        };
        future::try_zip(putting, telling).await.map(|_| ())
    }

    /// Answers the one call of a connection (C165).
    #[cfg(feature = "accounts")]
    async fn call(&mut self, call: HttpCall) -> Result<(), DropReason> {
        let (answer, held) =
            calls::ask(&self.rendezvous.inbox, self.place, call, Door::Sealed).await?;
        let answer = http_answer(answer.status, answer.content, answer.body);
        self.send(answer, held).await?;
        Err(DropReason::Done)
    }

    async fn elapsed(&mut self) -> Result<(), DropReason> {
        match self.idle.elapsed()? {
            Due::Nothing => Ok(()),
            Due::Heartbeat => self.link.send(&[]).await,
            Due::Offer => self.offer().await,
        }
    }

    /// Makes the offer, if nothing was said yet and there is a key to sign it with.
    async fn offer(&mut self) -> Result<(), DropReason> {
        let offers = self.rendezvous.offers.as_ref();
        match offers.and_then(|offers| self.secrecy.offer(offers, self.ip)) {
            Some(payload) => self.link.send(&payload).await,
            None => Ok(()),
        }
    }

    /// Sends a payload, of which one copy alone is there while it waits; `held` is its memory.
    async fn send(&mut self, payload: Vec<u8>, held: Held) -> Result<(), DropReason> {
        let framed = self.link.framed(&self.secrecy.outgoing(payload))?;
        let sent = self.link.write(&framed).await;
        drop(held);
        sent
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    use hbb_core::base::limits::{IDLE_MS, Limits};
    use hbb_core::base::places::Origin;
    use hbb_core::base::table::Seed;

    use super::*;
    use crate::net::clock::{Clock, pass};
    use crate::net::conn::link::TravellingLink;
    use crate::net::conn::pool::Pool;
    use crate::net::reactor::block_on;
    use crate::net::tasks::lasting;

    /// A client, and the conversation with it, whose inbox has room for one message.
    async fn talks(test: impl AsyncFnOnce(TcpStream, Talk<'_>, Sender<ToConnection>)) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let stream = listener.accept().unwrap().0;
        stream.set_nonblocking(true).unwrap();
        let pool = Pool::new(&Limits::default(), Seed(1, 2), Clock::start());
        let ip = IpAddr::from(Ipv4Addr::LOCALHOST);
        let place = pool.place(Origin { ip, exempt: false }).await.unwrap();
        let account = place.account(Purpose::HalfRead, false);
        let link = TravellingLink::new(stream, account).watch().unwrap();
        let (inbox, _received) = bounded(1);
        #[cfg(feature = "accounts")]
        let rendezvous = SignallingHandle { inbox, offers: None, answers_calls: false };
        #[cfg(not(feature = "accounts"))]
        let rendezvous = SignallingHandle { inbox, offers: None };
        let (secrecy, idle) = (Secrecy::Silent, IdleTimer::for_open());
        let ((queue, outbox), rendezvous) = (bounded(OUTBOX_MAX), lasting(rendezvous));
        let talk = Talk { link, place: &place, ip, rendezvous, secrecy, outbox, idle };
        test(peer, talk, queue).await;
    }

    #[test]
    fn who_sends_faster_than_is_read_keeps_no_deadline_from_its_turn() {
        let test = async |mut peer: TcpStream, mut talk: Talk<'_>, _told| {
            // Of these, each an empty message, every read leaves some.
            peer.write_all(&[0; 60_000]).unwrap();
            talk.link.stream.readable().await;
            assert_eq!(talk.receive().await, Ok(()));
            pass(Duration::from_millis(IDLE_MS));
            assert_eq!(talk.receive().await, Err(DropReason::Idle));
            assert!(talk.link.stream.is_unread());
        };
        block_on(talks(test)).unwrap();
    }

    #[test]
    fn what_it_is_told_goes_out_while_what_it_said_waits_for_room() {
        let test = async |mut peer: TcpStream, mut talk: Talk<'_>, told: Sender<ToConnection>| {
            // Two messages of a byte each, of which one has room.
            peer.write_all(&[4, 1, 4, 2]).unwrap();
            talk.link.stream.readable().await;
            let held = Held::none(talk.place.account(Purpose::Unread, false));
            let telling = async {
                for _ in 0..3 * OUTBOX_MAX {
                    let message = ToConnection::Payload(vec![7], held.another(1, false).unwrap());
                    assert_eq!(told.try_send(message), Ok(()));
                    future::yield_now().await;
                }
                Ok(())
            };
            assert_eq!(future::or(talk.receive(), telling).await, Ok(()));
            let mut read = [0; 6 * OUTBOX_MAX];
            peer.read_exact(&mut read).unwrap();
            assert_eq!(read, [4, 7].repeat(3 * OUTBOX_MAX)[..]);
        };
        block_on(talks(test)).unwrap();
    }
}
