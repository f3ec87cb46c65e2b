//! Raw NAND flash as the kernel simulates it, ubifs on it, and UBI's emulated power cut: in the
//! middle of a header, from which on nothing is written any more. The flash is memory of the
//! machine, so that goes on, and ubifs finds then what it would find after a real cut. C14.

use std::fs;
use std::process::Command;

use ct_codecs::{Base64, Encoder as _};

use crate::board::{Board, Storage, folder, need};
use crate::flash::Client;
use crate::model::devices::assert_known;
use crate::power::{FLAGS, cuts, run};
use crate::service::Service;

/// The next cut comes at one of so many headers of erase blocks.
const HEADERS_MAX: u32 = 24;
/// Registrations of a round, at most, before one comes.
const TRIED: u32 = 3_000;
/// Others write too, or a block would take hundreds of registrations.
const BUSY: &str = "while dd if=/dev/urandom of=/data/fill bs=4k count=25 conv=fsync; do :; done \
                    >/dev/null 2>&1 & busy=$!";
const MOUNT: &str = "insmod /nand/ubi.ko mtd=0 && insmod /nand/ubifs.ko && \
                     mount -t ubifs ubi0_0 /data";

/// Cuts the power again and again: the store opens, the key stays, and whoever was told OK is
/// known.
pub(crate) fn cut_again_and_again(board: &Board) {
    let mut service = Service::boot(board, Some(&Storage::Nand));
    format(&mut service, board);
    service.machine.run(MOUNT);
    service.start(FLAGS);
    let (key, mut told) = (service.key(), Vec::new());
    for round in 0..cuts(board) {
        arm(&mut service);
        let known = told.len();
        let refused = register_until_cut(&service, round, &mut told);
        let said = service.machine.run("dmesg -c | grep -c 'emulating a power cut' || true");
        assert_eq!(said, "1", "no cut came before {refused}");
        assert!(service.is_alive(), "{}", service.log());
        println!("nand: {} acknowledged before cut {round}", told.len() - known);
        service.machine.run("kill -9 $hbb $busy; wait $hbb $busy; umount /data");
        service.machine.run("rmmod ubifs && rmmod ubi");
        service.machine.run(MOUNT);
        service.start(FLAGS);
        assert_eq!(service.key(), key, "another key");
        assert_known(service.at(0), told.iter());
    }
    assert!(!told.is_empty(), "nobody was acknowledged at all");
    let (code, _) = service.terminate();
    assert_eq!(code, 0, "{}", service.log());
}

/// One volume for all of it: the guest has no tool for that.
fn format(service: &mut Service, board: &Board) {
    let made = folder().join(format!("{}.nand", board.triple));
    let ini = made.with_extension("ini");
    let volume = "[data]\nmode=ubi\nvol_id=0\nvol_type=dynamic\nvol_name=data\n\
                  vol_flags=autoresize\nvol_size=1MiB\n";
    fs::write(&ini, volume).unwrap();
    let shape = ["-p", "128KiB", "-m", "2048", "-s", "512", "-O", "512", "-o"];
    run(Command::new(need("ubinize", "mtd-utils")).args(shape).arg(&made).arg(&ini));
    run(Command::new("gzip").args(["-9", "-f", "-n"]).arg(&made));
    let packed = made.with_extension("nand.gz");
    let text = Base64::encode_to_string(fs::read(&packed).unwrap()).unwrap();
    for file in [ini, packed] {
        fs::remove_file(file).unwrap();
    }
    let unpack = format!("echo {text} | base64 -d | gunzip | dd of=/dev/mtd0 bs=128k 2>/dev/null");
    service.machine.run(&unpack);
}

/// From here on UBI counts what it writes: headers of both kinds.
fn arm(service: &mut Service) {
    let ubi = "/debug/ubi/ubi0/tst_emulate_power_cut";
    service
        .machine
        .run(&format!("echo 1 >{ubi}_min; echo {HEADERS_MAX} >{ubi}_max; echo 3 >{ubi}"));
    service.machine.run(BUSY);
}

/// One after the other; the first id that the store did not take.
fn register_until_cut(service: &Service, round: u32, told: &mut Vec<String>) -> String {
    let mut client = Client::of(service.at(0));
    for number in 0..TRIED {
        // A proof is good for a few.
        if number % 4 == 0 {
            client = Client::of(service.at(0));
        }
        let id = format!("nand{round:02}{number:04}");
        if client.register(&id) != 0 {
            return id;
        }
        told.push(id);
    }
    "the last".to_owned()
}
