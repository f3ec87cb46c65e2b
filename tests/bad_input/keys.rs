//! Key files as they are found, in `--data` and where `--key-file` names one, and what `--key` may
//! hold: read if it is unambiguous, else named, and left as it is.

use std::fs;
use std::os::unix::fs::symlink;

use std::io::{ErrorKind, Read as _};
use std::net::TcpStream;
use std::time::Duration;

use super::model::host::again;
use super::model::server::{Server, command};
use super::model::wire::send;
use super::say::proto::RequestRelay;
use super::say::{self, Body};
use super::{Folder, in_own_mounts, refused, serve};

#[test]
fn a_half_written_key_file_is_named_and_kept() {
    let folder = Folder::used("half-key");
    let whole = fs::read(folder.file("id_ed25519")).unwrap();
    fs::write(folder.file("id_ed25519"), &whole[..40]).unwrap();
    let before = folder.contents();
    refused(&serve(&folder.0, &[]), 3, &["id_ed25519 is damaged", "backup", "keygen --force"]);
    assert_eq!(folder.contents(), before);
}

#[test]
fn an_unreadable_key_file_is_named_and_kept() {
    let folder = Folder::used("no-key");
    fs::remove_file(folder.file("id_ed25519")).unwrap();
    fs::create_dir(folder.file("id_ed25519")).unwrap();
    let before = folder.contents();
    refused(&serve(&folder.0, &[]), 3, &["id_ed25519", "It is a folder", "a container"]);
    assert_eq!(folder.contents(), before);
}

#[test]
fn a_key_file_as_found_in_the_wild_is_read_or_named() {
    let folder = Folder::used("wild-key");
    let (file, secret) = (folder.file("id_ed25519"), fs::read_to_string(folder.file("id_ed25519")));
    let secret = secret.unwrap();
    let public = fs::read_to_string(folder.file("id_ed25519.pub")).unwrap();
    let openssh = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\n";
    for (text, said) in [
        (openssh.as_bytes().to_vec(), "a key of OpenSSH"),
        (public.clone().into_bytes(), "a public key or a bare seed"),
        (vec![0x30, 0xfe, 0x02], "It is no plain text. "),
        (secret.as_bytes()[..50].to_vec(), "it may be cut short"),
        (b"<html>".to_vec(), "not base64 text"),
        (vec![b'A'; 20_000], "far too large"),
        (openssh_rsa().into_bytes(), "a key of OpenSSH"),
        (b"ecdsa-sha2-nistp256 AAAAE2VjZHNh me@here\n".to_vec(), "a key of OpenSSH"),
        (
            Vec::new(),
            "it is empty, as a full disk leaves it. Restore it from a backup. If there is",
        ),
        (vec![0xfe; 32], "holds 32 bytes and no text"),
        (vec![0xfe; 64], "64 bytes, not their text: 'base64 -w0 "),
    ] {
        fs::write(&file, text).unwrap();
        let before = folder.contents();
        refused(&serve(&folder.0, &[]), 3, &["id_ed25519", said, "It was not changed"]);
        assert_eq!(folder.contents(), before);
    }
    for named in [&[][..], &["--key-file", file.to_str().unwrap()]] {
        fs::remove_file(&file).unwrap();
        symlink("/run/secrets/not there", &file).unwrap();
        let said = ["cannot be read", "a link to /run/secrets/not there, where nothing is"];
        refused(&serve(&folder.0, named), 3, &said);
        assert!(fs::symlink_metadata(&file).unwrap().is_symlink());
    }
    let (first, second) = secret.split_at(44);
    for text in [
        format!("\u{feff}{secret}\r\n"),
        format!("\"{secret}\"\n"),
        format!("{first}\n{second}\n"),
        format!("{secret}\n{public}\n"),
        format!("{secret}{public}"),
        in_hex(&secret),
    ] {
        let server = Server::start_with(&[("id_ed25519", &text)], &[]);
        assert_eq!(server.key(), public);
    }
}

/// As long as one of 4,096 bits.
fn openssh_rsa() -> String {
    let line = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAACFwAAAAdzc2gtcn\n";
    let (begin, end) =
        ("-----BEGIN OPENSSH PRIVATE KEY-----\n", "-----END OPENSSH PRIVATE KEY-----");
    [begin, &line.repeat(47), end].concat()
}

/// A key as other programs print it.
fn in_hex(secret: &str) -> String {
    use ct_codecs::{Base64, Decoder as _, Encoder as _, Hex};
    let bytes = Base64::decode_to_vec(secret, None).unwrap();
    Hex::encode_to_string(bytes).unwrap()
}

/// What runs a program where `folder` is mounted read-only.
fn read_only(folder: &Folder) -> [String; 5] {
    let path = folder.0.display();
    let script = format!(
        "mount --bind {path} {path} && mount -o remount,bind,ro {path} || exit 99\n\
         touch {path}/probe 2>/dev/null && exit 98\nexec \"$0\" \"$@\""
    );
    ["unshare", "-m", "sh", "-c", &script].map(str::to_owned)
}

#[test]
fn a_key_file_elsewhere_is_read_and_left_as_it_is() {
    let folder = Folder::used("key-elsewhere");
    let (file, secret) = (folder.file("id_ed25519"), fs::read_to_string(folder.file("id_ed25519")));
    let secret = secret.unwrap();
    let public = fs::read_to_string(folder.file("id_ed25519.pub")).unwrap();
    let named = format!("--key-file={}", file.display());
    let (first, second) = secret.split_at(44);
    for text in [
        secret.clone(),
        format!("\u{feff}{secret}\r\n"),
        format!("\"{secret}\"\n"),
        format!("{first}\n{second}\n"),
    ] {
        fs::write(&file, &text).unwrap();
        let before = folder.contents();
        let prefix = read_only(&folder);
        let prefix = prefix.each_ref().map(String::as_str);
        // The own public key names no other key; without enforcing it signs as well.
        for flags in [&[named.as_str()][..], &[&named, "--key", &public], &[&named, "--key="]] {
            let server = Server::start_behind(&prefix, flags);
            let shown = format!("Key           {public}");
            assert!(server.log().contains(&shown), "{}", server.log());
            assert!(!server.data().join("id_ed25519").exists(), "made another");
            assert_eq!(folder.contents(), before);
        }
    }
    // Nothing of a pair in --data counts, nor is it touched.
    let files = [("id_ed25519", "damaged"), ("id_ed25519.pub", "other")];
    let server = Server::start_with(&files, &[&named]);
    assert_eq!(server.key(), "other");
    let exported =
        command(&[]).args(["export", "--host", "h", "--format", "json", &named]).output();
    let exported = String::from_utf8(exported.unwrap().stdout).unwrap();
    assert!(exported.contains(&public), "{exported}");
}

#[test]
fn a_key_file_that_cannot_be_meant_is_named_and_kept() {
    let (folder, data) = (Folder::used("named-key"), Folder::new("named-data"));
    let named = format!("--key-file={}", folder.file("id_ed25519").display());
    let secret = fs::read_to_string(folder.file("id_ed25519")).unwrap();
    let two = "--key holds another key";
    refused(&serve(&data.0, &[&named, "--key", &secret]), 2, &["--key-file", two]);
    refused(&serve(&data.0, &[&named, "--key", "a word"]), 2, &["--key-file", two]);
    let checked = |flags: &[&str]| command(&[]).arg("check").args(flags).output().unwrap();
    let told = String::from_utf8(checked(&[&named, "--key", "a word"]).stdout).unwrap();
    assert!(told.contains(&format!("problem  --key-file: {two}")), "{told}");
    let (public, other) = (fs::read_to_string(folder.file("id_ed25519.pub")).unwrap(), PUBLIC);
    for (text, holds) in [("other", "no-key"), (other, "A6EHv/PO"), (&secret, "no-key")] {
        fs::write(folder.file("id_ed25519.pub"), text).unwrap();
        let server = Server::start(&[&named]);
        let line = format!("holds={holds} key={} now=kept", &public[..8]);
        assert!(server.log().contains("warn key-public-differs file="), "{}", server.log());
        assert!(server.log().contains(&line), "{line}: {}", server.log());
        assert_eq!(fs::read_to_string(folder.file("id_ed25519.pub")).unwrap(), text);
    }
    let openssh = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\n";
    fs::write(folder.file("id_ed25519"), openssh).unwrap();
    refused(&serve(&data.0, &[&named]), 3, &["a key of OpenSSH", "It was not changed"]);
    fs::remove_file(folder.file("id_ed25519")).unwrap();
    refused(&serve(&data.0, &[&named]), 3, &["There is no key file", "--key-file names"]);
    refused(&serve(&data.0, &[&named, "--role", "relay"]), 3, &["There is no key file"]);
    fs::create_dir(folder.file("id_ed25519")).unwrap();
    refused(&serve(&data.0, &[&named]), 3, &["It is a folder", "a container"]);
    assert_eq!(data.contents().len(), 0, "a key was made");
    refused(&serve(&data.0, &["--key-file="]), 2, &["--key-file '': must be a file"]);
}

/// As PowerShell and editors of Windows write them.
#[test]
fn files_in_utf16_are_read() {
    let (folder, data) = (Folder::used("utf16"), Folder::new("utf16-data"));
    let public = fs::read_to_string(folder.file("id_ed25519.pub")).unwrap();
    for bytes in [u16::to_le_bytes, u16::to_be_bytes] {
        let utf16 = |text: &str| -> Vec<u8> {
            let units = std::iter::once(0xfeff).chain(text.encode_utf16());
            units.flat_map(bytes).collect()
        };
        let file = |name: &str, text: &str| {
            fs::write(data.file(name), utf16(text)).unwrap();
            data.file(name).to_str().unwrap().to_owned()
        };
        let secret = fs::read_to_string(folder.file("id_ed25519")).unwrap();
        let key = file("key", &format!("{secret}\r\n"));
        let flags = file("flags", &format!("# größer\r\n--key-file {key}\r\n"));
        let server = Server::start(&["--flags", &flags]);
        let shown = format!("Key           {public}");
        assert!(server.log().contains(&shown), "{}", server.log());
    }
}

#[test]
fn the_value_of_key_is_a_text_and_no_file() {
    let folder = Folder::used("key-path");
    for path in ["/data/id_ed25519", "./id_ed25519.pub", "id_ed25519"] {
        refused(&serve(&folder.0, &["--key", path]), 2, &["--key takes the text of a key"]);
    }
}

/// What `keygen` in the folder `$dir`, which is full, leaves of a pair that is there.
const NO_ROOM: &str = "mount -t tmpfs -o size=64k tmpfs \"$dir\"
    cd \"$dir\"; \"$@\" keygen --data . >/dev/null; cat id_ed25519 id_ed25519.pub
    head -c 100000 /dev/zero >filler 2>/dev/null || true; echo
    for how in --force --rotate; do \"$@\" keygen --data . $how && exit 9 || test $? = 3; done
    echo id*; cat id_ed25519 id_ed25519.pub";

#[test]
fn a_key_stays_where_there_is_no_room_for_another() {
    let folder = Folder::new("no-room");
    let ended = in_own_mounts(&folder, 0, NO_ROOM).output().unwrap();
    let said = String::from_utf8(ended.stdout).unwrap();
    let told = String::from_utf8(ended.stderr).unwrap();
    let [before, names, after] = said.lines().collect::<Vec<_>>()[..] else {
        panic!("{said}{told}");
    };
    assert!(names == "id_ed25519 id_ed25519.pub" && before == after, "{said}");
    assert!(told.contains("No space left") && told.contains("Make room there"), "{told}");
}

/// The same for one way, where so many pages are free: how it ended, and what is there then.
const LITTLE_ROOM: &str = "mount -t tmpfs -o size=64k tmpfs \"$dir\"
    cd \"$dir\"; \"$@\" keygen --data . >/dev/null; cat id_ed25519 id_ed25519.pub
    head -c 100000 /dev/zero >filler 2>/dev/null || true
    truncate -s $(($(stat -c %s filler) - FREE * 4096)) filler
    \"$@\" keygen --data . HOW >/dev/null && ended=done || ended=$?
    echo; echo $ended; cat id_ed25519 id_ed25519.pub";

#[test]
fn a_key_that_could_not_be_replaced_is_the_one_that_is_there() {
    let folder = Folder::new("little-room");
    for how in ["--force", "--rotate"] {
        let mut ends = Vec::new();
        for free in ["0", "1", "2", "3"] {
            let script = LITTLE_ROOM.replace("HOW", how).replace("FREE", free);
            let ended = in_own_mounts(&folder, 0, &script).output().unwrap();
            let said = String::from_utf8(ended.stdout).unwrap();
            let [before, end, after] = said.lines().collect::<Vec<_>>()[..] else {
                panic!("{said}{}", String::from_utf8_lossy(&ended.stderr));
            };
            assert_eq!(end == "3", before == after, "{how} {free}: {said}");
            ends.push(end == "done");
        }
        assert!(!ends[0] && ends[3], "{how}: {ends:?}");
    }
}

#[test]
fn the_own_public_key_signs_as_without_the_flag() {
    let first = Server::start(&[]);
    let secret = fs::read_to_string(first.data().join("id_ed25519")).unwrap();
    let server = Server::start_with(&[("id_ed25519", &secret)], &["--key", &first.key()]);
    assert!(!server.log().contains("key-unsigned"), "{}", server.log());
    assert_eq!(server.key(), first.key());
}

pub(super) const SECRET: &str =
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8DoQe/884Qvh1w3RjnS8CZZ+TWMJulDV8d3IZkElUxuA==";
/// As it is written in an address of the web.
const URL_SAFE: &str = "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";
const PUBLIC: &str = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";

#[test]
fn the_own_public_key_in_letters_for_urls_is_the_own_public_key() {
    let files = [("id_ed25519", SECRET)];
    let server = Server::start_with(&files, &["--key", URL_SAFE]);
    let log = server.log();
    assert!(
        !log.contains("key-unsigned") && log.contains(&format!("Key           {PUBLIC}")),
        "{log}"
    );
    // Clients show a relay on another machine the key as they have it.
    for written in [URL_SAFE, &PUBLIC.replace('=', ""), &format!("\"{PUBLIC}\"")] {
        let relay = Server::start(&["--role", "relay", "--key", written]);
        let leg = |key: &str| {
            let wish =
                RequestRelay { uuid: key.into(), access_key: key.into(), ..Default::default() };
            let mut stream = TcpStream::connect(("127.0.0.1", relay.port + 1)).unwrap();
            stream.set_read_timeout(Some(Duration::from_millis(400))).unwrap();
            send(&mut stream, &say::payload(Body::RequestRelay(wish))).unwrap();
            again(|| stream.read(&mut [0]))
                .is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
        };
        assert!(leg(PUBLIC) && !leg("a word"), "{written}");
    }
}
