//! What goes back to an operator: whether the command was carried out, then the answer or why not.

#[cfg(feature = "web")]
use std::io::ErrorKind;
use std::io::{self, Write as _};
use std::os::unix::net::UnixStream;

use rustix::net::sockopt::socket_peercred;
use rustix::process::geteuid;

use super::format::{Form, Output, Value};
#[cfg(feature = "web")]
use hbb_core::base::limits::PAGE_ANSWER_BYTES_MAX;

/// The answer begins with this if the command was carried out.
pub const DONE: u8 = b'+';
/// The answer begins with this if it was not; why follows.
const REFUSED: u8 = b'-';

/// Where an answer goes.
pub(super) enum To {
    /// To `hbb ctl`.
    Socket(UnixStream),
    /// To the page of operators, which takes it whole.
    #[cfg(feature = "web")]
    Page(Vec<u8>),
}

/// One operator's answer.
pub(super) struct OperatorReply {
    to: To,
    /// What it is written as.
    pub(super) form: Form,
    begun: bool,
    /// What came with the command: a password, or entries of an address book.
    #[cfg(feature = "accounts")]
    pub(super) brought: String,
}

impl OperatorReply {
    pub(super) const fn new(to: To, form: Form) -> Self {
        Self {
            to,
            form,
            begun: false,
            #[cfg(feature = "accounts")]
            brought: String::new(),
        }
    }

    /// Whether the operator is the server's own user, or root; not one of its group.
    pub(super) fn is_owner(&self) -> bool {
        match &self.to {
            To::Socket(stream) => socket_peercred(stream)
                .is_ok_and(|operator| operator.uid == geteuid() || operator.uid.is_root()),
            #[cfg(feature = "web")]
            To::Page(_) => false,
        }
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.to {
            To::Socket(stream) => stream.write_all(bytes),
            #[cfg(feature = "web")]
            To::Page(page) if page.len() + bytes.len() <= PAGE_ANSWER_BYTES_MAX => {
                page.extend_from_slice(bytes);
                Ok(())
            }
            #[cfg(feature = "web")]
            To::Page(_) => Err(ErrorKind::StorageFull.into()),
        }
    }

    /// What the page is told; nothing if the answer broke off.
    #[cfg(feature = "web")]
    pub(super) fn into_text(self) -> String {
        match self.to {
            To::Socket(_) => String::new(),
            To::Page(page) => String::from_utf8(page).unwrap_or_default(),
        }
    }

    /// Writes the answer, or its next part.
    ///
    /// # Errors
    /// The operator went away, or reads nothing.
    pub(super) fn write(&mut self, text: &str) -> io::Result<()> {
        if !core::mem::replace(&mut self.begun, true) {
            self.put(&[DONE])?;
        }
        self.put(text.as_bytes())
    }

    /// Says why nothing was done. Once a part of an answer is written it cannot be taken back: the
    /// answer breaks off, and has no end.
    ///
    /// # Errors
    /// As for [`Self::write`].
    pub(super) fn refuse(&mut self, said: &str) -> io::Result<()> {
        if self.begun {
            return Ok(());
        }
        let mut out = Output::new(self.form);
        match self.form {
            Form::Text => out.text.push_str(said),
            Form::Json => out.field("error", Value::Text(said)),
        }
        out.end();
        self.put(&[&[REFUSED], out.text.as_bytes()].concat())
    }
}
