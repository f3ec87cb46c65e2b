//! `doctor`: tries a server from another machine, at each address and port, as clients would, and
//! says what is closed and who must open it. Everything is tried at once, each in a thread of its
//! own, and bounded in time. It registers nothing. C159: tests/doctor/main.rs.

mod clock;
mod key;
mod name;
mod probe;
mod report;
mod wire;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::Duration;

use name::{Job, Kind, Name, Role};
use probe::{KEY_REFUSED, Probe};
use report::{Finding, Place, State};
use wire::Patience;

use super::exit::{Exit, print, say_at_terminal};
use crate::cli::DoctorFlags;
use crate::config::{PORT, is_global, relays};
use crate::net::clock::Clock;
use crate::net::tasks::thread;
use hbb_core::base::address::host;
use hbb_core::base::limits::NAME_ADDRESSES_MAX;
use hbb_core::identity::{ServerKey, public_key};

/// Stack of a thread: verifying a signature and looking up a name take most of it.
const STACK_BYTES: usize = 256 * 1024;
/// How often it is looked whether all is done.
const LOOK: Duration = Duration::from_millis(20);
/// What findings are about.
const CHECKS: &str = "dns,tcp,nat,udp,key,signed,relay,websocket,websocket-relay,proxy,proxy-relay,\
     api,clock,hairpin";
/// Room for what is tried at one address, in the order of findings.
const ADDRESS: usize = 16;
const NAME: usize = ADDRESS * (NAME_ADDRESSES_MAX + 1);

/// What the flags ask for, judged.
struct Asked {
    flags: DoctorFlags,
    server: String,
    /// The key, if it is a public key.
    public: Option<[u8; 32]>,
    port: u16,
    /// All that is named.
    names: Vec<Name>,
    clock: Clock,
    wait_ms: u64,
}

/// What all threads know. It lives as long as the process: one of them may wait for a name server
/// when nobody waits for it any more.
struct Shared {
    asked: Asked,
    is_id_asked: AtomicBool,
    board: Mutex<Board>,
}

/// What is known, in order, and what is still being tried.
#[derive(Default)]
struct Board {
    findings: Vec<Finding>,
    names: usize,
}

/// `hbb doctor`.
#[inline(never)]
pub(super) fn run(flags: DoctorFlags) -> Result<(), Exit> {
    let asked = Asked::new(flags)?;
    let most = (asked.wait_ms * 4 / 1000).to_string();
    say_at_terminal(&["trying ", &asked.server, ", ", &most, " s at most"]);
    let shared = Shared { asked, is_id_asked: AtomicBool::new(false), board: Mutex::default() };
    let shared: &'static Shared = Box::leak(Box::new(shared));
    let asked = &shared.asked;
    asked.names.iter().for_each(|name| shared.look_up(name));
    while shared.is_busy() && asked.clock.now().as_millis() < asked.wait_ms * 4 {
        sleep(LOOK);
    }
    let findings = shared.findings();
    let wrong = findings.iter().filter(|finding| finding.state == State::Wrong).count();
    print(&match asked.flags.json {
        true => report::json(&asked.server, wrong == 0, &findings),
        false => report::text(&findings),
    })?;
    match wrong {
        0 => Ok(()),
        _ if asked.flags.json => Err(Exit::running("")),
        _ => Err(Exit::running(format!("{wrong} wrong, see above"))),
    }
}

impl Asked {
    fn new(flags: DoctorFlags) -> Result<Self, Exit> {
        let server = host(&flags.host).ok_or_else(|| {
            Exit::must_be("HOST", &flags.host, "a name or an IP address; its port goes into --port")
        })?;
        let port = number("--port", &flags.port, PORT, [3, 65_532])?;
        let secs = number("--timeout", &flags.timeout, 3, [1, 60])?;
        let key = flags.key.as_deref().unwrap_or_default();
        if ServerKey::parse(key).is_ok() {
            return Err(Exit::flags(
                "--key: this is the secret key, which nobody needs but the server; give the public \
                 one, which 'hbb export' prints",
            ));
        }
        let skipped = flags.skip.as_deref().unwrap_or_default();
        let is_other = |name: &&str| !lists(CHECKS, name);
        if let Some(other) = skipped.split_terminator(',').find(is_other) {
            return Err(Exit::must_be("--skip", other, &["of ", CHECKS].concat()));
        }
        let listed = flags.relay.as_deref().unwrap_or_default();
        let relays =
            relays(listed).ok_or_else(|| Exit::must_be("--relay", listed, "HOST[:PORT],..."))?;
        let mut names = vec![Name { role: Role::Server, port, ..name::relay(&server) }];
        for relay in &relays {
            names.push(name::relay(relay));
        }
        add_url(&mut names, Role::Proxy, ("--ws", &flags.ws))?;
        add_url(&mut names, Role::Api, ("--api", &flags.api))?;
        Ok(Self {
            server,
            public: public_key(key),
            port,
            names,
            clock: Clock::start(),
            wait_ms: u64::from(secs) * 1000,
            flags,
        })
    }

    fn is_skipped(&self, check: &str) -> bool {
        lists(self.flags.skip.as_deref().unwrap_or_default(), check)
    }

    /// What is shown as key, empty if there is none.
    fn key(&self) -> &str {
        self.flags.key.as_deref().unwrap_or_default()
    }

    /// For what is asked at one port from now on: two waits and an offer.
    fn patience(&self) -> Patience {
        let until = self.clock.now().after_ms(self.wait_ms * 3);
        Patience { clock: self.clock, wait_ms: self.wait_ms, until }
    }
}

/// Whether `name` is among those between commas.
fn lists(names: &str, name: &str) -> bool {
    names.split(',').any(|it| it == name)
}

/// Adds who is at the URL of a flag, if it is given.
fn add_url(
    names: &mut Vec<Name>,
    role: Role,
    (flag, url): (&str, &Option<String>),
) -> Result<(), Exit> {
    let Some(url) = url else { return Ok(()) };
    let name = name::url(role, url);
    names.push(name.ok_or_else(|| Exit::must_be(flag, url, "a URL of http:// or https://"))?);
    Ok(())
}

fn number(
    flag: &str,
    text: &Option<String>,
    usual: u16,
    [min, max]: [u16; 2],
) -> Result<u16, Exit> {
    let Some(text) = text else { return Ok(usual) };
    match text.parse() {
        Ok(number) if (min..=max).contains(&number) => Ok(number),
        _ => Err(Exit::must_be(flag, text, &format!("{min} to {max}"))),
    }
}

impl Shared {
    fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_busy(&self) -> bool {
        self.board().findings.iter().any(|finding| finding.is_open)
    }

    /// The id of --id, to one of those who ask.
    fn id_to_ask(&self) -> Option<&str> {
        let id = self.asked.flags.id.as_deref()?;
        (!self.is_id_asked.swap(true, Ordering::Relaxed)).then_some(id)
    }

    /// Tries the relay that a device was told, if it is another one than those that are tried.
    fn try_relay(&'static self, relay: &str) {
        let relay = name::relay(relay);
        let is_known = |known: &Name| match known.role {
            Role::Server => known.host == relay.host && known.port.saturating_add(1) == relay.port,
            Role::Relay => known.host == relay.host && known.port == relay.port,
            Role::Proxy | Role::Api => false,
        };
        if !(relay.host.is_empty() || self.asked.names.iter().any(is_known)) {
            self.look_up(Box::leak(Box::new(relay)));
        }
    }

    /// Starts what finds out about a name.
    fn look_up(&'static self, name: &'static Name) {
        let mut board = self.board();
        board.names += 1;
        let order = board.names * NAME;
        drop(board);
        self.start(Place { order, check: "dns", at: None }, Kind::LookUp, name);
    }

    /// Works on a job in a thread; until it is done, something stands for it that says it is late.
    fn start(&'static self, place: Place, kind: Kind, name: &'static Name) {
        let patience = self.asked.patience();
        let job: &'static Job = Box::leak(Box::new(Job { place, kind, name, patience }));
        let late = match kind {
            Kind::LookUp => "the name server does not answer",
            _ => "no end in time",
        };
        let mut late = job.finding(place.check, State::Wrong, late);
        late.is_open = true;
        self.board().add(late);
        // Without a thread it stays open, and is told so at the end.
        drop(thread::start("doctor", STACK_BYTES, Box::new(move || self.work(job))));
    }

    fn work(&'static self, job: &'static Job) {
        let mut probe = Probe { job, shared: self, findings: Vec::new() };
        let done = match job.kind {
            Kind::LookUp => probe.look_up(),
            Kind::Signalling => key::signalling(&mut probe),
            Kind::Nat => probe.nat(),
            Kind::Udp => probe.udp(),
            Kind::Relay | Kind::WebRelay => probe.relay(),
            Kind::Web => probe.web(),
            Kind::Api => probe.api(),
            Kind::Open => probe.is_open(),
        };
        let mut board = self.board();
        board.close(job.place.order);
        for finding in probe.findings {
            board.add(finding);
        }
        if let Err(fault) = done {
            let mut finding = job.finding(job.place.check, State::Wrong, "");
            finding.fault = Some(fault);
            board.add(finding);
        }
    }

    /// All that was found, in order, with what was not tried.
    fn findings(&self) -> Vec<Finding> {
        let flags = &self.asked.flags;
        let mut findings = core::mem::take(&mut self.board().findings);
        let has_clock = findings.iter().any(|finding| finding.place.check == "clock");
        for (is_missing, check, text) in [
            (flags.ws.is_none(), "proxy", "not tried: give --ws with its URL, if there is one"),
            (flags.id.is_none(), "signed", "not tried: give --id with a device that is online"),
            (!has_clock, "clock", "nobody told the time"),
        ] {
            if is_missing {
                findings.push(last(check, State::Note, text));
            }
        }
        let is_wrong = |one: &Finding| one.place.check == "key" && one.state == State::Wrong;
        if findings.iter().any(is_wrong) {
            // A relay does what it should.
            for finding in findings.iter_mut().filter(|one| one.text.starts_with(KEY_REFUSED)) {
                finding.state = State::Note;
                finding.text.truncate(KEY_REFUSED.len());
            }
        }
        report::explain(&mut findings, flags.from_inside);
        if flags.from_inside {
            findings.push(hairpin(&findings));
        }
        findings.retain(|finding| !self.asked.is_skipped(finding.place.check));
        findings
    }
}

impl Board {
    /// Takes away what stands for the job in this place, which is done.
    fn close(&mut self, order: usize) {
        let is_its = |one: &Finding| one.is_open && one.place.order == order;
        if let Some(at) = self.findings.iter().position(is_its) {
            self.findings.remove(at);
        }
    }

    fn add(&mut self, finding: Finding) {
        let is_before = |before: &Finding| before.place.order <= finding.place.order;
        let at = self.findings.iter().rposition(is_before);
        self.findings.insert(at.map_or(0, |at| at + 1), finding);
    }
}

/// What is about no place, behind all others.
fn last(check: &'static str, state: State, text: &str) -> Finding {
    Finding::new(Place { order: usize::MAX, check, at: None }, state, text)
}

/// Whether the router leads its own public address back inside.
fn hairpin(findings: &[Finding]) -> Finding {
    let (mut tried, mut broken) = (0_usize, 0_usize);
    for Finding { place, state, .. } in findings {
        let is_public = place.at.is_some_and(|at| is_global(at.ip()));
        if is_public && matches!(place.check, "tcp" | "udp" | "nat" | "relay") {
            tried += 1;
            broken += usize::from(*state == State::Wrong);
        }
    }
    let (state, text) = match broken {
        _ if tried == 0 => (State::Note, "not needed: the name leads to an address inside"),
        0 => (State::Ok, "the router leads its public address back inside"),
        _ if broken == tried => (State::Wrong, "the router does not lead its public address back"),
        _ => (State::Wrong, "the router leads some ports of its public address back, see above"),
    };
    last("hairpin", state, text)
}
