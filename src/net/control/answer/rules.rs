//! `ctl rule`: who may dial whom, as the file says it, and what that decides. C183;
//! tests/rules.rs.

use hbb_core::accounts::{Command, GroupRow, Told};

use crate::cli::no_such_command;
use crate::net::clock::{is_set, unix_secs};
use crate::net::control::format::{Output, Value};
use crate::net::control::owners::Owners;
use crate::net::message::{Answer, RendezvousQuestion};
use crate::settings::{RulesQuestion, RunningSettings};

const WORD: &str = "': must be user=NAME, user-group=NAME, to-group=NAME or at=Mon,14:00";

/// Lists the lines of the file, or asks them; gives what to say behind that. Groups that the
/// question does not name are those of the accounts.
///
/// # Errors
/// What is wrong with the file, or with the question.
pub(super) fn answer(
    words: &[&str],
    (settings, owners): (&RunningSettings, &Owners),
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
                    Some(("user", name)) if !name.is_empty() => question.user = Some(name),
                    Some(("user-group", name)) => question.user_group = name,
                    Some(("to-group", name)) => question.to_group = name,
                    Some(("at", time)) => at = time.replace(',', " "),
                    _ => return Err(["'", word, WORD].concat()),
                }
            }
            question.at = Some(&*at).filter(|at| !at.is_empty());
            let rows = groups(owners);
            let group_of = |fits: &dyn Fn(&GroupRow) -> bool| {
                rows.iter().find(|row| fits(row)).map_or("", |row| &row.group)
            };
            if question.user_group.is_empty() {
                question.user_group = group_of(&|row| question.user == Some(&row.user));
            }
            if question.to_group.is_empty() {
                let id = to.split('@').next();
                question.to_group = group_of(&|row| id == Some(&row.device));
            }
            Ok(file.test(&question)?.trim_end().into())
        }
        _ => Err(no_such_command("rule")),
    }
}

/// Who is in which group; nobody without accounts.
fn groups(owners: &Owners) -> Vec<GroupRow> {
    match owners.ask_rendezvous(RendezvousQuestion::Accounts(Command::Groups)) {
        Ok(Answer::Accounts(Told::Groups(rows))) => rows,
        _ => Vec::new(),
    }
}
