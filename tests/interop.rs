//! The real server against clients that were not written here: PyNaCl for the sealed channel,
//! `websockets` and headless Chromium for WebSockets.
//! C26-C28, C30, C31, C61-C64, C68, C73, C89, C90.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

#[path = "sim/chance.rs"]
mod chance;
mod model;
#[path = "conformance/say.rs"]
mod say;

use model::server::Server;

/// A Python with the packages the clients need, made once below the build directory.
static PYTHON: LazyLock<PathBuf> = LazyLock::new(|| {
    const PACKAGES: [&str; 2] = ["pynacl==1.6.1", "websockets==15.0.1"];
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("interop-python");
    let python = home.join("bin/python");
    let lock = std::fs::File::create(home.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    if !run(Command::new(&python).args(["-c", "import nacl, websockets.sync.client"])) {
        let made = run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home));
        assert!(made, "cannot make a venv: install the packages python3 and python3-venv");
        let pip = run(Command::new(&python).args(["-m", "pip", "install", "-q"]).args(PACKAGES));
        assert!(pip, "cannot install {PACKAGES:?} from PyPI");
    }
    python
});

fn run(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// Runs a script of tests/interop against a server of its own.
#[track_caller]
fn passes(script: &str, last: &str) {
    let server = Server::start(&[]);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop").join(script);
    let mut command = Command::new(&*PYTHON);
    command.arg(path).args(["127.0.0.1", &server.port.to_string(), &server.key(), last]);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\nserver:\n{}", server.log());
}

#[test]
fn c026_silence_is_answered_with_one_signed_offer() {
    passes("client.py", "c026");
}

#[test]
fn c027_a_sealed_registration_is_answered_sealed() {
    passes("client.py", "c027");
}

#[test]
fn c028_heartbeats_come_and_count_for_nothing() {
    passes("client.py", "c028");
}

#[test]
fn c028_who_answers_no_heartbeat_is_offline() {
    passes("client.py", "c028_unanswered");
}

#[test]
fn c030_a_push_comes_sealed_on_the_connection_and_not_over_udp() {
    passes("client.py", "c030");
}

#[test]
fn c061_who_speaks_in_clear_is_answered_in_clear() {
    passes("client.py", "c061");
}

#[test]
fn c062_answer_and_first_sealed_frame_in_one_segment() {
    passes("client.py", "c062");
}

#[test]
fn c063_wrong_exchanges_and_changed_frames_end_the_connection() {
    passes("client.py", "c063");
}

#[test]
fn c064_an_answer_is_sealed_with_the_initiators_key() {
    passes("client.py", "c064");
}

#[test]
fn c089_bytes_said_again_open_no_channel() {
    passes("client.py", "c089");
}

#[test]
fn c090_one_address_cannot_take_all_exchanges() {
    passes("client.py", "c090");
}

#[test]
fn c031_a_websocket_library_registers() {
    passes("websocket.py", "c031");
}

#[test]
fn c068_a_websocket_library_is_relayed() {
    passes("websocket.py", "c068");
}

#[test]
fn c073_a_websocket_library_gets_its_pong_and_its_close() {
    passes("websocket.py", "c073");
}

#[test]
fn c068_a_browser_registers_and_is_relayed() {
    let found = run(Command::new("chromium").arg("--version"));
    assert!(found, "the program chromium is needed: install the package chromium");
    passes("browser.py", "chromium");
}
