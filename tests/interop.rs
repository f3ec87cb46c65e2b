//! The real server against clients that were not written here: PyNaCl for the sealed channel.
//! C26-C28, C61-C63.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

#[path = "sim/chance.rs"]
mod chance;
mod model;
#[path = "conformance/say.rs"]
mod say;

use model::server::Server;

/// A Python with the packages the clients need, made once below the build directory.
static PYTHON: LazyLock<PathBuf> = LazyLock::new(|| {
    const PACKAGES: [&str; 1] = ["pynacl==1.6.1"];
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("interop-python");
    let python = home.join("bin/python");
    let lock = std::fs::File::create(home.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    if !run(Command::new(&python).args(["-c", "import nacl"])) {
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

fn client(server: &Server, check: &str) -> Output {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/client.py");
    let port = server.port.to_string();
    let mut command = Command::new(&*PYTHON);
    command.args([script, "127.0.0.1", &port, &server.key(), check]).output().unwrap()
}

#[track_caller]
fn passes(check: &str) {
    let server = Server::start(&[]);
    let output = client(&server, check);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\nserver:\n{}", server.log());
}

#[test]
fn c026_silence_is_answered_with_one_signed_offer() {
    passes("c026");
}

#[test]
fn c027_a_sealed_registration_is_answered_sealed() {
    passes("c027");
}

#[test]
fn c028_heartbeats_come_and_count_for_nothing() {
    passes("c028");
}

#[test]
fn c061_who_speaks_in_clear_is_answered_in_clear() {
    passes("c061");
}

#[test]
fn c062_answer_and_first_sealed_frame_in_one_segment() {
    passes("c062");
}

#[test]
fn c063_wrong_exchanges_and_changed_frames_end_the_connection() {
    passes("c063");
}
