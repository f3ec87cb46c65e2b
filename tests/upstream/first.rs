//! The first start: what a database of upstream's holds is there from then on.

use std::fs;
use std::net::{Ipv6Addr, UdpSocket};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use super::{Folder, free_ports, said};

#[test]
fn the_devices_of_a_database_are_there_from_the_first_start_on() {
    let folder = Folder::new("devices");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import/database.py");
    let words = ["db_v2.sqlite3", "50", "4096", "wal"];
    let made = Command::new("python3").arg(script).args(words).current_dir(&folder.0).output();
    said(&made.expect("install the package python3"), 0);
    let port = free_ports().to_string();
    let first = folder.serve("hbbs", &["-p", &port], &[]);
    assert!(
        first.said().contains("50 new devices") && first.said().contains("peers-loaded count=50")
    );
    drop(first);
    let again = folder.serve("hbbs", &["-p", &port], &[]);
    assert!(
        !again.said().contains("new devices") && again.said().contains("peers-loaded count=50")
    );
    // The line of the page for the way back leaves what was there; a kill left the socket.
    drop(again);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("MIGRATING.md");
    let page = fs::read_to_string(path).unwrap();
    let (_, line) = page.split_once("upstream's passes over: `").unwrap();
    let line = line.split('`').next().unwrap();
    let cleared = Command::new("sh").args(["-ec", line]).current_dir(&folder.0).output().unwrap();
    crate::said(&cleared, 0);
    for file in fs::read_dir(&folder.0).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        assert!(name == "hbbs.log" || !name.contains("hbb.") && !name.ends_with(".sock"), "{name}");
    }
}

/// The old server has the ports: what it is told until it stops comes along as well.
#[test]
fn nothing_is_taken_over_while_the_ports_are_anothers() {
    let folder = Folder::new("early");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import/database.py");
    let database = |devices: &str| {
        for end in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(folder.0.join(["db_v2.sqlite3", end].concat()));
        }
        let words = ["db_v2.sqlite3", devices, "4096", "wal"];
        let made = Command::new("python3").arg(&script).args(words).current_dir(&folder.0).output();
        said(&made.expect("install the package python3"), 0);
    };
    let port = free_ports();
    let other = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port)).unwrap();
    database("5");
    let early = said(&folder.output("hbbs", &["-p", &port.to_string()]), 1);
    assert!(early.contains(&format!("UDP port {port} is taken")), "{early}");
    assert!(!folder.0.join("hbb.store").exists(), "{early}");
    drop(other);
    database("9");
    let served = folder.serve("hbbs", &["-p", &port.to_string()], &[]).said();
    assert!(
        served.contains("9 new devices") && served.contains("peers-loaded count=9"),
        "{served}"
    );
}

/// Where a store was made before the database came, whoever wants its devices is told.
#[test]
fn a_database_that_came_too_late_is_pointed_at() {
    let folder = Folder::new("late");
    let port = free_ports().to_string();
    let serve = || folder.serve("hbbs", &["-p", &port], &[("RMEM", "1")]).said();
    assert!(!serve().contains("upstream-"));
    fs::write(folder.0.join("db_v2.sqlite3"), "").unwrap();
    let said = serve();
    assert!(said.contains("warn upstream-store-unused file=./db_v2.sqlite3"), "{said}");
    assert!(!said.contains("upstream-variables-unused"), "{said}");
    let relay = folder.serve("hbbr", &["-p", &port], &[]).said();
    assert!(!relay.contains("upstream-"), "{relay}");
}

/// Wherever it is named.
#[test]
fn the_database_of_db_url_is_taken() {
    let folder = Folder::new("url");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import/database.py");
    let words = ["other.sqlite3", "7", "4096", "wal"];
    let made = Command::new("python3").arg(script).args(words).current_dir(&folder.0).output();
    said(&made.expect("install the package python3"), 0);
    let port = free_ports().to_string();
    let line = "DB_URL=sqlite://other.sqlite3\n";
    for (file, args, variables) in [
        (Some(".env"), &["-p", &port][..], &[][..]),
        (Some("hbbs.ini"), &["-p", &port, "-c", "hbbs.ini"], &[]),
        (None, &["-p", &port], &[("DB_URL", "./other.sqlite3")]),
        (None, &["-p", &port], &[("DB_URL", "sqlite:other.sqlite3")]),
        (None, &["-p", &port], &[("DB_URL", "sqlite://./other.sqlite3?mode=rwc")]),
    ] {
        file.iter().for_each(|file| fs::write(folder.0.join(file), line).unwrap());
        let said = folder.serve("hbbs", args, variables).said();
        assert!(said.contains("From other.sqlite3: 7 new devices") || file.is_none(), "{said}");
        assert!(said.contains("7 new devices"), "{said}");
        fs::remove_file(folder.0.join("hbb.store")).unwrap();
        file.iter().for_each(|file| fs::remove_file(folder.0.join(file)).unwrap());
    }
    let said = folder.serve("hbbs", &["-p", &port], &[("DB_URL", "sqlite://gone")]).said();
    assert!(said.contains("hbbs: there is no gone, which DB_URL names, so no device"), "{said}");
}

#[test]
fn a_database_that_was_imported_is_pointed_at_no_more() {
    let folder = Folder::new("unused");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import/database.py");
    let words = ["db_v2.sqlite3", "5", "4096", "wal"];
    let made = Command::new("python3").arg(script).args(words).current_dir(&folder.0).output();
    said(&made.expect("install the package python3"), 0);
    symlink(env!("CARGO_BIN_EXE_hbb"), folder.0.join("hbb")).unwrap();
    let port = free_ports().to_string();
    let flags = ["--port", &port, "--public", "127.0.0.1"];
    let check = || said(&folder.output("hbb", &[&["check"], &flags[..]].concat()), 0);
    let serve = || folder.serve("hbb", &[&["serve"], &flags[..]].concat(), &[]).said();
    assert!(check().contains("doubt    ./db_v2.sqlite3 is not read; 'hbb import'"), "{}", check());
    said(&folder.output("hbb", &["import", "--dry-run", "db_v2.sqlite3"]), 0);
    assert!(serve().contains("upstream-store-unused"));
    said(&folder.output("hbb", &["import", "db_v2.sqlite3"]), 0);
    let (served, checked) = (serve(), check());
    assert!(!served.contains("upstream-store-unused") && !checked.contains("sqlite"), "{checked}");
}
