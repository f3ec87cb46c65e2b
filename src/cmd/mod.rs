//! The commands, one a file, and how they end.
//! Checks: tests/cli.rs runs every command; C74, C75 and C77 in tests/conformance/keys.rs.

mod backup;
mod check;
mod ctl;
#[cfg(feature = "doctor")]
mod doctor;
mod exit;
pub mod export;
mod greeting;
mod import;
pub mod keygen;
mod rotate;
#[cfg(feature = "accounts")]
mod rules;
mod serve;
mod store;
pub mod upstream;

use crate::cli::{self, Command, Early, ServeFlags};
use crate::config::Config;
use crate::net::process::user;
use crate::settings;

#[cfg(feature = "testing")]
pub use exit::ExitReason;
pub use exit::{Exit, abort_on_panic, print};

/// Reads the arguments after the program's name and does what they ask for.
pub fn start(args: &[&str]) -> Result<(), Exit> {
    match cli::parse(args) {
        Ok(command) => run(command),
        Err(Early::Asked(text)) => print(&text),
        Err(Early::Wrong(text)) => Err(Exit::flags(text)),
    }
}

/// Runs one command to its end. Each is a function of its own, not a part of this: in one frame of
/// all, whatever is read or written on the stack takes longer instructions.
fn run(command: Command) -> Result<(), Exit> {
    match command {
        Command::Serve(flags) => {
            become_user(&flags)?;
            serve::run(settings::read(*flags).map_err(Exit::flags)?, false)
        }
        Command::Keygen(flags) => rotate::run(&flags),
        Command::Export(flags) => export::run(&flags),
        Command::Check(flags) => {
            become_user(&flags.0)?;
            check::run(*flags.0)
        }
        Command::Ctl(flags) => ctl::run(&flags),
        #[cfg(feature = "doctor")]
        Command::Doctor(flags) => doctor::run(flags),
        Command::Import(flags) => import::run(&flags),
        Command::Store(flags) => store::run(&flags),
        Command::Backup(flags) => backup::run(&flags),
        Command::Restore(flags) => backup::restore(&flags),
        #[cfg(feature = "accounts")]
        Command::Rules(flags) => rules::run(&flags),
    }
}

/// The settings of a server that is named by its directory, its flags file or its socket.
fn config_of(
    data: Option<&str>,
    flags: Option<&str>,
    control: Option<&str>,
) -> Result<Config, Exit> {
    settings::of(data, flags, control).map_err(Exit::flags)
}

/// Before anything of that user is opened: the flags file, too.
fn become_user(flags: &ServeFlags) -> Result<(), Exit> {
    flags.user.as_deref().map_or(Ok(()), user::become_user).map_err(Exit::flags)
}
