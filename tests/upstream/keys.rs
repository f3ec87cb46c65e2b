//! The keys of upstream's programs: pairs that are made and checked, and those of compose files.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use super::{Folder, Program, free_ports, said};

/// Of the seed 00 01 .. 1f.
pub(super) const SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8DoQe/884Qvh1w3RjnS8CZ\
                                 Z+TWMJulDV8d3IZkElUxuA==";
const PUBLIC: &str = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";

#[test]
fn key_pairs_are_made_and_checked() {
    let folder = Folder::new("keys");
    let made = said(&folder.output("rustdesk-utils", &["genkeypair"]), 0);
    let keys: Vec<_> = made.lines().map(|line| line.split_whitespace().last().unwrap()).collect();
    assert!(made.starts_with("Public Key:  ") && made.contains("\nSecret Key:  "));
    let check = |keys: &[&str], code| {
        said(&folder.output("rustdesk-utils", &[&["validatekeypair"], keys].concat()), code)
    };
    assert!(check(&[keys[0], keys[1]], 0).contains("VALID"));
    assert!(check(&[keys[1], keys[1]], 1).contains("another public key"));
    assert!(check(&[keys[0], "none"], 1).starts_with("The secret key: "));
    assert!(check(&[keys[0]], 1).starts_with("Usage"));
    said(&folder.output("hbbs", &["-g"]), 0);
    assert!(folder.0.join("id_ed25519").exists());
    // It has no --force.
    let again = said(&folder.output("hbbs", &["-g"]), 3);
    assert!(again.contains("'hbb keygen --force' replaces it"), "{again}");
}

/// As the variables of an image have it: one pair for both servers, and no file.
#[test]
fn the_pair_of_the_variables_is_that_of_both_servers() {
    let folder = Folder::new("pair");
    let port = free_ports();
    let [id, relay] = [port.to_string(), (port + 1).to_string()];
    let pair = [("KEY_PRIV", SECRET), ("KEY_PUB", PUBLIC), ("ENCRYPTED_ONLY", "1")];
    let hbbs = folder.serve("hbbs", &["-p", &id], &pair);
    let hbbr = folder.serve("hbbr", &["-p", &relay], &pair);
    assert!(hbbs.said().contains(PUBLIC), "{}", hbbs.said());
    assert!(!hbbr.said().contains("relay-key-made"), "{}", hbbr.said());
    assert!(!folder.0.join("id_ed25519").exists());
    let words = ["doctor", "127.0.0.1", "--port", &id, "--key", PUBLIC, "--skip", "api"];
    let told = said(&folder.output("rustdesk-utils", &words), 0);
    assert!(told.contains(&format!("ok     relay 127.0.0.1:{relay}: two legs meet")), "{told}");
    drop(hbbr);
    // Without a key it serves anybody, as upstream's.
    let hbbr = folder.serve("hbbr", &["-p", &relay], &pair[..2]);
    assert!(hbbr.said().contains("It serves anybody."), "{}", hbbr.said());
}

/// As of the files: an empty key signs and demands nothing.
#[test]
fn beside_an_empty_key_that_pair_signs_and_nobody_need_show_it() {
    let folder = Folder::new("open");
    let port = free_ports().to_string();
    for (args, key) in [(&["-k", "", "-p", &port][..], "_"), (&["-p", &port], "")] {
        let variables = [("KEY_PRIV", SECRET), ("KEY", key)];
        let said = folder.serve("hbbs", args, &variables).said();
        assert!(said.contains(PUBLIC) && said.contains("erves anybody"), "{said}");
        assert!(!said.contains("key-unsigned") && !said.contains(SECRET), "{said}");
        assert!(!folder.0.join("id_ed25519").exists());
    }
}

/// A word in its place would be what clients must show, and nothing would be signed.
#[test]
fn a_secret_key_of_the_variables_that_is_none_is_refused() {
    for (program, secret) in
        [(Program::Hbbs, PUBLIC), (Program::Hbbs, "short"), (Program::Hbbr, &SECRET[..80])]
    {
        let variables = [("KEY_PRIV".to_owned(), secret.to_owned())];
        let Err(told) = program.read(&[], &variables, &mut |_| {}) else { panic!("{secret}") };
        assert!(told.starts_with("KEY_PRIV: "), "{told}");
    }
    // Clients would have the one, and meet the other.
    let pair =
        [("KEY_PRIV".to_owned(), SECRET.to_owned()), ("KEY_PUB".into(), PUBLIC.replace('A', "B"))];
    let read = Program::Hbbs.read(&[], &pair, &mut |_| {});
    assert!(read.is_err_and(|told| told.starts_with("KEY_PUB: ")));
}

/// Units start at once: the ID server makes the key, and nothing is wrong.
#[test]
fn a_relay_waits_for_the_key_of_an_id_server_that_starts_beside_it() {
    let folder = Folder::new("waits");
    let port = free_ports();
    let (made, dir) = (folder.0.join("made"), folder.0.clone());
    fs::create_dir(&made).unwrap();
    let mut pair = Command::new(env!("CARGO_BIN_EXE_hbb"));
    said(&pair.args(["keygen", "--data"]).arg(&made).output().unwrap(), 0);
    let maker = thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        for name in ["id_ed25519.pub", "id_ed25519"] {
            fs::rename(made.join(name), dir.join(name)).unwrap();
        }
    });
    let hbbr = folder.serve("hbbr", &["-k", "_", "-p", &port.to_string()], &[]);
    maker.join().unwrap();
    assert!(!hbbr.said().contains("warn"), "{}", hbbr.said());
    assert!(hbbr.said().contains("It serves clients that show the key"), "{}", hbbr.said());
}
