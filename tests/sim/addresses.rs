//! At which of its two addresses the server is asked, and from which one it speaks: the table that
//! the shell keeps of that, and the rule that nobody is spoken to from an address that it did not
//! ask. A client's NAT would drop what comes from there.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use hbb_core::base::address::{Asked, Endpoint};
use hbb_core::base::peer::PeerId;
use hbb_core::base::table::Seed;
use hbb_core::wire::message::decode;
use hbb_core::wire::reply::Reply;
use hbb_core::wire::request::Request;

/// One of the two.
pub(crate) fn own(number: u64) -> IpAddr {
    IpAddr::V4(if number.is_multiple_of(2) {
        Ipv4Addr::new(198, 51, 100, 1)
    } else {
        Ipv4Addr::new(203, 0, 113, 1)
    })
}

/// See the file's head.
pub(crate) struct Addresses {
    table: Asked,
    /// Where each endpoint ever asked.
    asked: BTreeMap<Endpoint, BTreeSet<IpAddr>>,
}

impl Addresses {
    pub(crate) fn new(peers: usize) -> Self {
        Self { table: Asked::new(peers, Seed(5, 6)), asked: BTreeMap::new() }
    }

    /// The server starts anew; these devices were here when it stopped.
    pub(crate) fn restart(&mut self, peers: usize, here: &[(PeerId, Endpoint)]) {
        let before = std::mem::replace(&mut self.table, Asked::new(peers, Seed(5, 6)));
        for (_, at) in here {
            if let Some(own) = before.registered_at(*at) {
                self.table.note_recalled(*at, own);
            }
        }
    }

    /// More peers may register, or fewer.
    pub(crate) fn set_peers(&mut self, peers: usize) {
        self.table.set_peers(peers);
    }

    /// A datagram comes in at `own`.
    pub(crate) fn heard(&mut self, from: Endpoint, own: IpAddr, payload: &[u8]) {
        self.table.heard(from, Some(own));
        if matches!(decode(payload), Ok(Request::RegisterPk(_))) {
            self.table.note_waiting(from);
        }
        self.asked.entry(from).or_default().insert(own);
    }

    /// A datagram goes out.
    pub(crate) fn sends(&mut self, to: Endpoint, reply: &Reply) {
        if reply.welcomes() {
            self.table.note_device(to);
        }
        let own = self.table.answers_from(to).expect("somebody asked");
        let asked = self.asked.get(&to).is_some_and(|asked| asked.contains(&own));
        assert!(asked, "{to:?} is spoken to from {own}, and never asked there: {reply:?}");
    }
}
