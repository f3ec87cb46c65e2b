//! NAT test and online query over sockets: C34-C38, C112, C136.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use crate::both::{ENFORCING, with_b1};
use crate::half_minute::Watch;
use crate::loopback::{
    A_IP, B_IP, B1, Caller, Device, enforcing, main_port, nat_port, open, over_v6,
};
use crate::model::host::Host;
use crate::model::initiator::nat_type;
use crate::model::server::Server;
use crate::say::{self, hex, take};
use crate::websocket::{WebSocket, ws_port};

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

/// Whoever is through may say so at once: the answer comes all the same.
#[test]
fn c034_a_request_with_an_end_behind_it_is_answered() {
    let server = enforcing();
    for port in [main_port(&server), nat_port(&server)] {
        for _ in 0..10 {
            let mut peer = TcpStream::connect(port).unwrap();
            let request = say::test_nat(0);
            let length = u8::try_from(request.len() << 2).unwrap();
            peer.write_all(&[&[length], &request[..]].concat()).unwrap();
            peer.shutdown(Shutdown::Write).unwrap();
            let mut answer = Vec::new();
            peer.read_to_end(&mut answer).unwrap();
            assert!(answer.len() > 4, "{answer:?}");
        }
    }
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

/// An address book of 20,000 ids, each 16 characters long; the 7th of each ten is here.
fn book() -> Vec<u8> {
    let absent: Vec<_> = (0..20_000).map(|number| format!("somebody{number:08}")).collect();
    let ids = absent.iter().enumerate();
    let ids = ids.map(|(at, id)| if at % 10 == 7 { LONG_ID } else { id }).collect::<Vec<_>>();
    say::online_as(LONG_ID, &ids)
}

/// Whoever comes from loopback counts as a client, not as a proxy.
const OUTSIDE: [&str; 3] = ["--key=", "--trusted-proxies", "192.0.2.1"];

const LONG_ID: &str = "sixteen_letters_";

/// A device that was heard from there.
fn at_home(ip: &str, server: &Server) -> Device {
    let device = Device::enrolled(ip, server, LONG_ID);
    assert_eq!(device.keeps(LONG_ID), "3a00");
    device
}

#[track_caller]
fn is_exact(answer: &[u8]) {
    let states = take!(answer, OnlineResponse).states;
    assert_eq!(states.len(), 2_500);
    for at in 0..20_000 {
        assert_eq!(states[at / 8] & 0x80 >> (at % 8) != 0, at % 10 == 7, "{at}");
    }
}

#[test]
fn c136_an_address_book_of_20_000_is_answered_on_every_port() {
    let book = book();
    let plain = Server::start(&OUTSIDE);
    let single =
        Server::start(&[&OUTSIDE[..], &["--single-port", "--public", "127.0.0.1"]].concat());
    let mut asked = 0;
    for server in [&plain, &single] {
        let ports = match server.port == single.port {
            true => vec![main_port(server)],
            false => vec![nat_port(server), main_port(server)],
        };
        // Each from an address of its own, of which a device is at each.
        let mut somewhere = || {
            asked += 1;
            let ip = format!("127.0.8.{asked}");
            let device = at_home(&ip, server);
            (ip, device)
        };
        for port in ports {
            let (ip, _device) = somewhere();
            is_exact(&Caller::from(&ip, port).ask(&book));
        }
        let web = if server.port == single.port { main_port(server) } else { ws_port(server) };
        let (ip, _device) = somewhere();
        let mut socket = WebSocket::at(&ip, web);
        // A ping, then two fragments, of which the first is below the limit of others.
        socket.0.say_raw(&[0x89, 0x80, 1, 2, 3, 4]);
        is_exact(&socket.ask(&book));
    }
}

#[test]
fn c136_only_a_query_of_who_is_known_may_be_so_long_wherever_it_is_cut() {
    let server = Server::start(&OUTSIDE);
    let _device = at_home(A_IP, &server);
    let frame = crate::model::wire::frame(&book());
    // A stranger's is refused at its header, and so is what is no query.
    let mut stranger = Caller::from("127.0.8.99", nat_port(&server));
    stranger.say_raw(&frame[..3]);
    stranger.is_closed();
    for byte in [3, 4] {
        let mut other = frame.clone();
        other[byte] ^= 1;
        let mut caller = Caller::from(A_IP, nat_port(&server));
        caller.say_raw(&other[..=byte]);
        caller.is_closed();
    }
    // A byte more than may be.
    let mut caller = Caller::from(A_IP, nat_port(&server));
    caller.say_raw(&[0x06, 0x80, 0x16, 0xba, 0x01]);
    caller.is_closed();
    let mut caller = Caller::from(A_IP, nat_port(&server));
    for cut in [0..1, 1..3, 3..4, 4..5, 5..9, 9..90_000, 90_000..frame.len()] {
        caller.say_raw(&frame[cut]);
        std::thread::sleep(std::time::Duration::from_millis(30));
    }
    is_exact(&caller.next());
}
