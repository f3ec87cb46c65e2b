//! A backup as lines: its version, then under the name of each file its lines behind a mark, under
//! the last names the devices and the rows of accounts, in the end how many of these there are and
//! the SHA-1 of all above, as `head -n -1 FILE | sha1sum` prints it. It finds damage; it proves
//! nobody's hand.

use core::fmt;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};

use sha1_smol::Sha1;

use super::super::exit::Exit;
use super::super::store::STORE_FILE;
use super::unwritten;
use crate::file::read_line;
#[cfg(feature = "accounts")]
use crate::store::parse_row;
use crate::store::{is_forgotten, is_row, parse};
use hbb_core::base::limits::LIST_BYTES_MAX;
use hbb_core::base::peer::{Change, RecordState};

/// What a server has, in the order in which a restore moves it: its store; the files that may be in
/// a backup, of which all but the last are of the server's directory; then what is in the store:
/// the devices, which a backup always has, and the rows of accounts.
const ALL: &[&str] = &[
    STORE_FILE,
    "id_ed25519",
    "id_ed25519.pub",
    "banned.txt",
    "blacklist.txt",
    "blocklist.txt",
    "rules.conf",
    "id_ed25519.old",
    "flags",
    "peers",
    "accounts",
];
/// The parts of a backup, in its order.
const PARTS: &[&str] = ALL.split_at(1).1;
/// Those of them that are files.
pub(in crate::cmd) const FILES: &[&str] = PARTS.split_at(PEERS).0;
/// What is in a server's directory.
pub(super) const PLACES: &[&str] = ALL.split_at(PEERS).0;
/// The place of the devices behind all files.
const PEERS: usize = 8;
const ACCOUNTS: usize = PEERS + 1;
const END: usize = ACCOUNTS + 1;
/// The place of the settings among the files.
pub(super) const FLAGS: usize = PEERS - 1;
/// That of the key before.
pub(super) const OLD_KEY: usize = FLAGS - 1;
/// That of the rules, which end the lists.
pub(super) const RULES: usize = OLD_KEY - 1;
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
/// Bytes that are written at once.
const WRITTEN_BYTES: usize = 16 * 1024;

/// How a part is named.
pub(super) fn name(part: usize) -> &'static str {
    PARTS.get(part).copied().unwrap_or_default()
}

/// What is in one, for people.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    /// Which of [`FILES`], a bit each.
    files: u32,
    pub(super) registered: usize,
    pub(super) forgotten: usize,
    /// Rows that belong to no device.
    rows: usize,
}

impl fmt::Display for Counts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for file in (0..PEERS).filter(|file| self.has(*file)) {
            write!(out, "{}, ", name(file))?;
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

    const fn add_file(&mut self, number: usize) {
        self.files |= 1 << number;
    }

    /// The file of this number is told no more.
    pub(super) const fn leave_out(&mut self, number: usize) {
        self.files &= !(1 << number);
    }

    const fn all(&self) -> usize {
        self.registered + self.forgotten + self.rows
    }

    /// Whether the file of this number is there.
    pub(super) const fn has(&self, number: usize) -> bool {
        self.files >> number & 1 == 1
    }
}

/// Writes one.
pub(super) struct Writer {
    out: File,
    /// What is not written yet.
    text: String,
    /// Of what is.
    sum: Sha1,
    counts: Counts,
}

impl Writer {
    pub(super) fn new(out: File) -> Self {
        Self { out, text: String::new(), sum: Sha1::new(), counts: Counts::default() }
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
        parts.iter().for_each(|part| self.text.push_str(part));
        if self.text.len() < WRITTEN_BYTES { Ok(()) } else { self.write() }
    }

    fn write(&mut self) -> Result<(), Exit> {
        self.sum.update(self.text.as_bytes());
        let written = self.out.write_all(self.text.as_bytes());
        self.text.clear();
        written.map_err(|cause| unwritten(&cause))
    }

    fn begin_part(&mut self, part: usize) -> Result<(), Exit> {
        self.put(&["@", name(part), "\n"])
    }

    /// A file of [`FILES`].
    pub(super) fn file(&mut self, number: usize, text: &str) -> Result<(), Exit> {
        self.counts.add_file(number);
        self.begin_part(number)?;
        text.split('\n').try_for_each(|line| self.put(&["|", line, "\n"]))
    }

    pub(super) fn begin_peers(&mut self) -> Result<(), Exit> {
        self.begin_part(PEERS)
    }

    /// A device's line, with its end; behind the last of them, that of a row.
    pub(super) fn peer(&mut self, line: &str) -> Result<(), Exit> {
        if is_row(line) {
            if self.counts.rows == 0 {
                self.begin_part(ACCOUNTS)?;
            }
            self.counts.rows += 1;
        } else {
            self.counts.add(is_forgotten(line));
        }
        self.put(&["|", line])
    }

    /// Gives the file back as well.
    pub(super) fn end(mut self) -> Result<(Counts, File), Exit> {
        self.put(&[COUNT, &self.counts.all().to_string(), "\n"])?;
        self.write()?;
        let sum = self.sum.digest().to_string();
        self.put(&[SUM, &sum, "\n"])?;
        self.write()?;
        Ok((self.counts, self.out))
    }
}

/// What stands in one, in the order it does.
#[expect(clippy::large_enum_variant, reason = "it is handed on at once")]
pub(super) enum Item<'a> {
    /// A file of [`FILES`] and its text.
    File(usize, &'a str),
    /// A device, or a row that belongs to none.
    Stored(Change),
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
    let mut number = 0;
    loop {
        number += 1;
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
                && count.parse().ok() == Some(self.counts.all());
            self.place = Some(END);
            return if is_right { Ok(()) } else { Err(None) };
        }
        let Some(name) = line.strip_prefix(NAME) else {
            let is_comment = self.place.is_none() && line.starts_with('#');
            return if is_comment { Ok(()) } else { Err(None) };
        };
        let next = PARTS.iter().position(|known| *known == name);
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
                Item::Stored(Change::Put(record))
            }
            #[cfg(feature = "accounts")]
            Some(ACCOUNTS) => {
                self.counts.rows += 1;
                Item::Stored(Change::Rows(vec![parse_row(content).ok_or(None)?]))
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
