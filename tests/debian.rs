//! The packages for Debian of the binaries in dist/: runs `debian/*.py`, which have Debian's own
//! checkers, clean systems by debootstrap and a booted one by systemd-nspawn. Needs root.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;

/// Runs the tests of one class; what they print is shown if one fails.
#[track_caller]
fn passes(script: &str, tests: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/debian").join(script);
    let output = Command::new("python3").arg(path).arg(tests).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stdout));
    assert!(!said.contains("Ran 0 tests"), "{tests} is empty");
}

#[test]
fn packages_hold_what_they_should() {
    passes("packages.py", "Contents");
}

#[test]
fn debians_checkers_are_content() {
    passes("packages.py", "Checkers");
}

#[test]
fn an_image_is_made_without_systemd() {
    passes("machine.py", "Chroot");
}

#[test]
fn a_booted_system_runs_it_confined() {
    passes("machine.py", "Booted");
}

#[test]
fn the_hosted_workflow_is_clean() {
    passes("hosted.py", "Workflow");
}

#[test]
fn the_container_names_what_is_there() {
    passes("container.py", "Container");
}
