//! Which peers are here (protocol §4.3). Whoever could ask for many ids would soon know all that
//! are used, so that an address may ask for so many and no more. C36-C38, C112.

use alloc::vec::Vec;

use crate::base::address::Endpoint;
use crate::base::conn::Via;
use crate::base::counters::DropReason;
use crate::base::limits::{
    ONLINE_IDS_MAX, ONLINE_IDS_OF_STRANGER_MAX, ONLINE_IDS_OF_STRANGERS_MAX, ONLINE_WINDOW_MS,
};
use crate::base::time::Time;
use crate::wire::reply::Reply;
use crate::wire::request::OnlineQuery;

use super::{Effects, Rendezvous, reply};

impl Rendezvous {
    /// One bit for each id, most significant first. Who asks too much is not answered at all:
    /// zeros would say that nobody is here.
    pub(super) fn online(
        &mut self,
        now: Time,
        via: Via,
        query: OnlineQuery<'_>,
        effects: &mut Effects,
    ) -> Result<(), DropReason> {
        if matches!(via, Via::Datagram(_)) {
            // Its answer could be longer than twice the request (C24).
            return Err(DropReason::Unexpected);
        }
        let from = self.source(via)?;
        self.may_ask(now, from, query)?;
        let mut states = Vec::with_capacity(query.count().div_ceil(8));
        for (index, id) in query.ids().enumerate() {
            let here =
                id.and_then(|id| self.present(now, &id, self.registry.found(&id)?)).is_some();
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

    /// Counts what is asked for, if it is not too much.
    fn may_ask(
        &mut self,
        now: Time,
        from: Endpoint,
        query: OnlineQuery<'_>,
    ) -> Result<(), DropReason> {
        let count = u16::try_from(query.count()).map_err(|_| DropReason::TooFrequent)?;
        let known = self.is_at(now, from, query) || self.dialled(now, from);
        let limit = if known { ONLINE_IDS_MAX } else { ONLINE_IDS_OF_STRANGER_MAX };
        let (source, in_all) = (from.prefix(), ONLINE_IDS_OF_STRANGERS_MAX);
        let allowed = self.online.allow_many(now, source, limit, count)
            && (known || self.online_strangers.allow_many(now, ONLINE_WINDOW_MS, in_all, count));
        if allowed { Ok(()) } else { Err(DropReason::TooFrequent) }
    }

    /// Whether who asks is the device it says it is, as far as its address tells.
    fn is_at(&self, now: Time, from: Endpoint, query: OnlineQuery<'_>) -> bool {
        let device = query.asker().and_then(|id| self.present(now, &id, self.registry.peer(&id)?));
        device.is_some_and(|here| here.from.prefix() == from.prefix())
    }

    /// Whether this address was let through to a target a short while ago.
    fn dialled(&self, now: Time, from: Endpoint) -> bool {
        self.grants.any_of(now, from.prefix())
    }
}
