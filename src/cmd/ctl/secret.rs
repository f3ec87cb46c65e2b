//! A password from whoever runs `ctl`: asked for twice at a terminal, without showing it, else the
//! first line of stdin. Never an argument: those are shown to all by `ps`, and kept by shells.
//! C167; tests/api.

use std::io::{self, BufReader, ErrorKind, IsTerminal as _, Write as _};

use rustix::stdio::stdin;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use super::super::exit::Exit;
use crate::file;
use hbb_core::base::limits::PASSWORD_BYTES_MAX;

/// Asks for a new password, or reads it.
pub(super) fn password() -> Result<String, Exit> {
    let unread = |cause| Exit::running(format!("Cannot read the password: {cause}"));
    let password = match stdin().is_terminal() {
        false => line().map_err(unread)?,
        true => {
            let first = hidden("Password: ").map_err(unread)?;
            if first != hidden("Again: ").map_err(unread)? {
                return Err(Exit::flags("These are two passwords. Nothing was changed."));
            }
            first
        }
    };
    if password.len() > PASSWORD_BYTES_MAX {
        return Err(Exit::flags("The password: must be 8 to 256 bytes long."));
    }
    Ok(password)
}

fn line() -> io::Result<String> {
    let (mut from, mut line) = (BufReader::new(file::stdin()?), Vec::new());
    if file::read_line(&mut from, 2 * PASSWORD_BYTES_MAX as u64, &mut line)? == 0 {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    let line = str::from_utf8(&line).map_err(|_| ErrorKind::InvalidData)?;
    Ok(line.trim_end_matches('\n').trim_end_matches('\r').into())
}

/// What is typed behind `prompt`, unseen.
fn hidden(prompt: &str) -> io::Result<String> {
    let _shown_again = Hidden::begin()?;
    let mut out = io::stderr().lock();
    out.write_all(prompt.as_bytes())?;
    out.flush()?;
    let typed = line();
    out.write_all(b"\n")?;
    typed
}

/// A terminal that shows nothing of what is typed; it does again when this is dropped.
struct Hidden(Termios);

impl Hidden {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(stdin())?;
        let mut now = before.clone();
        now.local_modes.remove(LocalModes::ECHO);
        tcsetattr(stdin(), OptionalActions::Flush, &now)?;
        Ok(Self(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.0);
    }
}
