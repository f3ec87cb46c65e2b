//! The control socket: a line with a command comes in, the answer goes out, the connection ends.
//! Whoever may open the socket, its owner and its group, is the operator. `cmd/ctl.rs` is the
//! other side; openwrt/README.md and README.md document the answers. Checks: tests/ctl.rs.

mod answer;
pub mod sheet;

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::rc::Rc;

use log::warn;
use smol::channel::Sender;
use smol::io::{AsyncReadExt as _, AsyncWriteExt as _};
use smol::lock::Semaphore;
use smol::{Async, LocalExecutor};

use crate::base::limits::{CONTROL_BYTES_MAX, CONTROL_MS, CONTROLS_MAX};

use super::clock::Clock;
use super::link::within;
use super::relaying::FromLeg;
use super::signalling::Live;
use super::tcp::FromStream;
use answer::answer;
use sheet::Form;

/// The answer begins with this if the command was carried out.
pub const DONE: u8 = b'+';
/// The answer begins with this if it was not; why follows.
pub const REFUSED: u8 = b'-';
/// Owner and group.
const MODE: u32 = 0o660;

/// What does not change while we run, and what clients are told.
#[derive(Clone, Debug)]
pub struct About {
    /// `all`, `rendezvous` or `relay`.
    pub role: &'static str,
    /// The name clients reach us by, if it is known.
    pub public: Option<Box<str>>,
    /// The public key, if there is one to show.
    pub key: Option<Box<str>>,
    /// The ID server's port and the relay's.
    pub ports: [u16; 2],
    /// All ports that are open.
    pub tcp_ports: Vec<u16>,
    /// All ports that are open.
    pub udp_ports: Vec<u16>,
}

/// The settings as an operator changes them while everything runs. An error is what to tell.
pub trait Settings {
    /// What to say about this server.
    fn about(&self) -> About;
    /// Reads flags file and lists again. With the settings comes what only a restart changes.
    ///
    /// # Errors
    /// Nothing was changed; why.
    fn reload(&mut self) -> Result<(Live, Vec<&'static str>), String>;
    /// Changes a limit until the next reload or start.
    ///
    /// # Errors
    /// As above.
    fn set_limit(&mut self, name: &str, value: &str) -> Result<Live, String>;
    /// The limits by their names.
    fn limits(&self) -> Vec<(&'static str, String)>;
    /// Shuts somebody out or lets them in again, and keeps that on disk.
    ///
    /// # Errors
    /// As above.
    fn ban(&mut self, what: &str, banned: bool) -> Result<Live, String>;
    /// Who is shut out.
    fn bans(&self) -> Vec<String>;
}

/// What the owner of the settings is asked.
pub enum Order {
    /// See [`Settings::about`].
    About(Sender<About>),
    /// See [`Settings::reload`].
    Reload(Sender<Result<String, String>>),
    /// See [`Settings::limits`].
    Limits(Sender<Vec<(&'static str, String)>>),
    /// See [`Settings::set_limit`].
    SetLimit([String; 2], Sender<Result<String, String>>),
    /// See [`Settings::ban`].
    Ban(String, bool, Sender<Result<String, String>>),
    /// See [`Settings::bans`].
    Bans(Sender<Vec<String>>),
}

/// Who answers what is asked here.
#[derive(Clone)]
pub struct Desk {
    /// The owner of the settings.
    pub settings: Sender<Order>,
    /// The owner of the rendezvous, if there is one.
    pub rendezvous: Option<Sender<FromStream>>,
    /// The owner of the relay, if there is one.
    pub relay: Option<Sender<FromLeg>>,
    /// Since when we run.
    pub clock: Clock,
}

/// Opens the socket. One that a server left behind is replaced.
///
/// # Errors
/// What the system says; `AddrInUse` if another server answers there.
pub fn open(path: &Path) -> io::Result<Async<UnixListener>> {
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
    Async::new(listener)
}

/// Serves until dropped.
pub async fn serve(
    listener: Async<UnixListener>,
    desk: Desk,
    executor: Rc<LocalExecutor<'static>>,
) {
    let places = std::sync::Arc::new(Semaphore::new(CONTROLS_MAX));
    loop {
        let place = places.acquire_arc().await;
        match listener.accept().await {
            Ok((stream, _)) => {
                let desk = desk.clone();
                let talk = async move {
                    within(CONTROL_MS, (), converse(stream, &desk)).await;
                    drop(place);
                };
                executor.spawn(talk).detach();
            }
            Err(cause) => return warn!("control-failed cause={}", cause.kind()),
        }
    }
}

/// One command.
async fn converse(mut stream: Async<UnixStream>, desk: &Desk) {
    let mut line = Vec::new();
    while !line.contains(&b'\n') && line.len() < CONTROL_BYTES_MAX {
        let mut buffer = [0; 128];
        match stream.read(&mut buffer).await {
            Ok(len @ 1..) => line.extend_from_slice(buffer.get(..len).unwrap_or_default()),
            _ => return,
        }
    }
    let text = String::from_utf8_lossy(&line);
    let mut words = text.lines().next().unwrap_or_default().split_whitespace();
    let form = if words.next() == Some("json") { Form::Json } else { Form::Text };
    let words: Vec<&str> = words.collect();
    if let Err(said) = answer(&mut stream, form, (&words, desk)).await {
        let mut sheet = sheet::Sheet::new(form);
        match form {
            Form::Text => sheet.out.push_str(&said),
            Form::Json => sheet.field("error", sheet::Value::Text(&said)),
        }
        sheet.end();
        let _ = stream.write_all(&[REFUSED]).await;
        let _ = stream.write_all(sheet.out.as_bytes()).await;
    }
}
