//! Has the machine know where this machine is when somebody dials: read then, at most once in a few
//! seconds, so that an idle router sleeps and a busy one reads seldom. C124-C128.

use std::net::IpAddr;

use hbb_core::base::limits::{NAME_MS, OWN_ADDRESSES_READ_MS};
use hbb_core::base::time::Time;
use hbb_core::rendezvous::Rendezvous;

use crate::net::health::ToWatch;
use crate::net::interfaces::{gateway, hides_clients, own_networks};
use crate::net::tasks::queue::Sender;

/// When to look again.
pub(super) struct Surroundings {
    bind: Option<IpAddr>,
    addresses_due: Time,
    names_due: Time,
}

impl Surroundings {
    /// `bind` is the only address we listen on, if there is such a one.
    pub(super) fn new(bind: Option<IpAddr>) -> Self {
        let bind = bind.filter(|ip| !ip.is_unspecified());
        Self { bind, addresses_due: Time::START, names_due: Time::START }
    }

    /// Looks, if it is time. Names are looked up by `watch` meanwhile: this dial is served by what
    /// is known.
    pub(super) fn look(&mut self, now: Time, machine: &mut Rendezvous, watch: &Sender<ToWatch>) {
        if now >= self.names_due {
            self.names_due = now.after_ms(NAME_MS);
            let _ = watch.try_send(ToWatch::LookUp);
        }
        if now < self.addresses_due {
            return;
        }
        self.addresses_due = now.after_ms(OWN_ADDRESSES_READ_MS);
        let mut found = own_networks();
        found.retain(|(ip, _)| self.bind.is_none_or(|bind| bind == *ip));
        machine.set_interfaces(&found, gateway());
        if hides_clients() {
            machine.hide_own();
        }
    }
}
