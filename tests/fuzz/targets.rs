//! What libFuzzer and the corpus are thrown at: each takes any bytes, and panics only where the
//! code does or where what it gives back contradicts itself.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::sync::Arc;

use hbb::cli;
use hbb::config::{Config, FlagsFile};
use hbb::sqlite::{self, Bytes, Database};
use hbb_core::accounts::call::Content;
use hbb_core::base::conn::Transport::{Tcp, WebSocket};
use hbb_core::base::json::{Value, Writer};
use hbb_core::base::limits::{FRAME_BYTES_MAX, RELAY_FRAME_BYTES_MAX};
use hbb_core::base::peer::PeerId;
use hbb_core::identity::KeyChoice;
use hbb_core::rules::{At, Dial, Rules};
use hbb_core::wire::addr::{Mangled, demangle};
use hbb_core::wire::convert::Converter;
use hbb_core::wire::frame::split;
use hbb_core::wire::handshake;
use hbb_core::wire::http::{self, Head};
use hbb_core::wire::message::{decode, forward_relay_answer, forward_relay_request, http_call};
use hbb_core::wire::proxied;
use hbb_core::wire::reply::Remarks;
use hbb_core::wire::request::{Given, Request};
use hbb_core::wire::websocket::Assembly;

use crate::office::Office;
use crate::script;

/// A stream, cut into frames until one is incomplete or refused.
pub fn frame(bytes: &[u8]) {
    for cap in [0, 5, RELAY_FRAME_BYTES_MAX, FRAME_BYTES_MAX] {
        let mut rest = bytes;
        while let Ok(Some(frame)) = split(rest, cap) {
            assert!(frame.payload.len() <= cap && frame.consumed <= rest.len());
            assert!(frame.consumed > frame.payload.len(), "a frame without a header");
            rest = &rest[frame.consumed..];
        }
    }
}

/// A WebSocket, cut into messages; and a relay leg, converted to either kind of partner.
pub fn websocket(bytes: &[u8]) {
    let (mut assembly, mut rest) = (Assembly::default(), bytes.to_vec());
    while let Ok(Some((_, consumed))) = assembly.next(&mut rest, RELAY_FRAME_BYTES_MAX) {
        assert!((6..=rest.len()).contains(&consumed), "a frame without a header");
        rest.drain(..consumed);
    }
    for (from, to) in [(WebSocket, Tcp), (WebSocket, WebSocket), (Tcp, WebSocket)] {
        let (mut converter, mut rest) = (Converter::new(from, to), bytes);
        let mut out = Vec::with_capacity(200);
        while let Ok(taken) = converter.feed(rest, &mut out, 1000) {
            assert!(converter.gathered_bytes() <= 1000 + 1000 / 8, "more gathered than allowed");
            rest = &rest[taken..];
            let more = converter.take_whole().is_some();
            if rest.is_empty() || converter.is_closed() || !(more || taken > 0) {
                break;
            }
            out.clear();
        }
    }
}

/// A file of rules: what is refused names its lines, what is not decides of any dial, the same each
/// time, by a line that says so.
pub fn rules(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let rules = match Rules::parse(text) {
        Ok(rules) => rules,
        Err(faults) => {
            let named = |said: &String| said.starts_with("line ") || said.starts_with("more than ");
            assert!((1..=100).contains(&faults.len()) && faults.iter().all(named), "{faults:?}");
            return;
        }
    };
    let to = PeerId::new("123456789").unwrap();
    for (secs, is_there) in [(0, false), (1_795_392_000, true), (u64::MAX, false)] {
        let dial = Dial {
            from: Some([192, 0, 2, 1].into()),
            user: Some("anna"),
            user_group: "sales",
            to: &to,
            to_group: "tills",
            to_ip: Some([10, 1, 2, 3].into()),
            at: At::Unix(secs),
            is_there: &|_| is_there,
        };
        let decision = rules.decide(&dial);
        assert_eq!(decision, rules.decide(&dial));
        let number = decision.line.map(|line| usize::try_from(line).unwrap());
        let line = number.map(|number| text.lines().nth(number - 1).unwrap());
        let line = line.map(|line| line.trim_start_matches(['\u{feff}', ' ', '\t']));
        let verb = if decision.outcome.is_ok() { "allow" } else { "" };
        assert!(line.is_none_or(|line| line.trim().starts_with(verb)), "{line:?} {decision:?}");
    }
}

/// A request for a WebSocket, or what a proxy says before; nothing that is accepted takes more than
/// was there.
pub fn handshake(bytes: &[u8]) {
    if let Ok(Some((_, consumed))) = proxied::parse(bytes) {
        // `PROXY` of nobody, and the end of its line.
        assert!((8..=bytes.len()).contains(&consumed));
    }
    let Ok(Some(opening)) = handshake::parse(bytes) else { return };
    assert!(opening.consumed <= bytes.len() && opening.answer.ends_with("\r\n\r\n"));
    // Nothing of the request is repeated in the answer but through a hash.
    assert_eq!(opening.answer.lines().count(), 5, "{}", opening.answer);
}

/// Requests of HTTP, one behind the other, each with its body as far as it is told; or a payload
/// that carries one. The accounts answer each, once; what they store is what they know.
pub fn calls(bytes: &[u8]) {
    let carried = http_call(bytes).into_iter();
    let mut rest = bytes;
    let sent = core::iter::from_fn(|| {
        let Head { mut call, body_bytes, consumed, .. } = http::head(rest).ok()??;
        assert!((1..=rest.len()).contains(&consumed));
        let body = rest[consumed..].iter().copied().take(body_bytes.unwrap_or_default());
        call.body = body.collect();
        rest = &rest[consumed + call.body.len()..];
        Some(call)
    });
    let calls: Vec<_> = carried.chain(sent).take(64).collect();
    let mut office = Office::new();
    for mut call in calls {
        let is_guest = call.token.is_none();
        let answer = office.call(&mut call);
        let known = [200, 204, 400, 401, 403, 404, 413].contains(&answer.status);
        assert!(known, "{answer:?}");
        if answer.content == Content::Json {
            let body = str::from_utf8(&answer.body).unwrap();
            assert!(Value::parse(body).is_ok(), "{body}");
        }
        assert!(!is_guest || !call.target.starts_with("/api/ab") || answer.status != 200);
    }
    office.check();
}

/// A payload; what passes through must be a message again, without what was taken out.
pub fn message(bytes: &[u8]) {
    let Ok(request) = decode(bytes) else { return };
    assert_eq!(decode(bytes), Ok(request.clone()));
    match request {
        Request::Online(mut query) => {
            let count = query.count();
            let ids = std::iter::from_fn(|| query.next_id()).count();
            assert!(ids == count && count <= bytes.len());
        }
        Request::RequestRelay(wish) => {
            let (from, remarks) = (Mangled::new(demangle(&[]), 7), Remarks::default());
            let forwarded = forward_relay_request(wish.raw, &from, None, remarks);
            assert!(forwarded.len() <= bytes.len() + 32);
            let Ok(Request::RequestRelay(again)) = decode(&forwarded) else { panic!("spoilt") };
            assert!(again.target == wish.target && again.token == wish.token);
            assert!(again.access_key.is_empty());
        }
        Request::RelayResponse(answer) => {
            let forwarded = forward_relay_answer(answer.raw, Some(b"signed"), Some("relay"), true);
            let Ok(Request::RelayResponse(again)) = decode(&forwarded) else { panic!("spoilt") };
            assert_eq!((again.relay.as_str(), again.versioned), ("relay", answer.versioned));
            let forwarded = forward_relay_answer(answer.raw, None, None, false);
            let Ok(Request::RelayResponse(again)) = decode(&forwarded) else { panic!("spoilt") };
            assert_eq!((again.relay, again.versioned), (answer.relay, answer.versioned));
            assert_eq!(again.id, Given::Nothing);
        }
        _ => {}
    }
}

/// A mangled address: whatever comes out goes in again.
pub fn address(bytes: &[u8]) {
    let endpoint = demangle(bytes);
    for nonce in [0, 1, 0xffff, u32::MAX] {
        assert_eq!(demangle(Mangled::new(endpoint, nonce).as_bytes()), endpoint);
    }
    assert_eq!(Mangled::from_bytes(bytes).is_some(), bytes.len() <= 18);
}

/// A flags file, and each of its lines as the value of `--key`.
pub fn flags(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let command_line = Arc::new(cli::parse_line("--port 21116").unwrap());
    let file = FlagsFile { name: "flags", text };
    if let Err(problems) = Config::new(&command_line, Some(file)) {
        assert!(!problems.is_empty() && problems.iter().all(|problem| !problem.is_empty()));
    }
    for line in text.lines() {
        let _ = KeyChoice::parse(Some(line));
    }
}

/// JSON; what is accepted is written again, and says the same then.
pub fn json(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let Ok(value) = Value::parse(text) else { return };
    let again = rewritten(value);
    assert_eq!(rewritten(Value::parse(&again).unwrap()), again);
}

fn rewritten(value: Value<'_>) -> String {
    let mut writer = Writer::default();
    rewrite(value, &mut writer);
    writer.into_text()
}

fn rewrite(value: Value<'_>, writer: &mut Writer) {
    match value.raw().as_bytes()[0] {
        b'{' => {
            writer.open('{');
            for (name, value) in value.members() {
                writer.name(&name);
                rewrite(value, writer);
            }
            writer.close('}');
        }
        b'[' => {
            writer.open('[');
            value.items().for_each(|value| rewrite(value, writer));
            writer.close(']');
        }
        b'"' => writer.text(&value.text().unwrap()),
        _ => writer.raw(value.raw()),
    }
}

/// A script for both machines (see `script`).
pub fn machines(bytes: &[u8]) {
    script::play(bytes);
}

/// A database and the log beside it, which begins where the first two bytes say.
pub fn sqlite(bytes: &[u8]) {
    let Some((at, bytes)) = bytes.split_first_chunk::<2>() else { return };
    let at = usize::from(u16::from_be_bytes(*at)).min(bytes.len());
    let (file, log) = (bytes[..at].to_vec(), bytes[at..].to_vec());
    let Ok(database) = Database::new(&file, Some(&log as &dyn Bytes)) else { return };
    let mut rows = 0;
    let _ = database.rows("peer", &["id", "uuid"], &mut |row, read| {
        assert!(row.value(2) == sqlite::Value::Null && read <= database.pages());
        rows += 1;
        Ok(())
    });
    assert!(rows <= bytes.len() / 2, "more rows than there are places for cells");
}
