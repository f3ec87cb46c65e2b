//! How a command ends: with what exit code, and what the operator is told to change. What it
//! printed before that is written here too. Must not know any command.
//! Checks: tests/cli.rs, tests/bad_input.rs; the abort below.

use std::io::{self, ErrorKind, IsTerminal as _, Write as _};
use std::{panic, process};

/// What helps where the data directory is mounted read-only.
pub(super) const READ_ONLY: &str = "It is mounted read-only: mount it read-write, or name another \
     with --data; a key that is to stay on a read-only mount is named by --key-file.";

/// What helps where the disk is full.
pub(super) const MAKE_ROOM: &str = "Make room there.";

/// What helps where a file is another user's: a service runs as its own, all else as who typed it.
pub(super) const DENIED: &str =
    "Run this as its owner or as root, or give it to the user that hbb runs as.";

/// Whose turn it is after a failure; its number is the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExitReason {
    /// It failed while running; a restart may help.
    Running = 1,
    /// A flag or the flags file is wrong.
    Flags = 2,
    /// The key or the store is unusable; a person must look.
    Unusable = 3,
}

/// Why the process ends without success, and what to change. Behind a pointer, as whoever hands it
/// on copies it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit(Box<(ExitReason, String)>);

impl Exit {
    /// Any ending but success.
    pub fn new(reason: ExitReason, message: impl Into<String>) -> Self {
        Self(Box::new((reason, message.into())))
    }

    /// A failure while running.
    pub fn running(message: impl Into<String>) -> Self {
        Self::new(ExitReason::Running, message)
    }

    /// Wrong flags; the message names the flag, its value and what is allowed.
    pub fn flags(message: impl Into<String>) -> Self {
        Self::new(ExitReason::Flags, message)
    }

    /// A flag whose value is another than `allowed`.
    pub(super) fn must_be(flag: &str, text: &str, allowed: &str) -> Self {
        Self::flags([flag, " '", text, "': must be ", allowed].concat())
    }

    /// An unusable key or store; the message names the file and the way out.
    pub fn unusable(message: impl Into<String>) -> Self {
        Self::new(ExitReason::Unusable, message)
    }

    /// The process's exit code: 1, 2 or 3.
    pub fn code(&self) -> u8 {
        self.0.0 as u8
    }

    /// Whose turn it is: what the exit code says.
    pub fn reason(&self) -> ExitReason {
        self.0.0
    }

    /// What to tell the operator.
    pub fn message(&self) -> &str {
        &self.0.1
    }

    /// Writes the message to stderr; if that is closed, the exit code has to do.
    pub fn tell(&self) {
        if !self.message().is_empty() {
            let text = [self.message().trim_end(), "\n"].concat();
            drop(io::stderr().write_all(text.as_bytes()));
        }
    }
}

/// Writes `text` to stdout. A reader that has gone away is no failure; a full disk is.
pub fn print(text: &str) -> Result<(), Exit> {
    print_part(text.as_bytes()).map(drop)
}

/// The same for a part of what is to be written; false if nobody reads it any more.
pub(super) fn print_part(bytes: &[u8]) -> Result<bool, Exit> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Exit::running(format!("Cannot write the output: {error}"))),
    }
}

/// Tells a person what is waited for; a script has no use for it.
pub(super) fn say_at_terminal(words: &[&str]) {
    if io::stderr().is_terminal() {
        note(words);
    }
}

/// Writes a line to stderr beside what a command prints.
pub(super) fn note(words: &[&str]) {
    drop(io::stderr().write_all([&words.concat(), "\n"].concat().as_bytes()));
}

/// Lets a panic of any thread end the process with SIGABRT, after its message: a server without
/// one of its threads would seem to serve, and nobody would restart it. Our own builds abort by
/// themselves; those of OpenWrt's feed unwind.
pub fn abort_on_panic() {
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        tell(panic);
        process::abort();
    }));
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::Command;
    use std::{env, thread};

    /// Set for the process that is to end.
    const VICTIM: &str = "HBB_TEST_PANICS";

    #[test]
    #[allow(clippy::disallowed_methods, reason = "it runs itself as another process")]
    fn a_panic_of_any_thread_ends_the_process() {
        if env::var_os(VICTIM).is_some() {
            super::abort_on_panic();
            let _ = thread::spawn(|| panic!("as it was asked to")).join();
            return;
        }
        let name = thread::current().name().map(str::to_owned).unwrap();
        let mut itself = Command::new(env::current_exe().unwrap());
        let output = itself.args(["--exact", &name, "--nocapture"]).env(VICTIM, "1").output();
        let output = output.unwrap();
        assert_eq!(output.status.signal(), Some(6), "SIGABRT, not {}", output.status);
        assert!(String::from_utf8_lossy(&output.stderr).contains("as it was asked to"));
    }
}
