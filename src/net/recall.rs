//! Where devices were at a clean stop, kept for the next start, which asks them to register: in a
//! file beside the control socket where that folder is in memory, else with the stop's one commit.
//! It decides nothing of whom to ask; the machine does. C138.

use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use rustix::fs::statfs;

use hbb_core::base::address::Endpoint;
use hbb_core::base::peer::PeerId;

use crate::file;
use crate::net::clock::unix_secs;
use crate::store::Store;

/// The file's name in the folder of the control socket.
const WHEREABOUTS_FILE: &str = "whereabouts";
/// Longest list that is read: 3,000 devices with the longest ids.
const LIST_BYTES_MAX: u64 = 512 * 1024;
/// How long a list is good for, in seconds: by then each device has spoken by itself, and NATs have
/// forgotten where those are that did not.
const LIST_SECS_MAX: u64 = 60;

/// A device, where it was, and at which of our addresses.
pub(crate) struct Whereabouts {
    pub(crate) id: PeerId,
    pub(crate) at: Endpoint,
    pub(crate) own: IpAddr,
}

/// Where the list is kept.
#[derive(Debug)]
pub(crate) struct Keep {
    /// None: in the store.
    file: Option<PathBuf>,
}

impl Keep {
    /// Chooses the place, by the folder of the control socket.
    pub(crate) fn beside(control_folder: &Path) -> Self {
        let folder = is_in_memory(control_folder).then_some(control_folder);
        Self { file: folder.map(|folder| folder.join(WHEREABOUTS_FILE)) }
    }

    /// What the stop before left, if that was a moment ago. It is not found again.
    pub(crate) fn take(&self, store: &mut dyn Store) -> Vec<Whereabouts> {
        let kept = match &self.file {
            Some(path) => {
                let text = file::read_text(path, LIST_BYTES_MAX).unwrap_or_default();
                // Gone in any case: a server that ends without a word must not find it again.
                let _ = fs::remove_file(path);
                text
            }
            None => store.whereabouts().unwrap_or_default(),
        };
        read(&kept, unix_secs())
    }

    /// Leaves a list for the next start, unless it is the store that is to keep it.
    #[must_use]
    pub(crate) fn put(&self, list: &str) -> bool {
        self.file.as_ref().is_some_and(|path| file::replace(path, 0o600, list).is_ok())
    }
}

/// Whether what is in a folder is in memory, and gone with the next boot.
fn is_in_memory(folder: &Path) -> bool {
    /// What the kernel calls a tmpfs and a ramfs (statfs(2)).
    const IN_MEMORY: [u32; 2] = [0x0102_1994, 0x8584_58f6];
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    // The type differs by triple, in width and in sign.
    statfs(folder).is_ok_and(|found| {
        IN_MEMORY.iter().any(|kind| i128::from(found.f_type) & 0xffff_ffff == i128::from(*kind))
    })
}

/// The list's text: when it was made, then a line a device.
pub(crate) fn text(all: impl Iterator<Item = Whereabouts>) -> String {
    let mut text = unix_secs().to_string();
    let is_empty = text.len();
    for Whereabouts { id, at, own } in all {
        // Nothing fails that is written to a text.
        let _ = write!(text, "\n{} {at} {own}", id.as_str());
    }
    if text.len() == is_empty { String::new() } else { text }
}

/// Reads it; lines that are none of ours are left out.
fn read(text: &str, now_secs: u64) -> Vec<Whereabouts> {
    let (made, lines) = text.split_once('\n').unwrap_or_default();
    let age = made.parse().ok().and_then(|made| now_secs.checked_sub(made));
    if age.is_none_or(|age| age > LIST_SECS_MAX) {
        return Vec::new();
    }
    lines.lines().filter_map(line).collect()
}

fn line(line: &str) -> Option<Whereabouts> {
    let mut words = line.split(' ');
    let id = PeerId::new(words.next()?)?;
    let at = words.next()?.parse::<SocketAddr>().ok()?.into();
    Some(Whereabouts { id, at, own: words.next()?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c138_a_list_reads_as_it_was_written_and_other_lines_are_left_out() {
        let one = |id: &str, at: &str, own: &str| Whereabouts {
            id: PeerId::new(id).unwrap(),
            at: at.parse::<SocketAddr>().unwrap().into(),
            own: own.parse().unwrap(),
        };
        let all = [
            one("123456789", "203.0.113.9:50002", "192.0.2.1"),
            one("Büro_1", "[2001:db8::9]:1", "2001:db8::1"),
        ];
        let mut written = text(all.into_iter());
        written.push_str("\n\n123 4\nid 1.2.3.4 1.1.1.1\nid 1.2.3.4:5 x\nid [fe80::1 ::1\n#");
        let told = |it: &Whereabouts| format!("{} {} {}", it.id, it.at, it.own);
        let found: Vec<_> = read(&written, unix_secs()).iter().map(told).collect();
        assert_eq!(
            found,
            ["123456789 203.0.113.9:50002 192.0.2.1", "Büro_1 [2001:db8::9]:1 2001:db8::1"]
        );
        assert_eq!(text(core::iter::empty()), "");
    }

    #[test]
    fn c138_a_list_is_good_for_a_minute() {
        let found = |now| read("1000\n123456789 203.0.113.9:50002 ::1", now).len();
        assert_eq!([found(999), found(1_000), found(1_060), found(1_061)], [0, 1, 1, 0]);
        assert_eq!(read("", 0).len() + read("x\n123456789 1.1.1.1:1 ::1", 0).len(), 0);
    }
}
