//! What the stranger does where there are accounts: at the API by HTTP, at the page, and over the
//! sealed channel; and what a known user and device do there meanwhile.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::chance::Chance;
use crate::load::{CONNECT, Held, Stranger};
use crate::model::host::Host;
use crate::model::seal::Seal;
use crate::model::wire;
use crate::say::proto::{HeaderEntry, HttpProxyRequest};
use crate::say::{self, Body};

/// Their ports.
#[derive(Clone, Copy)]
pub(crate) struct Doors {
    pub(crate) api: u16,
    pub(crate) web: u16,
}

/// Whose password is guessed at.
pub(crate) const USER: &str = "anna";
pub(crate) const PASSWORD: &str = "correct horse battery";

/// A request by HTTP, with lines of its head.
fn request(method: &str, path: &str, lines: &str, body: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: rd\r\n{lines}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn login(user: &str, password: &str) -> String {
    format!(
        r#"{{"username":"{user}","password":"{password}","id":"123456789","uuid":"MTIz",
        "autoLogin":true,"type":"account"}}"#
    )
}

impl Stranger {
    fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.server().ip(), port)
    }

    /// Sends this and waits for a moment, in which it may be answered.
    fn asks(&self, chance: &mut Chance, (port, text): (u16, &str), held: &mut Held) {
        let Some(mut stream) = self.connect_to(chance, self.at(port)) else { return };
        let _ = stream.set_write_timeout(Some(CONNECT));
        let _ = stream.set_read_timeout(Some(Duration::from_millis(20)));
        let _ = stream.write_all(text.as_bytes());
        let _ = stream.read(&mut [0; 512]);
        held.add(stream);
    }

    /// Passwords of somebody and of nobody, and calls with tokens that nobody was given.
    pub(crate) fn guess(&self, number: usize) {
        let (mut chance, mut held) = (Chance::new(10), Held::none());
        let Some(Doors { api, .. }) = self.doors else { return };
        while self.goes_on(Duration::from_millis(10)) {
            let guess = format!("{:016x}", chance.draw());
            let text = match chance.below(4) {
                0 => request("POST", "/api/login", "", &login(&guess, "whatever it is")),
                1 => {
                    let shown = format!("Authorization: Bearer {guess}{guess}{guess}{guess}\r\n");
                    request("POST", "/api/ab/personal", &shown, "")
                }
                _ => request("POST", "/api/login", "", &login(USER, &guess)),
            };
            self.asks(&mut chance, (api, &text), &mut held);
            self.count(number);
        }
    }

    /// Requests that never end, a byte of each at a time: heads, and bodies as long as may be.
    pub(crate) fn dribble_requests(&self, number: usize) {
        let (mut chance, mut held) = (Chance::new(11), Held::none());
        let Some(Doors { api, web }) = self.doors else { return };
        let (long, head) = ("x".repeat(60_000), "x".repeat(7_000));
        while self.goes_on(Duration::from_millis(20)) {
            let port = *chance.choose(&[api, web]);
            let text = match chance.below(3) {
                0 => format!("GET /{head} HTTP/1.1\r\nX: "),
                1 => format!("POST /api/ab HTTP/1.1\r\nContent-Length: 60001\r\n\r\n{long}"),
                _ => "POST /api/login HTTP/1.1\r\nTransfer-Encoding: chunked\r\n".into(),
            };
            self.asks(&mut chance, (port, &text), &mut held);
            held.each(|mut stream| drop(stream.write(b"x")));
            self.count(number);
        }
    }

    /// The page, with sign-ins and commands of another site's; answers that nobody reads.
    pub(crate) fn page(&self, number: usize) {
        let (mut chance, mut held) = (Chance::new(12), Held::none());
        let Some(Doors { web, .. }) = self.doors else { return };
        while self.goes_on(Duration::from_millis(10)) {
            let text = match chance.below(3) {
                0 => request("GET", "/page.js", "", ""),
                1 => request(
                    "POST",
                    "/ctl",
                    "X-Hbb: 1\r\nCookie: hbb-session=0123\r\n",
                    r#"["user","list"]"#,
                ),
                _ => request("POST", "/sign-in", "", "name=anna&password=whatever"),
            };
            self.asks(&mut chance, (web, &text), &mut held);
            self.count(number);
        }
    }

    /// Calls over the sealed channel: logins, and devices that are not its.
    pub(crate) fn call_sealed(&self, number: usize) {
        let mut chance = Chance::new(13);
        while self.goes_on(Duration::from_millis(20)) {
            let Some(mut stream) = self.connect_to(&mut chance, self.server()) else { continue };
            let _ = stream.set_read_timeout(Some(CONNECT));
            let Ok(mut seal) = Seal::agree_if_offered(&mut stream, self.key()) else { continue };
            let (path, body) = match chance.below(2) {
                0 => ("/api/login", login(USER, "whatever it is")),
                _ => ("/api/sysinfo", r#"{"id":"honest-1","uuid":"AAAA","hostname":"x"}"#.into()),
            };
            let header = HeaderEntry { name: "Content-Type".into(), value: "x".repeat(4_000) };
            let call = HttpProxyRequest {
                method: "POST".into(),
                path: path.into(),
                headers: vec![header],
                body: body.into(),
            };
            let payload = say::payload(Body::HttpProxyRequest(call));
            let _ = wire::send(&mut stream, &seal.close(&payload));
            self.count(number);
        }
    }
}

/// Somebody honest there.
pub(crate) struct Caller {
    pub(crate) host: Host,
    pub(crate) to: SocketAddr,
}

impl Caller {
    fn call(&self, path: &str, lines: &str, body: &str) -> String {
        let mut stream: TcpStream = self.host.connect(0, self.to).unwrap();
        let method = if path.starts_with("/api/") { "POST" } else { "GET" };
        stream.write_all(request(method, path, lines, body).as_bytes()).unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        assert!(said.starts_with("HTTP/1.1 200 "), "{path}: {said:?}");
        said
    }

    /// A user who was here before logs in, and opens the address book.
    pub(crate) fn log_in(&self) {
        let said = self.call("/api/login", "", &login(USER, PASSWORD));
        let token = said.split(r#""access_token":""#).nth(1);
        let token = token.unwrap_or_else(|| panic!("{said}")).split('"').next().unwrap();
        let shown = format!("Authorization: Bearer {token}\r\n");
        assert!(self.call("/api/ab/personal", &shown, "").contains(r#""guid":""#));
    }

    /// A device that is registered says that it is there, and is believed.
    pub(crate) fn beat(&self, id: &str) {
        let body = format!(r#"{{"id":"{id}","uuid":"YSBkZXZpY2U=","ver":1004090}}"#);
        let said = self.call("/api/heartbeat", "", &body);
        assert!(said.ends_with(r#"{"sysinfo":true}"#), "{said}");
    }

    /// Whoever opens the page is asked who he is.
    pub(crate) fn open_page(&self) {
        assert!(self.call("/", "", "").contains("<form"));
    }
}
