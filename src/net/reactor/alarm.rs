//! What wakes a thread that waits in its reactor. Rung while it runs, that is a mark in memory;
//! the kernel is called only for a thread that sleeps.

use core::sync::atomic::{AtomicU8, Ordering};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::task::Wake;

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::write;

/// It runs, and nobody rang since it last looked.
const AWAKE: u8 = 0;
/// Somebody rang since it last looked.
const RUNG: u8 = 1;
/// It waits in the kernel, or is about to.
const ASLEEP: u8 = 2;

/// The alarm of one thread.
pub(super) struct Alarm {
    state: AtomicU8,
    /// Never read: registered edge-triggered, each write is an event.
    bell: OwnedFd,
}

impl Alarm {
    /// One that was rung: its thread has yet to look.
    pub(super) fn new() -> io::Result<Self> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { state: AtomicU8::new(RUNG), bell })
    }

    /// What to register.
    pub(super) const fn bell(&self) -> &OwnedFd {
        &self.bell
    }

    /// Whether somebody rang: the thread looks now at whatever it may have been for.
    pub(super) fn hear(&self) -> bool {
        self.state.swap(AWAKE, Ordering::SeqCst) == RUNG
    }

    /// The thread is about to wait; false if it was rung and must not.
    pub(super) fn sleep(&self) -> bool {
        let (before, after) = (Ordering::SeqCst, Ordering::SeqCst);
        self.state.compare_exchange(AWAKE, ASLEEP, before, after).is_ok()
    }

    /// The thread waits no longer.
    pub(super) fn wake_up(&self) {
        let (before, after) = (Ordering::SeqCst, Ordering::SeqCst);
        let _ = self.state.compare_exchange(ASLEEP, AWAKE, before, after);
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.swap(RUNG, Ordering::SeqCst) == ASLEEP {
            // It fails only where 2^64 - 1 rings were not heard.
            let _ = write(&self.bell, &1_u64.to_ne_bytes());
        }
    }
}
