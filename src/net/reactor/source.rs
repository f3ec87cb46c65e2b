//! A socket whose readiness a reactor watches. What its owner sees is a level: ready until an
//! operation said that it is not. Whoever reads or writes says so, by [`Source::drained`],
//! [`Source::read_short`] and [`Source::full`], since the kernel tells of a change once.

use core::cell::Cell;
use core::task::{Context, Poll, Waker};
use std::io;
use std::os::fd::AsFd;
use std::rc::Rc;

use rustix::event::epoll::{self, EventData, EventFlags};
use smol::future;

use super::{First, Reactor, here};

/// What every connection's registration asks for: changes, the peer's end, and urgent data.
const ALWAYS: EventFlags = EventFlags::ET.union(EventFlags::RDHUP).union(EventFlags::PRI);

/// A non-blocking socket, registered with the reactor of the thread that made this. One task
/// waits for each direction at a time.
pub struct Source<T> {
    // Closed first, which ends what the kernel watches.
    io: T,
    place: Place,
}

/// A number in the reactor's table.
struct Place {
    number: u32,
    readiness: Rc<Readiness>,
    reactor: Rc<Reactor>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.reactor.sources.borrow_mut().remove(self.number);
    }
}

/// What the kernel said of a socket, and who waits for more.
#[derive(Default)]
pub(super) struct Readiness {
    /// Something came, and was not all read.
    unread: Cell<bool>,
    /// Urgent data came.
    urgent: Cell<bool>,
    /// The peer has sent its end: there is always something to read, if only that.
    ended: Cell<bool>,
    /// Not since the kernel refused bytes.
    full: Cell<bool>,
    /// Whether the kernel tells of room to write: only a socket that was full once wants it.
    watched: Cell<bool>,
    reader: Cell<Option<Waker>>,
    writer: Cell<Option<Waker>>,
}

impl Readiness {
    /// Notes what the kernel tells; whether there is something for who reads, who was not woken.
    pub(super) fn happened(&self, flags: EventFlags) -> bool {
        let ended = flags.intersects(EventFlags::RDHUP | EventFlags::HUP);
        let broke = flags.intersects(EventFlags::HUP | EventFlags::ERR);
        let urgent = flags.contains(EventFlags::PRI);
        self.ended.set(self.ended.get() || ended);
        self.urgent.set(self.urgent.get() || urgent);
        let came = ended || broke || flags.intersects(EventFlags::IN | EventFlags::PRI);
        if came {
            self.unread.set(true);
        }
        // A peer that sends no more may read on.
        if broke || flags.contains(EventFlags::OUT) {
            self.full.set(false);
            self.writer.take().into_iter().for_each(Waker::wake);
        }
        came
    }

    pub(super) fn wake_reader(&self) {
        self.reader.take().into_iter().for_each(Waker::wake);
    }

    const fn is_readable(&self) -> bool {
        self.unread.get() || self.ended.get()
    }
}

impl<T: AsFd> Source<T> {
    /// Registers a non-blocking socket.
    ///
    /// # Errors
    /// What the kernel says; `NotConnected` outside of [`super::block_on`].
    pub fn new(io: T) -> io::Result<Self> {
        Self::watched(io, EventFlags::IN | ALWAYS)
    }

    /// The same for a listener, of which the kernel tells as long as somebody waits there: who
    /// took one may say that it is drained, without asking for another.
    ///
    /// # Errors
    /// As [`Source::new`].
    pub fn listening(io: T) -> io::Result<Self> {
        Self::watched(io, EventFlags::IN)
    }

    /// Has the kernel tell but once, for as long as nobody of those who wait can be taken.
    pub fn hush(&self, hushed: bool) {
        let edge = if hushed { EventFlags::ET } else { EventFlags::empty() };
        let (epoll, data) = (&self.place.reactor.epoll, self.place.data());
        // Where it fails, this thread is awake more than it need be.
        let _ = epoll::modify(epoll, &self.io, data, EventFlags::IN | edge);
    }

    fn watched(io: T, flags: EventFlags) -> io::Result<Self> {
        let reactor = here().ok_or(io::ErrorKind::NotConnected)?;
        let readiness = Rc::new(Readiness::default());
        let number = reactor.sources.borrow_mut().insert(Rc::clone(&readiness));
        let place = Place { number, readiness, reactor };
        epoll::add(&place.reactor.epoll, &io, place.data(), flags)?;
        Ok(Self { io, place })
    }

    /// Takes the socket out of the reactor, so that another thread can have it.
    pub fn into_inner(self) -> T {
        let _ = epoll::delete(&self.place.reactor.epoll, &self.io);
        self.io
    }

    /// Waits until there is room to write, as the kernel sees it now and not when it last told.
    pub async fn writable_anew(&self) {
        self.place.readiness.full.set(true);
        self.watch_writing();
        self.writable().await;
    }

    /// Waits until there is room to write.
    pub fn writable(&self) -> impl Future<Output = ()> {
        future::poll_fn(move |context| {
            let readiness = &self.place.readiness;
            if !readiness.full.get() {
                return Poll::Ready(());
            }
            keep(&readiness.writer, context);
            Poll::Pending
        })
    }

    /// The kernel took less than it was given.
    pub fn full(&self) {
        self.place.readiness.full.set(true);
        if !self.place.readiness.watched.get() {
            self.watch_writing();
        }
    }

    /// Has the kernel tell of room, and at once if there is some.
    fn watch_writing(&self) {
        let flags = EventFlags::IN | EventFlags::OUT | ALWAYS;
        let watched = epoll::modify(&self.place.reactor.epoll, &self.io, self.place.data(), flags);
        self.place.readiness.watched.set(watched.is_ok());
        if watched.is_err() {
            // Whoever waits would do so for ever: the next write says what is wrong.
            self.place.readiness.full.set(false);
        }
    }
}

impl<T> Source<T> {
    /// The socket.
    pub const fn socket(&self) -> &T {
        &self.io
    }

    /// Waits until there is something to read, or an end, or an error.
    pub fn readable(&self) -> impl Future<Output = ()> {
        future::poll_fn(move |context| self.poll_readable(context))
    }

    /// Ready as [`Self::readable`]; else the task of `context` is woken when it is.
    pub fn poll_readable(&self, context: &Context<'_>) -> Poll<()> {
        let readiness = &self.place.readiness;
        if readiness.is_readable() {
            return Poll::Ready(());
        }
        keep(&readiness.reader, context);
        Poll::Pending
    }

    /// Has `first` called when something came, before the task that waits for it is woken. One
    /// source of a thread has such a one.
    pub fn ask_first(&self, first: First) {
        *self.place.reactor.first.borrow_mut() = Some((self.place.number.into(), first));
    }

    /// Whether there may be something to read.
    pub fn is_readable(&self) -> bool {
        self.place.readiness.is_readable()
    }

    /// Whether urgent data ever came: a pipe of the kernel stops before them, and for good.
    pub fn is_urgent(&self) -> bool {
        self.place.readiness.urgent.get()
    }

    /// Whether there may be more than an end to read.
    pub fn is_unread(&self) -> bool {
        self.place.readiness.unread.get()
    }

    /// There was nothing to read.
    pub fn drained(&self) {
        self.place.readiness.unread.set(false);
    }

    /// There was less to read than there was room for: that was all, or urgent data are next.
    pub fn read_short(&self) {
        self.place.readiness.unread.set(self.is_urgent());
    }
}

/// Has the task of `context` be woken, of which most are kept already.
fn keep(kept: &Cell<Option<Waker>>, context: &Context<'_>) {
    let mut waker = kept.take();
    match &mut waker {
        Some(waker) => waker.clone_from(context.waker()),
        None => waker = Some(context.waker().clone()),
    }
    kept.set(waker);
}

impl Place {
    fn data(&self) -> EventData {
        EventData::new_u64(self.number.into())
    }
}
