//! What `--control` may name: nothing but a socket that a server of ours left behind gives way.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, chown, symlink};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::address;
use crate::ctl_at;
use crate::model::host::{Host, PATIENCE};
use crate::model::server::Server;
use crate::model::target::Target;

/// Starts a server with `--control` at `path`, sees that it serves all the same, and stops it.
fn serves_without(path: &Path, why: &str) {
    let mut server = Server::start(&["--control", path.to_str().unwrap()]);
    let log = server.wait_log("warn control-unavailable");
    assert!(log.contains(why), "{log}");
    drop(Target::register(&Host::local("127.0.0.9"), address(&server), "123456789", &server.key()));
    assert!(server.terminate(PATIENCE).success());
}

struct Place(std::path::PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("hbb-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&path));
        fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

#[test]
fn operators_are_answered_again_after_file_descriptors_ran_out() {
    let mut server = Server::start(&[]);
    let pid = Pid::from_raw(i32::try_from(server.pid()).unwrap());
    let is_free =
        |number: &u64| fs::symlink_metadata(format!("/proc/{}/fd/{number}", server.pid())).is_err();
    let most = getrlimit(Resource::Nofile).maximum;
    let few = Rlimit { current: (0..).find(is_free), maximum: most };
    let before = prlimit(pid, Resource::Nofile, few).unwrap();
    let waits = UnixStream::connect(server.data().join("hbb.sock")).unwrap();
    let said = server.wait_log("warn control-failed cause='");
    assert!(said.ends_with("(os error 24)'"), "the system's own words, not {said}");
    drop(waits);
    prlimit(pid, Resource::Nofile, before).unwrap();
    assert!(ctl_at(server.data(), &["status"]).is_ok());
}

#[test]
fn a_socket_that_takes_nobody_in_does_not_hold_up_the_start() {
    let place = Place::new("ctl-full");
    let path = place.0.join("full.sock");
    let stream = || {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap()
    };
    let (at, listener) = (SocketAddrUnix::new(&path).unwrap(), stream());
    bind(&listener, &at).unwrap();
    listen(&listener, 0).unwrap();
    let waiting: Vec<_> = (0..4).map(|_| stream()).collect();
    assert!(waiting.iter().any(|caller| connect(caller, &at).is_err()), "its queue is not full");
    serves_without(&path, "in use");
}

/// Its process hangs, so that the kernel takes callers in and nobody answers.
#[test]
fn a_server_that_says_nothing_is_given_up_soon_and_in_words() {
    let place = Place::new("ctl-mute");
    let path = place.0.join("hbb.sock");
    let _mute = UnixListener::bind(&path).unwrap();
    let start = Instant::now();
    let said = ctl_at(&place.0, &["status"]).unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    let words = format!("hbb at {} says nothing for 10 s; see its log", path.display());
    assert!(said.contains(&words), "{said}");
}

/// A package's is elsewhere than in its data directory.
#[test]
fn where_nobody_answers_it_is_told_that_a_package_s_socket_needs_no_name() {
    let place = Place::new("ctl-none");
    let said = ctl_at(&place.0, &["status"]).unwrap_err();
    let words = format!("No hbb answers at {}: ", place.0.join("hbb.sock").display());
    assert!(said.starts_with(&words) && said.contains("that of a package is found"), "{said}");
    // No password is asked for that nobody would take.
    #[cfg(feature = "accounts")]
    assert!(ctl_at(&place.0, &["user", "add", "anna"]).unwrap_err().starts_with(&words));
}

/// Its folder is closed to others, who saw nothing there and were told to start a server.
#[test]
fn who_may_not_use_the_socket_of_a_package_is_told_so() {
    let place = Place::new("ctl-locked");
    let locked = "mount -t tmpfs none /run && mkdir -m 700 /run/hbb && cd \"$1\" && \
                  exec setpriv --reuid=65534 --regid=65534 --clear-groups \"$0\" ctl status";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", locked, env!("CARGO_BIN_EXE_hbb")]).arg(&place.0);
    let ended = command.output().expect("this test runs unshare: install the package util-linux");
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(said.starts_with("No hbb answers at /run/hbb/hbb.sock: Permission denied"), "{said}");
    assert!(said.contains("as one of its group, or as root"), "{said}");
}

#[test]
fn a_file_or_a_link_is_not_replaced_by_the_socket() {
    let place = Place::new("ctl-file");
    let (file, link) = (place.0.join("id_ed25519"), place.0.join("link"));
    fs::write(&file, "the secret key").unwrap();
    symlink("id_ed25519", &link).unwrap();
    for path in [&file, &link] {
        serves_without(path, "is not a socket");
        assert_eq!(fs::read_to_string(path).unwrap(), "the secret key");
    }
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
}

#[test]
fn a_socket_of_another_program_is_not_replaced() {
    let place = Place::new("ctl-other");
    let (datagrams, left) = (place.0.join("log"), place.0.join("left"));
    let kept = UnixDatagram::bind(&datagrams).unwrap();
    serves_without(&datagrams, "cause=");
    assert!(fs::metadata(&datagrams).unwrap().file_type().is_socket());
    drop(kept);
    // One that another user left behind; only root can make that here.
    drop(UnixListener::bind(&left).unwrap());
    let us = fs::metadata(&left).unwrap().uid();
    assert_eq!(us, 0, "this test gives a file to another user: run it as root");
    chown(&left, Some(65_534), None).unwrap();
    serves_without(&left, "belongs to another user");
    assert_eq!(fs::metadata(&left).unwrap().uid(), 65_534);
    // Ours gives way.
    chown(&left, Some(us), None).unwrap();
    let mut server = Server::start(&["--control", left.to_str().unwrap()]);
    assert!(!server.log().contains("control-unavailable"));
    assert!(server.terminate(PATIENCE).success());
    assert!(!left.exists());
}

#[test]
fn what_took_the_place_of_the_socket_stays_at_the_end() {
    let mut server = Server::start(&[]);
    let path = server.data().join("hbb.sock");
    assert!(ctl_at(server.data(), &["status"]).is_ok());
    fs::remove_file(&path).unwrap();
    fs::write(&path, "of another").unwrap();
    assert!(server.terminate(PATIENCE).success());
    assert_eq!(fs::read_to_string(&path).unwrap(), "of another");
}

#[test]
fn a_word_that_is_no_command_ends_with_2() {
    let server = Server::start(&[]);
    // It is no failure of the server, which a restart might help.
    for words in [&["dance"][..], &["--json", "dance"], &["status", "more"]] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_hbb"));
        let ended = command.args(["ctl", "--data"]).arg(server.data()).args(words).output();
        let ended = ended.unwrap();
        let said = String::from_utf8([ended.stdout, ended.stderr].concat()).unwrap();
        assert_eq!(ended.status.code(), Some(2), "{words:?}: {said}");
        assert!(said.contains("Those there are: status"), "{words:?}: {said}");
    }
    for words in [
        &["limits", "max-peers", "many"][..],
        &["--json", "limits", "max-peers", "0"],
        &["limits", "max-pears", "9"],
        &["peers", "first=1"],
        &["ban", "10.0.0.1-9"],
    ] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_hbb"));
        let ended = command.args(["ctl", "--data"]).arg(server.data()).args(words).output();
        let ended = ended.unwrap();
        let said = String::from_utf8([ended.stdout, ended.stderr].concat()).unwrap();
        assert_eq!(ended.status.code(), Some(2), "{words:?}: {said}");
        assert!(said.contains(": must be "), "{words:?}: {said}");
    }
}
