//! A backup as lines: its version, then under the name of each file its lines behind a mark, under
//! the last names the devices and the rows of accounts, in the end how many of these there are and
//! the SHA-1 of all above, as `head -n -1 FILE | sha1sum` prints it. It finds damage; it proves
//! nobody's hand.

use core::fmt;
use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};

use sha1_smol::Sha1;

use super::super::exit::Exit;
use super::unwritten;
use crate::file::read_line;
#[cfg(feature = "accounts")]
use crate::store::parse_row;
use crate::store::{is_forgotten, is_row, parse};
use hbb_core::base::limits::LIST_BYTES_MAX;
use hbb_core::base::peer::{Record, RecordState};
#[cfg(feature = "accounts")]
use hbb_core::base::rows::RowChange;

/// The files that may be in it, in this order: all but the last are of the server's directory.
pub(in crate::cmd) const FILES: [&str; 8] = [
    "id_ed25519",
    "id_ed25519.pub",
    "banned.txt",
    "blacklist.txt",
    "blocklist.txt",
    "rules.conf",
    "id_ed25519.old",
    "flags",
];
/// The place of the settings in that list.
pub(super) const FLAGS: usize = FILES.len() - 1;
/// That of the key before.
pub(super) const OLD_KEY: usize = FLAGS - 1;
/// That of the rules, which end the lists.
pub(super) const RULES: usize = OLD_KEY - 1;
/// What may come behind the files: the devices, which always do, and the rows of accounts.
const MORE: [&str; 2] = ["peers", "accounts"];
/// The place of the devices behind all that may come before.
const PEERS: usize = FILES.len();
const ACCOUNTS: usize = PEERS + 1;
const END: usize = ACCOUNTS + 1;
/// What stands before the version.
const MAGIC: &str = "hbb backup ";
/// The version that is written, and read.
const VERSION: &str = "2";
/// The one before, which knew no rules, and is read too.
const WITHOUT_RULES: &str = "1";
/// What begins the name of a part.
const NAME: char = '@';
/// What begins a line of it.
const CONTENT: char = '|';
const COUNT: &str = "@end ";
const SUM: &str = "@sha1 ";
/// A list may be one long line.
pub(super) const LINE_BYTES_MAX: u64 = LIST_BYTES_MAX as u64 + 16;

/// What is in one, for people.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    /// Which of [`FILES`].
    files: [bool; FILES.len()],
    pub(super) registered: usize,
    pub(super) forgotten: usize,
    /// Rows that belong to no device.
    rows: usize,
}

impl fmt::Display for Counts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, _) in FILES.iter().zip(&self.files).filter(|(_, is_there)| **is_there) {
            write!(out, "{name}, ")?;
        }
        write!(out, "{} devices", self.registered)?;
        if self.forgotten > 0 {
            write!(out, " and {} that were forgotten", self.forgotten)?;
        }
        if self.rows > 0 {
            out.write_str(", and the accounts")?;
        }
        Ok(())
    }
}

impl Counts {
    /// Counts a device.
    fn add(&mut self, is_forgotten: bool) {
        *if is_forgotten { &mut self.forgotten } else { &mut self.registered } += 1;
    }

    fn add_file(&mut self, number: usize) {
        if let Some(is_there) = self.files.get_mut(number) {
            *is_there = true;
        }
    }

    /// The file of this number is told no more.
    pub(super) fn leave_out(&mut self, number: usize) {
        if let Some(is_there) = self.files.get_mut(number) {
            *is_there = false;
        }
    }

    const fn all(&self) -> usize {
        self.registered + self.forgotten + self.rows
    }

    /// Whether the file of this number is there.
    pub(super) fn has(&self, number: usize) -> bool {
        self.files.get(number) == Some(&true)
    }
}

/// Writes one.
pub(super) struct Writer {
    out: BufWriter<File>,
    sum: Sha1,
    counts: Counts,
}

impl Writer {
    pub(super) fn new(out: File) -> Self {
        Self { out: BufWriter::new(out), sum: Sha1::new(), counts: Counts::default() }
    }

    pub(super) fn begin(&mut self, now: &str) -> Result<(), Exit> {
        self.put(&[
            MAGIC,
            VERSION,
            "\n# of ",
            now,
            " UTC, for 'hbb restore'; it holds the secret key\n",
        ])
    }

    fn put(&mut self, parts: &[&str]) -> Result<(), Exit> {
        for part in parts {
            self.sum.update(part.as_bytes());
            self.out.write_all(part.as_bytes()).map_err(|cause| unwritten(&cause))?;
        }
        Ok(())
    }

    /// A file of [`FILES`].
    pub(super) fn file(&mut self, number: usize, text: &str) -> Result<(), Exit> {
        self.counts.add_file(number);
        self.put(&["@", FILES.get(number).copied().unwrap_or_default(), "\n"])?;
        text.split('\n').try_for_each(|line| self.put(&["|", line, "\n"]))
    }

    pub(super) fn begin_peers(&mut self) -> Result<(), Exit> {
        self.put(&["@", MORE[0], "\n"])
    }

    /// A device's line, with its end; behind the last of them, that of a row.
    pub(super) fn peer(&mut self, line: &str) -> Result<(), Exit> {
        if is_row(line) {
            if self.counts.rows == 0 {
                self.put(&["@", MORE[1], "\n"])?;
            }
            self.counts.rows += 1;
        } else {
            self.counts.add(is_forgotten(line));
        }
        self.put(&["|", line])
    }

    pub(super) fn end(&mut self) -> Result<Counts, Exit> {
        self.put(&[COUNT, &self.counts.all().to_string(), "\n"])?;
        let sum = self.sum.digest().to_string();
        self.put(&[SUM, &sum, "\n"])?;
        self.out.flush().map_err(|cause| unwritten(&cause))?;
        Ok(self.counts)
    }
}

/// What stands in one, in the order it does.
pub(super) enum Item<'a> {
    /// A file of [`FILES`] and its text.
    File(usize, &'a str),
    /// A device.
    Peer(Record),
    /// A row that belongs to none.
    #[cfg(feature = "accounts")]
    Row(RowChange),
}

/// Who is given that.
pub(super) type EachItem<'e> = dyn FnMut(Item<'_>) -> Result<(), Exit> + 'e;

/// Gives `each` what is in a backup.
///
/// # Errors
/// What is wrong with it; `each` may have been given all of it by then.
pub(super) fn read(from: &mut BufReader<File>, each: &mut EachItem<'_>) -> Result<Counts, Exit> {
    let mut reader = Reader::default();
    let (mut sum, mut buffer) = (Sha1::new(), Vec::new());
    for number in 1_u32.. {
        buffer.clear();
        let read = read_line(from, LINE_BYTES_MAX, &mut buffer);
        read.map_err(|cause| Exit::running(format!("Cannot read the backup: {cause}.")))?;
        let line = buffer.strip_suffix(b"\n").and_then(|line| str::from_utf8(line).ok());
        if number == 1 {
            check_version(line.and_then(|line| line.strip_prefix(MAGIC)))?;
        } else {
            let line = line.ok_or_else(|| broken("cut short", number))?;
            let damaged = || broken("damaged", number);
            if let Some(told) = line.strip_prefix(SUM) {
                let whole = reader.place == Some(END) && told == sum.digest().to_string();
                let is_last = from.fill_buf().is_ok_and(<[u8]>::is_empty);
                return if whole && is_last { Ok(reader.counts) } else { Err(damaged()) };
            }
            reader.take(line, each).map_err(|wrong| wrong.unwrap_or_else(damaged))?;
        }
        sum.update(&buffer);
    }
    Err(foreign())
}

#[derive(Default)]
struct Reader {
    /// Which part is read, the files being the first; None before all of them.
    place: Option<usize>,
    /// What was read of a file, each line with its end.
    text: String,
    counts: Counts,
}

impl Reader {
    /// Takes a line; it is not as it should be, or `each` has its reasons.
    fn take(&mut self, line: &str, each: &mut EachItem<'_>) -> Result<(), Option<Exit>> {
        if let Some(content) = line.strip_prefix(CONTENT) {
            return self.content(content, each);
        }
        if let Some(count) = line.strip_prefix(COUNT) {
            let is_right = matches!(self.place, Some(PEERS | ACCOUNTS))
                && count == self.counts.all().to_string();
            self.place = Some(END);
            return if is_right { Ok(()) } else { Err(None) };
        }
        let Some(name) = line.strip_prefix(NAME) else {
            let is_comment = self.place.is_none() && line.starts_with('#');
            return if is_comment { Ok(()) } else { Err(None) };
        };
        let next = FILES.iter().chain(&MORE).position(|known| *known == name);
        let is_due = self.place < next && (next != Some(ACCOUNTS) || self.place == Some(PEERS));
        if !is_due {
            return Err(None);
        }
        if cfg!(not(feature = "accounts")) && next == Some(ACCOUNTS) {
            return Err(Some(Exit::unusable(
                "This backup holds accounts, which this hbb does not have: restore it with one \
                 that does, such as OpenWrt's hbb-full. Nothing was changed.",
            )));
        }
        self.end_file(each).map_err(Some)?;
        self.place = next;
        Ok(())
    }

    /// Takes a line of the part that is read.
    fn content(&mut self, content: &str, each: &mut EachItem<'_>) -> Result<(), Option<Exit>> {
        let item = match self.place {
            Some(..PEERS) => {
                self.text.push_str(content);
                self.text.push('\n');
                let is_short = self.text.len() <= LIST_BYTES_MAX + 1;
                return if is_short { Ok(()) } else { Err(None) };
            }
            Some(PEERS) => {
                let record = parse(content).ok().flatten().ok_or(None)?;
                self.counts.add(matches!(record.state, RecordState::Forgotten(_)));
                Item::Peer(record)
            }
            #[cfg(feature = "accounts")]
            Some(ACCOUNTS) => {
                self.counts.rows += 1;
                Item::Row(parse_row(content).ok_or(None)?)
            }
            _ => return Err(None),
        };
        each(item).map_err(Some)
    }

    /// Gives the file that was read, if one was.
    fn end_file(&mut self, each: &mut EachItem<'_>) -> Result<(), Exit> {
        let Some(number @ ..PEERS) = self.place else { return Ok(()) };
        self.counts.add_file(number);
        // An end of line more than there was.
        self.text.pop();
        each(Item::File(number, &core::mem::take(&mut self.text)))
    }
}

/// Refuses what is no backup, or one of a version that is not known here.
fn check_version(version: Option<&str>) -> Result<(), Exit> {
    match version {
        Some(VERSION | WITHOUT_RULES) => Ok(()),
        Some(other) if other.parse::<u32>().is_ok() => Err(Exit::unusable(format!(
            "This backup has the form {other}, of a newer version of hbb; this one reads \
             {VERSION}. Restore it with that version. Nothing was changed."
        ))),
        _ => Err(foreign()),
    }
}

fn foreign() -> Exit {
    Exit::unusable("This is no backup that 'hbb backup' made. Nothing was changed.")
}

fn broken(how: &str, line: u32) -> Exit {
    Exit::unusable(format!(
        "This backup is {how} at line {line}. Take another one. Nothing was changed."
    ))
}
