//! `ctl user`, `ctl group` and `ctl book`: asks the accounts, and writes what they say. C167, C178.

use hbb_core::accounts::books::BookTold;
use hbb_core::accounts::{Command, Told};

use super::{books, users};
use crate::net::control::format::{Output, Value};
use crate::net::control::owners::{Owners, odd};
use crate::net::message::{Answer, RendezvousQuestion};

/// Carries out `words`; `brought` is what came behind their line. Gives what to say, where nothing
/// was written.
///
/// # Errors
/// What to tell the operator if it was not carried out.
pub(super) fn answer(
    words: &[&str],
    brought: &str,
    owners: &Owners,
    out: &mut Output,
) -> Result<String, String> {
    let command = match words {
        ["book", words @ ..] => Command::Book(books::command(words, brought, !out.is_text())?),
        words => users::command(words, brought)?,
    };
    let asked = owners.ask_rendezvous(RendezvousQuestion::Accounts(command))?;
    let Answer::Accounts(told) = asked else { return odd() };
    match told {
        Told::Done(said) => return Ok(said.into()),
        Told::Refused(said) => return Err(said),
        Told::Totp(uri) => out.field("totp", Value::Text(&uri)),
        Told::Users(rows) => users::list(out, &rows),
        Told::Groups(rows) => users::groups(out, &rows),
        Told::Book(BookTold::Done) => return Ok("Done.".into()),
        Told::Book(BookTold::Imported(count)) => {
            return Ok(["Entries that were read: ", &count.to_string(), "."].concat());
        }
        Told::Book(BookTold::Books(rows)) => books::list(out, &rows),
        // JSON in brackets of its own, which the answer has already.
        Told::Book(BookTold::Entries(text)) => {
            let inner = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
            out.text.push_str(inner.filter(|_| !out.is_text()).unwrap_or(&text));
        }
    }
    Ok(String::new())
}
