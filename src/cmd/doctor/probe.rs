//! What is asked at each port of a server, as clients ask it, and what the answers mean. Nothing
//! that is asked registers anything. C159.

use std::net::{IpAddr, ToSocketAddrs as _};

use super::name::{Job, Kind, TRIES};
use super::report::{Finding, Place, State};
use super::wire::{Fault, Form, Head, Wire};
use super::{ADDRESS, Shared, clock};
use crate::cmd::keygen::entropy;
use crate::config::is_global;
use hbb_core::base::address::{Endpoint, canonical, with_port};
use hbb_core::base::limits::NAME_ADDRESSES_MAX;
use hbb_core::wire::message::client::{self, Answer};

/// An id that no device has: a question about it is answered, and goes no further.
pub(super) const NOBODY: &str = "hbb-doctor";

/// What a relay does to the legs of those who have another key than it; or than its limits let in.
pub(super) const KEY_REFUSED: &str = "open; it closes legs that show this key";

/// The wish for a WebSocket (RFC 6455 §4.1), its key 16 bytes in base64.
const UPGRADE: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Key: aGJiIGRvY3RvciBhc2tzLg==\r\n";

/// A job at work, and what it found.
pub(super) struct Probe {
    pub(super) job: &'static Job,
    pub(super) shared: &'static Shared,
    pub(super) findings: Vec<Finding>,
}

impl Probe {
    /// Notes what was found, of this check or of another one; in a second line, what to do.
    pub(super) fn say(&mut self, check: &'static str, state: State, text: &str) {
        self.findings.push(self.job.finding(check, state, text));
    }

    pub(super) fn tell(&mut self, state: State, text: &str) {
        self.say(self.job.place.check, state, text);
    }

    /// Where it is tried, which is known of all but look-ups.
    fn at(&self) -> Result<Endpoint, Fault> {
        self.job.place.at.ok_or(Fault::NoRoute)
    }

    /// A connection to the job's port.
    pub(super) fn open(&self, form: Form) -> Result<Box<Wire>, Fault> {
        Wire::open(self.at()?.into(), None, form, &self.job.patience)
    }

    /// The same in frames, or as a WebSocket if the job is for those; None if that was refused and
    /// said.
    fn connect(&mut self) -> Result<Option<Box<Wire>>, Fault> {
        let kind = self.job.kind;
        if kind == Kind::Relay {
            return self.open(Form::Frames).map(Some);
        }
        let wire = self.open(Form::WebSocket)?;
        let head = self.get(&wire, UPGRADE)?;
        if kind == Kind::Web {
            self.tell_time(&head);
        }
        if head.status != 101 {
            self.refused(&head);
            return Ok(None);
        }
        Ok(Some(wire))
    }

    /// Asks for the path of the job.
    fn get(&self, wire: &Wire, headers: &str) -> Result<Head, Fault> {
        let host = with_port(&self.job.name.host, self.at()?.port());
        wire.get(&self.path(), &host, headers)
    }

    fn path(&self) -> String {
        [&self.job.name.path, self.job.kind.path()].concat()
    }

    /// Looks up a name, and has what is behind it tried.
    pub(super) fn look_up(&mut self) -> Result<(), Fault> {
        let (name, asked) = (self.job.name, &self.shared.asked);
        let mut ips: Vec<IpAddr> = Vec::new();
        if let Ok(found) = (&*name.host, name.port).to_socket_addrs() {
            for ip in found.map(|at| canonical(at.ip())) {
                if ips.len() < NAME_ADDRESSES_MAX && !ips.contains(&ip) {
                    ips.push(ip);
                }
            }
        }
        let (mut text, mut is_public) = (String::new(), false);
        for (number, ip) in ips.iter().enumerate() {
            is_public |= is_global(*ip);
            text.extend([if text.is_empty() { "" } else { ", " }, &ip.to_string()]);
            for (place, it) in TRIES.iter().enumerate() {
                if !it.is_for(name, asked) {
                    continue;
                }
                let at = Some(Endpoint::new(*ip, it.port(name, asked)));
                let order = self.job.place.order + (number + 1) * ADDRESS + place;
                let kind = if name.is_tls { Kind::Open } else { it.kind };
                self.shared.start(Place { order, check: it.check, at }, kind, name);
            }
        }
        let (state, more) = match ips.is_empty() {
            true => (
                State::Wrong,
                "no address is known for it\nif others resolve here, your provider of names: an A \
                 record for IPv4, AAAA for IPv6",
            ),
            false if is_public => (State::Ok, ""),
            false => (State::Ok, ", private: nobody outside reaches it"),
        };
        self.tell(state, &(text + more));
        Ok(())
    }

    /// A NAT test at both ports from one of ours.
    pub(super) fn nat(&mut self) -> Result<(), Fault> {
        let first = self.open(Form::Frames)?;
        let seen = seen_port(&first)?;
        let main = Endpoint::new(self.at()?.ip(), self.shared.asked.port);
        let other = Wire::open(main.into(), first.local(), Form::Frames, &self.job.patience);
        let (state, text) = match other.and_then(|other| seen_port(&other)) {
            Ok(other) if other == seen => (State::Ok, "both ports see the same port"),
            Ok(_) => (
                State::Note,
                "answers; the two ports see this machine at two ports, so its NAT is symmetric and \
                 sessions from here take the relay; or a proxy stands before the server",
            ),
            Err(_) => (State::Ok, "answers"),
        };
        self.tell(state, text);
        Ok(())
    }

    /// hbb answers a NAT test by datagram, upstream's server a registration without a key.
    pub(super) fn udp(&mut self) -> Result<(), Fault> {
        let wire = self.open(Form::Datagrams)?;
        let (test, register) = (client::test_nat(), client::register_peer(NOBODY));
        for datagram in [&test, &test, &register] {
            wire.send(datagram)?;
            let told = match wire.receive_within(self.job.patience.wait_ms / 3) {
                Ok(told) => told,
                Err(Fault::Mute) => continue,
                // An empty one counts as an end.
                Err(Fault::Closed) => return Err(Fault::Foreign),
                Err(fault) => return Err(fault),
            };
            if !matches!(client::answer(&told), Some(Answer::Nat(_) | Answer::Registered)) {
                return Err(Fault::Foreign);
            }
            self.tell(State::Ok, "answers");
            return Ok(());
        }
        Err(Fault::Silent)
    }

    /// Two legs of one token, and a message each way.
    pub(super) fn relay(&mut self) -> Result<(), Fault> {
        let Some(one) = self.connect()? else { return Ok(()) };
        let Some(other) = self.connect()? else { return Ok(()) };
        match pair(&one, &other, self.shared.asked.key()) {
            Ok(()) => self.tell(State::Ok, "two legs meet, bytes pass both ways"),
            Err(Fault::Closed) if self.shared.asked.key().is_empty() => self.tell(
                State::Note,
                "open; it closes legs that show no key\ngive --key to see two of them meet",
            ),
            Err(Fault::Closed) => {
                let says = "\nrelay: its log says 'refused' or 'proxy-protocol-unexpected'";
                self.tell(State::Wrong, &[KEY_REFUSED, says].concat());
            }
            Err(fault) => return Err(fault),
        }
        Ok(())
    }

    /// Signalling over a WebSocket.
    pub(super) fn web(&mut self) -> Result<(), Fault> {
        let Some(wire) = self.connect()? else { return Ok(()) };
        let told = ask(&wire, &client::punch(NOBODY, self.shared.asked.key()))?;
        if !matches!(client::answer(&told), Some(Answer::Target(_))) {
            return Err(Fault::Foreign);
        }
        self.tell(State::Ok, "a WebSocket opens, and its question is answered");
        Ok(())
    }

    /// Whoever answers HTTP instead of opening a WebSocket.
    fn refused(&mut self, head: &Head) {
        let (text, advice) = match head.status {
            400 => (
                "what arrives is no request",
                "server: does its log say 'proxy-protocol-unexpected'? Then --proxy-protocol there",
            ),
            426 => (
                "the wish for a WebSocket does not arrive: headers are lost on the way",
                "proxy: pass on HTTP/1.1 with Upgrade and Connection, and X-Real-IP \
                 (board/proxies/README.md)",
            ),
            404 => (
                "nothing is there for this path",
                "proxy: lead /ws/id to --port + 2 and /ws/relay to --port + 3",
            ),
            502..=504 => (
                "a proxy answers, and does not reach the server",
                "server: is it on? Proxy: does it lead there, and may it?",
            ),
            300..=399 => ("it leads elsewhere", "proxy: serve this path where clients ask for it"),
            _ => ("no WebSocket opens", "lead this port to the server"),
        };
        let (path, status, place) = (self.path(), head.status, head.value("location"));
        let blank = if place.is_empty() { "" } else { " " };
        let text = format!("{path}: {text} (HTTP {status}{blank}{place})\n{advice}");
        self.tell(State::Wrong, &text);
    }

    pub(super) fn api(&mut self) -> Result<(), Fault> {
        let wire = self.open(Form::Frames)?;
        let head = self.get(&wire, "Connection: close\r\n")?;
        self.tell_time(&head);
        match head.status {
            404 => self.tell(State::Ok, "there is no API, and clients are told so at once"),
            200 => self.tell(State::Ok, "an API server answers"),
            status => self.tell(
                if status < 500 { State::Note } else { State::Wrong },
                &format!("an API server answers with HTTP {status}"),
            ),
        }
        Ok(())
    }

    pub(super) fn is_open(&mut self) -> Result<(), Fault> {
        self.open(Form::Frames)?;
        self.tell(
            State::Note,
            "open; what is behind TLS is not tried here\n'curl -I' with its https:// URL knows TLS",
        );
        Ok(())
    }

    fn tell_time(&mut self, head: &Head) {
        if let Some((state, text)) = clock::compare(head.value("date")) {
            self.say("clock", state, &text);
        }
    }
}

/// Asks, and gives what is answered; who is offered a sealed channel asks in clear.
pub(super) fn ask(wire: &Wire, question: &[u8]) -> Result<Vec<u8>, Fault> {
    wire.send(question)?;
    loop {
        let told = wire.receive()?;
        if !matches!(client::answer(&told), Some(Answer::Offer(_))) {
            return Ok(told);
        }
    }
}

fn seen_port(wire: &Wire) -> Result<u64, Fault> {
    match client::answer(&ask(wire, &client::test_nat())?) {
        Some(Answer::Nat(port)) => Ok(port),
        _ => Err(Fault::Foreign),
    }
}

fn pair(one: &Wire, other: &Wire, key: &str) -> Result<(), Fault> {
    let token = entropy::<32>().map_err(|_| Fault::Barred)?.map(|byte| b'a' + byte % 16);
    let leg = client::relay_leg(&String::from_utf8_lossy(&token), key);
    one.send(&leg)?;
    other.send(&leg)?;
    other.send(NOBODY.as_bytes())?;
    one.send(&one.receive()?)?;
    if other.receive()? == NOBODY.as_bytes() { Ok(()) } else { Err(Fault::Foreign) }
}
