//! Whether a connection of port P is sealed (protocol §4.8): clients that want it wait for our
//! key, all others speak first. So the offer is made to those who stay silent for a moment, and
//! the client's next message tells what it chose. C26, C27, C61-C64.

use std::cell::RefCell;
use std::rc::Rc;

use hbb_core::base::counters::DropReason;
use hbb_core::base::limits::{EXCHANGES_PER_SECOND, OFFER_REUSE_MS};
use hbb_core::base::time::{RateWindow, Time};
use hbb_core::identity::ServerKey;
use hbb_core::identity::seal::{Channel, Offer, Secrets};
use hbb_core::wire::message::{decode, key_exchange_offer};
use hbb_core::wire::request::{KeyExchange, Request};

use crate::net::clock::Clock;

/// Makes offers for all connections, at bounded cost: one signature in [`OFFER_REUSE_MS`], and
/// [`EXCHANGES_PER_SECOND`] key exchanges.
pub(crate) struct Offers {
    clock: Clock,
    key: ServerKey,
    delay_ms: u64,
    state: RefCell<OfferState>,
}

struct OfferState {
    secrets: Secrets,
    current: Option<(Offer, Time)>,
    exchanges: RateWindow,
}

impl Offers {
    /// Offers signed by `key`, their secrets drawn from `seed`, which nobody else may know; they
    /// are made to whoever is silent for `delay_ms`.
    pub(crate) fn new(clock: Clock, key: ServerKey, seed: [u8; 32], delay_ms: u64) -> Self {
        let secrets = Secrets::new(seed);
        let state = OfferState { secrets, current: None, exchanges: RateWindow::EMPTY };
        Self { clock, key, delay_ms, state: RefCell::new(state) }
    }

    /// How long a connection is silent before an offer, in milliseconds.
    pub(crate) fn delay_ms(&self) -> u64 {
        self.delay_ms
    }

    fn offer(&self) -> Option<Offer> {
        let (now, mut state) = (self.clock.now(), self.state.borrow_mut());
        let fresh = |made: &Time| now.since_ms(*made) < OFFER_REUSE_MS;
        if let Some((offer, _)) = state.current.as_ref().filter(|(_, made)| fresh(made)) {
            return Some(offer.clone());
        }
        let offer = Offer::new(&self.key, state.secrets.draw())?;
        state.current = Some((offer.clone(), now));
        Some(offer)
    }

    /// Counts a key exchange; false if there were too many within a second.
    fn allow(&self) -> bool {
        let now = self.clock.now();
        self.state.borrow_mut().exchanges.allow(now, 1_000, EXCHANGES_PER_SECOND)
    }
}

/// What one connection agreed on.
pub(crate) enum Secrecy {
    /// Nothing was said yet.
    Silent,
    /// We made an offer; the next message answers it or ignores it.
    Offered(Box<(Offer, Rc<Offers>)>),
    /// Everything in clear.
    Plain,
    /// Everything sealed.
    Sealed(Box<Channel>),
}

impl Secrecy {
    /// The payload that makes the offer, if nothing was said yet and there is a key to sign with.
    pub(crate) fn offer(&mut self, offers: &Rc<Offers>) -> Option<Vec<u8>> {
        let Self::Silent = self else { return None };
        let offer = offers.offer()?;
        let payload = key_exchange_offer(offer.signed());
        *self = Self::Offered(Box::new((offer, Rc::clone(offers))));
        Some(payload)
    }

    /// The payload in clear; None if it was the client's half of the key exchange.
    ///
    /// # Errors
    /// Why the connection must end: a box or an exchange that is not what it should be (C63), or
    /// too many exchanges at once.
    pub(crate) fn incoming(&mut self, payload: Vec<u8>) -> Result<Option<Vec<u8>>, DropReason> {
        match self {
            Self::Plain => Ok(Some(payload)),
            Self::Sealed(channel) => {
                channel.open(payload).map(Some).map_err(|_| DropReason::Malformed)
            }
            Self::Silent => {
                *self = Self::Plain;
                Ok(Some(payload))
            }
            Self::Offered(offered) => {
                let (offer, offers) = &**offered;
                let Request::KeyExchange(KeyExchange { public, boxed }) =
                    decode(&payload).map_err(|_| DropReason::Malformed)?
                else {
                    *self = Self::Plain;
                    return Ok(Some(payload));
                };
                if !offers.allow() {
                    return Err(DropReason::Busy);
                }
                let channel = offer.accept(public, boxed).map_err(|_| DropReason::Malformed)?;
                *self = Self::Sealed(Box::new(channel));
                Ok(None)
            }
        }
    }

    /// The payload as it goes out.
    pub(crate) fn outgoing(&mut self, payload: Vec<u8>) -> Vec<u8> {
        match self {
            Self::Sealed(channel) => channel.seal(payload),
            Self::Silent | Self::Offered(_) | Self::Plain => payload,
        }
    }
}
