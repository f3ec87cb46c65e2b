//! Signalling at P, and what it shows of the key: whether the server takes it, and whether it
//! signs with it. Who was offered a sealed channel asks in clear instead of hanging up, which a
//! server without an access key would remember of this address (C121). C159.

use super::Asked;
use super::probe::{NOBODY, Probe, ask};
use super::report::State;
use super::wire::{Fault, Form};
use hbb_core::identity::opened;
use hbb_core::wire::message::client::{self, Answer, Target};

/// An offer comes to the silent, after a second on a single port.
const OFFER_MS: u64 = 2_000;

/// Waits for an offer, then asks for a device.
pub(super) fn signalling(probe: &mut Probe) -> Result<(), Fault> {
    let shared = probe.shared;
    let wire = probe.open(Form::Frames)?;
    let told = match wire.receive_within(OFFER_MS) {
        Err(Fault::Mute) => Vec::new(),
        told => told?,
    };
    let offer = match client::answer(&told) {
        Some(Answer::Offer(offer)) => Some(offer),
        _ if told.is_empty() => None,
        _ => return Err(Fault::Foreign),
    };
    let id = shared.id_to_ask();
    let told = match ask(&wire, &client::punch(id.unwrap_or(NOBODY), shared.asked.key())) {
        Err(Fault::Mute) if id.is_some() => {
            probe.tell(State::Ok, "answers");
            probe.say("signed", State::Wrong, "the device of --id does not answer");
            return Ok(());
        }
        told => told?,
    };
    let Some(Answer::Target(target)) = client::answer(&told) else { return Err(Fault::Foreign) };
    probe.tell(State::Ok, "answers");
    let mismatch = target.failure == Some(Target::KEY_MISMATCH);
    let (state, text) = key(&shared.asked, offer, mismatch);
    probe.say("key", state, text);
    if let Some(id) = id {
        let (state, text) = signature(&shared.asked, id, &target);
        probe.say("signed", state, text);
        shared.try_relay(&String::from_utf8_lossy(target.relay));
    }
    Ok(())
}

/// What the offer and the answer to a question say of the key, and what to do.
fn key(asked: &Asked, offer: Option<&[u8]>, mismatch: bool) -> (State, &'static str) {
    let signs = offer.map(|offer| asked.public.is_some_and(|key| opened(offer, &key).is_some()));
    match (!asked.key().is_empty(), signs, mismatch) {
        (false, _, true) => (
            State::Note,
            "clients must show it; not tried\n\
             give --key to see whether it is right",
        ),
        (false, _, false) => (
            State::Note,
            "clients need not show it; not tried\n\
             give --key if there is one",
        ),
        (true, Some(true), false) => (State::Ok, "the server takes it, and signs with it"),
        (true, None, false) => (
            State::Note,
            "the server takes it; it offers nothing signed by itself, as hbb does\n\
             give --id with a device that is online, to see what it signs with",
        ),
        (true, Some(false), false) => (
            State::Wrong,
            "key mismatch: the server takes it, and signs with another; it is an old key, or none \
             is asked for\n\
             clients: enter what 'hbb export' prints there; with this one those that are logged in \
             say Signature mismatch",
        ),
        (true, Some(true), true) => (
            State::Wrong,
            "key mismatch: the server signs with it, and demands another text\n\
             server: leave --key out",
        ),
        (true, _, true) => (
            State::Wrong,
            "key mismatch: the server's is another; this one is wrong or old\n\
             clients: enter what 'hbb export' prints there; with this one they say Key mismatch",
        ),
    }
}

/// What the answer for a device is worth.
fn signature(asked: &Asked, id: &str, target: &Target<'_>) -> (State, &'static str) {
    let is_right = |key| {
        opened(target.signed, key).is_some_and(|it| client::id_of_signed(it) == id.as_bytes())
    };
    match (target.failure, &asked.public) {
        (Some(0), _) => (State::Wrong, "no device has the id of --id, or it refuses"),
        (Some(Target::KEY_MISMATCH), _) => (State::Note, "not tried: the server asks for its key"),
        (Some(2), _) => (State::Wrong, "the device of --id is not online"),
        (Some(_), _) => (State::Wrong, "the server finds no way to the device of --id"),
        (None, _) if target.signed.is_empty() => {
            (State::Wrong, "the server signs nothing: sessions are not encrypted")
        }
        (None, None) => (State::Note, "the answer for --id is signed; give --key to verify it"),
        (None, Some(key)) if is_right(key) => (State::Ok, "the answer for --id is signed with it"),
        (None, Some(_)) => (State::Wrong, "the answer for --id is signed with another key"),
    }
}
