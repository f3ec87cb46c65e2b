//! `serve`: loads the key and ends. Stands in until the shell is there.

use super::{Exit, keygen};
use crate::config::Config;

/// Settles the keys.
pub fn run(config: Config) -> Result<(), Exit> {
    keygen::policy(&config).map(drop)
}
