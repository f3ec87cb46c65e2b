//! Whom a rule means: ids, networks, users, and groups of these. It must not know who is
//! registered.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::base::address::{Banned, Network, NetworkSet};
use crate::base::peer::PeerId;

use super::Dial;

/// Those who are meant in one place, or by the name of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Members {
    everybody: bool,
    /// In order.
    ids: Vec<PeerId>,
    /// How ids begin.
    beginnings: Vec<Box<str>>,
    networks: NetworkSet,
    users: Vec<Box<str>>,
    /// Groups of accounts: the users of one who ask, the devices in one that are asked for.
    named: Vec<Box<str>>,
    /// One bit for each group.
    groups: u64,
}

/// Where a member is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    From,
    To,
    Group,
    Tag,
}

const WHO: &str = "must be an id, how ids begin and *, an address, a network such as 10.0.0.0/8, \
                   group:NAME, tag:NAME, user:NAME, @GROUP or *";

/// Members in the making.
#[derive(Default)]
pub(super) struct Naming {
    members: Members,
    networks: Vec<Network>,
}

impl Naming {
    /// One member more; `groups` are the names of all groups, such as `group:office`.
    ///
    /// # Errors
    /// A sentence that says what it must be.
    pub(super) fn add(
        &mut self,
        word: &str,
        place: Place,
        groups: &[String],
    ) -> Result<(), String> {
        let members = &mut self.members;
        let wrong = |why: &str| Err(["'", word, "': ", why].concat());
        let in_rule = matches!(place, Place::From | Place::To);
        if word == "*" && in_rule {
            members.everybody = true;
        } else if word.starts_with("group:") || word.starts_with("tag:") {
            if !in_rule {
                return wrong("a group or tag names no other");
            }
            let Some(number) = groups.iter().position(|name| *name == *word) else {
                return wrong("no line says who that is");
            };
            members.groups |= 1 << number;
        } else if let Some(user) = word.strip_prefix("user:") {
            match place {
                Place::From | Place::Group if !user.is_empty() => members.users.push(user.into()),
                Place::From | Place::Group => return wrong(WHO),
                Place::To | Place::Tag => return wrong("a user can only be who asks, in from="),
            }
        } else if let Some(group) = word.strip_prefix('@') {
            match place {
                Place::Tag => return wrong("a tag holds ids alone"),
                _ if group.is_empty() => return wrong(WHO),
                _ => members.named.push(group.into()),
            }
        } else if let Some(beginning) = word.strip_suffix('*') {
            if place == Place::From {
                return wrong("of who asks only whole ids are known; this can stand in to=");
            }
            if !PeerId::new(beginning).is_some_and(|id| is_plain(id.as_str())) {
                return wrong(WHO);
            }
            members.beginnings.push(beginning.into());
        } else {
            match Banned::parse(word) {
                Some(Banned::Id(id)) => members.ids.push(id),
                Some(Banned::Network(network)) if place != Place::Tag => {
                    self.networks.push(network);
                }
                Some(Banned::Network(_)) => return wrong("a tag holds ids alone"),
                None => return wrong(WHO),
            }
        }
        Ok(())
    }

    /// How many there are so far.
    pub(super) fn len(&self) -> usize {
        let Members { ids, beginnings, users, named, .. } = &self.members;
        ids.len() + beginnings.len() + users.len() + named.len() + self.networks.len()
    }

    pub(super) fn done(self) -> Members {
        let mut members = self.members;
        members.ids.sort_unstable();
        members.ids.dedup();
        members.networks = self.networks.into();
        members
    }
}

/// Whether it can be how an id begins.
fn is_plain(text: &str) -> bool {
    text.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

impl Members {
    /// All there are.
    pub(super) fn everybody() -> Self {
        Self { everybody: true, ..Self::default() }
    }

    /// Whether a group of accounts is named, or also a user.
    pub(super) const fn name_accounts(&self, users: bool) -> bool {
        !self.named.is_empty() || users && !self.users.is_empty()
    }

    /// The groups named here that hold how ids begin, by their bits.
    pub(super) fn vague_groups(&self, groups: &[Self]) -> u64 {
        let vague = |group: &&Self| !group.beginnings.is_empty();
        let bits = groups.iter().enumerate().filter(|(_, group)| vague(group));
        bits.fold(0, |all, (number, _)| all | 1 << number) & self.groups
    }

    /// Whether who is asked for is one of them, groups aside.
    pub(super) fn has_target(&self, dial: &Dial<'_>) -> bool {
        let &Dial { to: id, to_ip: ip, to_group, .. } = dial;
        self.everybody
            || self.named.iter().any(|named| **named == *to_group)
            || self.ids.binary_search(id).is_ok()
            || self.beginnings.iter().any(|beginning| id.as_str().starts_with(&**beginning))
            || ip.is_some_and(|ip| self.networks.contains(ip))
    }

    /// Whether who asks is one of them, groups aside.
    pub(super) fn has_asker(&self, dial: &Dial<'_>) -> bool {
        self.everybody
            || dial.from.is_some_and(|ip| self.networks.contains(ip))
            || dial.user.is_some_and(|user| self.users.iter().any(|named| **named == *user))
            || self.named.iter().any(|named| **named == *dial.user_group)
            || self.ids.iter().any(dial.is_there)
    }
}

/// In which groups one of the two is, each looked up once.
#[derive(Default)]
pub(super) struct Memo {
    asked: u64,
    inside: u64,
}

impl Memo {
    /// Whether one is among `members` or in a group of theirs; `is_one` looks at the rest.
    pub(super) fn fits(
        &mut self,
        members: &Members,
        groups: &[Members],
        is_one: &dyn Fn(&Members) -> bool,
    ) -> bool {
        if is_one(members) {
            return true;
        }
        let mut left = members.groups & !self.asked;
        while left != 0 {
            let number = left.trailing_zeros();
            let bit = 1 << number;
            left &= !bit;
            self.asked |= bit;
            if usize::try_from(number).ok().and_then(|at| groups.get(at)).is_some_and(is_one) {
                self.inside |= bit;
            }
        }
        members.groups & self.inside != 0
    }
}
