//! SIGTERM and SIGINT stop, SIGHUP reloads. Every thread holds them back; they are read from a
//! descriptor.

use std::io;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use smol::Async;

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

/// The signals this process answers to.
pub(crate) struct SignalListener(Async<SignalFd>);

impl Reloads {
    /// Takes over SIGHUP: a reload that is asked for during the start must not end it. What ends
    /// the process goes on doing so, as there is nothing to finish yet. Threads that run already
    /// would not hold it back.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn take() -> io::Result<Self> {
        let signals = held(&[Signal::SIGHUP])?;
        Ok(Self(SignalFd::with_flags(&signals, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?))
    }

    /// Takes over SIGTERM and SIGINT, too; to be called before the first thread.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn and_stops(self) -> io::Result<SignalListener> {
        self.0.set_mask(&held(&[Signal::SIGHUP, Signal::SIGTERM, Signal::SIGINT])?)?;
        // This starts a thread.
        Async::new(self.0).map(SignalListener)
    }
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
            let waited = self.0.readable().await;
            match waited.and_then(|()| Ok(self.0.get_ref().read_signal()?)) {
                Ok(Some(told)) if told.ssi_signo == Signal::SIGHUP as u32 => {
                    return SignalAction::Reload;
                }
                Ok(None) => {}
                _ => return SignalAction::Stop,
            }
        }
    }
}
