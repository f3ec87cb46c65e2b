//! `ctl rule`: who may dial whom, as the file says it, and what that decides. C183;
//! tests/rules.rs.

use crate::cli::no_such_command;
use crate::net::clock::{is_set, unix_secs};
use crate::net::control::format::{Output, Value};
use crate::settings::{RulesQuestion, RunningSettings};

const WORD: &str = "': must be user=NAME, user-group=NAME, to-group=NAME or at=Mon,14:00";

/// Lists the lines of the file, or asks them; gives what to say behind that.
///
/// # Errors
/// What is wrong with the file, or with the question.
pub(super) fn answer(
    words: &[&str],
    settings: &RunningSettings,
    out: &mut Output,
) -> Result<String, String> {
    let file = settings.rules_file()?;
    match *words {
        ["list"] => {
            out.table("rules", &[]);
            let lines = file.text().unwrap_or_default().lines();
            lines.for_each(|line| out.row(&[Value::Text(line)]));
            out.end_table();
            Ok(file.summary().trim_end().into())
        }
        ["test", from, to, ref more @ ..] => {
            let now = Some(unix_secs()).filter(|now| is_set(*now)).unwrap_or(0);
            let mut at = String::new();
            let mut question = RulesQuestion {
                sides: [from, to],
                user: None,
                user_group: "",
                to_group: "",
                at: None,
                now,
            };
            for word in more {
                match word.split_once('=') {
                    Some(("user", name)) => question.user = Some(name),
                    Some(("user-group", name)) => question.user_group = name,
                    Some(("to-group", name)) => question.to_group = name,
                    Some(("at", time)) => at = time.replace(',', " "),
                    _ => return Err(["'", word, WORD].concat()),
                }
            }
            question.at = Some(&*at).filter(|at| !at.is_empty());
            Ok(file.test(&question)?.trim_end().into())
        }
        _ => Err(no_such_command("rule")),
    }
}
