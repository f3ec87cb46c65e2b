//! Entries of an address book from whoever runs `ctl`: all of stdin, a table or JSON. C178;
//! tests/api.

use std::io::{ErrorKind, IsTerminal as _};

use rustix::stdio;

use super::super::exit::Exit;
use crate::file::{read_rest, stdin};
use hbb_core::base::limits::BOOK_IMPORT_BYTES_MAX;

/// Reads them; what they are is for the server to say.
pub(super) fn entries() -> Result<String, Exit> {
    if stdio::stdin().is_terminal() {
        return Err(Exit::flags("Give it the entries: hbb ctl book import BOOK < FILE"));
    }
    let read = stdin().and_then(|from| read_rest(from, BOOK_IMPORT_BYTES_MAX as u64));
    read.map_err(|cause| match cause.kind() {
        ErrorKind::FileTooLarge => Exit::flags("These are more than 4 MiB: give them in parts."),
        _ => Exit::flags(format!("Cannot read the entries: {cause}")),
    })
}
