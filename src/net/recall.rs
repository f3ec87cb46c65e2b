//! Where devices were at a clean stop, kept for the next start, which asks them to register: in a
//! file beside the control socket where that folder is in memory, else with the stop's one commit.
//! With that goes how long others had been away, if it matters: a boot must not forget it. It
//! decides nothing of whom to ask or forget; the machine does. C14, C138, C144.

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
/// What a list in the store is replaced by before anybody on it is asked: one without a device.
const USED: &str = "0";

/// A device, where it was, and at which of our addresses.
pub(crate) struct Whereabouts {
    pub(crate) id: PeerId,
    pub(crate) at: Endpoint,
    pub(crate) own: IpAddr,
}

/// What a clean stop left.
#[derive(Default)]
pub(crate) struct Left {
    /// Who was here, if that was a moment ago.
    pub(crate) here: Vec<Whereabouts>,
    /// Who had been away, and for how many seconds.
    pub(crate) away: Vec<(PeerId, u32)>,
}

/// What a clean stop leaves.
#[derive(Default)]
pub(crate) struct Leaving {
    /// Where devices are; empty if nobody is to be asked.
    pub(crate) here: String,
    /// Lines of those who are away.
    pub(crate) away: String,
    /// Where the first of these goes.
    pub(crate) keep: Option<Keep>,
}

impl Leaving {
    /// Leaves it; gives what the store is to keep.
    pub(crate) fn put(self) -> String {
        let Self { here, away, keep } = self;
        if keep.is_some_and(|keep| keep.put(&here)) { away } else { here + &away }
    }
}

/// Takes what the stop before left. It is gone before this returns, so that a server that ends
/// without a word does not find it again; what cannot go is not there.
pub(crate) fn take(keep: Option<&Keep>, store: &mut dyn Store) -> Left {
    let (now_secs, mut left) = (unix_secs(), Left::default());
    let text = store.whereabouts().unwrap_or_default();
    let mut in_store = Vec::new();
    if let Some(keep) = keep {
        left.here = keep.in_file(now_secs);
        // There if there was no file, or no room for one.
        if left.here.is_empty() {
            in_store = read(&text, now_secs);
        }
    }
    for line in text.lines() {
        let parts = line.rsplit_once(' ');
        left.away.extend(parts.and_then(|(id, secs)| PeerId::new(id).zip(secs.parse().ok())));
    }
    if in_store.is_empty() && left.away.is_empty() {
        return left;
    }
    match store.finish(&[], USED) {
        Ok(()) => left.here.extend(in_store),
        Err(_) => left.away.clear(),
    }
    left
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

    /// What is in the file, if that goes.
    fn in_file(&self, now_secs: u64) -> Vec<Whereabouts> {
        self.file.as_ref().map_or_else(Vec::new, |path| {
            let text = file::read_text(path, LIST_BYTES_MAX).unwrap_or_default();
            let is_gone = fs::remove_file(path).is_ok();
            if is_gone { read(&text, now_secs) } else { Vec::new() }
        })
    }

    /// Leaves a list for the next start, unless it is the store that is to keep it. Where there is
    /// nothing to leave, or no room, there is no file.
    #[must_use]
    pub(crate) fn put(&self, list: &str) -> bool {
        let Some(path) = &self.file else { return false };
        let is_kept = list.is_empty() || file::replace(path, 0o600, list).is_ok();
        if list.is_empty() || !is_kept {
            let _ = fs::remove_file(path);
        }
        is_kept
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

/// The lines of those who are away.
pub(crate) fn away_text<'a>(all: impl Iterator<Item = (&'a PeerId, u32)>) -> String {
    let mut text = String::new();
    for (id, secs) in all {
        // As above.
        let _ = write!(text, "\n{} {secs}", id.as_str());
    }
    text
}

/// Reads it; lines that are none of ours are left out.
fn read(text: &str, now_secs: u64) -> Vec<Whereabouts> {
    let (made, lines) = text.split_once('\n').unwrap_or_default();
    let age = made.parse().ok().and_then(|made| now_secs.checked_sub(made));
    if age.is_none_or(|age| age > LIST_SECS_MAX) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for text in lines.lines() {
        if let Some(one) = line(text) {
            found.push(one);
        }
    }
    found
}

fn line(line: &str) -> Option<Whereabouts> {
    let mut words = line.split(' ');
    let id = PeerId::new(words.next()?)?;
    let at = words.next()?.parse::<SocketAddr>().ok()?.into();
    Some(Whereabouts { id, at, own: words.next()?.parse().ok()? })
}

#[cfg(test)]
#[allow(clippy::string_slice)]
mod tests {
    use super::*;
    use crate::store::memory::Memory;

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

    fn list() -> String {
        format!("{}\n123456789 203.0.113.9:50002 ::1", unix_secs())
    }

    /// A folder for one test; removed by it.
    fn keep(name: &str) -> Keep {
        let folder = std::env::temp_dir().join(format!("hbb-keep-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Keep { file: Some(folder.join(WHEREABOUTS_FILE)) }
    }

    /// What is in its folder; gone then.
    fn left(keep: &Keep) -> usize {
        let folder = keep.file.as_ref().unwrap().parent().unwrap();
        let count = fs::read_dir(folder).unwrap().count();
        fs::remove_dir_all(folder).unwrap();
        count
    }

    #[test]
    fn c144_a_list_is_found_once_wherever_it_is_kept() {
        let mut store = Memory::default();
        store.finish(&[], &list()).unwrap();
        let in_store = Keep { file: None };
        assert_eq!([(); 2].map(|()| take(Some(&in_store), &mut store).here.len()), [1, 0]);
        let in_file = keep("once");
        assert!(in_file.put(&list()));
        assert_eq!([(); 2].map(|()| take(Some(&in_file), &mut store).here.len()), [1, 0]);
        // There was no room beside the socket.
        store.finish(&[], &list()).unwrap();
        assert_eq!([(); 2].map(|()| take(Some(&in_file), &mut store).here.len()), [1, 0]);
        assert_eq!(left(&in_file), 0);
    }

    #[test]
    fn c014_who_is_away_is_told_by_the_store_once_beside_those_who_are_here() {
        let ids = ["123456789", "Büro_1"].map(|id| PeerId::new(id).unwrap());
        let told = |here: &str, keep: Option<Keep>| {
            let mut store = Memory::default();
            let away = away_text(ids.iter().zip([7_200, u32::MAX]));
            let (is_quiet, here) = (keep.is_none(), here.to_owned());
            let text = Leaving { here, away, keep }.put();
            store.finish(&[], &text).unwrap();
            let in_store = Keep { file: None };
            let keep = (!is_quiet).then_some(&in_store);
            [(); 2].map(|()| take(keep, &mut store)).map(|left| (left.here.len(), left.away))
        };
        let both = ids.clone().into_iter().zip([7_200, u32::MAX]).collect::<Vec<_>>();
        assert_eq!(told("", None), [(0, both.clone()), (0, Vec::new())]);
        assert_eq!(told("", Some(Keep { file: None })), [(0, both.clone()), (0, Vec::new())]);
        assert_eq!(told(&list(), Some(Keep { file: None })), [(1, both.clone()), (0, Vec::new())]);
        let in_file = keep("away");
        let folder = in_file.file.as_ref().unwrap().parent().unwrap().to_owned();
        assert_eq!(told(&list(), Some(in_file)), [(0, both), (0, Vec::new())], "kept in a file");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn c144_an_empty_list_and_one_without_room_leave_no_file() {
        let keep = keep("room");
        assert!(keep.put(&list()) && keep.put(""));
        let path = keep.file.clone().unwrap();
        assert!(!path.exists());
        // What stands in the draft's place is no file that can be written.
        fs::write(&path, "").unwrap();
        fs::create_dir(file::draft_of(&path)).unwrap();
        assert!(!keep.put(&list()) && !path.exists());
        assert_eq!(left(&keep), 1, "the draft's place alone");
    }

    #[test]
    fn c144_a_damaged_list_is_passed_over() {
        let (keep, mut store) = (keep("damaged"), Memory::default());
        for damaged in ["", "\n", "x\n123456789 1.1.1.1:1 ::1", &list()[..12]] {
            fs::write(keep.file.as_ref().unwrap(), damaged).unwrap();
            assert_eq!(take(Some(&keep), &mut store).here.len(), 0, "{damaged}");
        }
        fs::write(keep.file.as_ref().unwrap(), [0xff, 0, b'\n']).unwrap();
        assert_eq!(take(Some(&keep), &mut store).here.len(), 0);
        assert_eq!(left(&keep), 0);
    }

    #[test]
    fn c138_a_list_is_good_for_a_minute() {
        let found = |now| read("1000\n123456789 203.0.113.9:50002 ::1", now).len();
        assert_eq!([found(999), found(1_000), found(1_060), found(1_061)], [0, 1, 1, 0]);
        assert_eq!(read("", 0).len() + read("x\n123456789 1.1.1.1:1 ::1", 0).len(), 0);
    }
}
