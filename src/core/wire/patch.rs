//! Changes single fields of a message that only passes through, so that a newer client's extra
//! fields survive (prost would drop them) and confidential ones do not (C55). Protobuf wire
//! format, <https://protobuf.dev/programming-guides/encoding>. It must not know any message.

use alloc::vec::Vec;

/// A tag and a length, of what we write.
const HEADER_BYTES_MAX: usize = 10;

/// One field of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its number, 1 to 2^29 - 1.
    pub number: u32,
    /// Its contents if it is length-delimited (string, bytes, message).
    pub contents: Option<&'a [u8]>,
    /// The whole field with its tag.
    pub whole: &'a [u8],
}

impl Field<'_> {
    /// Its number if it is a varint; 0 for what is none.
    pub fn value(&self) -> u64 {
        let value = varint(self.whole).and_then(|(_, rest)| varint(rest));
        value.filter(|_| self.contents.is_none()).map_or(0, |(value, _)| value)
    }
}

/// Walks the fields of a message; ends early at the first byte that is no field.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// The fields of `message`.
    pub const fn new(message: &'a [u8]) -> Self {
        Self(message)
    }

    /// What is left to walk.
    pub const fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// Whether the rest is well-formed to its end.
    pub fn is_complete(mut self) -> bool {
        while self.next().is_some() {}
        self.0.is_empty()
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        let (tag, after_tag) = varint(self.0)?;
        let number = u32::try_from(tag >> 3).ok().filter(|n| (1..1 << 29).contains(n))?;
        let (contents, rest) = match tag & 7 {
            0 => (None, varint(after_tag)?.1),
            1 => (None, after_tag.get(8..)?),
            2 => {
                let (len, body) = varint(after_tag)?;
                let len = usize::try_from(len).ok()?;
                (Some(body.get(..len)?), body.get(len..)?)
            }
            5 => (None, after_tag.get(4..)?),
            _ => return None,
        };
        let whole = self.0.get(..self.0.len() - rest.len())?;
        self.0 = rest;
        Some(Field { number, contents, whole })
    }
}

/// The contents of the last length-delimited field that is one of `numbers`.
pub fn last_member(
    message: &[u8],
    numbers: core::ops::RangeInclusive<u32>,
) -> Option<(u32, &[u8])> {
    Fields::new(message)
        .filter(|field| numbers.contains(&field.number))
        .filter_map(|field| Some((field.number, field.contents?)))
        .last()
}

/// `last_member` of a message that is well-formed to its end; None of any other.
pub fn member_of_whole(
    message: &[u8],
    numbers: core::ops::RangeInclusive<u32>,
) -> Option<(u32, &[u8])> {
    let (mut fields, mut last) = (Fields::new(message), None);
    for field in fields.by_ref().filter(|field| numbers.contains(&field.number)) {
        last = field.contents.map(|contents| (field.number, contents)).or(last);
    }
    last.filter(|_| fields.rest().is_empty())
}

/// Copies every field of `message` whose number is not in `drop`.
pub fn copy_without(message: &[u8], drop: &[u32]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 128);
    for field in Fields::new(message) {
        if !drop.contains(&field.number) {
            out.extend_from_slice(field.whole);
        }
    }
    out
}

/// Appends a length-delimited field.
pub fn append(out: &mut Vec<u8>, number: u32, contents: &[u8]) {
    append_header(out, number, contents.len());
    out.extend_from_slice(contents);
}

/// Appends what stands before so many bytes of a length-delimited field, and makes room for those.
pub fn append_header(out: &mut Vec<u8>, number: u32, len: usize) {
    out.reserve(len + HEADER_BYTES_MAX);
    append_varint(out, u64::from(number) << 3 | 2);
    append_varint(out, len as u64);
}

fn append_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push((value & 0x7f) as u8);
}

/// A varint of at most 10 bytes and what follows it.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    // Most are one byte.
    if let Some((byte @ 0..0x80, rest)) = bytes.split_first() {
        return Some(((*byte).into(), rest));
    }
    let mut value = 0_u64;
    for (index, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f).checked_shl(7 * u32::try_from(index).ok()?).unwrap_or(0);
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(index + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    #[test]
    fn stops_at_what_is_no_field() {
        for bad in [&[0x0a, 5, 1][..], &[0x00], &[0x0b], &[0x80; 12], &[0x0d, 1, 2, 3], &[0x09, 1]]
        {
            assert_eq!(Fields::new(bad).next(), None, "{bad:?}");
            assert!(!Fields::new(bad).is_complete(), "{bad:?}");
        }
        assert!(Fields::new(&[]).is_complete());
    }

    #[test]
    fn unknown_fields_of_every_wire_type_survive_and_dropped_ones_do_not() {
        let mut message = vec![0x50, 0x96, 0x01];
        message.extend([0x99, 0x06, 1, 2, 3, 4, 5, 6, 7, 8]);
        append(&mut message, 8, b"secret");
        append(&mut message, 4000, b"newer");
        message.extend([0xad, 0x06, 1, 2, 3, 4]);
        assert!(Fields::new(&message).is_complete());
        let copy = copy_without(&message, &[8]);
        assert_eq!(Fields::new(&copy).map(|f| f.number).collect::<Vec<_>>(), [10, 99, 4000, 101]);
        assert!(!copy.windows(6).any(|bytes| bytes == b"secret"));
    }
}
