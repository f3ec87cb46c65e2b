//! The change of an id over a socket, as the client's settings page asks for it: C33.

use crate::loopback::{A_IP, B_IP, B1, Caller, DEVICE, Device, KEY, dial, enforcing, main_port};
use crate::say::{self, hex, take};

#[test]
fn c033_an_id_changed_over_tcp_is_the_id_from_then_on() {
    let mut server = enforcing();
    let target = Device::enrolled(B_IP, &server, B1);
    let other = Device::at(A_IP, &server);
    assert_eq!(hex(&other.ask(&say::register_pk("taken1", b"another device", &KEY))), "820100");
    let change = |to: &str, device| {
        let answer = Caller::from(B_IP, main_port(&server)).ask(&say::change_id(B1, to, device));
        take!(&answer, RegisterPkResponse).outcome
    };
    assert_eq!(change("1bad", DEVICE), 5);
    assert_eq!(change("newname1", b"another device"), 7);
    assert_eq!(change("taken1", DEVICE), 3);
    assert_eq!(change("newname1", DEVICE), 0);
    assert_eq!(dial(&server, B1), "5a00");
    let mut initiator = Caller::from(A_IP, main_port(&server));
    initiator.say(&say::punch("newname1", |wish| wish.access_key = server.key()));
    take!(&target.next(), PunchHole);
    server.kill_and_restart();
    assert_eq!(dial(&server, B1), "5a00");
    assert_eq!(dial(&server, "newname1"), "5a021802");
}
