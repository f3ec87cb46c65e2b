//! The process: argv to exit code, nothing else.

use std::ffi::OsString;
use std::process::ExitCode;

use hbb::cli::{self, Early};
use hbb::cmd::{self, Exit};

fn main() -> ExitCode {
    #[cfg(panic = "unwind")]
    cmd::abort_on_panic();
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(exit) => {
            exit.tell();
            ExitCode::from(exit.code())
        }
    }
}

fn start() -> Result<(), Exit> {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let args: Option<Vec<&str>> = args.iter().map(|arg| arg.to_str()).collect();
    let Some(args) = args else { return Err(Exit::flags("An argument is not UTF-8 text")) };
    match cli::parse(&args) {
        Ok(command) => cmd::run(command),
        Err(Early::Asked(text)) => cmd::print(&text),
        Err(Early::Wrong(text)) => Err(Exit::flags(text)),
    }
}
