//! The packages for OpenWrt, their scripts, their firewall and the LuCI app: runs `openwrt/*.py`,
//! which have the real program, busybox, nft and Chromium, files of the real apk, and stubs of our
//! own for the rest.

#![allow(clippy::unwrap_used)]

mod python;

use std::path::Path;
use std::sync::Once;

use hbb::store;
use hbb_core::base::peer::{Change, DeviceId, PeerId, PeerKey, Record, RecordState};
use python::passes;

/// Two stores in `HBB_MADE`: one with the ids of openwrt/hostile.txt, which no version lets in any
/// more, and one of many devices.
fn make_stores() {
    static MADE: Once = Once::new();
    MADE.call_once(|| {
        make_store("hostile", &include_str!("openwrt/hostile.txt").replace("\\u202e", "\u{202e}"));
        let many: Vec<String> = (0..1010).map(|at| format!("{}\n", 500_000_000 + at)).collect();
        make_store("many", &many.concat());
    });
}

fn make_store(name: &str, ids: &str) {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name).with_extension("store");
    drop(std::fs::remove_file(&path));
    let record = |id| {
        Change::Put(Record {
            id: PeerId::new(id).unwrap(),
            device: DeviceId::new(b"a device").unwrap(),
            key: PeerKey([7; 32]),
            first_seen_secs: 0,
            state: RecordState::Registered(None),
        })
    };
    let records: Vec<Change> = ids.lines().map(record).collect();
    store::open(&path).unwrap().commit(&records).unwrap();
}

#[test]
fn the_feed_package_and_the_ready_ones_are_the_same() {
    passes("openwrt/packages.py", "Recipe");
}

#[test]
fn upstreams_names_are_a_package_of_their_own() {
    passes("openwrt/packages.py", "Compat");
}

#[test]
fn the_full_package_takes_the_place_of_the_routers() {
    passes("openwrt/packages.py", "Variants");
}

#[test]
fn the_feeds_rules_hold_line_by_line() {
    passes("openwrt/rules.py", "Makefile");
    passes("openwrt/rules.py", "Programs");
    passes("openwrt/rules.py", "Commit");
}

#[test]
fn ipk_packages_are_as_opkg_reads_them() {
    passes("openwrt/packages.py", "Ipk");
}

#[test]
fn apk_packages_are_of_the_third_format() {
    passes("openwrt/packages.py", "Apk");
}

#[test]
fn apk_packages_and_lists_are_those_of_apk_itself() {
    passes("openwrt/reference.py", "Reference");
}

#[test]
fn lists_and_packages_are_signed_if_a_key_is_given() {
    passes("openwrt/signed.py", "Signed");
}

#[test]
fn package_scripts_install_upgrade_and_remove() {
    passes("openwrt/packages.py", "Scripts");
}

#[test]
fn shell_scripts_are_clean() {
    passes("openwrt/packages.py", "Style");
}

#[test]
fn the_init_script_tells_procd_what_it_should() {
    passes("openwrt/init.py", "Init");
}

#[test]
fn what_hbb_full_has_more_is_set_judged_and_kept() {
    passes("openwrt/full.py", "Full");
}

#[test]
fn a_server_that_crashes_again_and_again_waits_longer() {
    passes("openwrt/crashes.py", "Crashes");
}

#[test]
fn what_rustdesk_server_had_is_taken_over_once_and_never_do_both_run() {
    passes("openwrt/former.py", "Former");
}

#[test]
fn firewall_rules_are_those_of_the_chosen_zones() {
    passes("openwrt/firewall.py", "Rules");
}

#[test]
fn packets_pass_in_the_chosen_zone_alone() {
    passes("openwrt/firewall.py", "Packets");
}

#[test]
fn the_luci_app_is_small_and_installs() {
    passes("openwrt/app.py", "Package");
}

#[test]
fn the_rpcd_plugin_answers_as_hbb_and_refuses_the_rest() {
    make_stores();
    passes("openwrt/app.py", "Plugin");
}

#[test]
fn every_text_of_luci_can_be_translated() {
    passes("openwrt/app.py", "Translations");
}

#[test]
fn every_button_of_luci_works_in_a_browser() {
    make_stores();
    passes("openwrt/views.py", "Views");
}

#[test]
fn the_luci_app_of_hbb_full_approves_devices_and_shows_the_log() {
    for tests in ["Package", "Plugin", "Translations", "Views"] {
        passes("openwrt/full_app.py", tests);
    }
}
