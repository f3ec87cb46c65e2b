//! NAT test and online query over sockets: C34-C38.

use crate::half_minute::Watch;
use crate::loopback::{
    A_IP, B_IP, B1, Caller, Device, enforcing, main_port, nat_port, open, over_v6,
};
use crate::model::host::Host;
use crate::model::initiator::nat_type;
use crate::say::{self, hex, take};

const STRANGERS: [&str; 7] = ["sa1234", "sb1234", "sc1234", "sd1234", "se1234", "sf1234", "sg1234"];

#[test]
fn c034_both_ports_tell_the_same_source_port() {
    let server = enforcing();
    // One local port after the other: the second connection comes while the first lingers.
    for _ in 0..20 {
        assert_eq!(nat_type(&Host::local(A_IP), main_port(&server)), 1);
    }
}

#[test]
fn c035_the_nat_test_over_udp_tells_the_udp_port() {
    let server = enforcing();
    let device = Device::at(A_IP, &server);
    let fastest = (0..10).map(|_| {
        let watch = Watch::start();
        device.heard_nothing();
        watch.secs()
    });
    assert!(fastest.fold(1.0, f64::min) <= 0.05);
}

#[test]
fn c036_nine_ids_the_first_and_the_last_online() {
    let server = enforcing();
    let _b1 = Device::enrolled(B_IP, &server, B1);
    let mut caller = Caller::from(A_IP, nat_port(&server));
    let ids = [&[B1][..], &STRANGERS, &[B1]].concat();
    assert_eq!(hex(&caller.ask(&say::online(&ids))), "c201040a028080");
}

#[test]
fn c036_the_bitmap_has_a_bit_for_each_id_and_no_more() {
    let server = enforcing();
    let _b1 = Device::enrolled(B_IP, &server, B1);
    let states = |ids: &[&str]| {
        let answer = Caller::from(A_IP, nat_port(&server)).ask(&say::online(ids));
        take!(&answer, OnlineResponse).states
    };
    assert_eq!(states(&[]), []);
    assert_eq!(states(&[B1]), [0x80]);
    assert_eq!(states(&[&STRANGERS[..], &[B1]].concat()), [0x01]);
    assert_eq!(states(&[B1; 8]), [0xff]);
    assert_eq!(states(&[B1; 17]), [0xff, 0xff, 0x80]);
}

#[test]
fn c037_p_answers_online_queries_too() {
    let server = enforcing();
    let _b1 = Device::enrolled(B_IP, &server, B1);
    let mut caller = Caller::from(A_IP, main_port(&server));
    assert_eq!(hex(&caller.ask(&say::online(&[B1]))), "c201030a0180");
}

#[test]
fn c038_either_loopback_address_is_served_like_any_other() {
    let server = open();
    let _b1 = Device::enrolled("127.0.0.1", &server, B1);
    for (ip, main, nat) in [
        ("127.0.0.1", main_port(&server), nat_port(&server)),
        ("::1", over_v6(main_port(&server)), over_v6(nat_port(&server))),
    ] {
        assert_eq!(nat_type(&Host::local(ip), main), 1, "{ip}");
        let mut caller = Caller::from(ip, nat);
        assert_eq!(hex(&caller.ask(&say::online(&[B1]))), "c201030a0180", "{ip}");
        Device::towards(ip, main).heard_nothing();
    }
}
