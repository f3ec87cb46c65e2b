//! The words of log lines: `event key=value ...`. Operators grep and ban by them, so changing one
//! is a release note. Keys and tokens are never among the values.

use std::net::IpAddr;

use log::{debug, info, warn};

#[cfg(feature = "accounts")]
use hbb_core::accounts::AccountEvent;
use hbb_core::base::address::Endpoint;
use hbb_core::base::conn::{Conn, Via};
use hbb_core::base::counters::DropReason;
use hbb_core::rendezvous::{Event, RateLimit};

use crate::config::{PortService, WEB_CLIENTS};
#[cfg(feature = "accounts")]
use crate::log::OPERATOR;
use crate::net::message::SessionEnd;

/// Words what the rendezvous reports.
pub fn rendezvous(event: &Event) {
    match event {
        Event::PeerAdded { id, from, proved } => {
            info!("peer-added peer={id} from={}{}", from.ip(), unproved(*proved));
        }
        Event::PeerKeyChanged { id, from } => {
            info!("peer-key-changed peer={id} from={}", from.ip());
        }
        Event::PeerRenamed { from, id, at } => {
            info!("peer-renamed peer={id} from={from} at={}", at.ip());
        }
        Event::PeerChangeRefused { id, from, proved } => {
            info!("peer-change-refused peer={id} from={}{}", from.ip(), unproved(*proved));
        }
        Event::PeerHeld { id, from, proved, why } => {
            let (from, reason, end) = (from.ip(), why.as_str(), unproved(*proved));
            warn!("peer-held peer={id} from={from} reason={reason} help=forget--free{end}");
        }
        Event::PeerFlaps { id, places: [between, and] } => {
            warn!("peer-flaps peer={id} between={between} and={and}");
        }
        Event::PeersFull { limit } => {
            warn!("table-full table=peers limit={limit} help=--max-peers,--forget-after");
        }
        Event::PeerForgotten { id } => info!("peer-forgotten peer={id}"),
        #[cfg(feature = "accounts")]
        Event::PeerWaiting { id, from, proved } => {
            info!("peer-waiting peer={id} from={}{}", from.ip(), unproved(*proved));
        }
        #[cfg(feature = "accounts")]
        Event::PeerApproved { id } => info!("peer-approved peer={id}"),
        Event::PeerUnknown { id } => debug!("peer-unknown peer={id}"),
        Event::SaveFailed { id } => warn!("peer-not-saved peer={id}"),
        Event::Dropped { via: Via::Datagram(from), reason } => {
            debug!("dropped from={from} reason={}", reason.as_str());
        }
        Event::Refused { from, proved, reason, limit } => {
            debug!("dropped from={from} reason={}", reason.as_str());
            let (name, help) = (reason.as_str(), remedy(*reason, *limit));
            warn!("refused reason={name} from={}{help}{}", from.ip(), unproved(*proved));
        }
        Event::Dropped { via: Via::Stream(conn), reason } => {
            debug!("dropped slot={} reason={}", conn.slot, reason.as_str());
        }
    }
}

/// Words what the accounts report. A name that no user has is not repeated.
#[cfg(feature = "accounts")]
pub fn account(event: &AccountEvent) {
    match event {
        AccountEvent::LoggedIn { user, from } => info!("user-logged-in user={user} from={from}"),
        AccountEvent::LoginFailed { user, from } => {
            let user = user.as_deref().unwrap_or("unknown");
            warn!("login-failed from={from} user={user}");
        }
        AccountEvent::LoginsTooMany { from } => warn!("login-refused from={from}"),
        AccountEvent::NotSaved => warn!("accounts-not-saved"),
    }
}

/// What ends a line whose `from=` anybody can forge: nobody is to be banned by it (C141).
const fn unproved(proved: bool) -> &'static str {
    if proved { "" } else { " unproved" }
}

/// Ports that we do without are taken: all others are served.
pub fn ports_taken(taken: &[(PortService, u16)]) {
    let mut sockets = String::new();
    for (service, port) in taken {
        match service {
            PortService::NoApi => {
                let holder = service.usual_holder(*port);
                warn!("api-port-taken port={port} holder='{holder}' help=--no-api-port");
            }
            // Of one event one line a minute is written: it names both.
            _ => sockets
                .push_str(&[if sockets.is_empty() { "" } else { "," }, &port.to_string()].concat()),
        }
    }
    let first = taken.iter().find(|(service, _)| *service != PortService::NoApi);
    if let Some((service, port)) = first {
        let holder = service.usual_holder(*port);
        warn!("websocket-port-taken port={sockets} holder='{holder}' without='{WEB_CLIENTS}'");
    }
}

/// Somebody was sent away; a warning if that is for what an operator can change.
pub fn refused(from: IpAddr, reason: DropReason) {
    if reason.is_refusal() {
        warn!("refused reason={} from={from}{}", reason.as_str(), remedy(reason, RateLimit::Fixed));
    }
}

/// What an operator may change, should it be somebody who belongs here.
const fn remedy(reason: DropReason, limit: RateLimit) -> &'static str {
    match reason {
        DropReason::WrongKey => " help='hbb export'",
        DropReason::TooFrequent => match limit {
            RateLimit::Registrations => " help=--registrations-per-minute",
            RateLimit::Newcomers => " help=--new-peers-per-day",
            RateLimit::Unproved => " help='no setting, let TCP through too'",
            RateLimit::Fixed => " help='no setting, who asked tries again'",
        },
        DropReason::ConnectionsFull => " help=--max-connections",
        DropReason::SessionsFull => " help=--max-sessions",
        _ => "",
    }
}

/// A connection to the relay ended without a session; `from` of one that is known.
pub fn leg_closed(conn: Conn, from: Option<IpAddr>, reason: DropReason) {
    debug!("leg-closed slot={} reason={}", conn.slot, reason.as_str());
    match from {
        Some(from) if reason == DropReason::PartnerRefused => {
            info!("relay-key-differs waiting={from} help='the key of hbb export, in both clients'");
        }
        Some(from) => refused(from, reason),
        None => {}
    }
}

/// Two legs became a session.
pub fn session_started(waiting: Endpoint, joining: Endpoint) {
    debug!("relay-started from={waiting} to={joining}");
}

/// A session is over; `from` of its leg that waited.
pub fn session_ended(ended: &SessionEnd, from: IpAddr) {
    let SessionEnd { bytes, secs, reason } = ended;
    info!("relay-ended bytes={bytes} secs={secs} reason={} from={from}", reason.as_str());
}

/// What an ask came to, for who has the log of connections among these lines: of others than those
/// who are trusted so many a minute are written.
#[cfg(feature = "accounts")]
pub fn connection(trusted: bool, line: &str) {
    match trusted {
        true => info!(target: OPERATOR, "connection {line}"),
        false => info!("connection {line}"),
    }
}
