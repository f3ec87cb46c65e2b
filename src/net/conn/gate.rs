//! Who is let in at all, and whose word about addresses is taken: settings, asked before a
//! connection has a place. C71, C100.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;

use hbb_core::base::address::{Network, NetworkSet};

use crate::settings::LiveSettings;

/// The rules at the door; clones share them.
#[derive(Clone, Default)]
pub(crate) struct Gate(Rc<RefCell<GateRules>>);

/// What an operator decided about whole connections.
#[derive(Default)]
pub(crate) struct GateRules {
    /// Proxies that are believed where their clients are.
    pub(crate) proxies: Vec<Network>,
    /// Who is not served on any port.
    pub(crate) banned: NetworkSet,
    /// Whom the relay does not serve.
    pub(crate) blocked: NetworkSet,
}

impl From<&LiveSettings> for GateRules {
    fn from(live: &LiveSettings) -> Self {
        let (banned, blocked) = (live.policy.bans.networks(), live.lists.block.clone());
        Self { proxies: live.proxies.clone(), banned, blocked }
    }
}

impl Gate {
    /// These rules hold from now on.
    pub(crate) fn set(&self, rules: GateRules) {
        *self.0.borrow_mut() = rules;
    }

    /// Whether `ip` is one of the proxies.
    pub(crate) fn trusts(&self, ip: IpAddr) -> bool {
        self.0.borrow().proxies.iter().any(|network| network.contains(ip))
    }

    /// Whether nobody from `ip` gets in: anywhere, or where there is `only_relay` behind.
    pub(crate) fn refuses(&self, ip: IpAddr, only_relay: bool) -> bool {
        let rules = self.0.borrow();
        rules.banned.contains(ip) || (only_relay && rules.blocked.contains(ip))
    }
}
