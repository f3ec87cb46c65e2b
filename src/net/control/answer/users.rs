//! `ctl user` and `ctl group`: operators' words to commands for the accounts, and their lists.
//! C167, C217.

use hbb_core::accounts::{Command, GroupRow, UserRow};
use hbb_core::base::address::Banned;
use hbb_core::base::peer::PeerId;

use super::log::said;
use crate::cli::no_such_command;
use crate::net::control::format::{Output, Value};

const COLUMNS: &str =
    "name:20 disabled:9 admin:6 totp:5 tokens:7 group:16 display:20 email:24 note:0";

const GROUP_COLUMNS: &str = "group:20 user:20 device:0";

const NO_ID: &str = "': must be the ID of a device; for users: hbb ctl user set NAME group=GROUP";

/// `words` as a command; `brought` is the line behind them.
///
/// # Errors
/// What to tell the operator if they are none.
pub(super) fn command(words: &[&str], brought: &str) -> Result<Command, String> {
    let no_command = || no_such_command(words.first().copied().unwrap_or_default());
    let [kind, verb, rest @ ..] = words else { return Err(no_command()) };
    let name = String::from(rest.first().copied().unwrap_or_default());
    Ok(match (*kind, *verb, rest) {
        ("group", "list", []) => Command::Groups,
        ("group", "add", [_, id]) => Command::Group(id_of(id)?, name),
        ("group", "remove", [id]) => Command::Group(id_of(id)?, String::new()),
        ("user", "list", []) => Command::List,
        ("user", "add", [_]) => Command::Add { name, password: brought.into() },
        ("user", "passwd", [_]) => Command::Password { name, password: brought.into() },
        ("user", "remove", [_]) => Command::Remove(name),
        ("user", "disable", [_]) => Command::Disable(name, true),
        ("user", "enable", [_]) => Command::Disable(name, false),
        ("user", "totp", [_, "on"]) => Command::Totp(name, true),
        ("user", "totp", [_, "off"]) => Command::Totp(name, false),
        ("user", "set", [_, field @ ..]) if !field.is_empty() => {
            Command::Set(name, field.join(" "))
        }
        _ => return Err(no_command()),
    })
}

/// The id of a device, as rules and bans have it.
fn id_of(word: &str) -> Result<PeerId, String> {
    Banned::id(word).ok_or_else(|| ["'", word, NO_ID].concat())
}

/// Lists who has an account.
pub(super) fn list(out: &mut Output, rows: &[UserRow]) {
    out.table("users", COLUMNS);
    for user in rows {
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
    out.end_table();
}

/// Lists who is in which group.
pub(super) fn groups(out: &mut Output, rows: &[GroupRow]) {
    out.table("groups", GROUP_COLUMNS);
    for GroupRow { group, user, device } in rows {
        out.row(&[Value::Text(group), said(user), said(device)]);
    }
    out.end_table();
}
