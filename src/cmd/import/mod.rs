//! `import`: takes over devices from upstream's database, its rows as JSON, or the lines that
//! `export --peers` prints. All is read before anything is written, and the store changes at once
//! or not at all. Checks: tests/import/main.rs.

mod found;
mod json;

use std::fs::{self, File};
use std::io::{self, BufReader, ErrorKind, IsTerminal as _, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::stdio;

use found::{COLUMNS, Found, TOO_MANY, USER};

use super::backup;
use super::exit::{Exit, print, say_at_terminal};
use super::store::{self, Filling, IMPORTED_FILE, STORE_FILE};
use crate::cli::ImportFlags;
use crate::file::{
    beside, draft_of, followed, give_to_owner, open_file, read_line, stdin, sync_folder,
};
use crate::sqlite::{self, Bytes, Database, MAGIC, Row, Value};
use crate::store as stores;
use hbb_core::base::limits::Limits;
use hbb_core::base::peer::Change;

/// Longest text: a full table's rows have some 300 bytes each.
const TEXT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Pages between two lines of progress.
const PROGRESS_PAGES: u32 = 4096;
/// At once, of a store that is copied.
const COPIED_BYTES: usize = 64 * 1024;
/// Upstream's table.
const TABLE: &str = "peer";

/// `hbb import`.
pub(super) fn run(flags: &ImportFlags) -> Result<(), Exit> {
    let (replace, fate) = match flags.merge.as_deref() {
        None | Some("keep") => (false, "kept as they are here, unless with --merge replace"),
        Some("replace") => (true, "replaced"),
        Some(other) => return Err(Exit::must_be("--merge", other, "keep or replace")),
    };
    let data = Path::new(flags.data.as_deref().unwrap_or("."));
    let path = data.join(STORE_FILE);
    let unusable = |error| store::exit(&path, error);
    fs::metadata(data).map_err(|error| unusable(error.into()))?;
    let mut found = Found::default();
    read(flags.file.as_deref(), &mut found)?;
    let _alone = store::alone_in(data)?;
    backup::finish(data)?;
    // Held, so that no server starts meanwhile.
    let mut here = store::read_there(&path).map_err(unusable)?;
    let compared = found.compare(&mut here, replace);
    let [before, new, same, other] = compared.map_err(unusable)?;
    let file = flags.file.as_deref().unwrap_or("stdin");
    let mut text = format!(
        "From {file}: {new} new devices, {same} known here already, {other} known here as other \
         devices ({fate}){found}.\n"
    );
    if found.is_cut_short {
        text += "The log beside it ends with a write that was cut short, or is damaged there: what \
                 comes after its last whole write is not here, nor would SQLite read it.\n";
    }
    if found.lacks_log {
        text += "No -wal is beside it, in which a server that was killed leaves most of its \
                 devices: if there was one, copy that too, and import again.\n";
    }
    if !found.is_wanted.contains(&true) {
        text += "There is nothing to write.\n";
    } else if flags.dry_run {
        text += "Nothing was written: this was a dry run.\n";
    } else {
        replace_store(&path, here.is_some(), &mut found)?;
        let all = before + new;
        text += &format!("{} has {all} devices now, {before} before.", path.display());
        if all > Limits::default().peers {
            text += &format!(" Start the server with --max-peers of at least {all}.");
        }
        text.push('\n');
    }
    if found.is_database && !flags.dry_run {
        // Without it `serve` points at the database for good: it only says too much.
        let imported = path.with_file_name(IMPORTED_FILE);
        drop(File::create_new(&imported));
        give_to_owner(&imported);
    }
    print(&text)
}

/// Puts them into a copy of the store, which takes its place; what was there gets another name. If
/// none was there to be held, no server has made one meanwhile.
fn replace_store(path: &Path, is_held: bool, found: &mut Found) -> Result<(), Exit> {
    let draft = draft_of(path);
    drop(fs::remove_file(&draft));
    let written = copy(path, &draft).map_err(stores::Error::from).and_then(|()| {
        let mut filling = Filling::open(&draft)?;
        let mut is_wanted = found.is_wanted.iter();
        for record in core::mem::take(&mut found.records) {
            if is_wanted.next() == Some(&true) {
                filling.put(Change::Put(record))?;
            }
        }
        filling.end()?;
        if !is_held && path.exists() {
            return Err(stores::Error::InUse);
        }
        give_to_owner(&draft);
        keep(path)?;
        fs::rename(&draft, path)?;
        Ok(sync_folder(path)?)
    });
    written.map_err(|error| {
        drop(fs::remove_file(&draft));
        let path = path.display();
        Exit::running(format!("Cannot write {path}: {error}. The store is as it was."))
    })
}

/// Gives the store that is there, if one is, the name under which it stays. There is none at no
/// moment: a start would make an empty one then, with each ID for whoever comes first.
fn keep(path: &Path) -> io::Result<()> {
    let before = beside(path, ".before-import");
    let _ = fs::remove_file(&before);
    match fs::hard_link(path, &before) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        // A file system without links has a copy of it.
        linked => linked.or_else(|_| copy(path, &before)),
    }
}

/// Copies a file, if it is there. std's has 2 KB for all that Linux can do to be fast.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut from = match File::open(from) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let mode = from.metadata()?.mode();
    let mut to = File::options().write(true).create_new(true).mode(mode).open(to)?;
    let mut buffer = vec![0; COPIED_BYTES];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(()),
            length => to.write_all(buffer.get(..length).unwrap_or_default())?,
        }
    }
}

/// Reads the file of that name, or what comes in, and adds it to `found`.
fn read(name: Option<&str>, found: &mut Found) -> Result<(), Exit> {
    let name = name.filter(|name| *name != "-");
    let unread = |why: &str| {
        let name = name.unwrap_or("stdin");
        Exit::flags(format!(
            "Cannot read {name}: {why}. Give db_v2.sqlite3, JSON of its table, or lines of 'hbb \
             export --peers'. Nothing was written."
        ))
    };
    let opened = match name {
        Some(name) => open_file(Path::new(name)),
        None if stdio::stdin().is_terminal() => {
            return Err(Exit::flags("Name the file: see 'hbb import --help'"));
        }
        None => stdin(),
    };
    let file = opened.map_err(|error| unread(&error.to_string()))?;
    let mut start = [0; MAGIC.len()];
    match name {
        // What is in a pipe has no place that could be read twice.
        Some(name) if file.fill(&mut start, 0).is_ok() && start == *MAGIC => {
            database(Path::new(name), &file, found).map_err(|error| {
                Exit::unusable(format!(
                    "Cannot read {name}: {error}. It was not changed, and nothing was written."
                ))
            })
        }
        _ => text(file, found).map_err(|why| unread(&why)),
    }
}

/// Upstream's database. While that server runs, what is read here and there may not fit.
fn database(path: &Path, file: &File, found: &mut Found) -> Result<(), sqlite::Error> {
    // What belongs to a database stands beside what a link leads to.
    let path = &followed(path);
    let log = match open_file(&beside(path, "-wal")) {
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Ok(log) => Some(log),
        Err(_) => return Err(sqlite::Error::Unread(&"the -wal beside it cannot be opened")),
    };
    if fs::metadata(beside(path, "-journal")).is_ok_and(|told| told.len() > 0) {
        return Err(sqlite::Error::Unread(
            &"a write to it was cut short: open it once with SQLite, which mends that",
        ));
    }
    let state = || {
        let of_log = log.as_ref().and_then(|log| store::last_change(log).ok());
        (store::last_change(file).ok(), of_log)
    };
    let at_first = state();
    let database = Database::new(file, log.as_ref().map(|log| log as &dyn Bytes))?;
    (found.is_database, found.is_cut_short) = (true, database.is_cut_short());
    found.lacks_log = database.lacks_log();
    let mut told = 0;
    let walked = database.rows(TABLE, &COLUMNS, &mut |row, pages| {
        if pages / PROGRESS_PAGES > told {
            told = pages / PROGRESS_PAGES;
            progress(found.records.len(), pages, database.pages());
        }
        found.take_row(columns(row)).ok_or(sqlite::Error::Unread(&TOO_MANY))
    });
    if state() != at_first {
        return Err(sqlite::Error::Unread(&"it changed meanwhile: stop that server first"));
    }
    match walked {
        Err(sqlite::Error::NoTable) if found.lacks_log => Err(sqlite::Error::Unread(
            &"it has no such table, and no -wal is beside it, in which most of it may stand: copy \
             that, too",
        )),
        walked => walked,
    }
}

/// The bytes in the columns; of whole numbers only what a status may say.
fn columns<'a>(row: &Row<'a>) -> [&'a [u8]; COLUMNS.len()] {
    let mut columns = [&b""[..]; COLUMNS.len()];
    for (number, column) in columns.iter_mut().enumerate() {
        *column = match row.value(number) {
            Value::Integer(value) if value != 0 && number >= USER => b"1",
            value => value.bytes(),
        };
    }
    columns
}

fn progress(devices: usize, pages: u32, of: u32) {
    say_at_terminal(&[&format!("{devices} devices, page {pages} of {of}")]);
}

/// JSON or lines, told apart by how they begin. Lines are not held: a full table's are 18 MB.
fn text(from: File, found: &mut Found) -> Result<(), String> {
    let mut text = Text { from: BufReader::new(from), bytes: Vec::new(), left: TEXT_BYTES_MAX };
    let mut number = 0_u32;
    while text.next()? {
        let line = text.told()?.trim_end();
        if number == 0 && line.starts_with('[') {
            while text.next()? {}
            json::rows(text.told()?, found)?;
        } else if number > 0 || !line.is_empty() {
            number += 1;
            match stores::parse(line) {
                Ok(None) => {}
                Ok(Some(record)) => found.take(record).ok_or(TOO_MANY)?,
                Err(_) => return Err(format!("line {number} is not as it should be")),
            }
        }
        text.bytes.clear();
    }
    if text.left == 0 { Err("it is far too long".into()) } else { Ok(()) }
}

/// A text, and what was read of it.
struct Text {
    from: BufReader<File>,
    bytes: Vec<u8>,
    left: u64,
}

impl Text {
    /// Adds a line, if there is one more.
    fn next(&mut self) -> Result<bool, String> {
        let read = read_line(&mut self.from, self.left, &mut self.bytes);
        let read = read.map_err(|error| error.to_string())? as u64;
        self.left -= read;
        Ok(read > 0)
    }

    /// What was read, without what Windows may put in front of a text.
    fn told(&self) -> Result<&str, &'static str> {
        let text = core::str::from_utf8(&self.bytes)
            .map_err(|_| "it is no SQLite database, and no text")?;
        Ok(text.strip_prefix('\u{feff}').unwrap_or(text).trim_start())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_copied_whole_and_for_its_owner_alone() {
        let folder = std::env::temp_dir().join(format!("hbb-copied-{}", std::process::id()));
        drop(fs::remove_dir_all(&folder));
        fs::create_dir(&folder).unwrap();
        let (from, to) = (folder.join("from"), folder.join("to"));
        let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(2 * COPIED_BYTES + 7).collect();
        let made = File::options().write(true).create_new(true).mode(0o600).open(&from);
        made.unwrap().write_all(&bytes).unwrap();
        copy(&from, &to).unwrap();
        assert!(fs::read(&to).unwrap() == bytes);
        assert_eq!(fs::metadata(&to).unwrap().mode() & 0o777, 0o600);
        assert_eq!(copy(&from, &to).unwrap_err().kind(), ErrorKind::AlreadyExists);
        fs::remove_dir_all(folder).unwrap();
    }
}
