//! Logging in (protocol §9.3): a password, then perhaps a code, and a token is given. C166, C168,
//! C169.

use alloc::string::{String, ToString as _};

use super::attempts::{Attempt, Then};
use super::password::{HashJob, Hashed, Stored};
use super::tokens;
use super::totp;
use super::users::{User, field};
use crate::accounts::call::{Answer, Call, Changes, Source};
use crate::accounts::{AccountEvent, Accounts, BUSY, CLOCK, Effect, Effects, Whom, push};
use crate::base::conn::Conn;
use crate::base::json::{Value, Writer};
use crate::base::limits::{PASSWORD_BYTES_MAX, PEER_ID_BYTES_MAX};
use crate::base::peer::PeerId;
use crate::base::time::Time;

const WRONG: &str = "Wrong credentials";
const WRONG_CODE: &str = "The code is wrong, or was used already.";
const CODE_OVER: &str = "This took too long. Log in again.";
const TOO_MANY: &str = "There were too many attempts. Try again in a few minutes.";
const DISABLED: &str = "This account is disabled.";
const NO_MEMORY: &str = "The server has no memory to check the password in. Try again.";

impl Accounts {
    /// Somebody logs in, on a device that proved itself by the call, if one did; None if a password
    /// is to be looked at first.
    pub(in crate::accounts) fn log_in(
        &mut self,
        now: Time,
        (conn, call, proved): (Conn, &Call<'_>, Option<PeerId>),
        changes: &mut Changes,
        effects: &mut Effects,
    ) -> Option<Answer> {
        let Some(now_secs) = self.unix_secs(now) else { return Some(Answer::error(CLOCK)) };
        let Some(body) = call.json() else { return Some(Answer::status(400)) };
        if body.text_of("type").as_deref() == Some("email_code") {
            return Some(self.log_in_with_code(
                (now, now_secs),
                (call.source, proved),
                body,
                (changes, effects),
            ));
        }
        let text = |name| body.text_of(name).unwrap_or_default();
        let (name, password, device) = (text("username"), text("password"), text("id"));
        let Some(at_home) = self.admit(now, call.source, &name, effects) else {
            return Some(Answer::error(TOO_MANY));
        };
        if password.len() > PASSWORD_BYTES_MAX || device.len() > PEER_ID_BYTES_MAX {
            return Some(Answer::error(WRONG));
        }
        // Whoever asks learns nothing from how long it takes whether there is such a user.
        let stored = self.users.get(&name).and_then(User::password);
        let stored = stored.unwrap_or_else(|| Stored::of_nobody(self.cost(), [0; 32]));
        let attempt = Attempt {
            conn,
            user: name.into(),
            device: device.into(),
            proved,
            source: call.source,
            at_home,
            stored: stored.bytes(),
        };
        self.logins.hash(HashJob::compare(password.into(), stored), Then::LogIn(attempt));
        None
    }

    /// Counts one more attempt; None if it is one too many, else whether the user was logged in
    /// there.
    fn admit(
        &mut self,
        now: Time,
        source: Source,
        name: &str,
        effects: &mut Effects,
    ) -> Option<bool> {
        let (at_home, from) = (self.users.is_home(name, source.ip), source.ip);
        let admitted = self.logins.admit(now, (source, at_home), name);
        if admitted.is_none() {
            push(effects, Effect::Report(AccountEvent::LoginsTooMany { from }));
        }
        admitted
    }

    /// A password was hashed.
    pub(in crate::accounts) fn hashed(
        &mut self,
        now: Time,
        hashed: &Hashed,
        effects: &mut Effects,
    ) {
        match self.logins.hashed() {
            Some(Then::LogIn(attempt)) => {
                let mut changes = Changes::default();
                let answer = self.password_seen(now, &attempt, hashed, (&mut changes, effects));
                let whom = Whom::Call(attempt.conn, answer);
                let rank = self.rank(now, Some(&attempt.user), &changes);
                self.finish(whom, changes, rank, effects);
            }
            Some(Then::Password { name, is_new }) => {
                self.password_made((&name, is_new), hashed, effects);
            }
            None => {}
        }
    }

    fn password_seen(
        &mut self,
        now: Time,
        attempt: &Attempt,
        hashed: &Hashed,
        (changes, effects): (&mut Changes, &mut Effects),
    ) -> Answer {
        let Attempt { user: name, device, proved, source, stored, .. } = attempt;
        let user = self.users.get(name);
        match hashed {
            Hashed::Failed => return Answer::error(NO_MEMORY),
            Hashed::Made(_) => return Answer::error(BUSY),
            Hashed::Fits(true)
                if user.is_some_and(|user| user.0.bytes(field::PASSWORD) == *stored) => {}
            Hashed::Fits(_) => {
                let is_user = user.is_some();
                return self.wrong(now, (*source, name, is_user), WRONG, effects);
            }
        }
        let Some(user) = user else { return Answer::error(WRONG) };
        if user.is_disabled() {
            return Answer::error(DISABLED);
        }
        if user.totp().is_some() {
            let secret = tokens::text(self.secrets.draw());
            self.logins.ask_code(now, tokens::hash(secret.as_bytes()), (name, device));
            // It sends the secret back with the code.
            let texts = ["email_check", "tfa_check", &secret];
            return self.tell_user(name, "type tfa_type secret", &texts);
        }
        let Some(now_secs) = self.unix_secs(now) else { return Answer::error(CLOCK) };
        self.give((name, device, proved.as_ref()), *source, now_secs, (changes, effects))
    }

    /// The second step, where a user has one.
    fn log_in_with_code(
        &mut self,
        (now, now_secs): (Time, u64),
        (source, proved): (Source, Option<PeerId>),
        body: Value<'_>,
        (changes, effects): (&mut Changes, &mut Effects),
    ) -> Answer {
        let text = |name| body.text_of(name).unwrap_or_default();
        let key = tokens::hash(text("secret").as_bytes());
        let Some((name, device)) = self.logins.code_for(now, &key) else {
            return Answer::error(CODE_OVER);
        };
        if self.admit(now, source, &name, effects).is_none() {
            return Answer::error(TOO_MANY);
        }
        let user = self.users.get(&name).filter(|user| !user.is_disabled());
        let Some((user, secret)) = user.zip(user.and_then(User::totp)) else {
            return Answer::error(CODE_OVER);
        };
        let shown = [text("tfaCode"), text("verificationCode")];
        let shown = shown.iter().find(|code| !code.is_empty()).map_or("", |code| code);
        match totp::step_of(&secret, shown, now_secs, user.0.number(field::TOTP_STEP)) {
            None => self.wrong(now, (source, &name, true), WRONG_CODE, effects),
            Some(step) => {
                self.logins.code_done(&key);
                self.users.put(&name, (field::TOTP_STEP, &step.to_le_bytes()), changes);
                let who = (&*name, &*device, proved.as_ref());
                self.give(who, source, now_secs, (changes, effects))
            }
        }
    }

    fn wrong(
        &mut self,
        now: Time,
        (source, name, is_user): (Source, &str, bool),
        said: &'static str,
        effects: &mut Effects,
    ) -> Answer {
        let user = is_user.then(|| name.to_string());
        let at_home = self.users.is_home(name, source.ip);
        self.logins.was_wrong(now, (source, at_home), user.as_deref());
        push(effects, Effect::Report(AccountEvent::LoginFailed { user, from: source.ip }));
        Answer::error(said)
    }

    /// Everything was right.
    fn give(
        &mut self,
        (name, device, proved): (&str, &str, Option<&PeerId>),
        source: Source,
        now_secs: u64,
        (changes, effects): (&mut Changes, &mut Effects),
    ) -> Answer {
        let secret = self.secrets.draw();
        let token = self.tokens.give((name, device), secret, now_secs, changes);
        self.logins.counts.done += 1;
        // In the commit of the token.
        self.users.note_home(name, source.ip, Some(changes));
        if let Some(id) = proved {
            self.devices.note_login(id, name);
        }
        let event = AccountEvent::LoggedIn { user: name.into(), from: source.ip };
        push(effects, Effect::Report(event));
        self.tell_user(name, "access_token type", &[&token, "access_token"])
    }

    /// Members before the user's.
    fn tell_user(&self, name: &str, names: &str, texts: &[&str]) -> Answer {
        let user = self.users.get(name).map(|user| user_object(name, user));
        let mut json = Writer::object();
        json.members(names, texts);
        json.name("user");
        json.raw(&user.unwrap_or_default());
        Answer::json(json.end().into_bytes())
    }
}

/// A user, as clients read it.
pub(in crate::accounts) fn user_object(name: &str, user: User<'_>) -> String {
    let mut json = Writer::object();
    let text = |number| user.0.text(number);
    let (display, email, note) = (text(field::DISPLAY), text(field::EMAIL), text(field::NOTE));
    json.members("name display_name avatar email note", &[name, display, "", email, note]);
    json.name("status");
    json.number(i64::from(!user.is_disabled()));
    json.name("is_admin");
    json.flag(user.is_admin());
    json.name("info");
    json.raw("{}");
    json.end()
}
