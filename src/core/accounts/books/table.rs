//! Entries as a table (CSV, RFC 4180), as spreadsheets read and write it. A cell that one of them
//! would take for a formula has an apostrophe before it, there and back. C178.

use alloc::string::String;
use alloc::vec::Vec;

use super::Refusal;
use super::entry::Entry;
use crate::base::json::Writer;
use crate::base::text::{APOSTROPHE, csv_cell};

/// The first row of a table that is written; one that is read has some of these, in any order.
const COLUMNS: [&str; 14] = [
    "id",
    "alias",
    "tags",
    "note",
    "username",
    "hostname",
    "platform",
    "hash",
    "password",
    "forceAlwaysRelay",
    "rdpPort",
    "rdpUsername",
    "loginName",
    "device_group_name",
];
/// The column of several words, and what stands between them.
const TAGS: &str = "tags";
const BETWEEN_TAGS: char = ';';

/// All entries.
pub(super) fn table(entries: &[Entry]) -> String {
    let mut text = COLUMNS.join(",");
    text.push_str("\r\n");
    for entry in entries {
        for (at, column) in COLUMNS.iter().enumerate() {
            text.push_str(if at == 0 { "" } else { "," });
            text.push_str(&match *column {
                TAGS => csv_cell(&tags(entry)),
                _ => csv_cell(&entry.value().text_of(column).unwrap_or_default()),
            });
        }
        text.push_str("\r\n");
    }
    text
}

fn tags(entry: &Entry) -> String {
    let mut text = String::new();
    for (at, tag) in entry.tags().enumerate() {
        if at > 0 {
            text.push(BETWEEN_TAGS);
        }
        text.push_str(&tag);
    }
    text
}

/// The entries of a table, as a list of JSON; counts them, with the one that is refused.
pub(super) fn rows(text: &str, count: &mut usize) -> Result<String, Refusal> {
    let head = text.lines().next().unwrap_or_default();
    // Where a comma stands in numbers, spreadsheets write another sign.
    let many = |sign| head.chars().filter(|letter| *letter == sign).count();
    let mut sign = ',';
    for other in [';', '\t'] {
        if many(other) >= many(sign) {
            sign = other;
        }
    }
    let mut cells = Cells { rest: text, sign, is_last: false };
    let mut columns = Vec::new();
    while !cells.is_last {
        let name = cells.next().ok_or(Refusal::NotEntries)?;
        let name = name.trim();
        let known = COLUMNS.iter().find(|column| column.eq_ignore_ascii_case(name));
        columns.push(*known.ok_or(Refusal::NoColumn)?);
    }
    let mut writer = Writer::default();
    writer.open('[');
    while !cells.rest.is_empty() {
        cells.is_last = false;
        *count += 1;
        row(&mut writer, &columns, &mut cells, count)?;
    }
    writer.close(']');
    Ok(writer.into_text())
}

fn row(
    writer: &mut Writer,
    columns: &[&str],
    cells: &mut Cells<'_>,
    count: &mut usize,
) -> Result<(), Refusal> {
    let mut values = Vec::with_capacity(columns.len());
    while !cells.is_last {
        values.push(cells.next().ok_or(Refusal::NotEntries)?);
        if values.len() > columns.len() {
            return Err(Refusal::NotEntries);
        }
    }
    // A row of nothing is an empty line.
    if values.iter().all(|value| value.is_empty()) {
        *count -= 1;
        return Ok(());
    }
    writer.open('{');
    for (column, value) in columns.iter().zip(&values) {
        writer.name(column);
        if *column != TAGS {
            writer.text(value);
            continue;
        }
        writer.open('[');
        let tags = value.split(BETWEEN_TAGS).map(str::trim).filter(|tag| !tag.is_empty());
        tags.for_each(|tag| writer.text(tag));
        writer.close(']');
    }
    writer.close('}');
    Ok(())
}

/// What is left of a table.
struct Cells<'a> {
    rest: &'a str,
    sign: char,
    /// Whether the cell that was read last ends its row.
    is_last: bool,
}

impl Cells<'_> {
    /// The next cell; None if its quotes are wrong.
    fn next(&mut self) -> Option<String> {
        let mut value = String::new();
        if let Some(inner) = self.rest.strip_prefix('"') {
            self.rest = inner;
            loop {
                let (part, behind) = self.rest.split_once('"')?;
                value.push_str(part);
                self.rest = behind;
                match behind.strip_prefix('"') {
                    Some(more) => {
                        value.push('"');
                        self.rest = more;
                    }
                    None => break,
                }
            }
        } else {
            let end = self.rest.find([self.sign, '\r', '\n']).unwrap_or(self.rest.len());
            let (part, behind) = self.rest.split_at_checked(end)?;
            value.push_str(part);
            self.rest = behind;
        }
        self.end()?;
        Some(value.strip_prefix(APOSTROPHE).map(String::from).unwrap_or(value))
    }

    /// Passes over what stands behind a cell.
    fn end(&mut self) -> Option<()> {
        if let Some(rest) = self.rest.strip_prefix(self.sign) {
            self.rest = rest;
            return Some(());
        }
        self.is_last = true;
        let ends = ["\r\n", "\n", "\r"].into_iter();
        let rest = ends.filter_map(|end| self.rest.strip_prefix(end)).next();
        match rest {
            Some(rest) => self.rest = rest,
            None => self.rest.is_empty().then_some(())?,
        }
        Some(())
    }
}
