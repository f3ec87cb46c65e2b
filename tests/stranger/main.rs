//! One stranger does at the same time all that wears a server down, for half a minute, or for ten
//! with `HBB_LONG=1`: from one address, from an IPv6 /48, with forged addresses; and against a
//! server with accounts and all that belongs to them. Meanwhile others are served as if nobody were
//! there; memory and what is written stay where they were.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::disallowed_methods, reason = "tests wait by the clock and have settings")]
#![allow(clippy::print_stdout, reason = "what was measured")]

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

#[cfg(feature = "web")]
mod accounts;
#[path = "../sim/chance.rs"]
mod chance;
mod doors;
mod flood;
mod load;
#[path = "../model/mod.rs"]
mod model;
#[path = "../conformance/say.rs"]
mod say;

use doors::{Caller, Doors};
use load::{Sources, Stranger};
use model::host::Host;
use model::initiator::{Asks, Initiator, Tries, nat_type};
use model::link::Link;
use model::place::Place;
use model::server::Server;
use model::target::{Habit, Target};

const SERVER: &str = "192.0.2.1";
const SERVER_V6: &str = "2001:db8::1";
/// Where those are who only want to be served, and the networks of those who are new.
const HONEST: [&str; 2] = ["203.0.113.5", "203.0.113.6"];
const NEWCOMERS: &str = "100.64.0.0/10";
/// All of these are the stranger's, and none has to be added by itself.
const STRANGE: [&str; 2] = ["198.18.0.0/15", "2001:db8:bad::/48"];

/// Each thing that somebody honest does is done in this time, on a machine of its own; where three
/// of these and others share two cores, in three times as much.
const SERVED_WITHIN: Duration = Duration::from_secs(1);
const SHARED: u32 = 3;
/// A new id waits for one sync of a disk that others write to then: 3.5 s of one were measured,
/// where the server did nothing else.
const SYNCED_WITHIN: Duration = Duration::from_secs(10);
/// How much the server may grow: what all connections at their worst hold, and tables.
const GROWTH_KIB_MAX: u64 = 8 * 1024;
/// What a small router may write in a day.
const WRITTEN_BYTES_MAX: u64 = 8 * 1000 * 1000;
/// Of the hash of a password: as little as there is.
const PASSWORD_KIB: u64 = 4 * 1024;
/// Ten in a minute are as many as an address may have.
const LOGIN_EVERY: Duration = Duration::from_secs(7);
/// RegisterPkResponse, where devices wait for an operator.
const NOT_DEPLOYED: i32 = 8;
const PAUSE: Duration = Duration::from_secs(2);
/// Somebody new comes so often, each from a network of its own: one commit for each, of which a day
/// has some 340.
const NEW_EVERY: Duration = Duration::from_secs(12);

fn load_lasts() -> Duration {
    Duration::from_secs(if is_long() { 600 } else { 30 })
}

fn is_long() -> bool {
    std::env::var_os("HBB_LONG").is_some()
}

/// Everybody is in it.
fn place(name: &str) -> Place {
    let place = Place::new(&format!("stranger-{name}"), &[SERVER, HONEST[0], HONEST[1], SERVER_V6]);
    for network in [NEWCOMERS, STRANGE[0], STRANGE[1]] {
        place.own(network);
    }
    place
}

/// What the kernel says of a process.
fn measured(server: &Server, file: &str, name: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/{file}", server.pid())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

fn rss_kib(server: &Server) -> u64 {
    measured(server, "status", "VmRSS:")
}

fn written_bytes(server: &Server) -> u64 {
    measured(server, "io", "write_bytes:")
}

/// Where the newcomer of that number is.
fn address_of(number: u16) -> String {
    let [second, third] = number.to_be_bytes();
    format!("100.{}.{third}.5", 64 + second)
}

/// What others do, each with the longest it took.
struct Served<'a> {
    place: &'a Place,
    server: SocketAddr,
    key: String,
    longest: [(&'static str, Duration); 7],
    /// With accounts: where they are, and who approves a device.
    accounts: Option<Accounts<'a>>,
    logged_in: Option<Instant>,
    /// Who came last, when, and how many did.
    newest: Option<(Target, Instant)>,
    new: u16,
}

/// What a server with accounts has besides.
#[derive(Clone, Copy)]
struct Accounts<'a> {
    doors: Doors,
    /// Lets a device in that waits at this address.
    approve: &'a dyn Fn(&str, &str),
    new_every: Duration,
}

impl<'a> Served<'a> {
    fn new(place: &'a Place, server: SocketAddr, key: String) -> Self {
        let longest = Default::default();
        let (accounts, logged_in, newest) = (None, None, None);
        Self { place, server, key, longest, accounts, logged_in, newest, new: 0 }
    }

    fn timed<T>(&mut self, number: usize, what: &'static str, act: impl FnOnce() -> T) -> T {
        let begin = Instant::now();
        let done = act();
        let longest = self.longest[number].1.max(begin.elapsed());
        self.longest[number] = (what, longest);
        done
    }

    /// Lets somebody new come if it is time.
    fn welcome(&mut self) {
        let every = self.accounts.map_or(NEW_EVERY, |accounts| accounts.new_every);
        if self.newest.as_ref().is_some_and(|(_, came)| came.elapsed() < every) {
            return;
        }
        self.new += 1;
        let (address, approve) = (address_of(self.new), self.accounts.map(|it| it.approve));
        let at = self.place.host(&address);
        let (server, key, id) = (self.server, self.key.clone(), format!("honest-{}", self.new));
        let target = self.timed(1, "new id", || {
            if let Some(approve) = approve {
                at.prove(server);
                assert_eq!(Target::outcome(&at, server, &id), NOT_DEPLOYED);
                approve(&id, &address);
            }
            Target::register(&at, server, &id, &key)
        });
        self.newest = Some((target, Instant::now()));
    }

    /// Everything once; whatever fails panics.
    fn round(&mut self) {
        let [at, caller] = HONEST.map(|address| self.place.host(address));
        let (server, key) = (self.server, self.key.clone());
        self.timed(0, "NAT test", || nat_type(&at, server));
        self.welcome();
        let (target, came) = self.newest.take().unwrap();
        let host = self.place.host(&address_of(self.new));
        self.timed(2, "relay pair", || {
            let initiator = Initiator {
                host: caller,
                server,
                key: key.clone(),
                tries: Tries::RelayOnly,
                asks: Asks::Tcp,
            };
            thread::scope(|scope| {
                let answering = scope.spawn(|| {
                    host.enter();
                    let mut link = target.answer(Habit::Relay);
                    target.hello(&mut link);
                });
                initiator.dial(&target.id).hello();
                answering.join().unwrap();
            });
        });
        self.newest = Some((target, came));
        self.timed(3, "sealed channel", || drop(Link::sealed(&at, server, &key)));
        self.at_doors(&at);
    }

    /// A user at home and a device that is known, where there are accounts.
    fn at_doors(&mut self, at: &Host) {
        let Some(Accounts { doors, .. }) = self.accounts else { return };
        let to = |port| SocketAddr::new(self.server.ip(), port);
        let caller = Caller { host: at.clone(), to: to(doors.api) };
        let page = Caller { host: at.clone(), to: to(doors.web) };
        let host = self.place.host(&address_of(self.new));
        let device = Caller { host, to: to(doors.api) };
        let id = format!("honest-{}", self.new);
        if self.logged_in.is_none_or(|last| last.elapsed() >= LOGIN_EVERY) {
            self.timed(4, "login", || caller.log_in());
            self.logged_in = Some(Instant::now());
        }
        self.timed(5, "heartbeat", || device.beat(&id));
        self.timed(6, "page", || page.open_page());
    }
}

/// The load from `sources` against a server of default settings, and others meanwhile.
fn wear_down(name: &'static str, sources: Sources) {
    let place = place(name);
    let server = Server::start_behind(&place.prefix(), &[]);
    let main = SocketAddr::new(SERVER.parse().unwrap(), server.port);
    place.host(HONEST[0]).enter();
    let served = Served::new(&place, main, server.key());
    wear((name, sources, load_lasts()), &server, served);
}

/// The same for so long, while they are served; they may grow by so much.
fn wear(
    (name, sources, lasts): (&'static str, Sources, Duration),
    server: &Server,
    mut served: Served<'_>,
) {
    let (place, key) = (served.place, server.key());
    served.round();
    let (rss, written) = (rss_kib(server), written_bytes(server));
    let towards: IpAddr =
        if sources == Sources::Ipv6 { SERVER_V6 } else { SERVER }.parse().unwrap();
    let stranger = Arc::new(Stranger::new(
        place.host(HONEST[0]),
        SocketAddr::new(towards, server.port),
        (sources, key),
        served.accounts.map(|accounts| accounts.doors),
    ));
    let threads = stranger.begin();
    let (begin, mut most, mut rounds) = (Instant::now(), rss, 0);
    while begin.elapsed() < lasts {
        thread::sleep(PAUSE);
        rounds += 1;
        served.round();
        most = most.max(rss_kib(server));
    }
    stranger.stop();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let (grown, written) = (most.saturating_sub(rss), written_bytes(server) - written);
    println!(
        "{name}: {rounds} rounds, {} newcomers, at longest {:?}; {grown} KiB more, {written} bytes \
         written",
        served.new, served.longest
    );
    println!("{name}: the stranger {stranger}");
    assert!(rounds >= 3 && served.new >= 2, "nobody was served");
    for (what, longest) in served.longest {
        let most = match what {
            _ if is_long() => SERVED_WITHIN,
            "new id" => SYNCED_WITHIN,
            _ => SERVED_WITHIN * SHARED,
        };
        assert!(longest <= most, "{name}: a {what} took {longest:?}");
    }
    // The hash of a password has its memory beside that.
    let allowed = GROWTH_KIB_MAX + served.accounts.map_or(0, |_| PASSWORD_KIB);
    assert!(grown <= allowed, "{name}: {grown} KiB more");
    assert!(written <= WRITTEN_BYTES_MAX, "{name}: {written} bytes written");
}

#[test]
fn one_address_wears_nobody_down() {
    wear_down("one", Sources::OneAddress);
}

#[test]
fn an_ipv6_network_wears_nobody_down() {
    wear_down("ipv6", Sources::Ipv6);
}

#[test]
fn forged_addresses_wear_nobody_down() {
    wear_down("forged", Sources::Forged);
}
