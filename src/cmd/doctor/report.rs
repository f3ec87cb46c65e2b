//! What was found, who must open what is closed, and how both are told: to people, in colour at a
//! terminal, or in JSON. Must not know how it was found. C159.

use std::env;
use std::io::{self, IsTerminal as _};
use std::net::{IpAddr, SocketAddr};

use super::wire::Fault;
use crate::config::is_global;
use hbb_core::base::address::with_port;
use hbb_core::base::json::quote;

/// How good it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// As it should be.
    Ok,
    /// Not tried, or worth knowing.
    Note,
    /// Somebody must do something.
    Wrong,
}

/// One thing that was found.
pub(super) struct Finding {
    /// Where it stands among others.
    pub(super) order: usize,
    pub(super) check: &'static str,
    /// A name, an address with its port, or nothing.
    pub(super) at: String,
    pub(super) ip: Option<IpAddr>,
    pub(super) state: State,
    pub(super) text: String,
    /// What to do.
    pub(super) advice: [&'static str; 2],
    /// Where nobody answers as they should.
    pub(super) fault: Option<Fault>,
}

impl Fault {
    const fn words(self) -> &'static str {
        match self {
            Self::Refused => "refused: nothing listens there, or a firewall rejects",
            Self::Silent => "no answer: dropped on the way",
            Self::Mute => "connects, and then nobody answers",
            Self::Unreachable => "not reached, says a router or the network",
            Self::NoRoute => "not tried: this machine has no way there",
            Self::Barred => "this machine's own firewall forbids it",
            Self::Closed => "connects, and is closed without a word",
            Self::Foreign => "something else answers there",
        }
    }
}

impl Finding {
    pub(super) fn new(order: usize, check: &'static str, state: State, text: &str) -> Self {
        let (at, text, advice) = (String::new(), text.into(), ["", ""]);
        Self { order, check, at, ip: None, state, text, advice, fault: None }
    }

    /// It is about this address and port.
    pub(super) fn place(&mut self, at: SocketAddr) {
        self.at = with_port(&at.ip().to_string(), at.port());
        self.ip = Some(at.ip());
    }

    /// What a fault at a port means; who must open it follows from all that was found.
    pub(super) fn of_fault(
        order: usize,
        check: &'static str,
        at: SocketAddr,
        fault: Fault,
    ) -> Self {
        let kind = if check == "udp" { "UDP " } else { "TCP " };
        let text = [kind, &at.port().to_string(), ": ", fault.words()].concat();
        let state = if fault == Fault::NoRoute { State::Note } else { State::Wrong };
        let mut finding = Self::new(order, check, state, &text);
        finding.place(at);
        finding.fault = Some(fault);
        finding
    }

    /// Whether it shows that somebody is there.
    fn is_life(&self) -> bool {
        let far = [Fault::Silent, Fault::Refused, Fault::Unreachable, Fault::NoRoute];
        self.fault.is_none_or(|fault| !far.contains(&fault))
    }
}

/// Says who must open what is closed.
pub(super) fn advise(findings: &mut [Finding], from_inside: bool) {
    let mut alive: Vec<IpAddr> = Vec::new();
    for finding in findings.iter().filter(|finding| finding.is_life()) {
        if let Some(ip) = finding.ip {
            alive.push(ip);
        }
    }
    for finding in findings {
        if let (Some(fault), Some(ip)) = (finding.fault, finding.ip) {
            finding.advice = advice(fault, ip, alive.contains(&ip), from_inside);
        }
    }
}

fn advice(fault: Fault, ip: IpAddr, is_alive: bool, from_inside: bool) -> [&'static str; 2] {
    let is_public = is_global(&ip.to_string());
    let first = match fault {
        Fault::NoRoute => return ["", ""],
        Fault::Barred => return ["let it out here", ""],
        Fault::Mute | Fault::Foreign => {
            return ["lead this port to the server: a forward or a proxy leads elsewhere", ""];
        }
        Fault::Closed => {
            return [
                "server: its log says 'refused', or 'hbb ctl bans' this address; or a forward \
                 leads to where nothing listens",
                "",
            ];
        }
        _ if from_inside && is_public && !is_alive => {
            return [
                "router: lead the public address back inside (hairpin NAT, NAT loopback); or a \
                 name server inside: give the server's own address",
                "",
            ];
        }
        Fault::Refused => "server: does it listen ('ss -ltnup' there)? If so, ",
        _ if is_alive => "",
        _ => "is this the server's address, and is it on? If so, ",
    };
    let then = match (ip, is_public) {
        (IpAddr::V6(_), true) => "router's firewall for IPv6, and the server's: let it in",
        (IpAddr::V4(_), true) => {
            "router: forward it to the server; the server's firewall: let it in; both do? The \
             provider: a shared address (CGNAT) lets nobody in"
        }
        _ => "the server's firewall: let it in",
    };
    [first, then]
}

/// Lines for people.
pub(super) fn text(findings: &[Finding]) -> String {
    let colours = io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none();
    let mut text = String::new();
    for finding in findings {
        let (colour, word) = match finding.state {
            State::Ok => ("\x1b[32m", "ok     "),
            State::Note => ("\x1b[36m", "note   "),
            State::Wrong => ("\x1b[31m", "WRONG  "),
        };
        let (colour, end) = if colours { (colour, "\x1b[0m") } else { ("", "") };
        let [first, then] = finding.advice;
        let arrow = if first.is_empty() && then.is_empty() { "" } else { "\n         -> " };
        let place = if finding.at.is_empty() { "" } else { " " };
        text.extend([colour, word, end, finding.check, place, &finding.at, ": ", &finding.text]);
        text.extend([arrow, first, then, "\n"]);
    }
    text
}

/// The same as one object.
pub(super) fn json(host: &str, is_well: bool, findings: &[Finding]) -> String {
    let mut text = String::from("{\"host\":");
    quote(&mut text, host, false);
    text.push_str(if is_well { ",\"well\":true" } else { ",\"well\":false" });
    let mut before = ",\"findings\":[\n{";
    for finding in findings {
        let state = match finding.state {
            State::Ok => "ok",
            State::Note => "note",
            State::Wrong => "wrong",
        };
        text.push_str(before);
        for (name, value) in [
            ("\"check\":", finding.check),
            (",\"at\":", &finding.at),
            (",\"state\":", state),
            (",\"text\":", &finding.text),
            (",\"advice\":", &finding.advice.concat()),
        ] {
            text.push_str(name);
            quote(&mut text, value, false);
        }
        before = "},\n{";
    }
    text + "}\n]}\n"
}
