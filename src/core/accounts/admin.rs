//! What operators do with accounts. C167, C169, C217.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use super::access::attempts::Then;
use super::access::password::{HashJob, Hashed};
use super::access::totp;
use super::access::users::{ADMIN, DISABLED, User, field, is_name};
use super::books::{BookCommand, BookTold};
use super::call::Changes;
use super::{Accounts, Effects, Whom};
use crate::base::conn::SaveRank;
use crate::base::limits::{PASSWORD_BYTES_MAX, USER_TEXT_BYTES_MAX};
use crate::base::peer::PeerId;

/// What is said of a name that no user has.
pub const NO_USER: &str = "There is no such user; 'hbb ctl user list' lists them.";
const NO_NAME: &str =
    "': must be a name of 1 to 64 letters, digits and . _ - @ +, - and @ not first";
const NO_GROUP: &str = "The device is in no group; 'hbb ctl group list' lists those that are.";
const MANY_GROUPS: &str = "There are as many devices in groups as there may be.";
const NO_PASSWORD: &str = "The password: must be one line of 8 to 256 bytes.";
const HAS_TOTP: &str = "The user has a second factor already; for another secret first 'hbb ctl \
                        user totp NAME off'.";
const NO_FIELD: &str = "': must be display=TEXT, email=TEXT, note=TEXT (256 bytes at most), \
                        group=NAME, group=, admin=yes or admin=no";

/// Shortest password that is taken.
const PASSWORD_BYTES_MIN: usize = 8;

/// What an operator wants.
#[derive(Clone, PartialEq, Eq)]
pub enum Command {
    /// A new account.
    Add {
        /// Its name.
        name: String,
        /// Its password.
        password: String,
    },
    /// Another password.
    Password {
        /// Whose.
        name: String,
        /// The new one.
        password: String,
    },
    /// No account any more.
    Remove(String),
    /// One that is not to be used, or is again.
    Disable(String, bool),
    /// One of an account's fields, as `name=value`.
    Set(String, String),
    /// A code beside the password, or none.
    Totp(String, bool),
    /// All accounts.
    List,
    /// Something about address books.
    Book(BookCommand),
    /// A device into the group of this name, out of the one it is in; empty: into none.
    Group(PeerId, String),
    /// Who is in which group.
    Groups,
}

/// What an operator is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// What was done.
    Done(&'static str),
    /// What a telephone scans.
    Totp(String),
    /// All accounts, by name.
    Users(Vec<UserRow>),
    /// What there is to say of address books.
    Book(BookTold),
    /// Who is in which group, by group.
    Groups(Vec<GroupRow>),
    /// Why nothing was done.
    Refused(String),
}

/// One who is in a group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupRow {
    /// The group's name.
    pub group: String,
    /// The user's name, if it is one; else empty.
    pub user: String,
    /// The device's id, if it is one; else empty.
    pub device: String,
}

/// One account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRow {
    /// Its name.
    pub name: String,
    /// Whether it is disabled.
    pub is_disabled: bool,
    /// Whether it may all.
    pub is_admin: bool,
    /// Its group; empty for none.
    pub group: String,
    /// Whether it needs a code.
    pub totp: bool,
    /// On how many devices it is logged in.
    pub tokens: usize,
    /// As others read it; may be empty.
    pub display: String,
    /// May be empty.
    pub email: String,
    /// May be empty.
    pub note: String,
}

impl Accounts {
    /// Does what an operator wants, or has a password hashed for it.
    pub(super) fn asked(&mut self, command: &Command, effects: &mut Effects) {
        let mut changes = Changes::default();
        let told = match self.obey(command, &mut changes) {
            Ok(None) => return,
            Ok(Some(told)) => told,
            // Nothing was changed.
            Err(said) => Told::Refused(said),
        };
        self.finish(Whom::Operator(told), changes, SaveRank::Operator, effects);
    }

    /// None while a password is being hashed.
    fn obey(&mut self, command: &Command, changes: &mut Changes) -> Result<Option<Told>, String> {
        Ok(Some(match command {
            Command::Add { name, password } => {
                if !is_name(name) {
                    return Err(["user '", name, NO_NAME].concat());
                }
                if self.users.get(name).is_some() {
                    return Err("There is a user of that name already.".into());
                }
                if self.users.is_full() {
                    return Err("There are as many users as --max-users allows.".into());
                }
                return self.hash_password(name, password, true).map(|()| None);
            }
            Command::Password { name, password } => {
                self.user(name)?;
                return self.hash_password(name, password, false).map(|()| None);
            }
            Command::Remove(name) => {
                self.user(name)?;
                self.log_out(name, changes);
                self.users.remove(name, changes);
                self.books.forget_user(name, changes);
                Told::Done("The user was removed, and is logged out everywhere.")
            }
            Command::Disable(name, false) => {
                let flags = self.user(name)?.flags() & !DISABLED;
                self.users.put(name, (field::FLAGS, &[flags]), changes);
                Told::Done("The user can log in again.")
            }
            Command::Disable(name, true) => {
                let flags = self.user(name)?.flags() | DISABLED;
                self.users.put(name, (field::FLAGS, &[flags]), changes);
                self.log_out(name, changes);
                Told::Done("The user can no longer log in, and is logged out everywhere.")
            }
            Command::Set(name, said) => {
                let field = field_of(said, self.user(name)?.flags());
                let (number, contents) =
                    field.ok_or_else(|| match said.strip_prefix("group=") {
                        Some(group) => ["group '", group, NO_NAME].concat(),
                        None => ["'", said, NO_FIELD].concat(),
                    })?;
                self.users.put(name, (number, &contents), changes);
                Told::Done("Done.")
            }
            Command::Totp(name, is_on) => self.set_totp(name, *is_on, changes)?,
            Command::Book(command) => self.book(command, changes)?,
            Command::Group(id, name) => self.put_in_group(id, name, changes)?,
            Command::Groups => Told::Groups(self.group_rows()),
            Command::List => Told::Users(self.user_rows()),
        }))
    }

    fn set_totp(&mut self, name: &str, is_on: bool, changes: &mut Changes) -> Result<Told, String> {
        if self.user(name)?.totp().is_some() && is_on {
            return Err(HAS_TOTP.into());
        }
        let secret = self.secrets.draw().first_chunk().copied().unwrap_or_default();
        let kept = if is_on { &secret[..] } else { &[] };
        self.users.put(name, (field::TOTP, kept), changes);
        self.users.put(name, (field::TOTP_STEP, &[]), changes);
        Ok(match is_on {
            true => Told::Totp(totp::uri(name, &secret)),
            false => Told::Done("The password alone is enough from now on."),
        })
    }

    fn book(&mut self, command: &BookCommand, changes: &mut Changes) -> Result<Told, String> {
        command.user().map(|name| self.user(name)).transpose()?;
        let mut wrong = 0;
        let told = self.books.obey(command, changes, &mut wrong).map(Told::Book);
        told.map_err(|refusal| match wrong {
            0 => refusal.text().into(),
            number => ["Entry ", &number.to_string(), ": ", refusal.text()].concat(),
        })
    }

    fn put_in_group(
        &mut self,
        id: &PeerId,
        name: &str,
        changes: &mut Changes,
    ) -> Result<Told, String> {
        if !name.is_empty() && !is_name(name) {
            return Err(["group '", name, NO_NAME].concat());
        }
        if name.is_empty() && self.devices.groups.get(id.as_str()).is_empty() {
            return Err(NO_GROUP.into());
        }
        let done = self.devices.groups.put(id, name, changes);
        done.then_some(Told::Done("Done.")).ok_or_else(|| MANY_GROUPS.into())
    }

    fn group_rows(&self) -> Vec<GroupRow> {
        let row = |group: &str, user: &str, device: &str| GroupRow {
            group: group.into(),
            user: user.into(),
            device: device.into(),
        };
        let mut rows = Vec::new();
        let users = self.users.iter().filter(|(_, user)| !user.group().is_empty());
        users.for_each(|(name, user)| rows.push(row(user.group(), name, "")));
        let devices = self.devices.groups.iter();
        devices.for_each(|(id, group)| rows.push(row(group, "", id)));
        rows.sort_unstable();
        rows
    }

    fn user(&self, name: &str) -> Result<User<'_>, String> {
        self.users.get(name).ok_or_else(|| NO_USER.into())
    }

    fn hash_password(&mut self, name: &str, password: &str, is_new: bool) -> Result<(), String> {
        let fits = (PASSWORD_BYTES_MIN..=PASSWORD_BYTES_MAX).contains(&password.len());
        if !fits || password.contains('\n') {
            return Err(NO_PASSWORD.into());
        }
        let job = HashJob::make(password.into(), self.cost(), self.secrets.draw());
        self.logins.hash(job, Then::Password { name: name.into(), is_new });
        Ok(())
    }

    /// The hash of a password that an operator gave is there.
    pub(super) fn password_made(
        &mut self,
        (name, is_new): (&str, bool),
        hashed: &Hashed,
        effects: &mut Effects,
    ) {
        let mut changes = Changes::default();
        let told = match hashed {
            Hashed::Made(stored) if self.users.get(name).is_some() != is_new => {
                self.users.put(name, (field::PASSWORD, stored), &mut changes);
                self.log_out(name, &mut changes);
                Told::Done(match is_new {
                    true => "The user was added.",
                    false => "The password was changed, and the user is logged out everywhere.",
                })
            }
            Hashed::Made(_) => Told::Refused(NO_USER.into()),
            _ => Told::Refused("There was no memory to hash the password in.".into()),
        };
        self.finish(Whom::Operator(told), changes, SaveRank::Operator, effects);
    }

    /// Logs a user out everywhere, and wherever only a code was missing.
    fn log_out(&mut self, name: &str, changes: &mut Changes) {
        self.tokens.take_all(name, changes);
        self.logins.forget_codes(name);
    }

    fn user_rows(&self) -> Vec<UserRow> {
        let mut rows = Vec::new();
        for (name, user) in self.users.iter() {
            let text = |number| String::from(user.0.text(number));
            rows.push(UserRow {
                name: name.into(),
                is_disabled: user.is_disabled(),
                is_admin: user.is_admin(),
                group: text(field::GROUP),
                totp: user.totp().is_some(),
                tokens: self.tokens.of(name),
                display: text(field::DISPLAY),
                email: text(field::EMAIL),
                note: text(field::NOTE),
            });
        }
        rows
    }
}

/// The field of a user that `said` names, and what it is to hold, where these flags stand; None if
/// it may not.
fn field_of(said: &str, flags: u8) -> Option<(u8, Vec<u8>)> {
    let (name, value) = said.split_once('=')?;
    let number = match (name, value) {
        ("display", _) => field::DISPLAY,
        ("email", _) => field::EMAIL,
        ("note", _) => field::NOTE,
        ("group", group) if group.is_empty() || is_name(group) => field::GROUP,
        ("admin", "yes") => return Some((field::FLAGS, [flags | ADMIN].into())),
        ("admin", "no") => return Some((field::FLAGS, [flags & !ADMIN].into())),
        _ => return None,
    };
    let fits = value.len() <= USER_TEXT_BYTES_MAX && !value.chars().any(char::is_control);
    fits.then(|| (number, value.into()))
}
