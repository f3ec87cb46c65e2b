//! SIGTERM and SIGINT stop, SIGHUP reloads.

use std::io;

use async_signal::{Signal, Signals};
use smol::stream::StreamExt;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Finish and exit 0.
    Stop,
    /// Read the flags file again.
    Reload,
}

/// The signals this process answers to.
pub struct Listener(Signals);

impl Listener {
    /// Takes over SIGTERM, SIGINT and SIGHUP.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn new() -> io::Result<Self> {
        Signals::new([Signal::Term, Signal::Int, Signal::Hup]).map(Self)
    }

    /// The next wish; a broken signal source reads as stop.
    pub async fn next(&mut self) -> Wish {
        match self.0.next().await {
            Some(Ok(Signal::Hup)) => Wish::Reload,
            _ => Wish::Stop,
        }
    }
}
