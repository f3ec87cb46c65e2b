//! SIGTERM and SIGINT stop, SIGHUP reloads.

use std::io;

use async_signal::{Signal, Signals};
use smol::stream::StreamExt;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignalAction {
    /// Finish and exit 0.
    Stop,
    /// Read the flags file again.
    Reload,
}

/// The signals this process answers to.
pub(crate) struct SignalListener(Signals);

impl SignalListener {
    /// Takes over SIGHUP: a reload that is asked for during the start must not end it. What ends
    /// the process goes on doing so, as there is nothing to finish yet.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn reloads() -> io::Result<Self> {
        Signals::new([Signal::Hup]).map(Self)
    }

    /// Takes over SIGTERM and SIGINT, too.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn and_stops(mut self) -> io::Result<Self> {
        self.0.add_signals([Signal::Term, Signal::Int])?;
        Ok(self)
    }

    /// What the next signal asks for; a broken signal source reads as stop.
    pub(crate) async fn next(&mut self) -> SignalAction {
        match self.0.next().await {
            Some(Ok(Signal::Hup)) => SignalAction::Reload,
            _ => SignalAction::Stop,
        }
    }
}
