//! The server's key: its files (C74), the table of `--key` (C75), what clients import (C77).

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hbb::cli::ServeFlags;
use hbb::cmd::export::{Handout, config_string};
use hbb::cmd::keygen::{load_or_create, policy};
use hbb::cmd::{Exit, ExitReason};
use hbb::config::Config;
use hbb_core::identity::{KeyPolicy, ServerKey};

use crate::half_minute::Watch;

const SECRET: &str =
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8DoQe/884Qvh1w3RjnS8CZZ+TWMJulDV8d3IZkElUxuA==";
const PUBLIC: &str = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";

/// An empty folder of its own, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("keys-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn with(files: &[(&str, &str)]) -> Self {
        let folder = Self::new();
        for (name, text) in files {
            fs::write(folder.0.join(name), text).unwrap();
        }
        folder
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap()
    }

    /// The names of the files inside, in order.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn policy(&self, key: Option<&str>, role: &str) -> Result<KeyPolicy, Exit> {
        let flags = ServeFlags {
            data: Some(self.0.to_str().unwrap().into()),
            key: key.map(Into::into),
            role: Some(role.into()),
            ..ServeFlags::default()
        };
        policy(&Config::new(&Arc::new(flags), None).unwrap())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// What the start says to these files; it must leave them as they are.
fn refused(files: &[(&str, &str)]) -> Exit {
    let folder = Folder::with(files);
    let before = folder.names();
    let exit = load_or_create(&folder.0).unwrap_err();
    assert_eq!(folder.names(), before);
    for (name, text) in files {
        assert_eq!(folder.read(name), *text);
    }
    assert_eq!(exit.reason(), ExitReason::Unusable, "{}", exit.message());
    exit
}

#[test]
fn c074_malformed_secret_is_refused_and_kept() {
    let cut = &SECRET.as_bytes()[..40];
    for text in ["", "\n", "not a key", std::str::from_utf8(cut).unwrap()] {
        let exit = refused(&[("id_ed25519", text)]);
        assert!(exit.message().contains("is damaged"), "{}", exit.message());
    }
    let exit = refused(&[("id_ed25519", PUBLIC)]);
    assert!(exit.message().contains("is no key of ours"), "{}", exit.message());
    let swapped = SECRET.replace("AAEC", "BAEC");
    assert!(refused(&[("id_ed25519", &swapped)]).message().contains("does not belong"));
    assert!(refused(&[("id_ed25519", &"A".repeat(20_000))]).message().contains("too large"));
}

#[test]
fn c074_unreadable_secret_is_refused_and_kept() {
    let folder = Folder::new();
    fs::create_dir(folder.0.join("id_ed25519")).unwrap();
    assert_eq!(load_or_create(&folder.0).unwrap_err().code(), 3);
    assert_eq!(folder.names(), ["id_ed25519"]);
    let folder = Folder::new();
    std::os::unix::fs::symlink("nowhere", folder.0.join("id_ed25519")).unwrap();
    assert!(load_or_create(&folder.0).unwrap_err().message().contains("cannot be read"));
    let folder = Folder::new();
    fs::write(folder.0.join("id_ed25519"), [0xff; 88]).unwrap();
    assert!(load_or_create(&folder.0).unwrap_err().message().contains("cannot be read"));
}

#[test]
fn c074_lost_secret_is_not_replaced() {
    assert!(refused(&[("id_ed25519.pub", PUBLIC)]).message().contains("from a backup"));
}

#[test]
fn c074_missing_folder_is_not_made() {
    let folder = Folder::new();
    let exit = load_or_create(&folder.0.join("typo")).unwrap_err();
    assert!(exit.message().contains("--data"), "{}", exit.message());
    assert!(folder.names().is_empty());
}

#[test]
fn c074_fresh_start_writes_both_files_and_restart_keeps_them() {
    let folder = Folder::new();
    let key = load_or_create(&folder.0).unwrap();
    assert_eq!(folder.names(), ["id_ed25519", "id_ed25519.pub"]);
    let (secret, public) = (folder.read("id_ed25519"), folder.read("id_ed25519.pub"));
    assert_eq!((secret.len(), public.len()), (88, 44));
    assert_eq!((secret.as_str(), public.as_str()), (&*key.secret_text(), &*key.public_text()));
    assert!(!public.contains('/'));
    let mode = fs::metadata(folder.0.join("id_ed25519")).unwrap().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(load_or_create(&folder.0).unwrap(), key);
    assert_eq!((folder.read("id_ed25519"), folder.read("id_ed25519.pub")), (secret, public));
}

#[test]
fn c074_existing_files_load_however_padded() {
    for text in [SECRET.to_owned(), format!("{SECRET}\n"), SECRET.replace('=', "")] {
        let folder = Folder::with(&[("id_ed25519", &text), ("id_ed25519.pub", PUBLIC)]);
        assert_eq!(load_or_create(&folder.0).unwrap().public_text(), PUBLIC);
        assert_eq!(folder.read("id_ed25519"), text);
    }
}

#[test]
fn c074_public_file_follows_the_secret() {
    for files in [&[("id_ed25519", SECRET)][..], &[("id_ed25519", SECRET), ("id_ed25519.pub", "")]]
    {
        let folder = Folder::with(files);
        load_or_create(&folder.0).unwrap();
        assert_eq!(folder.read("id_ed25519.pub"), PUBLIC);
    }
}

#[test]
fn c074_starts_at_the_same_moment_agree_on_one_key() {
    let folder = Folder::new();
    let keys: Vec<ServerKey> = std::thread::scope(|scope| {
        let starts: Vec<_> =
            (0..8).map(|_| scope.spawn(|| load_or_create(&folder.0).unwrap())).collect();
        starts.into_iter().map(|start| start.join().unwrap()).collect()
    });
    assert!(keys.iter().all(|key| *key == keys[0]));
    assert_eq!(folder.read("id_ed25519"), keys[0].secret_text());
}

#[test]
fn c074_start_waits_for_a_key_that_is_being_made() {
    let folder = Folder::with(&[("id_ed25519.new", SECRET)]);
    let draft = fs::File::open(folder.0.join("id_ed25519.new")).unwrap();
    draft.lock().unwrap();
    let key = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(300));
            fs::rename(folder.0.join("id_ed25519.new"), folder.0.join("id_ed25519")).unwrap();
        });
        load_or_create(&folder.0).unwrap()
    });
    assert_eq!(key.secret_text(), SECRET);
    assert_eq!(folder.read("id_ed25519"), SECRET);
}

#[test]
fn c074_power_cut_while_writing_leaves_no_half_key() {
    let folder = Folder::with(&[("id_ed25519.new", "AAEC"), ("id_ed25519.pub.new", "A6")]);
    let watch = Watch::start();
    let key = load_or_create(&folder.0).unwrap();
    assert!(watch.secs() < 1.0, "nobody was making one, and it waited {} s", watch.secs());
    assert_eq!(folder.names(), ["id_ed25519", "id_ed25519.pub"]);
    assert_eq!(folder.read("id_ed25519"), key.secret_text());
}

#[test]
fn c075_row_not_given_and_dash_sign_and_enforce() {
    for key in [None, Some("-"), Some("_")] {
        let folder = Folder::new();
        let policy = folder.policy(key, "all").unwrap();
        let public = folder.read("id_ed25519.pub");
        assert_eq!(policy.signing.unwrap().public_text(), public, "{key:?}");
        assert_eq!(policy.enforced.as_deref(), Some(&*public), "{key:?}");
    }
}

#[test]
fn c075_row_empty_signs_without_enforcing() {
    let folder = Folder::new();
    let policy = folder.policy(Some(""), "all").unwrap();
    assert_eq!(policy.signing.unwrap().public_text(), folder.read("id_ed25519.pub"));
    assert_eq!(policy.enforced, None);
}

#[test]
fn c075_row_secret_text_leaves_the_files_alone() {
    for files in [&[][..], &[("id_ed25519", "damaged")]] {
        let folder = Folder::with(files);
        let policy = folder.policy(Some(SECRET), "all").unwrap();
        assert_eq!(policy.signing.unwrap().secret_text(), SECRET);
        assert_eq!(policy.enforced.as_deref(), Some(PUBLIC));
        assert_eq!(folder.names().len(), files.len());
    }
    let exit = Folder::new().policy(Some(&SECRET.replace("AAEC", "BAEC")), "all").unwrap_err();
    assert_eq!(exit.reason(), ExitReason::Flags);
}

#[test]
fn c075_row_other_text_is_enforced_and_nothing_signed() {
    for word in [PUBLIC, "a word", "--", "A6EH"] {
        let folder = Folder::new();
        let expected = KeyPolicy { signing: None, enforced: Some(word.into()), old: None };
        assert_eq!(folder.policy(Some(word), "all"), Ok(expected));
        assert!(folder.names().is_empty());
    }
}

/// Upstream's relay without a key serves anybody; ours wants that said.
#[test]
fn c075_relay_alone_makes_no_key_of_its_own() {
    let folder = Folder::new();
    assert_eq!(folder.policy(None, "relay").unwrap_err().reason(), ExitReason::Flags);
    let open = KeyPolicy { signing: None, enforced: None, old: None };
    assert_eq!(folder.policy(Some(""), "relay"), Ok(open));
    assert!(folder.names().is_empty());
    let folder = Folder::with(&[("id_ed25519", SECRET)]);
    assert_eq!(folder.policy(None, "relay").unwrap().enforced.as_deref(), Some(PUBLIC));
}

fn handout(host: &str, relay: &str, api: &str, key: &str) -> Handout {
    let [host, relay, api, key] = [host, relay, api, key].map(Into::into);
    Handout { host, relay, api, key }
}

#[test]
fn c077_config_string_vectors() {
    let smallest = handout("192.0.2.10", "", "", PUBLIC);
    assert_eq!(
        config_string(&smallest.json()),
        "0nI9cmYNZlSCp1R5RGSmFTUwJ2QqFzamdVbBZHM1kFMONGZ0wURPB1L2hUR2EkI6ISeltmIsICMx4iMuAjLykTMio\
         jI0N3boJye"
    );
    let empty_members =
        format!(r#"{{"host":"hbbs.example.com","relay":"","api":"","key":"{PUBLIC}"}}"#);
    assert_eq!(
        config_string(&empty_members),
        "Qfi0zZi1kVKJkWHlHZIZWMRBnYDpWMrZ2VtFkdwUTWw40YkRDTF9EUvYHSFZTQiojI5V2aiwiIiojIpBXYiwiIio\
         jI5FGblJnIsISbvNmLlxGctFGel5yciJGaiojI0N3boJye"
    );
    let host = "hbbs.example.com";
    let full = handout(host, "hbbs.example.com:21117", "http://hbbs.example.com:21114", PUBLIC);
    assert_eq!(
        config_string(&full.json()),
        "Qfi0zZi1kVKJkWHlHZIZWMRBnYDpWMrZ2VtFkdwUTWw40YkRDTF9EUvYHSFZTQiojI5V2aiwiI0ETMxIjOt92YuU\
         Gbw1WY4VmLzJmYo9yL6AHd0hmI6ISawFmIsIyNxETMyoTbvNmLlxGctFGel5yciJGaiojI5FGblJnIsISbvNmLlx\
         GctFGel5yciJGaiojI0N3boJye"
    );
    assert_eq!(
        handout(host, "", "", PUBLIC).qr_text(),
        format!(r#"config={{"host":"hbbs.example.com","key":"{PUBLIC}"}}"#)
    );
}

#[test]
fn c077_no_config_string_holds_padding_or_two_dashes() {
    for length in 0..6 {
        for c in (' '..='~').chain(['\u{fb}', '\u{ffbe}', '\u{1f511}']) {
            let key = format!("{}{c}{c}{c}{c}", "k".repeat(length));
            let text = config_string(&handout("h", "", "", &key).json());
            assert!(!text.contains('=') && !text.contains("--"), "{key}");
        }
    }
}
