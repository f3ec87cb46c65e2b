//! The commands of the control socket and their answers. Names of members are a documented
//! schema: they may be added to, not changed.

use std::os::unix::net::UnixStream;

use smol::Async;
use smol::channel::{Sender, bounded};
use smol::io::AsyncWriteExt as _;

use crate::base::conn::Transport;
use crate::base::counters::{Counters, DROP_REASONS, DropReason};
use crate::base::limits::PEERS_PER_PAGE;
use crate::base::peer::PeerId;
use crate::cli::VERSION;
use crate::rendezvous::{Listed, Wanted};

use super::super::relaying::{self, FromLeg};
use super::super::roll::{self, Forgotten};
use super::super::running::Shown;
use super::super::tcp::FromStream;
use super::sheet::{Form, Sheet, Value};
use super::{About, DONE, Desk, Order};

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
const STOPPING: &str = "hbb is stopping.";
const NO_RENDEZVOUS: &str = "This hbb is a relay alone (--role); ask the one that has the peers.";
const NO_RELAY: &str = "This hbb relays nothing (--role); ask the one that does.";

/// Carries out a command and writes the answer.
///
/// # Errors
/// What to tell the operator if it was not carried out; nothing was written then.
pub(super) async fn answer(
    stream: &mut Async<UnixStream>,
    form: Form,
    (words, desk): (&[&str], &Desk),
) -> Result<(), String> {
    let sheet = Sheet::new(form);
    let sheet = match words {
        ["status"] => status(sheet, desk).await?,
        ["peers", wanted @ ..] => return peers(stream, sheet, (wanted, desk)).await,
        ["sessions"] => sessions(sheet, desk).await?,
        ["bans"] => values(sheet, "bans", &ask(&desk.settings, Order::Bans).await?),
        ["limits"] => limits(sheet, &ask(&desk.settings, Order::Limits).await?),
        _ => done(sheet, &change(words, desk).await?),
    };
    let answer = [&[DONE], sheet.out.as_bytes()].concat();
    // Whoever does not wait for the answer does not miss it.
    let _ = stream.write_all(&answer).await;
    Ok(())
}

/// Carries out a command that changes something; what was done.
async fn change(words: &[&str], desk: &Desk) -> Result<String, String> {
    let settings = &desk.settings;
    match *words {
        ["disconnect", number] => disconnect(number, desk).await,
        ["forget", id] => forget(id, desk).await,
        ["ban", what] => ask(settings, |to| Order::Ban(what.into(), true, to)).await?,
        ["unban", what] => ask(settings, |to| Order::Ban(what.into(), false, to)).await?,
        ["limits", name, value] => {
            let change = [name, value].map(String::from);
            ask(settings, |to| Order::SetLimit(change, to)).await?
        }
        ["reload"] => ask(settings, Order::Reload).await?,
        _ => Err(UNKNOWN.into()),
    }
}

async fn ask<Q, A>(owner: &Sender<Q>, question: impl FnOnce(Sender<A>) -> Q) -> Result<A, String> {
    let (to, answer) = bounded(1);
    owner.send(question(to)).await.map_err(|_| STOPPING)?;
    answer.recv().await.map_err(|_| STOPPING.into())
}

async fn ask_rendezvous<A>(
    desk: &Desk,
    question: impl FnOnce(Sender<A>) -> roll::Ask,
) -> Result<A, String> {
    let owner = desk.rendezvous.as_ref().ok_or(NO_RENDEZVOUS)?;
    ask(owner, |to| FromStream::Asked(question(to))).await
}

async fn ask_relay<A>(
    desk: &Desk,
    question: impl FnOnce(Sender<A>) -> relaying::Ask,
) -> Result<A, String> {
    let owner = desk.relay.as_ref().ok_or(NO_RELAY)?;
    ask(owner, |to| FromLeg::Asked(question(to))).await
}

async fn status(mut sheet: Sheet, desk: &Desk) -> Result<Sheet, String> {
    let about: About = ask(&desk.settings, Order::About).await?;
    let limits = ask(&desk.settings, Order::Limits).await?;
    let limit = |wanted| {
        let found = limits.iter().find(|(name, _)| *name == wanted);
        Value::Decimal(found.map_or("0", |(_, value)| value))
    };
    let version = VERSION.trim_start_matches("hbb ").trim_end();
    let text = |text: &'static str| Value::Text(text);
    sheet.field("version", text(version));
    sheet.field("uptime_secs", Value::Number(desk.clock.now().as_millis() / 1000));
    sheet.field("role", text(about.role));
    sheet.field("public", about.public.as_deref().map_or(Value::Nothing, Value::Text));
    sheet.field("key", about.key.as_deref().map_or(Value::Nothing, Value::Text));
    let [port, relay_port] = about.ports;
    sheet.field("port", Value::Number(port.into()));
    sheet.field("relay_port", Value::Number(relay_port.into()));
    sheet.field("tcp_ports", Value::Numbers(&about.tcp_ports));
    sheet.field("udp_ports", Value::Numbers(&about.udp_ports));
    let mut dropped = Vec::new();
    if desk.rendezvous.is_some() {
        let load: roll::Load = ask_rendezvous(desk, roll::Ask::Load).await?;
        let (commits, changes, failures) = load.store;
        let count = |count: usize| Value::Number(count as u64);
        let peers = [
            ("registered", count(load.occupancy.peers)),
            ("online", count(load.online)),
            ("limit", limit("max-peers")),
        ];
        sheet.group("peers", &peers);
        let open = count(load.occupancy.callers);
        sheet.group("connections", &[("open", open), ("limit", limit("max-connections"))]);
        let store = [("commits", commits), ("changes", changes), ("failures", failures)];
        sheet.group("store", &store.map(|(name, count)| (name, Value::Number(count))));
        dropped.extend(load.dropped);
    }
    if desk.relay.is_some() {
        let load: relaying::Load = ask_relay(desk, relaying::Ask::Load).await?;
        let sessions = [
            ("running", Value::Number(load.running as u64)),
            ("waiting", Value::Number(load.waiting as u64)),
            ("limit", limit("max-sessions")),
        ];
        sheet.group("sessions", &sessions);
        sheet.field("relayed_bytes", Value::Number(load.bytes));
        dropped.extend(load.dropped);
    }
    drops(&mut sheet, &dropped);
    sheet.end();
    Ok(sheet)
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
async fn peers(
    stream: &mut Async<UnixStream>,
    mut sheet: Sheet,
    (words, desk): (&[&str], &Desk),
) -> Result<(), String> {
    let (mut wanted, most) = wish(words)?;
    let (mut left, mut started) = (most, false);
    loop {
        // One more than is shown tells whether there are more.
        wanted.count = left.min(PEERS_PER_PAGE).saturating_add(1);
        let asked = wanted.clone();
        let mut page = ask_rendezvous(desk, |to| roll::Ask::Peers(asked, to)).await?;
        if !core::mem::replace(&mut started, true) {
            sheet.table("peers", PEER_COLUMNS);
            let _ = stream.write_all(&[DONE]).await;
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
            let _ = stream.write_all(sheet.out.as_bytes()).await;
            return Ok(());
        }
        if stream.write_all(core::mem::take(&mut sheet.out).as_bytes()).await.is_err() {
            return Ok(());
        }
    }
}

/// Which peers are wanted, and how many.
fn wish(words: &[&str]) -> Result<(Wanted, usize), String> {
    let (mut wanted, mut most) = (Wanted::default(), usize::MAX);
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

fn peer_row(sheet: &mut Sheet, peer: &Listed) {
    let number = |number: Option<u64>| number.map_or(Value::Nothing, Value::Number);
    let transport = peer.at.map(|(_, transport)| match transport {
        None => "udp",
        Some(Transport::Tcp) => "tcp",
        Some(Transport::WebSocket) => "websocket",
    });
    let address = peer.at.map(|(from, _)| from.to_string());
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

async fn sessions(mut sheet: Sheet, desk: &Desk) -> Result<Sheet, String> {
    let shown: Vec<Shown> = ask_relay(desk, relaying::Ask::Sessions).await?;
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
    sheet.end();
    Ok(sheet)
}

async fn disconnect(number: &str, desk: &Desk) -> Result<String, String> {
    let is = "is the number of no session; 'hbb ctl sessions' lists them.";
    let refusal = || ["'", number, "' ", is].concat();
    let id = number.parse().map_err(|_| refusal())?;
    match ask_relay(desk, |to| relaying::Ask::End(id, to)).await? {
        true => Ok(["Session ", number, " was ended."].concat()),
        false => Err(refusal()),
    }
}

async fn forget(text: &str, desk: &Desk) -> Result<String, String> {
    let unknown = || ["'", text, "' is no registered peer; 'hbb ctl peers' lists them."].concat();
    let id = PeerId::new(text).ok_or_else(unknown)?;
    match ask_rendezvous(desk, |to| roll::Ask::Forget(id, to)).await? {
        Forgotten::Durably => Ok(["Peer ", text, " was forgotten."].concat()),
        Forgotten::Unknown => Err(unknown()),
        Forgotten::Failed => Err("The store did not take the change; try again, and see the log \
                                  if it fails again."
            .into()),
    }
}

fn values(mut sheet: Sheet, name: &str, values: &[String]) -> Sheet {
    sheet.table(name, &[]);
    values.iter().for_each(|value| sheet.row(&[Value::Text(value)]));
    sheet.end_table();
    sheet.end();
    sheet
}

fn limits(mut sheet: Sheet, limits: &[(&'static str, String)]) -> Sheet {
    if sheet.is_text() {
        limits.iter().for_each(|(name, value)| sheet.field(name, Value::Decimal(value)));
    } else {
        let members: Vec<_> =
            limits.iter().map(|(name, value)| (*name, Value::Decimal(value))).collect();
        sheet.group("limits", &members);
    }
    sheet.end();
    sheet
}

fn done(mut sheet: Sheet, said: &str) -> Sheet {
    match sheet.is_text() {
        true => sheet.out.push_str(&[said, "\n"].concat()),
        false => sheet.field("done", Value::Text(said)),
    }
    sheet.end();
    sheet
}
