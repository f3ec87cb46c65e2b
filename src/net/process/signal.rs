//! SIGTERM and SIGINT stop, SIGHUP reloads. Every thread holds them back; they are read from a
//! descriptor.

use std::io;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;

use crate::net::reactor::Source;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignalAction {
    /// Finish and exit 0.
    Stop,
    /// Read the flags file again.
    Reload,
}

/// SIGHUP, taken over before there is anything to serve it.
#[derive(Debug)]
pub(crate) struct Reloads(SignalFd);

/// All signals this process answers to, taken over.
pub(crate) struct HeldSignals(SignalFd);

/// The same, listened to.
pub(crate) struct SignalListener(Source<SignalFd>);

impl Reloads {
    /// Takes over SIGHUP: a reload that is asked for during the start must not end it. What ends
    /// the process goes on doing so, as there is nothing to finish yet. Threads that run already
    /// would not hold it back.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn take() -> io::Result<Self> {
        Ok(Self(descriptor(&held(&[Signal::SIGHUP])?)?))
    }

    /// Waits for so long, or until SIGHUP, which is served later; true if it is told to end, which
    /// a jail's first process would not hear of otherwise.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn pause(&self, time: Duration) -> io::Result<bool> {
        let stops = held(&[Signal::SIGTERM, Signal::SIGINT])?;
        let told = descriptor(&stops)?;
        let time = Timespec { tv_sec: time.as_secs().cast_signed(), tv_nsec: 0 };
        let mut sources = [&told, &self.0].map(|source| PollFd::new(source, PollFlags::IN));
        retry_on_intr(|| poll(&mut sources, Some(&time)))?;
        let stop = told.read_signal()?.is_some();
        stops.thread_unblock()?;
        Ok(stop)
    }

    /// Takes over SIGTERM and SIGINT, too; to be called before the first thread.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn and_stops(self) -> io::Result<HeldSignals> {
        self.0.set_mask(&held(&[Signal::SIGHUP, Signal::SIGTERM, Signal::SIGINT])?)?;
        Ok(HeldSignals(self.0))
    }
}

impl HeldSignals {
    /// Listens to them on the thread that calls this.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn listen(self) -> io::Result<SignalListener> {
        Source::new(self.0).map(SignalListener)
    }
}

fn descriptor(signals: &SigSet) -> nix::Result<SignalFd> {
    SignalFd::with_flags(signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
}

fn held(signals: &[Signal]) -> nix::Result<SigSet> {
    let signals = signals.iter().copied().collect::<SigSet>();
    signals.thread_block()?;
    Ok(signals)
}

impl SignalListener {
    /// What the next signal asks for; a broken signal source reads as stop.
    pub(crate) async fn next(&mut self) -> SignalAction {
        loop {
            self.0.readable().await;
            match self.0.socket().read_signal() {
                Ok(Some(told)) if told.ssi_signo == Signal::SIGHUP as u32 => {
                    return SignalAction::Reload;
                }
                Ok(None) => self.0.drained(),
                _ => return SignalAction::Stop,
            }
        }
    }
}
