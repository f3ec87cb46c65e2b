//! What an operator's rules say for a while, and the rule "no push and no answer passes a deny":
//! one id that nobody may dial, or by one path alone.

use std::sync::Arc;

use hbb_core::base::peer::PeerId;
use hbb_core::rules::Rules;
use hbb_core::wire::reply::Reply;

use crate::cause::{Cause, Kind};
use crate::say::{self, Body};

/// What one rule says of its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    Never,
    Directly,
    ByRelay,
}

/// The rule in force, if there is one, and since when.
#[derive(Default)]
pub(crate) struct Denials {
    rule: Option<(PeerId, Says)>,
    since: u64,
    pub(crate) refused: u64,
}

impl Denials {
    /// From `now` on another rule holds, or none; gives what the machine is told.
    pub(crate) fn set(&mut self, now: u64, rule: Option<(PeerId, Says)>) -> Option<Arc<Rules>> {
        let text = rule.as_ref().map(|(id, says)| match says {
            Says::Never => format!("deny to=id={id}"),
            Says::Directly => format!("allow to=id={id} only=direct"),
            Says::ByRelay => format!("allow to=id={id} only=relay"),
        });
        (self.rule, self.since) = (rule, now);
        text.map(|text| Arc::new(Rules::parse(&text).unwrap()))
    }

    /// Judges what is sent because of `cause`; `asked` is whom its recipient waits for, and since
    /// when, if it waits.
    pub(crate) fn judge(&mut self, cause: &Cause, asked: Option<(&PeerId, u64)>, reply: &Reply) {
        let says = |of: &PeerId| self.rule.as_ref().filter(|(id, _)| id == of).map(|(_, it)| *it);
        let wanted = match &cause.kind {
            Kind::Punch(Some(id), true) | Kind::Relay(Some(id)) => says(id),
            _ => None,
        };
        // Whoever asked before the rule held is answered.
        let waits = asked.filter(|(_, at)| *at > self.since).and_then(|(id, _)| says(id));
        match (reply, message(reply)) {
            (Reply::Denied { .. }, _) => {
                assert!(wanted.is_some() || asked.is_some(), "nothing is denied: {cause:?}");
                self.refused += 1;
            }
            (Reply::FetchLocalAddr { .. }, _) => {
                assert!(matches!(wanted, None | Some(Says::Directly)), "{wanted:?}: {cause:?}");
            }
            (Reply::Punch(punch), _) => {
                let right = match wanted {
                    None => true,
                    Some(Says::Never) => false,
                    Some(Says::Directly) => !punch.force_relay,
                    Some(Says::ByRelay) => punch.force_relay && punch.v6.is_none(),
                };
                assert!(right, "{wanted:?}: {cause:?}");
            }
            (_, Some(Body::RequestRelay(_))) => {
                assert!(matches!(wanted, None | Some(Says::ByRelay)), "{wanted:?}: {cause:?}");
            }
            (Reply::PunchAnswer(_), _) => {
                assert!(matches!(waits, None | Some(Says::Directly)), "{waits:?}: {cause:?}");
            }
            (_, Some(Body::RelayResponse(_))) => {
                assert!(matches!(waits, None | Some(Says::ByRelay)), "{waits:?}: {cause:?}");
            }
            _ => {}
        }
    }
}

/// What is forwarded.
fn message(reply: &Reply) -> Option<Body> {
    match reply {
        Reply::Forward(payload) => Some(say::read(payload)),
        _ => None,
    }
}
