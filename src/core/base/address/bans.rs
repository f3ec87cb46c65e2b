//! Whom an operator shuts out: peer ids, addresses and networks. Settings like any other, kept in
//! a file by `settings/lists.rs`; both machines obey. Checks: tests/ctl.rs.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

use super::endpoint::Network;
use super::networks::NetworkSet;
use crate::base::limits::LIST_ENTRIES_MAX;
use crate::base::peer::PeerId;
use crate::base::text::reads_as_ipv4;

/// An id, or an address or network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Banned {
    /// Cannot register, and is to all others as if it did not exist.
    Id(PeerId),
    /// Is not served at all.
    Network(Network),
}

impl Banned {
    /// Reads one; None for what is neither, or an id that nobody may have, as a mistyped address
    /// is. `id=` before it says that it is an id, whatever it looks like.
    pub fn parse(text: &str) -> Option<Self> {
        if text.starts_with(ID_MARK) {
            return named_id(text).map(Self::Id);
        }
        match Network::parse(text) {
            Some(network) => Some(Self::Network(network)),
            None => PeerId::new(text).filter(is_plain_id).map(Self::Id),
        }
    }

    /// The same for what can be an id alone.
    pub fn id(text: &str) -> Option<PeerId> {
        match Self::parse(text) {
            Some(Self::Id(id)) => Some(id),
            _ => None,
        }
    }
}

/// Whether an id needs no mark: one that may not register is somebody's mistake, and so is what
/// reads as a range of addresses, though it may.
fn is_plain_id(id: &PeerId) -> bool {
    let range = id.as_str().split_once('-').is_some_and(|(first, last)| {
        reads_as_ipv4(first) && last.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
    });
    id.is_well_formed() && !range
}

/// What an operator writes before an id that reads as something else.
const ID_MARK: &str = "id=";

/// The id that an operator names, with or without `id=` before it; None if it can be none.
pub fn named_id(text: &str) -> Option<PeerId> {
    PeerId::new(text.strip_prefix(ID_MARK).unwrap_or(text))
}

/// As [`Banned::parse`] reads it, in one word of a line of a file.
impl fmt::Display for Banned {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => {
                out.write_str(if is_plain_id(id) { "" } else { ID_MARK })?;
                out.write_str(id.as_str())
            }
            Self::Network(network) => network.fmt(out),
        }
    }
}

/// At most [`LIST_ENTRIES_MAX`] of them, each once. Copies share the memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bans {
    /// In order.
    ids: Arc<Vec<PeerId>>,
    /// In order, as the operator named them: one may lie in another.
    networks: Arc<Vec<Network>>,
    shut_out: NetworkSet,
}

impl Bans {
    /// Those of a list; None if there is no room for all.
    pub fn new(list: Vec<Banned>) -> Option<Self> {
        let (mut ids, mut networks) = (Vec::new(), Vec::new());
        for banned in list {
            match banned {
                Banned::Id(id) => ids.push(id),
                Banned::Network(network) => networks.push(network),
            }
        }
        ids.sort_unstable();
        ids.dedup();
        networks.sort_unstable();
        networks.dedup();
        let shut_out = NetworkSet::from(networks.clone());
        let bans = Self { ids: Arc::new(ids), networks: Arc::new(networks), shut_out };
        (bans.len() <= LIST_ENTRIES_MAX).then_some(bans)
    }

    fn len(&self) -> usize {
        self.ids.len() + self.networks.len()
    }

    /// Adds one, if it is not there yet; false if there is no room.
    pub fn add(&mut self, banned: Banned) -> bool {
        let room = self.len() < LIST_ENTRIES_MAX;
        match banned {
            Banned::Id(id) => insert(&mut self.ids, id, room),
            Banned::Network(network) => {
                let is_there = insert(&mut self.networks, network, room);
                self.shut_out = self.networks.to_vec().into();
                is_there
            }
        }
    }

    /// Takes one out; false if it is not there.
    pub fn remove(&mut self, banned: &Banned) -> bool {
        match banned {
            Banned::Id(id) => remove(&mut self.ids, id),
            Banned::Network(network) => {
                let was_there = remove(&mut self.networks, network);
                self.shut_out = self.networks.to_vec().into();
                was_there
            }
        }
    }

    /// All of them: networks, then ids, in order.
    pub fn iter(&self) -> impl Iterator<Item = Banned> {
        let networks = self.networks.iter().copied().map(Banned::Network);
        networks.chain(self.ids.iter().cloned().map(Banned::Id))
    }

    /// Whether this id is one of them.
    pub(crate) fn has_id(&self, id: &PeerId) -> bool {
        self.ids.binary_search(id).is_ok()
    }

    /// Whether this address lies in one of them.
    pub fn has_ip(&self, ip: IpAddr) -> bool {
        self.shut_out.contains(ip)
    }

    /// The addresses and networks among them.
    pub fn networks(&self) -> NetworkSet {
        self.shut_out.clone()
    }
}

/// Whether it is there, or is now.
fn insert<T: Clone + Ord>(list: &mut Arc<Vec<T>>, entry: T, room: bool) -> bool {
    let Err(place) = list.binary_search(&entry) else { return true };
    if room {
        Arc::make_mut(list).insert(place, entry);
    }
    room
}

/// Whether it was there.
fn remove<T: Clone + Ord>(list: &mut Arc<Vec<T>>, entry: &T) -> bool {
    let found = list.binary_search(entry);
    found.map(|place| Arc::make_mut(list).remove(place)).is_ok()
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::ToString as _;

    use super::*;

    #[test]
    fn mistyped_addresses_are_no_ids() {
        for bad in
            ["", "10.0.0.0/33", "10.0.0", "fd00::/129", "a b", "1.2.3.4-9", "1.2.3.4-1.2.3.9"]
        {
            assert_eq!(Banned::parse(bad), None, "{bad}");
        }
        for (text, told) in
            [("10.1.2.3/8", "10.0.0.0/8"), ("::1", "::1"), ("123456789", "123456789")]
        {
            assert_eq!(Banned::parse(text).unwrap().to_string(), told);
        }
    }

    #[test]
    fn what_is_no_id_that_may_register_is_none_without_its_mark() {
        for bad in
            ["--help", "\"192.0.2.1\"", "'123456789'", "1.2.3.*", "192.0.2.1,", "12345", "id"]
        {
            assert_eq!(Banned::parse(bad), None, "{bad}");
            let marked = format!("id={bad}");
            assert_eq!(Banned::parse(&marked).unwrap().to_string(), marked);
        }
    }

    fn banned(text: &str) -> Banned {
        Banned::parse(text).unwrap()
    }

    #[test]
    fn what_can_register_and_what_once_could_can_be_banned() {
        for id in ["123456", "host-name.example", "bu\u{308}ro-1", "10.0.0.1a"] {
            assert_eq!(Banned::parse(id), PeerId::new(id).map(Banned::Id), "{id}");
        }
        for id in [
            "10.0.0.1",
            "1.2.3.4-9",
            "--help",
            "#123456",
            "id=id=x",
            "a/b:c.d",
            "<img/src=x>",
            "::1",
        ] {
            let banned = Banned::Id(PeerId::new(id).unwrap());
            assert_eq!(banned.to_string(), format!("id={id}"));
            assert_eq!(Banned::parse(&banned.to_string()), Some(banned), "{id}");
        }
        assert_eq!(Banned::parse("id="), None);
    }

    #[test]
    fn holds_each_once_and_no_more_than_its_limit() {
        let networks =
            (0..LIST_ENTRIES_MAX - 1).map(|n| banned(&format!("10.{}.{}.0/24", n >> 8, n & 255)));
        let networks: Vec<_> = networks.collect();
        let mut bans = Bans::new(networks.clone()).unwrap();
        assert!(bans.add(banned("peer-1")) && bans.add(banned("10.7.0.0/24")));
        assert!(!bans.add(banned("192.0.2.1")) && !bans.add(banned("peer-2")));
        assert!(!bans.has_ip("192.0.2.1".parse().unwrap()));
        assert!(bans.remove(&banned("peer-1")) && !bans.remove(&banned("peer-1")));
        assert!(bans.add(banned("192.0.2.0/24")));
        assert!(bans.has_ip("192.0.2.1".parse().unwrap()));
        assert!(bans.has_ip("::ffff:10.9.9.9".parse().unwrap()));
        assert!(!bans.has_id(&PeerId::new("peer-1").unwrap()));
        let more = ["peer-1", "peer-2"].map(banned);
        assert_eq!(Bans::new([&networks[..], &more].concat()), None);
    }

    #[test]
    fn one_that_lies_in_another_outlives_it() {
        let list = ["10.1.0.0/16", "peer-1", "10.0.0.0/8", "peer-1"].map(banned);
        let mut bans = Bans::new(list.into()).unwrap();
        let has = |bans: &Bans| ["10.1.2.3", "10.2.2.3"].map(|ip| bans.has_ip(ip.parse().unwrap()));
        assert_eq!(has(&bans), [true, true]);
        let told: Vec<_> = bans.iter().map(|banned| banned.to_string()).collect();
        assert_eq!(told, ["10.0.0.0/8", "10.1.0.0/16", "peer-1"]);
        assert!(bans.remove(&banned("10.0.0.0/8")));
        assert_eq!(has(&bans), [true, false]);
        assert!(bans.has_id(&PeerId::new("peer-1").unwrap()));
    }
}
