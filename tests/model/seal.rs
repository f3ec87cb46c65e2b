//! A client's half of the sealed channel (protocol §4.8), with the primitives alone and none of
//! the server's code. C26, C27, C60-C62.

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use crypto_secretbox::aead::{AeadInPlace as _, KeyInit as _};
use crypto_secretbox::{Nonce, Tag, XSalsa20Poly1305};
use ed25519_compact::x25519::{PublicKey, SecretKey};
use salsa20::cipher::consts::U10;
use salsa20::hsalsa;

use super::wire;
use crate::say::proto::KeyExchange;
use crate::say::{self, Body, take};

/// The key both ends use, and how many payloads went each way.
pub(crate) struct Seal {
    key: [u8; 32],
    sent: u64,
    received: u64,
}

impl Seal {
    /// Waits for the server's key, verifies it, answers with a boxed symmetric key.
    pub(crate) fn agree(stream: &mut (impl Read + Write), server_key: &str) -> Self {
        Self::agree_if_offered(stream, server_key).expect("the server offers its key")
    }

    /// The same with a server that may have no room.
    pub(crate) fn agree_if_offered(
        stream: &mut (impl Read + Write),
        server_key: &str,
    ) -> io::Result<Self> {
        let offer = wire::receive(stream)?;
        let offer = take!(&offer, KeyExchange).keys;
        assert_eq!((offer.len(), offer[0].len()), (1, 96));
        let public: [u8; 32] = super::initiator::signed(server_key, &offer[0]).try_into().unwrap();
        // As fresh as a client's: what answered an offer once answers it no more (C89).
        static COUNT: AtomicU64 = AtomicU64::new(7);
        let count = COUNT.fetch_add(1, Ordering::Relaxed).to_le_bytes();
        let secret = SecretKey::new([count, count, count, count].concat().try_into().unwrap());
        let own = secret.recover_public_key().unwrap();
        let shared = PublicKey::new(public).dh(&secret).unwrap();
        let box_key = hsalsa::<U10>((&*shared).into(), &Default::default());
        let key = [9; 32];
        let boxed = enclose(&box_key.into(), 0, &key);
        let answer = KeyExchange { keys: vec![own.to_vec(), boxed] };
        wire::send(stream, &say::payload(Body::KeyExchange(answer)))?;
        Ok(Self { key, sent: 0, received: 0 })
    }

    /// The box to send for a payload; heartbeats go as they are.
    pub(crate) fn close(&mut self, payload: &[u8]) -> Vec<u8> {
        if payload.len() <= 1 {
            return payload.to_vec();
        }
        self.sent += 1;
        enclose(&self.key, self.sent, payload)
    }

    /// The payload in a received box.
    pub(crate) fn open(&mut self, boxed: Vec<u8>) -> Vec<u8> {
        if boxed.len() <= 1 {
            return boxed;
        }
        self.received += 1;
        let (tag, sealed) = boxed.split_at(16);
        let mut payload = sealed.to_vec();
        XSalsa20Poly1305::new((&self.key).into())
            .decrypt_in_place_detached(
                &nonce(self.received),
                &[],
                &mut payload,
                Tag::from_slice(tag),
            )
            .expect("the server sealed it");
        payload
    }
}

/// The tag, then the ciphertext.
fn enclose(key: &[u8; 32], count: u64, payload: &[u8]) -> Vec<u8> {
    let mut sealed = payload.to_vec();
    let tag = XSalsa20Poly1305::new(key.into())
        .encrypt_in_place_detached(&nonce(count), &[], &mut sealed)
        .unwrap();
    [&tag[..], &sealed].concat()
}

fn nonce(count: u64) -> Nonce {
    let mut nonce = [0; 24];
    nonce[..8].copy_from_slice(&count.to_le_bytes());
    nonce.into()
}
