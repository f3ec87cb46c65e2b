//! The way back to upstream's server: the lines of MIGRATING.md, run as they stand there, but for
//! the two folders.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use super::{Folder, succeeded};

/// Prints what stands in the database, and whether it is sound.
const SHOW: &str = r#"
import sqlite3, sys
base = sqlite3.connect(sys.argv[1])
print(base.execute("pragma integrity_check").fetchone()[0])
print(base.execute("select count(distinct guid), min(length(guid)) from peer").fetchone())
for row in base.execute("select id, lower(hex(uuid)), lower(hex(pk)), created_at, info, "
                        "typeof(uuid) || typeof(pk) || typeof(id) from peer order by id"):
    print(*row, sep="|")
"#;

/// The commands of the page's last part.
fn commands() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("MIGRATING.md");
    let page = fs::read_to_string(path).unwrap();
    let (_, part) = page.split_once("\n## Back again\n").unwrap();
    let lines = part.lines().filter_map(|line| line.strip_prefix("    "));
    lines.map(|line| format!("{line}\n")).collect()
}

/// Runs them with `old` as upstream's folder and `new` as ours.
fn run(old: &Folder, new: &Folder) -> std::process::Output {
    let _ = symlink(env!("CARGO_BIN_EXE_hbb"), new.at("hbb"));
    let script = commands();
    assert!(script.contains("python3") && script.contains("hbb export --peers"), "{script}");
    let script = script.replace("/var/lib/rustdesk-server", old.0.to_str().unwrap());
    let script = script.replace("/var/lib/hbb", new.0.to_str().unwrap());
    let path = format!("{}:{}", new.0.display(), std::env::var("PATH").unwrap());
    Command::new("bash").args(["-e", "-c", &script]).env("PATH", path).output().unwrap()
}

fn shown(old: &Folder) -> Vec<String> {
    let output = Command::new("python3").args(["-c", SHOW]).arg(old.base()).output();
    let output = output.expect("install the package python3");
    succeeded(&output).lines().map(str::to_owned).collect()
}

#[test]
fn the_lines_of_the_page_lead_back() {
    let (old, new) = (Folder::new("back-old"), Folder::new("back-new"));
    let lines = old.fill(40, 4_096, "wal");
    // One came with another key since; three are new; all others are not known here.
    let first = lines.lines().next().unwrap();
    let words: Vec<_> = first.split(' ').collect();
    let key = "ab".repeat(32);
    let changed = format!("{} {} {key} {} 192.0.2.7\n", words[0], words[1], words[3]);
    let added = [
        format!("#new 6162 {key} 2026-11-01T10:00:00 192.0.2.9\n"),
        format!("six-1 6163 {key} 2026-11-02T10:00:00 2001:db8::1\n"),
        format!("un-seen 6164 {key} - -\n"),
    ];
    fs::write(new.at("lines"), [changed, added.concat()].concat()).unwrap();
    succeeded(&new.hbb(&["import", new.at("lines").to_str().unwrap()]));
    let before = shown(&old);
    succeeded(&run(&old, &new));
    assert!(!old.at("peers.txt").exists());

    let after = shown(&old);
    assert_eq!(after[..2], ["ok", "(43, 16)"]);
    let of = |id: &str| {
        let start = format!("{id}|");
        after.iter().find(|row| row.starts_with(&start)).unwrap().as_str()
    };
    let kinds = "blobblobtext";
    let seen = words[3].replace('T', " ");
    let ip = |text: &str| format!("{{\"ip\": \"{text}\"}}|{kinds}");
    let expected = [
        format!("{}|{}|{key}|{seen}|{}", words[0], words[1], ip("::ffff:192.0.2.7")),
        format!("#new|6162|{key}|2026-11-01 10:00:00|{}", ip("::ffff:192.0.2.9")),
        format!("six-1|6163|{key}|2026-11-02 10:00:00|{}", ip("2001:db8::1")),
    ];
    for row in &expected {
        assert_eq!(of(row.split('|').next().unwrap()), row);
    }
    let unseen = of("un-seen");
    assert!(unseen.starts_with(&format!("un-seen|6164|{key}|20")), "{unseen}");
    assert!(unseen.ends_with(&ip("")), "{unseen}");
    let others = before.iter().skip(3);
    assert!(others.clone().count() == 39 && others.clone().all(|row| after.contains(row)));

    // Nothing new, nothing changed; and all of it can come to hbb once more.
    succeeded(&run(&old, &new));
    assert_eq!(shown(&old), after);
    succeeded(&old.import(&[]));
    assert_eq!(old.peers().lines().count(), 43);
}

#[test]
fn no_database_is_made_where_none_is() {
    let (old, new) = (Folder::new("back-none"), Folder::new("back-full"));
    fs::write(new.at("lines"), format!("a-device 61 {} - -\n", "ab".repeat(32))).unwrap();
    succeeded(&new.hbb(&["import", new.at("lines").to_str().unwrap()]));
    assert!(!run(&old, &new).status.success());
    assert!(!old.base().exists());
}
