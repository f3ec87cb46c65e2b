//! Tokens of users that are logged in. A token is 32 random bytes in hexadecimal digits; what is
//! kept and stored is its hash (BLAKE2b), under whose digits its row lies, behind a `t`. C166,
//! C168.

use alloc::string::String;
use alloc::vec::Vec;

use blake2::digest::consts::U32;
use blake2::{Blake2b, Digest as _};
use ct_codecs::{Decoder as _, Encoder as _, Hex};

use crate::accounts::call::Changes;
use crate::accounts::row::{RowWriter, fields};
use crate::base::limits::{
    PAGE_DEVICE, PAGE_SESSION_SECS, PAGE_SESSIONS_MAX, TOKEN_SECS, TOKENS_MAX, TOKENS_PER_USER,
};
use crate::base::table::{Seed, Table};

/// What the keys of tokens begin with.
pub(in crate::accounts) const TOKEN_KEY: u8 = b't';

/// What a token is kept as.
pub(in crate::accounts) type TokenHash = [u8; 32];

/// One that was given to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::accounts) struct Token {
    pub(in crate::accounts) user: String,
    /// The client's device, by its own account.
    pub(in crate::accounts) device: String,
    /// Unix time, in seconds.
    pub(in crate::accounts) given_secs: u64,
    /// When it is good no more.
    pub(in crate::accounts) until_secs: u64,
}

impl Token {
    fn row(&self) -> Vec<u8> {
        let mut row = RowWriter::new();
        row.field(1, self.user.as_bytes());
        row.field(2, self.device.as_bytes());
        row.field(3, &self.given_secs.to_le_bytes());
        row.field(4, &self.until_secs.to_le_bytes());
        row.end()
    }

    fn read(row: &[u8]) -> Self {
        let (mut user, mut device, mut given_secs, mut until_secs) =
            (String::new(), String::new(), 0, 0);
        for (number, contents) in fields(row) {
            let text = || String::from(core::str::from_utf8(contents).unwrap_or_default());
            let secs = || contents.try_into().map_or(0, u64::from_le_bytes);
            match number {
                1 => user = text(),
                2 => device = text(),
                3 => given_secs = secs(),
                4 => until_secs = secs(),
                _ => {}
            }
        }
        Self { user, device, given_secs, until_secs }
    }
}

/// All of them, by hash, the oldest first.
pub(in crate::accounts) struct Tokens {
    table: Table<TokenHash, Token>,
}

impl Tokens {
    pub(in crate::accounts) fn new(seed: Seed) -> Self {
        Self { table: Table::new(TOKENS_MAX, seed) }
    }

    pub(in crate::accounts) fn len(&self) -> usize {
        self.table.len()
    }

    /// How many a user has.
    pub(in crate::accounts) fn of(&self, user: &str) -> usize {
        self.table.iter().filter(|(_, token)| token.user == user).count()
    }

    /// Whether a user has one on a device.
    pub(in crate::accounts) fn has(&self, user: &str, device: &str) -> bool {
        self.table.iter().any(|(_, token)| token.user == user && token.device == device)
    }

    /// The token that is shown, if it was given and is good still.
    pub(in crate::accounts) fn get(&self, shown: &str, now_secs: u64) -> Option<&Token> {
        self.table.get(&hash(shown.as_bytes())).filter(|token| token.until_secs > now_secs)
    }

    /// Gives a new one, made from `secret`, in place of that of the same device; browsers may be
    /// [`PAGE_SESSIONS_MAX`]. Where the user has too many, or all have, the oldest goes.
    pub(in crate::accounts) fn give(
        &mut self,
        (user, device): (&str, &str),
        secret: [u8; 32],
        now_secs: u64,
        changes: &mut Changes,
    ) -> String {
        let is_same =
            |token: &Token| token.user == user && token.device == device && !device.is_empty();
        let (most, secs) = match device {
            PAGE_DEVICE => (PAGE_SESSIONS_MAX, PAGE_SESSION_SECS),
            _ => (1, TOKEN_SECS),
        };
        self.take_all(changes, |token| token.until_secs <= now_secs);
        while self.table.iter().filter(|(_, token)| is_same(token)).count() >= most {
            self.take_oldest(changes, is_same);
        }
        while self.of(user) >= TOKENS_PER_USER {
            self.take_oldest(changes, |token| token.user == user);
        }
        while self.table.is_full() {
            self.take_oldest(changes, |_| true);
        }
        let text = text(secret);
        let key = hash(text.as_bytes());
        let until_secs = now_secs.saturating_add(secs);
        let token =
            Token { user: user.into(), device: device.into(), given_secs: now_secs, until_secs };
        changes.put(row_key(&key), None, Some(token.row()));
        // There is room.
        let _ = self.table.insert(key, token);
        text
    }

    /// Takes back the one that is shown.
    pub(in crate::accounts) fn take(&mut self, shown: &str, changes: &mut Changes) {
        self.remove(&hash(shown.as_bytes()), changes);
    }

    /// Takes back those for which `which` holds.
    pub(in crate::accounts) fn take_all(
        &mut self,
        changes: &mut Changes,
        which: impl Fn(&Token) -> bool,
    ) {
        let those = self.table.iter().filter(|(_, token)| which(token)).map(|(key, _)| *key);
        for key in those.collect::<Vec<_>>() {
            self.remove(&key, changes);
        }
    }

    fn take_oldest(&mut self, changes: &mut Changes, which: impl Fn(&Token) -> bool) {
        let oldest = self.table.iter().find(|(_, token)| which(token)).map(|(key, _)| *key);
        if let Some(key) = oldest {
            self.remove(&key, changes);
        }
    }

    fn remove(&mut self, key: &TokenHash, changes: &mut Changes) {
        if let Some(token) = self.table.remove(key) {
            changes.put(row_key(key), Some(token.row()), None);
        }
    }

    /// What a row says; the key is without its first byte.
    pub(in crate::accounts) fn load(&mut self, digits: &[u8], row: Option<&[u8]>) -> bool {
        let mut key = TokenHash::default();
        if Hex::decode(&mut key, digits, None).map_or(0, <[u8]>::len) < key.len() {
            return false;
        }
        match row.map(Token::read) {
            Some(token) => self.table.insert(key, token).is_ok(),
            None => {
                self.table.remove(&key);
                true
            }
        }
    }
}

fn row_key(key: &TokenHash) -> Vec<u8> {
    [&[TOKEN_KEY][..], text(*key).as_bytes()].concat()
}

/// A secret or its hash in digits, as a client shows it.
pub(in crate::accounts) fn text(secret: [u8; 32]) -> String {
    let mut digits = [0; 64];
    // There is room.
    Hex::encode_to_str(&mut digits, secret).unwrap_or_default().into()
}

/// What a secret that is random itself is kept as.
pub(in crate::accounts) fn hash(secret: &[u8]) -> TokenHash {
    Blake2b::<U32>::digest(secret).into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::string_slice)]

    use super::*;

    const NOW: u64 = 1_800_000_000;

    #[test]
    fn c168_a_token_is_good_until_its_time_and_no_row_shows_it() {
        let (mut tokens, mut changes) = (Tokens::new(Seed(1, 2)), Changes::default());
        let text = tokens.give(("anna", "111111111"), [7; 32], NOW, &mut changes);
        assert_eq!(text.len(), 64);
        let row = &changes.rows[0];
        let all = [&row.key[..], row.value.as_deref().unwrap()].concat();
        assert!(!all.windows(32).any(|part| part == [7; 32] || part == &text.as_bytes()[..32]));
        assert_eq!(tokens.get(&text, NOW).map(|token| &*token.user), Some("anna"));
        assert!(tokens.get(&text, NOW + TOKEN_SECS - 1).is_some());
        assert!(tokens.get(&text, NOW + TOKEN_SECS).is_none());
        assert!(tokens.get(text.split_at(1).1, NOW).is_none());
        // As after a start.
        let mut again = Tokens::new(Seed(3, 4));
        assert!(again.load(&row.key[1..], row.value.as_deref()));
        assert_eq!(again.get(&text, NOW), tokens.get(&text, NOW));
        assert!(!again.load(b"short", row.value.as_deref()));
    }

    #[test]
    fn c168_the_oldest_gives_way_of_one_user_and_of_all() {
        let (mut tokens, mut changes) = (Tokens::new(Seed(1, 2)), Changes::default());
        let mut give = |user: &str, number: usize, changes: &mut Changes| {
            let mut secret = [0; 32];
            secret[..8].copy_from_slice(&number.to_le_bytes());
            tokens.give((user, &alloc::format!("{number}")), secret, NOW, changes)
        };
        let first = give("anna", 0, &mut changes);
        for number in 1..=TOKENS_PER_USER {
            give("anna", number, &mut changes);
        }
        let mut number = TOKENS_PER_USER;
        while number <= 2 * TOKENS_MAX {
            number += 1;
            give(&alloc::format!("user{}", number / TOKENS_PER_USER), number, &mut changes);
        }
        assert!(tokens.get(&first, NOW).is_none());
        assert_eq!(tokens.len(), TOKENS_MAX);
        // The rows tell the same.
        let mut rows = alloc::collections::BTreeMap::new();
        for row in changes.rows {
            match row.value {
                Some(value) => drop(rows.insert(row.key, value)),
                None => assert!(rows.remove(&row.key).is_some()),
            }
        }
        assert_eq!(rows.len(), TOKENS_MAX);
    }

    #[test]
    fn c168_a_device_has_one_token_and_a_user_may_lose_all() {
        let (mut tokens, mut changes) = (Tokens::new(Seed(1, 2)), Changes::default());
        let before = tokens.give(("anna", "1"), [1; 32], NOW, &mut changes);
        let now = tokens.give(("anna", "1"), [2; 32], NOW, &mut changes);
        let other = tokens.give(("bert", "1"), [3; 32], NOW, &mut changes);
        assert!(tokens.get(&before, NOW).is_none() && tokens.get(&now, NOW).is_some());
        tokens.take_all(&mut changes, |token| token.user == "anna");
        assert!(tokens.get(&now, NOW).is_none() && tokens.get(&other, NOW).is_some());
        tokens.take(&other, &mut changes);
        assert_eq!(tokens.len(), 0);
    }

    #[test]
    fn c209_a_user_has_the_page_open_in_some_browsers_for_a_day() {
        let (mut tokens, mut changes) = (Tokens::new(Seed(1, 2)), Changes::default());
        let mut number = 0;
        let mut give = |tokens: &mut Tokens, device: &str| {
            number += 1;
            tokens.give(("anna", device), [number; 32], NOW, &mut changes)
        };
        let client = give(&mut tokens, "123456789");
        let browsers: Vec<_> =
            (0..=PAGE_SESSIONS_MAX).map(|_| give(&mut tokens, PAGE_DEVICE)).collect();
        let is_good = |token: &String, secs| tokens.get(token, NOW + secs).is_some();
        assert!(is_good(&client, 0) && !is_good(&browsers[0], 0));
        assert!(browsers[1..].iter().all(|token| is_good(token, PAGE_SESSION_SECS - 1)));
        assert!(browsers.iter().all(|token| !is_good(token, PAGE_SESSION_SECS)));
        assert!(is_good(&client, PAGE_SESSION_SECS));
    }
}
