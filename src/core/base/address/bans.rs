//! Whom an operator shuts out: peer ids, addresses and networks. Settings like any other, kept in
//! a file by `settings/lists.rs`; both machines obey. Checks: tests/ctl.rs.

use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

use super::endpoint::Network;
use crate::base::limits::BANS_MAX;
use crate::base::peer::{PeerId, reads_as_ipv4};

/// An id, or an address or network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Banned {
    /// Cannot register, and is to all others as if it did not exist.
    Id(PeerId),
    /// Is not served at all.
    Network(Network),
}

impl Banned {
    /// Reads one; None for what is neither. `id=` before it says that it is an id, whatever it
    /// looks like.
    pub fn parse(text: &str) -> Option<Self> {
        if text.starts_with(ID_MARK) {
            return named_id(text).map(Self::Id);
        }
        match Network::parse(text) {
            Some(network) => Some(Self::Network(network)),
            // No id that may register holds any of these: it is a mistyped address.
            None if text.contains(['/', ':']) || reads_as_ipv4(text) => None,
            None => PeerId::new(text).map(Self::Id),
        }
    }
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
                out.write_str(if id.is_well_formed() { "" } else { ID_MARK })?;
                out.write_str(id.as_str())
            }
            Self::Network(network) => network.fmt(out),
        }
    }
}

/// At most [`BANS_MAX`] of them, in the order they were added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bans(Vec<Banned>);

impl Bans {
    /// Adds one, if it is not there yet; false if there is no room.
    pub fn add(&mut self, banned: Banned) -> bool {
        if self.0.contains(&banned) {
            return true;
        }
        let room = self.0.len() < BANS_MAX;
        if room {
            self.0.push(banned);
        }
        room
    }

    /// Takes one out; false if it is not there.
    pub fn remove(&mut self, banned: &Banned) -> bool {
        let before = self.0.len();
        self.0.retain(|other| other != banned);
        self.0.len() < before
    }

    /// Ids, addresses and networks in the order they were added.
    pub fn iter(&self) -> impl Iterator<Item = &Banned> {
        self.0.iter()
    }

    /// Whether this id is one of them.
    pub(crate) fn has_id(&self, id: &PeerId) -> bool {
        self.iter().any(|banned| matches!(banned, Banned::Id(other) if other == id))
    }

    /// Whether this address lies in one of them.
    pub fn has_ip(&self, ip: IpAddr) -> bool {
        self.networks().any(|network| network.contains(ip))
    }

    /// The addresses and networks among them.
    pub fn networks(&self) -> impl Iterator<Item = Network> {
        self.iter().filter_map(|banned| match banned {
            Banned::Network(network) => Some(*network),
            Banned::Id(_) => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::ToString as _;

    use super::*;

    #[test]
    fn mistyped_addresses_are_no_ids() {
        for bad in ["", "10.0.0.0/33", "10.0.0", "fd00::/129", "a b"] {
            assert_eq!(Banned::parse(bad), None, "{bad}");
        }
        for (text, told) in
            [("10.1.2.3/8", "10.0.0.0/8"), ("::1", "::1"), ("123456789", "123456789")]
        {
            assert_eq!(Banned::parse(text).unwrap().to_string(), told);
        }
    }

    #[test]
    fn what_can_register_and_what_once_could_can_be_banned() {
        for id in ["123456", "host-name.example", "bu\u{308}ro-1", "10.0.0.1a"] {
            assert_eq!(Banned::parse(id), PeerId::new(id).map(Banned::Id), "{id}");
        }
        for id in ["10.0.0.1", "--help", "#123456", "id=id=x", "a/b:c.d", "<img/src=x>", "::1"] {
            let banned = Banned::Id(PeerId::new(id).unwrap());
            assert_eq!(banned.to_string(), format!("id={id}"));
            assert_eq!(Banned::parse(&banned.to_string()), Some(banned), "{id}");
        }
        assert_eq!(Banned::parse("id="), None);
    }

    #[test]
    fn holds_each_once_and_no_more_than_its_limit() {
        let mut bans = Bans::default();
        for number in 0..BANS_MAX {
            assert!(bans.add(Banned::parse(&format!("peer{number}")).unwrap()));
        }
        assert!(bans.add(Banned::parse("peer0").unwrap()));
        assert!(!bans.add(Banned::parse("10.0.0.1").unwrap()));
        assert!(bans.remove(&Banned::parse("peer1").unwrap()));
        assert!(bans.add(Banned::parse("10.0.0.0/8").unwrap()));
        assert!(bans.has_ip("::ffff:10.9.9.9".parse().unwrap()));
        assert!(!bans.has_id(&PeerId::new("peer1").unwrap()));
    }
}
