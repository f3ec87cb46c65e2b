//! Dialling: an initiator asks, its target is told, the answer goes back. C39-C52, C55-C59.

mod answer;
mod askers;
mod fallback;
mod grants;
mod meetings;
mod punch;
mod steps;
#[cfg(feature = "accounts")]
mod terms;
#[cfg(not(feature = "accounts"))]
#[path = "no_terms.rs"]
mod terms;

pub(super) use answer::Elsewhere;
pub(super) use askers::Askers;
pub(super) use grants::Grants;
pub(super) use meetings::Meetings;
pub(super) use punch::Dial;
