//! Applies what signals and operators change while everything runs, until one says stop.
//! Checks: C71, C72, tests/ctl.rs, tests/notify.rs.

use std::sync::mpsc;

use log::{info, warn};
use smol::channel::{Receiver, Sender};
use smol::future;

use crate::net::conn::pool::Pool;
use crate::net::conn::websocket::Proxies;
use crate::net::message::{Answer, AnswerTo, RelaySettings, SettingsQuestion};
use crate::net::process::signal::{SignalAction, SignalListener};
use crate::net::process::supervisor::Supervisor;
use crate::settings::{LiveSettings, RunningSettings};

/// Who hears of new settings: rendezvous, relay, and the watch over relays.
pub type Hearers = (Sender<LiveSettings>, Sender<RelaySettings>, mpsc::Sender<Vec<String>>);

/// Owns the settings while we run, and has changes carried out.
pub struct Steward<'a> {
    /// What may change.
    pub settings: RunningSettings,
    /// Grows with the limit of connections.
    pub pool: Pool,
    /// How many it has.
    pub places: usize,
    /// Those that are believed.
    pub proxies: Proxies,
    /// Who else hears of it.
    pub senders: Hearers,
    /// Who started us.
    pub supervisor: &'a Supervisor,
}

impl Steward<'_> {
    /// Applies what signals and operators ask for until a signal says stop.
    pub async fn until_stop(
        mut self,
        mut signals: SignalListener,
        orders: &Receiver<(SettingsQuestion, AnswerTo)>,
    ) {
        loop {
            let signal = async { Ok(signals.next().await) };
            let order = async {
                match orders.recv().await {
                    Ok(order) => Err(order),
                    // There is no control socket.
                    Err(_) => future::pending().await,
                }
            };
            match future::or(signal, order).await {
                Ok(SignalAction::Stop) => return,
                Ok(SignalAction::Reload) => drop(self.reload()),
                Err((order, to)) => drop(to.try_send(self.carry_out(order))),
            }
        }
    }

    fn carry_out(&mut self, order: SettingsQuestion) -> Answer {
        match order {
            SettingsQuestion::Info => Answer::Info(self.settings.about()),
            SettingsQuestion::Limits => Answer::Limits(self.settings.limits()),
            SettingsQuestion::Bans => Answer::Bans(self.settings.bans()),
            SettingsQuestion::Reload => Answer::Said(self.reload()),
            SettingsQuestion::SetLimit([name, value]) => {
                let live = self.settings.set_limit(&name, &value);
                let said = [&name, " is ", &value, " until the next reload or start."].concat();
                Answer::Said(live.map(|live| self.apply(live)).map(|()| said))
            }
            SettingsQuestion::Ban(what, banned) => {
                let live = self.settings.ban(&what, banned);
                let now = if banned { " is shut out." } else { " is let in again." };
                let said = [&what, now].concat();
                Answer::Said(live.map(|live| self.apply(live)).map(|()| said))
            }
        }
    }

    fn reload(&mut self) -> Result<String, String> {
        self.supervisor.reloading();
        let reloaded = self.settings.reload();
        self.supervisor.ready();
        match reloaded {
            Ok((live, fixed)) => {
                for flag in &fixed {
                    warn!("restart-needed flag={flag}");
                }
                self.apply(live);
                info!("reloaded");
                Ok(match fixed.as_slice() {
                    [] => "Reloaded.".into(),
                    flags => ["Reloaded. Only a restart changes: ", &flags.join(" ")].concat(),
                })
            }
            Err(said) => {
                for line in said.lines() {
                    warn!("reload-refused cause='{line}'");
                }
                Err(said)
            }
        }
    }

    fn apply(&mut self, live: LiveSettings) {
        let (rendezvous, relay, lists) = &self.senders;
        self.pool.grow(self.places, live.limits.connections);
        self.places = self.places.max(live.limits.connections);
        self.proxies.set(live.proxies.clone());
        let _ = lists.send(live.policy.relays.clone());
        let access_key = live.policy.access_key.clone();
        let limits = live.limits;
        let changed =
            RelaySettings { limits, access_key, lists: live.lists.clone(), rates: live.rates };
        let _ = relay.try_send(changed);
        let _ = rendezvous.try_send(live);
    }
}
