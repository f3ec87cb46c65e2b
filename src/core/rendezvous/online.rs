//! Which peers are here (protocol §4.3). C36-C38.

use alloc::vec::Vec;

use crate::base::conn::Via;
use crate::base::counters::DropReason;
use crate::base::limits::ONLINE_IDS_MAX;
use crate::base::time::Time;
use crate::wire::reply::Reply;
use crate::wire::request::OnlineQuery;

use super::{Effects, Rendezvous, reply};

impl Rendezvous {
    /// One bit for each id, most significant first; ids past [`ONLINE_IDS_MAX`] read as offline,
    /// but have their bits, since clients index without looking.
    pub(super) fn online(
        &self,
        now: Time,
        via: Via,
        query: OnlineQuery<'_>,
        effects: &mut Effects,
    ) -> Result<(), DropReason> {
        if matches!(via, Via::Datagram(_)) {
            // Its answer could be longer than twice the request (C24).
            return Err(DropReason::Unexpected);
        }
        let mut states = Vec::new();
        for (index, id) in query.ids().enumerate() {
            let here = index < ONLINE_IDS_MAX
                && id.and_then(|id| self.present(now, &id, self.registry.peer(&id)?)).is_some();
            if index % 8 == 0 {
                states.push(0);
            }
            if let Some(last) = states.last_mut().filter(|_| here) {
                *last |= 0x80_u8 >> (index % 8);
            }
        }
        reply(effects, via, Reply::Online(states));
        Ok(())
    }
}
