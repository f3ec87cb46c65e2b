//! What was found, who must open what is closed, and how both are told: to people, in colour at a
//! terminal, or in JSON. Must not know how it was found. C159.

use std::env;
use std::io::{self, IsTerminal as _};
use std::net::{IpAddr, SocketAddr};

use super::wire::Fault;
use crate::config::is_global;
use crate::json::quote;

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
#[derive(Clone, Debug)]
pub(super) struct Finding {
    /// Where it stands among others.
    pub(super) order: usize,
    pub(super) check: &'static str,
    pub(super) at: String,
    pub(super) state: State,
    pub(super) text: String,
    /// What to do.
    pub(super) advice: String,
    /// Where nobody answers as they should.
    pub(super) closed: Option<(Fault, SocketAddr)>,
}

impl Fault {
    const fn words(self) -> &'static str {
        match self {
            Self::Refused => "refused: nothing listens there, or a firewall rejects",
            Self::Silent => "no answer: dropped on the way",
            Self::Mute => "connects, and then nobody answers",
            Self::Unreachable => "not reached, says a router or the network",
            Self::NoRoute => "this machine has no way there",
            Self::Barred => "this machine's own firewall forbids it",
            Self::Closed => "connects, and is closed without a word",
            Self::Foreign => "something else answers there",
        }
    }
}

impl Finding {
    /// What a fault at an address means; who must open what follows from all that was found.
    pub(super) fn of_fault(
        order: usize,
        check: &'static str,
        at: SocketAddr,
        fault: Fault,
    ) -> Self {
        let is_ours = fault == Fault::NoRoute;
        Self {
            order,
            check,
            at: at.to_string(),
            state: if is_ours { State::Note } else { State::Wrong },
            text: [if is_ours { "not tried: " } else { "" }, fault.words()].concat(),
            advice: String::new(),
            closed: Some((fault, at)),
        }
    }

    fn is_of(&self, ip: IpAddr) -> bool {
        self.at.parse::<SocketAddr>().is_ok_and(|at| at.ip() == ip)
    }

    /// Whether it shows that somebody is there.
    fn is_life(&self) -> bool {
        let answers = |fault| !matches!(fault, Fault::Silent | Fault::Refused | Fault::Unreachable);
        self.closed.map_or(self.state != State::Note, |(fault, _)| answers(fault))
    }
}

/// Says who must open what is closed.
pub(super) fn advise(findings: &mut [Finding], from_inside: bool) {
    let lives: Vec<Finding> = findings.iter().filter(|one| one.is_life()).cloned().collect();
    for finding in findings {
        let Some((fault, at)) = finding.closed else { continue };
        let is_there = lives.iter().any(|life| life.is_of(at.ip()));
        let port = [if finding.check == "udp" { "UDP " } else { "TCP " }, &at.port().to_string()];
        let hairpin = from_inside && is_global(&at.ip().to_string());
        finding.advice = match (fault, is_there) {
            (Fault::NoRoute, _) => continue,
            (Fault::Barred, _) => "let it out here".into(),
            (Fault::Silent | Fault::Refused | Fault::Unreachable, false) if hairpin => {
                "router: lead its public address back inside (hairpin NAT, NAT loopback), or have \
                 the name server inside give the server's own address"
                    .into()
            }
            (Fault::Silent | Fault::Unreachable, false) => [
                "nothing answers at this address: is it the server's, and is that on? Then ",
                &opener(at, &port.concat()),
                if at.is_ipv4() {
                    "; a provider's shared address (CGNAT) lets nobody in"
                } else {
                    ""
                },
            ]
            .concat(),
            (Fault::Refused, false) => {
                ["start the server ('hbb check' there); or ", &opener(at, &port.concat())].concat()
            }
            (Fault::Silent | Fault::Unreachable, true) => opener(at, &port.concat()),
            (Fault::Refused, true) => {
                ["server: does it listen ('ss -ltnup' there)? If so, ", &opener(at, &port.concat())]
                    .concat()
            }
            (Fault::Mute | Fault::Foreign, _) => {
                "lead this port to the server: a forward or a proxy leads elsewhere".into()
            }
            (Fault::Closed, _) => {
                "server: its log says 'refused', or 'hbb ctl bans' this address; or a forward \
                 leads to where nothing listens"
                    .into()
            }
        };
    }
}

/// Who has to let `port` in.
fn opener(at: SocketAddr, port: &str) -> String {
    let text = match at.ip() {
        IpAddr::V6(_) => {
            ["let ", port, " in at the router's firewall for IPv6 and at the server's"]
        }
        ip if is_global(&ip.to_string()) => [
            "router: forward ",
            port,
            " to the server; firewall of the server: let it in; both do? Ask the provider",
        ],
        _ => ["firewall of the server: let ", port, " in"],
    };
    text.concat()
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
        let line = [colour, word, end, finding.check, " ", &finding.at, ": ", &finding.text, "\n"];
        text.push_str(&line.concat());
        if !finding.advice.is_empty() {
            text.push_str(&["         -> ", &finding.advice, "\n"].concat());
        }
    }
    text
}

/// The same as one object.
pub(super) fn json(host: &str, findings: &[Finding]) -> String {
    let mut text = String::from("{\"host\":");
    quote(&mut text, host, false);
    let is_well = findings.iter().all(|finding| finding.state != State::Wrong);
    text.push_str(if is_well { ",\"well\":true" } else { ",\"well\":false" });
    text.push_str(",\"findings\":[");
    for (number, finding) in findings.iter().enumerate() {
        let state = match finding.state {
            State::Ok => "ok",
            State::Note => "note",
            State::Wrong => "wrong",
        };
        text.push_str(if number == 0 { "\n{" } else { ",\n{" });
        let members = [
            ("check", finding.check),
            ("at", &finding.at),
            ("state", state),
            ("text", &finding.text),
            ("advice", &finding.advice),
        ];
        for (place, (name, value)) in members.into_iter().enumerate() {
            text.push_str(&[if place == 0 { "\"" } else { ",\"" }, name, "\":"].concat());
            quote(&mut text, value, false);
        }
        text.push('}');
    }
    text + "\n]}\n"
}
