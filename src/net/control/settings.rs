//! The owner of the settings: what signals and operators change is read, kept on disk and then
//! sent to those who hold values of it. Nothing is done before all of them say so.
//! Checks: C71, C72, tests/ctl.rs, tests/notify.rs.

use hbb_core::base::address::Banned;
use log::{info, warn};

use super::owners::BUSY;
use crate::log::OPERATOR;
use crate::net::clock::{is_set, unix_secs};
use crate::net::message::{Answer, Update};
use crate::net::process::supervisor::Supervisor;
use crate::net::tasks::queue::{Sender, bounded};
use crate::settings::{LiveSettings, RelayList, RunningSettings};

/// How often the wall clock is looked at while something is to end by it, in seconds.
const LOOK_SECS: u64 = 3_600;

/// Owns the settings while we run. It blocks: it belongs on a thread that serves nobody.
pub struct SettingsOwner {
    /// What may change.
    pub settings: RunningSettings,
    /// To the serving thread.
    pub updates: Sender<Update<LiveSettings>>,
    /// How many machines run, 1 or 2: each answers when it obeys.
    pub machines: usize,
    /// Who started us.
    pub(crate) supervisor: &'static Supervisor,
}

impl SettingsOwner {
    /// Reads flags file and lists again.
    ///
    /// # Errors
    /// What to tell the operator; nothing was changed.
    pub(super) fn reload(&mut self) -> Result<String, String> {
        self.supervisor.reloading();
        let reloaded = self.settings.reload().and_then(|(live, fixed)| {
            self.put_in_force(live)?;
            Ok(fixed)
        });
        self.supervisor.ready();
        match reloaded {
            Ok(fixed) => {
                for flag in &fixed {
                    warn!(target: OPERATOR, "restart-needed flag={flag}");
                }
                info!(target: OPERATOR, "reloaded");
                Ok(match fixed.as_slice() {
                    [] => "Reloaded.".into(),
                    flags => ["Reloaded. Only a restart changes: ", &flags.join(" ")].concat(),
                })
            }
            Err(said) => {
                for line in said.lines() {
                    warn!(target: OPERATOR, "reload-refused cause='{line}'");
                }
                Err(said)
            }
        }
    }

    /// Changes a limit until the next reload or start.
    ///
    /// # Errors
    /// As for [`Self::reload`].
    pub(super) fn set_limit(&mut self, name: &str, value: &str) -> Result<String, String> {
        let live = self.settings.set_limit(name, value)?;
        self.put_in_force(live)?;
        // The open files may allow less than was asked for.
        let limits = self.settings.limit_texts();
        let value = limits.iter().find(|(known, _)| *known == name).map_or(value, |(_, now)| now);
        Ok([name, " is ", value, " until the next reload or start."].concat())
    }

    /// Puts addresses into one of the relay's lists, or takes them out, until the next reload or
    /// start.
    pub(super) fn change_list(&mut self, list: RelayList, text: &str, is_in: bool) {
        if let Some(live) = self.settings.change_list(list, text, is_in) {
            drop(self.put_in_force(live));
        }
    }

    /// Shuts somebody out or lets them in again, on disk first.
    ///
    /// # Errors
    /// As for [`Self::reload`].
    pub(super) fn ban(&mut self, what: &str, banned: bool) -> Result<String, String> {
        let live = self.settings.ban(what, banned)?;
        self.put_in_force(live)?;
        let what = Banned::parse(what).map_or_else(String::new, |banned| banned.to_string());
        Ok([what.as_str(), if banned { " is shut out." } else { " is let in again." }].concat())
    }

    /// For how long nothing need be done, in seconds; None for ever. The wall clock may be set
    /// meanwhile, so it is looked at once an hour.
    pub(super) fn idle_secs(&self) -> Option<u64> {
        let until = self.settings.old_key_until()?;
        Some(until.saturating_sub(unix_secs()).clamp(1, LOOK_SECS))
    }

    /// Ends what is over: the key before the present one.
    pub(super) fn end_what_is_over(&mut self) {
        let now = unix_secs();
        if is_set(now) && self.settings.old_key_until().is_some_and(|until| until <= now) {
            let live = self.settings.end_rotation();
            warn!(target: OPERATOR, "key-rotation-ended");
            drop(self.put_in_force(live));
        }
    }

    /// Hands out new settings and waits until every machine that runs obeys them.
    fn put_in_force(&mut self, settings: LiveSettings) -> Result<(), String> {
        let (in_force, answers) = bounded(self.machines.max(1));
        let sent = self.updates.try_send(Update { settings, in_force });
        let obeyed = |_| matches!(answers.recv_blocking(), Some(Answer::InForce));
        if sent.is_err() || !(0..self.machines).all(obeyed) {
            return Err(BUSY.into());
        }
        self.settings.are_in_force();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::Arc;
    use std::thread::{self, JoinHandle};
    use std::time::Duration;

    use hbb_core::identity::KeyPolicy;

    use super::*;
    use crate::cli::ServeFlags;
    use crate::config::Config;
    use crate::net::message::AnswerTo;
    use crate::net::tasks::lasting;
    use crate::net::tasks::queue::Receiver;

    /// The owner of settings in an empty folder, and what it sends to the serving thread.
    fn owner(name: &str) -> (SettingsOwner, Receiver<Update<LiveSettings>>) {
        let data = std::env::temp_dir().join(format!("hbb-{name}-{}", std::process::id()));
        drop(fs::remove_dir_all(&data));
        fs::create_dir(&data).unwrap();
        let flags = ServeFlags { data: data.to_str().map(str::to_owned), ..ServeFlags::default() };
        let keys = KeyPolicy { signing: None, enforced: None, old: None };
        let config = Config::new(&Arc::new(flags), None).unwrap();
        let settings = RunningSettings::new(config, keys, usize::MAX).unwrap();
        let (updates, serving) = bounded(1);
        let supervisor = lasting(Supervisor::find());
        (SettingsOwner { settings, updates, machines: 2, supervisor }, serving)
    }

    type Operator = JoinHandle<Result<String, String>>;

    /// An operator bans somebody; those who wait for the two machines.
    fn ban(name: &str) -> (Operator, [AnswerTo; 2]) {
        let (mut owner, serving) = owner(name);
        let operator = thread::spawn(move || owner.ban("192.0.2.1", true));
        let Update { settings, in_force } = serving.recv_blocking().unwrap();
        assert!(settings.policy.bans.has_ip("192.0.2.1".parse().unwrap()));
        assert!(settings.lists.refuse("192.0.2.1".parse().unwrap()));
        (operator, [in_force.clone(), in_force])
    }

    #[test]
    fn nobody_is_shut_out_before_both_machines_say_so() {
        let (operator, [rendezvous, relay]) = ban("both");
        rendezvous.try_send(Answer::InForce).unwrap();
        drop(rendezvous);
        // The relay has not come to it yet.
        thread::sleep(Duration::from_millis(200));
        assert!(!operator.is_finished());
        relay.try_send(Answer::InForce).unwrap();
        assert_eq!(operator.join().unwrap().as_deref(), Ok("192.0.2.1 is shut out."));
    }

    #[test]
    fn a_machine_that_ended_makes_no_promise() {
        let (operator, [rendezvous, relay]) = ban("one");
        rendezvous.try_send(Answer::InForce).unwrap();
        drop((rendezvous, relay));
        assert_eq!(operator.join().unwrap(), Err(BUSY.into()));
    }
}
