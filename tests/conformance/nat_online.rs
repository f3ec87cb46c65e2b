//! NAT test and online query over sockets: C34-C38.

use crate::both::{ENFORCING, with_b1};
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
    with_b1(ENFORCING, |world| {
        let ids = [&[B1][..], &STRANGERS, &[B1]].concat();
        assert_eq!(world.states(&ids), [0x80, 0x80]);
    });
}

#[test]
fn c036_the_bitmap_has_a_bit_for_each_id_and_no_more() {
    with_b1(ENFORCING, |world| {
        assert_eq!(world.states(&[]), []);
        for count in [1_usize, 7, 8, 9, 16, 17] {
            assert_eq!(world.states(&vec!["nobody1"; count]), vec![0; count.div_ceil(8)]);
        }
        for place in 0..8 {
            let mut ids = ["nobody1"; 8];
            ids[place] = B1;
            assert_eq!(world.states(&ids), [0x80 >> place]);
        }
        assert_eq!(world.states(&[B1; 17]), [0xff, 0xff, 0x80]);
        // Ids that nobody can have keep their place.
        assert_eq!(world.states(&["", "a b", &"x".repeat(49), B1]), [0x10]);
    });
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

#[test]
fn c112_a_query_of_a_whole_frame_is_exact() {
    let server = open();
    let _b1 = Device::enrolled(A_IP, &server, B1);
    let ids: Vec<_> = (0..5_900).map(|it| if it % 3 == 0 { B1 } else { "100000001" }).collect();
    let mut caller = Caller::from(A_IP, nat_port(&server));
    let states = take!(&caller.ask(&say::online_as(B1, &ids)), OnlineResponse).states;
    assert_eq!(states.len(), 5_900_usize.div_ceil(8));
    for at in 0..5_900 {
        assert_eq!(states[at / 8] & 0x80 >> (at % 8) != 0, at % 3 == 0, "{at}");
    }
}
