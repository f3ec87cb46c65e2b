//! Files that are read whole and files that are replaced whole: after a power cut there is the old
//! one or the new one. It must not know what is in them. Checks: tests/bad_input.rs, tests/ctl.rs.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// Reads a text file of at most `max` bytes.
///
/// # Errors
/// What the system says; `FileTooLarge` for a longer one, `InvalidData` for what is not UTF-8.
pub fn read_text(path: &Path, max: u64) -> io::Result<String> {
    read_all(File::open(path)?, max)
}

/// The same of a file that is one; `InvalidInput` for a pipe or a device.
///
/// # Errors
/// As of [`read_text`].
pub fn read_file(path: &Path, max: u64) -> io::Result<String> {
    read_all(open_file(path)?, max)
}

/// Opens a file, or a folder, for reading: who opens a pipe waits for somebody who writes to it.
///
/// # Errors
/// What the system says; `InvalidInput` for what is neither.
pub fn open_file(path: &Path) -> io::Result<File> {
    let at_once = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(at_once).open(path)?;
    let kind = file.metadata()?.file_type();
    if kind.is_file() || kind.is_dir() {
        return Ok(file);
    }
    Err(io::Error::new(ErrorKind::InvalidInput, "it is a pipe or a device"))
}

fn read_all(file: File, max: u64) -> io::Result<String> {
    let mut text = String::new();
    let length = file.take(max + 1).read_to_string(&mut text)?;
    if u64::try_from(length).is_ok_and(|length| length <= max) {
        return Ok(text);
    }
    Err(io::Error::new(ErrorKind::FileTooLarge, "it is far too large"))
}

/// The name of a file while it is being written.
pub fn draft_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

/// Writes a text file in place of another or of none; a draft left by a power cut is overwritten.
///
/// # Errors
/// What the system says; the old file is as it was.
pub fn replace(path: &Path, mode: u32, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let draft = options.write(true).create(true).truncate(true).mode(mode).open(draft_of(path))?;
    publish(path, draft, text)
}

/// Fills the draft of `path` and gives it its name, for good.
///
/// # Errors
/// What the system says; the draft is gone then.
pub fn publish(path: &Path, mut draft: File, text: &str) -> io::Result<()> {
    let written = draft.write_all(text.as_bytes()).and_then(|()| draft.sync_all());
    let named = written.and_then(|()| fs::rename(draft_of(path), path));
    if let Err(error) = named {
        drop(fs::remove_file(draft_of(path)));
        return Err(error);
    }
    sync_folder(path)
}

/// Makes the names in the folder of `path` last through a power cut.
///
/// # Errors
/// What the system says.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    match File::open(folder.unwrap_or(Path::new(".")))?.sync_all() {
        // Some file systems know no such thing for a directory.
        Err(error) if error.kind() != ErrorKind::InvalidInput => Err(error),
        _ => Ok(()),
    }
}
