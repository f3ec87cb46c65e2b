//! What operators do with accounts. C167, C169, C217.

use alloc::string::String;
use alloc::vec::Vec;

use super::access::attempts::Then;
use super::access::password::{HashJob, Hashed, Stored};
use super::access::totp;
use super::access::users::{User, is_name};
use super::books::{BookCommand, BookTold};
use super::call::Changes;
use super::{Accounts, Effects, Whom};
use crate::base::conn::SaveRank;
use crate::base::limits::{PASSWORD_BYTES_MAX, USER_TEXT_BYTES_MAX};
use crate::base::peer::PeerId;

const NO_USER: &str = "There is no such user; 'hbb ctl user list' lists them.";
const NO_NAME: &str = "': must be a name of 1 to 64 letters, digits and . _ - @ +";
const MANY_GROUPS: &str = "There are as many devices in groups as there may be.";
const NO_PASSWORD: &str = "The password: must be 8 to 256 bytes long.";
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
    pub(super) fn asked(&mut self, command: Command, effects: &mut Effects) {
        match self.obey(command) {
            Ok(None) => {}
            Ok(Some((told, changes))) => {
                self.finish(Whom::Operator(told), changes, SaveRank::Operator, effects);
            }
            Err(said) => {
                let told = Told::Refused(said);
                self.finish(Whom::Operator(told), Changes::default(), SaveRank::Operator, effects);
            }
        }
    }

    /// None while a password is being hashed.
    fn obey(&mut self, command: Command) -> Result<Option<(Told, Changes)>, String> {
        let mut changes = Changes::default();
        let told = match command {
            Command::Add { name, password } => {
                if !is_name(&name) {
                    return Err(["user '", &name, NO_NAME].concat());
                }
                if self.users.get(&name).is_some() {
                    return Err("There is a user of that name already.".into());
                }
                if self.users.is_full() {
                    return Err("There are as many users as --max-users allows.".into());
                }
                return self.hash_password(name, password, true);
            }
            Command::Password { name, password } => {
                self.user(&name)?;
                return self.hash_password(name, password, false);
            }
            Command::Remove(name) => {
                self.user(&name)?;
                self.tokens.take_all(&mut changes, |token| token.user == name);
                self.users.put(&name, None, &mut changes);
                self.books.forget_user(&name, &mut changes);
                Told::Done("The user was removed, and is logged out everywhere.")
            }
            Command::Disable(name, is_disabled) => {
                let user = User { is_disabled, ..self.user(&name)? };
                self.users.put(&name, Some(user), &mut changes);
                if is_disabled {
                    self.tokens.take_all(&mut changes, |token| token.user == name);
                }
                Told::Done(match is_disabled {
                    true => "The user can no longer log in, and is logged out everywhere.",
                    false => "The user can log in again.",
                })
            }
            Command::Set(name, field) => {
                let user = with_field(self.user(&name)?, &field)?;
                self.users.put(&name, Some(user), &mut changes);
                Told::Done("Done.")
            }
            Command::Totp(name, is_on) => {
                let secret = self.secrets.draw().first_chunk().copied().unwrap_or_default();
                let totp = is_on.then_some(secret);
                let user = User { totp, totp_step: 0, ..self.user(&name)? };
                self.users.put(&name, Some(user), &mut changes);
                match is_on {
                    true => Told::Totp(totp::uri(&name, &secret)),
                    false => Told::Done("The password alone is enough from now on."),
                }
            }
            Command::Book(command) => self.book(&command, &mut changes)?,
            Command::Group(id, name) => self.put_in_group(&id, &name, &mut changes)?,
            Command::Groups => Told::Groups(self.group_rows()),
            Command::List => Told::Users(self.user_rows()),
        };
        Ok(Some((told, changes)))
    }

    fn book(&mut self, command: &BookCommand, changes: &mut Changes) -> Result<Told, String> {
        command.user().map(|name| self.user(name)).transpose()?;
        let told = self.books.obey(command, changes);
        told.map(Told::Book).map_err(|refusal| refusal.text().into())
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
        let done = self.devices.groups.put(id, name, changes);
        done.then_some(Told::Done("Done.")).ok_or_else(|| MANY_GROUPS.into())
    }

    fn group_rows(&self) -> Vec<GroupRow> {
        let row = |group: &str, user: &str, device: &str| {
            let [group, user, device] = [group, user, device].map(String::from);
            GroupRow { group, user, device }
        };
        let users = self.users.iter().filter(|(_, user)| !user.group.is_empty());
        let mut rows: Vec<_> = users.map(|(name, user)| row(&user.group, name, "")).collect();
        rows.extend(self.devices.groups.iter().map(|(id, group)| row(group, "", id.as_str())));
        rows.sort_unstable();
        rows
    }

    fn user(&self, name: &str) -> Result<User, String> {
        self.users.get(name).cloned().ok_or_else(|| NO_USER.into())
    }

    fn hash_password(
        &mut self,
        name: String,
        password: String,
        is_new: bool,
    ) -> Result<Option<(Told, Changes)>, String> {
        if !(PASSWORD_BYTES_MIN..=PASSWORD_BYTES_MAX).contains(&password.len()) {
            return Err(NO_PASSWORD.into());
        }
        let job = HashJob::make(password, self.cost(), self.secrets.draw());
        self.logins.hash(job, Then::Password { name, is_new });
        Ok(None)
    }

    /// The hash of a password that an operator gave is there.
    pub(super) fn password_made(
        &mut self,
        (name, is_new): (&str, bool),
        hashed: &Hashed,
        effects: &mut Effects,
    ) {
        let mut changes = Changes::default();
        let stored = match hashed {
            Hashed::Made(bytes) => Stored::read(bytes),
            Hashed::Fits(_) | Hashed::Failed => None,
        };
        let told = match (stored, self.users.get(name), is_new) {
            (None, ..) => Told::Refused("There was no memory to hash the password in.".into()),
            (Some(password), None, true) => {
                self.users.put(name, Some(User::new(password)), &mut changes);
                Told::Done("The user was added.")
            }
            (Some(password), Some(user), false) => {
                let user = User { password, ..user.clone() };
                self.users.put(name, Some(user), &mut changes);
                self.tokens.take_all(&mut changes, |token| token.user == name);
                Told::Done("The password was changed, and the user is logged out everywhere.")
            }
            (Some(_), ..) => Told::Refused(NO_USER.into()),
        };
        self.finish(Whom::Operator(told), changes, SaveRank::Operator, effects);
    }

    fn user_rows(&self) -> Vec<UserRow> {
        let (mut names, mut rows) = (Vec::new(), Vec::new());
        self.users.iter().for_each(|(name, _)| names.push(&**name));
        names.sort_unstable();
        for name in names {
            let Some(user) = self.users.get(name).cloned() else { continue };
            rows.push(UserRow {
                name: name.into(),
                is_disabled: user.is_disabled,
                is_admin: user.is_admin,
                group: user.group,
                totp: user.totp.is_some(),
                tokens: self.tokens.of(name),
                display: user.display,
                email: user.email,
                note: user.note,
            });
        }
        rows
    }
}

fn with_field(mut user: User, field: &str) -> Result<User, String> {
    let refused = || ["'", field, NO_FIELD].concat();
    let (name, value) = field.split_once('=').ok_or_else(refused)?;
    let text = match name {
        "display" => &mut user.display,
        "email" => &mut user.email,
        "note" => &mut user.note,
        "group" if value.is_empty() || is_name(value) => &mut user.group,
        "admin" if matches!(value, "yes" | "no") => {
            user.is_admin = value == "yes";
            return Ok(user);
        }
        _ => return Err(refused()),
    };
    if value.len() > USER_TEXT_BYTES_MAX || value.chars().any(char::is_control) {
        return Err(refused());
    }
    *text = value.into();
    Ok(user)
}
