//! Limits of the accounts: who may have one, how dear a password is, how often one may be tried.

use static_assertions::const_assert;

use super::BookLimits;

/// Most users any setting allows.
pub const USERS_CEILING: usize = 4_096;
/// Longest name of a user or a group.
pub(crate) const USER_NAME_CHARS_MAX: usize = 64;
/// Longest text about a user.
pub(crate) const USER_TEXT_BYTES_MAX: usize = 256;
/// Longest password.
pub const PASSWORD_BYTES_MAX: usize = 256;
/// Most memory that the hash of a password may take, in KiB.
pub const PASSWORD_KIB_CEILING: u32 = 64 * 1024;
/// Least: below it argon2id is too cheap.
pub const PASSWORD_KIB_MIN: u32 = 4 * 1024;
/// Stack of the thread that hashes a password.
pub const PASSWORD_STACK_BYTES: usize = 128 * 1024;
/// Longest body of a call: an address book of 1,000 devices at once.
pub const CALL_BYTES_MAX: usize = 256 * 1024;
/// A call is answered within this time, or its connection closed; clients wait 12 to 36 s.
pub const CALL_MS: u64 = 30_000;
/// Most often that it is gone through.
pub(crate) const PASSWORD_ROUNDS_MAX: u32 = 16;
/// Passwords of clients that wait to be hashed, one at a time: a slow router takes a second for
/// each, and clients wait 12 s. One more is refused at once: strangers fill half of the places, and
/// the known three quarters.
pub(crate) const HASHES_WAITING_MAX: usize = 8;
/// Logins from one source (IPv4 address or IPv6 /64) within [`LOGIN_WINDOW_MS`]; further ones are
/// refused unseen.
pub(crate) const LOGINS_PER_SOURCE: u16 = 10;
/// Of a network (IPv4 /24, IPv6 /48).
pub(crate) const LOGINS_PER_NETWORK: u16 = 20;
/// Of all addresses where no device of ours is.
pub(crate) const LOGINS_OF_STRANGERS: u16 = 30;
/// Of all.
pub(crate) const LOGINS_IN_ALL: u16 = 60;
/// The window of these.
pub(crate) const LOGIN_WINDOW_MS: u64 = 60_000;
/// Wrong passwords and codes of one user within [`WRONG_WINDOW_MS`], from where a device of ours
/// is; and as many from elsewhere, so that strangers lock nobody out at home.
pub(crate) const WRONG_PER_USER: u16 = 20;
/// The window of these.
pub(crate) const WRONG_WINDOW_MS: u64 = 600_000;
/// Changes of one user within [`CHANGED_WINDOW_MS`], such as edits of address books and logins;
/// further ones wait behind all others, and are put off first.
pub(crate) const CHANGED_PER_USER: u16 = 32;
/// The window of these.
pub(crate) const CHANGED_WINDOW_MS: u64 = 24 * 3_600_000;
/// Logins that wait for a code; the oldest gives way.
pub(crate) const LOGIN_CODES_MAX: usize = 64;
/// How long each waits.
pub(crate) const LOGIN_CODE_MS: u64 = 300_000;
/// How often a code may be tried in each.
pub(crate) const CODE_TRIES_MAX: u8 = 5;
/// Tokens of one user; the oldest gives way.
pub const TOKENS_PER_USER: usize = 16;
/// Tokens of all; the oldest gives way: 200 KiB.
pub const TOKENS_MAX: usize = 1_024;
/// How long a token is good, in seconds: 90 days.
pub const TOKEN_SECS: u64 = 90 * 24 * 3_600;
/// Devices of which it is known what they tell of themselves; the one that was silent longest gives
/// way: some 350 bytes each (C193).
pub(crate) const DEVICES_MAX: usize = 2_048;
/// Longest of the texts it tells.
pub(crate) const DEVICE_TEXT_BYTES_MAX: usize = 64;
/// Connections to one that are known.
pub(crate) const DEVICE_CONNS_MAX: usize = 32;
/// Reports of devices of which it is known that they are repeated.
pub(crate) const AUDITS_REMEMBERED: usize = 64;
/// What changed is stored so long after the start at the earliest,
pub(crate) const DEVICES_SETTLE_MS: u64 = 600_000;
/// and then no more often than this.
pub(crate) const DEVICES_SAVE_MS: u64 = 3_600_000;
/// Rows of devices in one commit; the rest an hour later.
pub(crate) const DEVICE_ROWS_PER_SAVE: usize = 512;
/// How long an operator's wish to end the connections of a device waits for its next word: with
/// anybody connected it speaks every three seconds.
pub(crate) const DEVICE_END_MS: u64 = 30_000;
/// Most effects one input of the accounts may have.
pub const ACCOUNT_EFFECTS_MAX: usize = 4;

const_assert!(TOKENS_PER_USER <= TOKENS_MAX);
const_assert!(CALL_BYTES_MAX <= super::ONLINE_BYTES_MAX);
const_assert!(WRONG_PER_USER > 0);
const_assert!(LOGINS_PER_SOURCE < LOGINS_PER_NETWORK && LOGINS_PER_NETWORK < LOGINS_OF_STRANGERS);
const_assert!(LOGINS_PER_SOURCE < LOGINS_OF_STRANGERS && LOGINS_OF_STRANGERS < LOGINS_IN_ALL);

/// Settings of the accounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountLimits {
    /// Users; one more is refused.
    pub users: usize,
    /// Memory that the hash of a password takes, in KiB.
    pub password_kib: u32,
    /// What address books may take.
    pub books: BookLimits,
}

impl Default for AccountLimits {
    /// Those of a small router.
    fn default() -> Self {
        Self { users: 64, password_kib: 7 * 1024, books: BookLimits::of(0) }
    }
}

/// The device that a browser is logged in on.
pub const PAGE_DEVICE: &str = "web";
/// Browsers in which one user may use the page at once; the oldest gives way.
pub const PAGE_SESSIONS_MAX: usize = 4;
/// How long each may, in seconds: a day.
pub const PAGE_SESSION_SECS: u64 = 24 * 3_600;
const_assert!(PAGE_SESSIONS_MAX < TOKENS_PER_USER);
/// Longest answer to a command that the page of operators is given.
pub const PAGE_ANSWER_BYTES_MAX: usize = 256 * 1024;
