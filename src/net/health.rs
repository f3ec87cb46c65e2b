//! Watches the relays that are handed out, by a thread of its own, as names are looked up here and
//! nowhere else while we serve. With two or more relays each is called every few seconds, and
//! clients are only told of those that answer; if none does, all are told: it may be us. What names
//! stand for is looked up at start and when somebody dials, so that it sleeps where nobody does; a
//! name server that is silent takes no name away that was known. One that stands for nothing is
//! said, and asked for until it stands for something. Checks: C128, C146, C204.

use std::io;
use std::mem;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

use async_net::TcpStream;
use smol::{Timer, future};

use crate::config::{PORT, Ports};
use crate::net::clock::Clock;
use crate::settings::LiveSettings;
use hbb_core::base::address::{canonical, split_port};
use hbb_core::base::limits::{
    NAME_ADDRESSES_MAX, NAME_MS, RELAY_CHECK_MS, RELAY_CONNECT_MS, WATCH_STACK_BYTES,
};
use hbb_core::base::time::Time;
use hbb_core::rendezvous::NamedHost;
use log::{info, warn};

use crate::net::tasks::queue::{Closed, Receiver, Sender, bounded};
use crate::net::tasks::thread;

/// The port of a relay whose name tells none.
const RELAY_PORT: u16 = Ports::new(PORT).relay;

/// Words that wait for a watch that looks up names; of more the oldest are dropped.
pub(crate) const WORDS_MAX: usize = 8;

/// What the watch is told.
pub(crate) enum ToWatch {
    /// These are handed out from now on.
    Relays(Vec<String>),
    /// The same, and this is our own name.
    Names(Option<Box<str>>, Vec<String>),
    /// Somebody dials: it matters what names stand for.
    LookUp,
}

/// What it found out.
pub(crate) enum Seen {
    /// The relays that answer.
    Reachable(Vec<String>),
    /// What all names stand for.
    Names(Vec<NamedHost>),
}

/// Starts the watch; what it sees goes to `seen`.
///
/// # Errors
/// What the system says if it has no thread to give.
pub(crate) fn watch(clock: Clock, seen: Sender<Seen>) -> io::Result<Sender<ToWatch>> {
    let (words, told) = bounded(WORDS_MAX);
    let watch = Watch::new(clock);
    thread::start("relays", WATCH_STACK_BYTES, Box::new(move || watch.work(&told, &seen)))?;
    Ok(words)
}

/// Has the watch see to the relays and the name of these settings.
pub(crate) fn tell(watch: &Sender<ToWatch>, live: &LiveSettings) {
    let (public, relays) = (live.public.clone(), live.policy.relays.clone());
    let _ = watch.force_send(ToWatch::Names(public, relays));
}

struct Watch {
    clock: Clock,
    relays: Vec<String>,
    /// Those of them that clients are told; None if that may be others of a list before it.
    told: Option<Vec<String>>,
    /// The name of each relay once, and our own.
    hosts: Vec<Host>,
    /// Somebody must be told what they stand for.
    renamed: bool,
}

/// A name, and when it was last asked for.
struct Host {
    named: NamedHost,
    asked: Option<Time>,
    /// The address that last answered.
    good: Option<IpAddr>,
    /// Whether it stood for nothing when it was last asked for,
    lost: bool,
    /// and the log says so.
    said: bool,
}

impl Watch {
    const fn new(clock: Clock) -> Self {
        Self { clock, relays: Vec::new(), told: None, hosts: Vec::new(), renamed: false }
    }

    fn work(mut self, words: &Receiver<ToWatch>, seen: &Sender<Seen>) {
        loop {
            let word = words.recv_within(self.rest_ms());
            let is_due = match word {
                Ok(Some(ToWatch::LookUp)) => false,
                Ok(Some(ToWatch::Relays(relays))) => self.watch_relays(relays),
                Ok(Some(ToWatch::Names(public, relays))) => {
                    self.watch_public(public.as_deref());
                    self.watch_relays(relays)
                }
                Ok(None) => true,
                Err(Closed) => return,
            };
            self.look_up();
            self.say();
            let reachable = if is_due { self.reachable() } else { None };
            let is_renamed = mem::take(&mut self.renamed);
            let names = is_renamed.then(|| self.names());
            for it in names.into_iter().chain(reachable) {
                if seen.force_send(it).is_err() {
                    return;
                }
            }
        }
    }

    /// What all names stand for.
    fn names(&self) -> Seen {
        let mut names = Vec::new();
        for host in &self.hosts {
            names.push(host.named.clone());
        }
        Seen::Names(names)
    }

    /// How long to wait for a word.
    fn rest_ms(&self) -> u64 {
        match self.relays.len() {
            0 | 1 if self.hosts.iter().any(|host| host.lost) => NAME_MS,
            0 | 1 => u64::MAX,
            _ => RELAY_CHECK_MS,
        }
    }

    /// Says which names stand for nothing since they were last asked for, and which do again.
    fn say(&mut self) {
        let (lost, found) = (self.changed(true), self.changed(false));
        if !lost.is_empty() {
            warn!("name-unknown names={lost} help='hbb check'");
        }
        if !found.is_empty() {
            info!("name-known names={found}");
        }
        self.hosts.iter_mut().for_each(|host| host.said = host.lost);
    }

    /// The names that are lost now and were not, or the other way round; with commas between them.
    fn changed(&self, lost: bool) -> String {
        let mut names: Vec<&str> = Vec::new();
        for host in self.hosts.iter().filter(|host| host.lost == lost && host.said != lost) {
            names.push(&host.named.name);
        }
        names.dedup();
        names.join(",")
    }

    fn watch_relays(&mut self, relays: Vec<String>) -> bool {
        let is_named = |name: &str| relays.iter().any(|relay| split_port(relay).0 == name);
        self.hosts.retain(|host| host.named.ours || is_named(&host.named.name));
        relays.iter().for_each(|relay| self.add(split_port(relay).0, false));
        (self.relays, self.told, self.renamed) = (relays, None, true);
        true
    }

    fn watch_public(&mut self, public: Option<&str>) {
        let is_kept = |host: &Host| !host.named.ours || Some(&*host.named.name) == public;
        self.hosts.retain(is_kept);
        public.iter().for_each(|name| self.add(name, true));
    }

    fn add(&mut self, name: &str, ours: bool) {
        if !self.hosts.iter().any(|host| *host.named.name == *name && host.named.ours == ours) {
            let named = NamedHost { name: name.into(), addresses: Vec::new(), ours };
            let host = Host { named, asked: None, good: None, lost: false, said: false };
            self.hosts.push(host);
        }
    }

    /// Asks what names stand for that were not asked for lately.
    fn look_up(&mut self) {
        let now = self.clock.now();
        for host in &mut self.hosts {
            self.renamed |= host.is_old(now) && host.look_up(now);
        }
    }

    /// With two relays or more, calls each; those that answer, if they are others than before.
    fn reachable(&mut self) -> Option<Seen> {
        let mut up = Vec::new();
        for relay in self.relays.clone() {
            if self.relays.len() < 2 || self.answers(&relay) {
                up.push(relay);
            }
        }
        let up = if up.is_empty() { self.relays.clone() } else { up };
        if self.told.as_ref() == Some(&up) {
            return None;
        }
        for relay in self.relays.iter().filter(|relay| !up.contains(relay)) {
            warn!("relay-down relay={relay}");
        }
        self.told = Some(up.clone());
        Some(Seen::Reachable(up))
    }

    /// Whether a relay takes connections at any of its addresses; our own does at that of loopback
    /// too, as not every router leads what is sent to its public one back inside.
    fn answers(&mut self, relay: &str) -> bool {
        let (name, port) = split_port(relay);
        let port = port.and_then(|port| port.parse().ok()).unwrap_or(RELAY_PORT);
        let mut named = self.hosts.iter_mut().filter(|host| *host.named.name == *name);
        named.any(|host| match host.named.ours {
            true => connects((Ipv4Addr::LOCALHOST, port).into()),
            false => host.answers(port),
        })
    }
}

impl Host {
    fn is_old(&self, now: Time) -> bool {
        self.asked.is_none_or(|asked| now.since_ms(asked) >= NAME_MS)
    }

    /// Asks the name server; whether the name stands for something else than it did.
    fn look_up(&mut self, now: Time) -> bool {
        self.asked = Some(now);
        let found = (&*self.named.name, RELAY_PORT).to_socket_addrs();
        self.lost = found.is_err();
        let Ok(found) = found else { return false };
        let (known, mut changed) = (mem::take(&mut self.named.addresses), false);
        let addresses = &mut self.named.addresses;
        // The order that name servers give them in differs from time to time.
        for ip in found.map(|at| canonical(at.ip())) {
            if addresses.len() < NAME_ADDRESSES_MAX && !addresses.contains(&ip) {
                changed |= !known.contains(&ip);
                addresses.push(ip);
            }
        }
        changed |= addresses.len() != known.len();
        if changed {
            self.good = None;
        }
        changed
    }

    /// Tries the address that last answered first.
    fn answers(&mut self, port: u16) -> bool {
        let mut all = self.good.into_iter().chain(self.named.addresses.iter().copied());
        self.good = all.find(|ip| connects(SocketAddr::new(*ip, port)));
        self.good.is_some()
    }
}

/// Whether somebody takes a connection there in time. This thread has time, and smol's reactor.
fn connects(to: SocketAddr) -> bool {
    let connected = async { TcpStream::connect(to).await.is_ok() };
    let late = async {
        Timer::after(Duration::from_millis(RELAY_CONNECT_MS)).await;
        false
    };
    smol::block_on(future::or(connected, late))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// A relay that answers at 127.0.0.1, and its port.
    fn relay() -> (TcpListener, u16) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        (listener, port)
    }

    /// What a watch says that is told all this.
    fn seen_after(told: impl IntoIterator<Item = ToWatch>) -> Vec<Seen> {
        let ((words, heard), (said, seen)) = (bounded(WORDS_MAX), bounded(WORDS_MAX));
        told.into_iter().for_each(|word| words.try_send(word).unwrap());
        drop(words);
        Watch::new(Clock::start()).work(&heard, &said);
        std::iter::from_fn(|| seen.try_recv()).collect()
    }

    /// The relays to hand out by that.
    fn relays_after(told: impl IntoIterator<Item = ToWatch>) -> Vec<Vec<String>> {
        let relays = |it| if let Seen::Reachable(up) = it { Some(up) } else { None };
        seen_after(told).into_iter().filter_map(relays).collect()
    }

    #[test]
    fn c204_a_list_that_comes_while_another_is_tried_is_the_one_handed_out() {
        let (_listener, port) = relay();
        let old = ["127.0.0.1", "127.0.0.9"].map(|ip| format!("{ip}:{port}"));
        for new in
            [vec![], vec!["127.0.0.8:1".to_owned()], vec![old[0].clone(), "127.0.0.1:1".into()]]
        {
            let reachable = if new.len() < 2 { new.clone() } else { vec![old[0].clone()] };
            for list in [ToWatch::Relays(new.clone()), ToWatch::Names(None, new)] {
                let told = relays_after([ToWatch::Names(None, old.to_vec()), list]);
                assert_eq!(told[0], [old[0].clone()], "of two the one that answers");
                assert_eq!(told.last(), Some(&reachable), "{told:?}");
            }
        }
    }

    #[test]
    fn c204_our_own_relay_is_handed_out_where_no_router_leads_back_inside() {
        let ((_own, port), (_other, other)) = (relay(), relay());
        let relays = [format!("127.0.0.9:{port}"), format!("127.0.0.1:{other}")];
        let names = |public: &str| ToWatch::Names(Some(public.into()), relays.to_vec());
        assert_eq!(relays_after([names("127.0.0.9")]), [relays.to_vec()]);
        assert_eq!(relays_after([names("127.0.0.8")]), [[relays[1].clone()]]);
    }

    #[test]
    fn a_name_that_is_ours_no_longer_is_forgotten() {
        let names = |public: Option<&str>| ToWatch::Names(public.map(Box::from), Vec::new());
        let seen = seen_after([names(Some("127.0.0.9")), names(None)]);
        let names = |it| if let Seen::Names(names) = it { Some(names.len()) } else { None };
        assert_eq!(seen.into_iter().filter_map(names).collect::<Vec<_>>(), [1, 0]);
    }

    #[test]
    fn c204_a_relay_that_does_not_answer_is_looked_up_no_sooner_than_others() {
        let mut watch = Watch::new(Clock::start());
        watch.watch_relays(["127.0.0.9:1", "127.0.0.8:1"].map(String::from).to_vec());
        assert!(watch.reachable().is_some() && watch.hosts.iter().all(|host| host.asked.is_none()));
    }
}
