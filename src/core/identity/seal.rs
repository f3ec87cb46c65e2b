//! The sealed signalling channel (protocol §4.8): the server offers an X25519 key under its
//! Ed25519 signature, the client answers with a boxed symmetric key, and from then on payloads
//! are XSalsa20-Poly1305 boxes with a counter in each direction. Bytes in, bytes out: it must not
//! know messages or connections. C26, C27, C29, C60-C64, C89.

use alloc::vec::Vec;
use core::fmt;

use crypto_secretbox::aead::{AeadInPlace as _, KeyInit as _};
use crypto_secretbox::cipher::{KeyIvInit as _, StreamCipher as _};
use crypto_secretbox::{Nonce, Tag, XSalsa20Poly1305};
use ed25519_compact::x25519::{PublicKey, SecretKey};
use salsa20::cipher::consts::U10;
use salsa20::{XSalsa20, hsalsa};

use super::ServerKey;
use crate::base::limits::EXCHANGES_PER_OFFER;

const TAG_BYTES: usize = 16;
const NONCE_BYTES: usize = 24;
/// Bytes of an offer: a signature and the key it covers.
pub const OFFER_BYTES: usize = 64 + 32;

/// Why a channel cannot open or go on. Always the peer's fault, always fatal for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealError {
    /// The client's public key leads to no secret.
    WeakKey,
    /// A box was not made with this key, at this place in the order, or was changed on its way.
    Forged,
    /// The client's half answered this offer before (C89).
    Repeated,
    /// The offer was answered as often as can be remembered.
    Spent,
}

impl fmt::Display for SealError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::WeakKey => "a key that leads to no secret",
            Self::Forged => "a box that cannot be opened",
            Self::Repeated => "an answer that came before",
            Self::Spent => "an offer answered too often",
        })
    }
}

/// The server's half of a key exchange. It may serve several clients for a short while, each of
/// them once: whoever recorded a client's bytes opens nothing by saying them again (C89).
pub struct Offer {
    secret: SecretKey,
    signed: [u8; OFFER_BYTES],
    /// Of each box that was opened, half its tag. The box and not the public key beside it: other
    /// public keys lead to the same secret, but only who knows that secret can make another box.
    opened: Vec<[u8; 8]>,
}

impl Offer {
    /// Signs the public half of `secret`, 32 bytes nobody can guess; None for one in 2^250 that
    /// is no key.
    pub fn new(key: &ServerKey, secret: [u8; 32]) -> Option<Self> {
        let secret = SecretKey::new(secret);
        let public = secret.recover_public_key().ok()?;
        let mut signed = [0; OFFER_BYTES];
        let (signature, covered) = signed.split_at_mut(64);
        signature.copy_from_slice(&key.sign(&public[..]).0);
        covered.copy_from_slice(&public[..]);
        Some(Self { secret, signed, opened: Vec::new() })
    }

    /// What the client is sent: the signature, then the public key.
    pub const fn signed(&self) -> &[u8; OFFER_BYTES] {
        &self.signed
    }

    /// Opens the channel a client asks for with its public key and the boxed symmetric key.
    ///
    /// # Errors
    /// [`SealError`] if either is not what it should be (C63), came before (C89), or there were
    /// [`EXCHANGES_PER_OFFER`].
    pub fn accept(&mut self, public: [u8; 32], boxed: [u8; 48]) -> Result<Channel, SealError> {
        let [a, b, c, d, e, f, g, h, ..] = boxed;
        let tag = [a, b, c, d, e, f, g, h];
        if self.opened.contains(&tag) {
            return Err(SealError::Repeated);
        }
        if self.opened.len() >= EXCHANGES_PER_OFFER {
            return Err(SealError::Spent);
        }
        let shared = PublicKey::new(public).dh(&self.secret).map_err(|_| SealError::WeakKey)?;
        // NaCl's box: the X25519 secret through HSalsa20 is the key of a secretbox.
        let key = hsalsa::<U10>((&*shared).into(), &Default::default());
        let symmetric = open(&key.into(), 0, &boxed)?;
        let key = symmetric.try_into().map_err(|_| SealError::Forged)?;
        self.opened.push(tag);
        Ok(Channel { key, received: 0, sent: 0 })
    }
}

/// An open channel. Payloads of 0 or 1 bytes pass as they are and count for nothing (C29).
pub struct Channel {
    key: [u8; 32],
    received: u64,
    sent: u64,
}

impl Channel {
    /// The payload in a received box.
    ///
    /// # Errors
    /// [`SealError::Forged`]; the connection must end.
    pub fn open(&mut self, payload: Vec<u8>) -> Result<Vec<u8>, SealError> {
        if payload.len() <= 1 {
            return Ok(payload);
        }
        self.received += 1;
        open(&self.key, self.received, &payload)
    }

    /// The box to send for a payload.
    pub fn seal(&mut self, payload: Vec<u8>) -> Vec<u8> {
        if payload.len() <= 1 {
            return payload;
        }
        self.sent += 1;
        seal(&self.key, self.sent, &payload)
    }
}

fn nonce(count: u64) -> Nonce {
    let mut nonce = [0; NONCE_BYTES];
    let (low, _) = nonce.split_at_mut(8);
    low.copy_from_slice(&count.to_le_bytes());
    nonce.into()
}

fn open(key: &[u8; 32], count: u64, boxed: &[u8]) -> Result<Vec<u8>, SealError> {
    let (tag, sealed) = boxed.split_at_checked(TAG_BYTES).ok_or(SealError::Forged)?;
    let mut payload = sealed.to_vec();
    XSalsa20Poly1305::new(key.into())
        .decrypt_in_place_detached(&nonce(count), &[], &mut payload, Tag::from_slice(tag))
        .map_err(|_| SealError::Forged)?;
    Ok(payload)
}

fn seal(key: &[u8; 32], count: u64, payload: &[u8]) -> Vec<u8> {
    let mut sealed = payload.to_vec();
    let cipher = XSalsa20Poly1305::new(key.into());
    // It fails beyond 256 GiB only; an empty box is one no peer can open.
    match cipher.encrypt_in_place_detached(&nonce(count), &[], &mut sealed) {
        Ok(tag) => [tag.as_slice(), &sealed].concat(),
        Err(_) => Vec::new(),
    }
}

/// Secrets drawn one after the other from a seed nobody can guess: XSalsa20 keyed by it, the
/// count as nonce. Who learns one secret learns nothing of the others.
pub struct Secrets {
    seed: [u8; 32],
    count: u64,
}

impl Secrets {
    /// Secrets under `seed`.
    pub const fn new(seed: [u8; 32]) -> Self {
        Self { seed, count: 0 }
    }

    /// The next 32 bytes.
    pub fn draw(&mut self) -> [u8; 32] {
        self.count += 1;
        let mut secret = [0; 32];
        XSalsa20::new((&self.seed).into(), &nonce(self.count)).apply_keystream(&mut secret);
        secret
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn offer() -> Offer {
        let seed = core::array::from_fn(|i| u8::try_from(i).unwrap());
        Offer::new(&ServerKey::from_seed(seed).unwrap(), [1; 32]).unwrap()
    }

    #[test]
    fn refuses_weak_keys_and_foreign_boxes() {
        assert_eq!(offer().accept([0; 32], [0; 48]).map(|_| ()), Err(SealError::WeakKey));
        assert_eq!(offer().accept([9; 32], [0; 48]).map(|_| ()), Err(SealError::Forged));
        let mut channel = Channel { key: [3; 32], received: 0, sent: 0 };
        for len in [2, 15, 16, 17, 100] {
            assert_eq!(channel.open(vec![0; len]), Err(SealError::Forged), "{len}");
        }
    }

    #[test]
    fn c089_an_offer_answered_too_often_is_spent() {
        let mut offer = offer();
        offer.opened = vec![[7; 8]; EXCHANGES_PER_OFFER];
        assert_eq!(offer.accept([9; 32], [7; 48]).map(|_| ()), Err(SealError::Repeated));
        assert_eq!(offer.accept([9; 32], [0; 48]).map(|_| ()), Err(SealError::Spent));
    }

    #[test]
    fn secrets_differ_and_repeat_under_one_seed() {
        let (mut one, mut same) = (Secrets::new([7; 32]), Secrets::new([7; 32]));
        let first = one.draw();
        assert_eq!(first, same.draw());
        assert_ne!(first, one.draw());
    }
}
