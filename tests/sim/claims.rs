//! Claims to phones, whose device id is their key: where the phone is, it is asked first.

use std::collections::BTreeMap;

use hbb_core::base::address::Endpoint;
use hbb_core::base::conn::Via;
use hbb_core::base::limits::CHALLENGE_MS;
use hbb_core::base::peer::{PeerId, Record};

use crate::cause::{Cause, Kind};

/// A claim, where it came from, where the phone was asked and when, and whether it spoke up.
pub(crate) struct Claim {
    pub(crate) record: Record,
    pub(crate) via: Via,
    pub(crate) from: Endpoint,
    pub(crate) asked: Via,
    since: u64,
    answered: bool,
}

/// The last claim to each phone.
#[derive(Default)]
pub(crate) struct Claims(BTreeMap<PeerId, Claim>);

impl Claims {
    /// The phone is asked because of `cause`.
    pub(crate) fn open(&mut self, now: u64, cause: &Cause, record: &Record, asked: Via) {
        let (record, id) = (record.clone(), record.id.clone());
        let (via, from) = (cause.via.unwrap(), cause.from.unwrap());
        assert!(is_public(&record) && via != asked, "asked because of {cause:?}");
        let claim = Claim { record, via, from, asked, since: now, answered: false };
        let before = self.0.insert(id, claim);
        assert!(before.is_none_or(|before| now - before.since >= CHALLENGE_MS), "{cause:?}");
    }

    /// A request comes in; a phone may speak up by it.
    pub(crate) fn hears(&mut self, cause: &Cause) {
        for claim in self.0.values_mut().filter(|claim| cause.via == Some(claim.asked)) {
            claim.answered |= match (claim.asked, &cause.kind) {
                (Via::Datagram(_), Kind::RegisterPk(record)) => {
                    let Record { id, device, key, .. } = &claim.record;
                    (id, device, key) == (&record.id, &record.device, &record.key)
                }
                (Via::Datagram(_), _) => false,
                (Via::Stream(_), _) => true,
            };
        }
    }

    /// The claim at `via` has waited, and counts: then nobody spoke up.
    pub(crate) fn take(&mut self, now: u64, via: Via) -> Claim {
        let due = |claim: &Claim| claim.via == via && now - claim.since >= CHALLENGE_MS;
        // An older one came to nothing if the phone has another id since.
        let waited = self.0.iter().filter(|(_, claim)| due(claim));
        let found = waited.max_by_key(|(_, claim)| claim.since);
        let id = found.map(|(id, _)| id.clone()).expect("a claim that waits");
        let claim = self.0.remove(&id).unwrap();
        assert!(!claim.answered, "{id} spoke up and lost its place");
        claim
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

/// Whether whoever was given its key knows its device id.
pub(crate) fn is_public(record: &Record) -> bool {
    record.device.as_bytes() == record.key.0
}
