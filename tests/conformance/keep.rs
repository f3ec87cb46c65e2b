//! What the real server knows of its devices after a stop: C91-C94.

use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use crate::loopback::{A_IP, B_IP, B1, Caller, DEVICE, Device, KEY, enforcing, main_port};
use crate::model::host::PATIENCE;
use crate::model::server::Server;
use crate::say::{self, hex};

const OK: &str = "820100";
const SERVER_ERROR: &str = "8201020807";
const UUID_MISMATCH: &str = "8201020802";
const NEW_KEY: [u8; 32] = [0x22; 32];

#[test]
fn c093_where_a_device_moved_to_is_known_after_a_stop() {
    let mut server = enforcing();
    let register = |device: &Device, key| hex(&device.ask(&say::register_pk(B1, DEVICE, key)));
    assert_eq!(register(&Device::at(A_IP, &server), &KEY), OK);
    assert_eq!(register(&Device::at(B_IP, &server), &KEY), OK);
    server.terminate(PATIENCE);
    server.restart();
    assert_eq!(register(&Device::at(A_IP, &server), &NEW_KEY), UUID_MISMATCH);
    assert_eq!(register(&Device::at(B_IP, &server), &NEW_KEY), OK);
    server.wait_log("info peer-key-changed");
}

fn forget(server: &Server, words: &[&str]) -> String {
    let mut hbb = Command::new(env!("CARGO_BIN_EXE_hbb"));
    let hbb = hbb.args(["ctl", "--data"]).arg(server.data()).args(words);
    String::from_utf8(hbb.output().unwrap().stdout).unwrap()
}

#[test]
fn c091_a_forgotten_device_comes_back_and_another_does_not() {
    let mut server = enforcing();
    let device = Device::enrolled(B_IP, &server, B1);
    let other = Device::at(A_IP, &server);
    let wish = say::register_pk(B1, b"a new device", &NEW_KEY);
    assert!(forget(&server, &["forget", B1]).contains("was forgotten"));
    assert!(forget(&server, &["--json", "status"]).contains("\"kept\":1"));
    assert_eq!(hex(&other.ask(&wish)), SERVER_ERROR);
    server.wait_log("warn peer-held peer=123456789 from=127.0.1.2 reason=forgotten");
    server.kill_and_restart();
    server.wait_log("info peers-loaded count=0");
    assert_eq!(hex(&other.ask(&wish)), SERVER_ERROR);
    assert_eq!(hex(&device.ask(&say::register_pk(B1, DEVICE, &KEY))), OK);
    assert!(forget(&server, &["--json", "status"]).contains("\"kept\":0"));
}

#[test]
fn c092_a_freed_id_goes_to_a_new_device() {
    let server = enforcing();
    let old = Device::enrolled(B_IP, &server, B1);
    let new = Device::at(A_IP, &server);
    let wish = say::register_pk(B1, b"a new device", &NEW_KEY);
    assert!(forget(&server, &["forget", "--free", B1]).contains("within ten minutes"));
    assert_eq!(hex(&new.ask(&wish)), SERVER_ERROR, "any address could be told");
    // As clients open them at their start, and close.
    drop(Caller::from(A_IP, main_port(&server)));
    // The connection is there for the server a moment after it is for us.
    let again = |_| {
        sleep(Duration::from_millis(20));
        hex(&new.ask(&wish))
    };
    let answer = (0..20).map(again).find(|answer| answer != SERVER_ERROR);
    assert_eq!(answer.as_deref(), Some(OK));
    assert_eq!(hex(&old.ask(&say::register_pk(B1, DEVICE, &KEY))), UUID_MISMATCH);
}
