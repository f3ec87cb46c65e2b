//! Entries of an address book from whoever runs `ctl`: all of stdin, a table or JSON. C178;
//! tests/api.

use std::io::{self, IsTerminal as _, Read as _};

use super::super::exit::Exit;
use hbb_core::base::limits::BOOK_IMPORT_BYTES_MAX;

/// Reads them; what they are is for the server to say.
pub(super) fn entries() -> Result<String, Exit> {
    if io::stdin().is_terminal() {
        return Err(Exit::flags("Give it the entries: hbb ctl book import BOOK < FILE"));
    }
    let (mut text, most) = (String::new(), BOOK_IMPORT_BYTES_MAX as u64);
    let read = io::stdin().lock().take(most + 1).read_to_string(&mut text);
    let read = read.map_err(|cause| Exit::flags(format!("Cannot read the entries: {cause}")))?;
    if read > BOOK_IMPORT_BYTES_MAX {
        return Err(Exit::flags("These are more than 4 MiB: give them in parts."));
    }
    Ok(text)
}
