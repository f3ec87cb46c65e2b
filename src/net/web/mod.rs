//! `--web`: the page for operators, in a browser. It shows what `hbb ctl` says and does what that
//! does, for administrators who are signed in; the files are in `page/`, and packed by
//! `cross/page.rs`. Whoever is not at home is not served, unless the operator named an address, nor
//! who asks by a name that may be a stranger's. C195-C198, C207, C208; tests/web.

use std::net::IpAddr;

use hbb_core::accounts::call::{Door as Way, HttpCall, Method};
use hbb_core::base::counters::DropReason;
use hbb_core::base::json::{Value, Writer};
use hbb_core::base::limits::{CONTROL_BYTES_MAX, FRAME_BYTES_MAX, PAGE_DEVICE};
use hbb_core::base::text::around;
use hbb_core::wire::http::browser::{Page, escaped, field};

use crate::net::conn::Connection;
use crate::net::conn::gate::Door;
use crate::net::conn::link::bytes::{Held, Purpose};
use crate::net::conn::pool::Place;
use crate::net::control::Orders;
use crate::net::signalling::calls;
use crate::net::signalling::conversation::SignallingHandle;
use crate::qr::qr_code;

const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";
/// These are sent as they are embedded: the head says so, too.
const CSS_PACKED: &str = "text/css\r\nContent-Encoding: gzip";
const JS_PACKED: &str = "text/javascript\r\nContent-Encoding: gzip";
const SIGN_IN: &str = include_str!("page/sign-in.html");
const SHELL: &str = include_str!("page/page.html");
const STYLE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/page.css.gz"));
const SCRIPT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/page.js.gz"));
/// What stands in the files for what is only known now.
const ERROR: &str = "ERROR";
const STATUS: &str = "STATUS";

/// The page itself.
const FRONT: &str = "/";

const NO_ADMIN: &str = "Only administrators may sign in here.";
const CODE: &str = "Enter the code of your second factor, too.";
const ODD: &str = "The server is busy. Try again.";

/// Whom the page is made of.
#[derive(Clone, Copy)]
pub(crate) struct WebHandle {
    /// Has the accounts.
    pub(crate) rendezvous: &'static SignallingHandle,
    /// Carries commands out.
    pub(crate) orders: &'static Orders,
    /// Whether only those are served who come from a private address or this machine.
    pub(crate) at_home_alone: bool,
}

/// Answers the one request of a connection.
///
/// # Errors
/// Why the connection must end.
pub(crate) async fn answer(
    connection: &mut Connection,
    door: Door<'_>,
    web: &WebHandle,
) -> Result<(), DropReason> {
    let (peer, mut is_head) = (connection.from.ip(), false);
    let page = match calls::received(connection, door).await? {
        Ok((call, held)) => {
            is_head = call.method == Method::Head;
            let place = &connection.place;
            let is_here = peer.is_loopback() && call.browser.is_of_this_machine();
            let is_welcome = !web.at_home_alone || is_at_home(place.ip()) || is_here;
            let page = match is_welcome && door.is_named_well(&call.browser) {
                true if call.body.len() > FRAME_BYTES_MAX => plain(413),
                true => Visit { web, place }.page(call).await?,
                false => plain(403),
            };
            drop(held);
            page
        }
        Err(status) => plain(status),
    };
    let body_bytes = page.body.len();
    let _held = held(connection, body_bytes)?;
    let mut answer = page.into_bytes();
    if is_head {
        answer.truncate(answer.len() - body_bytes);
    }
    connection.link.write(&answer).await
}

fn held(connection: &Connection, bytes: usize) -> Result<Held, DropReason> {
    let place = &connection.place;
    let held = Held::none(place.account(Purpose::Unread, connection.link.unnamed));
    // Lists that only an administrator is shown; all else is short.
    held.may_be_long();
    held.another(bytes, place.is_familiar()).ok_or(DropReason::MemoryFull)
}

/// One request, and who asks.
struct Visit<'a> {
    web: &'a WebHandle,
    place: &'a Place,
}

/// A call of the accounts, whose answer tells how a visit goes on.
struct Ask {
    path: &'static str,
    body: String,
    token: Option<String>,
    then: Then,
}

/// What follows the answer.
enum Then {
    /// Whoever signs in is in, or shows this code of a second factor.
    SignIn(String),
    /// An administrator gets what was asked for.
    Obey,
    /// This page, whatever the answer is.
    Show(Page),
}

impl Visit<'_> {
    async fn page(&self, mut call: HttpCall) -> Result<Page, DropReason> {
        let mut next = begin(&mut call);
        let user = loop {
            let Ask { path, body, token, then } = match next {
                Ok(ask) => ask,
                Err(page) => return Ok(page),
            };
            let said = self.ask(path, body, token).await?;
            next = match then {
                Then::SignIn(code) => signed_in(&said, &code),
                Then::Obey => break said,
                Then::Show(page) => Err(page),
            };
        };
        let path = path_of(&call);
        if !Value::parse(&user).is_ok_and(admin) {
            return Ok(to_nobody(path));
        }
        let line = match path {
            FRONT => Some("text status\n".into()),
            "/qr" => return Ok(code(&call.body)),
            _ => line(&call.body),
        };
        let Some(line) = line else { return Ok(plain(400)) };
        let said = self.web.orders.command(line).await;
        // Behind whether it was carried out.
        let said = said.get(1..).unwrap_or_default();
        if path != FRONT {
            return Ok(file(JSON, said.as_bytes()));
        }
        // The state of the server is for browsers without scripts.
        let status = ["<pre>", &escaped(said), "</pre>"].concat();
        Ok(file(HTML, filled(SHELL, STATUS, &status).as_bytes()))
    }

    /// What the accounts say to a call; empty if that is no text.
    async fn ask(
        &self,
        path: &str,
        body: String,
        token: Option<String>,
    ) -> Result<String, DropReason> {
        let mut call = HttpCall::new("POST", path, None, body.into_bytes());
        call.token = token;
        let (answer, _held) =
            calls::ask(&self.web.rendezvous.inbox, self.place, call, Way::Http).await?;
        Ok(String::from_utf8(answer.body).unwrap_or_default())
    }
}

fn path_of(call: &HttpCall) -> &str {
    call.target.split('?').next().unwrap_or_default()
}

/// What the accounts are asked first; a page, where they are not.
fn begin(call: &mut HttpCall) -> Result<Ask, Page> {
    let token = call.browser.token.take();
    let (path, then) = match (call.method, path_of(call)) {
        (Method::Post, _) if call.browser.is_foreign => return Err(plain(403)),
        (Method::Get | Method::Head, "/page.css") => return Err(file(CSS_PACKED, STYLE)),
        (Method::Get | Method::Head, "/page.js") => return Err(file(JS_PACKED, SCRIPT)),
        // A browser that shows why nobody was signed in, and asks again.
        (Method::Get, "/sign-in") => return Err(plain(303)),
        (Method::Post, "/sign-in") => {
            let [name, password, code] =
                ["name", "password", "code"].map(|name| field(&call.body, name));
            let login = [("username", &*name), ("password", &password), ("id", PAGE_DEVICE)];
            return Ok(login_with(login, code));
        }
        (Method::Post, "/sign-out") => {
            let out = Page { session: Some(String::new()), ..plain(303) };
            ("/api/logout", Then::Show(out))
        }
        // For our own script alone.
        (Method::Post, "/ctl" | "/qr") if !call.browser.is_script => return Err(plain(401)),
        (Method::Get | Method::Head, FRONT) | (Method::Post, "/ctl" | "/qr") => {
            ("/api/currentUser", Then::Obey)
        }
        _ => return Err(plain(404)),
    };
    match (token, then) {
        (None, Then::Show(page)) => Err(page),
        (None, _) => Err(to_nobody(path_of(call))),
        (token, then) => Ok(Ask { path, body: String::new(), token, then }),
    }
}

/// Goes on from what the accounts say to a login.
fn signed_in(said: &str, code: &str) -> Result<Ask, Page> {
    if let Some(secret) = text_of(said, "secret") {
        if code.is_empty() {
            return Err(sign_in_page(401, CODE));
        }
        let shown = [("type", "email_code"), ("secret", &*secret), ("tfaCode", code)];
        return Ok(login_with(shown, String::new()));
    }
    let Some(token) = text_of(said, "access_token") else {
        let said = text_of(said, "error");
        return Err(sign_in_page(401, said.as_deref().unwrap_or(ODD)));
    };
    let user = Value::parse(said).ok().and_then(|said| said.get("user"));
    if user.is_some_and(admin) {
        return Err(Page { session: Some(token), ..plain(303) });
    }
    let then = Then::Show(sign_in_page(403, NO_ADMIN));
    Ok(Ask { path: "/api/logout", body: String::new(), token: Some(token), then })
}

fn login_with(members: [(&str, &str); 3], code: String) -> Ask {
    let mut json = Writer::object();
    members.into_iter().for_each(|(member, text)| json.member(member, text));
    Ask { path: "/api/login", body: json.end(), token: None, then: Then::SignIn(code) }
}

/// What is there for who is not signed in.
fn to_nobody(path: &str) -> Page {
    if path == FRONT { sign_in_page(200, "") } else { plain(401) }
}

/// A private address, as networks behind a router have, or this machine's own.
fn is_at_home(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private() || ip.is_loopback() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_loopback() || ip.is_unicast_link_local(),
    }
}

fn admin(user: Value<'_>) -> bool {
    user.get("is_admin").and_then(Value::flag) == Some(true)
}

fn text_of(json: &str, name: &str) -> Option<String> {
    Some(Value::parse(json).ok()?.text_of(name)?.into_owned())
}

/// The line of a command for the control thread, of an array of its words; a last word that is an
/// object brings what stands behind that, a password or entries of an address book.
fn line(words: &[u8]) -> Option<String> {
    let words = Value::parse(core::str::from_utf8(words).ok()?).ok()?;
    let (mut line, mut secret) = (String::from("json"), String::new());
    for item in words.items() {
        if let Some(text) = item.text_of("secret") {
            secret = text.into_owned();
            continue;
        }
        line.push(' ');
        line.push_str(&item.text()?);
    }
    let is_line = line.len() < CONTROL_BYTES_MAX && !line.contains(['\n', '\r']);
    is_line.then(|| [&line, "\n", &secret, "\n"].concat())
}

/// A text as QR code.
fn code(text: &[u8]) -> Page {
    let code = core::str::from_utf8(text).ok().and_then(|text| qr_code(text, false));
    code.map_or_else(|| plain(400), |code| file(TEXT, code.as_bytes()))
}

/// A page with `text` in one of its places.
fn filled(page: &str, place: &str, text: &str) -> String {
    let (before, behind) = around(page, place).unwrap_or((page, ""));
    [before, text, behind].concat()
}

fn sign_in_page(status: u16, error: &str) -> Page {
    Page { status, ..file(HTML, filled(SIGN_IN, ERROR, &escaped(error)).as_bytes()) }
}

fn file(kind: &'static str, body: &[u8]) -> Page {
    Page { status: 200, kind, session: None, body: body.to_vec() }
}

fn plain(status: u16) -> Page {
    let text = match status {
        401 => "Sign in first.",
        403 => {
            "This page is for private addresses, by an address, a local name or that of --public. \
             To have it elsewhere, or behind a proxy, start hbb with --web IP:PORT."
        }
        404 => "There is no such page.",
        400 => "This is too long.",
        _ => "",
    };
    Page { status, ..file(TEXT, text.as_bytes()) }
}
