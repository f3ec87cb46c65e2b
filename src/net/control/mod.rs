//! The control socket: a line with a command comes in, the answer goes out, the connection ends.
//! Whoever may open the socket, its owner and its group, is the operator. `cmd/ctl.rs` is the
//! other side; openwrt/README.md and README.md document the answers. Checks: tests/ctl.rs.

mod answer;
pub mod console;
pub mod format;
pub mod reload;

use std::fs::{self, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread::Builder;
use std::time::Duration;

use log::warn;
use smol::channel::Sender;

use hbb_core::base::limits::{CONTROL_BYTES_MAX, CONTROL_READ_MS, CONTROL_STACK_BYTES, WRITE_MS};

use crate::net::clock::Clock;
use crate::net::message::{AnswerTo, SettingsQuestion, ToRelay, ToRendezvous};
use answer::answer;
use format::{Form, Sheet, Value};

/// The answer begins with this if the command was carried out.
pub const DONE: u8 = b'+';
/// The answer begins with this if it was not; why follows.
pub const REFUSED: u8 = b'-';
/// Owner and group.
const MODE: u32 = 0o660;

/// Who answers what is asked here.
#[derive(Clone)]
pub struct Desk {
    /// The owner of the settings.
    pub settings: Sender<(SettingsQuestion, AnswerTo)>,
    /// The owner of the rendezvous, if there is one.
    pub rendezvous: Option<Sender<ToRendezvous>>,
    /// The owner of the relay, if there is one.
    pub relay: Option<Sender<ToRelay>>,
    /// Since when we run.
    pub clock: Clock,
}

/// Opens the socket and answers on a thread of its own, one operator after the other, until the
/// process ends. A socket that a server left behind is replaced.
///
/// # Errors
/// What the system says; `AddrInUse` if another server answers there.
pub fn start(path: &Path, desk: Desk) -> io::Result<()> {
    if UnixStream::connect(path).is_ok() {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(MODE))?;
    let thread = Builder::new().name("control".into()).stack_size(CONTROL_STACK_BYTES);
    thread.spawn(move || {
        loop {
            match listener.accept() {
                Ok((stream, _)) => drop(converse(stream, &desk)),
                Err(cause) => return warn!("control-failed cause={}", cause.kind()),
            }
        }
    })?;
    Ok(())
}

/// One command.
fn converse(mut stream: UnixStream, desk: &Desk) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_millis(CONTROL_READ_MS)))?;
    stream.set_write_timeout(Some(Duration::from_millis(WRITE_MS)))?;
    let mut line = Vec::new();
    while !line.contains(&b'\n') && line.len() < CONTROL_BYTES_MAX {
        let mut buffer = [0; CONTROL_BYTES_MAX];
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            len => line.extend_from_slice(buffer.get(..len).unwrap_or_default()),
        }
    }
    let text = String::from_utf8_lossy(&line);
    let mut words = text.lines().next().unwrap_or_default().split_whitespace();
    let form = if words.next() == Some("json") { Form::Json } else { Form::Text };
    let words: Vec<&str> = words.collect();
    let Err(said) = answer(&mut stream, form, (&words, desk)) else { return Ok(()) };
    let mut sheet = Sheet::new(form);
    match form {
        Form::Text => sheet.out.push_str(&said),
        Form::Json => sheet.field("error", Value::Text(&said)),
    }
    sheet.end();
    stream.write_all(&[&[REFUSED], sheet.out.as_bytes()].concat())
}
