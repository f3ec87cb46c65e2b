//! What the stores do alike with their files: how one begins, what it is called while it is
//! written, how its name is made to last.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::Error;

/// How the file begins.
///
/// # Errors
/// [`Error::Foreign`] if it is shorter.
pub(super) fn begin<const BYTES: usize>(file: &File) -> Result<[u8; BYTES], Error> {
    let mut begin = [0; BYTES];
    match file.read_exact_at(&mut begin, 0) {
        Ok(()) => Ok(begin),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Err(Error::Foreign),
        Err(error) => Err(error.into()),
    }
}

/// The name of a store that is not yet whole.
pub(super) fn draft_of(path: &Path) -> PathBuf {
    path.with_extension("store.new")
}

/// Lets a power cut no longer take the name from a new file.
pub(super) fn sync_folder(path: &Path) -> Result<(), Error> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    Ok(File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?)
}
