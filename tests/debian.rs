//! The packages for Debian of the binaries in dist/: runs `debian/*.py`, which have Debian's own
//! checkers, clean systems by debootstrap and a booted one by systemd-nspawn. Needs root.

#![allow(clippy::unwrap_used)]

mod python;

use python::passes;

#[test]
fn packages_hold_what_they_should() {
    passes("debian/packages.py", "Contents");
}

#[test]
fn debians_checkers_are_content() {
    passes("debian/packages.py", "Checkers");
}

#[test]
fn an_image_is_made_without_systemd() {
    passes("debian/machine.py", "Chroot");
}

#[test]
fn a_booted_system_runs_it_confined() {
    passes("debian/machine.py", "Booted");
}

#[test]
fn upstreams_units_run_beside_each_other() {
    passes("debian/machine.py", "Units");
}

#[test]
fn the_hosted_workflow_is_clean() {
    passes("debian/hosted.py", "Workflow");
}

#[test]
fn a_release_is_whole_signed_and_billed() {
    passes("debian/release.py", "Release");
}

#[test]
fn the_container_names_what_is_there() {
    passes("debian/container.py", "Container");
}

#[test]
fn the_container_runs_under_an_engine() {
    passes("debian/container.py", "Engine");
}
