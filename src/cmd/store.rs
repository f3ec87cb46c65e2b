//! `store`: judges the store, or writes what is left of it to a new file. redb panics on some
//! damage, so each judgement is made by this program in another process, which may die of it; the
//! server and `check` ask for one before they open a store. Checks: tests/store.rs.

use std::env;
use std::ffi::{CStr, CString};
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use log::warn;
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::stdio::stdin;

use super::exit::{DENIED, Exit, READ_ONLY, print};
use crate::cli::StoreFlags;
use crate::net::process::child;
use crate::store::{self, Error, Salvaged, Store};
use hbb_core::base::limits::BATCH_MAX;
use hbb_core::base::peer::Change;

/// The store's file name in the data directory.
pub(super) const STORE_FILE: &str = "hbb.store";
/// That of one that is being made in its place.
pub(super) const STORE_DRAFT: &str = "hbb.store.new";
/// An empty file beside it: a database of upstream's has been taken over.
pub(super) const IMPORTED_FILE: &str = "hbb.store.imported";
/// What `store` is told by `judge`: to read the store that is its standard input, and no other.
const JUDGE: &str = "judge-stdin";
/// How this program is called for that; as JUDGE.
const AS_JUDGE: [&CStr; 3] = [c"hbb", c"store", c"judge-stdin"];
/// This program, even if its file was replaced. Jails may lack it.
const ITSELF: &CStr = c"/proc/self/exe";
/// How long the judge may compute: a hundred thousand devices take it 0.2 s.
const JUDGE_SECS_MAX: u64 = 120;
/// What the judge may take of memory.
const JUDGE_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// More than the judge ever says.
const SAID_MAX: u64 = 64;
/// What the judge says before the number of an error of the disk.
const DISK: &str = "disk ";
/// The judge's words for what is no number of records.
const WORDS: [(&str, Error); 7] = [
    ("newer", Error::NewerFormat),
    ("damaged", Error::Damaged),
    ("foreign", Error::Foreign),
    ("journal", Error::Journal),
    ("in-use", Error::InUse),
    ("not-a-file", Error::NotAFile),
    ("io", Error::Io(ErrorKind::Other, 0)),
];

/// `hbb store`.
#[inline(never)]
pub(super) fn run(flags: &StoreFlags) -> Result<(), Exit> {
    let path = Path::new(flags.data.as_deref().unwrap_or(".")).join(STORE_FILE);
    match flags.what.as_str() {
        "check" if flags.to.is_some() => Err(Exit::flags("--to: only together with salvage")),
        "check" => check(&path),
        "salvage" => salvage(&path, flags.to.as_deref()),
        JUDGE => print(&be_judge()),
        other => {
            Err(Exit::flags(format!("store {other}: must be 'store check' or 'store salvage'")))
        }
    }
}

fn check(path: &Path) -> Result<(), Exit> {
    match survey(path).map_err(|error| exit(path, error))? {
        Some(peers) => {
            print(&format!("The store {} is whole, with {peers} peers.\n", path.display()))
        }
        None => Err(Exit::running("No process could be started to read the store in.")),
    }
}

fn salvage(path: &Path, to: Option<&str>) -> Result<(), Exit> {
    let usual = || path.with_file_name([STORE_FILE, ".salvaged"].concat());
    let to = to.map_or_else(usual, PathBuf::from);
    if fs::symlink_metadata(&to).is_ok() {
        return Err(Exit::flags(format!(
            "There is a {} already, and it is not overwritten. Name another file with --to.",
            to.display()
        )));
    }
    let salvaged = store::salvage(path).map_err(|error| exit(path, error))?;
    #[cfg(feature = "accounts")]
    let (rows, and_rows) = {
        let count = salvaged.rows.len();
        (salvaged.rows, format!(" and {count} rows of accounts"))
    };
    #[cfg(not(feature = "accounts"))]
    let and_rows = "";
    let Salvaged { records, loose, unclear, lost_pages, .. } = salvaged;
    let (from, into, count) = (path.display(), to.display(), records.len());
    #[cfg(feature = "accounts")]
    let is_empty = count + rows.len() == 0;
    #[cfg(not(feature = "accounts"))]
    let is_empty = count == 0;
    if is_empty {
        return Err(Exit::unusable(format!(
            "Nothing can be read from {from}. Restore it from a backup, or move it away; every \
             device then registers again. It was not changed."
        )));
    }
    let written = Filling::open(&to).and_then(|mut filling| {
        for record in records {
            filling.put(Change::Put(record))?;
        }
        #[cfg(feature = "accounts")]
        for row in rows {
            filling.put(Change::Rows(vec![row]))?;
        }
        filling.end()
    });
    written.map_err(|error| {
        // Half of what could be saved would pass for all of it.
        drop(fs::remove_file(&to));
        Exit::flags(format!("Cannot write {into}: {error}. Name another file with --to."))
    })?;
    print(&format!(
        "Wrote {count} peers{and_rows} to {into}.\n\
         From {from}, which was not changed: {lost_pages} pages lost; of the peers {loose} \
         were found on pages that belong to no tree any more, so that some of them may have \
         been forgotten before; {unclear} more were left out, as what is left of them differs.\n\
         Put it in the place of the old one, then look at it with 'hbb store check'.\n"
    ))
}

/// Keeps other commands from changing what is in `data` until it is dropped: two at once would mix
/// what they make. What cannot be locked is left to what comes next.
pub(super) fn alone_in(data: &Path) -> Result<Option<File>, Exit> {
    let folder = File::open(data).ok();
    match folder.as_ref().map(File::try_lock) {
        Some(Err(TryLockError::WouldBlock)) => Err(Exit::running(format!(
            "Another command of hbb is at work in {}. Wait until it has ended.",
            data.display()
        ))),
        _ => Ok(folder),
    }
}

/// A store that many changes are written to, one after the other.
pub(super) struct Filling {
    store: Box<dyn Store>,
    batch: Vec<Change>,
}

impl Filling {
    /// Opens the store in the file `path`, or makes it; no server may know it yet.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        Ok(Self { store: store::open(path)?, batch: Vec::with_capacity(BATCH_MAX) })
    }

    pub(super) fn put(&mut self, change: Change) -> Result<(), Error> {
        self.batch.push(change);
        if self.batch.len() < BATCH_MAX { Ok(()) } else { self.commit() }
    }

    fn commit(&mut self) -> Result<(), Error> {
        let written = self.store.commit(&self.batch);
        self.batch.clear();
        written
    }

    /// Writes the last of them; all is durable then.
    pub(super) fn end(mut self) -> Result<(), Error> {
        self.commit()
    }
}

/// Opens the store for a server, or makes it; one that is there is judged first.
pub(super) fn open(path: &Path) -> Result<Box<dyn Store>, Error> {
    store::open_judged(path, &|path| judged(File::open(path)?).map(drop))
}

/// The store that is there, to be read; None if there is none. Damage may end the process.
pub(super) fn read_there(path: &Path) -> Result<Option<Box<dyn Store>>, Error> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        _ => store::read_only(path).map(Some),
    }
}

/// How many peers the store holds, if all of it can be read; None as for [`judged`]. Changes
/// nothing, and keeps no server from starting meanwhile: then it is in use.
pub(super) fn survey(path: &Path) -> Result<Option<usize>, Error> {
    let file = store::open_to_read(path)?;
    file.unlock()?;
    let before = last_change(&file)?;
    let verdict = judged(file);
    // What was read while a server wrote says nothing.
    let file = store::open_to_read(path)?;
    if last_change(&file)? != before { Err(Error::InUse) } else { verdict }
}

/// Differs if another file was put in the place of this one, or it was written to.
pub(super) fn last_change(file: &File) -> io::Result<[i64; 4]> {
    let told = file.metadata()?;
    let inode = i64::try_from(told.ino()).unwrap_or(i64::MAX);
    Ok([inode, told.mtime(), told.mtime_nsec(), told.ctime_nsec()])
}

/// The judge's verdict: how many peers there are; None if the system starts no judge. A judge
/// that dies has found damage.
fn judged(file: File) -> Result<Option<usize>, Error> {
    let named = CString::new(env::args_os().next().unwrap_or_default().into_vec());
    let ask = |program: &CStr| child::output(program, &AS_JUDGE, &file, SAID_MAX);
    match ask(ITSELF).or_else(|_| ask(&named.unwrap_or_default())) {
        Ok(Some(said)) => verdict(&said).map(Some),
        Ok(None) => Err(Error::Damaged),
        Err(cause) => {
            warn!("store-unchecked cause='{cause}'");
            Ok(None)
        }
    }
}

fn verdict(said: &[u8]) -> Result<usize, Error> {
    let said = core::str::from_utf8(said).unwrap_or_default().trim_end();
    let disk = said.strip_prefix(DISK).and_then(|number| number.parse().ok());
    if let Some(number) = disk {
        return Err(io::Error::from_raw_os_error(number).into());
    }
    let fault = WORDS.iter().find(|(word, _)| *word == said).map(|(_, fault)| *fault);
    said.parse().map_err(|_| fault.unwrap_or(Error::Damaged))
}

/// Reads the store on standard input within bounds, and says how many peers it has or what is
/// wrong with it.
fn be_judge() -> String {
    let bound = |most| Rlimit { current: Some(most), maximum: Some(most) };
    // A system that bounds nothing is no reason not to look.
    let _ = setrlimit(Resource::Cpu, bound(JUDGE_SECS_MAX));
    let _ = setrlimit(Resource::As, bound(JUDGE_BYTES_MAX));
    let _ = setrlimit(Resource::Core, bound(0));
    let file = stdin().try_clone_to_owned().map_err(Error::from);
    match file.and_then(|file| store::survey(file.into())) {
        Ok(records) => records.to_string(),
        Err(Error::Io(_, number)) if number != 0 => format!("{DISK}{number}"),
        Err(fault) => {
            let word = WORDS.iter().find(|(_, known)| *known == fault).map(|(word, _)| *word);
            word.unwrap_or("io").into()
        }
    }
}

/// A store that cannot be used, and the way out.
pub(super) fn exit(path: &Path, error: Error) -> Exit {
    let way_out = match error {
        Error::InUse => {
            return Exit::running(format!(
                "The store {} is open in another hbb. Stop that one, or give this one its own \
                 directory with --data.",
                path.display()
            ));
        }
        Error::NewerFormat => "Install that version again, or start with another --data.",
        Error::Damaged => {
            "Restore it from a backup; or save what it still holds with 'hbb store salvage'; or \
             move it away: every device then registers again, and until it has, its ID belongs to \
             the first who claims it."
        }
        Error::Foreign => {
            "If it was a store, its beginning is damaged: 'hbb store salvage' reads what is left. \
             Else name another directory with --data, or move it away."
        }
        Error::NotAFile => {
            "Mount the disk it leads to, name another directory with --data, or move it away."
        }
        Error::Journal => "Move it away; every device then registers again.",
        Error::Io(ErrorKind::NotFound, _) => "Name the directory with --data.",
        Error::Io(ErrorKind::StorageFull, _) => "Free some space.",
        Error::Io(ErrorKind::ReadOnlyFilesystem, _) => READ_ONLY,
        Error::Io(ErrorKind::PermissionDenied, _) => DENIED,
        Error::Io(..) => {
            "See the kernel's log for what the disk says ('dmesg'); 'hbb store salvage' reads what \
             is left."
        }
    };
    let path = path.display();
    Exit::unusable(format!("Cannot use the store {path}: {error}. {way_out} It was not changed."))
}
