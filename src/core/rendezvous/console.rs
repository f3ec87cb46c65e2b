//! The words of upstream's console that this server understands, for scripts that know it
//! (protocol §6.1). It must not know who may speak to it: the shell asks. C76.

use alloc::string::String;
use alloc::string::ToString as _;
use alloc::vec::Vec;

use super::Rendezvous;
use super::policy::{Ends, Policy};

/// What `h` prints.
const HELP: &str = "h\nrelay-servers(rs) <separated by ,>\nalways-use-relay(aur) <Y/N>\n\
                    test-geo(tg) <ip1> <ip2>\n";

/// What a console command led to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsoleAnswer {
    /// The text to answer; empty for setters and for what is not understood.
    pub text: String,
    /// Relays to hand out from now on, if the command changed them.
    pub relays: Option<Vec<String>>,
}

impl Rendezvous {
    /// Puts what was last set here, or at start, in place of what a policy says of it: who
    /// changes a limit or a ban changes nothing else (C76).
    pub fn keep_typed(&self, policy: &mut Policy) {
        policy.relays.clone_from(&self.policy.relays);
        policy.always_relay = self.policy.always_relay;
    }

    /// Carries out one line. `relays` reads a list as the flag does. A reload of the flags file
    /// undoes what was set here, and nothing else does.
    pub fn console(
        &mut self,
        line: &str,
        relays: fn(&str) -> Option<Vec<String>>,
    ) -> ConsoleAnswer {
        let mut words = line.split_whitespace();
        let (command, argument) = (words.next().unwrap_or_default(), words.next());
        let answer = |text: String| ConsoleAnswer { text, relays: None };
        match (command, argument) {
            ("h", _) => answer(HELP.into()),
            ("relay-servers" | "rs", None) => {
                let lines = self.policy.relays.iter().flat_map(|relay| [relay.as_str(), "\n"]);
                answer(lines.collect())
            }
            ("relay-servers" | "rs", Some(list)) => {
                let Some(relays) = relays(list) else { return ConsoleAnswer::default() };
                self.policy.relays.clone_from(&relays);
                ConsoleAnswer { text: String::new(), relays: Some(relays) }
            }
            ("always-use-relay" | "aur", None) => {
                answer(["ALWAYS_USE_RELAY: ", &self.policy.always_relay.to_string(), "\n"].concat())
            }
            ("always-use-relay" | "aur", Some(word)) => {
                self.policy.always_relay = word == "Y";
                ConsoleAnswer::default()
            }
            ("test-geo" | "tg", Some(initiator)) => {
                let target = words.next().unwrap_or(initiator);
                let (Ok(initiator), Ok(target)) = (initiator.parse(), target.parse()) else {
                    return ConsoleAnswer::default();
                };
                let turn = self.take_turn();
                let ends = Ends { initiator, target, target_web: false };
                answer(["\"", &self.policy.relay_for(ends, turn), "\""].concat())
            }
            _ => ConsoleAnswer::default(),
        }
    }
}
