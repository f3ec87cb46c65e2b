//! Places of the relay when somebody takes what he can get: over loopback, against the real binary.
//! C106.

use crate::loopback::{A_IP, B_IP, B1, Caller, Device, main_port, relay_port};
use crate::model::server::Server;
use crate::relay_socket::{first, is_pair, leg};
use crate::say::{self, proto::ConnType, take};

/// The relay that initiators name here.
const RELAY: &str = "relay.example:21117";

/// A leg of a tunnel, which may be silent for an hour.
fn tunnel_leg(ip: &str, server: &Server, token: &str) -> Caller {
    let mut leg = Caller::from(ip, relay_port(server));
    leg.say_raw(&first(token, |wish| wish.conn_type = ConnType::PortForward as i32));
    leg
}

/// Both ends of a tunnel of one address.
fn tunnel(ip: &str, server: &Server, token: &str) -> [Caller; 2] {
    [(); 2].map(|()| tunnel_leg(ip, server, token))
}

/// A pair whose token passed the server's signalling.
fn known(server: &Server, target: &Device, token: &str, ips: [&str; 2]) -> [Caller; 2] {
    let mut initiator = Caller::from(ips[0], main_port(server));
    initiator.say(&say::request_relay(B1, |wish| wish.uuid = token.into()));
    assert_eq!(take!(&target.next(), RequestRelay).uuid, token);
    ips.map(|ip| leg(ip, relay_port(server), token))
}

#[test]
fn c106_silent_legs_of_one_address_shut_nobody_out() {
    let server = Server::start(&["--key=", "--relay-servers", RELAY]);
    let target = Device::enrolled(B_IP, &server, B1);
    let greedy: Vec<_> =
        (0..32).map(|n| tunnel("127.0.5.1", &server, &format!("greedy{n}"))).collect();
    let mut stranger = [A_IP, "127.0.6.1"].map(|ip| leg(ip, relay_port(&server), "stranger"));
    let [one, other] = &mut stranger;
    is_pair(one, other);
    let others: Vec<_> = (0..32)
        .map(|n| tunnel(&format!("127.1.{n}.1"), &server, &format!("greedy, too{n}")))
        .collect();
    let mut all = Vec::new();
    for n in 0..32 {
        let [mut one, mut other] =
            known(&server, &target, &format!("known{n}"), [A_IP, "127.0.8.1"]);
        is_pair(&mut one, &mut other);
        all.push((one, other));
    }
    drop((greedy, others));
}

#[test]
fn c115_a_known_leg_that_waits_gives_way_to_no_crowd_at_its_address() {
    let outside = ["--key=", "--trusted-proxies", "192.0.2.1", "--max-connections", "32"];
    let server = Server::start(&[&outside[..], &["--relay-servers", RELAY]].concat());
    let target = Device::enrolled(B_IP, &server, B1);
    let pass = |token: &str| {
        let mut initiator = Caller::from(A_IP, main_port(&server));
        initiator.say(&say::request_relay(B1, |wish| wish.uuid = token.into()));
        assert_eq!(take!(&target.next(), RequestRelay).uuid, token);
    };
    pass("before");
    let mut one = leg("127.0.5.1", relay_port(&server), "before");
    let mut other = leg("127.0.5.1", relay_port(&server), "behind");
    let mut stranger = leg("127.0.5.1", relay_port(&server), "never");
    pass("behind");
    // The relay hears of tokens before it hears of legs.
    let [mut here, mut there] =
        ["127.0.7.1", "127.0.8.1"].map(|ip| leg(ip, relay_port(&server), "later"));
    is_pair(&mut here, &mut there);
    let crowd: Vec<_> = (0..40).map(|_| Caller::from("127.0.5.1", main_port(&server))).collect();
    stranger.is_closed();
    for (waiting, token) in [(&mut one, "before"), (&mut other, "behind")] {
        let mut partner = leg("127.0.6.1", relay_port(&server), token);
        is_pair(waiting, &mut partner);
    }
    drop(crowd);
}

#[test]
fn c106_a_stranger_s_session_ends_for_a_known_one_and_a_known_one_for_nobody() {
    for threads in ["1", "2"] {
        let flags = ["--key=", "--relay-servers", RELAY, "--max-sessions", "2"];
        let server = Server::start(&[&flags[..], &["--relay-threads", threads]].concat());
        let target = Device::enrolled(B_IP, &server, B1);
        let [mut silent, mut partner] = tunnel("127.0.5.1", &server, "silent");
        is_pair(&mut silent, &mut partner);
        let [mut one, mut other] = known(&server, &target, "one", [A_IP, B_IP]);
        is_pair(&mut one, &mut other);
        let [mut two, mut too] = known(&server, &target, "two", ["127.0.6.1", "127.0.7.1"]);
        is_pair(&mut two, &mut too);
        silent.is_closed();
        partner.is_closed();
        let [mut three, mut refused] = known(&server, &target, "three", [A_IP, "127.0.7.1"]);
        three.is_closed();
        refused.is_closed();
        is_pair(&mut one, &mut other);
        assert!(server.log().contains("reason=sessions-full"), "{}", server.log());
    }
}
