//! Tokens that passed our signalling: a leg that brings one of them was sent here by us. It must
//! not know legs. C106.

use crate::base::address::Endpoint;
use crate::base::limits::{
    TOKEN_KNOWN_MS, TOKENS_KNOWN_MAX, TOKENS_PER_ADDRESS, TOKENS_PER_NETWORK,
};
use crate::base::peer::RelayToken;
use crate::base::table::{Seed, Table};
use crate::base::time::{Throttle, Time};

/// Tokens by their hash, and when they passed.
pub(super) struct KnownTokens {
    seed: Seed,
    tokens: Table<u64, Time>,
    addresses: Throttle,
    networks: Throttle,
}

impl KnownTokens {
    /// None yet; hashes are made under `seed`.
    pub(super) fn new(seed: Seed) -> Self {
        let throttle = || Throttle::new(TOKEN_KNOWN_MS, seed);
        let tokens = Table::new(TOKENS_KNOWN_MAX, seed);
        Self { seed, tokens, addresses: throttle(), networks: throttle() }
    }

    /// Remembers a token that somebody at `from` had passed on; false if there were too many from
    /// there, so that nobody pushes out those of others.
    pub(super) fn add(&mut self, now: Time, token: &RelayToken, from: Endpoint) -> bool {
        let source = from.prefix();
        let allowed = self.addresses.allow(now, source, TOKENS_PER_ADDRESS)
            && self.networks.allow(now, source.network(), TOKENS_PER_NETWORK);
        if allowed {
            self.tokens.insert_evicting(self.seed.hash(token), now);
        }
        allowed
    }

    /// Whether a token passed within [`TOKEN_KNOWN_MS`].
    pub(super) fn has(&self, now: Time, token: &RelayToken) -> bool {
        let passed = self.tokens.get(&self.seed.hash(token));
        passed.is_some_and(|at| now.since_ms(*at) <= TOKEN_KNOWN_MS)
    }
}
