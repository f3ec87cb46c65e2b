//! The process: argv to exit code, nothing else.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

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
    let mut args: Vec<OsString> = Vec::new();
    std::env::args_os().for_each(|arg| args.push(arg));
    // By the name of the file, or by the first word: a container starts one file.
    let named = |at: usize| Program::called(Path::new(args.get(at)?));
    let (own, told) = (named(0), named(1));
    let words = if own.is_none() && told.is_some() { 2 } else { 1 };
    let program = own.or(told);
    let mut texts = Vec::new();
    for arg in args.iter().skip(words) {
        texts.push(arg.to_str().ok_or_else(|| Exit::flags("An argument is not UTF-8 text"))?);
    }
    if let Some(program) = program {
        let mut variables = Vec::new();
        for (name, value) in std::env::vars_os() {
            // Upstream's words are text, as their values are.
            if let (Ok(name), Ok(value)) = (name.into_string(), value.into_string()) {
                variables.push((name, value));
            }
        }
        return cmd::upstream::run(program, &texts, &variables);
    }
    cmd::start(&texts)
}
