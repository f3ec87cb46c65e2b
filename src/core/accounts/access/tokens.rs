//! Tokens of users that are logged in. A token is 32 random bytes in hexadecimal digits; what is
//! kept and stored is its hash (BLAKE2b), under whose digits its row lies, behind a `t`. C166,
//! C168.

use alloc::string::String;
use alloc::vec::Vec;

use blake2::Blake2bVar;
use blake2::digest::{Update as _, VariableOutput as _};
use ct_codecs::{Encoder as _, Hex};

use crate::accounts::call::Changes;
use crate::accounts::row::{Row, Rows, row};
use crate::base::limits::{
    PAGE_DEVICE, PAGE_SESSION_SECS, PAGE_SESSIONS_MAX, TOKEN_SECS, TOKENS_MAX, TOKENS_PER_USER,
};

/// What the keys of tokens begin with.
pub(in crate::accounts) const TOKEN_KEY: u8 = b't';

/// The field of the client's device.
const DEVICE: u8 = 2;

/// What a token is kept as.
pub(in crate::accounts) type TokenHash = [u8; 32];

/// One that was given to a client, as its row says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::accounts) struct Token<'a>(Row<'a>);

impl<'a> Token<'a> {
    pub(in crate::accounts) fn user(self) -> &'a str {
        self.0.text(1)
    }

    /// The client's device, by its own account.
    fn device(self) -> &'a str {
        self.0.text(DEVICE)
    }

    /// Unix time, in seconds; where several were given within one, those behind it, so that it is
    /// known which is the oldest.
    fn given_secs(self) -> u64 {
        self.0.number(3)
    }

    /// When it is good no more.
    fn until_secs(self) -> u64 {
        self.0.number(4)
    }
}

/// All of them, by the digits of their hashes.
pub(in crate::accounts) struct Tokens {
    rows: Rows,
}

impl Tokens {
    pub(in crate::accounts) const fn new() -> Self {
        Self { rows: Rows::new(TOKEN_KEY, TOKENS_MAX) }
    }

    pub(in crate::accounts) fn len(&self) -> usize {
        self.rows.len()
    }

    fn iter(&self) -> impl Iterator<Item = (&str, Token<'_>)> {
        self.rows.iter().map(|(digits, row)| (digits, Token(row)))
    }

    /// How many a user has.
    pub(in crate::accounts) fn of(&self, user: &str) -> usize {
        self.iter().filter(|(_, token)| token.user() == user).count()
    }

    /// Whether a user has one on a device.
    pub(in crate::accounts) fn has(&self, user: &str, device: &str) -> bool {
        self.iter().any(|(_, token)| token.user() == user && token.device() == device)
    }

    /// The token that is shown, if it was given and is good still.
    pub(in crate::accounts) fn get(&self, shown: &str, now_secs: u64) -> Option<Token<'_>> {
        let token = Token(self.rows.get(&text(hash(shown.as_bytes())))?);
        (token.until_secs() > now_secs).then_some(token)
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
        let is_named = !device.is_empty();
        let is_same =
            |token: Token<'_>| is_named && token.user() == user && token.device() == device;
        let (most, secs) = match device {
            PAGE_DEVICE => (PAGE_SESSIONS_MAX, PAGE_SESSION_SECS),
            _ => (1, TOKEN_SECS),
        };
        self.keep(0, changes, &|token| token.until_secs() <= now_secs);
        self.keep(most - 1, changes, &is_same);
        self.keep(TOKENS_PER_USER - 1, changes, &|token| token.user() == user);
        self.keep(TOKENS_MAX - 1, changes, &|_| true);
        let newest = self.iter().map(|(_, token)| token.given_secs()).max();
        let given_secs = newest.map_or(now_secs, |newest| now_secs.max(newest.saturating_add(1)));
        let text = text(secret);
        let until_secs = now_secs.saturating_add(secs);
        let row = row(&[
            (1, user.as_bytes()),
            (DEVICE, device.as_bytes()),
            (3, &given_secs.to_le_bytes()),
            (4, &until_secs.to_le_bytes()),
        ]);
        // There is room.
        self.rows.put(&self::text(hash(text.as_bytes())), Some(row), changes);
        text
    }

    /// A device goes by another id.
    pub(in crate::accounts) fn moved(&mut self, from: &str, to: &str, changes: &mut Changes) {
        let mut those = Vec::new();
        for (digits, token) in self.iter().filter(|(_, token)| token.device() == from) {
            those.push((String::from(digits), token.0.with(DEVICE, to.as_bytes())));
        }
        for (digits, row) in those {
            self.rows.put(&digits, Some(row), changes);
        }
    }

    /// Takes back the one that is shown.
    pub(in crate::accounts) fn take(&mut self, shown: &str, changes: &mut Changes) {
        self.rows.put(&text(hash(shown.as_bytes())), None, changes);
    }

    /// Takes back all that a user has.
    pub(in crate::accounts) fn take_all(&mut self, user: &str, changes: &mut Changes) {
        self.keep(0, changes, &|token| token.user() == user);
    }

    /// Of those for which `which` holds, leaves the newest.
    fn keep(&mut self, most: usize, changes: &mut Changes, which: &dyn Fn(Token<'_>) -> bool) {
        let mut those = Vec::new();
        for (digits, token) in self.iter().filter(|(_, token)| which(*token)) {
            those.push((token.given_secs(), String::from(digits)));
        }
        while those.len() > most {
            let oldest = (0..those.len()).min_by_key(|at| those.get(*at).map(|(secs, _)| *secs));
            let (_, digits) = those.swap_remove(oldest.unwrap_or_default());
            self.rows.put(&digits, None, changes);
        }
    }

    /// What a row says; the key is without its first byte.
    pub(in crate::accounts) fn load(&mut self, digits: &str, row: Option<&[u8]>) -> bool {
        let is_hash = digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hash && self.rows.set(digits, row.map(Vec::from))
    }
}

/// A secret or its hash in digits, as a client shows it.
pub(in crate::accounts) fn text(secret: [u8; 32]) -> String {
    let mut digits = [0; 64];
    // There is room.
    Hex::encode_to_str(&mut digits, secret.as_slice()).unwrap_or_default().into()
}

/// What a secret that is random itself is kept as.
pub(in crate::accounts) fn hash(secret: &[u8]) -> TokenHash {
    let mut hash = TokenHash::default();
    // As argon2 does, whose code it shares. There are hashes of that length.
    if let Ok(mut state) = Blake2bVar::new(hash.len()) {
        state.update(secret);
        let _ = state.finalize_variable(&mut hash);
    }
    hash
}

#[cfg(test)]
mod tests {
    #![allow(clippy::string_slice)]

    use super::*;

    const NOW: u64 = 1_800_000_000;

    #[test]
    fn c168_a_token_is_good_until_its_time_and_no_row_shows_it() {
        let (mut tokens, mut changes) = (Tokens::new(), Changes::default());
        let text = tokens.give(("anna", "111111111"), [7; 32], NOW, &mut changes);
        assert_eq!(text.len(), 64);
        let row = &changes.rows[0];
        let all = [&row.key[..], row.value.as_deref().unwrap()].concat();
        assert!(!all.windows(32).any(|part| part == [7; 32] || part == &text.as_bytes()[..32]));
        assert_eq!(tokens.get(&text, NOW).map(Token::user), Some("anna"));
        assert!(tokens.get(&text, NOW + TOKEN_SECS - 1).is_some());
        assert!(tokens.get(&text, NOW + TOKEN_SECS).is_none());
        assert!(tokens.get(text.split_at(1).1, NOW).is_none());
        // As after a start.
        let mut again = Tokens::new();
        let digits = core::str::from_utf8(&row.key[1..]).unwrap();
        assert!(again.load(digits, row.value.as_deref()));
        assert_eq!(again.get(&text, NOW), tokens.get(&text, NOW));
        assert!(!again.load("short", row.value.as_deref()));
    }

    #[test]
    fn c168_the_oldest_gives_way_of_one_user_and_of_all() {
        let (mut tokens, mut changes) = (Tokens::new(), Changes::default());
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
        while number <= TOKENS_MAX + 2 * TOKENS_PER_USER {
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
        // After a start, which has them in the order of their hashes, too.
        let mut again = Tokens::new();
        for (key, row) in &rows {
            assert!(again.load(core::str::from_utf8(&key[1..]).unwrap(), Some(row)));
        }
        let given = |tokens: &Tokens| tokens.iter().map(|(_, token)| token.given_secs()).min();
        let oldest = given(&again);
        again.give(("new", ""), [0xff; 32], NOW, &mut Changes::default());
        assert!(again.len() == TOKENS_MAX && given(&again) > oldest);
    }

    #[test]
    fn c168_a_device_has_one_token_and_a_user_may_lose_all() {
        let (mut tokens, mut changes) = (Tokens::new(), Changes::default());
        let before = tokens.give(("anna", "1"), [1; 32], NOW, &mut changes);
        let now = tokens.give(("anna", "1"), [2; 32], NOW, &mut changes);
        let other = tokens.give(("bert", "1"), [3; 32], NOW, &mut changes);
        assert!(tokens.get(&before, NOW).is_none() && tokens.get(&now, NOW).is_some());
        tokens.take_all("anna", &mut changes);
        assert!(tokens.get(&now, NOW).is_none() && tokens.get(&other, NOW).is_some());
        tokens.take(&other, &mut changes);
        assert_eq!(tokens.len(), 0);
    }

    #[test]
    fn c209_a_user_has_the_page_open_in_some_browsers_for_a_day() {
        let (mut tokens, mut changes) = (Tokens::new(), Changes::default());
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
