//! The key files as the running server makes, keeps and uses them: C74.
//! What else may stand in them is in `keys.rs`.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use crate::loopback::{B_IP, B1, Device, KEY, enforcing, signed_key};
use crate::model::server::Server;

const SECRET: &str =
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8DoQe/884Qvh1w3RjnS8CZZ+TWMJulDV8d3IZkElUxuA==";
const PUBLIC: &str = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";

/// Both files.
fn pair(server: &Server) -> [String; 2] {
    ["id_ed25519", "id_ed25519.pub"]
        .map(|name| fs::read_to_string(server.data().join(name)).unwrap())
}

#[test]
fn c074_a_fresh_start_writes_both_files_and_restarts_keep_them() {
    let mut server = enforcing();
    let [secret, public] = pair(&server);
    assert_eq!((secret.len(), public.len()), (88, 44));
    assert!(!public.contains(['/', ':']), "{public}");
    let mode = fs::metadata(server.data().join("id_ed25519")).unwrap().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(server.log().contains(&public), "the newcomer is not told the key");
    assert!(!server.log().contains(&secret), "the secret is in the log");
    server.kill_and_restart();
    assert_eq!(pair(&server), [&*secret, &public]);
    assert!(server.terminate(Duration::from_secs(2)).success());
    server.restart();
    assert_eq!(pair(&server), [&*secret, &public]);
    let target = Device::enrolled(B_IP, &server, B1);
    assert_eq!(signed_key(&server, &target), KEY);
}

#[test]
fn c074_files_from_upstream_are_used_as_they_are() {
    for secret in [SECRET.to_owned(), format!("{SECRET}\n")] {
        let files = [("id_ed25519", secret.as_str()), ("id_ed25519.pub", PUBLIC)];
        let server = Server::start_with(&files, &[]);
        let target = Device::enrolled(B_IP, &server, B1);
        assert_eq!(signed_key(&server, &target), KEY);
        assert_eq!(pair(&server), [secret.as_str(), PUBLIC]);
    }
}
