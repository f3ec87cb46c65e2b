//! Limits of address books; each refuses what goes beyond it with a sentence that people read.

use static_assertions::const_assert;

/// Address books of all users together, their own and those they share.
pub const BOOKS_MAX: usize = 512;
/// Users and groups that one book is shared with.
pub const BOOK_SHARES_MAX: usize = 64;
/// Tags of one book.
pub const BOOK_TAGS_MAX: usize = 256;
/// Longest name of a tag or a book, in bytes.
pub const BOOK_NAME_BYTES_MAX: usize = 128;
/// Longest note to a book, in bytes.
pub const BOOK_NOTE_BYTES_MAX: usize = 512;
/// Longest id in a book: longer than any that is dialled, as it may name a server, too.
pub const ENTRY_ID_BYTES_MAX: usize = 128;
/// Longest entry as it is stored: all that clients keep of a peer has some 300 bytes, its note not
/// counted.
pub const ENTRY_BYTES_MAX: usize = 2 * 1024;
/// What an entry costs beside its text: its place in the list, two counts, and what is lost around
/// allocations.
pub const ENTRY_BYTES_FIXED: usize = 48;
/// Longest body of a call that is about some entries or tags: of a few hundred ids.
pub const BOOK_CALL_BYTES_MAX: usize = 16 * 1024;
/// Longest text of entries that an operator gives at once.
pub const BOOK_IMPORT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Entries that an operator is given at once who asks for a part: they fit into
/// [`super::PAGE_ANSWER_BYTES_MAX`].
pub const BOOK_ROWS_MAX: usize = 100;
const_assert!(BOOK_ROWS_MAX * (ENTRY_BYTES_MAX + 2) < super::PAGE_ANSWER_BYTES_MAX);
/// Entries in one answer. Clients ask for 100.
pub const BOOK_PAGE_MAX: usize = 500;

/// A whole book for a client where no device of ours is: a frame of a connection.
pub const WHOLE_BYTES_OF_STRANGERS: usize = 56 * 1024;

/// What address books may take; [`BookLimits::of`] gives each board its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BookLimits {
    /// Entries of one book.
    pub entries: usize,
    /// Bytes of one book.
    pub book_bytes: usize,
    /// Bytes of all books together.
    pub all_bytes: usize,
    /// Bytes of a whole book, as clients that know one book want and send it: 1,000 entries in the
    /// memory of a connection. Clients that know several are not held to it.
    pub whole_bytes: usize,
}

impl BookLimits {
    /// A small router's: five entries for each of its peers.
    const SMALL_ROUTER: Self = Self {
        entries: 5_120,
        book_bytes: 1536 * 1024,
        all_bytes: 2 * 1024 * 1024,
        whole_bytes: 256 * 1024,
    };

    /// Those of a board with so many peers: a small router's, and in proportion from there on up to
    /// four times as much.
    pub const fn of(peers: usize) -> Self {
        let times = match peers / 1_024 {
            0 => 1,
            times @ 1..4 => times,
            _ => 4,
        };
        let small = Self::SMALL_ROUTER;
        Self {
            entries: small.entries * times,
            book_bytes: small.book_bytes * times,
            all_bytes: small.all_bytes * times,
            ..small
        }
    }
}

const_assert!(ENTRY_ID_BYTES_MAX + BOOK_NAME_BYTES_MAX < ENTRY_BYTES_MAX);
const_assert!(WHOLE_BYTES_OF_STRANGERS < super::FRAME_BYTES_MAX);
const_assert!(ENTRY_BYTES_MAX < BOOK_CALL_BYTES_MAX);
