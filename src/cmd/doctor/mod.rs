//! `doctor`: tries a server from another machine, at each address and port, as clients would, and
//! says what is closed and who must open it. Everything is tried at once, each in a thread of its
//! own, and bounded in time. It registers nothing. C159: tests/doctor/main.rs.

mod clock;
mod key;
mod probe;
mod report;
mod wire;

use std::io::{self, IsTerminal as _, Write as _};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::Duration;

use probe::{Job, Kind, Probe};
use report::{Finding, State};
use wire::Patience;

use super::exit::{Exit, print};
use crate::cli::DoctorFlags;
use crate::config::{PORT, is_global, relays};
use crate::net::clock::Clock;
use crate::net::tasks::thread;
use hbb_core::base::address::{host, split_port, with_port};
use hbb_core::base::limits::NAME_ADDRESSES_MAX;
use hbb_core::identity::{ServerKey, public_key};

/// Stack of a thread: verifying a signature and looking up a name take most of it.
const STACK_BYTES: usize = 256 * 1024;
/// How often it is looked whether all is done.
const LOOK: Duration = Duration::from_millis(20);
/// Room for what is tried at one address, in the order of findings.
const ADDRESS: usize = 16;
const NAME: usize = ADDRESS * (NAME_ADDRESSES_MAX + 1);

/// What the flags ask for, judged.
struct Asked {
    key: Option<String>,
    /// The same, if it is a public key.
    public: Option<[u8; 32]>,
    id: Option<String>,
    port: u16,
    skip: String,
    single_port: bool,
    /// The relays of --relay.
    relays: Vec<String>,
    has_api: bool,
    clock: Clock,
    wait_ms: u64,
}

/// What stands behind a name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Server,
    Relay,
    Proxy,
    Api,
}

/// A name to look up and to try.
#[derive(Clone)]
struct Name {
    role: Role,
    host: String,
    port: u16,
    /// What is in front of the path of a URL, and whether that is for TLS.
    path: String,
    is_tls: bool,
}

/// What all threads know.
struct Shared {
    asked: Asked,
    server: String,
    board: Mutex<Board>,
}

/// What is done, and what is not.
#[derive(Default)]
struct Board {
    findings: Vec<Finding>,
    open: Vec<Finding>,
    names: usize,
    is_id_asked: bool,
}

/// `hbb doctor`.
pub(super) fn run(flags: &DoctorFlags) -> Result<(), Exit> {
    let server = host(&flags.host).ok_or_else(|| {
        wrong("HOST", &flags.host, "a name or an IP address; its port goes into --port")
    })?;
    let asked = Asked::new(flags)?;
    let names = names(flags, &asked, &server)?;
    let (clock, wait_ms) = (asked.clock, asked.wait_ms);
    if io::stderr().is_terminal() {
        let most = (wait_ms * 4 / 1000).to_string();
        let line = ["trying ", &server, ", ", &most, " s at most\n"].concat();
        drop(io::stderr().write_all(line.as_bytes()));
    }
    let shared = Arc::new(Shared { asked, server, board: Mutex::default() });
    names.into_iter().for_each(|name| shared.look_up(name));
    while !shared.board().open.is_empty() && clock.now().as_millis() < wait_ms * 4 {
        sleep(LOOK);
    }
    let findings = shared.findings(flags);
    let text = match flags.json {
        true => report::json(&shared.server, &findings),
        false => report::text(&findings),
    };
    print(&text)?;
    match findings.iter().filter(|finding| finding.state == State::Wrong).count() {
        0 => Ok(()),
        _ if flags.json => Err(Exit::running("")),
        1 => Err(Exit::running("1 thing is wrong, see above")),
        many => Err(Exit::running([&many.to_string(), " things are wrong, see above"].concat())),
    }
}

impl Asked {
    fn new(flags: &DoctorFlags) -> Result<Self, Exit> {
        let port = number("--port", &flags.port, PORT, 3..=65_532)?;
        let secs = number("--timeout", &flags.timeout, 3, 1..=60)?;
        let key = flags.key.clone().filter(|key| !key.is_empty());
        if key.as_deref().is_some_and(|key| ServerKey::parse(key).is_ok()) {
            return Err(Exit::flags(
                "--key: this is the secret key, which nobody needs but the server; give the public \
                 one, which 'hbb export' prints",
            ));
        }
        let listed = flags.relay.as_deref().unwrap_or_default();
        Ok(Self {
            public: key.as_deref().and_then(public_key),
            key,
            id: flags.id.clone(),
            port,
            skip: flags.skip.clone().unwrap_or_default(),
            single_port: flags.single_port,
            relays: relays(listed).ok_or_else(|| wrong("--relay", listed, "HOST[:PORT],..."))?,
            has_api: flags.api.is_some(),
            clock: Clock::start(),
            wait_ms: u64::from(secs) * 1000,
        })
    }

    /// What is shown as key.
    fn shown(&self) -> &str {
        self.key.as_deref().unwrap_or_default()
    }

    /// For what is asked at one port from now on: two waits and an offer.
    fn patience(&self) -> Patience {
        let until = self.clock.now().after_ms(self.wait_ms * 3);
        Patience { clock: self.clock, wait_ms: self.wait_ms, until }
    }
}

fn wrong(flag: &str, text: &str, must_be: &str) -> Exit {
    Exit::flags([flag, " '", text, "': must be ", must_be].concat())
}

fn number(
    flag: &str,
    text: &Option<String>,
    usual: u16,
    range: core::ops::RangeInclusive<u16>,
) -> Result<u16, Exit> {
    let Some(text) = text else { return Ok(usual) };
    let allowed = || [&range.start().to_string(), " to ", &range.end().to_string()].concat();
    let found = text.parse().ok().filter(|number| range.contains(number));
    found.ok_or_else(|| wrong(flag, text, &allowed()))
}

/// All that is named.
fn names(flags: &DoctorFlags, asked: &Asked, server: &str) -> Result<Vec<Name>, Exit> {
    let path = String::new();
    let own =
        Name { role: Role::Server, host: server.into(), port: asked.port, path, is_tls: false };
    let mut names = vec![own];
    names.extend(asked.relays.iter().map(|relay| relay_name(relay)));
    for (role, flag, url) in [(Role::Proxy, "--ws", &flags.ws), (Role::Api, "--api", &flags.api)] {
        if let Some(url) = url {
            let name = url_name(role, url);
            names
                .push(name.ok_or_else(|| wrong(flag, url, "an address with http:// or https://"))?);
        }
    }
    Ok(names)
}

fn relay_name(relay: &str) -> Name {
    let (host, port) = split_port(relay);
    let port = port.and_then(|port| port.parse().ok()).unwrap_or(PORT + 1);
    Name { role: Role::Relay, host: host.into(), port, path: String::new(), is_tls: false }
}

fn url_name(role: Role, url: &str) -> Option<Name> {
    let (scheme, rest) = url.split_once("://")?;
    let is_tls = match scheme {
        "http" | "ws" => false,
        "https" | "wss" => true,
        _ => return None,
    };
    let (place, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let (name, port) = split_port(place);
    let port = port.map_or(Some(if is_tls { 443 } else { 80 }), |port| port.parse().ok())?;
    let path = path.trim_end_matches('/').to_owned();
    Some(Name { role, host: host(name)?, port, path, is_tls })
}

impl Name {
    /// What is tried at one of its addresses: check, how, port, path.
    fn tries(&self, asked: &Asked) -> Vec<(&'static str, Kind, u16, &'static str)> {
        let (port, single) = (self.port, asked.single_port);
        let above = |more: u16| if single { port } else { port.saturating_add(more) };
        match self.role {
            Role::Server => {
                let mut tries =
                    vec![("tcp", Kind::Signalling, port, ""), ("udp", Kind::Udp, port, "")];
                if !single {
                    tries.push(("nat", Kind::Nat, port - 1, ""));
                }
                tries.push(("websocket", Kind::Web, above(2), "/ws/id"));
                if asked.relays.is_empty() {
                    tries.push(("relay", Kind::Relay, above(1), ""));
                    tries.push(("websocket-relay", Kind::WebRelay, above(3), "/ws/relay"));
                }
                if !single && !asked.has_api {
                    tries.push(("api", Kind::Api, port - 2, API_PATH));
                }
                tries
            }
            Role::Relay => vec![
                ("relay", Kind::Relay, port, ""),
                ("websocket-relay", Kind::WebRelay, above(2), "/ws/relay"),
            ],
            Role::Proxy if self.is_tls => vec![("proxy", Kind::Open, port, "")],
            Role::Proxy => vec![
                ("proxy", Kind::Web, port, "/ws/id"),
                ("proxy-relay", Kind::WebRelay, port, "/ws/relay"),
            ],
            Role::Api if self.is_tls => vec![("api", Kind::Open, port, "")],
            Role::Api => vec![("api", Kind::Api, port, API_PATH)],
        }
    }
}

/// What a client asks an API server first.
const API_PATH: &str = "/api/login-options";

impl Shared {
    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The id of --id, to one of those who ask.
    fn id_to_ask(&self) -> Option<&str> {
        let id = self.asked.id.as_deref()?;
        let was_asked = core::mem::replace(&mut self.board().is_id_asked, true);
        (!was_asked).then_some(id)
    }

    /// Tries the relay that a device was told, if it is another one than those that are tried.
    fn try_relay(self: &Arc<Self>, relay: &str) {
        let usual = with_port(&self.server, self.asked.port.saturating_add(1));
        let is_known = relay == usual
            || relay == self.server && self.asked.port == PORT
            || self.asked.relays.iter().any(|known| known == relay);
        if !relay.is_empty() && !is_known {
            self.look_up(relay_name(relay));
        }
    }

    /// Starts what finds out about a name.
    fn look_up(self: &Arc<Self>, name: Name) {
        let number = {
            let mut board = self.board();
            board.names += 1;
            board.names
        };
        let (shared, order) = (Arc::clone(self), number * NAME);
        self.start(
            finding(order, "dns", &name.host, State::Wrong, "the name server does not answer"),
            Box::new(move || shared.resolve(&name, order)),
        );
    }

    fn resolve(self: &Arc<Self>, name: &Name, order: usize) -> Vec<Finding> {
        let mut ips: Vec<IpAddr> = Vec::new();
        for at in (&*name.host, name.port).to_socket_addrs().into_iter().flatten() {
            if !ips.contains(&at.ip()) {
                ips.push(at.ip());
            }
        }
        ips.sort_by_key(IpAddr::is_ipv6);
        let more = ips.len().saturating_sub(NAME_ADDRESSES_MAX);
        ips.truncate(NAME_ADDRESSES_MAX);
        for (number, ip) in ips.iter().enumerate() {
            for (place, (check, kind, port, path)) in
                name.tries(&self.asked).into_iter().enumerate()
            {
                if self.asked.skip.split(',').any(|skipped| skipped == check) {
                    continue;
                }
                self.start_job(Job {
                    order: order + (number + 1) * ADDRESS + place,
                    check,
                    at: SocketAddr::new(*ip, port),
                    kind,
                    host: with_port(&name.host, port),
                    path: [&name.path, path].concat(),
                });
            }
        }
        vec![found(name, order, &ips, more)]
    }

    fn start_job(self: &Arc<Self>, job: Job) {
        let shared = Arc::clone(self);
        self.start(
            finding(job.order, job.check, &job.at.to_string(), State::Wrong, "no end in time"),
            Box::new(move || shared.work(&job)),
        );
    }

    fn work(self: &Arc<Self>, job: &Job) -> Vec<Finding> {
        let (asked, findings) = (&self.asked, Vec::new());
        let mut probe = Probe { job, asked, patience: asked.patience(), findings };
        let done = match job.kind {
            Kind::Signalling => key::signalling(&mut probe, self),
            Kind::Nat => probe.nat(),
            Kind::Udp => probe.udp(),
            Kind::Relay | Kind::WebRelay => probe.relay(),
            Kind::Web => probe.web(),
            Kind::Api => probe.api(),
            Kind::Open => probe.open(),
        };
        if let Err(fault) = done {
            probe.findings.push(Finding::of_fault(job.order, job.check, job.at, fault));
        }
        probe.findings
    }

    /// Does some work in a thread; `late` stands for it until it is done.
    fn start(self: &Arc<Self>, late: Finding, work: Box<dyn FnOnce() -> Vec<Finding> + Send>) {
        let (shared, order) = (Arc::clone(self), late.order);
        self.board().open.push(late);
        let work = move || {
            let found = work();
            let mut board = shared.board();
            board.findings.extend(found);
            board.open.retain(|open| open.order != order);
        };
        // Without a thread it stays open, and is told so at the end.
        drop(thread::start("doctor", STACK_BYTES, Box::new(work)));
    }

    /// All that was found, in order, with what was not tried.
    fn findings(&self, flags: &DoctorFlags) -> Vec<Finding> {
        let board = self.board();
        let mut findings = [board.findings.as_slice(), board.open.as_slice()].concat();
        drop(board);
        findings.sort_by_key(|finding| finding.order);
        let mut note =
            |check, text| findings.push(finding(usize::MAX, check, "-", State::Note, text));
        if flags.ws.is_none() {
            note("proxy", "not tried: give --ws with its URL, if clients come through one");
        }
        if flags.id.is_none() {
            note("signed", "not tried: give --id with a device that is online");
        }
        if !findings.iter().any(|finding| finding.check == "clock") {
            findings.push(finding(usize::MAX, "clock", "-", State::Note, "nobody told the time"));
        }
        if findings.iter().any(|one| one.check == "key" && one.state == State::Wrong) {
            // It does what it should.
            let at_relay = findings.iter_mut().filter(|one| one.text == probe::KEY_REFUSED);
            at_relay.for_each(|one| (one.state, one.advice) = (State::Note, String::new()));
        }
        if flags.from_inside {
            hairpin(&mut findings);
        }
        report::advise(&mut findings, flags.from_inside);
        findings
    }
}

fn finding(order: usize, check: &'static str, at: &str, state: State, text: &str) -> Finding {
    let (at, text, advice) = (at.into(), text.into(), String::new());
    Finding { order, check, at, state, text, advice, closed: None }
}

/// What a name stands for.
fn found(name: &Name, order: usize, ips: &[IpAddr], more: usize) -> Finding {
    if ips.is_empty() {
        let mut none = finding(order, "dns", &name.host, State::Wrong, "the name has no address");
        none.advice = "your provider of names: give it an A record (IPv4) or AAAA (IPv6)".into();
        return none;
    }
    let mut text: Vec<String> = ips.iter().map(IpAddr::to_string).collect();
    if more > 0 {
        text.push([&more.to_string(), " more, not tried"].concat());
    }
    if !ips.iter().any(|ip| is_global(&ip.to_string())) {
        text.push("private: nobody outside reaches it".into());
    }
    finding(order, "dns", &name.host, State::Ok, &text.join(", "))
}

/// Whether the router leads its own public address back inside.
fn hairpin(findings: &mut Vec<Finding>) {
    let is_public = |finding: &&Finding| {
        let at = finding.at.parse::<SocketAddr>();
        matches!(finding.check, "tcp" | "udp" | "nat" | "relay")
            && at.is_ok_and(|at| is_global(&at.ip().to_string()))
    };
    let tried: Vec<&Finding> = findings.iter().filter(is_public).collect();
    let broken = tried.iter().filter(|one| one.state == State::Wrong).count();
    let (state, text) = match tried.len() {
        0 => (State::Note, "not needed: the name leads to an address inside"),
        _ if broken == 0 => (State::Ok, "the router leads its public address back inside"),
        all if broken == all => (State::Wrong, "the router does not lead its public address back"),
        _ => (State::Wrong, "the router leads some ports of its public address back, see above"),
    };
    findings.push(finding(usize::MAX, "hairpin", "-", state, text));
}
