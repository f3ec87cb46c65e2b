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
    /// Takes over SIGTERM, SIGINT and SIGHUP.
    ///
    /// # Errors
    /// What the kernel says.
    pub(crate) fn new() -> io::Result<Self> {
        Signals::new([Signal::Term, Signal::Int, Signal::Hup]).map(Self)
    }

    /// What the next signal asks for; a broken signal source reads as stop.
    pub(crate) async fn next(&mut self) -> SignalAction {
        match self.0.next().await {
            Some(Ok(Signal::Hup)) => SignalAction::Reload,
            _ => SignalAction::Stop,
        }
    }
}
