//! What a running server says of itself: gathered once from all owners, then shown in any form.
//! Checks: tests/ctl.rs.

use hbb_core::base::counters::{Counters, DropReason};
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
        let [port, relay_port] = info.ports;
        let version = VERSION.strip_prefix("hbb ").unwrap_or(VERSION).trim_end();
        out.fields(
            "version uptime_secs role public key old_key_until port relay_port tcp_ports udp_ports",
            &[
                Value::Text(version),
                Value::Number(self.uptime_secs),
                Value::Text(info.role),
                text(info.public.as_deref()),
                text(info.key.as_deref()),
                info.old_key_until.map_or(Value::Nothing, Value::Moment),
                Value::Number(port.into()),
                Value::Number(relay_port.into()),
                Value::Numbers(&info.tcp_ports),
                Value::Numbers(&info.udp_ports),
            ],
        );
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
            count(load.occupancy.peers),
            count(load.online),
            count(self.limits.peers),
            count(load.kept),
        ];
        out.group("peers", "registered online limit kept", &peers);
        let connections = [count(load.occupancy.connections), count(self.limits.connections)];
        out.group("connections", "open limit", &connections);
        let udp = [count(load.datagrams.bytes), Value::Number(load.datagrams.overflowed)];
        out.group("udp", "queue_bytes overflowed", &udp);
        let StoreCounts { commits, changes, failures, written, left } = load.store;
        let limit = u64::from(self.limits.writes_a_day) * WRITES_UNIT_BYTES;
        let store = [
            Value::Number(commits),
            Value::Number(changes),
            Value::Number(failures),
            Value::Number(written),
            left.map_or(Value::Nothing, |_| Value::Number(limit)),
            left.map_or(Value::Nothing, Value::Number),
        ];
        out.group("store", "commits changes failures written_today day_limit left", &store);
        #[cfg(feature = "accounts")]
        if let Some(load) = &load.accounts {
            let accounts = [
                count(load.users),
                count(load.tokens),
                Value::Number(load.logins.done),
                Value::Number(load.logins.wrong),
                Value::Number(load.logins.refused),
            ];
            out.group("accounts", "users tokens logins wrong refused", &accounts);
        }
    }

    fn show_relay(&self, load: &RelayLoad, out: &mut Output) {
        let sessions = [count(load.running), count(load.waiting), count(self.limits.sessions)];
        out.group("sessions", "running waiting limit", &sessions);
        out.field("relayed_bytes", Value::Number(load.bytes));
    }

    /// What was dropped, by reason; a conversation that was over is none.
    fn show_dropped(&self, out: &mut Output) {
        let mut counters: Vec<&Counters> = Vec::new();
        self.rendezvous.iter().for_each(|load| counters.extend(&load.dropped));
        self.relay.iter().for_each(|load| counters.extend(&load.dropped));
        let (mut names, mut counts, mut told) = (String::new(), Vec::new(), Vec::new());
        for reason in DropReason::ALL {
            let count = counters.iter().map(|c| c.of(reason)).fold(0, u64::saturating_add);
            if count > 0 && reason != DropReason::Done {
                names.push_str(&[reason.as_str(), " "].concat());
                counts.push(Value::Number(count));
                told.push(reason);
            }
        }
        out.group("dropped", &names, &counts);
        if out.is_text() {
            told.iter().for_each(|it| out.field(it.as_str(), Value::Text(it.meaning())));
        }
    }
}

fn text(text: Option<&str>) -> Value<'_> {
    text.map_or(Value::Nothing, Value::Text)
}

fn count(count: usize) -> Value<'static> {
    Value::Number(count as u64)
}
