//! `ctl rule`: who may dial whom, as the file says it, and what that decides. C183;
//! tests/rules.rs.

use hbb_core::accounts::{Command, NO_USER, Told};

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
            out.table("rules", "");
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
            let (users, groups) = (ask(owners, Command::List), ask(owners, Command::Groups));
            if let (Some(name), Some(Told::Users(users))) = (question.user, &users) {
                let user = users.iter().find(|user| user.name == name).ok_or(NO_USER)?;
                if question.user_group.is_empty() {
                    question.user_group = &user.group;
                }
            }
            if let ("", Some(Told::Groups(rows))) = (question.to_group, &groups) {
                let id = to.split('@').next();
                let row = rows.iter().find(|row| id == Some(&row.device));
                question.to_group = row.map_or("", |row| &row.group);
            }
            Ok(file.test(&question)?.trim_end().into())
        }
        _ => Err(no_such_command("rule")),
    }
}

/// What the accounts say, if there are any.
fn ask(owners: &Owners, command: Command) -> Option<Told> {
    match owners.ask_rendezvous(RendezvousQuestion::Accounts(command)) {
        Ok(Answer::Accounts(told)) => Some(told),
        _ => None,
    }
}
