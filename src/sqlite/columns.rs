//! Where a table's columns stand in its rows, from the text that made the table.

/// The place of each of `named`, which are in lower case, in a row; in an index's tree the primary
/// key's columns come first. None for a text that is not understood.
pub(super) fn places(sql: &str, named: &[&str], index: bool) -> Option<Vec<Option<usize>>> {
    let sql = sql.to_ascii_lowercase();
    let (mut own, mut key) = (Vec::new(), Vec::new());
    for piece in pieces(&sql)? {
        let first = name(piece);
        let is_key = piece.split_whitespace().any(|word| word.starts_with("primary"));
        let is_one_of = |words: &str| words.split(' ').any(|word| word == first);
        if first.is_empty() {
            return None;
        }
        if is_key && is_one_of("primary constraint") {
            key.clear();
            pieces(piece)?.into_iter().for_each(|piece| key.push(name(piece)));
        } else if !is_one_of("primary constraint unique check foreign") {
            own.push(first);
            if is_key {
                key.push(first);
            }
        }
    }
    if index {
        for name in own {
            if !key.contains(&name) {
                key.push(name);
            }
        }
        own = key;
    }
    let mut places = Vec::new();
    for name in named {
        places.push(own.iter().position(|own| own == name));
    }
    Some(places)
}

/// The first word, without quotes; empty if there is none.
fn name(piece: &str) -> &str {
    let piece = piece.trim_start();
    let (inside, ends) = match piece.as_bytes().first() {
        Some(b'[') => (1, "]"),
        Some(b'"') => (1, "\""),
        Some(b'`') => (1, "`"),
        Some(b'\'') => (1, "'"),
        _ => (0, " \t\r\n("),
    };
    let rest = piece.get(inside..).unwrap_or_default();
    let end = rest.bytes().position(|byte| ends.as_bytes().contains(&byte));
    rest.get(..end.unwrap_or(rest.len())).unwrap_or_default()
}

/// What stands between commas within the first brackets; brackets within those and quoted text are
/// whole. What follows no comma before the text ends is none.
fn pieces(text: &str) -> Option<Vec<&str>> {
    let (_, text) = text.split_once('(')?;
    let (mut pieces, mut from, mut depth, mut quote) = (Vec::new(), 0, 0_u32, None);
    for (at, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            (Some(open), _) => quote = quote.filter(|_| byte != open),
            (None, b'\'' | b'"' | b'`') => quote = Some(byte),
            (None, b'(') => depth += 1,
            (None, b')') if depth > 0 => depth -= 1,
            (None, b',' | b')') if depth == 0 => {
                pieces.extend(text.get(from..at));
                from = at + 1;
                if byte == b')' {
                    break;
                }
            }
            _ => {}
        }
    }
    Some(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UPSTREAM: &str = "CREATE TABLE peer (guid blob primary key not null, ID varchar(100) not \
        null, uuid blob not null, created_at datetime not null default(current_timestamp)) \
        without rowid";

    #[test]
    fn the_key_s_columns_come_first_in_an_index() {
        let named = ["created_at", "guid", "id", "nothing"];
        assert_eq!(places(UPSTREAM, &named, true).unwrap(), [Some(3), Some(0), Some(1), None]);
        let apart = "create table x (a text, [b c] text, 'd' text, primary key (d, \"b c\"))";
        let places = places(apart, &["a", "b c", "d"], true).unwrap();
        assert_eq!(places, [Some(2), Some(1), Some(0)]);
    }

    #[test]
    fn a_text_that_is_cut_short_is_not_understood() {
        assert_eq!(places("create table x", &["a"], false), None);
        assert_eq!(places("create table x (a text", &["a"], false), Some(vec![None]));
    }
}
