//! What `hbb ctl reload` reads anew, what it says of the rest, and that the rest stays as it runs.

use std::fs;
use std::process::Command;

use crate::model::server::Server;
use crate::{ctl, hears};

#[test]
fn a_reload_says_what_is_wrong_and_what_needs_a_restart() {
    let flags = std::env::temp_dir().join(format!("hbb-ctl-flags-{}", std::process::id()));
    fs::write(&flags, "--max-peers 9\n").unwrap();
    let server = Server::start(&["--flags", flags.to_str().unwrap()]);
    hears("--json limits", &server, "\"max-peers\":9,");
    fs::write(&flags, "--max-peers 8\n--dscp 34\n").unwrap();
    // Until that restart it is said again, and no longer once it is taken back.
    for _ in 0..2 {
        hears("reload", &server, "Only a restart changes: --dscp");
    }
    hears("--json limits", &server, "\"max-peers\":8,");
    fs::write(&flags, "--max-peers 8\n--relay-port 9\n--public rd.example.org\n").unwrap();
    hears("reload", &server, "Only a restart changes: --relay-port");
    // Nobody is told of a port at which nothing listens yet.
    let relay_port = format!("\"relay_port\":{},", server.port + 1);
    hears("--json status", &server, &relay_port);
    fs::write(&flags, "--max-peers 8\n").unwrap();
    assert_eq!(ctl(&server, &["reload"]).unwrap(), "Reloaded.\n");
    fs::write(&flags, "--max-peers 0\n").unwrap();
    let said = ctl(&server, &["--json", "reload"]).unwrap_err();
    assert!(said.starts_with("{\"error\":\"") && said.contains("from 1 to 131072"), "{said}");
    hears("--json limits", &server, "\"max-peers\":8,");
    // Whichever line is wrong, it is the same: a file.
    for wrong in ["--max-peers 0\n", "--no-such 1\n", "--port 21116 # one\n"] {
        fs::write(&flags, wrong).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_hbb"));
        let ended = command.args(["ctl", "--data"]).arg(server.data()).arg("reload").output();
        assert_eq!(ended.unwrap().status.code(), Some(2), "{wrong}");
    }
    fs::remove_file(&flags).unwrap();
}
