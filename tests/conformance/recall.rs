//! A real server asks the devices that were here when it stopped, and is as quiet as it is told to
//! be: C138, C144.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use crate::loopback::{A_IP, B_IP, B1, DEVICE, Device, KEY};
use crate::model::host::PATIENCE;
use crate::model::server::Server;
use crate::say::{self, hex};

const OK: &str = "820100";
const SEND_KEY: &str = "3a021001";

/// A folder in memory, as /run is; removed when dropped.
struct Memory(PathBuf);

impl Memory {
    fn new(name: &str) -> Self {
        let folder = PathBuf::from(format!("/dev/shm/hbb-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn list(&self) -> PathBuf {
        self.0.join("whereabouts")
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A device that was here hears from the new server without a word of its own, and registers.
fn assert_asked(server: &mut Server) -> Device {
    let device = Device::enrolled(B_IP, server, B1);
    server.terminate(PATIENCE);
    server.restart();
    assert_eq!(hex(&device.next()), SEND_KEY);
    assert_eq!(hex(&device.ask(&say::register_pk(B1, DEVICE, &KEY))), OK);
    device
}

#[test]
fn c138_with_a_run_folder_in_memory_the_list_is_there_and_never_in_the_store() {
    let memory = Memory::new("recall");
    let socket = memory.0.join("hbb.sock");
    let mut server = Server::start(&["--key=", "--control", socket.to_str().unwrap()]);
    let device = Device::enrolled(B_IP, &server, B1);
    let store = || fs::read(server.data().join("hbb.store")).unwrap();
    let before = store();
    assert!(!memory.list().exists(), "written at a stop alone");
    server.terminate(PATIENCE);
    let list = fs::read_to_string(memory.list()).unwrap();
    let line = format!("\n{B1} {B_IP}:{} 127.0.0.1", device.port());
    assert!(list.ends_with(&line) && list.lines().count() == 2, "{list}");
    assert_eq!(fs::metadata(memory.list()).unwrap().permissions().mode() & 0o777, 0o600);
    let has = |bytes: &[u8]| bytes.windows(line.len()).any(|part| part == line.as_bytes());
    let after = fs::read(server.data().join("hbb.store")).unwrap();
    assert!(before.len() == after.len() && !has(&after));
    server.restart();
    assert_eq!(hex(&device.next()), SEND_KEY);
    assert!(!memory.list().exists(), "a crash must not find it again");
}

#[test]
fn c138_without_one_the_list_is_in_the_commit_at_the_stop() {
    let mut server = Server::start(&["--key="]);
    assert_asked(&mut server);
    server.wait_log("info peers-loaded count=1 recalled=1");
}

/// A client hears what comes from the address it asked, and nothing else (C24).
#[test]
fn c138_each_is_asked_from_the_address_it_registered_at() {
    let mut server = Server::start(&["--key="]);
    let usual = Device::enrolled(A_IP, &server, "abcdef");
    let at = std::net::SocketAddr::new("127.0.0.2".parse().unwrap(), server.port);
    let device = Device::towards(B_IP, at);
    assert_eq!(hex(&device.ask(&say::register_pk(B1, DEVICE, &KEY))), OK);
    server.terminate(PATIENCE);
    server.restart();
    assert_eq!(hex(&device.next()), SEND_KEY);
    assert_eq!(hex(&usual.next()), SEND_KEY);
}

#[test]
fn c138_a_quiet_start_and_one_after_a_crash_ask_nobody() {
    let mut quiet = Server::start(&["--key=", "--quiet-start"]);
    let device = Device::enrolled(B_IP, &quiet, B1);
    quiet.terminate(PATIENCE);
    quiet.restart();
    device.heard_nothing();
    quiet.wait_log("info peers-loaded count=1 recalled=0");
    let mut server = Server::start(&["--key="]);
    let device = Device::enrolled(B_IP, &server, B1);
    server.kill_and_restart();
    device.heard_nothing();
    server.wait_log("info peers-loaded count=1 recalled=0");
}

/// A crash soon after the start: the list is of the stop before, and was used.
#[test]
fn c144_after_a_clean_stop_and_a_crash_nobody_is_asked_again() {
    let mut server = Server::start(&["--key="]);
    let device = assert_asked(&mut server);
    server.kill_and_restart();
    device.heard_nothing();
    server.wait_log("info peers-loaded count=1 recalled=0");
    // With nobody here, the stop leaves nothing.
    let memory = Memory::new("nobody");
    let socket = memory.0.join("hbb.sock");
    let mut server = Server::start(&["--key=", "--control", socket.to_str().unwrap()]);
    server.terminate(PATIENCE);
    assert_eq!(fs::read_dir(&memory.0).unwrap().count(), 0, "no empty file");
}
