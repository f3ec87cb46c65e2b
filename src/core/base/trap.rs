//! What to do about our own mistakes: panic where a developer looks, cost one request elsewhere.

/// A broken invariant of ours: never the peer's fault, never the operator's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bug;

impl core::fmt::Display for Bug {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.write_str("internal error, please report it")
    }
}

/// Turns "cannot happen" into a panic in debug builds and an error in release builds.
pub trait Trap<T> {
    /// The value, or [`Bug`] (a panic in debug builds) if there is none.
    fn trap(self) -> Result<T, Bug>;
}

impl<T> Trap<T> for Option<T> {
    #[track_caller]
    fn trap(self) -> Result<T, Bug> {
        debug_assert!(self.is_some(), "broken invariant");
        self.ok_or(Bug)
    }
}

impl<T, E> Trap<T> for Result<T, E> {
    #[track_caller]
    fn trap(self) -> Result<T, Bug> {
        debug_assert!(self.is_ok(), "broken invariant");
        self.map_err(|_| Bug)
    }
}
