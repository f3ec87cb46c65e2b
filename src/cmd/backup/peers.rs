//! The devices of a server as lines, one after the other: from the store, or, while a server has
//! that, from it. There are too many to hold at once on a small router.

use std::io::{self, BufReader, ErrorKind};
use std::path::{Path, PathBuf};

use super::super::ctl;
use super::super::exit::Exit;
use super::super::store::{self, STORE_FILE};
use super::form::LINE_BYTES_MAX;
use crate::config::Config;
use crate::file::read_line;
use crate::net::control::{LIST_END, LIST_KEY, LIST_WORD};
use crate::store as stores;

/// Gives the line of each device, of those that an operator forgot, too, to `each`, all of one
/// moment; then those of rows that belong to none. None if there is no store and so no server that
/// has one; else the public key of the server that was asked, if one was and it has one.
pub(in crate::cmd) fn each(
    config: &Config,
    each: &mut dyn FnMut(&str) -> Result<(), Exit>,
) -> Result<Option<Option<String>>, Exit> {
    let path = config.data.join(STORE_FILE);
    let unusable = |error| store::exit(&path, error);
    let mut opened = match store::read_there(&path) {
        Ok(Some(opened)) => opened,
        Ok(None) => return Ok(None),
        Err(stores::Error::InUse) => return of_server(&socket(config), each).map(Some),
        Err(error) => return Err(unusable(error)),
    };
    let mut given = Ok(());
    let mut give = |line: &str| {
        if given.is_ok() {
            given = each(line);
        }
    };
    opened.load(&mut |record| give(&stores::line(&record))).map_err(unusable)?;
    #[cfg(feature = "accounts")]
    opened.rows(&mut |key, value| give(&stores::row_line(key, value))).map_err(unusable)?;
    given.map(|()| Some(None))
}

/// The socket of the settings, or that of a package.
fn socket(config: &Config) -> PathBuf {
    let mut usual = ctl::USUAL.iter().filter(|path| Path::new(path).exists());
    match usual.next().filter(|_| !config.control.exists()) {
        Some(path) => path.into(),
        None => config.control.clone(),
    }
}

fn of_server(
    path: &Path,
    each: &mut dyn FnMut(&str) -> Result<(), Exit>,
) -> Result<Option<String>, Exit> {
    let server = ctl::ask(path, (&["text ", LIST_WORD, "\n"].concat(), false), false)?;
    let broken = |cause: io::Error| ctl::silent(path, &cause);
    let (mut answer, mut bytes, mut key) = (BufReader::new(server), Vec::new(), None);
    loop {
        bytes.clear();
        let read = read_line(&mut answer, LINE_BYTES_MAX, &mut bytes).map_err(broken)?;
        let line = str::from_utf8(&bytes).ok().filter(|_| read > 0);
        match line.ok_or_else(|| broken(ErrorKind::UnexpectedEof.into()))? {
            LIST_END => return Ok(key),
            line => match line.strip_prefix(LIST_KEY) {
                Some(text) => key = Some(text.trim_end().into()),
                None => each(line)?,
            },
        }
    }
}
