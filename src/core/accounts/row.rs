//! The bytes of a row: a version, then fields, each a number, a length of four bytes and its
//! contents. A field that is empty is left out; one that is not known is passed over.

use alloc::vec::Vec;

/// The only version there is.
const VERSION: u8 = 1;

/// Writes a row.
pub(super) struct RowWriter(Vec<u8>);

impl RowWriter {
    pub(super) fn new() -> Self {
        Self(Vec::from([VERSION]))
    }

    /// Adds a field, shorter than 4 GiB.
    pub(super) fn field(&mut self, number: u8, contents: &[u8]) {
        if let Ok(len) = u32::try_from(contents.len())
            && len > 0
        {
            self.0.push(number);
            self.0.extend(len.to_le_bytes());
            self.0.extend(contents);
        }
    }

    pub(super) fn end(self) -> Vec<u8> {
        self.0
    }
}

/// The fields of a row, up to where it is broken off; none of a version that is not known.
pub(super) fn fields(row: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = row.strip_prefix(&[VERSION]).unwrap_or_default();
    core::iter::from_fn(move || {
        let (number, more) = rest.split_first()?;
        let (len, more) = more.split_first_chunk::<4>()?;
        let (contents, more) =
            more.split_at_checked(usize::try_from(u32::from_le_bytes(*len)).ok()?)?;
        rest = more;
        Some((*number, contents))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_back_as_far_as_they_are_whole() {
        let mut row = RowWriter::new();
        row.field(1, b"one");
        row.field(2, b"");
        row.field(9, &[7; 300]);
        let row = row.end();
        let read =
            |row: &[u8]| fields(row).map(|(number, it)| (number, it.len())).collect::<Vec<_>>();
        assert_eq!(read(&row), [(1, 3), (9, 300)]);
        assert_eq!(read(&row[..row.len() - 1]), [(1, 3)]);
        assert_eq!(read(&[]), []);
        assert_eq!(read(&[2, 1, 0, 0, 0, 0]), []);
    }
}
