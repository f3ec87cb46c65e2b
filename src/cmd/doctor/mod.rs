//! `doctor`: tries a server from another machine, at each address and port, as clients would, and
//! says what is closed and who must open it. Everything is tried at once, each in a thread of its
//! own, and bounded in time. It registers nothing. C159: tests/doctor/main.rs.

mod clock;
mod key;
mod name;
mod probe;
mod report;
mod wire;

use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::Duration;

use name::{Name, Role, TRIES};
use probe::{Job, Kind, Probe};
use report::{Finding, State};
use wire::Patience;

use super::exit::{Exit, print, say_at_terminal};
use crate::cli::DoctorFlags;
use crate::config::{PORT, is_global, relays};
use crate::net::clock::Clock;
use crate::net::tasks::thread;
use hbb_core::base::address::{host, with_port};
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

/// What is done, and what is not yet.
enum Task {
    /// A name is looked up, and what is behind it tried.
    LookUp(Name),
    Try(Job),
}

/// What all threads know.
struct Shared {
    asked: Asked,
    server: String,
    board: Mutex<Board>,
}

/// What is known.
#[derive(Default)]
struct Board {
    /// In order.
    findings: Vec<Finding>,
    /// What stands for tasks that have not ended.
    open: Vec<Finding>,
    names: usize,
    is_id_asked: bool,
}

/// `hbb doctor`.
#[inline(never)]
pub(super) fn run(flags: &DoctorFlags) -> Result<(), Exit> {
    let server = host(&flags.host).ok_or_else(|| {
        wrong("HOST", &flags.host, "a name or an IP address; its port goes into --port")
    })?;
    let asked = Asked::new(flags)?;
    let names = names(flags, &asked, &server)?;
    let (clock, wait_ms) = (asked.clock, asked.wait_ms);
    let most = (wait_ms * 4 / 1000).to_string();
    say_at_terminal(&["trying ", &server, ", ", &most, " s at most"]);
    let shared = Arc::new(Shared { asked, server, board: Mutex::default() });
    names.into_iter().for_each(|name| shared.look_up(name));
    while !shared.board().open.is_empty() && clock.now().as_millis() < wait_ms * 4 {
        sleep(LOOK);
    }
    let findings = shared.findings(flags);
    let wrong = findings.iter().filter(|finding| finding.state == State::Wrong).count();
    print(&match flags.json {
        true => report::json(&shared.server, wrong == 0, &findings),
        false => report::text(&findings),
    })?;
    match wrong {
        0 => Ok(()),
        _ if flags.json => Err(Exit::running("")),
        _ => Err(Exit::running([&wrong.to_string(), " wrong, see above"].concat())),
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
    let mut own = name::relay(server);
    (own.role, own.port) = (Role::Server, asked.port);
    let mut names = vec![own];
    for relay in &asked.relays {
        names.push(name::relay(relay));
    }
    for (role, flag, url) in [(Role::Proxy, "--ws", &flags.ws), (Role::Api, "--api", &flags.api)] {
        if let Some(url) = url {
            let name = name::url(role, url);
            names.push(name.ok_or_else(|| wrong(flag, url, "a URL of http:// or https://"))?);
        }
    }
    Ok(names)
}

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
        let is_known = relay.is_empty()
            || relay == usual
            || relay == self.server && self.asked.port == PORT
            || self.asked.relays.iter().any(|known| known == relay);
        if !is_known {
            self.look_up(name::relay(relay));
        }
    }

    /// Starts what finds out about a name.
    fn look_up(self: &Arc<Self>, name: Name) {
        self.board().names += 1;
        let order = self.board().names * NAME;
        let mut late = Finding::new(order, "dns", State::Wrong, "the name server does not answer");
        late.at.clone_from(&name.host);
        self.start(late, Task::LookUp(name));
    }

    /// Works on a task in a thread; `late` stands for it until it is done.
    fn start(self: &Arc<Self>, late: Finding, task: Task) {
        let (shared, order) = (Arc::clone(self), late.order);
        self.board().open.push(late);
        let work = move || {
            let found = match &task {
                Task::LookUp(name) => shared.resolve(name, order),
                Task::Try(job) => shared.work(job),
            };
            let mut board = shared.board();
            board.open.retain(|open| open.order != order);
            for finding in found {
                board.add(finding);
            }
        };
        // Without a thread it stays open, and is told so at the end.
        drop(thread::start("doctor", STACK_BYTES, Box::new(work)));
    }

    fn resolve(self: &Arc<Self>, name: &Name, order: usize) -> Vec<Finding> {
        let mut ips: Vec<IpAddr> = Vec::new();
        if let Ok(found) = (&*name.host, name.port).to_socket_addrs() {
            for ip in found.map(|at| at.ip()) {
                if ips.len() < NAME_ADDRESSES_MAX && !ips.contains(&ip) {
                    ips.push(ip);
                }
            }
        }
        for (number, ip) in ips.iter().enumerate() {
            for (place, it) in TRIES.iter().enumerate() {
                if !it.is_for(name, &self.asked) {
                    continue;
                }
                let at = SocketAddr::new(*ip, it.port(name, &self.asked));
                let order = order + (number + 1) * ADDRESS + place;
                let mut late = Finding::new(order, it.check, State::Wrong, "no end in time");
                late.place(at);
                let host = with_port(&name.host, at.port());
                let path = [&name.path, it.path].concat();
                let kind = if name.is_tls { Kind::Open } else { it.kind };
                self.start(late, Task::Try(Job { order, check: it.check, at, kind, host, path }));
            }
        }
        vec![found(name, order, &ips)]
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

    /// All that was found, in order, with what was not tried.
    fn findings(&self, flags: &DoctorFlags) -> Vec<Finding> {
        let mut board = core::mem::take(&mut *self.board());
        for finding in core::mem::take(&mut board.open) {
            board.add(finding);
        }
        let has_clock = board.findings.iter().any(|finding| finding.check == "clock");
        for (is_missing, check, text) in [
            (flags.ws.is_none(), "proxy", "not tried: give --ws with its URL, if there is one"),
            (flags.id.is_none(), "signed", "not tried: give --id with a device that is online"),
            (!has_clock, "clock", "nobody told the time"),
        ] {
            if is_missing {
                board.findings.push(Finding::new(usize::MAX, check, State::Note, text));
            }
        }
        let mut findings = board.findings;
        if findings.iter().any(|one| one.check == "key" && one.state == State::Wrong) {
            // A relay does what it should.
            for finding in findings.iter_mut().filter(|one| one.text == probe::KEY_REFUSED) {
                (finding.state, finding.advice) = (State::Note, [""; 2]);
            }
        }
        if flags.from_inside {
            findings.push(hairpin(&findings));
        }
        report::advise(&mut findings, flags.from_inside);
        findings
    }
}

impl Board {
    fn add(&mut self, finding: Finding) {
        let at = self.findings.iter().rposition(|before| before.order <= finding.order);
        self.findings.insert(at.map_or(0, |at| at + 1), finding);
    }
}

/// What a name stands for.
fn found(name: &Name, order: usize, ips: &[IpAddr]) -> Finding {
    let mut text = String::new();
    let mut is_public = false;
    for ip in ips {
        let ip = ip.to_string();
        is_public |= is_global(&ip);
        text.extend([if text.is_empty() { "" } else { ", " }, &ip]);
    }
    let mut finding = Finding::new(order, "dns", State::Ok, &text);
    finding.at.clone_from(&name.host);
    if ips.is_empty() {
        (finding.state, finding.text) = (State::Wrong, "the name has no address".into());
        finding.advice = ["your provider of names: an A record for IPv4, AAAA for IPv6", ""];
    } else if !is_public {
        finding.text.push_str(", private: nobody outside reaches it");
    }
    finding
}

/// Whether the router leads its own public address back inside.
fn hairpin(findings: &[Finding]) -> Finding {
    let (mut tried, mut broken) = (0_usize, 0_usize);
    for finding in findings {
        let is_public = finding.ip.is_some_and(|ip| is_global(&ip.to_string()));
        if is_public && matches!(finding.check, "tcp" | "udp" | "nat" | "relay") {
            tried += 1;
            broken += usize::from(finding.state == State::Wrong);
        }
    }
    let (state, text) = match broken {
        _ if tried == 0 => (State::Note, "not needed: the name leads to an address inside"),
        0 => (State::Ok, "the router leads its public address back inside"),
        _ if broken == tried => (State::Wrong, "the router does not lead its public address back"),
        _ => (State::Wrong, "the router leads some ports of its public address back, see above"),
    };
    Finding::new(usize::MAX, "hairpin", state, text)
}
