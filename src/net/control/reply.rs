//! What goes back to an operator: whether the command was carried out, then the answer or why not.

use std::io::{self, Write as _};
use std::os::unix::net::UnixStream;

use rustix::net::sockopt::socket_peercred;
use rustix::process::geteuid;

use super::format::{Form, Output, Value};

/// The answer begins with this if the command was carried out.
pub const DONE: u8 = b'+';
/// The answer begins with this if it was not; why follows.
const REFUSED: u8 = b'-';

/// One operator's answer.
pub(super) struct OperatorReply {
    stream: UnixStream,
    /// What it is written as.
    pub(super) form: Form,
    begun: bool,
    /// The password that came with it.
    #[cfg(feature = "accounts")]
    pub(super) secret: String,
}

impl OperatorReply {
    pub(super) const fn new(stream: UnixStream, form: Form) -> Self {
        Self {
            stream,
            form,
            begun: false,
            #[cfg(feature = "accounts")]
            secret: String::new(),
        }
    }

    /// Whether the operator is the server's own user, or root; not one of its group.
    pub(super) fn is_owner(&self) -> bool {
        socket_peercred(&self.stream)
            .is_ok_and(|operator| operator.uid == geteuid() || operator.uid.is_root())
    }

    /// Writes the answer, or its next part.
    ///
    /// # Errors
    /// The operator went away, or reads nothing.
    pub(super) fn write(&mut self, text: &str) -> io::Result<()> {
        if !core::mem::replace(&mut self.begun, true) {
            self.stream.write_all(&[DONE])?;
        }
        self.stream.write_all(text.as_bytes())
    }

    /// Says why nothing was done. Once a part of an answer is written it cannot be taken back: the
    /// answer breaks off, and has no end.
    ///
    /// # Errors
    /// As for [`Self::write`].
    pub(super) fn refuse(mut self, said: &str) -> io::Result<()> {
        if self.begun {
            return Ok(());
        }
        let mut out = Output::new(self.form);
        match self.form {
            Form::Text => out.text.push_str(said),
            Form::Json => out.field("error", Value::Text(said)),
        }
        out.end();
        self.stream.write_all(&[&[REFUSED], out.text.as_bytes()].concat())
    }
}
