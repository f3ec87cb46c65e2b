//! Signalling at P, and what it shows of the key: whether the server takes it, and whether it
//! signs with it. Whoever hangs up on an offer is made the other one next, where the key is being
//! replaced, and none where a server asks for no key, which forgets that with the next connection
//! (C121, C156). C159.

use super::Asked;
use super::probe::{NOBODY, Probe, ask};
use super::report::State;
use super::wire::{Fault, Form};
use hbb_core::identity::opened;
use hbb_core::wire::message::client::{self, Answer, Target};

/// An offer comes to the silent, after a second on a single port; the second one is for who has
/// time.
const OFFER_MS: [u64; 2] = [2_000, 1_500];

/// Waits for two offers, one after the other, then asks for a device.
pub(super) fn signalling(probe: &mut Probe) -> Result<(), Fault> {
    let shared = probe.shared;
    let mut wire = probe.open(Form::Frames)?;
    let mut offers = [None; OFFER_MS.len()];
    for (offer, ms) in offers.iter_mut().zip(OFFER_MS) {
        let told = match wire.receive_within(ms) {
            Err(Fault::Mute) => break,
            told => told?,
        };
        let Some(Answer::Offer(signed)) = client::answer(&told) else { return Err(Fault::Foreign) };
        *offer = Some(shared.asked.public.is_some_and(|key| opened(signed, &key).is_some()));
        if shared.asked.key().is_empty() {
            break;
        }
        wire = probe.open(Form::Frames)?;
    }
    let id = shared.id_to_ask();
    let told = match ask(&wire, &client::punch(id.unwrap_or(NOBODY), shared.asked.key())) {
        Err(Fault::Mute) if id.is_some() => {
            // A server that hangs answers for nobody, either.
            wire = probe.open(Form::Frames)?;
            ask(&wire, &client::punch(NOBODY, shared.asked.key()))?;
            probe.tell(State::Ok, "answers");
            probe.say("signed", State::Wrong, "the device of --id does not answer");
            return Ok(());
        }
        told => told?,
    };
    let Some(Answer::Target(target)) = client::answer(&told) else { return Err(Fault::Foreign) };
    probe.tell(State::Ok, "answers");
    let mismatch = target.failure == Some(Target::KEY_MISMATCH);
    let (state, text) = key(&shared.asked, offers, mismatch);
    probe.say("key", state, text);
    if let Some(id) = id {
        let (state, text) = signature(&shared.asked, id, &target);
        probe.say("signed", state, text);
        shared.try_relay(&String::from_utf8_lossy(target.relay));
    }
    Ok(())
}

/// What the offers and the answer to a question say of the key, and what to do.
fn key(asked: &Asked, [signs, next]: [Option<bool>; 2], mismatch: bool) -> (State, &'static str) {
    match (!asked.key().is_empty(), signs, mismatch) {
        (true, Some(_), false) if next.is_some_and(|next| signs != Some(next)) => (
            State::Note,
            "the server takes it, and signs with it and with another: its key is being replaced\n\
             clients: enter what 'hbb export' prints there, before the old one ends",
        ),
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
            "key mismatch: the server asks for none, and signs with another\n\
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
