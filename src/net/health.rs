//! Watches the relays that are handed out: with two or more, each is called every few seconds,
//! and clients are only told of those that answer. If none does, all are told: it may be us.
//! A thread of its own, since names are resolved; it sleeps unless there are two or more.

use std::io;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::thread::Builder;
use std::time::Duration;

use crate::config::{PORT, Ports};
use hbb_core::base::address::split_port;
use hbb_core::base::limits::{RELAY_CHECK_MS, RELAY_CONNECT_MS, WATCH_STACK_BYTES};
use log::warn;

use crate::net::tasks::queue::{Closed, Receiver, Sender, bounded};

/// The port of a relay whose name tells none.
const RELAY_PORT: u16 = Ports::new(PORT).relay;

/// Starts the watch; lists sent to what it returns are watched from then on, and those of their
/// relays that answer go to `reachable`.
///
/// # Errors
/// What the system says if it has no thread to give.
pub(crate) fn watch(reachable: Sender<Vec<String>>) -> io::Result<Sender<Vec<String>>> {
    // Of lists that come faster than they are tried only the last counts.
    let (lists, list) = bounded(1);
    let thread = Builder::new().name("relays".into()).stack_size(WATCH_STACK_BYTES);
    thread.spawn(move || work(&list, &reachable))?;
    Ok(lists)
}

fn work(lists: &Receiver<Vec<String>>, reachable: &Sender<Vec<String>>) {
    let Some(mut list) = lists.recv_blocking() else { return };
    let mut told = list.clone();
    loop {
        if list.len() < 2 {
            match lists.recv_blocking() {
                Some(next) => (list, told) = (next.clone(), next),
                None => return,
            }
            continue;
        }
        let up: Vec<String> = list.iter().filter(|relay| answers(relay)).cloned().collect();
        let up = if up.is_empty() { list.clone() } else { up };
        if up != told {
            for relay in list.iter().filter(|relay| !up.contains(relay)) {
                warn!("relay-down relay={relay}");
            }
            if reachable.force_send(up.clone()).is_err() {
                return;
            }
            told = up;
        }
        match lists.recv_within(RELAY_CHECK_MS) {
            Ok(Some(next)) => (list, told) = (next.clone(), next),
            Ok(None) => {}
            Err(Closed) => return,
        }
    }
}

/// Whether a relay takes connections at any of its addresses.
fn answers(relay: &str) -> bool {
    let (host, port) = split_port(relay);
    let port = port.and_then(|port| port.parse().ok()).unwrap_or(RELAY_PORT);
    let timeout = Duration::from_millis(RELAY_CONNECT_MS);
    (host, port).to_socket_addrs().is_ok_and(|mut all| {
        all.any(|address| TcpStream::connect_timeout(&address, timeout).is_ok())
    })
}
