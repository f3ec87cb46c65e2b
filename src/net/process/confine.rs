//! What this process gives up before strangers reach it: new privileges, core dumps, being read by
//! others of its user, changing files outside a few folders, all system calls but those of
//! `calls.rs`. What the kernel or a container does not let it give up, it keeps, and says so.
//! Checks: tests/confined.rs.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, AccessFs, PathBeneath, PathFd, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _,
    RulesetError, RulesetStatus,
};
use log::info;
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use rustix::thread::set_no_new_privs;

#[cfg(target_endian = "little")]
use super::calls;
use super::user::give_up_capabilities;
use crate::file::followed;

/// What is given up already.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Confinement {
    privileges: bool,
    dumps: bool,
    files: bool,
}

impl Confinement {
    /// Gives up what a start needs no longer. Only threads that start later are held to the
    /// `folders`: no file outside them, and outside the folder that holds the file of a link among
    /// `files`, is made, changed or removed.
    pub(crate) fn begin(folders: &[&Path], files: &[PathBuf]) -> Self {
        let no_core = Rlimit { current: Some(0), maximum: Some(0) };
        // Some supervisors forbid it; who is not dumpable leaves no core either.
        let _ = setrlimit(Resource::Core, no_core);
        let mut open = Vec::new();
        for folder in folders {
            open.push(folder.to_path_buf());
        }
        for file in files.iter().filter(|file| file.exists()) {
            open.extend(followed(file).parent().map(Path::to_path_buf));
        }
        Self {
            privileges: set_no_new_privs(true).is_ok(),
            dumps: set_dumpable_behavior(DumpableBehavior::NotDumpable).is_ok(),
            files: confine_files(&open).unwrap_or(false),
        }
    }

    /// Every port is open and every thread started: gives up the rest, and says what holds.
    pub(crate) fn finish(self) {
        give_up_capabilities();
        #[cfg(target_endian = "little")]
        let calls = calls::only_listed();
        #[cfg(target_endian = "big")]
        let calls = false;
        let word = |holds| if holds { "yes" } else { "no" };
        let Self { privileges, dumps, files } = self;
        info!(
            "confined privileges={} dumps={} files={} calls={}",
            word(privileges),
            word(dumps),
            word(files),
            word(calls)
        );
    }
}

/// True if the kernel obeys, be it an old one that leaves some of it out.
fn confine_files(folders: &[PathBuf]) -> Result<bool, RulesetError> {
    let changes = AccessFs::from_write(ABI::V3);
    let mut rules = Ruleset::default().handle_access(changes)?.create()?;
    // Where other programs' words go.
    let nowhere = (Path::new("/dev/null"), AccessFs::WriteFile.into());
    let mut allowed = vec![nowhere];
    allowed.extend(folders.iter().map(|folder| (&**folder, changes)));
    for (place, access) in allowed {
        let place = if place.as_os_str().is_empty() { Path::new(".") } else { place };
        // One that is not there is somebody else's to name.
        if let Ok(place) = PathFd::new(place) {
            rules = rules.add_rule(PathBeneath::new(place, access))?;
        }
    }
    Ok(rules.restrict_self()?.ruleset != RulesetStatus::NotEnforced)
}
