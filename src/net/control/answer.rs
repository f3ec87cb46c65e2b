//! The commands of the control socket and their answers. Names of members are a documented
//! schema: they may be added to, not changed.

use std::io::Write as _;
use std::os::unix::net::UnixStream;

use smol::channel::bounded;

use crate::cli::VERSION;
use hbb_core::base::conn::{Transport, Via};
use hbb_core::base::counters::{Counters, DROP_REASONS, DropReason};
use hbb_core::base::limits::PEERS_PER_PAGE;
use hbb_core::base::peer::PeerId;
use hbb_core::rendezvous::{PeerQuery, PeerRow};

use super::format::{Form, Sheet, Value};
use super::{DONE, Desk};
use crate::net::message::{
    Answer, AnswerTo, Forgotten, RelayQuestion, RendezvousQuestion, SettingsQuestion, StoreCounts,
    ToRelay, ToRendezvous,
};

const PEER_COLUMNS: &[(&str, usize)] = &[
    ("id", 17),
    ("online", 7),
    ("transport", 10),
    ("address", 24),
    ("online_secs", 12),
    ("seen_secs", 10),
    ("first_seen", 0),
];
const SESSION_COLUMNS: &[(&str, usize)] = &[
    ("number", 7),
    ("from", 24),
    ("to", 24),
    ("secs", 8),
    ("bytes", 14),
    ("rate", 12),
    ("limited", 8),
    ("tunnel", 0),
];

const UNKNOWN: &str = "There is no such command. Those there are: status, peers, sessions, \
                       disconnect NUMBER, forget ID, ban WHAT, unban WHAT, bans, limits, limits \
                       NAME VALUE, reload.";
const BUSY: &str = "hbb is stopping, or too busy to answer; try again.";
const NO_SESSION: &str = "No session has that number; 'hbb ctl sessions' lists them.";
const NO_PEER: &str = "There is no such registered peer; 'hbb ctl peers' lists them.";
const NOT_STORED: &str = "The store did not take the change; try again, and see the log if it \
                          fails again.";
const NO_RENDEZVOUS: &str = "This hbb is a relay alone (--role); ask the one that has the peers.";
const NO_RELAY: &str = "This hbb relays nothing (--role); ask the one that does.";

/// Carries out a command and writes the answer.
///
/// # Errors
/// What to tell the operator if it was not carried out; nothing was written then.
pub(super) fn answer(
    stream: &mut UnixStream,
    form: Form,
    (words, desk): (&[&str], &Desk),
) -> Result<(), String> {
    let mut sheet = Sheet::new(form);
    match words {
        ["status"] => status(&mut sheet, desk)?,
        ["peers", wanted @ ..] => return peers(stream, sheet, (wanted, desk)),
        ["sessions"] => sessions(&mut sheet, desk)?,
        _ => match change(words, desk)? {
            Answer::Bans(bans) => values(&mut sheet, "bans", &bans),
            Answer::Limits(values) => limits(&mut sheet, &values),
            Answer::Said(said) => done(&mut sheet, &said?),
            Answer::Ended(true) => done(&mut sheet, "The session was ended."),
            Answer::Ended(false) => return Err(NO_SESSION.into()),
            Answer::Forgotten(Forgotten::Durably) => done(&mut sheet, "The peer was forgotten."),
            Answer::Forgotten(Forgotten::Unknown) => return Err(NO_PEER.into()),
            _ => return Err(NOT_STORED.into()),
        },
    }
    sheet.end();
    // Whoever does not wait for the answer does not miss it.
    let _ = stream.write_all(&[&[DONE], sheet.out.as_bytes()].concat());
    Ok(())
}

/// Has a command carried out; what its owner answers.
fn change(words: &[&str], desk: &Desk) -> Result<Answer, String> {
    let order = match *words {
        ["disconnect", number] => {
            let number = number.parse().map_err(|_| NO_SESSION)?;
            return ask_relay(desk, RelayQuestion::End(number));
        }
        ["forget", id] => {
            let id = PeerId::new(id).ok_or(NO_PEER)?;
            return ask_rendezvous(desk, RendezvousQuestion::Forget(id));
        }
        ["bans"] => SettingsQuestion::Bans,
        ["ban", what] => SettingsQuestion::Ban(what.into(), true),
        ["unban", what] => SettingsQuestion::Ban(what.into(), false),
        ["limits"] => SettingsQuestion::Limits,
        ["limits", name, value] => SettingsQuestion::SetLimit([name, value].map(String::from)),
        ["reload"] => SettingsQuestion::Reload,
        _ => return Err(UNKNOWN.into()),
    };
    ask_settings(desk, order)
}

fn ask_settings(desk: &Desk, order: SettingsQuestion) -> Result<Answer, String> {
    ask(|to| desk.settings.try_send((order, to)).is_ok())
}

fn ask_rendezvous(desk: &Desk, question: RendezvousQuestion) -> Result<Answer, String> {
    let owner = desk.rendezvous.as_ref().ok_or(NO_RENDEZVOUS)?;
    ask(|to| owner.try_send(ToRendezvous::Asked(question, to)).is_ok())
}

fn ask_relay(desk: &Desk, question: RelayQuestion) -> Result<Answer, String> {
    let owner = desk.relay.as_ref().ok_or(NO_RELAY)?;
    ask(|to| owner.try_send(ToRelay::Asked(question, to)).is_ok())
}

/// Waits for the answer to what `put` hands to its owner.
fn ask(put: impl FnOnce(AnswerTo) -> bool) -> Result<Answer, String> {
    let (to, answer) = bounded(1);
    let answered = put(to).then(|| smol::block_on(answer.recv()).ok()).flatten();
    answered.ok_or_else(|| BUSY.into())
}

/// An owner answered another question: ours is the fault, and this conversation pays for it.
fn odd<T>() -> Result<T, String> {
    Err(BUSY.into())
}

fn status(sheet: &mut Sheet, desk: &Desk) -> Result<(), String> {
    let Answer::Info(about) = ask_settings(desk, SettingsQuestion::Info)? else { return odd() };
    let Answer::Limits(limits) = ask_settings(desk, SettingsQuestion::Limits)? else {
        return odd();
    };
    let limit = |wanted| {
        let found = limits.iter().find(|(name, _)| *name == wanted);
        Value::Decimal(found.map_or("0", |(_, value)| value))
    };
    let version = VERSION.trim_start_matches("hbb ").trim_end();
    sheet.field("version", Value::Text(version));
    sheet.field("uptime_secs", Value::Number(desk.clock.now().as_millis() / 1000));
    sheet.field("role", Value::Text(about.role));
    sheet.field("public", about.public.as_deref().map_or(Value::Nothing, Value::Text));
    sheet.field("key", about.key.as_deref().map_or(Value::Nothing, Value::Text));
    let [port, relay_port] = about.ports;
    sheet.field("port", Value::Number(port.into()));
    sheet.field("relay_port", Value::Number(relay_port.into()));
    sheet.field("tcp_ports", Value::Numbers(&about.tcp_ports));
    sheet.field("udp_ports", Value::Numbers(&about.udp_ports));
    let mut dropped = Vec::new();
    if desk.rendezvous.is_some() {
        let Answer::RendezvousLoad(load) = ask_rendezvous(desk, RendezvousQuestion::Load)? else {
            return odd();
        };
        let StoreCounts { commits, changes, failures } = load.store;
        let count = |count: usize| Value::Number(count as u64);
        let peers = [
            ("registered", count(load.occupancy.peers)),
            ("online", count(load.online)),
            ("limit", limit("max-peers")),
        ];
        sheet.group("peers", &peers);
        let open = count(load.occupancy.connections);
        sheet.group("connections", &[("open", open), ("limit", limit("max-connections"))]);
        let store = [("commits", commits), ("changes", changes), ("failures", failures)];
        sheet.group("store", &store.map(|(name, count)| (name, Value::Number(count))));
        dropped.extend(load.dropped);
    }
    if desk.relay.is_some() {
        let asked = ask_relay(desk, RelayQuestion::Load)?;
        let Answer::RelayLoad(load) = asked else { return odd() };
        let sessions = [
            ("running", Value::Number(load.running as u64)),
            ("waiting", Value::Number(load.waiting as u64)),
            ("limit", limit("max-sessions")),
        ];
        sheet.group("sessions", &sessions);
        sheet.field("relayed_bytes", Value::Number(load.bytes));
        dropped.extend(load.dropped);
    }
    drops(sheet, &dropped);
    Ok(())
}

/// What was dropped, by reason; a conversation that was over is none.
fn drops(sheet: &mut Sheet, counters: &[Counters]) {
    let mut members = Vec::with_capacity(DROP_REASONS);
    for reason in DropReason::ALL {
        let count = counters.iter().map(|c| c.of(reason)).fold(0, u64::saturating_add);
        if count > 0 && reason != DropReason::Done {
            members.push((reason.as_str(), Value::Number(count)));
        }
    }
    sheet.group("dropped", &members);
}

/// Lists peers page by page, so that neither we nor others wait for all of them.
fn peers(
    stream: &mut UnixStream,
    mut sheet: Sheet,
    (words, desk): (&[&str], &Desk),
) -> Result<(), String> {
    let (mut wanted, most) = wish(words)?;
    let (mut left, mut started) = (most, false);
    loop {
        // One more than is shown tells whether there are more.
        wanted.count = left.min(PEERS_PER_PAGE).saturating_add(1);
        let mut page = match ask_rendezvous(desk, RendezvousQuestion::Peers(wanted.clone())) {
            Ok(Answer::Peers(page)) => page,
            // What was said cannot be taken back: the answer breaks off, and has no end.
            _ if started => return Ok(()),
            Ok(_) => return odd(),
            Err(said) => return Err(said),
        };
        if !core::mem::replace(&mut started, true) {
            sheet.table("peers", PEER_COLUMNS);
            let _ = stream.write_all(&[DONE]);
        }
        let more = page.len() == wanted.count;
        page.truncate(wanted.count - 1);
        page.iter().for_each(|peer| peer_row(&mut sheet, peer));
        left -= page.len();
        wanted.after = page.last().map(|last| last.id.clone()).or(wanted.after);
        if !more || left == 0 {
            sheet.end_table();
            next(&mut sheet, wanted.after.as_ref().filter(|_| more));
            sheet.end();
            let _ = stream.write_all(sheet.out.as_bytes());
            return Ok(());
        }
        if stream.write_all(core::mem::take(&mut sheet.out).as_bytes()).is_err() {
            return Ok(());
        }
    }
}

/// Which peers are wanted, and how many.
fn wish(words: &[&str]) -> Result<(PeerQuery, usize), String> {
    let (mut wanted, mut most) = (PeerQuery::default(), usize::MAX);
    for word in words {
        let refusal = || ["'", word, "': must be after=ID, count=NUMBER or part=TEXT"].concat();
        match word.split_once('=') {
            Some(("after", id)) => wanted.after = Some(PeerId::new(id).ok_or_else(refusal)?),
            Some(("count", count)) => {
                let count = count.parse().ok().filter(|count| *count > 0);
                most = count.ok_or_else(refusal)?;
            }
            Some(("part", part)) => wanted.part = part.into(),
            _ => return Err(refusal()),
        }
    }
    Ok((wanted, most))
}

fn next(sheet: &mut Sheet, after: Option<&PeerId>) {
    match after {
        Some(id) if sheet.is_text() => {
            sheet.out.push_str(&["more: after=", id.as_str(), "\n"].concat());
        }
        None if sheet.is_text() => {}
        after => sheet.field("next", after.map_or(Value::Nothing, |id| Value::Text(id.as_str()))),
    }
}

fn peer_row(sheet: &mut Sheet, peer: &PeerRow) {
    let number = |number: Option<u64>| number.map_or(Value::Nothing, Value::Number);
    let transport = match (peer.via, peer.transport) {
        (Some(Via::Datagram(_)), _) => Some("udp"),
        (_, Some(Transport::Tcp)) => Some("tcp"),
        (_, Some(Transport::WebSocket)) => Some("websocket"),
        (_, None) => None,
    };
    let address = peer.at.map(|from| from.to_string());
    sheet.row(&[
        Value::Text(peer.id.as_str()),
        Value::Flag(peer.online_secs.is_some()),
        transport.map_or(Value::Nothing, Value::Text),
        address.as_deref().map_or(Value::Nothing, Value::Text),
        number(peer.online_secs),
        number(peer.seen_secs),
        number(Some(peer.first_seen_secs).filter(|secs| *secs > 0)),
    ]);
}

fn sessions(sheet: &mut Sheet, desk: &Desk) -> Result<(), String> {
    let Answer::Sessions(shown) = ask_relay(desk, RelayQuestion::Sessions)? else { return odd() };
    sheet.table("sessions", SESSION_COLUMNS);
    for session in &shown {
        let [from, to] = session.ends.map(|end| end.to_string());
        sheet.row(&[
            Value::Number(session.number),
            Value::Text(&from),
            Value::Text(&to),
            Value::Number(session.secs),
            Value::Number(session.bytes),
            Value::Number(session.rate),
            Value::Flag(session.limited),
            Value::Flag(session.tunnel),
        ]);
    }
    sheet.end_table();
    Ok(())
}

fn values(sheet: &mut Sheet, name: &str, values: &[String]) {
    sheet.table(name, &[]);
    values.iter().for_each(|value| sheet.row(&[Value::Text(value)]));
    sheet.end_table();
}

fn limits(sheet: &mut Sheet, limits: &[(&'static str, String)]) {
    if sheet.is_text() {
        limits.iter().for_each(|(name, value)| sheet.field(name, Value::Decimal(value)));
    } else {
        let members: Vec<_> =
            limits.iter().map(|(name, value)| (*name, Value::Decimal(value))).collect();
        sheet.group("limits", &members);
    }
}

fn done(sheet: &mut Sheet, said: &str) {
    match sheet.is_text() {
        true => sheet.out.push_str(&[said, "\n"].concat()),
        false => sheet.field("done", Value::Text(said)),
    }
}
