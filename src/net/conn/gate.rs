//! Who is let in at all, and whose word about addresses is taken: settings, asked before a
//! connection has a place. C54, C71, C100, C103.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr};

use hbb_core::base::address::{NetworkSet, canonical};
use hbb_core::wire::handshake::Forwarded;
#[cfg(feature = "web")]
use hbb_core::wire::http::browser::Browser;

use crate::config::{ProxyHeader, TrustedProxies};
use crate::net::tasks::lasting;
use crate::settings::LiveSettings;

/// The rules at the door; clones share them.
#[derive(Clone)]
pub(crate) struct Gate(&'static RefCell<GateRules>);

impl Default for Gate {
    fn default() -> Self {
        Self(lasting(RefCell::default()))
    }
}

/// What an operator decided about whole connections.
#[derive(Default)]
pub(crate) struct GateRules {
    /// Proxies that are believed where their clients are.
    pub(crate) proxies: TrustedProxies,
    /// Who is not served on any port.
    pub(crate) banned: NetworkSet,
    /// Whom the relay does not serve.
    pub(crate) blocked: NetworkSet,
    /// The name that clients reach us by, in small letters.
    #[cfg(feature = "web")]
    pub(crate) public: Option<String>,
}

impl From<&LiveSettings> for GateRules {
    fn from(live: &LiveSettings) -> Self {
        let (banned, blocked) = (live.policy.bans.networks(), live.lists.block.clone());
        Self {
            proxies: live.proxies.clone(),
            banned,
            blocked,
            #[cfg(feature = "web")]
            public: live.public.as_ref().map(|public| public.to_ascii_lowercase()),
        }
    }
}

/// The rules of one port.
#[derive(Clone, Copy)]
pub(crate) struct Door<'a> {
    pub(crate) gate: &'a Gate,
    /// Nothing but the relay is behind it.
    pub(crate) only_relay: bool,
    /// This machine's console is, too: its own list does not shut it out (C162).
    pub(crate) console: bool,
    /// What of HTTP is.
    pub(crate) web: Web,
}

/// What is behind a port for those who speak HTTP.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Web {
    /// Nothing: whoever speaks it is mistaken.
    Nothing,
    /// WebSockets.
    Sockets,
    /// Calls of the API, by any method.
    Calls,
    /// The page of operators.
    #[cfg(feature = "web")]
    Page,
}

impl Door<'_> {
    /// Whether what begins so may be a request, whose headers tell whose it is.
    pub(crate) fn takes_request(&self, begin: &[u8]) -> bool {
        match self.web {
            Web::Nothing => false,
            Web::Sockets => begin.starts_with(b"GET "),
            Web::Calls => true,
            #[cfg(feature = "web")]
            Web::Page => true,
        }
    }

    /// Whether no stranger can have the name lead here by which a browser asks.
    #[cfg(feature = "web")]
    pub(crate) fn is_named_well(&self, browser: &Browser) -> bool {
        browser.is_named_well(self.gate.0.borrow().public.as_deref())
    }

    /// Whether nobody from `ip` gets in.
    pub(crate) fn refuses(&self, ip: IpAddr) -> bool {
        let may_type = self.console && ip.is_loopback();
        self.gate.0.borrow().banned.contains(ip) || (self.blocks(ip) && !may_type)
    }

    /// Whether the relay, and nothing else is behind it, serves nobody from `ip`.
    pub(crate) fn blocks(&self, ip: IpAddr) -> bool {
        self.only_relay && self.gate.0.borrow().blocked.contains(ip)
    }
}

impl Gate {
    /// These rules hold from now on.
    pub(crate) fn set(&self, rules: GateRules) {
        *self.0.borrow_mut() = rules;
    }

    /// Whether `ip` is one of the proxies.
    pub(crate) fn trusts(&self, ip: IpAddr) -> bool {
        self.0.borrow().proxies.networks.iter().any(|network| network.contains(ip))
    }

    /// Whether `ip` is a proxy that begins its connections with the PROXY protocol.
    pub(crate) fn hears_of_clients(&self, ip: IpAddr) -> bool {
        self.0.borrow().proxies.protocol && self.trusts(ip)
    }

    /// The header in which proxies tell where their clients are.
    pub(crate) fn header(&self) -> ProxyHeader {
        self.0.borrow().proxies.header
    }

    /// Whether a client may be at `ip`: not where a proxy is, nor on this machine.
    pub(crate) fn is_client(&self, ip: IpAddr) -> bool {
        let is_none = |ip: Ipv4Addr| ip.is_broadcast() || ip.octets()[0] == 0;
        let nowhere = match ip {
            IpAddr::V4(ip) => is_none(ip) || ip.is_multicast() || ip.is_loopback(),
            IpAddr::V6(ip) => ip.is_unspecified() || ip.is_multicast() || ip.is_loopback(),
        };
        !nowhere && !self.trusts(ip)
    }

    /// Where a proxy's client is, as the one header says that counts; None if that is not there or
    /// is none that a proxy of ours writes. Of several hops it is the last that is no proxy of
    /// ours: what stands before is the client's own word.
    pub(crate) fn told(&self, forwarded: &Forwarded) -> Option<IpAddr> {
        let ip = match self.header() {
            ProxyHeader::RealIp => forwarded.real_ip.map(canonical),
            ProxyHeader::ForwardedFor => {
                let mut hops = forwarded.forwarded_for.iter().rev().map(|hop| hop.map(canonical));
                hops.find(|hop| !hop.is_some_and(|hop| self.trusts(hop)))?
            }
        };
        ip.filter(|ip| self.is_client(*ip))
    }

    /// Whether the request names somebody else than `told` too who is no proxy of ours: then
    /// `told` may be a proxy that nobody named, or a client that makes things up.
    pub(crate) fn names_another(&self, forwarded: &Forwarded, told: IpAddr) -> bool {
        let mut hops = forwarded.forwarded_for.iter().flatten().map(|hop| canonical(*hop));
        hops.any(|hop| hop != told && !self.trusts(hop))
    }

    /// Whether connections of `ip` may be anybody's, and nothing says whose: it is a proxy, and
    /// one that does not use the PROXY protocol.
    pub(crate) fn hides_clients(&self, ip: IpAddr) -> bool {
        !self.0.borrow().proxies.protocol && self.trusts(ip)
    }
}
