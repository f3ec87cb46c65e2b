//! Bounded queues between tasks and threads: many senders, one receiver. A task that finds a queue
//! full waits for its turn, one that must not wait is refused. Checks: here.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use crate::net::clock::Clock;

/// A queue for `capacity` items at most, empty and without memory for any.
pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let gate = Gate { capacity, senders: 1, ..Gate::default() };
    let queue = Arc::new(Queue(Mutex::new(State { gate, items: VecDeque::new() })));
    (Sender(Arc::clone(&queue)), Receiver(queue))
}

/// One of the ends that items are put in. When the last is gone, the queue is closed.
pub struct Sender<T>(Arc<Queue<T>>);

/// The end that items come out of. When it is gone, so are the items, and the queue is closed.
pub struct Receiver<T>(Arc<Queue<T>>);

/// The queue is closed: an item for it was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

/// Why an item was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no room.
    Full,
    /// The queue is closed.
    Closed,
}

impl<T> Sender<T> {
    /// Puts an item in without waiting.
    ///
    /// # Errors
    /// [`Refused`] if it is not in.
    pub fn try_send(&self, item: T) -> Result<(), Refused> {
        let mut state = self.0.lock();
        state.admits()?;
        put(state, item);
        Ok(())
    }

    /// Puts an item in; in a full queue the oldest gives way to it.
    ///
    /// # Errors
    /// [`Closed`].
    pub fn force_send(&self, item: T) -> Result<(), Closed> {
        let mut state = self.0.lock();
        let oldest = match state.admits() {
            Ok(()) => None,
            Err(Refused::Full) => state.items.pop_front(),
            Err(Refused::Closed) => return Err(Closed),
        };
        put(state, item);
        drop(oldest);
        Ok(())
    }

    /// Puts an item in when there is room; those who wait come in the order they began to.
    ///
    /// # Errors
    /// [`Closed`], at once or while it waits.
    pub fn send(&self, item: T) -> Sending<'_, T> {
        Sending { queue: &self.0, item: Some(item), turn: None }
    }

    /// Closes the queue. What is in it still comes out.
    pub fn close(&self) {
        close(self.0.lock());
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.lock().gate.senders += 1;
        Self(Arc::clone(&self.0))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.gate.senders = state.gate.senders.saturating_sub(1);
        if state.gate.senders == 0 {
            close(state);
        }
    }
}

impl<T> Receiver<T> {
    /// The next item, if there is one.
    pub fn try_recv(&self) -> Option<T> {
        let mut state = self.0.lock();
        let item = state.items.pop_front();
        let next = if item.is_some() { state.gate.next() } else { None };
        drop(state);
        wake(next);
        item
    }

    /// Waits for the next item; None once the queue is closed and empty. One task waits at a time.
    pub fn recv(&self) -> impl Future<Output = Option<T>> {
        poll_fn(|context| self.poll_recv(context))
    }

    /// Ready as [`Self::recv`]; else the task of `context` is woken when it is.
    pub fn poll_recv(&self, context: &Context<'_>) -> Poll<Option<T>> {
        self.0.take(context.waker())
    }

    /// Ready when there is an item, with true, or when none will come any more; else the task of
    /// `context` is woken when it is.
    pub fn poll_some(&self, context: &Context<'_>) -> Poll<bool> {
        let mut state = self.0.lock();
        match state.items.is_empty() {
            true => state.gate.listen(context.waker()).map(|()| false),
            false => Poll::Ready(true),
        }
    }

    /// As [`Self::recv`], on a thread that may block.
    pub fn recv_blocking(&self) -> Option<T> {
        self.recv_within(u64::MAX).ok().flatten()
    }

    /// The same for so many milliseconds at most; None if nothing came in them.
    ///
    /// # Errors
    /// [`Closed`], once it is empty too.
    pub fn recv_within(&self, ms_max: u64) -> Result<Option<T>, Closed> {
        let waker = Waker::from(Arc::new(Parked(thread::current())));
        let clock = Clock::start();
        loop {
            if let Poll::Ready(item) = self.0.take(&waker) {
                return item.ok_or(Closed).map(Some);
            }
            let left = ms_max.saturating_sub(clock.now().as_millis());
            if left == 0 {
                return Ok(None);
            }
            // Somebody wakes this thread, or it is for no reason.
            thread::park_timeout(Duration::from_millis(left));
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        let items = core::mem::take(&mut state.items);
        close(state);
        // They may own the ends of queues, this one too.
        drop(items);
    }
}

/// An item on its way into a queue.
#[must_use]
pub struct Sending<'a, T> {
    queue: &'a Queue<T>,
    item: Option<T>,
    turn: Option<u64>,
}

// Nothing in it is pinned.
impl<T> Unpin for Sending<'_, T> {}

impl<T> Future for Sending<'_, T> {
    type Output = Result<(), Closed>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.queue.lock();
        match state.admits() {
            Err(Refused::Full) => {
                state.gate.wait(&mut self.turn, context.waker());
                return Poll::Pending;
            }
            Err(Refused::Closed) => return Poll::Ready(Err(Closed)),
            Ok(()) => {}
        }
        if let Some(turn) = self.turn.take() {
            state.gate.leave(turn);
        }
        if let Some(item) = self.item.take() {
            put(state, item);
        }
        Poll::Ready(Ok(()))
    }
}

impl<T> Drop for Sending<'_, T> {
    fn drop(&mut self) {
        let Some(turn) = self.turn else { return };
        let mut state = self.queue.lock();
        let next = if state.gate.leave(turn) { None } else { state.gate.next() };
        drop(state);
        wake(next);
    }
}

struct Queue<T>(Mutex<State<T>>);

struct State<T> {
    gate: Gate,
    items: VecDeque<T>,
}

/// All but the items.
#[derive(Default)]
struct Gate {
    capacity: usize,
    senders: usize,
    closed: bool,
    receiver: Option<Waker>,
    /// Senders that wait for room, by the number of their turn.
    waiting: VecDeque<(u64, Waker)>,
    turns: u64,
}

impl<T> Queue<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the next item out, or has `waker` told of it.
    fn take(&self, waker: &Waker) -> Poll<Option<T>> {
        let mut state = self.lock();
        if state.items.is_empty() {
            return state.gate.listen(waker).map(|()| None);
        }
        let item = Poll::Ready(state.items.pop_front());
        let next = state.gate.next();
        drop(state);
        wake(next);
        item
    }
}

impl<T> State<T> {
    fn admits(&mut self) -> Result<(), Refused> {
        self.gate.admits(self.items.len())
    }
}

impl Gate {
    const fn admits(&self, len: usize) -> Result<(), Refused> {
        if self.closed {
            Err(Refused::Closed)
        } else if len >= self.capacity {
            Err(Refused::Full)
        } else {
            Ok(())
        }
    }

    /// Ready if nothing will come any more.
    fn listen(&mut self, waker: &Waker) -> Poll<()> {
        if self.closed {
            return Poll::Ready(());
        }
        self.receiver.get_or_insert_with(|| waker.clone()).clone_from(waker);
        Poll::Pending
    }

    /// Waits for a turn, or goes on to wait for one.
    fn wait(&mut self, turn: &mut Option<u64>, waker: &Waker) {
        if let Some((_, kept)) = turn.and_then(|turn| self.place(turn)) {
            kept.clone_from(waker);
            return;
        }
        self.turns += 1;
        self.waiting.push_back((self.turns, waker.clone()));
        *turn = Some(self.turns);
    }

    /// Where a sender waits, unless its turn has come.
    fn place(&mut self, turn: u64) -> Option<&mut (u64, Waker)> {
        let at = self.waiting.binary_search_by_key(&turn, |(turn, _)| *turn).ok()?;
        self.waiting.get_mut(at)
    }

    /// Waits no longer; false if its turn had come.
    fn leave(&mut self, turn: u64) -> bool {
        let at = self.waiting.binary_search_by_key(&turn, |(turn, _)| *turn);
        at.is_ok_and(|at| self.waiting.remove(at).is_some())
    }

    /// Whose turn it is.
    fn next(&mut self) -> Option<Waker> {
        self.waiting.pop_front().map(|(_, waker)| waker)
    }
}

fn put<T>(mut state: MutexGuard<'_, State<T>>, item: T) {
    state.items.push_back(item);
    let receiver = state.gate.receiver.take();
    drop(state);
    wake(receiver);
}

fn close<T>(mut state: MutexGuard<'_, State<T>>) {
    state.gate.closed = true;
    let receiver = state.gate.receiver.take();
    let waiting = core::mem::take(&mut state.gate.waiting);
    drop(state);
    wake(receiver);
    waiting.into_iter().for_each(|(_, waker)| waker.wake());
}

/// Whoever is woken may take the lock at once: it is free by then.
fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// A thread that waits.
struct Parked(Thread);

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Counts how often it is woken.
    #[derive(Default)]
    struct Bell(AtomicUsize);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Polls once, as the task of this bell.
    fn poll<F: Future + Unpin>(future: &mut F, bell: &Arc<Bell>) -> Poll<F::Output> {
        let waker = Waker::from(Arc::clone(bell));
        Pin::new(future).poll(&mut Context::from_waker(&waker))
    }

    fn rung(bells: &[Arc<Bell>]) -> Vec<usize> {
        bells.iter().map(|bell| bell.0.load(Ordering::Relaxed)).collect()
    }

    #[test]
    fn a_full_queue_refuses_and_the_oldest_may_give_way() {
        let (sender, receiver) = bounded(2);
        assert_eq!([1, 2, 3].map(|item| sender.try_send(item).is_ok()), [true, true, false]);
        assert_eq!(sender.try_send(4), Err(Refused::Full));
        assert_eq!(sender.force_send(5), Ok(()));
        assert_eq!([(); 3].map(|()| receiver.try_recv()), [Some(2), Some(5), None]);
    }

    #[test]
    fn those_who_wait_come_in_their_order_and_one_who_leaves_lets_the_next_in() {
        let (sender, receiver) = bounded(1);
        let bells: [Arc<Bell>; 3] = Default::default();
        assert_eq!(sender.try_send(0), Ok(()));
        let mut sending: Vec<_> = (1..4).map(|item| sender.send(item)).collect();
        for _ in 0..2 {
            for (one, bell) in sending.iter_mut().zip(&bells) {
                assert_eq!(poll(one, bell), Poll::Pending);
            }
        }
        assert_eq!(receiver.try_recv(), Some(0));
        assert_eq!(rung(&bells), [1, 0, 0]);
        // Woken, and gone before it came to that; the next waits no longer than it must.
        drop(sending.remove(0));
        assert_eq!(rung(&bells), [1, 1, 0]);
        assert_eq!(poll(&mut sending[0], &bells[1]), Poll::Ready(Ok(())));
        drop(sending.remove(0));
        assert_eq!(receiver.try_recv(), Some(2));
        assert_eq!(rung(&bells), [1, 1, 1]);
        // Somebody else was faster: it waits again, and leaves nothing behind.
        assert_eq!(sender.try_send(9), Ok(()));
        assert_eq!(poll(&mut sending[0], &bells[2]), Poll::Pending);
        drop(sending);
        assert!(sender.0.lock().gate.waiting.is_empty());
        assert_eq!((receiver.try_recv(), receiver.try_recv()), (Some(9), None));
    }

    #[test]
    fn one_that_finds_room_before_it_is_woken_takes_no_turn_of_another() {
        let (sender, receiver) = bounded(1);
        let bells: [Arc<Bell>; 2] = Default::default();
        assert_eq!(sender.try_send(0), Ok(()));
        let mut sending = [sender.send(1), sender.send(2)];
        assert_eq!(poll(&mut sending[1], &bells[1]), Poll::Pending);
        assert_eq!(poll(&mut sending[0], &bells[0]), Poll::Pending);
        assert_eq!(receiver.try_recv(), Some(0));
        assert_eq!(poll(&mut sending[0], &bells[0]), Poll::Ready(Ok(())));
        assert_eq!(poll(&mut sending[1], &bells[1]), Poll::Pending);
        assert_eq!(receiver.try_recv(), Some(1));
        assert_eq!(rung(&bells), [0, 2]);
    }

    #[test]
    fn what_is_in_a_closed_queue_still_comes_out() {
        let (sender, receiver) = bounded(2);
        let bells: [Arc<Bell>; 2] = Default::default();
        let mut recv = pin!(receiver.recv());
        assert_eq!(poll(&mut recv, &bells[0]), Poll::Pending);
        assert_eq!([1, 2].map(|item| sender.try_send(item)), [Ok(()), Ok(())]);
        let mut late = sender.send(3);
        assert_eq!(poll(&mut late, &bells[1]), Poll::Pending);
        sender.close();
        assert_eq!(rung(&bells), [1, 1]);
        assert_eq!(poll(&mut late, &bells[1]), Poll::Ready(Err(Closed)));
        assert_eq!(sender.try_send(4), Err(Refused::Closed));
        assert_eq!(sender.force_send(4), Err(Closed));
        let mut next = || poll(&mut recv, &bells[0]);
        assert_eq!([next(), next(), next()], [Some(1), Some(2), None].map(Poll::Ready));
        assert_eq!(receiver.recv_blocking(), None);
        assert_eq!(receiver.recv_within(1), Err(Closed));
    }

    #[test]
    fn the_last_sender_closes_it_and_so_does_the_receiver() {
        let (sender, receiver) = bounded(1);
        let (bell, other) = (Arc::new(Bell::default()), sender.clone());
        let mut recv = pin!(receiver.recv());
        assert_eq!(poll(&mut recv, &bell), Poll::Pending);
        drop(sender);
        assert_eq!(rung(&[Arc::clone(&bell)]), [0]);
        drop(other);
        assert_eq!(rung(&[Arc::clone(&bell)]), [1]);
        assert_eq!(poll(&mut recv, &bell), Poll::Ready(None::<u8>));

        let (sender, receiver) = bounded(1);
        let item = Arc::new(());
        assert_eq!(sender.try_send(Arc::clone(&item)), Ok(()));
        let mut late = sender.send(Arc::clone(&item));
        assert_eq!(poll(&mut late, &bell), Poll::Pending);
        drop(receiver);
        assert_eq!(rung(&[Arc::clone(&bell)]), [2]);
        assert_eq!(poll(&mut late, &bell), Poll::Ready(Err(Closed)));
        drop(late);
        assert_eq!(Arc::strong_count(&item), 1, "nobody will take it");
    }

    #[test]
    fn a_thread_waits_for_what_another_sends_and_not_for_ever() {
        let (sender, receiver) = bounded(1);
        assert_eq!(receiver.recv_within(5), Ok(None));
        let other = thread::spawn(move || {
            thread::sleep(Duration::from_millis(20));
            sender.try_send('x')
        });
        assert_eq!(receiver.recv_blocking(), Some('x'));
        assert_eq!(other.join().unwrap(), Ok(()));
        assert_eq!(receiver.recv_within(u64::MAX), Err(Closed));
    }
}
