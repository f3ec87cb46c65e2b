//! The appliance image of `board/rpi`, built and booted from its card in QEMU: two clients meet
//! through it, its page shows what they need, its key outlives a power cut, nothing else is open,
//! and an update that does not serve is left again. C34, C42, C43, C45, C57, C65, C70.
//!
//! The firmware of the Raspberry Pi does not run here. What it does is played by `appliance`: it
//! reads autoboot.txt and starts that partition. Which one it was told to take once is read from
//! the console; on the model of the Pi 3, from its register.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::disallowed_methods, reason = "tests wait by the clock and have settings")]

mod appliance;
mod card;
#[path = "../sim/chance.rs"]
mod chance;
#[path = "../qemu/console.rs"]
mod console;
#[path = "../qemu/crowd.rs"]
#[allow(dead_code, reason = "no crowd comes here")]
mod crowd;
#[path = "../model/mod.rs"]
mod model;
#[path = "../qemu/network.rs"]
mod network;
#[path = "../conformance/say.rs"]
mod say;
#[path = "../qemu/sessions.rs"]
mod sessions;

use std::fs::{self, File};
use std::io::Read as _;
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use appliance::{Appliance, Machine};
use card::{CARD_BYTES, Card, manifest, run};
use model::initiator::{Asks, Path};
use model::wire::{receive, send};
use say::take;
use sessions::{Pair, Scene};

const BYTES: usize = 10_000_000;
/// Seconds a version must be well to be kept, here.
const TRIAL_SECS: u32 = 10;
/// The first device that `serves_everybody` registers.
const DEVICE: &str = "100000000";

/// From the first start of a new card to a hung machine.
#[test]
fn the_appliance_serves() {
    let card = Card::new("serves");
    let mut appliance = Appliance::boot(Machine::Virt, &card);
    let ready = appliance.wait_ready();
    let key = page_shows_what_clients_need(&appliance);
    let (one, two) = (appliance.at(0), appliance.at(1));
    sessions::punch(&Scene { target: one, initiator: two, key: key.clone() });
    serves_everybody(one, two, &key);
    answers_for_its_name(&appliance);
    lets_nobody_in(&mut appliance);
    drop(appliance);

    let_owner_in(&card);
    let mut appliance = Appliance::boot(Machine::Virt, &card);
    let again = appliance.wait_ready();
    assert!(is_known(appliance.at(0), DEVICE, &key), "it was acknowledged and is forgotten");
    assert!(!is_known(appliance.at(0), "nobody1", &key));
    assert_eq!(appliance.run("cat /data/hbb/id_ed25519.pub"), key, "another key");
    answers_for_its_name(&appliance);
    is_shut(&appliance);
    has_grown(&appliance);
    // The oldest: the page that shows the key runs the program, too.
    let server = "$(pidof hbb | sed 's/.* //')";
    let memory = format!("sed -n 's/^VmRSS:[^0-9]*//p' /proc/{server}/status");
    let memory = appliance.run(&memory);
    // The watchdog's keeper hangs, as everything does when the kernel hangs.
    appliance.run("kill -STOP $(pidof watchdog)");
    appliance.wait_restart();
    println!(
        "appliance: first start to ready {:.1} s, second {:.1} s, server's RSS {memory}",
        ready.as_secs_f64(),
        again.as_secs_f64()
    );
}

/// A sound update stays, one that does not serve goes, one that is cut off is refused.
#[test]
fn updates_are_tried_first() {
    let card = Card::new("updates");
    let_owner_in(&card);
    let mut appliance = Appliance::boot(Machine::Virt, &card);
    appliance.wait_ready();
    let key = appliance.run("cat /data/hbb/id_ed25519.pub");
    let update = card.update(TRIAL_SECS, false);

    let part = card.folder.join("part");
    let bytes = fs::read(&update).unwrap();
    fs::write(&part, &bytes[..bytes.len() / 2]).unwrap();
    let (code, said) = appliance.try_run("update -", File::open(&part).unwrap().into());
    assert!(code == 1 && said.contains("whole"), "{code} {said}");

    let (code, said) = appliance.try_run("update -", File::open(&update).unwrap().into());
    assert!(code == 0 && said.contains("written"), "{code} {said}");
    appliance.wait_line("next start: partition 3");
    appliance.wait_restart();
    assert_eq!(card.boot_partition(), 2, "the default is the old one while the new one is tried");

    let mut appliance = Appliance::boot_from(Machine::Virt, &card, 3);
    appliance.wait_line("trial: passed");
    assert_eq!(
        appliance.run("sed -n 's/.*hbb.slot=//p' /proc/cmdline").split(' ').next(),
        Some("3")
    );
    drop(appliance);
    assert_eq!(card.boot_partition(), 3, "what served is the default");

    // The next one comes by way of the card, and its server does not run.
    card.put(1, "hbb.update", &fs::read(card.update(TRIAL_SECS, true)).unwrap());
    let mut appliance = Appliance::boot(Machine::Virt, &card);
    appliance.wait_line("next start: partition 2");
    appliance.wait_restart();
    let mut appliance = Appliance::boot_from(Machine::Virt, &card, 2);
    appliance.wait_line("trial: failed");
    appliance.wait_restart();
    assert_eq!(card.boot_partition(), 3, "what did not serve is not the default");
    let mut appliance = Appliance::boot(Machine::Virt, &card);
    appliance.wait_ready();
    assert_eq!(appliance.run("cat /data/hbb/id_ed25519.pub"), key, "another key");
}

/// Card reader, USB network, device tree and reset register of a Raspberry Pi 3, as QEMU has it.
#[test]
fn the_appliance_serves_on_a_pi_3() {
    let card = Card::new("pi3");
    let_owner_in(&card);
    let mut appliance = Appliance::boot(Machine::Pi3, &card);
    let ready = appliance.wait_ready();
    println!("appliance on raspi3b: first start to ready {:.1} s", ready.as_secs_f64());
    let key = appliance.run("cat /data/hbb/id_ed25519.pub");
    let at = appliance.at(0);
    let within = Scene { target: at, initiator: at, key };
    let pair = within.dial("100000001", Asks::Tcp);
    assert_eq!(pair.path, Path::Local);
    pair.stream(100_000);
    let mut pair = Pair::at_relay(&within, "pi");
    assert!(pair.talks());
    pair.stream(100_000);
    // Every second bit is one of the partition's number.
    let told = appliance.run("boot-once 3 >/dev/null 2>&1 & sleep 0.5; devmem 0x3f100020 32");
    assert_eq!(u32::from_str_radix(told.trim_start_matches("0x"), 16).unwrap() & 0x555, 0b101);
    appliance.wait_restart();
}

/// Address, key and QR code on the screen; gives the key.
fn page_shows_what_clients_need(appliance: &Appliance) -> String {
    let (mut said, mut tries) = (String::new(), 0);
    // The page follows within seconds.
    while !said.contains("10.0.2.15") {
        assert!(tries < 60, "no code on the screen, but '{said}'");
        tries += 1;
        thread::sleep(Duration::from_millis(500));
        let mut zbarimg = Command::new("zbarimg");
        let output = zbarimg.args(["-q", "--raw"]).arg(appliance.screen()).output();
        said = String::from_utf8(output.expect("install zbar-tools").stdout).unwrap();
    }
    if std::env::var("HBB_IMAGE_PICTURE").is_ok_and(|keep| keep == "1") {
        fs::copy(appliance.screen(), manifest("board/rpi/console.png")).unwrap();
    }
    let key = said.trim().strip_prefix(r#"config={"host":"10.0.2.15","key":""#);
    key.and_then(|rest| rest.strip_suffix(r#""}"#)).unwrap_or_else(|| panic!("{said}")).to_owned()
}

/// Direct path inside one network, relay by streams and with a WebSocket leg between two.
fn serves_everybody(one: SocketAddr, two: SocketAddr, key: &str) {
    let within = Scene { target: one, initiator: one, key: key.to_owned() };
    let pair = within.dial("100000001", Asks::Tcp);
    assert_eq!(pair.path, Path::Local);
    pair.stream(BYTES);
    let between = Scene { target: one, initiator: two, key: key.to_owned() };
    let pair = between.dial("100000002", Asks::Tcp);
    assert_eq!(pair.path, Path::RelayByInitiator);
    pair.stream(BYTES);
    let pair = between.dial("100000003", Asks::WebSocket);
    assert_eq!(pair.path, Path::RelayByTarget);
    pair.converse(BYTES);
}

/// What it sent holds an mDNS answer: `hbb.local` is 10.0.2.15.
fn answers_for_its_name(appliance: &Appliance) {
    for _ in 0..40 {
        let sent = appliance.traffic();
        let mut starts = sent.windows(4).enumerate().filter(|(_, head)| *head == [0, 0, 0x84, 0]);
        // An answer is no longer than this.
        if starts.any(|(at, _)| names_address(&sent[at..sent.len().min(at + 512)])) {
            return;
        }
        thread::sleep(Duration::from_millis(500));
    }
    panic!("nothing was told of hbb.local");
}

/// A record: `hbb` and where in the packet `local` stands, type A, class, lifetime, the address.
fn names_address(answer: &[u8]) -> bool {
    answer.windows(20).any(|record| {
        let (name, rest) = record.split_at(6);
        name[..5] == *b"\x03hbb\xc0"
            && rest[..2] == [0, 1]
            && rest[3] == 1
            && rest[8..] == [0, 4, 10, 0, 2, 15]
    })
}

/// Without a key on the card there is no SSH, and the serial console takes no orders.
fn lets_nobody_in(appliance: &mut Appliance) {
    let mut banner = [0; 4];
    // QEMU accepts for the guest and closes when that does not.
    let mut stream = TcpStream::connect(appliance.ssh()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    assert!(!matches!(stream.read(&mut banner), Ok(1..)), "SSH answers: {banner:?}");
    appliance.enter("\r\nroot\r\n\r\necho a$((1+1))b\r\n");
    thread::sleep(Duration::from_secs(2));
    let said = appliance.said();
    assert!(!said.contains("a2b") && !said.contains("login"), "{said}");
}

/// Puts the public half of a new key on the card.
fn let_owner_in(card: &Card) {
    let key = card.folder.join("owner");
    run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key));
    card.put(1, "authorized_keys", &fs::read(key.with_extension("pub")).unwrap());
}

/// Only the server's ports are open (and SSH, as there is a key); it has no rights, and nothing
/// but data and what is in memory can be written.
fn is_shut(appliance: &Appliance) {
    let ports = |kind: &str| {
        let list =
            appliance.run(&format!("netstat -ln{kind} | sed -n 's/.*:\\([0-9]*\\) .*/\\1/p'"));
        let mut ports: Vec<u16> = list.lines().map(|port| port.parse().unwrap()).collect();
        ports.sort_unstable();
        ports.dedup();
        ports
    };
    assert_eq!(ports("t"), [22, 21114, 21115, 21116, 21117, 21118, 21119]);
    assert_eq!(ports("u"), [5353, 21116], "mDNS and the server");
    let status = appliance.run("cat /proc/$(pidof hbb | sed 's/.* //')/status");
    for line in ["Uid:\t990\t990\t990\t990", "NoNewPrivs:\t1", "CapEff:\t0000000000000000"] {
        assert!(status.contains(line), "{line} is not in\n{status}");
    }
    for place in ["/etc/x", "/usr/bin/x", "/settings/x"] {
        let (code, said) = appliance.try_run(&format!("echo >{place}"), Stdio::null());
        assert!(code != 0 && said.contains("Read-only"), "{place}: {code} {said}");
    }
    let words = appliance.run("cut -d: -f2 /etc/passwd | sort -u");
    assert_eq!(words, "*", "nobody has a password");
    // Keys alone: a client that has none of them is sent away.
    let mut ssh = Command::new("ssh");
    ssh.args(["-p", &appliance.ssh().port().to_string(), "-o", "IdentitiesOnly=yes"]);
    ssh.args(["-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no"]);
    ssh.args(["-o", "UserKnownHostsFile=/dev/null", "-i", "/dev/null", "root@127.0.0.1", "true"]);
    let output = ssh.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("Permission denied (publickey)"), "{said}");
}

/// The data partition reaches the card's end, and so does its file system.
fn has_grown(appliance: &Appliance) {
    let kib: u64 = appliance.run("df -k /data | tail -n 1 | awk '{ print $2 }'").parse().unwrap();
    let rest = (CARD_BYTES >> 10) - (193 << 10);
    assert!(kib > rest * 9 / 10, "{kib} KiB of {rest}");
}

/// Dialling it gives OFFLINE: it is registered, and not here.
fn is_known(server: SocketAddr, id: &str, key: &str) -> bool {
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    send(&mut stream, &say::punch(id, |wish| wish.access_key = key.to_owned())).unwrap();
    take!(&receive(&mut stream).unwrap(), PunchHoleResponse).failure == 2
}

/// Whether the server says who is online; QEMU accepts connections for a guest that does not.
pub(crate) fn answers(at: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(at) else { return false };
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    send(&mut stream, &say::online(&["nobody1"])).is_ok() && receive(&mut stream).is_ok()
}
