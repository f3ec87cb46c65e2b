//! What was found, who must open what is closed, and how both are told: to people, in colour at a
//! terminal, or in JSON. Must not know how it was found. C159.

use std::net::IpAddr;

use super::wire::Fault;
use crate::config::is_global;
use crate::log::has_colours;
use hbb_core::base::address::Endpoint;
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

/// What is judged.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// Where it stands among others.
    pub(super) order: usize,
    pub(super) check: &'static str,
    /// The address and port; None for a name, and for what is nowhere.
    pub(super) at: Option<Endpoint>,
}

/// One thing that was found.
pub(super) struct Finding {
    pub(super) place: Place,
    /// The name that it is about, if it is about one.
    pub(super) name: &'static str,
    pub(super) state: State,
    /// What was found, and in a second line what to do.
    pub(super) text: String,
    /// Where nobody answers as they should.
    pub(super) fault: Option<Fault>,
    /// Whether it is still being tried.
    pub(super) is_open: bool,
}

impl Finding {
    pub(super) fn new(place: Place, state: State, text: &str) -> Self {
        Self { place, name: "", state, text: text.into(), fault: None, is_open: false }
    }

    /// Whether it shows that somebody is there.
    fn is_life(&self) -> bool {
        let far = [Fault::Silent, Fault::Refused, Fault::Unreachable, Fault::NoRoute];
        self.fault.is_none_or(|fault| !far.contains(&fault))
    }
}

/// Says what faults mean, and who must open what is closed: it follows from all that was found.
pub(super) fn explain(findings: &mut [Finding], from_inside: bool) {
    let mut alive: Vec<IpAddr> = Vec::new();
    for finding in findings.iter().filter(|finding| finding.is_life()) {
        if let Some(at) = finding.place.at {
            alive.push(at.ip());
        }
    }
    // Where nothing could be tried, nothing is well.
    let is_tried = |one: &Finding| one.place.at.is_some() && one.fault != Some(Fault::NoRoute);
    let of_no_route = if findings.iter().any(is_tried) { State::Note } else { State::Wrong };
    for Finding { place, state, text, fault, .. } in findings {
        if let (Some(fault), Some(at)) = (*fault, place.at) {
            let (kind, but) = match place.check {
                "udp" => ("UDP ", ""),
                "api" if fault != Fault::NoRoute => {
                    ("TCP ", "well with --accounts, which closes it: --skip api; else ")
                }
                _ => ("TCP ", ""),
            };
            let [first, then] = advice(fault, at.ip(), alive.contains(&at.ip()), from_inside);
            *state = if fault == Fault::NoRoute { of_no_route } else { State::Wrong };
            *text = format!("{kind}{}: {}\n{but}{first}{then}", at.port(), words(fault));
        }
    }
}

const ELSEWHERE: &str = "lead this port to the server: a forward or a proxy leads elsewhere";

const fn words(fault: Fault) -> &'static str {
    match fault {
        Fault::Refused => "refused: nothing listens there, or a firewall rejects",
        Fault::Silent => "no answer: dropped on the way",
        Fault::Mute => "connects, and then nobody answers",
        Fault::Unreachable => "not reached, says a router or the network",
        Fault::NoRoute => "not tried: this machine has no way there",
        Fault::Barred => "this machine's own firewall forbids it",
        Fault::Closed => "connects, and is closed without a word",
        Fault::Foreign => "something else answers there",
    }
}

fn advice(fault: Fault, ip: IpAddr, is_alive: bool, from_inside: bool) -> [&'static str; 2] {
    let is_public = is_global(ip);
    let first = match fault {
        Fault::NoRoute => return ["", ""],
        Fault::Barred => return ["let it out here", ""],
        Fault::Mute => return ["server: does 'hbb ctl status' answer there? If so, ", ELSEWHERE],
        Fault::Foreign => return [ELSEWHERE, ""],
        Fault::Closed => {
            return [
                "server: its log says 'refused' or 'proxy-protocol-unexpected', or 'hbb ctl bans' \
                 this address; or a forward leads to where nothing listens",
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

impl Finding {
    /// Where it is, what was found and what to do, each empty if there is none.
    fn parts(&self) -> (String, &str, &str) {
        let (found, to_do) = self.text.split_once('\n').unwrap_or((&self.text, ""));
        let at = self.place.at.map_or_else(|| self.name.into(), |at| at.to_string());
        (at, found, to_do)
    }
}

/// Lines for people.
pub(super) fn text(findings: &[Finding]) -> String {
    let has_colours = has_colours();
    let mut text = String::new();
    for finding in findings {
        let (colour, word) = match finding.state {
            State::Ok => ("\x1b[32m", "ok     "),
            State::Note => ("\x1b[36m", "note   "),
            State::Wrong => ("\x1b[31m", "WRONG  "),
        };
        let (colour, end) = if has_colours { (colour, "\x1b[0m") } else { ("", "") };
        let (at, found, to_do) = finding.parts();
        let before_place = if at.is_empty() { "" } else { " " };
        let arrow = if to_do.is_empty() { "" } else { "\n         -> " };
        let check = finding.place.check;
        text += &format!("{colour}{word}{end}{check}{before_place}{at}: {found}{arrow}{to_do}\n");
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
        let (at, found, to_do) = finding.parts();
        text.push_str(before);
        for (name, value) in [
            ("\"check\":", finding.place.check),
            (",\"at\":", &at),
            (",\"state\":", state),
            (",\"text\":", found),
            (",\"advice\":", to_do),
        ] {
            text.push_str(name);
            quote(&mut text, value, false);
        }
        before = "},\n{";
    }
    text + "}\n]}\n"
}
