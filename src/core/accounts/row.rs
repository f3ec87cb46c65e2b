//! The bytes of a row, and the rows of one kind as they are kept: users, tokens and groups are no
//! more than what is stored of them. A row is a version, then fields in the order of their numbers,
//! each with a length of four bytes before its contents. A field that is empty is left out; one
//! that is not known stays.

use alloc::string::String;
use alloc::vec::Vec;

use super::call::Changes;

/// The only version there is.
const VERSION: u8 = 1;

/// A row, as far as it is whole; one of a version that is not known has no fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row<'a>(pub(super) &'a [u8]);

impl<'a> Row<'a> {
    /// What a field holds; nothing if it is not there.
    pub(super) fn bytes(self, number: u8) -> &'a [u8] {
        self.fields().find(|(own, _)| *own == number).map_or(&[], |(_, contents)| contents)
    }

    /// The same, where it is text.
    pub(super) fn text(self, number: u8) -> &'a str {
        core::str::from_utf8(self.bytes(number)).unwrap_or_default()
    }

    /// The same, where it is a number of eight bytes.
    pub(super) fn number(self, number: u8) -> u64 {
        self.bytes(number).try_into().map_or(0, u64::from_le_bytes)
    }

    /// The row with other contents, shorter than 4 GiB, in a field.
    pub(super) fn with(self, number: u8, contents: &[u8]) -> Vec<u8> {
        let before = self.fields().filter(|(own, _)| *own < number);
        let after = self.fields().filter(|(own, _)| *own > number);
        let mut row = Vec::from([VERSION]);
        for (number, contents) in before.chain([(number, contents)]).chain(after) {
            if let Ok(len) = u32::try_from(contents.len())
                && len > 0
            {
                row.push(number);
                row.extend(len.to_le_bytes());
                row.extend(contents);
            }
        }
        row
    }

    fn fields(self) -> impl Iterator<Item = (u8, &'a [u8])> {
        let mut rest = self.0.strip_prefix(&[VERSION]).unwrap_or_default();
        core::iter::from_fn(move || {
            let (number, more) = rest.split_first()?;
            let (len, more) = more.split_first_chunk::<4>()?;
            let len = usize::try_from(u32::from_le_bytes(*len)).ok()?;
            let (contents, more) = more.split_at_checked(len)?;
            rest = more;
            Some((*number, contents))
        })
    }
}

/// A row of these fields.
pub(super) fn row(fields: &[(u8, &[u8])]) -> Vec<u8> {
    fields.iter().fold(Vec::new(), |row, (number, contents)| Row(&row).with(*number, contents))
}

/// Rows of one kind, in the order of their names.
pub(super) struct Rows {
    kind: u8,
    most: usize,
    rows: Vec<(String, Vec<u8>)>,
}

impl Rows {
    /// None yet, `most` at most. Their keys are the byte of their kind and their names.
    pub(super) const fn new(kind: u8, most: usize) -> Self {
        Self { kind, most, rows: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn get(&self, name: &str) -> Option<Row<'_>> {
        self.rows.get(self.place(name).ok()?).map(|(_, row)| Row(row))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, Row<'_>)> {
        self.rows.iter().map(|(name, row)| (&**name, Row(row)))
    }

    /// Puts a row under a name, in the place of what is there; None takes that away. False, and
    /// nothing is done, if it is one too many.
    pub(super) fn set(&mut self, name: &str, row: Option<Vec<u8>>) -> bool {
        match (self.place(name), row) {
            (Ok(at), Some(row)) => {
                if let Some((_, known)) = self.rows.get_mut(at) {
                    *known = row;
                }
            }
            (Ok(at), None) => drop(self.rows.remove(at)),
            (Err(_), Some(_)) if self.len() >= self.most => return false,
            (Err(at), Some(row)) => self.rows.insert(at, (name.into(), row)),
            (Err(_), None) => {}
        }
        true
    }

    /// The same, and what changes by it, if anything does.
    pub(super) fn put(&mut self, name: &str, row: Option<Vec<u8>>, changes: &mut Changes) -> bool {
        let before = self.get(name).map(|row| row.0.to_vec());
        let done = self.set(name, row.clone());
        if done && before != row {
            changes.put([&[self.kind], name.as_bytes()].concat(), before, row);
        }
        done
    }

    fn place(&self, name: &str) -> Result<usize, usize> {
        self.rows.binary_search_by(|(own, _)| (**own).cmp(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_back_as_far_as_they_are_whole() {
        let row = row(&[(9, &[7; 300]), (2, b""), (1, b"one")]);
        let read = |row: &[u8]| {
            Row(row).fields().map(|(number, it)| (number, it.len())).collect::<Vec<_>>()
        };
        assert_eq!(read(&row), [(1, 3), (9, 300)]);
        assert_eq!(read(&row[..row.len() - 1]), [(1, 3)]);
        assert_eq!(read(&[]), []);
        assert_eq!(read(&[2, 1, 0, 0, 0, 0]), []);
        assert_eq!(read(&Row(&row).with(1, b"")), [(9, 300)]);
        assert_eq!(read(&Row(&row).with(9, b"four")), [(1, 3), (9, 4)]);
        assert_eq!((Row(&row).text(1), Row(&row).text(2), Row(&row).number(9)), ("one", "", 0));
    }

    #[test]
    fn rows_are_kept_by_name_up_to_their_bound() {
        let (mut rows, mut changes) = (Rows::new(b'x', 2), Changes::default());
        assert!(rows.put("b", Some([2].into()), &mut changes));
        assert!(rows.put("a", Some([1].into()), &mut changes));
        assert!(!rows.put("c", Some([3].into()), &mut changes), "one too many");
        assert!(rows.put("b", Some([4].into()), &mut changes));
        assert!(rows.iter().eq([("a", Row(&[1])), ("b", Row(&[4]))]));
        assert!(rows.put("a", None, &mut changes) && rows.set("a", None));
        assert_eq!((rows.len(), rows.get("a"), rows.get("b")), (1, None, Some(Row(&[4]))));
        let keys: Vec<_> = changes.rows.iter().map(|row| &*row.key).collect();
        assert_eq!(keys, [b"xb", b"xa", b"xb", b"xa"]);
        let before: Vec<_> = changes.before.iter().map(|row| row.value.as_deref()).collect();
        assert_eq!(before, [None, None, Some(&[2][..]), Some(&[1])]);
    }
}
