//! The file of the log of connections, and the thread that writes it: lines are appended in groups,
//! within what may be written in a day, and a file that has grown becomes the one before. C191.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use log::warn;
use rustix::fs::OFlags;

use hbb_core::base::limits::{
    CONNECTION_FILE_BYTES_MAX, CONNECTION_GROUP_BYTES, CONNECTION_GROUP_MS,
    CONNECTION_LINES_WAITING_MAX, CONNECTION_STACK_BYTES,
};

use super::line::lost_line;
use crate::net::clock::Clock;
use crate::net::store::Account;
use crate::net::tasks::queue::{Closed, Receiver, Sender, bounded};
use crate::net::tasks::thread;

/// Read by whoever is in the group of the server.
const MODE: u32 = 0o640;
/// What flash takes for whatever is appended: a block of the file and one of its folder.
const BLOCK_BYTES: u64 = 4096;

/// How many links lead to a file at most.
const LINKS_MAX: usize = 8;

/// A file that lines may be appended to.
#[derive(Clone, Debug)]
pub(crate) struct LogPath(PathBuf);

impl LogPath {
    /// Follows links to what is there, and tries to open it for writing.
    ///
    /// # Errors
    /// What the system says; `InvalidInput` for what is no file; `NotFound` for a link to nowhere.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut file = path.to_path_buf();
        for _ in 0..LINKS_MAX {
            let Ok(target) = fs::read_link(&file) else { break };
            file = file.parent().unwrap_or(Path::new("")).join(target);
            fs::symlink_metadata(&file)?;
        }
        append_to(&file).map(|_| Self(file))
    }

    /// The file before: there is one.
    fn before(&self) -> PathBuf {
        let mut name = OsString::from(self.0.as_os_str());
        name.push(".1");
        name.into()
    }

    /// Appends lines, to a new file if they would make this one too long.
    fn append(&self, text: &str) -> io::Result<()> {
        let mut file = append_to(&self.0)?;
        let length = file.metadata()?.len();
        if length > 0 && length.saturating_add(text.len() as u64) > CONNECTION_FILE_BYTES_MAX {
            fs::rename(&self.0, self.before())?;
            file = append_to(&self.0)?;
        }
        file.write_all(text.as_bytes())?;
        file.sync_data()
    }
}

/// No link is followed any more, and no pipe waited for.
fn append_to(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(MODE)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(ErrorKind::InvalidInput, "it is no file")),
    }
}

/// The thread that writes. It ends when `lines` is closed, having written all.
pub(crate) struct LogWriter {
    /// Takes lines, each with its end.
    pub(crate) lines: Sender<String>,
    /// Closed when all is written.
    pub(crate) done: Receiver<()>,
}

/// Starts the thread.
///
/// # Errors
/// What the system says if it has no thread to give.
pub(crate) fn start(path: LogPath, account: Account, clock: Clock) -> io::Result<LogWriter> {
    let (lines, queue) = bounded(CONNECTION_LINES_WAITING_MAX);
    let (running, done) = bounded(1);
    let wait_ms = CONNECTION_GROUP_MS;
    let mut writing = Writing { path, queue, account, clock, wait_ms, lost: 0 };
    let run = move || {
        while let Some(text) = writing.gather() {
            writing.write(&text);
        }
        drop(running);
    };
    thread::start("log", CONNECTION_STACK_BYTES, Box::new(run))?;
    Ok(LogWriter { lines, done })
}

struct Writing {
    path: LogPath,
    queue: Receiver<String>,
    account: Account,
    clock: Clock,
    /// How long the first line of a group waits for more.
    wait_ms: u64,
    /// Lines that could not be written since the last that were.
    lost: usize,
}

impl Writing {
    /// Waits for a line, then for more until it is time to write; None when there will be none.
    fn gather(&mut self) -> Option<String> {
        let mut text = self.queue.recv_blocking()?;
        let until = self.clock.now().after_ms(self.wait_ms);
        while text.len() < CONNECTION_GROUP_BYTES {
            let left = until.since_ms(self.clock.now());
            match self.queue.recv_within(left) {
                Ok(Some(line)) => text.push_str(&line),
                Ok(None) | Err(Closed) => break,
            }
        }
        Some(text)
    }

    fn write(&mut self, text: &str) {
        let lines = text.lines().count();
        let bytes = (text.len() as u64).div_ceil(BLOCK_BYTES).saturating_add(1) * BLOCK_BYTES;
        if !self.account.spend(bytes) {
            self.lost = self.lost.saturating_add(lines);
            warn!("connection-log-full lines={lines} help=--writes-per-day");
            return;
        }
        match self.path.append(&(lost_line(self.lost) + text)) {
            Ok(()) => self.lost = 0,
            Err(cause) => {
                self.lost = self.lost.saturating_add(lines);
                warn!("connection-log-failed cause='{cause}' lines={lines}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hbb_core::base::limits::WRITES_UNIT_BYTES;
    use hbb_core::base::writes::Writes;

    /// A folder, who writes to `log` in it within a day of 1 MiB, and whom to give lines.
    fn writing(name: &str, clock: Clock) -> (PathBuf, Writing, Sender<String>) {
        let name = format!("hbb-log-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let path = LogPath::open(&folder.join("log")).unwrap();
        let account = Account::new(Writes::new(1), clock);
        let (lines, queue) = bounded(CONNECTION_LINES_WAITING_MAX);
        let wait_ms = CONNECTION_GROUP_MS;
        (folder, Writing { path, queue, account, clock, wait_ms, lost: 0 }, lines)
    }

    /// Five minutes, here less: what comes later is of the next group.
    #[test]
    fn c191_the_first_line_of_a_group_waits_so_long_for_more() {
        let clock = Clock::start();
        let (folder, mut writing, lines) = writing("group", clock);
        writing.wait_ms = 400;
        lines.try_send("a\n".into()).unwrap();
        let later = std::thread::spawn(move || {
            for (ms, line) in [(100, "b\n"), (900, "c\n")] {
                std::thread::sleep(std::time::Duration::from_millis(ms));
                lines.try_send(line.into()).unwrap();
            }
            lines
        });
        let begun = clock.now();
        assert_eq!(writing.gather().as_deref(), Some("a\nb\n"));
        assert!((400..900).contains(&clock.now().since_ms(begun)));
        assert_eq!(writing.gather().as_deref(), Some("c\n"));
        drop(later.join().unwrap());
        assert_eq!(writing.gather(), None);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn c191_a_day_writes_no_more_than_is_left_for_it_and_what_is_lost_is_said() {
        let clock = Clock::start();
        let (folder, mut writing, lines) = writing("budget", clock);
        let path = folder.join("log");
        let shared = writing.account.clone();
        let group = "x".repeat(CONNECTION_GROUP_BYTES - 1) + "\n";
        for _ in 0..100 {
            writing.write(&group);
        }
        let written = fs::metadata(&path).unwrap().len();
        assert!((400_000..WRITES_UNIT_BYTES / 4 * 3).contains(&written), "{written}");
        let lost = writing.lost;
        assert_eq!(lost as u64, 100 - written / group.len() as u64);
        // With more to write it goes on, and says what is missing.
        writing.account = Account::new(Writes::new(8), clock);
        lines.try_send("{}\n".into()).unwrap();
        drop(lines);
        let text = writing.gather().unwrap();
        writing.write(&text);
        assert_eq!(writing.gather(), None);
        let all = fs::read_to_string(&path).unwrap();
        assert!(all.ends_with(&format!("\n{{\"lost\":{lost}}}\n{{}}\n")));
        assert!(!shared.spend(1), "the rest is for registrations");
        fs::remove_dir_all(&folder).unwrap();
    }
}
