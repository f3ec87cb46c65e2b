//! Tokens that passed our signalling: a leg that brings one of them was sent here by us. It must
//! not know legs. C106.

use crate::base::address::{Endpoint, Prefix};
use crate::base::limits::{
    TOKEN_KNOWN_MS, TOKENS_KNOWN_MAX, TOKENS_PER_ADDRESS, TOKENS_PER_NETWORK,
};
use crate::base::peer::RelayToken;
use crate::base::table::{Seed, Table};
use crate::base::time::{Throttle, Time};

/// Tokens by their hash, and when they were noted; the oldest gives way.
pub(super) struct RecentTokens {
    seed: Seed,
    tokens: Table<u64, Time>,
}

impl RecentTokens {
    /// Room for `limit` tokens; hashes are made under `seed`.
    pub(super) fn new(limit: usize, seed: Seed) -> Self {
        Self { seed, tokens: Table::new(limit, seed) }
    }

    /// Notes one.
    pub(super) fn add(&mut self, now: Time, token: &RelayToken) {
        self.tokens.insert_evicting(self.seed.hash(token), now);
    }

    /// Whether it was noted within [`TOKEN_KNOWN_MS`].
    pub(super) fn has(&self, now: Time, token: &RelayToken) -> bool {
        let noted = self.tokens.get(&self.seed.hash(token));
        noted.is_some_and(|at| now.since_ms(*at) <= TOKEN_KNOWN_MS)
    }
}

/// Tokens that passed, so many of each address and network.
pub(super) struct KnownTokens {
    tokens: RecentTokens,
    addresses: Throttle,
    networks: Throttle,
}

impl KnownTokens {
    /// None yet; hashes are made under `seed`.
    pub(super) fn new(seed: Seed) -> Self {
        let throttle = || Throttle::new(TOKEN_KNOWN_MS, seed);
        let tokens = RecentTokens::new(TOKENS_KNOWN_MAX, seed);
        Self { tokens, addresses: throttle(), networks: throttle() }
    }

    /// Remembers a token that somebody at `from` had passed on; false if there were too many from
    /// there, so that nobody pushes out those of others.
    pub(super) fn add(&mut self, now: Time, token: &RelayToken, from: Endpoint) -> bool {
        let allowed = self.may_add(now, from.prefix());
        if allowed {
            self.tokens.add(now, token);
        }
        allowed
    }

    /// Counts one more token of a source; false if there were too many.
    pub(super) fn may_add(&mut self, now: Time, source: Prefix) -> bool {
        self.addresses.allow(now, source, TOKENS_PER_ADDRESS)
            && self.networks.allow(now, source.network(), TOKENS_PER_NETWORK)
    }

    /// Whether a token passed within [`TOKEN_KNOWN_MS`].
    pub(super) fn has(&self, now: Time, token: &RelayToken) -> bool {
        self.tokens.has(now, token)
    }
}
