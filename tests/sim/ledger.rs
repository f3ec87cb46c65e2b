//! What must hold after every step, kept apart from the machine: a ledger of who spoke, who was
//! acknowledged, who asks for whom, and what each effect is allowed to be. It models the protocol
//! page, not the code.

#[path = "room.rs"]
mod room;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use hbb_core::base::address::Endpoint;
use hbb_core::base::conn::{Conn, Ticket, Via};
use hbb_core::base::limits::{DATAGRAM_BYTES_MAX, GRANT_MS, PUNCH_MS};
use hbb_core::base::peer::{Change, PeerId, PeerKey, Record};
use hbb_core::identity::ServerKey;
use hbb_core::rendezvous::Policy;
use hbb_core::wire::message::{encode, id_pk};
use hbb_core::wire::reply::{Failure, Registered, Reply};

use crate::approval::Approvals;
use crate::asks::{Ask, Told};
pub(crate) use crate::cause::{Author, Cause, Kind};
use crate::claims::{Claim, Claims, is_public};
use crate::denials::Denials;
use crate::kept::{Acked, Here, Save, same};
use crate::postponed::Postponed;
use crate::recalls::Recalls;
use crate::say::proto::relay_response;
use crate::say::{self, Body};

/// See the file's head.
pub(crate) struct Ledger {
    key: ServerKey,
    pub(crate) policy: Policy,
    /// How long a peer is away before it may make room.
    pub(crate) forget_after_ms: Option<u64>,
    /// Milliseconds of the machine's own clock.
    pub(crate) now: u64,
    traffic: BTreeMap<Endpoint, (usize, usize)>,
    pub(crate) acked: BTreeMap<PeerId, Acked>,
    presence: BTreeMap<PeerId, Here>,
    /// Who may be asked once to register, as it was here at the stop.
    recalls: Recalls,
    /// Where each id's device and key were shown.
    showed: BTreeMap<PeerId, Vec<Via>>,
    postponed: Postponed,
    /// When a device last changed what is stored of an id, present or not.
    changed: BTreeMap<PeerId, u64>,
    proven: BTreeSet<Endpoint>,
    claims: Claims,
    saves: BTreeMap<u64, Save>,
    asks: BTreeMap<Endpoint, Ask>,
    grants: BTreeMap<(IpAddr, PeerId), u64>,
    /// Who has a device id first: nobody else knows it.
    owners: BTreeMap<Vec<u8>, Author>,
    /// Addresses out of which a device echoed the nonce told it, and nobody else can.
    own: BTreeSet<(PeerId, IpAddr)>,
    told: Told,
    /// What an operator's rules say.
    pub(crate) denials: Denials,
    /// Whom an operator let in.
    pub(crate) approvals: Approvals,
    /// Whether the input at hand had somebody forgotten.
    made_room: bool,
    pub(crate) answers: u64,
    pub(crate) acks: u64,
}

impl Ledger {
    pub(crate) fn new(key: ServerKey, policy: Policy, forget_after_ms: Option<u64>) -> Self {
        Self {
            key,
            policy,
            forget_after_ms,
            now: 0,
            traffic: BTreeMap::new(),
            acked: BTreeMap::new(),
            presence: BTreeMap::new(),
            recalls: Recalls::default(),
            showed: BTreeMap::new(),
            postponed: Postponed::default(),
            changed: BTreeMap::new(),
            proven: BTreeSet::new(),
            claims: Claims::default(),
            saves: BTreeMap::new(),
            asks: BTreeMap::new(),
            grants: BTreeMap::new(),
            owners: BTreeMap::new(),
            own: BTreeSet::new(),
            told: Told::default(),
            denials: Denials::default(),
            approvals: Approvals::default(),
            made_room: false,
            answers: 0,
            acks: 0,
        }
    }

    /// The server stops at its own clock's `now`; cleanly or not.
    pub(crate) fn stopped(&mut self, now: u64, clean: bool) {
        self.now = now;
        let here = self.presence.iter().filter(|(id, _)| clean && self.is_present(id));
        self.recalls = Recalls::of(here.map(|(_, here)| here.via));
    }

    /// The server restarted with these records: presence is gone, identity is not.
    pub(crate) fn restarted(&mut self, durable: &BTreeMap<PeerId, Record>) {
        for (id, acked) in &self.acked {
            // A change may have become durable whose acknowledgement the crash cut off.
            let Some(record) = durable.get(id) else {
                let renamed = |save: &Save| {
                    let to = durable.get(&save.record.id);
                    save.renamed.as_ref() == Some(id)
                        && to.is_some_and(|to| to.device == acked.device)
                };
                assert!(self.saves.values().any(renamed), "acknowledged {id} is lost");
                continue;
            };
            let unacked = self.saves.values().any(|save| same(&save.record, record));
            let kept = record.device == acked.device && record.key == acked.key;
            assert!(kept || unacked, "acknowledged key of {id} is lost");
        }
        // What became durable without an acknowledgement counts as registered from here on.
        self.acked.clear();
        for record in durable.values() {
            let acked = Acked { device: record.device.clone(), key: record.key };
            self.acked.insert(record.id.clone(), acked);
        }
        self.presence.clear();
        self.showed.clear();
        self.postponed.clear();
        self.changed.clear();
        self.proven.clear();
        self.claims.clear();
        self.saves.clear();
        self.approvals.clear();
        self.asks.clear();
        self.grants.clear();
        self.own.clear();
        self.told = Told::default();
    }

    /// A message comes in.
    pub(crate) fn hears(&mut self, cause: &Cause) {
        self.claims.hears(cause);
        if let Kind::RegisterPk(record) = &cause.kind {
            let device = record.device.as_bytes().to_vec();
            self.owners.entry(device).or_insert(cause.author);
        }
    }

    /// The machine gets an input at its own clock's `now`.
    pub(crate) const fn input(&mut self, now: u64) {
        (self.now, self.made_room) = (now, false);
    }

    /// A datagram comes in. The NAT test's shortest request is 3 bytes for 7 (protocol §4.2).
    pub(crate) fn datagram_in(&mut self, from: Endpoint, bytes: usize) {
        self.traffic.entry(from).or_default().0 += bytes.max(4);
    }

    /// The machine wants a change made durable.
    pub(crate) fn saving(&mut self, ticket: Ticket, change: &Change, cause: &Cause) {
        let (record, renamed) = match change {
            Change::Put(record) => {
                assert!(record.id.is_well_formed(), "{} registered", record.id);
                self.joins(ticket, record, cause);
                if matches!(cause.kind, Kind::Approved) {
                    return;
                }
                assert!(matches!(cause.kind, Kind::RegisterPk(_)), "a save out of {cause:?}");
                (record.clone(), None)
            }
            Change::Rename { from, to } => {
                let Kind::Rename(old, new, device) = &cause.kind else { panic!("{cause:?}") };
                let owner = self.acked.get(old).is_some_and(|acked| acked.device == *device);
                let there = self.presence.get(old).map(|here| here.from.ip());
                let here = self.is_present(old) && there == cause.from.map(Endpoint::ip);
                assert!(here || !is_public(to), "{old} was renamed from elsewhere");
                assert!(owner && from == old && to.id == *new, "{from} is not for {cause:?}");
                (to.clone(), Some(from.clone()))
            }
            Change::Remove(id) => return self.forgotten(id),
            Change::Rows(_) => panic!("the rendezvous has no rows"),
        };
        let (via, from) = (cause.via.unwrap(), cause.from.unwrap());
        let here = Here { via, from, seen: self.now, left: false };
        self.changed.insert(record.id.clone(), self.now);
        self.saves.insert(ticket.0, Save { record, here, renamed });
    }

    /// The machine gives up a peer to make room.
    fn forgotten(&mut self, id: &PeerId) {
        assert!(!self.is_present(id), "{id} is present and forgotten");
        assert!(self.forget_after_ms.is_some(), "{id} is forgotten, though nobody may be");
        self.made_room = true;
        self.acked.remove(id);
        self.presence.remove(id);
    }

    /// A connection is closed, by either side.
    pub(crate) fn hung_up(&mut self, now: u64, conn: Conn) {
        self.now = now;
        self.asks.retain(|_, ask| ask.conn != conn);
        self.leaves(conn);
    }

    /// Nobody is present on `conn` any more.
    fn leaves(&mut self, conn: Conn) {
        for here in self.presence.values_mut() {
            if here.via == Via::Stream(conn) && !here.left {
                (here.left, here.seen) = (true, self.now);
            }
        }
    }

    /// A change is durable, and who asked for it hung up: nobody is told.
    pub(crate) fn kept_unheard(&mut self, ticket: Ticket) {
        let Some(save) = self.saves.remove(&ticket.0) else { return };
        let here = Here { left: true, ..save.here };
        self.register(Save { here, ..save });
    }

    /// The connection is to be kept: then somebody is present on it.
    pub(crate) fn keeps(&self, conn: Conn) {
        let on = |here: &Here| here.via == Via::Stream(conn) && !here.left;
        assert!(self.presence.values().any(on), "{conn:?} is kept for nobody");
    }

    /// Judges one message the machine sends because of `cause`; gives what it acknowledges.
    pub(crate) fn sends(&mut self, cause: &Cause, via: Via, reply: &Reply) -> Option<Record> {
        let mut acknowledged = None;
        let mut asks = self.asks.values().filter(|ask| via == Via::Stream(ask.conn));
        self.approvals.judge(cause, reply);
        if !self.approvals.bars() {
            self.denials.judge(cause, asks.next().map(|ask| (&ask.target, ask.asked)), reply);
        }
        match reply {
            Reply::RegisterPeer { request_pk } => match &cause.kind {
                Kind::RegisterPk(record) => self.challenges(cause, record, via),
                Kind::Due => self.recalls.take(self.now, via),
                _ => self.seen(cause, *request_pk),
            },
            Reply::RegisterPk { outcome: Registered::Ok, .. } => {
                acknowledged = Some(self.acknowledges(cause, via));
            }
            Reply::RegisterPk { outcome: Registered::ServerError, .. } => self.has_no_room(cause),
            Reply::RegisterPk { outcome: Registered::UuidMismatch, .. } => self.mismatches(cause),
            Reply::RegisterPk { outcome: Registered::TooFrequent, .. } => self.postpones(cause),
            Reply::RegisterPk { outcome: Registered::NotDeployed, .. } => self.waits(cause),
            Reply::PunchRefused(failure) => self.refuses(cause, *failure),
            Reply::PunchAnswer(answer) => {
                let pk = answer.signed_key.clone().unwrap_or_default();
                self.answers_initiator(cause, via, (&pk, &answer.relay));
            }
            Reply::Punch(_) | Reply::FetchLocalAddr { .. } => self.pushes(cause, via, reply),
            Reply::Forward(payload) => match say::read(payload) {
                Body::RequestRelay(push) => {
                    self.names_relay(cause, &push.relay_server);
                    self.pushes(cause, via, reply);
                }
                Body::RelayResponse(answer) => {
                    let pk = match answer.peer {
                        Some(relay_response::Peer::Pk(pk)) => pk,
                        Some(relay_response::Peer::Id(id)) => panic!("{id} instead of a key"),
                        None => Vec::new(),
                    };
                    self.answers_initiator(cause, via, (&pk, &answer.relay_server));
                }
                _ => panic!("forwarded {}", say::hex(payload)),
            },
            Reply::RegisterPk { .. }
            | Reply::Refused { .. }
            | Reply::Denied { .. }
            | Reply::Nat { .. }
            | Reply::Online(_)
            | Reply::NoApi => {}
        }
        if let Via::Datagram(to) = via {
            self.datagram_out(cause, to, &encode(reply));
        }
        acknowledged
    }

    /// No datagram but to who just spoke or is registered; to the unproven, at most twice (C24).
    fn datagram_out(&mut self, cause: &Cause, to: Endpoint, payload: &[u8]) {
        assert!(payload.len() <= DATAGRAM_BYTES_MAX, "{} bytes to {to}", payload.len());
        let late = matches!(cause.kind, Kind::Due);
        let direct = late || cause.from == Some(to) && !matches!(cause.via, Some(Via::Stream(_)));
        assert!(direct || self.proven.contains(&to), "{to} did not ask for {}", say::hex(payload));
        let (bytes_in, bytes_out) = self.traffic.entry(to).or_default();
        if direct {
            *bytes_out += payload.len();
        }
        assert!(*bytes_out <= 2 * *bytes_in, "{bytes_out} bytes to {to} for {bytes_in}");
    }

    /// RegisterPeer was answered: the peer is present only if it registered at that very endpoint.
    fn seen(&mut self, cause: &Cause, request_pk: bool) {
        let Kind::RegisterPeer(id) = &cause.kind else { panic!("RegisterPeer out of {cause:?}") };
        let from = cause.from.unwrap();
        let via = Via::Datagram(from);
        let there = self.presence.get(id).is_some_and(|here| here.via == via);
        let known = there && self.is_present(id);
        assert_eq!(known, !request_pk, "{id} from {from}");
        if known {
            let here = Here { via, from, seen: self.now, left: false };
            self.presence.insert(id.clone(), here);
        }
    }

    /// A phone is asked, where it is, before a claim from elsewhere counts.
    fn challenges(&mut self, cause: &Cause, record: &Record, asked: Via) {
        let here = self.presence.get(&record.id).map(|here| here.via);
        let present = here == Some(asked) && self.is_present(&record.id);
        assert!(present && self.is_acked(record), "asked because of {cause:?}");
        self.claims.open(self.now, cause, record, asked);
    }

    /// The claim at `via` has waited, and nobody spoke up.
    fn claimed(&mut self, via: Via) -> Save {
        let Claim { record, from, asked, .. } = self.claims.take(self.now, via);
        let here = self.presence.get(&record.id).map(|here| here.via);
        assert!(!self.is_present(&record.id) || here == Some(asked), "{} moved", record.id);
        let here = Here { via, from, seen: self.now, left: false };
        Save { record, here, renamed: None }
    }

    fn is_acked(&self, record: &Record) -> bool {
        let acked = Acked { device: record.device.clone(), key: record.key };
        self.acked.get(&record.id) == Some(&acked)
    }

    fn acknowledges(&mut self, cause: &Cause, to: Via) -> Record {
        let save = match &cause.kind {
            Kind::RegisterPk(record) => {
                let durable = self.is_acked(record);
                assert!(durable, "{} is acknowledged before it is durable", record.id);
                let here = self.presence.get(&record.id).map(|here| here.via);
                let asked = !is_public(record) || !self.is_present(&record.id) || here == cause.via;
                assert!(asked, "{} lost its place without being asked", record.id);
                let (via, from) = (cause.via.unwrap(), cause.from.unwrap());
                let here = Here { via, from, seen: self.now, left: false };
                Save { record: record.clone(), here, renamed: None }
            }
            Kind::Saved(ticket) => self.saves.remove(&ticket.0).expect("saved once"),
            Kind::Due => self.claimed(to),
            _ => panic!("an acknowledgement out of {cause:?}"),
        };
        self.acks += 1;
        let record = save.record.clone();
        self.register(save);
        record
    }

    /// A registration or a change of an id counts from now on.
    fn register(&mut self, save: Save) {
        let Save { record, here, renamed } = save;
        let Record { id, device, key, .. } = record;
        self.changed.insert(id.clone(), self.now);
        let owner = self.acked.get(&id).is_none_or(|acked| acked.device == device);
        assert!(owner, "{id} went to another device");
        let rekeyed = self.acked.get(&id).is_some_and(|acked| acked.key != key);
        let elsewhere = self
            .presence
            .get(&id)
            .is_some_and(|before| before.seen <= here.seen && before.from.ip() != here.from.ip());
        assert!(!rekeyed || !elsewhere, "{id} has a new key from elsewhere");
        if let Some(old) = renamed {
            self.acked.remove(&old);
            let shown = self.showed.remove(&old).unwrap_or_default();
            self.showed.insert(id.clone(), shown);
            self.acked.insert(id.clone(), Acked { device, key });
            if let Some(there) = self.presence.remove(&old) {
                self.presence.insert(id, there);
            }
            return;
        }
        self.acked.insert(id.clone(), Acked { device, key });
        self.showed.entry(id.clone()).or_default().push(here.via);
        // A slow store must not take a peer back to where it was when it asked.
        let before = self.presence.get(&id).filter(|before| before.seen > here.seen);
        if before.is_none_or(|before| before.left) {
            if let Via::Stream(conn) = here.via {
                self.leaves(conn);
            }
            self.presence.insert(id, Here { seen: self.now, ..here });
        }
        if let Via::Datagram(from) = here.via {
            self.proven.insert(from);
        }
    }

    fn refuses(&self, cause: &Cause, failure: Failure) {
        let Kind::Punch(target, good_key) = &cause.kind else { panic!("refused {cause:?}") };
        assert_eq!(failure == Failure::KeyMismatch, !good_key, "{cause:?}");
        let Some(target) = target.as_ref().filter(|_| *good_key) else { return };
        assert!(!self.is_present(target), "{target} is present and refused");
        if self.may_be_dialled(target) {
            return;
        }
        let known = self.acked.contains_key(target);
        assert_eq!(failure == Failure::Offline, known, "{target}");
    }

    /// A target is sent to a relay of ours, or to one that was told for it: to its initiator, which
    /// may have two addresses.
    fn names_relay(&self, cause: &Cause, relay: &str) {
        let Kind::Relay(Some(target)) = &cause.kind else { panic!("a relay out of {cause:?}") };
        let told = self.told.has_relay(target, relay);
        let ours = self.policy.relays.iter().any(|ours| ours == relay);
        assert!(ours || told, "{target} is sent to {relay}: {cause:?}");
    }

    /// A push goes to where its target is and nowhere else.
    fn pushes(&mut self, cause: &Cause, via: Via, reply: &Reply) {
        let (Kind::Punch(Some(target), true) | Kind::Relay(Some(target))) = &cause.kind else {
            panic!("a push out of {cause:?}")
        };
        let target = target.clone();
        self.is_let_in(&target);
        let initiator = cause.from.unwrap();
        self.told.push(self.now, initiator.ip(), &target);
        let grant = (initiator.ip(), target.clone());
        if matches!(cause.kind, Kind::Punch(..)) {
            self.grants.insert(grant, self.now);
        } else if self.policy.access_key.is_some() {
            let fresh = |((_, id), at): (&(IpAddr, PeerId), &u64)| {
                *id == target && self.now - at < GRANT_MS
            };
            assert!(self.grants.iter().any(fresh), "nobody showed a key for {target}");
            let own = self.grants.get(&grant).is_some_and(|at| self.now - at < GRANT_MS);
            self.told.ungranted(self.now, &target, own);
        }
        if self.may_be_dialled(&target) {
            assert!(self.postponed.is_at(&target, via, self.now), "{target} never was at {via:?}");
        } else {
            assert!(self.is_present(&target), "{target} is away and pushed to");
            let at = self.presence.get(&target).map(|here| here.via);
            assert_eq!(Some(via), at, "a push for {target}");
            let showed = self.showed.get(&target).is_some_and(|shown| shown.contains(&via));
            assert!(showed, "a push for {target} to {via:?}, which showed no device and key");
        }
        let Some(Via::Stream(conn)) = cause.via else { panic!("a push out of {cause:?}") };
        let mut ask = Ask::new(conn, target, self.now, reply);
        if let Some(before) = self.asks.get(&initiator) {
            ask.follows(before);
        }
        self.asks.insert(initiator, ask);
    }

    /// Who an id belongs to. Strangers have ids too, registered in the name of a device's address.
    fn owner(&self, id: &PeerId) -> Author {
        let acked = self.acked.get(id);
        let owner = acked.and_then(|acked| self.owners.get(acked.device.as_bytes()));
        owner.copied().unwrap_or(Author::Stranger)
    }

    /// Whether `ip` is where a device is registered, or out of which it echoed a nonce.
    fn is_of(&self, id: &PeerId, ip: IpAddr) -> bool {
        self.presence.get(id).is_some_and(|here| here.from.ip() == ip)
            || self.own.contains(&(id.clone(), ip))
            || (self.may_be_dialled(id) && self.postponed.came_from(id, ip))
    }

    /// An answer goes to who asked, once, in the name of who was asked.
    fn answers_initiator(&mut self, cause: &Cause, via: Via, (pk, relay): (&[u8], &str)) {
        let Via::Stream(conn) = via else { panic!("an answer by datagram") };
        let found = self.asks.iter().find(|(_, ask)| ask.conn == conn);
        let at = found.map(|(at, _)| *at).expect("an answer nobody waits for");
        let ask = self.asks.remove(&at).unwrap();
        let from = cause.from.unwrap().ip();
        let own = self.is_of(&ask.target, from);
        if ask.judge(cause, (at, self.owner(&ask.target)), own) {
            self.own.insert((ask.target.clone(), from));
        }
        assert!(self.now - ask.asked <= PUNCH_MS, "an answer after {PUNCH_MS} ms");
        self.answers += 1;
        self.told.relay(&ask.target, relay);
        if pk.is_empty() {
            return;
        }
        let signs = |key: &PeerKey| {
            let expected = id_pk(&ask.target, key);
            pk.split_at(64) == (&self.key.sign(&expected).0[..], &expected[..])
        };
        let mut keys = match self.acked.get(&ask.target) {
            Some(acked) => vec![&acked.key],
            None => self.postponed.keys(&ask.target).collect(),
        };
        keys.retain(|key| signs(key));
        assert!(!keys.is_empty(), "not the key of {}", ask.target);
    }
}
