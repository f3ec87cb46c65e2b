//! What is asked at each port of a server, as clients ask it, and what the answers mean. Nothing
//! that is asked registers anything. C159.

use std::net::SocketAddr;

use super::report::{Finding, State};
use super::wire::{Fault, Head, Patience, Wire};
use super::{Asked, clock};
use crate::cmd::keygen::entropy;
use hbb_core::wire::message::client::{self, Answer};

/// An id that no device has: a question about it is answered, and goes no further.
pub(super) const NOBODY: &str = "hbb-doctor";

/// What a relay does to the legs of those who have another key than it; or than its limits let in.
pub(super) const KEY_REFUSED: &str = "open; it closes legs that show this key";

const CURL: &str = "'curl -I' with its https:// URL knows TLS";

/// What is tried at a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// P: signalling, the offer of a sealed channel, the key.
    Signalling,
    /// P-1, with P: both see one port, or the NAT here is symmetric.
    Nat,
    /// P, datagrams.
    Udp,
    /// Two legs in frames.
    Relay,
    /// Signalling over a WebSocket.
    Web,
    /// Two legs over WebSockets.
    WebRelay,
    /// An HTTP request.
    Api,
    /// Whether it is open, and no more.
    Open,
}

/// One thing to try at one port.
pub(super) struct Job {
    pub(super) order: usize,
    pub(super) check: &'static str,
    pub(super) at: SocketAddr,
    pub(super) kind: Kind,
    /// For HTTP: who is asked, and for what path.
    pub(super) host: String,
    pub(super) path: String,
}

/// A job at work, and what it found.
pub(super) struct Probe<'a> {
    pub(super) job: &'a Job,
    pub(super) asked: &'a Asked,
    pub(super) patience: Patience,
    pub(super) findings: Vec<Finding>,
}

impl Probe<'_> {
    /// Notes what was found.
    pub(super) fn say(
        &mut self,
        check: &'static str,
        state: State,
        text: &str,
        advice: &'static str,
    ) {
        let mut finding = Finding::new(self.job.order, check, state, text);
        finding.place(self.job.at);
        finding.advice = [advice, ""];
        self.findings.push(finding);
    }

    fn well(&mut self, text: &str) {
        self.say(self.job.check, State::Ok, text, "");
    }

    /// A connection to the job's port, a WebSocket if it is for those; None if that was refused
    /// and said.
    fn connect(&mut self) -> Result<Option<Wire>, Fault> {
        let mut wire = Wire::connect(self.job.at, None, self.patience)?;
        if matches!(self.job.kind, Kind::Web | Kind::WebRelay) {
            let head = wire.upgrade(&self.job.path, &self.job.host)?;
            if self.job.kind == Kind::Web {
                self.tell_time(&head);
            }
            if head.status != 101 {
                self.refused(&head);
                return Ok(None);
            }
        }
        Ok(Some(wire))
    }

    /// A NAT test at both ports from one of ours.
    pub(super) fn nat(&mut self) -> Result<(), Fault> {
        let mut first = Wire::connect(self.job.at, None, self.patience)?;
        let seen = seen_port(&mut first)?;
        let main = SocketAddr::new(self.job.at.ip(), self.asked.port);
        let other = Wire::connect(main, first.local(), self.patience);
        let other = other.and_then(|mut wire| seen_port(&mut wire));
        if other.is_ok_and(|other| other != seen) {
            self.say(
                self.job.check,
                State::Note,
                "answers; the two ports see this machine at two ports, so its NAT is symmetric and \
                 sessions from here take the relay; or a proxy stands before the server",
                "",
            );
        } else {
            self.well(if other.is_ok() { "both ports see the same port" } else { "answers" });
        }
        Ok(())
    }

    /// hbb answers a NAT test by datagram, upstream's server a registration without a key.
    pub(super) fn udp(&mut self) -> Result<(), Fault> {
        let mut wire = Wire::datagrams(self.job.at, self.patience)?;
        let (test, register) = (client::test_nat(), client::register_peer(NOBODY));
        for datagram in [&test, &test, &register] {
            match wire.ask(datagram, self.patience.wait_ms / 3).map(|told| client::answer(&told)) {
                Ok(Some(Answer::Nat(_) | Answer::Registered)) => {
                    self.well("answers");
                    return Ok(());
                }
                Ok(_) => return Err(Fault::Foreign),
                Err(Fault::Silent) => {}
                Err(fault) => return Err(fault),
            }
        }
        Err(Fault::Silent)
    }

    /// Two legs of one token, and a message each way.
    pub(super) fn relay(&mut self) -> Result<(), Fault> {
        let Some(mut one) = self.connect()? else { return Ok(()) };
        let Some(mut other) = self.connect()? else { return Ok(()) };
        match self.pair(&mut one, &mut other) {
            Ok(()) => self.well("two legs meet, bytes pass both ways"),
            Err(Fault::Closed) if self.asked.key.is_none() => self.say(
                self.job.check,
                State::Note,
                "open; it closes legs that show no key",
                "give --key to see two of them meet",
            ),
            Err(Fault::Closed) => {
                self.say(
                    self.job.check,
                    State::Wrong,
                    KEY_REFUSED,
                    "relay: its log says 'refused'",
                );
            }
            Err(fault) => return Err(fault),
        }
        Ok(())
    }

    fn pair(&self, one: &mut Wire, other: &mut Wire) -> Result<(), Fault> {
        let token = entropy::<16>().map_err(|_| Fault::Barred)?;
        let token: String = token.iter().map(|byte| char::from(b'a' + byte % 16)).collect();
        let leg = client::relay_leg(&token, self.asked.shown());
        one.send(&leg)?;
        other.send(&leg)?;
        other.send(NOBODY.as_bytes())?;
        let there = one.receive()?;
        one.send(&there)?;
        let back = other.receive()?;
        if back == NOBODY.as_bytes() { Ok(()) } else { Err(Fault::Foreign) }
    }

    /// Signalling over a WebSocket.
    pub(super) fn web(&mut self) -> Result<(), Fault> {
        let Some(mut wire) = self.connect()? else { return Ok(()) };
        wire.send(&client::punch(NOBODY, self.asked.shown()))?;
        match client::answer(&wire.receive()?) {
            Some(Answer::Target(_)) => self.well("a WebSocket opens, and its question is answered"),
            _ => return Err(Fault::Foreign),
        }
        Ok(())
    }

    /// Whoever answers HTTP instead of opening a WebSocket.
    fn refused(&mut self, head: &Head) {
        let at = head.value("location").unwrap_or_default();
        let (text, advice) = match head.status {
            400 | 426 => (
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
        let text = [text, " (HTTP ", &head.status.to_string(), " ", at].concat();
        let text = [&self.job.path, ": ", text.trim_end(), ")"].concat();
        self.say(self.job.check, State::Wrong, &text, advice);
    }

    pub(super) fn api(&mut self) -> Result<(), Fault> {
        let mut wire = Wire::connect(self.job.at, None, self.patience)?;
        let head = wire.get(&self.job.path, &self.job.host, "Connection: close\r\n")?;
        self.tell_time(&head);
        match head.status {
            404 => self.well("there is no API, and clients are told so at once"),
            200 => self.well("an API server answers"),
            status => self.say(
                self.job.check,
                if status < 500 { State::Note } else { State::Wrong },
                &["an API server answers with HTTP ", &status.to_string()].concat(),
                "",
            ),
        }
        Ok(())
    }

    pub(super) fn open(&mut self) -> Result<(), Fault> {
        Wire::connect(self.job.at, None, self.patience)?;
        self.say(self.job.check, State::Note, "open; what is behind TLS is not tried here", CURL);
        Ok(())
    }

    fn tell_time(&mut self, head: &Head) {
        if let Some((state, text)) = head.value("date").and_then(clock::compare) {
            self.say("clock", state, &text, "");
        }
    }
}

fn seen_port(wire: &mut Wire) -> Result<u64, Fault> {
    wire.send(&client::test_nat())?;
    loop {
        match client::answer(&wire.receive()?) {
            Some(Answer::Nat(port)) => return Ok(port),
            Some(Answer::Offer(_)) => {}
            _ => return Err(Fault::Foreign),
        }
    }
}
