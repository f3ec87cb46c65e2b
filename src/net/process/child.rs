//! Runs another program to its end: what it says is read, up to a bound.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::AsRawFd as _;

use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, posix_spawnp};
use rustix::io::retry_on_intr;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, WaitOptions, waitpid};

/// Runs `program`, without an environment, with the arguments `args`, of which the first is its
/// name, `input` as its standard input and nothing to write errors to. Gives the first `said_max`
/// bytes of what it printed, or None if it failed or died.
///
/// # Errors
/// What the system says if it cannot be started.
pub(crate) fn output(
    program: &CStr,
    args: &[&CStr],
    input: &File,
    said_max: u64,
) -> io::Result<Option<Vec<u8>>> {
    let nowhere = File::options().write(true).open("/dev/null")?;
    let (out, printed) = pipe_with(PipeFlags::CLOEXEC)?;
    let mut files = PosixSpawnFileActions::init()?;
    // None of them is one of the three: those are open since the start.
    for (from, to) in [(input.as_raw_fd(), 0), (printed.as_raw_fd(), 1), (nowhere.as_raw_fd(), 2)] {
        files.add_dup2(from, to)?;
    }
    let child = posix_spawnp(program, &files, &PosixSpawnAttr::init()?, args, &[] as &[&CStr])?;
    // Else there would be no end of it.
    drop(printed);
    let mut said = Vec::new();
    let read = File::from(out).take(said_max).read_to_end(&mut said);
    let ended = retry_on_intr(|| waitpid(Pid::from_raw(child.as_raw()), WaitOptions::empty()))?;
    read?;
    Ok(ended.is_some_and(|(_, status)| status.exit_status() == Some(0)).then_some(said))
}
