//! One row: its values, as SQLite packs them.

use super::number::varint;

/// A value, still in its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// None, or a number that is not whole.
    Null,
    /// A whole number.
    Integer(i64),
    /// Bytes.
    Blob(&'a [u8]),
    /// What should be UTF-8.
    Text(&'a [u8]),
}

impl<'a> Value<'a> {
    /// The bytes of a blob or text; none of anything else.
    pub const fn bytes(self) -> &'a [u8] {
        match self {
            Self::Blob(bytes) | Self::Text(bytes) => bytes,
            Self::Null | Self::Integer(_) => &[],
        }
    }

    /// A text that is UTF-8.
    pub fn as_text(self) -> Option<&'a str> {
        match self {
            Self::Text(bytes) => core::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// Whether it is this text; case is not told apart.
    pub(super) fn is_text(self, text: &str) -> bool {
        matches!(self, Self::Text(own) if own.eq_ignore_ascii_case(text.as_bytes()))
    }

    /// The number of a page.
    pub(super) fn as_page(self) -> Option<u32> {
        match self {
            Self::Integer(number) => u32::try_from(number).ok(),
            _ => None,
        }
    }
}

/// Takes the row apart and says how many values it has, or as many as fit; None if it is damaged.
pub(super) fn values<'a>(row: &'a [u8], values: &mut [Value<'a>]) -> Option<usize> {
    let (header_bytes, kinds) = varint(row)?;
    let header_bytes = usize::try_from(header_bytes).ok()?;
    let (_, mut content) = row.split_at_checked(header_bytes)?;
    let mut kinds = kinds.get(..header_bytes.checked_sub(row.len() - kinds.len())?)?;
    let mut count = 0;
    for value in values {
        if kinds.is_empty() {
            break;
        }
        let (kind, rest) = varint(kinds)?;
        let bytes;
        (bytes, content) = content.split_at_checked(usize::try_from(length(kind)?).ok()?)?;
        *value = match kind {
            0 | 7 => Value::Null,
            1..=6 => Value::Integer(integer(bytes)),
            8 => Value::Integer(0),
            9 => Value::Integer(1),
            _ if kind % 2 == 0 => Value::Blob(bytes),
            _ => Value::Text(bytes),
        };
        kinds = rest;
        count += 1;
    }
    Some(count)
}

/// How many bytes a value of this kind has; None for kinds that SQLite keeps to itself.
const fn length(kind: u64) -> Option<u64> {
    match kind {
        0 | 8 | 9 => Some(0),
        1..=4 => Some(kind),
        5 => Some(6),
        6 | 7 => Some(8),
        10 | 11 => None,
        _ => Some((kind - 12) / 2),
    }
}

/// The highest byte comes first and has the sign.
fn integer(bytes: &[u8]) -> i64 {
    let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    let start: i64 = if negative { -1 } else { 0 };
    bytes.iter().fold(start, |number, byte| number << 8 | i64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_have_a_sign() {
        assert_eq!(integer(&[0xff]), -1);
        assert_eq!(integer(&[0x80, 0]), -32768);
        assert_eq!(integer(&[1, 0, 0]), 65536);
    }

    #[test]
    fn a_row_ends_where_it_says() {
        let mut out = [Value::Null; 3];
        assert_eq!(values(&[4, 1, 17, 14, 5, b'a', b'b', 9], &mut out), Some(3));
        assert_eq!(out, [Value::Integer(5), Value::Text(b"ab"), Value::Blob(&[9])]);
        assert_eq!(values(&[4, 1, 17, 14, 5, b'a', b'b'], &mut out), None, "a byte short");
        assert_eq!(values(&[2, 10], &mut out), None, "a kind that is none");
        assert_eq!(values(&[0], &mut out), None, "a header that does not hold its own length");
    }
}
