//! The control thread: it owns the settings, and answers operators at the control socket. A line
//! with a command comes in, the answer goes out, the connection ends. Whoever may open the socket,
//! its owner and its group, is the operator. Files are read and synced here, never on the thread
//! that serves. `cmd/ctl.rs` is the other side; board/manual.md documents the answers.
//! Checks: tests/ctl.rs.

mod answer;
#[cfg(feature = "accounts")]
mod approval;
pub mod console;
mod format;
mod holders;
mod orders;
mod owners;
mod reply;
mod settings;
mod status;

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use log::warn;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use rustix::process::geteuid;

use hbb_core::base::limits::{
    ACCEPT_PAUSE_MS, CONTROL_BYTES_MAX, CONTROL_READ_MS, CONTROL_SILENT_MAX, CONTROL_STACK_BYTES,
    WRITE_MS,
};

use answer::answer;
pub use answer::{Controller, LIST_END, LIST_KEY, LIST_WORD};
use format::Form;
pub use holders::Holders;
pub(crate) use orders::ConsoleOf;
pub use orders::{OrderBook, Orders, orders};
pub use owners::Owners;
pub use reply::DONE;
use reply::{OperatorReply, To};
pub use settings::SettingsOwner;

#[cfg(feature = "accounts")]
use crate::cli::{asks_entries, asks_password};
#[cfg(feature = "accounts")]
use crate::net::clock::Clock;
use crate::net::message::Answer;
use crate::net::tasks::thread;
#[cfg(feature = "accounts")]
use hbb_core::base::limits::{BOOK_IMPORT_BYTES_MAX, CONTROL_BRING_MS, PASSWORD_BYTES_MAX};

/// A bit for each of them, the orders and the listener.
const _: () = assert!(CONTROL_SILENT_MAX + 2 <= 32);
/// Owner and group.
const MODE: u32 = 0o660;

/// Opens the socket. One that a server of ours left behind is replaced, and nothing else.
///
/// # Errors
/// What the system says; `AddrInUse` if another server answers there; `AlreadyExists` for what is
/// not a socket of ours.
pub fn open(path: &Path) -> io::Result<UnixListener> {
    if is_left_behind(path)? {
        fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(MODE))?;
    Ok(listener)
}

/// Whether a socket that a server of ours left behind is there; false for nothing. Changes nothing.
///
/// # Errors
/// As for [`open`].
pub fn is_left_behind(path: &Path) -> io::Result<bool> {
    let Err(error) = knock(path) else { return Err(ErrorKind::AddrInUse.into()) };
    match error.kind() {
        // Somebody listens, and takes nobody in.
        ErrorKind::WouldBlock => Err(ErrorKind::AddrInUse.into()),
        ErrorKind::NotFound => Ok(false),
        // Nobody listens; a socket of datagrams is another error.
        ErrorKind::ConnectionRefused => left_behind(path).map(|()| true),
        _ => Err(error),
    }
}

/// Connects without waiting, if somebody listens.
fn knock(path: &Path) -> io::Result<()> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    Ok(connect(&socket, &SocketAddrUnix::new(path)?)?)
}

/// Takes the socket away at the end, unless something else has taken its place.
pub fn close(path: &Path) {
    if left_behind(path).is_ok() {
        drop(fs::remove_file(path));
    }
}

/// Whether a server of the same user made what is at `path`, which is not followed if it is a
/// link.
fn left_behind(path: &Path) -> io::Result<()> {
    let found = fs::symlink_metadata(path)?;
    let why = if !found.file_type().is_socket() {
        "it is not a socket; name another path with --control"
    } else if found.uid() != geteuid().as_raw() {
        "it is a socket that belongs to another user; remove it if nobody uses it"
    } else {
        return Ok(());
    };
    Err(io::Error::new(ErrorKind::AlreadyExists, why))
}

/// Starts the control thread, which runs until the process ends. It answers one operator after
/// the other, each within a bounded time; a reload, and a line of a console, waits for as long at
/// most. Whoever says nothing keeps nobody waiting, and gives way when there are too many (C210).
///
/// # Errors
/// What the system says if it has no thread or no file descriptor to give.
pub fn start(
    control: Controller,
    listener: Option<UnixListener>,
    orders: OrderBook,
) -> io::Result<()> {
    let run = move || {
        if let Err(cause) = work(control, listener.as_ref(), &orders) {
            warn!("control-failed cause='{cause}'");
        }
    };
    thread::start("control", CONTROL_STACK_BYTES, Box::new(run))
}

fn work(
    mut control: Controller,
    listener: Option<&UnixListener>,
    orders: &OrderBook,
) -> io::Result<()> {
    let mut silent: Vec<UnixStream> = Vec::new();
    loop {
        let ready = who_is_ready(&control, (orders, listener), &silent)?;
        control.settings.end_what_is_over();
        if ready & 1 != 0 {
            if orders.take()? {
                drop(control.settings.reload());
            }
            while let Some(typed) = orders.typed() {
                #[cfg(feature = "web")]
                if let ConsoleOf::Page = typed.of {
                    let said = for_page(&typed.line, &mut control);
                    let _ = typed.answer.try_send(Answer::Typed(said));
                    continue;
                }
                let said = console::carry_out(&typed, &mut control);
                let _ = typed.answer.try_send(Answer::Typed(said));
            }
        }
        let mut at = 0;
        for bit in 2..2 + silent.len() {
            match ready >> bit & 1 {
                0 => at += 1,
                _ => drop(converse(silent.remove(at), &mut control)),
            }
        }
        if let Some(listener) = listener.filter(|_| ready & 2 != 0) {
            welcome(listener, &mut silent);
        }
    }
}

/// Waits until somebody is ready, a bit for each: who types orders, who comes, then the silent. Or
/// until the settings are to be looked at.
fn who_is_ready(
    control: &Controller,
    (orders, listener): (&OrderBook, Option<&UnixListener>),
    silent: &[UnixStream],
) -> io::Result<u32> {
    let mut sources = vec![PollFd::new(orders, PollFlags::IN)];
    if let Some(listener) = listener {
        sources.push(PollFd::new(listener, PollFlags::IN));
    }
    for stream in silent {
        sources.push(PollFd::new(stream, PollFlags::IN));
    }
    let idle = control.settings.idle_secs().and_then(|secs| i64::try_from(secs).ok());
    let idle = idle.map(|tv_sec| Timespec { tv_sec, tv_nsec: 0 });
    // Some kernels break it off when the process was stopped for a while.
    retry_on_intr(|| poll(&mut sources, idle.as_ref()))?;
    let bits = sources.iter().enumerate();
    Ok(bits.fold(0, |bits, (at, it)| bits | u32::from(!it.revents().is_empty()) << at))
}

/// Takes in an operator, who is heard when something comes.
fn welcome(listener: &UnixListener, silent: &mut Vec<UnixStream>) {
    match listener.accept() {
        Ok((stream, _)) => silent.push(stream),
        Err(cause) => {
            warn!("control-failed cause='{cause}'");
            std::thread::sleep(Duration::from_millis(ACCEPT_PAUSE_MS));
        }
    }
    if silent.len() > CONTROL_SILENT_MAX {
        silent.remove(0);
    }
}

/// One command.
fn converse(mut stream: UnixStream, control: &mut Controller) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_millis(CONTROL_READ_MS)))?;
    stream.set_write_timeout(Some(Duration::from_millis(WRITE_MS)))?;
    let mut read = Vec::new();
    let is_line = |read: &[u8]| read.contains(&b'\n') || read.len() >= CONTROL_BYTES_MAX;
    if !read_until(&mut stream, &mut read, &is_line)? {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&read).into_owned();
    let (form, words) = form_and_words(&text);
    #[cfg(feature = "accounts")]
    let brought = match &words {
        words if asks_password(words) => second_line(&mut stream, read)?,
        words if asks_entries(words) => all_behind(&mut stream, read, control.clock)?,
        _ => String::new(),
    };
    let mut reply = OperatorReply::new(To::Socket(stream), form);
    #[cfg(feature = "accounts")]
    {
        reply.brought = brought;
    }
    carry_out(&words, control, &mut reply)
}

/// The same for the page of operators, which sends a command and perhaps a password, a line each.
#[cfg(feature = "web")]
fn for_page(lines: &str, control: &mut Controller) -> String {
    let (line, secret) = lines.split_once('\n').unwrap_or((lines, ""));
    let (form, words) = form_and_words(line);
    let mut reply = OperatorReply::new(To::Page(Vec::new()), form);
    reply.brought = secret.trim_end_matches('\n').into();
    let _ = carry_out(&words, control, &mut reply);
    reply.into_text()
}

/// How the answer to a line is to be written, and the words of its command.
fn form_and_words(line: &str) -> (Form, Vec<&str>) {
    let line = line.lines().next().unwrap_or_default();
    let mut words = line.split_ascii_whitespace();
    let form = if words.next() == Some("json") { Form::Json } else { Form::Text };
    let mut words: Vec<_> = words.collect();
    // An id that a script left empty is that of no entry: without, it would be the whole book.
    if line.ends_with(' ') && words.starts_with(&["book", "remove"]) {
        words.push("");
    }
    (form, words)
}

fn carry_out(
    words: &[&str],
    control: &mut Controller,
    reply: &mut OperatorReply,
) -> io::Result<()> {
    match answer(words, control, reply) {
        Ok(()) => Ok(()),
        Err(said) => reply.refuse(&said),
    }
}

/// Reads on until that is enough; false if it ended before.
fn read_until(
    stream: &mut UnixStream,
    read: &mut Vec<u8>,
    is_enough: &dyn Fn(&[u8]) -> bool,
) -> io::Result<bool> {
    let mut buffer = [0; CONTROL_BYTES_MAX];
    while !is_enough(read) {
        match stream.read(&mut buffer)? {
            0 => return Ok(false),
            len => read.extend_from_slice(buffer.get(..len).unwrap_or_default()),
        }
    }
    Ok(true)
}

/// The line behind that of a command, as far as it is there.
#[cfg(feature = "accounts")]
fn second_line(stream: &mut UnixStream, mut read: Vec<u8>) -> io::Result<String> {
    let most = CONTROL_BYTES_MAX + PASSWORD_BYTES_MAX + 2;
    let lines = |read: &[u8]| read.iter().filter(|byte| **byte == b'\n').count();
    read_until(stream, &mut read, &|read| lines(read) >= 2 || read.len() >= most)?;
    let text = String::from_utf8_lossy(&read);
    Ok(text.lines().nth(1).unwrap_or_default().into())
}

/// All behind the line of a command, to its end. Whoever brings more than is taken, or no text, or
/// is slow, is not heard.
#[cfg(feature = "accounts")]
fn all_behind(stream: &mut UnixStream, mut read: Vec<u8>, clock: Clock) -> io::Result<String> {
    let until = clock.now().after_ms(CONTROL_BRING_MS);
    let is_too_much =
        |read: &[u8]| read.len() > CONTROL_BYTES_MAX + BOOK_IMPORT_BYTES_MAX || clock.now() > until;
    if read_until(stream, &mut read, &is_too_much)? {
        return Err(ErrorKind::InvalidData.into());
    }
    let line = read.iter().position(|byte| *byte == b'\n').map_or(read.len(), |at| at + 1);
    read.drain(..line);
    String::from_utf8(read).map_err(|_| ErrorKind::InvalidData.into())
}
