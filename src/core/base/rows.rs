//! Rows of the store beside its devices: bytes under a key, of which the first byte says whose row
//! it is. What the others and the value mean is that owner's. C165.

use alloc::vec::Vec;

/// What stands under a key from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowChange {
    /// At least one byte, and UTF-8, as the keys of devices are.
    pub key: Vec<u8>,
    /// None: nothing.
    pub value: Option<Vec<u8>>,
}
