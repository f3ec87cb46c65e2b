//! `ctl book`: operators' words to commands for the address books, and their list. C178.

use hbb_core::accounts::books::{BookCommand, BookRow, Rule};

use crate::cli::no_such_command;
use crate::net::control::format::{Output, Value};

const COLUMNS: &str = "guid:38 owner:16 name:20 entries:8 bytes:8 shares:24 note:0";

/// What stands behind `book`, as a command; `brought` is what came behind that line.
///
/// # Errors
/// What to tell the operator if it is none.
pub(super) fn command(words: &[&str], brought: &str, json: bool) -> Result<BookCommand, String> {
    let [verb, book, rest @ ..] = words else {
        return if words == ["list"] {
            Ok(BookCommand::List)
        } else {
            Err(no_such_command("book"))
        };
    };
    let (book, text) = (String::from(*book), rest.join(" "));
    Ok(match (*verb, rest) {
        ("add", []) => BookCommand::Add(book),
        ("add", _) => BookCommand::Add([&book, " ", &text].concat()),
        ("note", _) => BookCommand::Note(book, text),
        ("share", [with, rule]) => {
            let rule = rule_of(rule).ok_or_else(|| no_rule(rule))?;
            BookCommand::Share(book, (*with).into(), Some(rule))
        }
        ("unshare", [_]) => BookCommand::Share(book, text, None),
        ("export", []) => BookCommand::Export(book, json, None),
        ("export", _) => {
            let id = text.strip_prefix("after=");
            let id = id.ok_or_else(|| ["'", &text, "': must be after=ID"].concat())?;
            BookCommand::Export(book, json, Some(id.into()))
        }
        ("import", []) => BookCommand::Import(book, brought.into(), false),
        ("import", [behind]) if book == "--replace" => {
            BookCommand::Import((*behind).into(), brought.into(), true)
        }
        ("remove", []) => BookCommand::Remove(book),
        ("remove", _) => BookCommand::Drop(book, text),
        ("rename", _) => BookCommand::Rename(book, text),
        _ => return Err(no_such_command("book")),
    })
}

fn rule_of(word: &str) -> Option<Rule> {
    Rule::ALL.into_iter().find(|(_, name)| *name == word).map(|(rule, _)| rule)
}

fn no_rule(word: &str) -> String {
    ["'", word, "': must be read, write or full"].concat()
}

/// Lists books.
pub(super) fn list(out: &mut Output, rows: &[BookRow]) {
    out.table("books", COLUMNS);
    for book in rows {
        let mut shares = String::new();
        for (with, rule) in &book.shares {
            let name = Rule::ALL.into_iter().find(|(own, _)| own == rule);
            let blank = if shares.is_empty() { "" } else { " " };
            shares.push_str(&[blank, with, "=", name.map_or("", |own| own.1)].concat());
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
    out.end_table();
}
