//! What others do in the folder of a restore: what another user left there, and a server that is
//! started meanwhile.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{chown, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::model::server::Server;
use crate::{FILES, Folder, hbb, peers, refused, succeeded, text, tree};

/// What is in the files whose names begin so.
pub(super) fn kept(data: &Path, name: &str) -> Vec<Vec<u8>> {
    let all = tree(data).into_iter();
    let kept =
        all.filter(|(path, _)| path.file_name().unwrap().to_str().unwrap().starts_with(name));
    kept.map(|(_, bytes)| bytes).collect()
}

/// Another user's folder of that name is left to its owner, and named; a file or a link goes, and
/// what that leads to stays.
#[test]
fn what_another_left_of_a_restore_is_named() {
    let folder = Folder::new("another");
    let (data, new) = (folder.server("old", 1), folder.at("new"));
    let file = folder.at("backup");
    succeeded(&hbb(&["backup", text(&file), "--data", text(&data)]));
    fs::create_dir(&new).unwrap();
    let left = new.join("hbb.restore.new");
    symlink(&data, &left).unwrap();
    let before = tree(&data);
    for path in [&folder.0, &file, &new] {
        chown(path, Some(65534), None).unwrap();
    }
    let restore = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hbb"));
        command.args(["restore", text(&file), "--force", "--data", text(&new)]);
        command.uid(65534).gid(65534).output().unwrap()
    };
    succeeded(&restore());
    assert!(tree(&data) == before);
    fs::write(&left, "").unwrap();
    succeeded(&restore());
    fs::create_dir(&left).unwrap();
    fs::write(left.join("id_ed25519"), "").unwrap();
    let before = tree(&new);
    refused(&restore(), 1, &format!("{} is of user 0", left.display()));
    refused(&restore(), 1, "Nothing was changed");
    assert!(tree(&new) == before);
    fs::remove_dir_all(&left).unwrap();
    succeeded(&restore());
}

/// Clients have the first key, and after the second restore it would be nowhere; so would rules and
/// settings, which somebody wrote.
#[test]
fn what_was_there_outlasts_any_number_of_restores() {
    let folder = Folder::new("twice");
    let (data, flags) = (folder.server("here", 1), folder.at("hbb.conf"));
    let first = fs::read(data.join(FILES[0])).unwrap();
    fs::write(data.join("rules.conf"), "deny from=192.0.2.7\n").unwrap();
    fs::write(&flags, "--port 1\n").unwrap();
    for name in ["one", "two"] {
        let (other, file) = (folder.server(name, 2), folder.at(&format!("{name}.backup")));
        let settings = folder.at(name).join("conf");
        fs::write(&settings, format!("--data {}\n", text(&other))).unwrap();
        succeeded(&hbb(&["backup", text(&file), "--flags", text(&settings)]));
        let words = ["--data", text(&data), "--flags", text(&flags), "--force"];
        for _ in 0..2 {
            succeeded(&hbb(&[&["restore", text(&file)], &words[..]].concat()));
        }
        assert!(kept(&data, "id_ed25519.").contains(&first), "{name}");
        assert!(kept(&data, "rules.conf.").contains(&b"deny from=192.0.2.7\n".to_vec()), "{name}");
        assert!(kept(&folder.0, "hbb.conf.").contains(&b"--port 1\n".to_vec()), "{name}");
        assert_eq!(fs::read(data.join(FILES[0])).ok(), fs::read(other.join(FILES[0])).ok());
    }
}

/// What is there when the power was cut between two moves: the store has its place, the key none.
fn cut_short(folder: &Folder, name: &str) -> (PathBuf, Vec<String>) {
    let (old, new) = (folder.server(name, 1), folder.server(&format!("{name}-new"), 7));
    let (whole, all) = (old.join("hbb.restore"), peers(&new));
    fs::create_dir(&whole).unwrap();
    fs::rename(new.join("hbb.store"), old.join("hbb.store")).unwrap();
    for file in ["id_ed25519", "id_ed25519.pub"] {
        fs::rename(new.join(file), whole.join(file)).unwrap();
    }
    (old, all)
}

#[test]
fn what_is_done_after_a_restore_was_broken_off_is_not_undone_by_its_end() {
    let folder = Folder::new("after");
    let end = |data: &Path, words: &[&str]| {
        let told = succeeded(&hbb(&[words, &["--data", text(data)]].concat()));
        assert!(!data.join("hbb.restore").exists(), "{words:?}: {told}");
        told
    };
    let (data, all) = cut_short(&folder, "backup");
    let key = fs::read_to_string(data.join("hbb.restore/id_ed25519")).unwrap();
    let backup = end(&data, &["backup", "-"]);
    assert!(backup.contains(&key) && peers(&data) == all, "{backup}");

    let (data, _) = cut_short(&folder, "rotate");
    let key = fs::read_to_string(data.join("hbb.restore/id_ed25519")).unwrap();
    let told = end(&data, &["keygen", "--rotate"]);
    let public = fs::read_to_string(data.join("id_ed25519.pub")).unwrap();
    assert!(told.contains(&public), "{told}");
    assert!(fs::read_to_string(data.join("id_ed25519.old")).unwrap().starts_with(&key));
}

/// It is asked for again when all is read: here while the backup comes through a pipe.
#[test]
fn a_restore_replaces_no_store_that_a_server_made_meanwhile() {
    let folder = Folder::new("meanwhile");
    let old = folder.server("old", 3);
    let backup = succeeded(&hbb(&["backup", "-", "--data", text(&old)]));
    let mut server = Server::start(&[]);
    server.terminate(Duration::from_secs(20));
    let data = server.data().to_owned();
    fs::remove_file(data.join("hbb.store")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_hbb"));
    command.args(["restore", "-", "--force", "--data", text(&data)]).stdin(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    while !data.join("hbb.restore.new").exists() {
        assert!(child.try_wait().unwrap().is_none(), "it is over already");
        thread::yield_now();
    }
    server.restart();
    let key = fs::read(data.join(FILES[0])).unwrap();
    child.stdin.take().unwrap().write_all(backup.as_bytes()).unwrap();
    refused(&child.wait_with_output().unwrap(), 1, "A server was started there");
    server.terminate(Duration::from_secs(20));
    assert_eq!(peers(&data), [""; 0]);
    assert_eq!(fs::read(data.join(FILES[0])).unwrap(), key);
    assert!(!data.join("hbb.restore.new").exists());
}

#[test]
fn settings_that_cannot_be_written_leave_those_that_are_there() {
    let folder = Folder::new("settings");
    let (data, new, file) = (folder.server("old", 1), folder.at("new"), folder.at("backup"));
    let settings = folder.at("flags");
    fs::write(&settings, "--max-peers 5\n").unwrap();
    let flags = ["--flags", text(&settings)];
    succeeded(&hbb(&[&["backup", text(&file), "--data", text(&data)], &flags[..]].concat()));
    fs::write(&settings, "--max-peers 6\n").unwrap();
    fs::create_dir(&new).unwrap();
    // In the way of what is written beside it.
    fs::create_dir(folder.at("flags.new")).unwrap();
    let restore = || hbb(&[&["restore", text(&file), "--data", text(&new)], &flags[..]].concat());
    refused(&restore(), 1, "All but the settings is restored: cannot write");
    assert_eq!(fs::read_to_string(&settings).unwrap(), "--max-peers 6\n");
}
