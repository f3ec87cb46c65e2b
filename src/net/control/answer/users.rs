//! `ctl user` and `ctl group`: operators' words to commands for the accounts, and what these say.
//! C167, C217.

use hbb_core::accounts::{Command, GroupRow, Told, UserRow};
use hbb_core::base::address::Banned;
use hbb_core::base::peer::PeerId;

use super::log::said;
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

const GROUP_COLUMNS: &[(&str, usize)] = &[("group", 20), ("user", 20), ("device", 0)];

const NO_ID: &str = "': must be the ID of a device; for users: hbb ctl user set NAME group=GROUP";

/// Carries out `words`; `brought` is the line behind that. Gives what to say,
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
    if let ["group", "add" | "remove", .., id] = *words
        && id_of(id).is_none()
    {
        return Err(["'", id, NO_ID].concat());
    }
    let command = command(words, brought)
        .ok_or_else(|| no_such_command(words.first().copied().unwrap_or_default()))?;
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
        Told::Groups(rows) => {
            out.table("groups", GROUP_COLUMNS);
            for GroupRow { group, user, device } in &rows {
                out.row(&[Value::Text(group), said(user), said(device)]);
            }
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
        ["group", "list"] => Command::Groups,
        ["group", "add", group, id] => Command::Group(id_of(id)?, name(group)),
        ["group", "remove", id] => Command::Group(id_of(id)?, String::new()),
        ["user", "list"] => Command::List,
        ["user", "add", user] => Command::Add { name: user.into(), password: brought.into() },
        ["user", "passwd", user] => {
            Command::Password { name: user.into(), password: brought.into() }
        }
        ["user", "remove", user] => Command::Remove(name(user)),
        ["user", "disable", user] => Command::Disable(name(user), true),
        ["user", "enable", user] => Command::Disable(name(user), false),
        ["user", "totp", user, "on"] => Command::Totp(name(user), true),
        ["user", "totp", user, "off"] => Command::Totp(name(user), false),
        ["user", "set", user, ref field @ ..] if !field.is_empty() => {
            Command::Set(name(user), field.join(" "))
        }
        _ => return None,
    })
}

/// The id of a device, as rules and bans have it.
fn id_of(word: &str) -> Option<PeerId> {
    match Banned::parse(word)? {
        Banned::Id(id) => Some(id),
        Banned::Network(_) => None,
    }
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
