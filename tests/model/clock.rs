//! A server whose clocks a test moves, that of the wall and that of the time since start, by the
//! library of the package `faketime`.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// What the clocks of a server read; its file is gone when dropped.
pub(crate) struct Clock {
    file: PathBuf,
    library: PathBuf,
}

static COUNT: AtomicU32 = AtomicU32::new(0);

impl Clock {
    /// `@YYYY-MM-DD hh:mm:ss` is where the wall's begins, `+SECONDS` how far both are ahead.
    pub(crate) fn reading(said: &str) -> Self {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("hbb-clock-{}-{number}", std::process::id());
        let clock = Self { file: std::env::temp_dir().join(name), library: library() };
        clock.set(said);
        clock
    }

    /// From now on they read this.
    pub(crate) fn set(&self, said: &str) {
        let draft = self.file.with_extension("new");
        fs::write(&draft, said).unwrap();
        fs::rename(&draft, &self.file).unwrap();
    }

    /// Both clocks are so far ahead.
    pub(crate) fn ahead(&self, secs: u64) {
        self.set(&format!("+{secs}"));
    }

    /// What a server that goes by them is started behind.
    pub(crate) fn prefix(&self) -> Vec<String> {
        let library = format!("LD_PRELOAD={}", self.library.display());
        let file = format!("FAKETIME_TIMESTAMP_FILE={}", self.file.display());
        ["env".into(), library, file, "FAKETIME_NO_CACHE=1".into()].to_vec()
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.file);
    }
}

fn library() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").unwrap();
    let mut found = folders.map(|folder| {
        let folder = folder.unwrap().path();
        folder.join("faketime/libfaketime.so.1")
    });
    found.find(|path| path.exists()).expect("libfaketime is needed: install the package faketime")
}
