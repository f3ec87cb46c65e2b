//! What a running server says of itself: gathered once from all owners, then shown in any form.
//! Checks: tests/ctl.rs.

use hbb_core::base::counters::{Counters, DROP_REASONS, DropReason};
use hbb_core::base::limits::{Limits, WRITES_UNIT_BYTES};

use super::format::{Output, Value};
use super::owners::{Owners, odd};
use crate::cli::VERSION;
use crate::net::clock::Clock;
use crate::net::interfaces::own_addresses;
use crate::net::message::{
    Answer, RelayLoad, RelayQuestion, RendezvousLoad, RendezvousQuestion, StoreCounts,
};
use crate::settings::{RunningSettings, ServerInfo};

/// A server at one moment; a part that does not run has no load.
pub(super) struct Status {
    info: ServerInfo,
    uptime_secs: u64,
    limits: Limits,
    rendezvous: Option<Box<RendezvousLoad>>,
    relay: Option<Box<RelayLoad>>,
}

impl Status {
    /// Asks all owners.
    ///
    /// # Errors
    /// What to tell the operator if one does not answer.
    pub(super) fn gather(
        settings: &RunningSettings,
        owners: &Owners,
        clock: Clock,
    ) -> Result<Self, String> {
        let rendezvous = match owners.rendezvous {
            None => None,
            Some(_) => match owners.ask_rendezvous(RendezvousQuestion::Load)? {
                Answer::RendezvousLoad(load) => Some(load),
                _ => return odd(),
            },
        };
        let relay = match owners.relay {
            None => None,
            Some(_) => match owners.ask_relay(RelayQuestion::Load)? {
                Answer::RelayLoad(load) => Some(load),
                _ => return odd(),
            },
        };
        let (info, limits) = (settings.about(&own_addresses()), settings.limits());
        let uptime_secs = clock.now().as_millis() / 1000;
        Ok(Self { info, uptime_secs, limits, rendezvous, relay })
    }

    /// Writes all of it.
    pub(super) fn show(&self, out: &mut Output) {
        let info = &self.info;
        out.field(
            "version",
            Value::Text(VERSION.strip_prefix("hbb ").unwrap_or(VERSION).trim_end()),
        );
        out.field("uptime_secs", Value::Number(self.uptime_secs));
        out.field("role", Value::Text(info.role));
        out.field("public", info.public.as_deref().map_or(Value::Nothing, Value::Text));
        out.field("key", info.key.as_deref().map_or(Value::Nothing, Value::Text));
        let until = info.old_key_until;
        out.field("old_key_until", until.map_or(Value::Nothing, Value::Moment));
        let [port, relay_port] = info.ports;
        out.field("port", Value::Number(port.into()));
        out.field("relay_port", Value::Number(relay_port.into()));
        out.field("tcp_ports", Value::Numbers(&info.tcp_ports));
        out.field("udp_ports", Value::Numbers(&info.udp_ports));
        out.texts("doubts", &info.doubts);
        if let Some(load) = &self.rendezvous {
            self.show_rendezvous(load, out);
        }
        if let Some(load) = &self.relay {
            self.show_relay(load, out);
        }
        self.show_dropped(out);
    }

    fn show_rendezvous(&self, load: &RendezvousLoad, out: &mut Output) {
        let peers = [
            ("registered", count(load.occupancy.peers)),
            ("online", count(load.online)),
            ("limit", count(self.limits.peers)),
            ("kept", count(load.kept)),
        ];
        out.group("peers", &peers);
        let connections = [
            ("open", count(load.occupancy.connections)),
            ("limit", count(self.limits.connections)),
        ];
        out.group("connections", &connections);
        let udp = [
            ("queue_bytes", count(load.datagrams.bytes)),
            ("overflowed", Value::Number(load.datagrams.overflowed)),
        ];
        out.group("udp", &udp);
        let StoreCounts { commits, changes, failures, written, left } = load.store;
        let limit = u64::from(self.limits.writes_a_day) * WRITES_UNIT_BYTES;
        let store = [
            ("commits", Value::Number(commits)),
            ("changes", Value::Number(changes)),
            ("failures", Value::Number(failures)),
            ("written_today", Value::Number(written)),
            ("day_limit", left.map_or(Value::Nothing, |_| Value::Number(limit))),
            ("left", left.map_or(Value::Nothing, Value::Number)),
        ];
        out.group("store", &store);
        #[cfg(feature = "accounts")]
        if let Some(load) = &load.accounts {
            let accounts = [
                ("users", count(load.users)),
                ("tokens", count(load.tokens)),
                ("logins", Value::Number(load.logins.done)),
                ("wrong", Value::Number(load.logins.wrong)),
                ("refused", Value::Number(load.logins.refused)),
            ];
            out.group("accounts", &accounts);
        }
    }

    fn show_relay(&self, load: &RelayLoad, out: &mut Output) {
        let sessions = [
            ("running", count(load.running)),
            ("waiting", count(load.waiting)),
            ("limit", count(self.limits.sessions)),
        ];
        out.group("sessions", &sessions);
        out.field("relayed_bytes", Value::Number(load.bytes));
    }

    /// What was dropped, by reason; a conversation that was over is none.
    fn show_dropped(&self, out: &mut Output) {
        let mut counters: Vec<&Counters> = Vec::new();
        self.rendezvous.iter().for_each(|load| counters.extend(&load.dropped));
        self.relay.iter().for_each(|load| counters.extend(&load.dropped));
        let mut members = Vec::with_capacity(DROP_REASONS);
        let mut meanings = Vec::with_capacity(DROP_REASONS);
        for reason in DropReason::ALL {
            let count = counters.iter().map(|c| c.of(reason)).fold(0, u64::saturating_add);
            if count > 0 && reason != DropReason::Done {
                members.push((reason.as_str(), Value::Number(count)));
                meanings.push((reason.as_str(), Value::Text(reason.meaning())));
            }
        }
        out.group("dropped", &members);
        if out.is_text() {
            meanings.iter().for_each(|(reason, meaning)| out.field(reason, *meaning));
        }
    }
}

fn count(count: usize) -> Value<'static> {
    Value::Number(count as u64)
}
