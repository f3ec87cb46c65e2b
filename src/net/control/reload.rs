//! The way from a signal to the control thread: a counter in the kernel that both hold.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::{read, retry_on_intr, write};

/// Has the control thread read the flags file and the lists again.
#[derive(Clone)]
pub struct Reload(Arc<OwnedFd>);

impl Reload {
    /// # Errors
    /// What the system says if it has no file descriptor to give.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(Arc::new(eventfd(0, EventfdFlags::CLOEXEC)?)))
    }

    /// Asks for it; asked several times before it begins, it is done once.
    pub fn ask(&self) {
        // It fails only if it was asked for 2^64 times.
        let _ = write(&self.0, &1_u64.to_ne_bytes());
    }

    /// Takes what was asked for; blocks if nothing was.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn take(&self) -> io::Result<()> {
        retry_on_intr(|| read(&self.0, &mut [0; 8]))?;
        Ok(())
    }
}

impl AsFd for Reload {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
