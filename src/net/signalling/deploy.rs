//! Devices that show a code, or an administrator's token, as they are deployed: the one call of the
//! API that is the rendezvous' business. It is answered when the device is stored. C187.

use hbb_core::accounts::call::{Answer as Called, HttpCall, Method, Source};
use hbb_core::base::limits::DEPLOYS_WAITING_MAX;
use hbb_core::base::peer::PeerId;
use hbb_core::rendezvous::{Deployed, Deployment, Event};

use super::Signalling;
use crate::net::message::{Answer, AnswerTo};

const PATH: &str = "/api/devices/deploy";

const WRONG_CODE: &str = "The code is wrong, used up, or over: 'hbb ctl invite' makes another.";
const BUSY: &str = "The server could not store this. Try again.";

/// Who waits for a device to be stored.
pub(super) type Waiting = Vec<(PeerId, AnswerTo)>;

impl Signalling {
    /// Takes a call that deploys a device; gives back who waits for the answer to any other.
    pub(super) fn deploys(
        &mut self,
        call: &HttpCall,
        source: Source,
        to: AnswerTo,
    ) -> Option<AnswerTo> {
        let path = call.target.split('?').next().unwrap_or_default();
        if call.method != Method::Post || path != PATH || !self.accounts.are_on() {
            return Some(to);
        }
        let code = call.token.as_deref().unwrap_or_default();
        let is_admin = self.accounts.is_admin(code);
        let wish = Deployment { from: source.ip, code, is_admin, body: &call.body };
        let now = self.clock.now();
        let deployed = match self.deploying.len() < DEPLOYS_WAITING_MAX {
            true => self.machine.deploy(now, &wish, &mut self.effects),
            false => Deployed::Busy,
        };
        let outcome = match deployed {
            Deployed::Saving(id) => {
                self.deploying.push((id, to));
                return None;
            }
            Deployed::Known => Ok("OK"),
            Deployed::NotEnabled => Ok("NOT_ENABLED"),
            Deployed::InvalidInput => Ok("INVALID_INPUT"),
            Deployed::IdTaken => Ok("ID_TAKEN"),
            Deployed::WrongCode => Err(WRONG_CODE),
            Deployed::Busy => Err(BUSY),
        };
        tell(&to, outcome);
        None
    }

    /// Tells those who wait for it what became of a device.
    pub(super) fn tell_deployed(&mut self, event: &Event) {
        let (id, is_stored) = match event {
            Event::PeerApproved { id } => (id, true),
            Event::SaveFailed { id } => (id, false),
            _ => return,
        };
        self.deploying.retain(|(waiting, to)| {
            if waiting == id {
                tell(to, if is_stored { Ok("OK") } else { Err(BUSY) });
            }
            waiting != id
        });
    }
}

/// Tells what clients read (protocol §9.5): a word for what became of it, or a sentence.
fn tell(to: &AnswerTo, outcome: Result<&str, &str>) {
    let said = match outcome {
        Ok(word) => Called::json([r#"{"result":""#, word, r#""}"#].concat().into_bytes()),
        Err(said) => Called::error(said),
    };
    let _ = to.try_send(Answer::Called(said));
}
