//! Those on the serving thread who hold values of the settings: hands them new ones, and passes
//! signals on. It touches no file. Checks: C71, C72, tests/ctl.rs.

use smol::future;

use super::orders::Orders;
use crate::net::conn::gate::{Gate, GateRules};
use crate::net::conn::pool::Pool;
use crate::net::health::{self, ToWatch};
use crate::net::message::{RelaySettings, Update};
use crate::net::process::signal::{SignalAction, SignalListener};
use crate::net::tasks::queue::{Receiver, Sender};
use crate::settings::LiveSettings;

/// All of them.
pub struct Holders {
    /// Grows with the limit of connections.
    pub(crate) pool: Pool,
    /// Who is let in.
    pub(crate) gate: Gate,
    /// The watch over relays.
    pub(crate) watch: Sender<ToWatch>,
    /// The owner of the rendezvous.
    pub rendezvous: Sender<Update<LiveSettings>>,
    /// The owner of the relay.
    pub relay: Sender<Update<RelaySettings>>,
}

impl Holders {
    /// Applies new settings until a signal says stop.
    pub(crate) async fn until_stop(
        self,
        mut signals: SignalListener,
        orders: Orders,
        updates: Receiver<Update<LiveSettings>>,
    ) {
        loop {
            let signal = async { Ok(signals.next().await) };
            let update = async {
                match updates.recv().await {
                    Some(update) => Err(update),
                    // The control thread is gone, and has said why.
                    None => future::pending().await,
                }
            };
            match future::or(signal, update).await {
                Ok(SignalAction::Stop) => return,
                Ok(SignalAction::Reload) => orders.reload(),
                Err(update) => self.apply(update),
            }
        }
    }

    /// The machines answer when they obey; all else is in force on return.
    fn apply(&self, update: Update<LiveSettings>) {
        let live = &update.settings;
        self.pool.grow(&live.limits);
        self.gate.set(GateRules::from(live));
        if live.reread {
            health::tell(&self.watch, live);
        }
        let settings = RelaySettings {
            limits: live.limits,
            access_key: live.policy.access_key.clone(),
            old_key: live.policy.old_key.map(|old| &*old.shown),
            lists: live.lists.clone(),
            rates: live.rates,
        };
        let in_force = update.in_force.clone();
        // A machine that does not run has no queue.
        let _ = self.relay.try_send(Update { settings, in_force });
        let _ = self.rendezvous.try_send(update);
    }
}
