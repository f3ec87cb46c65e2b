//! Values by their number, found by halving. Whoever gives the numbers out counts up, so nearly
//! all values come in order. Checks: here.

/// Values by number. Holds no memory while there are none.
pub(crate) struct Numbered<T>(Vec<(u64, T)>);

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Numbered<T> {
    /// Adds a value under a number that no other has.
    pub(crate) fn insert(&mut self, number: u64, value: T) {
        // Two that were numbered on one thread may come to another the other way round.
        let at = self.0.partition_point(|(before, _)| *before < number);
        self.0.insert(at, (number, value));
    }

    /// Takes a value out.
    pub(crate) fn remove(&mut self, number: u64) -> Option<T> {
        let at = self.0.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        let (_, value) = self.0.remove(at);
        if self.0.is_empty() {
            self.0 = Vec::new();
        }
        Some(value)
    }

    /// All of them, lowest number first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        self.0.iter().map(|(number, value)| (*number, value))
    }

    /// As [`Self::iter`].
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (u64, &mut T)> {
        self.0.iter_mut().map(|(number, value)| (*number, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_found_in_whatever_order_they_came() {
        let mut numbered = Numbered::default();
        for number in [1, 4, 2, 3] {
            numbered.insert(number, number * 10);
        }
        assert!(numbered.iter().eq([(1, &10), (2, &20), (3, &30), (4, &40)]));
        assert_eq!(
            [4, 4, 5, 2].map(|number| numbered.remove(number)),
            [Some(40), None, None, Some(20)]
        );
        assert!(numbered.iter_mut().map(|(number, _)| number).eq([1, 3]));
    }
}
