//! Files that are read whole or by lines, and files that are replaced whole: after a power cut
//! there is the old one or the new one. It must not know what is in them.
//! Checks: tests/bad_input.rs, tests/ctl.rs.
//!
//! What is read or written in parts is a `File` in this program, also if it is a pipe or a socket:
//! std's readers and writers are compiled anew for each kind.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, lchown};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, mkdir};
use rustix::stdio;

/// The kernel follows no more.
const LINKS_MAX: usize = 40;

/// What a command is given.
///
/// # Errors
/// What the system says, if it has no descriptor left.
pub fn stdin() -> io::Result<File> {
    Ok(stdio::stdin().try_clone_to_owned()?.into())
}

/// Where a command puts much, without std's way by lines.
///
/// # Errors
/// As of [`stdin`].
pub fn stdout() -> io::Result<File> {
    Ok(stdio::stdout().try_clone_to_owned()?.into())
}

/// Adds the next line with its end to `line`, or what there is of it within `max` bytes; gives how
/// many bytes that is, 0 at the end.
///
/// # Errors
/// What the system says.
pub fn read_line(from: &mut BufReader<File>, max: u64, line: &mut Vec<u8>) -> io::Result<usize> {
    from.take(max).read_until(b'\n', line)
}

/// Reads a text file of at most `max` bytes, in UTF-8, or in UTF-16 behind its mark.
///
/// # Errors
/// As of [`open_file`]; `FileTooLarge` for a longer one, `InvalidData` for what is no such text.
pub fn read_text(path: &Path, max: u64) -> io::Result<String> {
    read_rest(open_file(path)?, max)
}

/// Reads what is left, such a text.
///
/// # Errors
/// As of [`read_text`], but for opening.
pub fn read_rest(from: File, max: u64) -> io::Result<String> {
    let mut bytes = Vec::new();
    let length = from.take(max + 1).read_to_end(&mut bytes)?;
    if !u64::try_from(length).is_ok_and(|length| length <= max) {
        return Err(io::Error::new(ErrorKind::FileTooLarge, "it is far too large"));
    }
    let text = from_utf16(&bytes).or_else(|| String::from_utf8(bytes).ok());
    text.ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "it is not UTF-8"))
}

/// What Windows' shell and editors write as Unicode.
fn from_utf16(bytes: &[u8]) -> Option<String> {
    let (mark, text) = bytes.split_first_chunk()?;
    let read = match mark {
        [0xff, 0xfe] => u16::from_le_bytes,
        [0xfe, 0xff] => u16::from_be_bytes,
        _ => return None,
    };
    let (units, cut) = text.as_chunks();
    let units: Vec<u16> = units.iter().map(|unit| read(*unit)).collect();
    String::from_utf16(&units).ok().filter(|_| cut.is_empty())
}

/// Opens a file, or a folder, for reading: who opens a pipe waits for somebody who writes to it.
///
/// # Errors
/// What the system says; `InvalidInput` for what is neither.
pub fn open_file(path: &Path) -> io::Result<File> {
    let at_once = OFlags::NONBLOCK.bits().cast_signed();
    let file = match OpenOptions::new().read(true).custom_flags(at_once).open(path) {
        // Somebody has a lease on it, which a pipe cannot have, and is asked to give that back.
        Err(error) if error.kind() == ErrorKind::WouldBlock => File::open(path)?,
        opened => opened?,
    };
    let kind = file.metadata()?.file_type();
    if kind.is_file() || kind.is_dir() {
        return Ok(file);
    }
    Err(io::Error::new(ErrorKind::InvalidInput, "it is a pipe or a device"))
}

/// Where the links end that begin at `file`, which is there. Folders that are links are left in: to
/// open it leads through them.
pub fn followed(file: &Path) -> PathBuf {
    let mut file = file.to_path_buf();
    for _ in 0..LINKS_MAX {
        let Ok(target) = fs::read_link(&file) else { break };
        // Instead of the link, or of all if it begins at the root.
        file.pop();
        file.push(target);
    }
    file
}

/// The name of a file while it is being written.
pub fn draft_of(path: &Path) -> PathBuf {
    beside(path, ".new")
}

/// The name of a file with an end behind all of it.
pub fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// Writes a text file in place of another or of none.
///
/// # Errors
/// What the system says; the old file is as it was.
pub fn replace(path: &Path, mode: u32, text: &str) -> io::Result<()> {
    publish(path, new_draft(path, mode)?, text)
}

/// The same for a file of a server, which root may be writing for the server's own user.
///
/// # Errors
/// As of [`replace`].
pub fn replace_for_owner(path: &Path, mode: u32, text: &str) -> io::Result<()> {
    replace_after(path, mode, text, &|| Ok(()))
}

/// The same; what `first` does comes once there is room for all of the text.
///
/// # Errors
/// As of [`publish_after`].
pub fn replace_after(
    path: &Path,
    mode: u32,
    text: &str,
    first: &dyn Fn() -> io::Result<()>,
) -> io::Result<()> {
    let draft = new_draft(path, mode)?;
    give_to_owner(&draft_of(path));
    publish_after(path, draft, text, first)
}

/// Gives what is at `path` to whoever owns the folder that it is in, if it is another's; no link is
/// followed.
pub fn give_to_owner(path: &Path) {
    if let (Ok(owner), Ok(made)) = (fs::metadata(folder_of(path)), fs::symlink_metadata(path))
        && owner.uid() != made.uid()
    {
        // Only root may. A service that is root to nobody must not even ask (its unit's filter).
        drop(lchown(path, Some(owner.uid()), Some(owner.gid())));
    }
}

/// Makes the draft of `path`. One that was left by a power cut goes first, and so does whatever
/// else has its name: a link is not followed, a pipe is not waited for.
///
/// # Errors
/// What the system says.
pub fn new_draft(path: &Path, mode: u32) -> io::Result<File> {
    let name = draft_of(path);
    drop(fs::remove_file(&name));
    OpenOptions::new().write(true).create_new(true).mode(mode).open(name)
}

/// Makes a folder in one that is there. std's way knows how to make both, which takes its room.
///
/// # Errors
/// What the system says; `AlreadyExists` if anything has that name.
pub fn make_folder(path: &Path, mode: u32) -> io::Result<()> {
    Ok(mkdir(path, Mode::from_raw_mode(mode))?)
}

/// Fills the draft of `path` and gives it its name, for good.
///
/// # Errors
/// What the system says; the draft is gone then.
pub fn publish(path: &Path, draft: File, text: &str) -> io::Result<()> {
    publish_after(path, draft, text, &|| Ok(()))
}

/// The same; what is in the way is put `aside` once the draft is whole: without room for that it
/// stays.
///
/// # Errors
/// As above, and what `aside` says.
pub fn publish_after(
    path: &Path,
    mut draft: File,
    text: &str,
    aside: &dyn Fn() -> io::Result<()>,
) -> io::Result<()> {
    let written = draft.write_all(text.as_bytes()).and_then(|()| draft.sync_all());
    name_draft(path, written.and_then(|()| aside()))
}

/// Gives the draft of `path` its name, if it was written and synced.
///
/// # Errors
/// What the system says, or said before; the draft is gone then.
pub fn name_draft(path: &Path, written: io::Result<()>) -> io::Result<()> {
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
    match File::open(folder_of(path))?.sync_all() {
        // Some file systems know no such thing for a directory.
        Err(error) if error.kind() != ErrorKind::InvalidInput => Err(error),
        _ => Ok(()),
    }
}

/// The folder that `path` is in.
pub fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utf16_is_read_behind_its_mark_and_whole() {
        let text = |bytes: &[u8]| from_utf16(bytes);
        assert_eq!(text(b"\xff\xfea\0\xe4\0").as_deref(), Some("a\u{e4}"));
        assert_eq!(text(b"\xfe\xff\0a\0\xe4").as_deref(), Some("a\u{e4}"));
        assert_eq!(text(b"\xff\xfe").as_deref(), Some(""));
        for other in [&b""[..], b"\xff", b"a\0", b"\xff\xfea", b"\xff\xfe\0\xd8"] {
            assert_eq!(text(other), None, "{other:?}");
        }
    }

    #[test]
    fn an_end_is_put_behind_the_whole_name() {
        let path = Path::new("a.b/id_ed25519.pub");
        assert_eq!(beside(path, ".2026"), Path::new("a.b/id_ed25519.pub.2026"));
    }
}
