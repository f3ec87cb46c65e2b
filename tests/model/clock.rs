//! A server whose clocks a test moves, that of the wall and those that count from the start, and
//! whose disk takes its time, by a library that it loads first (`clock.c`).

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// What the clocks of a server read; its folder is gone when dropped.
pub(crate) struct Clock(PathBuf);

static COUNT: AtomicU32 = AtomicU32::new(0);

impl Clock {
    /// They read what is true.
    pub(crate) fn new() -> Self {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("hbb-clock-{}-{number}", std::process::id());
        let clock = Self(std::env::temp_dir().join(name));
        let _ = fs::remove_dir_all(&clock.0);
        fs::create_dir(&clock.0).unwrap();
        fs::write(clock.file(), [0; 24]).unwrap();
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/model/clock.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-o"]).arg(clock.library()).arg(source);
        let status = compiler.status().expect("cc is needed: install the package gcc");
        assert!(status.success(), "{compiler:?}");
        clock
    }

    fn file(&self) -> PathBuf {
        self.0.join("ahead")
    }

    fn library(&self) -> PathBuf {
        self.0.join("clock.so")
    }

    /// From now on they are so many seconds ahead, the wall's and the others.
    fn set(&self, wall: i64, since_start: i64) {
        self.write(0, &[wall, since_start]);
    }

    /// From now on what the disk takes is not safe there, or is again.
    pub(crate) fn hold_disk(&self, waits: bool) {
        self.write(2, &[waits.into()]);
    }

    fn write(&self, at: u64, numbers: &[i64]) {
        let file = fs::OpenOptions::new().write(true).open(self.file()).unwrap();
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_ne_bytes()).collect();
        file.write_all_at(&bytes, at * 8).unwrap();
    }

    /// So many seconds have passed.
    pub(crate) fn ahead(&self, secs: u64) {
        let secs = i64::try_from(secs).unwrap();
        self.set(secs, secs);
    }

    /// The wall's was never set: it is January 1970.
    pub(crate) fn unset(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        self.set(345_600 - i64::try_from(now).unwrap(), 0);
    }

    /// What a server that goes by them is started behind.
    pub(crate) fn prefix(&self) -> Vec<String> {
        let library = format!("LD_PRELOAD={}", self.library().display());
        ["env".into(), library, format!("HBB_CLOCK={}", self.file().display())].to_vec()
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
