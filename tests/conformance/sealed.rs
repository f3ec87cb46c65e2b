//! The sealed channel: vectors of protocol §4.8 on the pure channel, and the real port with a
//! client of NaCl's making (PyNaCl) in tests/interop. C26-C29, C60-C64, C89.

use hbb_core::identity::seal::{Channel, Offer, SealError};
use hbb_core::wire::message::{decode, key_exchange_offer};
use hbb_core::wire::request::{KeyExchange, Request};

use crate::drive::server_key;
use crate::say::{hex, unhex};

const CLIENT: &str = "ce8d3ad1ccb633ec7b70c17814a5c76ecd029685050d344745ba05870e587d59";
const BOX: &str = "5b7a94723fe303415e4041548009f1578c12dacb159111a9cab5264afe291702\
                   04ea005bdcbf08af4da01d42f5927991";

fn offer() -> Offer {
    Offer::new(&server_key(), [1; 32]).unwrap()
}

fn client() -> ([u8; 32], [u8; 48]) {
    (unhex(CLIENT).try_into().unwrap(), unhex(BOX).try_into().unwrap())
}

fn channel() -> Channel {
    let (public, boxed) = client();
    offer().accept(public, boxed).unwrap()
}

#[test]
fn c060_the_offer_is_the_vector() {
    let payload = key_exchange_offer(offer().signed());
    let expected = "ca01620a60\
        dfa4a840fc39a0c5a91d87f2ae03f70174d2dc7ebecfe65fc214b289e87314ee\
        9e28e207aa6df97aebe1e6fa0f5c1db5ae483c0b8e206f4d383d01feb481f90c\
        a4e09292b651c278b9772c569f5fa9bb13d906b46ab68c9df9dc2b4409f8a209";
    assert_eq!(hex(&payload), expected);
}

#[test]
fn c060_the_client_s_half_opens_and_counters_1_and_2_are_the_vectors() {
    let (public, boxed) = client();
    let payload = unhex(&format!("ca01540a20{CLIENT}0a30{BOX}"));
    assert_eq!(decode(&payload), Ok(Request::KeyExchange(KeyExchange { public, boxed })));
    let mut channel = channel();
    let ask = || unhex("a20100");
    assert_eq!(hex(&channel.seal(ask())), "3ff25e8ed6dd6017422004d4b8670482ee0d75");
    assert_eq!(hex(&channel.seal(ask())), "9ddd1d75e3cf97b2caf4c6b552bcc23764bd63");
    let mut channel = self::channel();
    let sealed = |text| unhex(text);
    assert_eq!(channel.open(sealed("3ff25e8ed6dd6017422004d4b8670482ee0d75")), Ok(ask()));
    assert_eq!(channel.open(sealed("9ddd1d75e3cf97b2caf4c6b552bcc23764bd63")), Ok(ask()));
}

#[test]
fn c029_payloads_of_one_byte_or_none_pass_and_count_for_nothing() {
    let mut channel = channel();
    for short in [vec![], vec![7]] {
        assert_eq!(channel.seal(short.clone()), short);
        assert_eq!(channel.open(short.clone()), Ok(short));
    }
    assert_eq!(hex(&channel.seal(unhex("a20100"))), "3ff25e8ed6dd6017422004d4b8670482ee0d75");
}

#[test]
fn c062_each_direction_counts_for_itself() {
    let mut channel = channel();
    channel.seal(unhex("a20100"));
    channel.seal(unhex("a20100"));
    let first = unhex("3ff25e8ed6dd6017422004d4b8670482ee0d75");
    assert_eq!(channel.open(first), Ok(unhex("a20100")));
}

#[test]
fn c063_other_numbers_of_keys_and_other_lengths_are_no_key_exchange() {
    let key = |len: usize| [&[0x0a, u8::try_from(len).unwrap()][..], &vec![9; len]].concat();
    let exchange = |keys: &[Vec<u8>]| {
        let body = keys.concat();
        [&[0xca, 0x01, u8::try_from(body.len()).unwrap()][..], &body].concat()
    };
    for keys in [
        vec![],
        vec![key(32)],
        vec![key(32), key(48), key(1)],
        vec![key(31), key(48)],
        vec![key(32), key(47)],
        vec![key(48), key(32)],
    ] {
        assert!(decode(&exchange(&keys)).is_err(), "{keys:?}");
    }
}

#[test]
fn c063_a_box_that_was_changed_or_comes_twice_is_refused() {
    let (public, boxed) = client();
    for at in 0..boxed.len() {
        let mut other = boxed;
        other[at] ^= 1;
        assert_eq!(offer().accept(public, other).map(|_| ()), Err(SealError::Forged), "byte {at}");
    }
    let first = unhex("3ff25e8ed6dd6017422004d4b8670482ee0d75");
    for at in 0..first.len() {
        let mut other = first.clone();
        other[at] ^= 0x80;
        assert_eq!(channel().open(other), Err(SealError::Forged), "byte {at}");
    }
    let mut channel = channel();
    channel.open(first.clone()).unwrap();
    assert_eq!(channel.open(first), Err(SealError::Forged));
}

#[test]
fn c089_a_client_s_half_answers_an_offer_once() {
    let (public, boxed) = client();
    let mut offer = offer();
    let mut accept = |public, boxed| offer.accept(public, boxed).map(|_| ());
    assert_eq!(accept(public, [9; 48]), Err(SealError::Forged));
    assert_eq!(accept(public, boxed), Ok(()));
    assert_eq!(accept(public, boxed), Err(SealError::Repeated));
    // Another public key of the same secret: its highest bit is ignored.
    let mut other = public;
    other[31] ^= 0x80;
    assert_eq!(self::offer().accept(other, boxed).map(|_| ()), Ok(()));
    assert_eq!(accept(other, boxed), Err(SealError::Repeated));
}
