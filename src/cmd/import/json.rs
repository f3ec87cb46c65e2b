//! The rows of upstream's table as `sqlite3 -json` prints them: an array of objects without others
//! inside. RFC 8259.

use std::borrow::Cow;

use super::super::exit::Exit;
use super::found::{Found, address_in};
use crate::store::hex;

/// Why reading ended early.
pub(super) enum Stop {
    /// No such JSON, at this byte.
    At(usize),
    /// Who was given the rows wants no more.
    Exit(Exit),
}

/// Gives `each` what every object says of a device.
pub(super) fn rows(
    text: &str,
    each: &mut dyn FnMut(Found<'_>) -> Result<(), Exit>,
) -> Result<(), Stop> {
    let mut rest = text;
    object_by_object(&mut rest, each).map_err(|stop| match stop {
        Some(exit) => Stop::Exit(exit),
        None => Stop::At(text.len() - rest.len()),
    })
}

fn object_by_object(
    rest: &mut &str,
    each: &mut dyn FnMut(Found<'_>) -> Result<(), Exit>,
) -> Result<(), Option<Exit>> {
    mark(rest, '[').ok_or(None)?;
    if mark(rest, ']').is_some() {
        return Ok(());
    }
    loop {
        let members = object(rest).ok_or(None)?;
        let of = |name: &str| {
            let found = members.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
            found.map_or("", |(_, value)| value)
        };
        let bytes = |name| hex(of(name)).unwrap_or_default().into();
        each(Found {
            id: of("id"),
            device: bytes("uuid"),
            key: bytes("pk"),
            created: of("created_at"),
            address: address_in(of("info")),
        })?;
        if mark(rest, ',').is_none() {
            return mark(rest, ']').filter(|()| rest.trim().is_empty()).ok_or(None);
        }
    }
}

/// The members of one object.
fn object<'a>(rest: &mut &'a str) -> Option<Vec<(Cow<'a, str>, Cow<'a, str>)>> {
    mark(rest, '{')?;
    let mut members = Vec::new();
    while mark(rest, '}').is_none() {
        if !members.is_empty() {
            mark(rest, ',')?;
        }
        let name = string(rest)?;
        mark(rest, ':')?;
        members.push((name, value(rest)?));
    }
    Some(members)
}

/// A text; a number or word as it is written.
fn value<'a>(rest: &mut &'a str) -> Option<Cow<'a, str>> {
    if rest.trim_start().starts_with('"') {
        return string(rest);
    }
    let start = rest.trim_start();
    let length = start.find([',', '}']).filter(|length| *length > 0)?;
    let (word, after) = start.split_at_checked(length)?;
    *rest = after;
    Some(word.trim_end().into()).filter(|word: &Cow<'_, str>| !word.contains(['{', '[', '"']))
}

fn string<'a>(rest: &mut &'a str) -> Option<Cow<'a, str>> {
    mark(rest, '"')?;
    let end = rest.find(['"', '\\'])?;
    let (plain, after) = rest.split_at_checked(end)?;
    if let Some(after) = after.strip_prefix('"') {
        *rest = after;
        return Some(plain.into());
    }
    let mut text = String::from(plain);
    let mut chars = after.chars();
    loop {
        match chars.next()? {
            '"' => break,
            '\\' => text.push(escaped(&mut chars)?),
            c => text.push(c),
        }
    }
    *rest = chars.as_str();
    Some(text.into())
}

fn escaped(chars: &mut core::str::Chars<'_>) -> Option<char> {
    Some(match chars.next()? {
        c @ ('"' | '\\' | '/') => c,
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => {
            let high = unit(chars)?;
            match char::from_u32(high) {
                Some(c) => c,
                None => {
                    chars.as_str().starts_with("\\u").then(|| chars.nth(1))?;
                    let low = unit(chars)?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
                    char::from_u32(0x1_0000 + ((high.checked_sub(0xd800)? & 0x3ff) << 10) + low)?
                }
            }
        }
        _ => return None,
    })
}

/// Four hexadecimal digits.
fn unit(chars: &mut core::str::Chars<'_>) -> Option<u32> {
    (0..4).try_fold(0, |unit, _| Some(unit << 4 | chars.next()?.to_digit(16)?))
}

/// Passes over blanks and this character; None, and stays, where there is another.
fn mark(rest: &mut &str, c: char) -> Option<()> {
    *rest = rest.trim_start().strip_prefix(c)?;
    Some(())
}
