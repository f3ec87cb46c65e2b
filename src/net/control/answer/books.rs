//! `ctl book`: operators' words to commands for the address books, and what these say. C178.

use hbb_core::accounts::books::{BookCommand, BookRow, BookTold, Rule};
use hbb_core::accounts::{Command, Told};

use crate::cli::no_such_command;
use crate::net::control::format::{Output, Value};
use crate::net::control::owners::{Owners, odd};
use crate::net::message::{Answer, RendezvousQuestion};

const COLUMNS: &[(&str, usize)] = &[
    ("guid", 38),
    ("owner", 16),
    ("name", 20),
    ("entries", 8),
    ("bytes", 8),
    ("shares", 24),
    ("note", 0),
];

/// Carries out what stands behind `book`; `brought` is what came behind that line. Gives what to
/// say, where nothing was written.
///
/// # Errors
/// What to tell the operator if it was not carried out.
pub(super) fn answer(
    words: &[&str],
    brought: &str,
    owners: &Owners,
    out: &mut Output,
) -> Result<Option<String>, String> {
    let command = command(words, brought, !out.is_text())?;
    let asked = owners.ask_rendezvous(RendezvousQuestion::Accounts(Command::Book(command)))?;
    let Answer::Accounts(told) = asked else { return odd() };
    match told {
        Told::Book(BookTold::Done) => return Ok(Some("Done.".into())),
        Told::Book(BookTold::Imported(count)) => {
            return Ok(Some(["Entries that were read: ", &count.to_string(), "."].concat()));
        }
        Told::Book(BookTold::Books(rows)) => {
            out.table("books", COLUMNS);
            rows.iter().for_each(|book| row(out, book));
            out.end_table();
        }
        // JSON in brackets of its own, which the answer has already.
        Told::Book(BookTold::Entries(text)) => {
            let inner = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
            out.text.push_str(inner.filter(|_| !out.is_text()).unwrap_or(&text));
        }
        Told::Refused(said) => return Err(said),
        _ => return odd(),
    }
    Ok(None)
}

fn command(words: &[&str], brought: &str, json: bool) -> Result<BookCommand, String> {
    let own = |word: &str| String::from(word);
    let import = |book, replace| BookCommand::Import(own(book), own(brought), replace);
    Ok(match *words {
        ["list"] => BookCommand::List,
        ["add", ref name @ ..] if !name.is_empty() => BookCommand::Add(name.join(" ")),
        ["note", book, ref note @ ..] => BookCommand::Note(own(book), note.join(" ")),
        ["share", book, with, rule] => {
            let rule = rule_of(rule).ok_or_else(|| no_rule(rule))?;
            BookCommand::Share(own(book), own(with), Some(rule))
        }
        ["unshare", book, with] => BookCommand::Share(own(book), own(with), None),
        ["export", book] => BookCommand::Export(own(book), json, None),
        ["export", book, ref after @ ..] => {
            let (after, no_id) = (after.join(" "), "': must be after=ID");
            let id = after.strip_prefix("after=").ok_or_else(|| ["'", &after, no_id].concat())?;
            BookCommand::Export(own(book), json, Some(own(id)))
        }
        ["import", "--replace", book] => import(book, true),
        ["import", book] => import(book, false),
        ["remove", book] => BookCommand::Remove(own(book)),
        ["remove", book, ref id @ ..] => BookCommand::Drop(own(book), id.join(" ")),
        ["rename", book, ref name @ ..] => BookCommand::Rename(own(book), name.join(" ")),
        _ => return Err(no_such_command("book")),
    })
}

fn rule_of(word: &str) -> Option<Rule> {
    Rule::ALL.into_iter().find(|(_, name)| *name == word).map(|(rule, _)| rule)
}

fn no_rule(word: &str) -> String {
    ["'", word, "': must be read, write or full"].concat()
}

fn row(out: &mut Output, book: &BookRow) {
    let name = |rule| Rule::ALL.into_iter().find(|(own, _)| *own == rule).map_or("", |own| own.1);
    let mut shares = String::new();
    for (with, rule) in &book.shares {
        let blank = if shares.is_empty() { "" } else { " " };
        shares.push_str(&[blank, with, "=", name(*rule)].concat());
    }
    out.row(&[
        Value::Text(&book.guid),
        Value::Text(&book.owner),
        Value::Text(&book.name),
        Value::Number(book.entries as u64),
        Value::Number(book.bytes as u64),
        Value::Text(&shares),
        Value::Text(&book.note),
    ]);
}
