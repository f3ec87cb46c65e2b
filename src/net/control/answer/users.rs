//! `ctl user`: operators' words to commands for the accounts, and what these say. C167.

use hbb_core::accounts::{Command, Told, UserRow};

use crate::cli::no_such_command;
use crate::net::control::format::{Output, Value};
use crate::net::control::owners::{Owners, odd};
use crate::net::message::{Answer, RendezvousQuestion};

const COLUMNS: &[(&str, usize)] = &[
    ("name", 20),
    ("disabled", 9),
    ("admin", 6),
    ("totp", 5),
    ("tokens", 7),
    ("group", 16),
    ("display", 20),
    ("email", 24),
    ("note", 0),
];

/// Carries out what stands behind `user`; `brought` is the line behind that. Gives what to say,
/// where nothing was written.
///
/// # Errors
/// What to tell the operator if it was not carried out.
pub(super) fn answer(
    words: &[&str],
    brought: &str,
    owners: &Owners,
    out: &mut Output,
) -> Result<Option<&'static str>, String> {
    let command = command(words, brought).ok_or_else(|| no_such_command("user"))?;
    let asked = owners.ask_rendezvous(RendezvousQuestion::Accounts(command))?;
    let Answer::Accounts(told) = asked else { return odd() };
    match told {
        Told::Done(said) => return Ok(Some(said)),
        Told::Totp(uri) => out.field("totp", Value::Text(&uri)),
        Told::Users(rows) => {
            out.table("users", COLUMNS);
            rows.iter().for_each(|user| row(out, user));
            out.end_table();
        }
        Told::Refused(said) => return Err(said),
        Told::Book(_) => return odd(),
    }
    Ok(None)
}

fn command(words: &[&str], brought: &str) -> Option<Command> {
    let name = |name: &str| String::from(name);
    Some(match *words {
        ["list"] => Command::List,
        ["add", user] => Command::Add { name: user.into(), password: brought.into() },
        ["passwd", user] => Command::Password { name: user.into(), password: brought.into() },
        ["remove", user] => Command::Remove(name(user)),
        ["disable", user] => Command::Disable(name(user), true),
        ["enable", user] => Command::Disable(name(user), false),
        ["totp", user, "on"] => Command::Totp(name(user), true),
        ["totp", user, "off"] => Command::Totp(name(user), false),
        ["set", user, ref field @ ..] if !field.is_empty() => {
            Command::Set(name(user), field.join(" "))
        }
        _ => return None,
    })
}

fn row(out: &mut Output, user: &UserRow) {
    out.row(&[
        Value::Text(&user.name),
        Value::Flag(user.is_disabled),
        Value::Flag(user.is_admin),
        Value::Flag(user.totp),
        Value::Number(user.tokens as u64),
        Value::Text(&user.group),
        Value::Text(&user.display),
        Value::Text(&user.email),
        Value::Text(&user.note),
    ]);
}
