//! Dialling: an initiator asks, its target is told, the answer goes back. C39-C52, C55-C59.

mod answer;
mod fallback;
mod punch;

pub(super) use answer::Elsewhere;
pub(super) use punch::Dial;
