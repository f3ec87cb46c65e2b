//! Where a table's columns stand in its rows, from the text that made the table.

/// The place of each of `named` in a row; in an index's tree the primary key's columns come first.
/// None for a text that is not understood.
pub(super) fn places(sql: &str, named: &[&str], index: bool) -> Option<Vec<Option<usize>>> {
    let (_, inside) = sql.split_once('(')?;
    let (mut own, mut key) = (Vec::new(), Vec::new());
    for piece in pieces(inside) {
        let first = name(piece)?;
        let is = |word: &str| first.eq_ignore_ascii_case(word);
        let lower = piece.to_ascii_lowercase();
        let primary = lower.split_whitespace().any(|word| word.starts_with("primary"));
        if is("primary") || is("constraint") {
            if primary {
                key.clear();
                for piece in pieces(lower.split_once('(')?.1) {
                    key.push(name(piece).unwrap_or_default().to_ascii_lowercase());
                }
            }
        } else if !["unique", "check", "foreign"].into_iter().any(is) {
            own.push(first.to_ascii_lowercase());
            if primary {
                key.push(first.to_ascii_lowercase());
            }
        }
    }
    if index {
        own.retain(|name| !key.contains(name));
        key.append(&mut own);
        own = key;
    }
    let mut places = Vec::new();
    for name in named {
        places.push(own.iter().position(|own| own.eq_ignore_ascii_case(name)));
    }
    Some(places)
}

/// The first word, without quotes.
fn name(piece: &str) -> Option<&str> {
    let piece = piece.trim_start();
    let end = match piece.chars().next()? {
        '[' => ']',
        quote @ ('"' | '`' | '\'') => quote,
        _ => return piece.split(|c: char| c.is_whitespace() || c == '(').next(),
    };
    piece.split(['[', end]).nth(1)
}

/// What stands between commas up to the closing bracket; brackets within and quoted text are
/// whole.
fn pieces(text: &str) -> Vec<&str> {
    let (mut pieces, mut from, mut depth, mut quote) = (Vec::new(), 0, 0_u32, None);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), _) => quote = quote.filter(|_| c != open),
            (None, '\'' | '"' | '`') => quote = Some(c),
            (None, '(') => depth += 1,
            (None, ')') if depth > 0 => depth -= 1,
            (None, ',') if depth > 0 => {}
            (None, ',' | ')') => {
                pieces.extend(text.get(from..at));
                from = at + 1;
            }
            _ => continue,
        }
        if c == ')' && from > at {
            break;
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    const UPSTREAM: &str = "CREATE TABLE peer (guid blob primary key not null, id varchar(100) not \
        null, uuid blob not null, created_at datetime not null default(current_timestamp)) \
        without rowid";

    #[test]
    fn the_key_s_columns_come_first_in_an_index() {
        let named = ["created_at", "guid", "ID", "nothing"];
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
