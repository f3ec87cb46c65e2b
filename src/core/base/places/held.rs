//! How many places one address or network holds. C101.

/// Its connections, by what becomes of them.
#[derive(Clone, Copy, Default)]
pub(super) struct Held {
    newcomers: u32,
    /// Tied to nothing either, but from a known address.
    known: u32,
    pub(super) tied: u32,
}

impl Held {
    pub(super) const fn loose(&self) -> usize {
        self.newcomers as usize + self.known as usize
    }

    pub(super) const fn is_nothing(&self) -> bool {
        self.loose() == 0 && self.tied == 0
    }

    pub(super) const fn of_kind(&self, known: bool) -> u32 {
        if known { self.known } else { self.newcomers }
    }

    pub(super) const fn kind(&mut self, known: bool) -> &mut u32 {
        if known { &mut self.known } else { &mut self.newcomers }
    }
}

/// One less.
pub(super) const fn take(count: &mut u32) {
    *count = count.saturating_sub(1);
}
