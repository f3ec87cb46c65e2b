//! Questions of initiators as the pushes show them, and who may answer each: the rule "an answer
//! reaches the initiator only if its author is the device asked".

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use hbb_core::base::address::Endpoint;
use hbb_core::base::conn::{Conn, Via};
use hbb_core::base::limits::{PUNCH_MS, PUSH_WINDOW_MS, PUSHES_PER_SOURCE, PUSHES_UNGRANTED};
use hbb_core::base::peer::PeerId;
use hbb_core::wire::addr::Mangled;
use hbb_core::wire::reply::Reply;

use crate::cause::{Author, Cause, Kind};
use crate::say::{self, Body};

/// An initiator waiting for a target.
pub(crate) struct Ask {
    pub(crate) conn: Conn,
    pub(crate) target: PeerId,
    pub(crate) asked: u64,
    /// The initiator's address as the target was told it.
    told: Mangled,
    /// The target was asked for what need not echo the told bytes, just now or before.
    loose: bool,
    /// The target was asked for its address in the initiator's network.
    local: bool,
    /// It was told a UDP port.
    udp: bool,
}

impl Ask {
    /// What a push tells of the question.
    pub(crate) fn new(conn: Conn, target: PeerId, asked: u64, reply: &Reply) -> Self {
        let (told, loose, udp) = match reply {
            Reply::Punch(punch) => (punch.to.clone(), false, punch.udp_port > 0),
            Reply::FetchLocalAddr { to, .. } => (to.clone(), true, false),
            Reply::Forward(payload) => {
                let Body::RequestRelay(push) = say::read(payload) else { panic!("no push") };
                (Mangled::from_bytes(&push.socket_addr).unwrap(), true, false)
            }
            _ => panic!("{reply:?} is no push"),
        };
        let local = matches!(reply, Reply::FetchLocalAddr { .. });
        Self { conn, target, asked, told, loose, local, udp }
    }

    /// Takes over what still holds of the question before, if it is the same one.
    pub(crate) fn follows(&mut self, before: &Self) {
        let same = before.conn == self.conn && before.target == self.target;
        if !same || self.asked - before.asked > PUNCH_MS {
            return;
        }
        assert_eq!(before.told, self.told, "two pushes of one dial");
        assert!(!before.local || !self.local, "asked twice for its local address");
        self.loose |= before.local;
        (self.local, self.udp) = (self.local || before.local, self.udp || before.udp);
    }

    /// Judges what answered the initiator at `at`, whose target is `owner`'s. Where nothing
    /// unguessable is echoed, it must come from the target's `own` address. Gives whether the
    /// author proved itself.
    pub(crate) fn judge(&self, cause: &Cause, (at, owner): (Endpoint, Author), own: bool) -> bool {
        let Kind::Answer(echo, respells) = &cause.kind else { panic!("{cause:?} answered {at}") };
        let exact = echo.as_ref() == Some(&self.told);
        let by_udp = matches!(cause.via, Some(Via::Datagram(_)));
        assert!(self.udp || !by_udp, "{at} offered no UDP port");
        if exact && at.ip().is_ipv4() {
            let asked = owner == cause.author || owner == Author::Stranger;
            assert!(asked, "a guess answered {at} for {owner:?}: {cause:?}");
            return true;
        }
        assert!(exact || (*respells && self.loose), "{cause:?} echoed nothing told {at}");
        assert!(own, "not the target of {at}: {cause:?}");
        false
    }
}

/// What initiators and targets were told.
#[derive(Default)]
pub(crate) struct Told {
    /// Relays, by whom they are for, without the port that stands for itself.
    relays: BTreeSet<(PeerId, String)>,
    /// When each target was told by who showed no key.
    ungranted: BTreeMap<PeerId, Vec<u64>>,
    /// When each source had a target told, within a window.
    pushes: BTreeMap<(IpAddr, PeerId), Vec<u64>>,
}

impl Told {
    /// An initiator learns of a relay.
    pub(crate) fn relay(&mut self, target: &PeerId, relay: &str) {
        self.relays.insert((target.clone(), host(relay)));
    }

    /// Whether anybody did, for this target.
    pub(crate) fn has_relay(&self, target: &PeerId, relay: &str) -> bool {
        self.relays.contains(&(target.clone(), host(relay)))
    }

    /// A target is told of an initiator that did not show its key itself, but for its `own` grant:
    /// few a minute, of those from known addresses and of others.
    pub(crate) fn ungranted(&mut self, now: u64, target: &PeerId, own: bool) {
        let told = self.ungranted.entry(target.clone()).or_default();
        told.retain(|at| now - at < PUSH_WINDOW_MS);
        if !own {
            told.push(now);
        }
        assert!(told.len() <= 4 * usize::from(PUSHES_UNGRANTED), "{target}: {}", told.len());
    }

    /// A target is told of an initiator, which may not flood it. A window may begin in the middle
    /// of another's minute.
    pub(crate) fn push(&mut self, now: u64, initiator: IpAddr, target: &PeerId) {
        let told = self.pushes.entry((initiator, target.clone())).or_default();
        told.retain(|at| now - at < PUSH_WINDOW_MS);
        told.push(now);
        let most = 2 * usize::from(PUSHES_PER_SOURCE);
        assert!(told.len() <= most, "{initiator} had {target} told {} times", told.len());
    }
}

fn host(relay: &str) -> String {
    relay.strip_suffix(":21117").unwrap_or(relay).into()
}
