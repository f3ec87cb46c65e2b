//! The packages for OpenWrt, their scripts, their firewall and the LuCI app: runs `openwrt/*.py`,
//! which have the real program, busybox, nft and Chromium, and stubs of our own for the rest.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;

/// Runs the tests of one script; what they print is shown if one fails.
#[track_caller]
fn passes(script: &str, tests: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openwrt").join(script);
    let mut command = Command::new("python3");
    command.arg(path).arg(tests).env("HBB_BIN", env!("CARGO_BIN_EXE_hbb"));
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stdout));
    assert!(!said.contains("Ran 0 tests"), "{tests} is empty");
}

#[test]
fn the_feed_package_and_the_ready_ones_are_the_same() {
    passes("packages.py", "Recipe");
}

#[test]
fn ipk_packages_are_as_opkg_reads_them() {
    passes("packages.py", "Ipk");
}

#[test]
fn apk_packages_are_of_the_third_format() {
    passes("packages.py", "Apk");
}

#[test]
fn package_scripts_install_upgrade_and_remove() {
    passes("packages.py", "Scripts");
}

#[test]
fn shell_scripts_are_clean() {
    passes("packages.py", "Style");
}

#[test]
fn the_init_script_tells_procd_what_it_should() {
    passes("init.py", "Init");
}

#[test]
fn firewall_rules_are_those_of_the_chosen_zones() {
    passes("firewall.py", "Rules");
}

#[test]
fn packets_pass_in_the_chosen_zone_alone() {
    passes("firewall.py", "Packets");
}

#[test]
fn the_luci_app_is_small_and_installs() {
    passes("app.py", "Package");
}

#[test]
fn the_rpcd_plugin_answers_as_hbb_and_refuses_the_rest() {
    passes("app.py", "Plugin");
}

#[test]
fn every_text_of_luci_can_be_translated() {
    passes("app.py", "Translations");
}

#[test]
fn every_button_of_luci_works_in_a_browser() {
    passes("views.py", "Views");
}
