//! Who has an account. A user's row lies under `u` and the name. C166, C167.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use super::password::Stored;
use crate::accounts::call::{Changes, Who};
use crate::accounts::row::{RowWriter, fields};
use crate::base::address::Prefix;
use crate::base::limits::{USER_NAME_CHARS_MAX, USERS_CEILING};
use crate::base::table::{Seed, Table};

/// What the keys of users begin with.
pub(in crate::accounts) const USER_KEY: u8 = b'u';
/// Addresses of a user that are remembered.
const HOMES_MAX: usize = 4;

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::accounts) struct User {
    /// What others read in place of the name; empty: the name.
    pub(in crate::accounts) display: String,
    pub(in crate::accounts) email: String,
    pub(in crate::accounts) note: String,
    /// Empty: none.
    pub(in crate::accounts) group: String,
    pub(in crate::accounts) is_admin: bool,
    pub(in crate::accounts) is_disabled: bool,
    pub(in crate::accounts) password: Stored,
    /// What codes are made from, if the password is not enough.
    pub(in crate::accounts) totp: Option<[u8; 20]>,
    /// The last step of 30 s of which a code was taken: none is taken twice.
    pub(in crate::accounts) totp_step: u64,
    /// Where the user was logged in, the newest first. Stored with what else is stored of the user,
    /// so that it may be behind.
    pub(in crate::accounts) homes: Vec<Prefix>,
}

impl User {
    pub(in crate::accounts) fn new(password: Stored) -> Self {
        let none = String::new;
        Self {
            display: none(),
            email: none(),
            note: none(),
            group: none(),
            is_admin: false,
            is_disabled: false,
            password,
            totp: None,
            totp_step: 0,
            homes: Vec::new(),
        }
    }

    pub(in crate::accounts) fn row(&self) -> Vec<u8> {
        let mut row = RowWriter::new();
        row.field(1, self.display.as_bytes());
        row.field(2, self.email.as_bytes());
        row.field(3, self.note.as_bytes());
        row.field(4, self.group.as_bytes());
        row.field(5, &[u8::from(self.is_admin) | u8::from(self.is_disabled) << 1]);
        row.field(6, &self.password.bytes());
        row.field(7, self.totp.as_ref().map_or(&[], |secret| secret));
        row.field(8, &self.totp_step.to_le_bytes());
        let homes: Vec<u8> = self.homes.iter().flat_map(|home| home.to_bytes()).collect();
        row.field(9, &homes);
        row.end()
    }

    /// None without a password.
    fn read(row: &[u8]) -> Option<Self> {
        let password = fields(row).find(|(number, _)| *number == 6);
        let mut user = Self::new(Stored::read(password?.1)?);
        for (number, contents) in fields(row) {
            let text = || String::from(core::str::from_utf8(contents).unwrap_or_default());
            match number {
                1 => user.display = text(),
                2 => user.email = text(),
                3 => user.note = text(),
                4 => user.group = text(),
                5 => {
                    let flags = contents.first().copied().unwrap_or_default();
                    (user.is_admin, user.is_disabled) = (flags & 1 != 0, flags & 2 != 0);
                }
                7 => user.totp = contents.try_into().ok(),
                8 => user.totp_step = contents.try_into().map_or(0, u64::from_le_bytes),
                9 => {
                    let (homes, _) = contents.as_chunks();
                    user.homes = homes.iter().copied().map(Prefix::from_bytes).collect();
                }
                _ => {}
            }
        }
        Some(user)
    }
}

/// Whether it is a name for a user or a group: letters, digits and a few signs, so that it is one
/// word everywhere.
pub(in crate::accounts) fn is_name(text: &str) -> bool {
    let count = text.chars().count();
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '@' | '+');
    (1..=USER_NAME_CHARS_MAX).contains(&count) && !text.starts_with('-') && text.chars().all(fits)
}

/// All of them, by name.
pub(in crate::accounts) struct Users {
    table: Table<String, User>,
    most: usize,
}

impl Users {
    pub(in crate::accounts) fn new(most: usize, seed: Seed) -> Self {
        // Those that are stored are let in, though the limit may be lower by now.
        Self { table: Table::new(USERS_CEILING, seed), most }
    }

    pub(in crate::accounts) fn set_limit(&mut self, most: usize) {
        self.most = most;
    }

    pub(in crate::accounts) fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether one more is too many.
    pub(in crate::accounts) fn is_full(&self) -> bool {
        self.len() >= self.most
    }

    pub(in crate::accounts) fn get(&self, name: &str) -> Option<&User> {
        self.table.get(&String::from(name))
    }

    pub(in crate::accounts) fn iter(&self) -> impl Iterator<Item = (&String, &User)> {
        self.table.iter()
    }

    /// A user is logged in at this address; false if it is the one before.
    pub(in crate::accounts) fn note_home(&mut self, name: &str, ip: IpAddr) -> bool {
        let here = Prefix::of(ip);
        let Some(user) = self.table.get_mut(&String::from(name)) else { return false };
        let is_new = user.homes.first() != Some(&here);
        if is_new {
            user.homes.retain(|home| *home != here);
            user.homes.truncate(HOMES_MAX - 1);
            user.homes.insert(0, here);
        }
        is_new
    }

    /// Whether the user was logged in there, of late.
    pub(in crate::accounts) fn is_home(&self, name: &str, ip: IpAddr) -> bool {
        self.get(name).is_some_and(|user| user.homes.contains(&Prefix::of(ip)))
    }

    /// Who calls, if there is such a user who may.
    pub(in crate::accounts) fn who<'a>(&'a self, name: &'a str) -> Option<Who<'a>> {
        let user = self.get(name).filter(|user| !user.is_disabled)?;
        Some(Who { name, group: &user.group, is_admin: user.is_admin })
    }

    /// Puts a user in the place of the one of that name; None: takes that one away.
    pub(in crate::accounts) fn put(
        &mut self,
        name: &str,
        user: Option<User>,
        changes: &mut Changes,
    ) {
        let before = self.get(name).map(User::row);
        changes.put(key(name), before, user.as_ref().map(User::row));
        self.set(name, user);
    }

    /// What a row says; the key is without its first byte.
    pub(in crate::accounts) fn load(&mut self, name: &[u8], row: Option<&[u8]>) -> bool {
        let Ok(name) = core::str::from_utf8(name) else { return false };
        let user = row.and_then(User::read);
        let is_read = user.is_some() == row.is_some();
        self.set(name, user);
        is_read
    }

    fn set(&mut self, name: &str, user: Option<User>) {
        match user {
            // The ceiling is above any limit.
            Some(user) => drop(self.table.insert(name.into(), user)),
            None => drop(self.table.remove(&String::from(name))),
        }
    }
}

fn key(name: &str) -> Vec<u8> {
    [&[USER_KEY], name.as_bytes()].concat()
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
        for bad in ["", " ", "a b", "-a", "a/b", "a\"", "a\u{202e}b", "a\nb", "a=b", &long] {
            assert!(!is_name(bad), "{bad:?}");
        }
    }

    #[test]
    fn c167_a_row_says_all_of_a_user() {
        let stored = Stored::of_nobody(Cost { kib: 8, rounds: 1 }, [9; 32]);
        let user = User {
            display: "Anna B.".into(),
            email: "a@b".into(),
            note: "n".into(),
            group: "sales".into(),
            is_admin: true,
            is_disabled: true,
            totp: Some([7; 20]),
            totp_step: 55,
            homes: [IpAddr::from([192, 0, 2, 1]), IpAddr::from([1; 16])].map(Prefix::of).into(),
            ..User::new(stored.clone())
        };
        for user in [user, User::new(stored)] {
            assert_eq!(User::read(&user.row()), Some(user));
        }
        assert_eq!(User::read(&[1]), None);
    }

    #[test]
    fn c216_the_last_four_places_are_home() {
        let mut users = Users::new(1, Seed(1, 2));
        users.set("anna", Some(User::new(Stored::of_nobody(Cost { kib: 8, rounds: 1 }, [9; 32]))));
        let place = |network: u8| IpAddr::from([198, 51, network, 1]);
        // The first is one of the last again.
        for network in [1, 2, 3, 4, 1, 5] {
            assert!(users.note_home("anna", place(network)));
        }
        assert!(!users.note_home("anna", place(5)), "as it was");
        let homes = (1..=5).filter(|network| users.is_home("anna", place(*network)));
        assert!(homes.eq([1, 3, 4, 5]));
    }
}
