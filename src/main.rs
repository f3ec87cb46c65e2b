//! The process: argv to exit code, nothing else.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use hbb::cli::{self, Early};
use hbb::cmd::{self, Exit};
use hbb::upstream::Program;

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
    let args: Vec<OsString> = std::env::args_os().collect();
    let program = args.first().and_then(|name| Program::called(Path::new(name)));
    let args: Option<Vec<&str>> = args.iter().skip(1).map(|arg| arg.to_str()).collect();
    let Some(args) = args else { return Err(Exit::flags("An argument is not UTF-8 text")) };
    if let Some(program) = program {
        let variable = |name: &str| std::env::var_os(name)?.into_string().ok();
        return cmd::upstream::run(program, &args, &variable);
    }
    match cli::parse(&args) {
        Ok(command) => cmd::run(command),
        Err(Early::Asked(text)) => cmd::print(&text),
        Err(Early::Wrong(text)) => Err(Exit::flags(text)),
    }
}
