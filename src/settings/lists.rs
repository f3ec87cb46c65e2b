//! The lists in the data directory: who gets the limited rate, whom the relay refuses, who is shut
//! out. Checks: C71 and C72 in tests/conformance, tests/ctl.rs.

use std::io::{self, ErrorKind};
use std::path::Path;

use hbb_core::base::address::{Banned, Bans, Network};
use hbb_core::relay::SourceLists;

use crate::file::{read_text, replace};
use log::warn;

/// Addresses whose sessions get the limited rate.
const BLACKLIST_FILE: &str = "blacklist.txt";
/// Addresses the relay refuses.
const BLOCKLIST_FILE: &str = "blocklist.txt";
/// Longest list in bytes and lines: every leg is compared with all of it.
const LIST_BYTES_MAX: u64 = 64 * 1024;
const LIST_LINES_MAX: usize = 1024;

/// Who is shut out; `hbb ctl` writes it, and whoever wants to may.
pub const BANNED_FILE: &str = "banned.txt";

/// Who may read what we write of them: owner and group.
const MODE: u32 = 0o640;

/// The relay's two lists.
pub(super) fn read_lists(data: &Path) -> SourceLists {
    let read = |file| list(data, file, Network::parse);
    SourceLists { black: read(BLACKLIST_FILE), block: read(BLOCKLIST_FILE) }
}

/// Who is shut out according to the file.
pub(super) fn read_bans(data: &Path) -> Bans {
    let mut bans = Bans::default();
    for banned in list(data, BANNED_FILE, Banned::parse) {
        // A list has no more lines than there is room.
        let _ = bans.add(banned);
    }
    bans
}

/// Writes who is shut out.
pub(super) fn write_bans(data: &Path, bans: &Bans) -> io::Result<()> {
    let mut text = String::from("# Who is shut out: ids, addresses, networks; one a line.\n");
    for banned in bans.iter() {
        text.push_str(&[&banned.to_string(), "\n"].concat());
    }
    replace(&data.join(BANNED_FILE), MODE, &text)
}

/// What a file of the data directory names, one a line; what stands behind a blank is a comment,
/// as upstream has it. No file, nothing.
fn list<T>(data: &Path, file: &str, parse: fn(&str) -> Option<T>) -> Vec<T> {
    let text = match read_text(&data.join(file), LIST_BYTES_MAX) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Vec::new(),
        Err(cause) => {
            warn!("list-ignored file={file} cause='{cause}'");
            return Vec::new();
        }
    };
    let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    let entries = lines.filter_map(|(line, number)| {
        let entry = parse(line.split_whitespace().next().filter(|word| !word.starts_with('#'))?);
        if entry.is_none() {
            warn!("list-line-ignored file={file} line={number} help='an address or a network'");
        }
        entry
    });
    entries.take(LIST_LINES_MAX).collect()
}
