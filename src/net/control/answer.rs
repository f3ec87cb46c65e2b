//! The commands of the control socket and their answers. Names of members are a documented
//! schema: they may be added to, not changed.

use crate::cli::VERSION;
use hbb_core::base::conn::{Transport, Via};
use hbb_core::base::counters::{Counters, DROP_REASONS, DropReason};
use hbb_core::base::limits::PEERS_PER_PAGE;
use hbb_core::base::peer::PeerId;
use hbb_core::rendezvous::{PeerQuery, PeerRow};

use super::Control;
use super::format::{Sheet, Value};
use super::owners::{Owners, odd};
use super::reply::Reply;
use crate::net::message::{Answer, Forgotten, RelayQuestion, RendezvousQuestion, StoreCounts};

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
const NO_SESSION: &str = "No session has that number; 'hbb ctl sessions' lists them.";
const NO_PEER: &str = "There is no such registered peer; 'hbb ctl peers' lists them.";
const NOT_STORED: &str = "The store did not take the change; try again, and see the log if it \
                          fails again.";

/// Carries out a command and writes the answer.
///
/// # Errors
/// What to tell the operator if it was not carried out.
pub(super) fn answer(
    words: &[&str],
    control: &mut Control,
    reply: &mut Reply,
) -> Result<(), String> {
    let mut sheet = Sheet::new(reply.form);
    let (settings, owners) = (&mut control.settings, &control.owners);
    match *words {
        ["status"] => status(&mut sheet, control)?,
        ["peers", ref wanted @ ..] => return peers(wanted, owners, reply),
        ["sessions"] => sessions(&mut sheet, owners)?,
        ["bans"] => values(&mut sheet, "bans", &settings.settings.bans()),
        ["limits"] => limits(&mut sheet, &settings.settings.limits()),
        ["disconnect", number] => done(&mut sheet, disconnect(number, owners)?),
        ["forget", id] => done(&mut sheet, forget(id, owners)?),
        ["ban", what] => done(&mut sheet, &settings.ban(what, true)?),
        ["unban", what] => done(&mut sheet, &settings.ban(what, false)?),
        ["limits", name, value] => done(&mut sheet, &settings.set_limit(name, value)?),
        ["reload"] => done(&mut sheet, &settings.reload()?),
        _ => return Err(UNKNOWN.into()),
    }
    sheet.end();
    // Whoever does not wait for the answer does not miss it.
    drop(reply.write(&sheet.out));
    Ok(())
}

fn disconnect(number: &str, owners: &Owners) -> Result<&'static str, String> {
    let number = number.parse().map_err(|_| NO_SESSION)?;
    match owners.ask_relay(RelayQuestion::End(number))? {
        Answer::Ended(true) => Ok("The session was ended."),
        Answer::Ended(false) => Err(NO_SESSION.into()),
        _ => odd(),
    }
}

fn forget(id: &str, owners: &Owners) -> Result<&'static str, String> {
    let id = PeerId::new(id).ok_or(NO_PEER)?;
    match owners.ask_rendezvous(RendezvousQuestion::Forget(id))? {
        Answer::Forgotten(Forgotten::Durably) => Ok("The peer was forgotten."),
        Answer::Forgotten(Forgotten::Unknown) => Err(NO_PEER.into()),
        Answer::Forgotten(Forgotten::Failed) => Err(NOT_STORED.into()),
        _ => odd(),
    }
}

fn status(sheet: &mut Sheet, control: &Control) -> Result<(), String> {
    let (settings, owners) = (&control.settings.settings, &control.owners);
    let (about, limits) = (settings.about(), settings.limits());
    let limit = |wanted| {
        let found = limits.iter().find(|(name, _)| *name == wanted);
        Value::Decimal(found.map_or("0", |(_, value)| value))
    };
    let version = VERSION.trim_start_matches("hbb ").trim_end();
    sheet.field("version", Value::Text(version));
    sheet.field("uptime_secs", Value::Number(control.clock.now().as_millis() / 1000));
    sheet.field("role", Value::Text(about.role));
    sheet.field("public", about.public.as_deref().map_or(Value::Nothing, Value::Text));
    sheet.field("key", about.key.as_deref().map_or(Value::Nothing, Value::Text));
    let [port, relay_port] = about.ports;
    sheet.field("port", Value::Number(port.into()));
    sheet.field("relay_port", Value::Number(relay_port.into()));
    sheet.field("tcp_ports", Value::Numbers(&about.tcp_ports));
    sheet.field("udp_ports", Value::Numbers(&about.udp_ports));
    let mut dropped = Vec::new();
    if owners.rendezvous.is_some() {
        let Answer::RendezvousLoad(load) = owners.ask_rendezvous(RendezvousQuestion::Load)? else {
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
    if owners.relay.is_some() {
        let asked = owners.ask_relay(RelayQuestion::Load)?;
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
fn peers(words: &[&str], owners: &Owners, reply: &mut Reply) -> Result<(), String> {
    let (mut wanted, mut left) = wish(words)?;
    let mut sheet = Sheet::new(reply.form);
    sheet.table("peers", PEER_COLUMNS);
    loop {
        // One more than is shown tells whether there are more.
        wanted.count = left.min(PEERS_PER_PAGE).saturating_add(1);
        let asked = owners.ask_rendezvous(RendezvousQuestion::Peers(wanted.clone()))?;
        let Answer::Peers(mut page) = asked else { return odd() };
        let more = page.len() == wanted.count;
        page.truncate(wanted.count - 1);
        page.iter().for_each(|peer| peer_row(&mut sheet, peer));
        left -= page.len();
        wanted.after = page.last().map(|last| last.id.clone()).or(wanted.after);
        let last = !more || left == 0;
        if last {
            sheet.end_table();
            next(&mut sheet, wanted.after.as_ref().filter(|_| more));
            sheet.end();
        }
        if reply.write(&core::mem::take(&mut sheet.out)).is_err() || last {
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

fn sessions(sheet: &mut Sheet, owners: &Owners) -> Result<(), String> {
    let Answer::Sessions(shown) = owners.ask_relay(RelayQuestion::Sessions)? else { return odd() };
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
