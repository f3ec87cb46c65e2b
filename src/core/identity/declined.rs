//! Who cannot verify our offer of a sealed channel (protocol §4.8): a client without a key checks
//! it with another server's, hangs up, and comes again. It must not know connections. C121.

use core::net::IpAddr;

use crate::base::address::Prefix;
use crate::base::limits::{DECLINED_MAX, DECLINED_MS};
use crate::base::table::{Seed, Table};
use crate::base::time::Time;

/// Addresses where an offer was left unanswered of late, `DECLINED_MAX` at most.
pub struct Declined(Table<Prefix, Time>);

impl Declined {
    /// None yet; `seed` keys the table.
    pub fn new(seed: Seed) -> Self {
        Self(Table::new(DECLINED_MAX, seed))
    }

    /// Somebody at this address was made an offer and hung up without a word.
    pub fn note(&mut self, now: Time, ip: IpAddr) {
        self.0.insert_evicting(Prefix::of(ip), now);
    }

    /// Whether whoever comes from this address next is to go on in clear: once for each offer that
    /// was left, and within `DECLINED_MS`. Others there, who may have the key, get the offer.
    pub fn take(&mut self, now: Time, ip: IpAddr) -> bool {
        let left = self.0.remove(&Prefix::of(ip));
        left.is_some_and(|at| now.since_ms(at) <= DECLINED_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c121_an_offer_that_was_left_is_good_for_one_start_in_clear() {
        let mut declined = Declined::new(Seed(1, 2));
        let [one, near, other] =
            ["2001:db8::1", "2001:db8::2", "192.0.2.1"].map(|ip| ip.parse().unwrap());
        let (start, late) = (Time::START, Time::START.after_ms(DECLINED_MS));
        assert!(!declined.take(start, one));
        declined.note(start, one);
        declined.note(start, one);
        assert!(!declined.take(late, other));
        assert!(declined.take(late, near), "the same /64");
        assert!(!declined.take(late, one));
        declined.note(start, one);
        assert!(!declined.take(late.after_ms(1), one));
        assert!(!declined.take(start, one), "it is forgotten");
        for ip in 0..=u32::try_from(DECLINED_MAX).unwrap() {
            declined.note(start, IpAddr::from(ip.to_be_bytes()));
        }
        assert!(!declined.take(start, [0, 0, 0, 0].into()), "the oldest gives way");
        assert!(declined.take(start, [0, 0, 0, 1].into()));
    }
}
