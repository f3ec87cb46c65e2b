//! Pipes of the kernel through which bytes pass from socket to socket without being copied, and
//! the pool they rest in. It knows no session and no message. C65, C70.

use core::mem::MaybeUninit;
use std::cell::{Cell, RefCell};
use std::net::TcpStream;
use std::os::fd::OwnedFd;

use rustix::io::{Errno, read};
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

use hbb_core::base::limits::PIPE_BYTES;

/// Lends pipes, a bounded number of them. One is made when none rests here, so a relay that was
/// never busy has none.
pub struct PipePool {
    resting: RefCell<Vec<PipeEnds>>,
    lent: Cell<usize>,
    limit: Cell<usize>,
}

/// A pipe; empty while it rests.
struct PipeEnds {
    inlet: OwnedFd,
    outlet: OwnedFd,
}

/// A lent pipe. Dropped empty it rests in the pool, with bytes inside it is closed.
pub struct Pipe<'a> {
    ends: Option<PipeEnds>,
    held: usize,
    pool: &'a PipePool,
}

impl PipePool {
    /// A pool of at most `limit` pipes; without any, every byte is copied.
    pub fn new(limit: usize) -> Self {
        let (resting, lent) = (RefCell::new(Vec::new()), Cell::new(0));
        Self { resting, lent, limit: Cell::new(limit) }
    }

    /// An empty pipe; None if all are lent or the system gives no more: then copy.
    pub fn lend(&self) -> Option<Pipe<'_>> {
        if self.lent.get() >= self.limit.get() {
            return None;
        }
        let resting = self.resting.borrow_mut().pop();
        let ends = resting.or_else(PipeEnds::open)?;
        self.lent.set(self.lent.get() + 1);
        Some(Pipe { ends: Some(ends), held: 0, pool: self })
    }

    /// How many pipes are lent and how many rest.
    #[cfg(any(test, feature = "testing"))]
    pub fn count(&self) -> (usize, usize) {
        (self.lent.get(), self.resting.borrow().len())
    }

    /// Lends no more, as the kernel refuses what they are for.
    pub fn retire(&self) {
        self.limit.set(0);
        self.resting.take();
    }
}

impl PipeEnds {
    fn open() -> Option<Self> {
        let (outlet, inlet) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
        // If the system allows no more it keeps its default, and takes less at once.
        let _ = fcntl_setpipe_size(&inlet, PIPE_BYTES);
        Some(Self { inlet, outlet })
    }
}

impl Pipe<'_> {
    /// Takes what fits out of a socket; 0 at its end.
    ///
    /// # Errors
    /// `AGAIN` if there are none for now; one for which [`is_refusal`] holds; or the socket broke.
    pub fn fill(&mut self, from: &TcpStream) -> Result<usize, Errno> {
        let Some(ends) = &self.ends else { return Ok(0) };
        let room = PIPE_BYTES.saturating_sub(self.held);
        let taken = splice(from, None, &ends.inlet, None, room, SpliceFlags::NONBLOCK)?;
        self.held += taken;
        Ok(taken)
    }

    /// Gives what fits of the held bytes to a socket, and tells how many that were.
    ///
    /// # Errors
    /// As for [`Self::fill`].
    pub fn pour(&mut self, to: &TcpStream) -> Result<usize, Errno> {
        let Some(ends) = &self.ends else { return Ok(0) };
        let given = splice(&ends.outlet, None, to, None, self.held, SpliceFlags::NONBLOCK)?;
        self.held = self.held.saturating_sub(given);
        Ok(given)
    }

    /// How many bytes are inside.
    pub const fn held(&self) -> usize {
        self.held
    }

    /// The bytes inside, to be copied after all.
    pub fn into_bytes(mut self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.held);
        let mut buffer = [const { MaybeUninit::<u8>::uninit() }; 4096];
        while let Some(ends) = &self.ends
            && self.held > 0
            && let Ok((part, _)) = read(&ends.outlet, buffer.as_mut_slice())
        {
            self.held = self.held.saturating_sub(part.len());
            bytes.extend_from_slice(part);
        }
        bytes
    }
}

impl Drop for Pipe<'_> {
    fn drop(&mut self) {
        let pool = self.pool;
        pool.lent.set(pool.lent.get().saturating_sub(1));
        let keep = self.held == 0 && pool.limit.get() > 0;
        if let Some(ends) = self.ends.take().filter(|_| keep) {
            pool.resting.borrow_mut().push(ends);
        }
    }
}

/// True if the kernel cannot or will not splice: an old one, a filter of system calls, an
/// unusual socket. Such bytes are copied.
pub const fn is_refusal(errno: Errno) -> bool {
    matches!(errno, Errno::INVAL | Errno::NOSYS | Errno::PERM)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (one, listener.accept().unwrap().0)
    }

    #[test]
    fn no_more_are_lent_than_the_limit() {
        let pool = PipePool::new(2);
        assert_eq!(pool.count(), (0, 0), "none is made before it is needed");
        let (one, other) = (pool.lend(), pool.lend());
        assert!(one.is_some() && other.is_some() && pool.lend().is_none());
        drop(one);
        assert_eq!(pool.count(), (1, 1));
        assert!(pool.lend().is_some());
        pool.retire();
        assert!(pool.lend().is_none());
        drop(other);
        assert_eq!(pool.count(), (0, 0), "one that comes back then is closed");
    }

    #[test]
    fn bytes_pass_or_come_out_again() {
        let pool = PipePool::new(1);
        let ((mut a, from), (to, mut b)) = (pair(), pair());
        a.write_all(&[7; 10_000]).unwrap();
        let mut pipe = pool.lend().unwrap();
        while pipe.held() < 10_000 {
            pipe.fill(&from).unwrap();
        }
        assert_eq!(pipe.pour(&to), Ok(10_000));
        let mut got = [0; 10_000];
        b.read_exact(&mut got).unwrap();
        assert_eq!(got, [7; 10_000]);
        a.write_all(b"rest").unwrap();
        assert_eq!(pipe.fill(&from), Ok(4));
        assert_eq!(pipe.into_bytes(), b"rest");
        assert_eq!(pool.count(), (0, 1), "it is empty again");
    }

    #[test]
    fn one_with_bytes_inside_is_not_lent_again() {
        let pool = PipePool::new(1);
        let (mut a, from) = pair();
        a.write_all(b"of another session").unwrap();
        let mut pipe = pool.lend().unwrap();
        pipe.fill(&from).unwrap();
        drop(pipe);
        assert_eq!(pool.count(), (0, 0));
    }
}
