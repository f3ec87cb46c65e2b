//! `hbb ctl log --follow`: asks for what became known since it last asked, until somebody breaks it
//! off or the server is gone. C218; tests/log.rs.

use std::thread;
use std::time::Duration;

use super::super::exit::{Exit, print_part};

/// How often it asks.
const PAUSE: Duration = Duration::from_secs(1);

/// Asks with `line` again and again; what comes ends in a line of its own, with which to ask next.
pub(super) fn follow(line: &str, ask: &dyn Fn(&str) -> Result<String, Exit>) -> Result<(), Exit> {
    let mut next = String::new();
    loop {
        let line = [line.trim_end(), " ", &next, "\n"].concat();
        let mut said = ask(&line)?;
        let end = said.trim_end().rfind('\n').map_or(0, |at| at + 1);
        next = said.split_off(end).trim_end().into();
        if !print_part(said.as_bytes())? {
            return Ok(());
        }
        thread::sleep(PAUSE);
    }
}
