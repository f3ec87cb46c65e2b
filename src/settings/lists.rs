//! The lists in the data directory: who gets the limited rate, whom the relay refuses, who is shut
//! out. A list counts whole or not at all, as a line that is left out is somebody who is let in.
//! Checks: C71 and C72 in tests/conformance, tests/ctl.rs, tests/cli.rs.

use std::io::{self, BufReader, ErrorKind};
use std::path::Path;

use hbb_core::base::address::{Banned, Bans, Network, NetworkSet};
use hbb_core::base::limits::{LIST_BYTES_MAX, LIST_ENTRIES_MAX};
use hbb_core::relay::SourceLists;

use crate::file::{open_file, read_line, read_text, replace};

/// Addresses whose sessions get the limited rate.
const BLACKLIST_FILE: &str = "blacklist.txt";
/// Addresses the relay refuses.
const BLOCKLIST_FILE: &str = "blocklist.txt";
/// Who is shut out; `hbb ctl` writes it, and whoever wants to may.
pub const BANNED_FILE: &str = "banned.txt";

/// Who may read what we write of them: owner and group.
const MODE: u32 = 0o640;
/// Wrong lines that are named, of each file; the rest is counted.
const NAMED_MAX: usize = 100;

/// One of the lists that singles addresses out at the relay.
#[derive(Clone, Copy)]
pub enum RelayList {
    /// They get the limited rate.
    Black,
    /// They are refused.
    Block,
}

/// What the three files say.
pub(super) struct Lists {
    black: NetworkSet,
    block: NetworkSet,
    /// Who is shut out.
    pub(super) bans: Bans,
}

impl Lists {
    /// Reads all of them; a file that is not there is empty.
    ///
    /// # Errors
    /// What is wrong, naming file and line: at most 101 texts for each file.
    pub(super) fn read(data: &Path) -> Result<Self, Vec<String>> {
        let mut faults = Vec::new();
        let [black, block] = [BLACKLIST_FILE, BLOCKLIST_FILE].map(|file| {
            let mut networks = Vec::new();
            let mut take = |word: &str| Network::parse(word).map(|network| networks.push(network));
            let is = "an address or a network such as 192.0.2.0/24";
            faults.extend(List { path: &data.join(file), is }.read(&mut take));
            networks.into()
        });
        let bans = read_bans(data, &mut faults);
        if faults.is_empty() { Ok(Self { black, block, bans }) } else { Err(faults) }
    }

    /// Puts addresses and networks in or takes them out; None if there are too many then.
    pub(super) fn change(&mut self, list: RelayList, text: &str, is_in: bool) -> Option<()> {
        let mut networks: Vec<Network> = self.listed(list).iter().copied().collect();
        for word in text.split('|') {
            match Network::parse(word.trim()) {
                Some(network) if is_in => networks.push(network),
                Some(network) => {
                    let at = networks.iter().position(|it| *it == network);
                    at.map(|at| networks.swap_remove(at));
                }
                None if word == "all" && !is_in => networks.clear(),
                None => {}
            }
        }
        if networks.len() > LIST_ENTRIES_MAX {
            return None;
        }
        let listed = match list {
            RelayList::Black => &mut self.black,
            RelayList::Block => &mut self.block,
        };
        *listed = networks.into();
        Some(())
    }

    pub(super) const fn listed(&self, list: RelayList) -> &NetworkSet {
        match list {
            RelayList::Black => &self.black,
            RelayList::Block => &self.block,
        }
    }

    /// What the relay needs of them.
    pub(super) fn sources(&self) -> SourceLists {
        let banned = self.bans.networks();
        SourceLists { black: self.black.clone(), block: self.block.clone(), banned }
    }
}

/// Who is shut out by the file as it is now; what is wrong with it joins `faults`.
pub(super) fn read_bans(data: &Path, faults: &mut Vec<String>) -> Bans {
    let mut bans = Vec::new();
    let mut take = |word: &str| Banned::parse(word).map(|banned| bans.push(banned));
    let is = "an id, an address or a network such as 192.0.2.0/24";
    faults.extend(List { path: &data.join(BANNED_FILE), is }.read(&mut take));
    // A list has no more entries than there is room.
    Bans::new(bans).unwrap_or_default()
}

/// Writes that somebody is shut out, or no longer, and leaves all other lines as they are.
pub(super) fn write_ban(data: &Path, subject: &Banned, is_out: bool) -> io::Result<()> {
    let path = data.join(BANNED_FILE);
    let old = match read_text(&path, LIST_BYTES_MAX as u64) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            String::from("# Who is shut out: ids, addresses, networks; one a line.")
        }
        read => read?,
    };
    let mut text = String::new();
    for line in old.lines() {
        let word = entry(line.as_bytes()).and_then(|word| str::from_utf8(word).ok());
        if word.and_then(Banned::parse).as_ref() != Some(subject) {
            text.push_str(&[line, "\n"].concat());
        }
    }
    if is_out {
        text.push_str(&[&subject.to_string(), "\n"].concat());
    }
    if text.len() > LIST_BYTES_MAX {
        return Err(ErrorKind::FileTooLarge.into());
    }
    replace(&path, MODE, &text)
}

/// A file of entries, one a line; what stands behind a blank is a comment, as upstream has it.
struct List<'a> {
    path: &'a Path,
    /// What an entry is.
    is: &'a str,
}

impl List<'_> {
    /// Gives each entry to `take`, which returns None for what is none; returns what is wrong.
    fn read(&self, take: &mut dyn FnMut(&str) -> Option<()>) -> Vec<String> {
        let mut wrong = Vec::new();
        if let Err(fault) = self.lines(take, &mut wrong) {
            return vec![fault];
        }
        let name = self.path.display();
        let mut texts = Vec::new();
        for number in wrong.iter().take(NAMED_MAX) {
            texts.push(format!("{name} line {number} must be {}", self.is));
        }
        if let Some(more @ 1..) = wrong.len().checked_sub(NAMED_MAX) {
            texts.push(format!("{name} has {more} more lines like that"));
        }
        texts
    }

    /// Collects the numbers of wrong lines.
    fn lines(
        &self,
        take: &mut dyn FnMut(&str) -> Option<()>,
        wrong: &mut Vec<u32>,
    ) -> Result<(), String> {
        let name = self.path.display();
        let unreadable = |cause| format!("Cannot read {name}: {cause}");
        let file = match open_file(self.path) {
            // A link that leads nowhere is no empty list: its disk may not be mounted.
            Err(error)
                if error.kind() == ErrorKind::NotFound && self.path.symlink_metadata().is_err() =>
            {
                return Ok(());
            }
            opened => opened.map_err(unreadable)?,
        };
        let (mut bytes, mut entries, mut line) = (0, 0, Vec::new());
        let mut file = BufReader::new(file);
        for number in 1.. {
            line.clear();
            // One byte more than there may be, and the end of the last line.
            let read = read_line(&mut file, LIST_BYTES_MAX as u64 + 2, &mut line);
            if read.map_err(unreadable)? == 0 {
                break;
            }
            let line = line.strip_suffix(b"\n").unwrap_or(&line);
            bytes += line.len() + 1;
            let Some(word) = entry(line) else { continue };
            entries += 1;
            if entries > LIST_ENTRIES_MAX || bytes > LIST_BYTES_MAX + 1 {
                break;
            }
            if str::from_utf8(word).ok().and_then(&mut *take).is_none() {
                wrong.push(number);
            }
        }
        if entries > LIST_ENTRIES_MAX || bytes > LIST_BYTES_MAX + 1 {
            return Err(format!(
                "{name} has more than {LIST_ENTRIES_MAX} entries or {LIST_BYTES_MAX} bytes; name \
                 larger networks"
            ));
        }
        Ok(())
    }
}

/// The first word of a line, unless it begins a comment.
fn entry(line: &[u8]) -> Option<&[u8]> {
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    words.next().filter(|word| !word.starts_with(b"#"))
}
