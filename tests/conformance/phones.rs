//! A phone and a stranger who claims to be it, over loopback: C87. The rest stands in
//! `phones_machine.rs`.

use std::thread;
use std::time::Duration;

use crate::loopback::{B_IP, B1, Device, ELSEWHERE, KEY, enforcing};
use crate::say::{self, hex};

const OK: &str = "820100";
const HERE: &str = "3a00";
const SEND_KEY: &str = "3a021001";

#[test]
fn c087_the_phone_is_asked_first_and_who_claims_its_id_waits_two_seconds() {
    let server = enforcing();
    let (phone, stranger) = (Device::at(B_IP, &server), Device::at(ELSEWHERE, &server));
    let claim = say::register_pk(B1, &KEY, &KEY);
    assert_eq!(hex(&phone.ask(&claim)), OK);
    stranger.say(&claim);
    assert_eq!(hex(&phone.next()), SEND_KEY);
    assert_eq!(hex(&phone.ask(&claim)), OK);
    thread::sleep(Duration::from_millis(2_200));
    stranger.heard_nothing();
    assert_eq!(phone.keeps(B1), HERE);
    // Now the phone is silent.
    assert_eq!(hex(&stranger.ask(&claim)), OK);
    assert_eq!(hex(&phone.next()), SEND_KEY);
    assert_eq!(stranger.keeps(B1), HERE);
    assert_eq!(phone.keeps(B1), SEND_KEY);
}
