//! `import`: takes over devices from upstream's database, its rows as JSON, or the lines that
//! `export --peers` prints. All is read before anything is written, and the store changes at once
//! or not at all. Checks: tests/import/main.rs.

mod found;
mod json;

use core::fmt;
use std::fs::{self, File};
use std::io::{self, BufReader, ErrorKind, IsTerminal as _, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::stdio;

use found::{Found, LeftOut};

use super::exit::{Exit, print};
use super::store::{self, IMPORTED_FILE, STORE_FILE};
use crate::cli::ImportFlags;
use crate::file::{draft_of, open_file, read_line, stdin, sync_folder};
use crate::sqlite::{self, Bytes, Database, Value};
use crate::store as stores;
use hbb_core::base::limits::{BATCH_MAX, Limits, PEERS_CEILING};
use hbb_core::base::peer::{Change, Record};

/// Longest text: a full table's rows have some 300 bytes each.
const TEXT_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Pages between two lines of progress.
const PROGRESS_PAGES: u32 = 4096;
/// At once, of a store that is copied.
const COPIED_BYTES: usize = 64 * 1024;
/// How an SQLite database begins.
const SQLITE: &[u8] = b"SQLite format 3\0";
/// Upstream's table, and what of it is read; of the last three no more than whether they are there.
const TABLE: &str = "peer";
const COLUMNS: [&str; 8] = ["id", "uuid", "pk", "created_at", "info", "user", "status", "note"];

/// What a file holds for us.
#[derive(Default)]
struct Read {
    /// By id once all is read, each once.
    records: Vec<Record>,
    left_out: LeftOut,
    is_cut_short: bool,
    is_database: bool,
}

impl Read {
    fn take_found(&mut self, found: &Found<'_>) -> Result<(), Exit> {
        match found.record() {
            Ok(record) => {
                self.left_out.more += usize::from(found.has_more);
                self.take(record)
            }
            Err(lack) => {
                self.left_out.count(lack);
                Ok(())
            }
        }
    }

    /// Takes a device; fails when there are more than a server ever has.
    fn take(&mut self, record: Record) -> Result<(), Exit> {
        self.records.push(record);
        if self.records.len() > PEERS_CEILING {
            return Err(Exit::flags(format!(
                "There are more than {PEERS_CEILING} devices in it, which is more than one server \
                 has. Nothing was written."
            )));
        }
        Ok(())
    }
}

impl Read {
    /// Puts them in order; of several of one id the last counts.
    fn order(&mut self) {
        self.records.sort_by(|one, other| one.id.cmp(&other.id));
        let before = self.records.len();
        self.records.dedup_by(|later, kept| {
            let is_same = later.id == kept.id;
            if is_same {
                core::mem::swap(later, kept);
            }
            is_same
        });
        self.left_out.twice = before - self.records.len();
    }
}

/// `hbb import`.
pub(super) fn run(flags: &ImportFlags) -> Result<(), Exit> {
    let replace = match flags.merge.as_deref() {
        None | Some("keep") => false,
        Some("replace") => true,
        Some(other) => {
            return Err(Exit::flags(format!("--merge '{other}': must be keep or replace")));
        }
    };
    let mut read = read(flags.file.as_deref())?;
    read.order();
    let path = Path::new(flags.data.as_deref().unwrap_or(".")).join(STORE_FILE);
    let merge = Merge { here: open(&path)?, found: read.records, replace };
    let counts = merge.counts().map_err(|error| store::exit(&path, error))?;
    let Counts { before, new, same, other } = counts;
    let (left_out, is_cut_short) = (read.left_out, read.is_cut_short);
    let marker = (read.is_database && !flags.dry_run).then(|| path.with_file_name(IMPORTED_FILE));
    let (all, file) = (before + new, flags.file.as_deref().unwrap_or("stdin"));
    let fate = if replace { "replaced" } else { "kept as they are here; --merge replace" };
    let mut text = format!(
        "From {file}: {new} new devices, {same} known here already, {other} known here as other \
         devices ({fate}){left_out}.\n"
    );
    if is_cut_short {
        text += "The log beside it ends with a write that was cut short, or is damaged there: what \
                 comes after its last whole write is not here, nor would SQLite read it.\n";
    }
    if new == 0 && (other == 0 || !replace) {
        note_import(marker.as_deref());
        return print(&(text + "There is nothing to write.\n"));
    }
    if flags.dry_run {
        return print(&(text + "Nothing was written: this was a dry run.\n"));
    }
    merge.replace_store(&path)?;
    note_import(marker.as_deref());
    text += &format!("{} has {all} devices now, {before} before.", path.display());
    if all > Limits::default().peers {
        text += &format!(" Start the server with --max-peers of at least {all}.");
    }
    print(&(text + "\n"))
}

/// Keeps `serve` from pointing at the database for good; without it, it only says too much.
fn note_import(marker: Option<&Path>) {
    drop(marker.map(File::create_new));
}

/// The store that is there, held so that no server starts meanwhile; None if there is none.
fn open(path: &Path) -> Result<Option<Box<dyn stores::Store>>, Exit> {
    if matches!(fs::symlink_metadata(path), Err(error) if error.kind() == ErrorKind::NotFound) {
        return Ok(None);
    }
    store::open(path).map(Some).map_err(|error| store::exit(path, error))
}

/// How a device of the file, or of the store, stands to the other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It is in the store alone.
    Kept,
    New,
    Same,
    Other,
}

#[derive(Default)]
struct Counts {
    before: usize,
    new: usize,
    same: usize,
    other: usize,
}

/// What was found and what is there, which is read as needed: a router has no room for both.
struct Merge {
    here: Option<Box<dyn stores::Store>>,
    found: Vec<Record>,
    replace: bool,
}

impl Merge {
    fn counts(&self) -> Result<Counts, stores::Error> {
        let mut counts = Counts::default();
        self.each(&mut |standing, _| {
            counts.before += usize::from(standing != Standing::New);
            match standing {
                Standing::Kept => {}
                Standing::New => counts.new += 1,
                Standing::Same => counts.same += 1,
                Standing::Other => counts.other += 1,
            }
            Ok(())
        })?;
        Ok(counts)
    }

    /// Gives all there will be, in the order of ids, which the store has too.
    fn each(
        &self,
        each: &mut dyn FnMut(Standing, &Record) -> Result<(), stores::Error>,
    ) -> Result<(), stores::Error> {
        let (mut found, mut given) = (self.found.iter().peekable(), Ok(()));
        let reader = self.here.as_ref().and_then(|store| store.reader());
        let mut own = |own: Record| {
            while given.is_ok()
                && let Some(new) = found.next_if(|found| found.id < own.id)
            {
                given = each(Standing::New, new);
            }
            let (standing, kept) = match found.next_if(|found| found.id == own.id) {
                None => (Standing::Kept, &own),
                Some(it) if it.device == own.device && it.key == own.key => (Standing::Same, &own),
                Some(it) => (Standing::Other, if self.replace { it } else { &own }),
            };
            if given.is_ok() {
                given = each(standing, kept);
            }
            given.is_ok()
        };
        reader.map_or(Ok(()), |reader| reader.read(&mut own))?;
        given?;
        found.try_for_each(|new| each(Standing::New, new))
    }

    /// Writes all to a new file and puts it in the place of the old one, which gets another name.
    fn replace_store(mut self, path: &Path) -> Result<(), Exit> {
        let draft = draft_of(path);
        let _ = fs::remove_file(&draft);
        let written = self.write(&draft).and_then(|()| {
            keep(path)?;
            fs::rename(&draft, path)?;
            Ok(sync_folder(path)?)
        });
        written.map_err(|error| {
            drop(fs::remove_file(&draft));
            Exit::running(format!(
                "Cannot write {}: {error}. The store is as it was.",
                path.display()
            ))
        })
    }

    fn write(&mut self, draft: &Path) -> Result<(), stores::Error> {
        let mut made = stores::open(draft)?;
        let mut batch = Vec::with_capacity(BATCH_MAX);
        self.each(&mut |_, record| {
            batch.push(Change::Put(record.clone()));
            if batch.len() < BATCH_MAX {
                return Ok(());
            }
            let written = made.commit(&batch);
            batch.clear();
            written
        })?;
        made.commit(&batch)?;
        let whereabouts = self.here.as_mut().map(|store| store.whereabouts());
        made.finish(&[], &whereabouts.transpose()?.unwrap_or_default())
    }
}

/// Gives the store that is there, if one is, the name under which it stays. There is none at no
/// moment: a start would make an empty one then, with each ID for whoever comes first.
fn keep(path: &Path) -> io::Result<()> {
    let before = path.with_file_name([STORE_FILE, ".before-import"].concat());
    let _ = fs::remove_file(&before);
    // A file system without links has a copy of it.
    match fs::hard_link(path, &before).or_else(|_| copy(path, &before)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// std's has 2 KB for all that Linux can do to be fast.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut from = File::open(from)?;
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

fn read(name: Option<&str>) -> Result<Read, Exit> {
    let Some(name) = name else {
        if stdio::stdin().is_terminal() {
            return Err(Exit::flags("Name the file: see 'hbb import --help'"));
        }
        return text(stdin().map_err(|error| unread("stdin", &error))?);
    };
    let failed = |error: &dyn fmt::Display| unread(name, error);
    let path = Path::new(name);
    let file = open_file(path).map_err(|error| failed(&error))?;
    if file.metadata().is_ok_and(|told| told.is_dir()) {
        return Err(failed(&"it is a directory"));
    }
    let mut start = [0; SQLITE.len()];
    if file.fill(&mut start, 0).is_ok() && start == *SQLITE {
        return database(path, &file);
    }
    text(file)
}

fn unread(name: &str, error: &dyn fmt::Display) -> Exit {
    Exit::flags(format!("Cannot read {name}: {error}. Nothing was written."))
}

/// Upstream's database. While that server runs, what is read here and there may not fit.
fn database(path: &Path, file: &File) -> Result<Read, Exit> {
    let failed = |error: sqlite::Error| {
        Exit::unusable(format!(
            "Cannot read {}: {error}. It was not changed, and nothing was written.",
            path.display()
        ))
    };
    let log = match open_file(&beside(path, "-wal")) {
        Ok(log) => Some(log),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(failed(error.into())),
    };
    if fs::metadata(beside(path, "-journal")).is_ok_and(|told| told.len() > 0) {
        return Err(failed(sqlite::Error::Unread(
            "a write to it was cut short: open it once with SQLite, which mends that",
        )));
    }
    let state = || [file, log.as_ref().unwrap_or(file)].map(|file| store::last_change(file).ok());
    let at_first = state();
    let database =
        Database::new(file, log.as_ref().map(|log| log as &dyn Bytes)).map_err(failed)?;
    let mut read =
        Read { is_cut_short: database.is_cut_short(), is_database: true, ..Read::default() };
    let (mut refused, mut told) = (Ok(()), 0);
    let walked = database.rows(TABLE, &COLUMNS, &mut |values, pages| {
        if pages / PROGRESS_PAGES > told {
            told = pages / PROGRESS_PAGES;
            progress(read.records.len(), pages, database.pages());
        }
        refused = read.take_found(&found_in(values));
        refused.as_ref().map_err(|_| sqlite::Error::NoTable).copied()
    });
    refused?;
    if state() != at_first {
        return Err(failed(sqlite::Error::Unread("it changed meanwhile: stop that server first")));
    }
    walked.map_err(failed)?;
    Ok(read)
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn found_in<'a>(values: &[Value<'a>]) -> Found<'a> {
    let [id, uuid, key, created, info, ref more @ ..] = *values else { return Found::default() };
    Found {
        id: core::str::from_utf8(id.bytes()).unwrap_or_default(),
        device: uuid.bytes().into(),
        key: key.bytes().into(),
        created: created.as_text().unwrap_or_default(),
        address: found::address_in(info.as_text().unwrap_or_default()),
        has_more: more
            .iter()
            .any(|it| !matches!(it, Value::Null | Value::Integer(0) | Value::Text(b""))),
    }
}

fn progress(devices: usize, pages: u32, of: u32) {
    let mut screen = io::stderr();
    if screen.is_terminal() {
        drop(writeln!(screen, "{devices} devices, page {pages} of {of}"));
    }
}

/// JSON or lines, told apart by how they begin. Lines are not held: a full table's are 18 MB.
fn text(from: File) -> Result<Read, Exit> {
    let mut text = Text { from: BufReader::new(from), bytes: Vec::new(), left: TEXT_BYTES_MAX };
    let (mut read, mut number) = (Read::default(), 0_u32);
    while text.next()? {
        let line = text.told()?.trim();
        if number == 0 && line.starts_with('[') {
            while text.next()? {}
            json::rows(text.told()?, &mut |found| read.take_found(&found))?;
        } else if number > 0 || !line.is_empty() {
            number += 1;
            match stores::parse(line) {
                Ok(None) => {}
                Ok(Some(record)) => read.take(record)?,
                Err(_) => return Err(not_ours(&format!("line {number} is not as it should be"))),
            }
        }
        text.bytes.clear();
    }
    if text.left == 0 { Err(not_ours("it is far too long")) } else { Ok(read) }
}

/// A text, and what was read of it.
struct Text {
    from: BufReader<File>,
    bytes: Vec<u8>,
    left: u64,
}

impl Text {
    /// Adds a line, if there is one more.
    fn next(&mut self) -> Result<bool, Exit> {
        let read = read_line(&mut self.from, self.left, &mut self.bytes);
        let read = read.map_err(|error| not_ours(&error.to_string()))? as u64;
        self.left -= read;
        Ok(read > 0)
    }

    /// What was read, without what Windows may put in front of a text.
    fn told(&self) -> Result<&str, Exit> {
        let text = core::str::from_utf8(&self.bytes).map_err(|why| not_ours(&why.to_string()))?;
        Ok(text.trim_start_matches('\u{feff}').trim_start())
    }
}

fn not_ours(why: &str) -> Exit {
    Exit::flags(format!(
        "Cannot read this: {why}. Give db_v2.sqlite3, JSON of its table, or lines of 'hbb export \
         --peers'. Nothing was written."
    ))
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
