//! What stands for `terms.rs` in a build without rules: whoever asks may.

use core::net::IpAddr;

use crate::base::conn::{Conn, Via};
use crate::base::peer::PeerId;
use crate::base::time::Time;
use crate::rendezvous::{Effects, Rendezvous};
use crate::wire::reply::Remarks;
use crate::wire::request::Given;

/// None.
#[derive(Clone, Copy)]
pub(super) struct Terms;

/// Who asks for whom, which makes no difference.
#[expect(dead_code, reason = "nobody is asked")]
pub(super) struct Asks<'a> {
    pub(super) via: Via,
    pub(super) from: IpAddr,
    pub(super) target: &'a Given<PeerId>,
    pub(super) relay: bool,
}

impl Rendezvous {
    pub(super) const fn terms(&self, _: Time, _: &Asks<'_>, _: &mut Effects) -> Option<Terms> {
        Some(Terms)
    }

    pub(super) fn remarks(&self, _: Terms) -> Remarks {
        Remarks::default()
    }

    pub(super) const fn bars_relay(&self, _: Time, _: (Via, Terms), _: &mut Effects) -> bool {
        false
    }

    pub(super) const fn withholds(&self, _: (Conn, Terms), _: bool, _: &mut Effects) -> bool {
        false
    }
}

impl Terms {
    pub(super) const fn is_relay_only(self) -> bool {
        false
    }
}
