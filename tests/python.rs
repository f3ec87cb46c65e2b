//! Runs tests that are written in Python, one class of one script at a time.

use std::path::Path;
use std::process::Command;

/// What they print is shown if one fails. They find the program in `HBB_BIN`, and files made for
/// them in the folder `HBB_MADE`.
#[track_caller]
pub(crate) fn passes(script: &str, tests: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(script);
    let mut command = Command::new("python3");
    command.arg(path).arg(tests).env("HBB_BIN", env!("CARGO_BIN_EXE_hbb"));
    command.env("HBB_MADE", env!("CARGO_TARGET_TMPDIR"));
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stdout));
    assert!(!said.contains("Ran 0 tests"), "{tests} is empty");
}
