//! Who has an account and who is logged in: users, their passwords and codes, their tokens, and how
//! often they may try.

pub(super) mod attempts;
pub(super) mod login;
pub(super) mod password;
pub(super) mod tokens;
pub(super) mod totp;
pub(super) mod users;
