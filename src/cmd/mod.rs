//! The commands: what each does, how it ends, what it tells whom. [`Exit`] is the operator's
//! fault or the world's, in words that say what to change.
//! Checks: tests/cli.rs runs every command; C74, C75 and C77 in tests/conformance/keys.rs.

pub mod check;
pub mod ctl;
pub mod export;
pub mod keygen;
pub mod serve;

use std::io::{self, ErrorKind, Write as _};
use std::{panic, process};

use crate::cli::{Command, ServeFlags};
use crate::config::Config;
use crate::settings;

/// Whose turn it is after a failure: the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// It failed while running; a restart may help.
    Running = 1,
    /// A flag or the flags file is wrong.
    Flags = 2,
    /// The key or the store is unusable; a person must look.
    Unusable = 3,
}

/// Why the process ends without success, and what to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    cause: Cause,
    message: String,
}

impl Exit {
    /// A failure while running.
    pub fn running(message: impl Into<String>) -> Self {
        Self { cause: Cause::Running, message: message.into() }
    }

    /// Wrong flags; the message names the flag, its value and what is allowed.
    pub fn flags(message: impl Into<String>) -> Self {
        Self { cause: Cause::Flags, message: message.into() }
    }

    /// An unusable key or store; the message names the file and the way out.
    pub fn unusable(message: impl Into<String>) -> Self {
        Self { cause: Cause::Unusable, message: message.into() }
    }

    /// The process's exit code: 1, 2 or 3.
    pub const fn code(&self) -> u8 {
        match self.cause {
            Cause::Running => 1,
            Cause::Flags => 2,
            Cause::Unusable => 3,
        }
    }

    /// Whose turn it is.
    pub const fn cause(&self) -> Cause {
        self.cause
    }

    /// What to tell the operator.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Writes the message to stderr; if that is closed, the exit code has to do.
    pub fn tell(&self) {
        if !self.message.is_empty() {
            let text = [self.message.trim_end(), "\n"].concat();
            drop(io::stderr().write_all(text.as_bytes()));
        }
    }
}

/// Runs one command to its end.
pub fn run(command: Command) -> Result<(), Exit> {
    match command {
        Command::Serve(flags) => serve::run(configure(&flags)?),
        Command::Keygen(flags) => keygen::run(&flags),
        Command::Export(flags) => export::run(&flags),
        Command::Check(flags) => check::run(&flags.0),
        Command::Ctl(flags) => ctl::run(&flags),
    }
}

/// Writes `text` to stdout. A reader that went away is no failure; a full disk is.
pub fn print(text: &str) -> Result<(), Exit> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Exit::running(format!("Cannot write the output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Lets a panic of any thread end the process with SIGABRT, after its message: a server without
/// one of its threads would seem to serve, and nobody would start it anew. Our own builds abort by
/// themselves; those of OpenWrt's feed unwind.
pub fn abort_on_panic() {
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        tell(panic);
        process::abort();
    }));
}

/// The settings of a command line and the flags file it names.
pub fn configure(flags: &ServeFlags) -> Result<Config, Exit> {
    settings::read(flags).map_err(Exit::flags)
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
