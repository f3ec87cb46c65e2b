//! `ctl`: asks the running server over its control socket and prints what it says.
//! Must not know the commands: the server does. Checks: tests/ctl.rs.

use std::fs::File;
#[cfg(feature = "accounts")]
use std::io::IsTerminal as _;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::net::{Shutdown, shutdown};

#[cfg(feature = "accounts")]
mod entries;
#[cfg(feature = "accounts")]
mod follow;
#[cfg(feature = "accounts")]
mod secret;

use super::config_of;
use super::exit::{Exit, ExitReason, print, print_part};
use crate::cli::{CtlFlags, NO_SUCH_COMMAND};
#[cfg(feature = "accounts")]
use crate::cli::{asks_entries, asks_password};
use crate::config::CONTROL_FILE;
use crate::net::control::DONE;
#[cfg(feature = "accounts")]
use crate::qr::qr_code;
use hbb_core::base::limits::CONTROL_BYTES_MAX;
use hbb_core::base::text::holds;

/// Where the packages put the socket.
pub(super) const USUAL: [&str; 2] = ["/run/hbb/hbb.sock", "/var/run/hbb/hbb.sock"];
/// The folder of the first.
const FOLDER: &str = "/run/hbb";
/// Those that are words of a command if they stand behind its first.
const OWN_FLAGS: [&str; 4] = ["--control", "--data", "--flags", "--json"];
/// What every refusal of a value says, before what is allowed.
const VALUE_IS: &str = ": must be ";
/// A server that is not stuck says something within this time: it waits for a commit at most.
const SILENCE_SECS_MAX: u64 = 10;

/// `hbb ctl`.
#[inline(never)]
pub(super) fn run(flags: &CtlFlags) -> Result<(), Exit> {
    let said = flags.words.join(" ");
    let line = [if flags.json { "json " } else { "text " }, &said, "\n"].concat();
    if flags.words.is_empty() {
        return Err(Exit::flags("Say what to do: see 'hbb ctl --help' for the commands."));
    }
    for flag in OWN_FLAGS {
        let is_it = |word: &String| {
            word.strip_prefix(flag)
                .is_some_and(|rest| matches!(rest.bytes().next(), None | Some(b'=')))
        };
        if flags.words.iter().any(is_it) {
            return Err(Exit::flags(
                [flag, " stands before the command: see 'hbb ctl --help'."].concat(),
            ));
        }
    }
    if said.contains('\n') || line.len() > CONTROL_BYTES_MAX {
        return Err(Exit::flags("A command is one line of at most 500 bytes."));
    }
    #[cfg(feature = "accounts")]
    let words: Vec<&str> = said.split_ascii_whitespace().collect();
    let path = path(flags)?;
    #[cfg(feature = "accounts")]
    let line = match &words {
        words if asks_password(words) => {
            // Nobody types one for no server.
            connect(&path)?;
            [&line, &secret::password()?, "\n"].concat()
        }
        words if asks_entries(words) => [line, entries::entries()?].concat(),
        _ => line,
    };
    #[cfg(feature = "accounts")]
    if matches!(words[..], ["log", ref words @ ..] if words.contains(&"--follow")) {
        return follow::follow(&line, &|line| {
            let mut server = ask(&path, (line, false), flags.json)?;
            whole(&mut server, &path)
        });
    }
    #[cfg(feature = "accounts")]
    let is_last = asks_entries(&words);
    #[cfg(not(feature = "accounts"))]
    let is_last = false;
    let asked = ask(&path, (&line, is_last), flags.json);
    let mut server = asked.map_err(|exit| explained(exit, &flags.words))?;
    #[cfg(feature = "accounts")]
    if matches!(words[..], ["user", "totp", _, "on"]) && !flags.json {
        return show_scanned(&mut server, &path);
    }
    show(&mut server, &path)
}

/// To the server a word with blanks is several, and an empty one is none.
fn explained(exit: Exit, words: &[String]) -> Exit {
    match words.iter().find(|word| word.split_whitespace().count() != 1) {
        Some(odd) if holds(exit.message(), NO_SUCH_COMMAND) => Exit::flags(
            [exit.message(), "\nA word has no blanks, and '", odd, "' is not one."].concat(),
        ),
        _ => exit,
    }
}

/// Asks the server, who has heard all then if `is_last`; what it gives is the answer, if it is no
/// refusal.
pub(super) fn ask(path: &Path, (line, is_last): (&str, bool), json: bool) -> Result<File, Exit> {
    let mut server = connect(path)?;
    let mut asked = server.write_all(line.as_bytes());
    if is_last {
        asked = asked.and_then(|()| Ok(shutdown(&server, Shutdown::Write)?));
    }
    let mut verdict = [0];
    asked.and_then(|()| server.read_exact(&mut verdict)).map_err(|cause| silent(path, &cause))?;
    if verdict == [DONE] {
        return Ok(server);
    }
    let said = whole(&mut server, path)?;
    // A wrong word, value or file is no failure of the server, of whatever version it is.
    let is_wrong = line.ends_with(" reload\n")
        || [NO_SUCH_COMMAND, VALUE_IS].iter().any(|word| holds(&said, word));
    let reason = if is_wrong { ExitReason::Flags } else { ExitReason::Running };
    if json {
        print(&said)?;
        return Err(Exit::new(reason, ""));
    }
    Err(Exit::new(reason, said))
}

/// All that the server says.
fn whole(server: &mut File, path: &Path) -> Result<String, Exit> {
    let mut said = String::new();
    server.read_to_string(&mut said).map_err(|cause| silent(path, &cause))?;
    Ok(said)
}

/// Prints an address, and that as a picture for a telephone.
#[cfg(feature = "accounts")]
fn show_scanned(server: &mut File, path: &Path) -> Result<(), Exit> {
    let said = whole(server, path)?;
    let address = said.split_whitespace().find(|word| word.starts_with("otpauth://"));
    let picture = address.and_then(|address| qr_code(address, io::stdout().is_terminal()));
    print(&(said + &picture.unwrap_or_default()))
}

/// Prints what comes as it comes: the list of peers may be long.
fn show(server: &mut File, path: &Path) -> Result<(), Exit> {
    let mut buffer = [0; 4096];
    loop {
        let len = server.read(&mut buffer).map_err(|cause| silent(path, &cause))?;
        if !print_part(buffer.get(..len).unwrap_or_default())? || len == 0 {
            return Ok(());
        }
    }
}

/// The socket that was named, or the first that is there.
fn path(flags: &CtlFlags) -> Result<PathBuf, Exit> {
    if let Some(path) = &flags.control {
        return Ok(path.into());
    }
    if flags.flags.is_some() || flags.data.is_some() {
        let config = config_of(flags.data.as_deref(), flags.flags.as_deref(), None);
        return Ok(config?.control);
    }
    // In a folder that is closed to us it is not seen; a package's stays while none serves.
    let place = match USUAL.iter().find(|path| Path::new(path).exists()) {
        Some(path) => path,
        None if !Path::new(CONTROL_FILE).exists() && Path::new(FOLDER).exists() => USUAL[0],
        None => CONTROL_FILE,
    };
    Ok(place.into())
}

fn connect(path: &Path) -> Result<File, Exit> {
    let connected = UnixStream::connect(path).and_then(|server| {
        server.set_read_timeout(Some(Duration::from_secs(SILENCE_SECS_MAX)))?;
        Ok(OwnedFd::from(server).into())
    });
    connected.map_err(|cause| {
        let path = path.display();
        let way_out = match cause.kind() {
            ErrorKind::PermissionDenied => {
                "Run this as the user the server runs as, as one of its group, or as root."
            }
            _ => {
                "Start 'hbb serve', or name its socket with --control, or its directory with \
                 --data; that of a package is found without them."
            }
        };
        Exit::running(format!("No hbb answers at {path}: {cause}. {way_out}"))
    })
}

pub(super) fn silent(path: &Path, cause: &io::Error) -> Exit {
    let path = path.display();
    Exit::running(match cause.kind() {
        ErrorKind::WouldBlock => format!(
            "hbb at {path} says nothing for {SILENCE_SECS_MAX} s; see its log, and start it again \
             if it hangs."
        ),
        _ => format!("hbb at {path} broke off, as when it stops: try again, and see its log."),
    })
}
