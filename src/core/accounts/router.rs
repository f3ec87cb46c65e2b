//! Which path is whose. Each part of the accounts has its own calls here and nowhere else
//! (protocol §9). C165.

use alloc::string::String;

use super::access::login;
use super::call::{Answer, Call, Changes, Method};
use super::devices::Sight;
use super::{Accounts, CLOCK, Effects};
use crate::base::conn::Conn;
use crate::base::time::Time;

/// The first word of calls of address books.
const BOOKS: &str = "ab";
/// What `rustdesk --assign` prints.
const NOT_ASSIGNED: &str = "Clients assign nothing here: use 'hbb ctl group' on the server.\n";
/// What every path begins with.
const BEGIN: &str = "/api/";

impl Accounts {
    /// The answer to the call on this connection, with what changes; None if it comes later.
    pub(super) fn route(
        &mut self,
        now: Time,
        (conn, call): (Conn, &Call<'_>),
        changes: &mut Changes,
        effects: &mut Effects,
    ) -> Option<Answer> {
        let Some(path) = call.path.strip_prefix(BEGIN) else { return Some(Answer::status(404)) };
        let device = self.device.take();
        if let Some(answer) = self.devices.call(now, call, device.as_ref()) {
            return Some(answer);
        }
        if let Some(user) = self.user_of(now, call) {
            self.users.note_home(&user, call.source.ip, None);
            if let Some(id) = &device {
                self.devices.note_login(id, &user);
            }
        }
        Some(match (call.method, path) {
            // A browser asks whether a page of another origin may; all may, who show a token.
            (Method::Options, _) => Answer::status(204),
            (Method::Get | Method::Head, "login-options") => Answer::json(b"[]".to_vec()),
            (Method::Post, "login") => {
                return self.log_in(now, (conn, call, device), changes, effects);
            }
            // The client that asks for it takes silence for success.
            (Method::Post, "devices/cli") => Answer { status: 404, ..Answer::text(NOT_ASSIGNED) },
            _ if is_of_users(path) => self.route_user(now, path, call, changes),
            _ => Answer::status(404),
        })
    }

    /// The user whose good token a call shows.
    pub(super) fn user_of(&self, now: Time, call: &Call<'_>) -> Option<String> {
        self.who(now, call.token?).ok().map(|who| who.name.into())
    }

    /// The answer to what only users may ask.
    fn route_user(
        &mut self,
        now: Time,
        path: &str,
        call: &Call<'_>,
        changes: &mut Changes,
    ) -> Answer {
        let Some(now_secs) = self.unix_secs(now) else { return Answer::error(CLOCK) };
        let shown = call.token.unwrap_or_default();
        let Self { users, tokens, books, devices, .. } = self;
        let who = tokens.get(shown, now_secs).and_then(|token| users.who(token.user()));
        let Some(who) = who else { return Answer::status(401) };
        match (call.method, path) {
            (Method::Post, "currentUser") => users.get(who.name).map_or_else(
                || Answer::status(401),
                |user| Answer::json(login::user_object(who.name, user).into_bytes()),
            ),
            (Method::Post, "logout") => {
                tokens.take(shown, changes);
                Answer::empty()
            }
            _ if first(path) == BOOKS => books.call(&who, call, changes),
            (Method::Get, _) => {
                let sight = Sight { who, users, tokens };
                devices.list(path, call, sight).unwrap_or_else(|| Answer::status(404))
            }
            _ => Answer::status(404),
        }
    }
}

/// Whether a call of this path must show a token.
fn is_of_users(path: &str) -> bool {
    matches!(first(path), "currentUser" | "logout" | "users" | "peers" | "device-group" | BOOKS)
}

fn first(path: &str) -> &str {
    path.split('/').next().unwrap_or_default()
}
