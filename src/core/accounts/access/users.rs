//! Who has an account. A user's row lies under `u` and the name. C166, C167.

use alloc::vec::Vec;
use core::net::IpAddr;

use super::password::Stored;
use crate::accounts::call::{Changes, Who};
use crate::accounts::row::{Row, Rows};
use crate::base::address::Prefix;
use crate::base::limits::{USER_NAME_CHARS_MAX, USERS_CEILING};

/// What the keys of users begin with.
pub(in crate::accounts) const USER_KEY: u8 = b'u';
/// Addresses of a user that are remembered.
const HOMES_MAX: usize = 4;

/// The fields of a user's row.
pub(in crate::accounts) mod field {
    /// What others read in place of the name; empty: the name.
    pub(in crate::accounts) const DISPLAY: u8 = 1;
    pub(in crate::accounts) const EMAIL: u8 = 2;
    pub(in crate::accounts) const NOTE: u8 = 3;
    /// Empty: none.
    pub(in crate::accounts) const GROUP: u8 = 4;
    /// One byte: [`super::ADMIN`], [`super::DISABLED`].
    pub(in crate::accounts) const FLAGS: u8 = 5;
    /// A stored hash.
    pub(in crate::accounts) const PASSWORD: u8 = 6;
    /// What codes are made from, if the password is not enough: 20 bytes.
    pub(in crate::accounts) const TOTP: u8 = 7;
    /// The last step of 30 s of which a code was taken: none is taken twice.
    pub(in crate::accounts) const TOTP_STEP: u8 = 8;
    /// Where the user was logged in, the newest first. Stored with what else is stored of the user,
    /// so that it may be behind.
    pub(super) const HOMES: u8 = 9;
}

/// The user may all.
pub(in crate::accounts) const ADMIN: u8 = 1;
/// The user may nothing.
pub(in crate::accounts) const DISABLED: u8 = 2;

/// An account, as its row says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::accounts) struct User<'a>(pub(in crate::accounts) Row<'a>);

impl<'a> User<'a> {
    pub(in crate::accounts) fn flags(self) -> u8 {
        self.0.bytes(field::FLAGS).first().copied().unwrap_or_default()
    }

    pub(in crate::accounts) fn is_admin(self) -> bool {
        self.flags() & ADMIN != 0
    }

    pub(in crate::accounts) fn is_disabled(self) -> bool {
        self.flags() & DISABLED != 0
    }

    pub(in crate::accounts) fn group(self) -> &'a str {
        self.0.text(field::GROUP)
    }

    /// There is one, as no row without is taken in.
    pub(in crate::accounts) fn password(self) -> Option<Stored> {
        Stored::read(self.0.bytes(field::PASSWORD))
    }

    /// What codes are made from, if the password is not enough.
    pub(in crate::accounts) fn totp(self) -> Option<[u8; 20]> {
        self.0.bytes(field::TOTP).try_into().ok()
    }

    fn homes(self) -> impl Iterator<Item = &'a [u8; 9]> {
        let (homes, _) = self.0.bytes(field::HOMES).as_chunks();
        homes.iter()
    }
}

/// Whether it is a name for a user or a group: letters, digits and a few signs, so that it is one
/// word everywhere, no flag, and with `@` before it a group.
pub(in crate::accounts) fn is_name(text: &str) -> bool {
    let count = text.chars().count();
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '@' | '+');
    let is_short = (1..=USER_NAME_CHARS_MAX).contains(&count);
    is_short && !text.starts_with(['-', '@']) && text.chars().all(fits)
}

/// All of them, by name.
pub(in crate::accounts) struct Users {
    rows: Rows,
    most: usize,
}

impl Users {
    pub(in crate::accounts) const fn new(most: usize) -> Self {
        // Those that are stored are let in, though the limit may be lower by now.
        Self { rows: Rows::new(USER_KEY, USERS_CEILING), most }
    }

    pub(in crate::accounts) const fn set_limit(&mut self, most: usize) {
        self.most = most;
    }

    pub(in crate::accounts) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether one more is too many.
    pub(in crate::accounts) fn is_full(&self) -> bool {
        self.len() >= self.most
    }

    pub(in crate::accounts) fn get(&self, name: &str) -> Option<User<'_>> {
        self.rows.get(name).map(User)
    }

    pub(in crate::accounts) fn iter(&self) -> impl Iterator<Item = (&str, User<'_>)> {
        self.rows.iter().map(|(name, row)| (name, User(row)))
    }

    /// A user is logged in at this address: stored with what else changes, if that is told.
    pub(in crate::accounts) fn note_home(
        &mut self,
        name: &str,
        ip: IpAddr,
        changes: Option<&mut Changes>,
    ) {
        let Some(user) = self.get(name) else { return };
        let here = &Prefix::of(ip).to_bytes();
        let mut homes = here.to_vec();
        for home in user.homes().filter(|home| *home != here).take(HOMES_MAX - 1) {
            homes.extend(home);
        }
        let row = Some(user.0.with(field::HOMES, &homes));
        match changes {
            Some(changes) => self.rows.put(name, row, changes),
            None => self.rows.set(name, row),
        };
    }

    /// Whether the user was logged in there, of late.
    pub(in crate::accounts) fn is_home(&self, name: &str, ip: IpAddr) -> bool {
        let here = Prefix::of(ip).to_bytes();
        self.get(name).is_some_and(|user| user.homes().any(|home| *home == here))
    }

    /// Who calls, if there is such a user who may.
    pub(in crate::accounts) fn who<'a>(&'a self, name: &'a str) -> Option<Who<'a>> {
        let user = self.get(name).filter(|user| !user.is_disabled())?;
        Some(Who { name, group: user.group(), is_admin: user.is_admin() })
    }

    /// Puts other contents into a field of a user, who is added if there is none of that name.
    pub(in crate::accounts) fn put(
        &mut self,
        name: &str,
        (number, contents): (u8, &[u8]),
        changes: &mut Changes,
    ) {
        let row = self.rows.get(name).unwrap_or(Row(&[])).with(number, contents);
        // The ceiling is above any limit.
        self.rows.put(name, Some(row), changes);
    }

    pub(in crate::accounts) fn remove(&mut self, name: &str, changes: &mut Changes) {
        self.rows.put(name, None, changes);
    }

    /// What a row says; the key is without its first byte.
    pub(in crate::accounts) fn load(&mut self, name: &str, row: Option<&[u8]>) -> bool {
        let is_read = row.is_none_or(|row| User(Row(row)).password().is_some());
        is_read && self.rows.set(name, row.map(Vec::from))
    }
}

#[cfg(test)]
mod tests {
    use super::super::password::Cost;
    use super::*;

    #[test]
    fn c167_a_name_is_one_word_everywhere() {
        for good in ["a", "anna.b-c_d@example.org", "B\u{fc}ro+1", "\u{6771}\u{4eac}"] {
            assert!(is_name(good), "{good}");
        }
        let long = "x".repeat(USER_NAME_CHARS_MAX + 1);
        for bad in ["", " ", "a b", "-a", "@a", "a/b", "a\"", "a\u{202e}b", "a\nb", "a=b", &long] {
            assert!(!is_name(bad), "{bad:?}");
        }
    }

    #[test]
    fn c167_a_row_says_all_of_a_user() {
        let (mut users, mut changes) = (Users::new(9), Changes::default());
        let stored = Stored::of_nobody(Cost { kib: 8, rounds: 1 }, [9; 32]);
        users.put("anna", (field::PASSWORD, &stored.bytes()), &mut changes);
        users.put("anna", (field::NOTE, b"n"), &mut changes);
        users.put("anna", (field::GROUP, b"sales"), &mut changes);
        users.put("anna", (field::FLAGS, &[ADMIN | DISABLED]), &mut changes);
        users.put("anna", (field::TOTP, &[7; 20]), &mut changes);
        let ips = [IpAddr::from([192, 0, 2, 1]), IpAddr::from([1; 16])];
        [0, 1, 1, 0].into_iter().for_each(|at| users.note_home("anna", ips[at], None));
        users.put("anna", (field::TOTP_STEP, &55_u64.to_le_bytes()), &mut changes);
        // As after a start.
        let (mut again, last) = (Users::new(9), changes.rows.pop().unwrap());
        assert!(again.load("anna", last.value.as_deref()));
        assert_eq!((last.key, again.get("anna")), (b"uanna".into(), users.get("anna")));
        let user = again.get("anna").unwrap();
        assert_eq!((user.0.text(field::NOTE), user.group()), ("n", "sales"));
        assert_eq!((user.password(), user.totp()), (Some(stored), Some([7; 20])));
        assert!(user.is_admin() && user.is_disabled() && again.who("anna").is_none());
        assert_eq!(user.0.number(field::TOTP_STEP), 55);
        assert!(ips.iter().all(|ip| again.is_home("anna", *ip)));
        assert_eq!(user.homes().count(), 2);
        assert!(!again.is_home("anna", IpAddr::from([192, 0, 2, 2])));
        assert!(!again.load("bert", Some(&[1])), "a user without a password");
        assert_eq!(again.len(), 1);
    }

    #[test]
    fn c216_the_last_four_places_are_home() {
        let mut users = Users::new(1);
        let stored = Stored::of_nobody(Cost { kib: 8, rounds: 1 }, [9; 32]);
        users.put("anna", (field::PASSWORD, &stored.bytes()), &mut Changes::default());
        let place = |network: u8| IpAddr::from([198, 51, network, 1]);
        // The first is one of the last again.
        for network in [1, 2, 3, 4, 1, 5] {
            let mut changes = Changes::default();
            users.note_home("anna", place(network), Some(&mut changes));
            assert_eq!(changes.rows.len(), 1);
            users.note_home("anna", place(network), Some(&mut changes));
            assert_eq!(changes.rows.len(), 1, "as it was");
        }
        let homes = (1..=5).filter(|network| users.is_home("anna", place(*network)));
        assert!(homes.eq([1, 3, 4, 5]));
    }
}
