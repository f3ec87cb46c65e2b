//! What the ledger keeps of each id: what was acknowledged, where its device is, and changes on
//! their way to disk.

use hbb_core::base::address::Endpoint;
use hbb_core::base::conn::Via;
use hbb_core::base::peer::{DeviceId, PeerId, PeerKey, Record};

/// What was acknowledged to a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Acked {
    pub(crate) device: DeviceId,
    pub(crate) key: PeerKey,
}

/// Where a peer is, or was.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Here {
    pub(crate) via: Via,
    pub(crate) from: Endpoint,
    /// When it registered, or left its connection.
    pub(crate) seen: u64,
    /// Its connection is closed, or another's.
    pub(crate) left: bool,
}

/// A change on its way to disk.
pub(crate) struct Save {
    pub(crate) record: Record,
    pub(crate) here: Here,
    /// The id given up.
    pub(crate) renamed: Option<PeerId>,
}

impl Save {
    pub(crate) fn is_about(&self, id: &PeerId) -> bool {
        self.record.id == *id || self.renamed.as_ref() == Some(id)
    }
}

pub(crate) fn same(one: &Record, other: &Record) -> bool {
    one.id == other.id && one.device == other.device && one.key == other.key
}
