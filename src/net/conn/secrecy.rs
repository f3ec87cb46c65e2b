//! Whether a connection of port P is sealed (protocol §4.8): clients that want it wait for our
//! key, all others speak first. So the offer is made to those who stay silent for a moment, and
//! the client's next message tells what it chose. C26, C27, C61-C64, C89, C90, C121, C129, C156.

use std::cell::RefCell;
use std::net::IpAddr;
use std::time::Duration;

use hbb_core::base::counters::DropReason;
use hbb_core::base::limits::{
    CALLS_OF_STRANGERS, CALLS_PER_NETWORK, CALLS_PER_SECOND, CALLS_PER_SOURCE, EXCHANGE_TURN_MS,
    EXCHANGE_TURNS, EXCHANGES_OF_STRANGERS, EXCHANGES_PER_NETWORK, EXCHANGES_PER_SECOND,
    EXCHANGES_PER_SOURCE, OFFER_REUSE_MS,
};
use hbb_core::base::table::Seed;
use hbb_core::base::time::{PerSecond, Shares, Time};
use hbb_core::identity::ServerKey;
use hbb_core::identity::declined::Declined;
use hbb_core::identity::rotation::{OldAddresses, OldKey};
use hbb_core::identity::seal::{Channel, OFFER_BYTES, Offer, SealError, Secrets};
use hbb_core::wire::message::{decode, key_exchange_offer};
use hbb_core::wire::request::{KeyExchange, Request};

use crate::net::clock::Clock;
use crate::net::reactor::Timer;

/// Of the key exchanges, whose they are (C90).
const SHARES: PerSecond = PerSecond {
    source: EXCHANGES_PER_SOURCE,
    network: EXCHANGES_PER_NETWORK,
    strangers: EXCHANGES_OF_STRANGERS,
    all: EXCHANGES_PER_SECOND,
};

/// The same of those that led to a call of the API (C129).
const CALLS: PerSecond = PerSecond {
    source: CALLS_PER_SOURCE,
    network: CALLS_PER_NETWORK,
    strangers: CALLS_OF_STRANGERS,
    all: CALLS_PER_SECOND,
};

/// Makes offers for all connections, at bounded cost: one signature in [`OFFER_REUSE_MS`], and in
/// a second [`EXCHANGES_PER_SECOND`] key exchanges, with [`CALLS_PER_SECOND`] more for calls.
pub(crate) struct Offers {
    clock: Clock,
    key: ServerKey,
    delay_ms: u64,
    /// Where those are who cannot verify an offer, if nobody need have the key (C121).
    declined: Option<RefCell<Declined>>,
    state: RefCell<OfferState>,
}

struct OfferState {
    secrets: Secrets,
    /// The offer that is made now, and the one before, which some may still answer; the same two
    /// under the key before. What answered one is remembered as long as it is here (C89).
    made: [[Option<Made>; 2]; 2],
    count: u64,
    old: Option<OldOffers>,
    exchanges: Shares,
    calls: Shares,
}

/// Offers under the key before, while that is good.
struct OldOffers {
    key: &'static ServerKey,
    at: OldAddresses,
}

struct Made {
    offer: Offer,
    number: u64,
    at: Time,
    /// Whether the key before signed it.
    old: bool,
}

/// Who answers an offer.
#[derive(Clone, Copy)]
pub(crate) struct Caller {
    pub(crate) ip: IpAddr,
    /// Whether a device is known at its address, or somebody there showed the key.
    pub(crate) known: bool,
}

impl Offers {
    /// Offers signed by `key`, their secrets drawn from `seed`, which nobody else may know; they
    /// are made to whoever is silent for `delay_ms`. With `keyless` there are clients without the
    /// key, which are let go on in clear once they left an offer. Where the old key was shown last,
    /// that one signs; whoever leaves an offer is made the other one next (C156).
    pub(crate) fn new(
        clock: Clock,
        (key, keyless, old): (ServerKey, bool, Option<&'static OldKey>),
        seed: [u8; 32],
        delay_ms: u64,
    ) -> Self {
        let mut secrets = Secrets::new(seed);
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, ..] = secrets.draw();
        let words = [[a, b, c, d, e, f, g, h], [i, j, k, l, m, n, o, p]].map(u64::from_le_bytes);
        let seed = Seed(words[0], words[1]);
        let (exchanges, calls) = (Shares::new(SHARES, seed), Shares::new(CALLS, seed));
        let old = old.map(|OldKey { key, .. }| OldOffers { key, at: OldAddresses::new(seed) });
        let made = Default::default();
        let state = OfferState { secrets, made, count: 0, old, exchanges, calls };
        let declined = keyless.then(|| RefCell::new(Declined::new(seed)));
        Self { clock, key, delay_ms, declined, state: RefCell::new(state) }
    }

    /// How long a connection is silent before an offer, in milliseconds.
    pub(crate) fn delay_ms(&self) -> u64 {
        self.delay_ms
    }

    /// The offer that is made now at `ip`: its number and what the client is sent.
    fn offer(&self, ip: IpAddr) -> Option<(u64, [u8; OFFER_BYTES])> {
        let (now, mut state) = (self.clock.now(), self.state.borrow_mut());
        let OfferState { secrets, made, count, old, .. } = &mut *state;
        let [made, made_old] = made;
        let (key, made, old) = match old {
            Some(old) if old.at.has(ip) => (old.key, made_old, true),
            _ => (&self.key, made, false),
        };
        let fresh = |made: &&Made| now.since_ms(made.at) < OFFER_REUSE_MS;
        if let Some(made) = made[0].as_ref().filter(fresh) {
            return Some((made.number, *made.offer.signed()));
        }
        let offer = Offer::new(key, secrets.draw())?;
        let signed = *offer.signed();
        *count += 1;
        let [current, before] = made;
        *before = current.replace(Made { offer, number: *count, at: now, old });
        Some((*count, signed))
    }

    /// Whether whoever is silent at `ip` is to go on in clear.
    fn is_left_by(&self, ip: IpAddr) -> bool {
        let now = self.clock.now();
        self.declined.as_ref().is_some_and(|declined| declined.borrow_mut().take(now, ip))
    }

    /// Whether an exchange with `caller` may begin now; it counts then.
    fn admits(&self, caller: Caller) -> bool {
        let now = self.clock.now();
        self.state.borrow_mut().exchanges.allow(now, caller.ip, caller.known)
    }

    /// Opens the channel that `caller`, who was admitted, asks for in answer to an offer.
    fn exchange(
        &self,
        number: u64,
        half: KeyExchange,
        caller: Caller,
    ) -> Result<Channel, DropReason> {
        let mut state = self.state.borrow_mut();
        let Made { offer, old, .. } = state.made(number).ok_or(DropReason::Idle)?;
        let channel = offer.accept(half.public, half.boxed).map_err(|error| match error {
            SealError::Spent => DropReason::Busy,
            SealError::WeakKey | SealError::Forged | SealError::Repeated => DropReason::Malformed,
        })?;
        let is_old = *old;
        state.note(caller.ip, is_old);
        Ok(channel)
    }

    /// Whoever is at `ip` hung up on an offer: it has the other key, or none (C121).
    fn left(&self, number: u64, ip: IpAddr) {
        let mut state = self.state.borrow_mut();
        let is_old = state.made(number).is_some_and(|made| made.old);
        state.note(ip, !is_old);
        if state.old.is_some() && !is_old {
            return;
        }
        if let Some(declined) = &self.declined {
            declined.borrow_mut().note(self.clock.now(), ip);
        }
    }

    /// Whoever is at `ip` showed one of two keys.
    pub(crate) fn showed(&self, ip: IpAddr, old: bool) {
        self.state.borrow_mut().note(ip, old);
    }

    /// The old key is good no more.
    pub(crate) fn end_rotation(&self) {
        let OfferState { old, made: [_, made_old], .. } = &mut *self.state.borrow_mut();
        (*old, *made_old) = (None, [None, None]);
    }

    /// The exchange with `caller` led to a call of the API. It counts among calls, as long as they
    /// have not had their share, and costs those nothing who want to register or to dial.
    fn was_for_a_call(&self, caller: Caller) {
        let OfferState { exchanges, calls, .. } = &mut *self.state.borrow_mut();
        exchanges.give_back(self.clock.now(), (caller.ip, caller.known), calls);
    }
}

impl OfferState {
    /// The offer of this number, if it is still here.
    fn made(&mut self, number: u64) -> Option<&mut Made> {
        let mut made = self.made.as_flattened_mut().iter_mut().flatten();
        made.find(|made| made.number == number)
    }

    fn note(&mut self, ip: IpAddr, old: bool) {
        if let Some(offers) = &mut self.old {
            offers.at.note(ip, old);
        }
    }
}

/// What one connection agreed on.
pub(crate) enum Secrecy {
    /// Nothing was said yet.
    Silent,
    /// We made the offer of this number; the next message answers it or ignores it.
    Offered(u64, &'static Offers),
    /// Everything in clear.
    Plain,
    /// Everything sealed; whose offer it was, until the client's first message is there.
    Sealed(Box<Channel>, Option<&'static Offers>),
}

impl Secrecy {
    /// The payload that makes the offer, if nothing was said yet and there is a key to sign with.
    /// An empty one where somebody just hung up on an offer: whatever comes first in its place has
    /// a client go on in clear (C121).
    pub(crate) fn offer(&mut self, offers: &'static Offers, ip: IpAddr) -> Option<Vec<u8>> {
        let Self::Silent = self else { return None };
        if offers.is_left_by(ip) {
            *self = Self::Plain;
            return Some(Vec::new());
        }
        let (number, signed) = offers.offer(ip)?;
        *self = Self::Offered(number, offers);
        Some(key_exchange_offer(&signed))
    }

    /// The client at `ip` hung up: without a word, if an offer was the last that was said.
    pub(crate) fn left(&self, ip: IpAddr) {
        if let Self::Offered(number, offers) = self {
            offers.left(*number, ip);
        }
    }

    /// Waits until an exchange may begin, if `payload` asks for one: all that are behind one
    /// address may come at the same moment, and have turns as its share allows (C90, C153).
    ///
    /// # Errors
    /// `Busy` if that would take too long.
    pub(crate) async fn turn(
        &self,
        payload: &[u8],
        caller: impl Fn() -> Caller,
    ) -> Result<(), DropReason> {
        let Self::Offered(_, offers) = self else { return Ok(()) };
        if !matches!(decode(payload), Ok(Request::KeyExchange(_))) {
            return Ok(());
        }
        for _ in 0..EXCHANGE_TURNS {
            if offers.admits(caller()) {
                return Ok(());
            }
            Timer::after(Duration::from_millis(EXCHANGE_TURN_MS)).await;
        }
        Err(DropReason::Busy)
    }

    /// The payload in clear; None if it was the client's half of the key exchange, whose turn it
    /// is. Who sends it is asked for then, and for a call of the API, alone.
    ///
    /// # Errors
    /// Why the connection must end: a box or an exchange that is not what it should be (C63), or
    /// came before (C89) or too late.
    pub(crate) fn incoming(
        &mut self,
        payload: Vec<u8>,
        caller: impl FnOnce() -> Caller,
    ) -> Result<Option<Vec<u8>>, DropReason> {
        match self {
            Self::Plain => Ok(Some(payload)),
            Self::Sealed(channel, fresh) => {
                let payload = channel.open(payload).map_err(|_| DropReason::Malformed)?;
                if let Some(offers) = fresh.take()
                    && matches!(decode(&payload), Ok(Request::HttpProxy))
                {
                    offers.was_for_a_call(caller());
                }
                Ok(Some(payload))
            }
            Self::Silent => {
                *self = Self::Plain;
                Ok(Some(payload))
            }
            Self::Offered(number, offers) => {
                let Request::KeyExchange(half) =
                    decode(&payload).map_err(|_| DropReason::Malformed)?
                else {
                    *self = Self::Plain;
                    return Ok(Some(payload));
                };
                let channel = offers.exchange(*number, half, caller())?;
                *self = Self::Sealed(Box::new(channel), Some(offers));
                Ok(None)
            }
        }
    }

    /// Whether nobody else reads what is said.
    #[cfg(feature = "accounts")]
    pub(crate) const fn is_sealed(&self) -> bool {
        matches!(self, Self::Sealed(..))
    }

    /// The payload as it goes out.
    pub(crate) fn outgoing(&mut self, payload: Vec<u8>) -> Vec<u8> {
        match self {
            Self::Sealed(channel, _) => channel.seal(payload),
            Self::Silent | Self::Offered(..) | Self::Plain => payload,
        }
    }
}
