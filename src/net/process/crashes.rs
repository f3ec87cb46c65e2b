//! Bad ends in a row, and the pause before the start after them: for a supervisor that starts a
//! server again for ever and knows one pause, as procd does. Its start script leaves an empty file
//! beside the control socket; where there is none nothing is counted, and no start waits.
//! Checks: tests/openwrt/crashes.py.

use std::path::{Path, PathBuf};
use std::time::Duration;

use log::warn;

use super::signal::Reloads;
use crate::file;
use crate::net::clock::monotonic_us;

/// The file's name in the folder of the control socket.
const CRASHES_FILE: &str = "bad-ends";
/// Longest text that is read: two numbers.
const TEXT_BYTES_MAX: u64 = 64;
/// What the supervisor waits by itself, in seconds; twice as much with each end after the first.
const FIRST_SECS: u64 = 5;
/// The longest the two wait together.
const PAUSE_SECS_MAX: u64 = 300;
/// Who served for so long begins anew.
const SERVED_SECS_MIN: u64 = 3_600;

/// Where the count is kept.
pub(crate) struct Crashes {
    file: PathBuf,
    ended_badly: u32,
}

impl Crashes {
    /// Counts this start, which is a bad end until [`Self::forget`]; None if nobody wants that.
    pub(crate) fn count(folder: &Path) -> Option<Self> {
        let file = folder.join(CRASHES_FILE);
        let text = file::read_text(&file, TEXT_BYTES_MAX).ok()?;
        let now = monotonic_us() / 1_000_000;
        let ended_badly = before(&text, now);
        let served_from = now + pause_secs(ended_badly);
        // Replaced, as it may be root's and the folder ours. Not counted is not waited for.
        let counted = format!("{} {served_from}", ended_badly.saturating_add(1));
        let _ = file::replace(&file, 0o600, &counted);
        Some(Self { file, ended_badly })
    }

    /// Waits as long as is due; true if it was told to end meanwhile. A reload ends the wait.
    pub(crate) fn pause(&self, signals: &Reloads) -> bool {
        let secs = pause_secs(self.ended_badly);
        if secs == 0 {
            return false;
        }
        warn!("start-delayed bad-ends={} secs={secs}", self.ended_badly);
        signals.pause(Duration::from_secs(secs)).unwrap_or(false)
    }

    /// The end that comes now is a good one.
    pub(crate) fn forget(&self) {
        let _ = file::replace(&self.file, 0o600, "");
    }
}

/// Bad ends in a row: none after an hour of service, nor before the machine's last boot.
fn before(text: &str, now_secs: u64) -> u32 {
    let (count, from) = text.split_once(' ').unwrap_or_default();
    let (count, from) = (count.parse().unwrap_or(0), from.parse().unwrap_or(0));
    let served = now_secs.checked_sub(from);
    // It ends in its pause, too.
    let waits = from.saturating_sub(now_secs) <= PAUSE_SECS_MAX;
    if served.map_or(waits, |secs| secs < SERVED_SECS_MIN) { count } else { 0 }
}

/// What is left to wait after the supervisor has waited.
fn pause_secs(ended_badly: u32) -> u64 {
    let doublings = ended_badly.saturating_sub(1).min(10);
    (FIRST_SECS << doublings).min(PAUSE_SECS_MAX) - FIRST_SECS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_five_minutes() {
        let all: Vec<u64> = (0..9).map(pause_secs).collect();
        assert_eq!(all, [0, 0, 5, 15, 35, 75, 155, 295, 295]);
        assert_eq!(pause_secs(u32::MAX), 295);
    }

    #[test]
    fn an_hour_of_service_or_a_boot_begins_anew_and_no_text_counts_for_more() {
        assert_eq!(before("3 1000", 1000), 3);
        assert_eq!(before("3 1000", 4599), 3);
        assert_eq!(before("3 1000", 4600), 0, "an hour of service");
        assert_eq!(before("7 1295", 1000), 7, "it ended in its pause");
        assert_eq!(before("7 90000", 20), 0, "before the last boot");
        for text in ["", "3", "x 1", "-1 5", "99999999999 5", " "] {
            assert_eq!(before(text, 10), 0, "{text}");
        }
    }
}
