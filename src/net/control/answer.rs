//! The commands of the control socket and their answers. Names of members are a documented
//! schema: they may be added to, not changed.

#[cfg(feature = "accounts")]
mod accounts;
#[cfg(feature = "accounts")]
mod books;
#[cfg(feature = "accounts")]
mod devices;
#[cfg(feature = "accounts")]
mod log;
#[cfg(feature = "accounts")]
mod rules;
#[cfg(feature = "accounts")]
mod users;

use hbb_core::base::address::{Bans, Endpoint, named_id};
use hbb_core::base::conn::{Transport, Via};
use hbb_core::base::limits::PEERS_PER_PAGE;
use hbb_core::base::peer::PeerId;
use hbb_core::rendezvous::{PeerQuery, PeerRow};

#[cfg(feature = "accounts")]
use super::approval;
use super::format::{Output, Value};
use super::owners::{Owners, odd};
use super::reply::OperatorReply;
use super::settings::SettingsOwner;
use super::status::Status;
use crate::cli::{ctl_commands, no_such_command};
use crate::net::clock::Clock;
use crate::net::message::{Answer, Devices, Forgotten, RelayQuestion, RendezvousQuestion};
#[cfg(feature = "accounts")]
use crate::store::row_line;
use crate::store::{Reader, line};

/// Names and widths, as for all tables.
#[cfg(not(feature = "accounts"))]
const PEER_COLUMNS: &str = "id:17 online:7 transport:10 address:24 online_secs:12 seen_secs:10 \
                            first_seen:21 key:8 also_at:9";
/// The same, and what devices tell of themselves.
#[cfg(feature = "accounts")]
const PEER_COLUMNS: &str = "id:17 online:7 transport:10 address:24 online_secs:12 seen_secs:10 \
                            first_seen:21 key:8 also_at:9 name:20 system:24 user:16 version:9 \
                            connections:12 group:12 login:0";
/// Those of them that there are without accounts, too.
#[cfg(feature = "accounts")]
const OF_ALL_PEERS: &str = PEER_COLUMNS.split_at(96).0;
const SESSION_COLUMNS: &str = "number:7 from:24 to:24 secs:8 bytes:14 rate:12 limited:8 tunnel:0";

/// Bytes of a list that are written at once.
const PART_BYTES: usize = 16 * 1024;

/// Asks for the lines of all devices of one moment, for 'hbb backup' alone: they are what a device
/// proves itself by, so that only the server's own user and root get them.
pub const LIST_WORD: &str = "records";
/// What stands before the public key, if there is one, in the first line.
pub const LIST_KEY: &str = "# key ";
/// The last line.
pub const LIST_END: &str = "# end\n";
const NOT_OWNER: &str = "Run this as the user that the server runs as, or as root: these lines are \
                         what devices prove themselves by.";

const NO_SESSION: &str = if cfg!(feature = "accounts") {
    "No session has that number; 'hbb ctl sessions' lists them. No device with that id has one."
} else {
    "No session has that number; 'hbb ctl sessions' lists them. An id is none."
};
const NO_PEER: &str = "There is no such registered peer; 'hbb ctl peers' lists them.";
const KEPT: &str = "The peer was forgotten. For a day only it may have its id again; 'hbb ctl \
                    forget --free ID' lets another device have it.";
const GIVEN: &str = "The peer was forgotten. The next device that asks for its id gets it, within \
                     ten minutes; start RustDesk anew there.";
const NOT_STORED: &str = "The store did not take the change; try again, and see the log if it \
                          fails again.";

/// What commands act on; it belongs to the control thread.
pub struct Controller {
    /// The settings, and whom to tell of changes.
    pub settings: SettingsOwner,
    /// Who answers for the rest.
    pub owners: Owners,
    /// Since when we run.
    pub clock: Clock,
    /// Reads the store, if there is one.
    pub records: Option<Box<dyn Reader>>,
}

/// Carries out a command and writes the answer.
///
/// # Errors
/// What to tell the operator if it was not carried out.
pub(super) fn answer(
    words: &[&str],
    control: &mut Controller,
    reply: &mut OperatorReply,
) -> Result<(), String> {
    // What is not in the list does not exist.
    let first = words.first().copied().unwrap_or_default();
    if *words == [LIST_WORD] {
        return records(control, reply);
    }
    if !ctl_commands().any(|command| command.name == first) {
        return Err(no_such_command(first));
    }
    let mut out = Output::new(reply.form);
    let (settings, owners) = (&mut control.settings, &control.owners);
    match *words {
        ["status"] => Status::gather(&settings.settings, owners, control.clock)?.show(&mut out),
        ["peers", ref wanted @ ..] => return peers(wanted, owners, reply),
        #[cfg(feature = "accounts")]
        ["log", ref wanted @ ..] => return log::log(wanted, (owners, control.clock), reply),
        ["sessions"] => sessions(&mut out, owners)?,
        ["bans"] => return bans(settings.settings.bans(), reply),
        ["limits"] => limits(&mut out, &settings.settings.limit_texts()),
        ["disconnect", number] => done(&mut out, disconnect(number, owners)?),
        ["forget", id] => done(&mut out, forget(id, false, owners)?),
        ["forget", "--free", id] => done(&mut out, forget(id, true, owners)?),
        #[cfg(feature = "accounts")]
        ["pending"] => approval::list(&mut out, owners)?,
        #[cfg(feature = "accounts")]
        ["invite"] => approval::invite(&mut out, "24", owners)?,
        #[cfg(feature = "accounts")]
        ["invite", hours] => approval::invite(&mut out, hours, owners)?,
        #[cfg(feature = "accounts")]
        ["approve", id] => done(&mut out, approval::approve(id, None, owners)?),
        #[cfg(feature = "accounts")]
        ["approve", id, at] => done(&mut out, approval::approve(id, Some(at), owners)?),
        ["ban", what] => done(&mut out, &settings.ban(what, true)?),
        ["unban", what] => done(&mut out, &settings.ban(what, false)?),
        ["limits", name, value] => done(&mut out, &settings.set_limit(name, value)?),
        ["reload"] => done(&mut out, &settings.reload()?),
        #[cfg(feature = "accounts")]
        ["user" | "group" | "book", ..] => {
            let said = accounts::answer(words, &reply.brought, owners, &mut out)?;
            if !said.is_empty() {
                done(&mut out, &said);
            }
        }
        #[cfg(feature = "accounts")]
        ["rule", ref words @ ..] => {
            let said = rules::answer(words, (&settings.settings, owners), &mut out)?;
            done(&mut out, &said);
        }
        _ => return Err(no_such_command(first)),
    }
    out.end();
    // Whoever does not wait for the answer does not miss it.
    drop(reply.write(&out.text));
    Ok(())
}

fn disconnect(number: &str, owners: &Owners) -> Result<&'static str, String> {
    let asked = number.parse().map(|number| owners.ask_relay(RelayQuestion::End(number)));
    if matches!(asked, Ok(Ok(Answer::Ended(true)))) {
        return Ok("The session was ended.");
    }
    #[cfg(feature = "accounts")]
    if devices::disconnect(number, owners)? {
        return Ok("The sessions of the device end within seconds.");
    }
    Err(asked.ok().and_then(Result::err).unwrap_or_else(|| NO_SESSION.into()))
}

fn forget(id: &str, free: bool, owners: &Owners) -> Result<&'static str, String> {
    let id = named_id(id).ok_or(NO_PEER)?;
    match owners.ask_rendezvous(RendezvousQuestion::Forget { id, free })? {
        Answer::Forgotten(Forgotten::Durably) if free => Ok(GIVEN),
        Answer::Forgotten(Forgotten::Durably) => Ok(KEPT),
        Answer::Forgotten(Forgotten::Unknown) => Err(NO_PEER.into()),
        Answer::Forgotten(Forgotten::Failed) => Err(NOT_STORED.into()),
        _ => odd(),
    }
}

/// Lists peers page by page, so that neither we nor others wait for all of them.
fn peers(words: &[&str], owners: &Owners, reply: &mut OperatorReply) -> Result<(), String> {
    let (mut wanted, mut left) = query(words)?;
    let (mut out, mut is_first) = (Output::new(reply.form), true);
    loop {
        // One more than is shown tells whether there are more.
        wanted.count = left.min(PEERS_PER_PAGE).saturating_add(1);
        let asked = owners.ask_rendezvous(RendezvousQuestion::Peers(wanted.clone()))?;
        let Answer::Peers(mut page, told) = asked else { return odd() };
        if core::mem::take(&mut is_first) {
            out.table("peers", columns(&told));
        }
        let more = page.len() == wanted.count;
        page.truncate(wanted.count - 1);
        peer_rows(&mut out, &page, &told);
        left -= page.len();
        wanted.after = page.last().map(|last| last.id.clone()).or(wanted.after);
        let last = !more || left == 0;
        if last {
            out.end_table();
            next(&mut out, wanted.after.as_ref().filter(|_| more));
            out.end();
        }
        if reply.write(&core::mem::take(&mut out.text)).is_err() || last {
            return Ok(());
        }
    }
}

/// Reads which peers are asked for, and how many at most.
fn query(words: &[&str]) -> Result<(PeerQuery, usize), String> {
    let (mut wanted, mut most) = (PeerQuery::default(), usize::MAX);
    for word in words {
        let refusal = || {
            ["'", word, "': must be after=ID, count=NUMBER, part=TEXT or key=old, new, unknown"]
                .concat()
        };
        match word.split_once('=') {
            Some(("after", id)) => wanted.after = Some(PeerId::new(id).ok_or_else(refusal)?),
            Some(("count", count)) => {
                let count = count.parse().ok().filter(|count| *count > 0);
                most = count.ok_or_else(refusal)?;
            }
            Some(("part", part)) => wanted.part = part.into(),
            Some(("key", "old")) => wanted.shows_old = Some(Some(true)),
            Some(("key", "new")) => wanted.shows_old = Some(Some(false)),
            Some(("key", "unknown")) => wanted.shows_old = Some(None),
            _ => return Err(refusal()),
        }
    }
    Ok((wanted, most))
}

fn next(out: &mut Output, after: Option<&PeerId>) {
    match after {
        Some(id) if out.is_text() => {
            out.text.push_str("more: after=");
            out.value(Value::Text(id.as_str()));
            out.text.push('\n');
        }
        None if out.is_text() => {}
        after => out.field("next", after.map_or(Value::Nothing, |id| Value::Text(id.as_str()))),
    }
}

/// What there is to tell of each: more where there are accounts.
#[cfg(feature = "accounts")]
fn columns(told: &Devices) -> &'static str {
    if told.is_some() { PEER_COLUMNS } else { OF_ALL_PEERS }
}

/// What there is to tell of each.
#[cfg(not(feature = "accounts"))]
const fn columns((): &Devices) -> &'static str {
    PEER_COLUMNS
}

#[cfg_attr(not(feature = "accounts"), expect(unused_variables, reason = "they tell nothing"))]
fn peer_rows(out: &mut Output, page: &[PeerRow], told: &Devices) {
    let number = |number: Option<u64>| number.map_or(Value::Nothing, Value::Number);
    for (at, peer) in page.iter().enumerate() {
        let transport = match (peer.via, peer.transport) {
            (Some(Via::Datagram(_)), _) => Some("udp"),
            (_, Some(Transport::Tcp)) => Some("tcp"),
            (_, Some(Transport::WebSocket)) => Some("websocket"),
            (_, None) => None,
        };
        let said = |at: Option<Endpoint>| at.map(|at| at.to_string());
        let (address, also_at) = (said(peer.at), said(peer.also_at));
        let key = peer.shows_old.map(|old| if old { "old" } else { "new" });
        let text = |text: Option<&'static str>| text.map_or(Value::Nothing, Value::Text);
        let values = [
            Value::Text(peer.id.as_str()),
            Value::Flag(peer.online_secs.is_some()),
            text(transport),
            address.as_deref().map_or(Value::Nothing, Value::Text),
            number(peer.online_secs),
            number(peer.seen_secs),
            match peer.first_seen_secs {
                0 => Value::Nothing,
                secs => Value::Moment(secs),
            },
            text(key),
            also_at.as_deref().map_or(Value::Nothing, Value::Text),
        ];
        #[cfg(feature = "accounts")]
        let values = {
            let told = told.as_ref().and_then(|told| told.get(at)?.as_ref());
            [&values[..], &devices::values(told)].concat()
        };
        out.row(&values);
    }
}

fn sessions(out: &mut Output, owners: &Owners) -> Result<(), String> {
    let Answer::Sessions(shown) = owners.ask_relay(RelayQuestion::Sessions)? else { return odd() };
    out.table("sessions", SESSION_COLUMNS);
    for session in &shown {
        let [from, to] = session.ends.map(|end| end.to_string());
        out.row(&[
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
    out.end_table();
    Ok(())
}

/// Lists bans part by part, as there may be many. Whoever does not wait for the end misses it.
fn bans(bans: &Bans, reply: &mut OperatorReply) -> Result<(), String> {
    let mut out = Output::new(reply.form);
    out.table("bans", "");
    for banned in bans.iter() {
        out.row(&[Value::Text(&banned.to_string())]);
        if out.text.len() >= PART_BYTES && reply.write(&core::mem::take(&mut out.text)).is_err() {
            return Ok(());
        }
    }
    out.end_table();
    out.end();
    drop(reply.write(&out.text));
    Ok(())
}

/// Every device, and those that an operator forgot, as the store has them at this moment.
fn records(control: &Controller, reply: &mut OperatorReply) -> Result<(), String> {
    if !reply.is_owner() {
        return Err(NOT_OWNER.into());
    }
    let key = control.settings.settings.about(&[]).key;
    let mut text = key.map_or_else(String::new, |key| [LIST_KEY, &key, "\n"].concat());
    let mut is_heard = true;
    let read = control.records.as_ref().map_or(Ok(()), |reader| {
        reader.read(&mut |record| {
            text.push_str(&line(&record));
            if text.len() >= PART_BYTES {
                is_heard = reply.write(&core::mem::take(&mut text)).is_ok();
            }
            is_heard
        })
    });
    #[cfg(feature = "accounts")]
    let read = read.and_then(|()| {
        control.records.as_ref().filter(|_| is_heard).map_or(Ok(()), |reader| {
            reader.read_rows(&mut |key, value| {
                text.push_str(&row_line(key, value));
                if text.len() >= PART_BYTES {
                    is_heard = reply.write(&core::mem::take(&mut text)).is_ok();
                }
                is_heard
            })
        })
    });
    read.map_err(|error| format!("Cannot read the store: {error}"))?;
    if is_heard {
        drop(reply.write(&(text + LIST_END)));
    }
    Ok(())
}

fn limits(out: &mut Output, limits: &[(&'static str, String)]) {
    if out.is_text() {
        limits.iter().for_each(|(name, value)| out.field(name, Value::Decimal(value)));
    } else {
        let (mut names, mut values) = (String::new(), Vec::new());
        for (name, value) in limits {
            names.push_str(&[name, " "].concat());
            values.push(Value::Decimal(value));
        }
        out.group("limits", &names, &values);
    }
}

fn done(out: &mut Output, said: &str) {
    match out.is_text() {
        true => out.text.push_str(&[said, "\n"].concat()),
        false => out.field("done", Value::Text(said)),
    }
}
