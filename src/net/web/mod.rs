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

impl Visit<'_> {
    async fn page(&self, call: HttpCall) -> Result<Page, DropReason> {
        let path = call.target.split('?').next().unwrap_or_default();
        match (call.method, path) {
            (Method::Post, _) if call.browser.is_foreign => return Ok(plain(403)),
            (Method::Get | Method::Head, "/page.css") => return Ok(file(CSS_PACKED, STYLE)),
            (Method::Get | Method::Head, "/page.js") => return Ok(file(JS_PACKED, SCRIPT)),
            // A browser that shows why nobody was signed in, and asks again.
            (Method::Get, "/sign-in") => return Ok(plain(303)),
            (Method::Post, "/sign-in") => return self.sign_in(&call.body).await,
            (Method::Post, "/sign-out") => return self.sign_out(call.browser.token).await,
            (Method::Get | Method::Head, "/") => {}
            // For our own script alone.
            (Method::Post, "/ctl" | "/qr") if !call.browser.is_script => return Ok(plain(401)),
            (Method::Post, "/ctl" | "/qr") => {}
            _ => return Ok(plain(404)),
        }
        let is_front = path == "/";
        if !self.is_admin(call.browser.token).await? {
            return Ok(if is_front { sign_in_page(200, "") } else { plain(401) });
        }
        if path == "/qr" {
            return Ok(code(&call.body));
        }
        let asked = if is_front { Some("text status\n".into()) } else { line(&call.body) };
        let Some(asked) = asked else { return Ok(plain(400)) };
        let said = self.web.orders.command(asked).await;
        // Behind whether it was carried out.
        let said = said.get(1..).unwrap_or_default();
        if !is_front {
            return Ok(file(JSON, said.as_bytes()));
        }
        // The state of the server is for browsers without scripts.
        let status = ["<pre>", &escaped(said), "</pre>"].concat();
        Ok(file(HTML, filled(SHELL, STATUS, &status).as_bytes()))
    }

    async fn sign_in(&self, form: &[u8]) -> Result<Page, DropReason> {
        let [name, password, mut code] = ["name", "password", "code"].map(|name| field(form, name));
        let login = object([("username", &name), ("password", &password), ("id", PAGE_DEVICE)]);
        let mut next = ("/api/login", login, None);
        loop {
            let (path, body, token) = next;
            let is_over = token.is_some();
            let said = self.ask(path, body, token).await?;
            if is_over {
                return Ok(sign_in_page(403, NO_ADMIN));
            }
            next = if let Some(secret) = text_of(&said, "secret") {
                let code = core::mem::take(&mut code);
                if code.is_empty() {
                    return Ok(sign_in_page(401, CODE));
                }
                let members = [("type", "email_code"), ("secret", &secret), ("tfaCode", &code)];
                ("/api/login", object(members), None)
            } else {
                let Some(token) = text_of(&said, "access_token") else {
                    let said = text_of(&said, "error");
                    return Ok(sign_in_page(401, said.as_deref().unwrap_or(ODD)));
                };
                let user = Value::parse(&said).ok().and_then(|said| said.get("user"));
                if user.is_some_and(admin) {
                    return Ok(Page { session: Some(token), ..plain(303) });
                }
                ("/api/logout", String::new(), Some(token))
            };
        }
    }

    async fn sign_out(&self, token: Option<String>) -> Result<Page, DropReason> {
        if token.is_some() {
            self.ask("/api/logout", String::new(), token).await?;
        }
        Ok(Page { session: Some(String::new()), ..plain(303) })
    }

    /// Whether the cookie is an administrator's.
    async fn is_admin(&self, token: Option<String>) -> Result<bool, DropReason> {
        if token.is_none() {
            return Ok(false);
        }
        let said = self.ask("/api/currentUser", "{}".into(), token).await?;
        Ok(Value::parse(&said).is_ok_and(admin))
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

fn object(members: [(&str, &str); 3]) -> String {
    let mut json = Writer::object();
    members.into_iter().for_each(|(member, text)| json.member(member, text));
    json.end()
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
