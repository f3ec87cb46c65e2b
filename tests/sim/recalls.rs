//! Who may be asked, unheard, to register after a start: each device that was here over UDP at a
//! clean stop, once, where it was, four in 20 ms. C138.

use hbb_core::base::conn::Via;
use hbb_core::base::limits::{EFFECTS_MAX, RECALL_PAUSE_MS};

/// Those who were not asked yet.
#[derive(Default)]
pub(crate) struct Recalls {
    places: Vec<Via>,
    /// When some were asked last, and how many then.
    last: Option<(u64, usize)>,
}

impl Recalls {
    /// Of places where devices are present.
    pub(crate) fn of(present: impl Iterator<Item = Via>) -> Self {
        Self { places: present.filter(|via| matches!(via, Via::Datagram(_))).collect(), last: None }
    }

    /// Somebody is asked.
    pub(crate) fn take(&mut self, now: u64, via: Via) {
        let place = self.places.iter().position(|place| *place == via);
        self.places.remove(place.unwrap_or_else(|| panic!("{via:?} was asked and was not here")));
        let count = match self.last {
            Some((at, count)) if at == now => count + 1,
            Some((at, _)) => {
                assert!(now >= at + RECALL_PAUSE_MS, "asked at {at} and {now}");
                1
            }
            None => 1,
        };
        assert!(count <= EFFECTS_MAX, "{count} asked at {now}");
        self.last = Some((now, count));
    }
}
