//! Ids off the rule that earlier versions stored, and changes of ids, asked of the machine: C81.

use hbb_core::base::address::{Banned, Bans};
use hbb_core::base::conn::Via;
use hbb_core::base::limits::Limits;
use hbb_core::base::peer::{DeviceId, PeerId, PeerKey, Record, RecordState};
use hbb_core::rendezvous::Policy;

use crate::drive::{A_AT, B1, B1_AT, DEVICE, Drive, KEY, at};
use crate::ids::HOSTILE;
use crate::say::{self, hex, take};

const OK: &str = "820100";
const INVALID_ID_FORMAT: &str = "8201020805";

/// A server whose store holds `id`, and a new server that read it.
fn with_stored(id: &str) -> Drive {
    let mut drive = Drive::open();
    drive.durable.push(Record {
        id: PeerId::new(id).unwrap(),
        device: DeviceId::new(DEVICE).unwrap(),
        key: PeerKey(KEY),
        first_seen_secs: 0,
        state: RecordState::Registered(None),
    });
    drive.restart();
    drive
}

fn registers(drive: &mut Drive, id: &str) -> String {
    hex(drive.datagram(B1_AT, &say::register_pk(id, DEVICE, &KEY)).datagram_to(B1_AT))
}

#[test]
fn c081_a_stored_id_off_the_rule_keeps_working() {
    for id in HOSTILE {
        let mut drive = with_stored(id);
        assert_eq!(registers(&mut drive, id), OK, "{id:?}");
        let here = drive.datagram(B1_AT, &say::register_peer(id));
        assert_eq!(hex(here.datagram_to(B1_AT)), "3a00", "{id:?}");
        let initiator = drive.connect(A_AT);
        let pushed = drive.stream(initiator, &say::punch(id, |_| ()));
        assert_eq!(pushed.sent()[0].0, Via::Datagram(at(B1_AT)), "{id:?}");
        take!(pushed.sent()[0].1, PunchHole);
    }
}

#[test]
fn c081_a_stored_id_off_the_rule_is_banned_and_once_forgotten_is_gone() {
    for id in HOSTILE {
        let mut drive = with_stored(id);
        assert!(drive.forget(id).sent().is_empty());
        assert_eq!(registers(&mut drive, id), INVALID_ID_FORMAT, "{id:?}");
        let mut bans = Bans::default();
        assert!(bans.add(Banned::parse(&format!("id={id}")).unwrap()));
        let mut drive = with_stored(id);
        drive.machine.reconfigure(Limits::default(), Policy { bans, ..Policy::default() });
        drive.datagram(B1_AT, &say::register_pk(id, DEVICE, &KEY)).silent();
    }
}

#[test]
fn c081_an_id_is_changed_from_one_off_the_rule_and_never_to_one() {
    for id in HOSTILE {
        let mut drive = with_stored(id);
        drive.enroll(B1, B1_AT);
        for (from, to, outcome) in [(B1, id, 5), (B1, "a.bcdef", 5), (id, "ne\u{301}wname", 0)] {
            let conn = drive.connect(A_AT);
            let deeds = drive.stream(conn, &say::change_id(from, to, DEVICE));
            let answer = take!(deeds.stream_to(conn), RegisterPkResponse);
            assert_eq!(answer.outcome, outcome, "{from:?} to {to:?}");
        }
    }
}
