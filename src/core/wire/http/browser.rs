//! What a browser says with a request for the page of operators, and how it is answered: cookies
//! (RFC 6265), origins (RFC 6454), forms. Pure over bytes. C195, C196, the tests below.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use httparse::Header;

use super::{common_head, only};
use crate::base::address::split_port;
use crate::base::text::around;

/// The cookie that holds the token of who is signed in.
const COOKIE: &str = "hbb-session=";
/// The header that the page's script sends, and no page of another origin may.
const MARK: &str = "x-hbb";
/// Which headers proxies write; nobody else does.
const OF_PROXIES: [&str; 4] = ["x-real-ip", "x-forwarded-for", "forwarded", "via"];
/// How names end that mean something in a local network alone (RFC 6762, RFC 8375, and those that
/// routers give).
const LOCAL_ENDS: [&str; 5] = [".local", ".lan", ".internal", ".home.arpa", ".localhost"];

/// Who asks, as far as the headers tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Browser {
    /// The token in our cookie.
    pub token: Option<String>,
    /// Whether a page of another origin has it asked.
    pub is_foreign: bool,
    /// Whether our page's script asks.
    pub is_script: bool,
    /// The name or address that the page was asked for by, in small letters and without a port;
    /// empty if it is not told once.
    pub host: String,
    /// Whether no proxy says that it passed this on.
    pub is_direct: bool,
}

impl Browser {
    pub(super) fn of(headers: &[Header<'_>]) -> Self {
        let cookies = only(headers, "cookie").unwrap_or_default();
        let token = cookies.split(';').find_map(|cookie| cookie.trim().strip_prefix(COOKIE));
        let named = headers.iter().any(|header| header.name.eq_ignore_ascii_case("origin"));
        let origin = only(headers, "origin").and_then(|origin| around(origin, "://"));
        let host = only(headers, "host");
        let is_ours = origin.is_some_and(|(_, origin)| host == Some(origin));
        let proxies = |header: &Header<'_>| {
            OF_PROXIES.iter().any(|name| header.name.eq_ignore_ascii_case(name))
        };
        Self {
            token: token.map(String::from),
            is_foreign: named && !is_ours,
            is_script: only(headers, MARK).is_some(),
            host: split_port(host.unwrap_or_default()).0.to_ascii_lowercase(),
            is_direct: !headers.iter().any(proxies),
        }
    }

    /// Whether the page was asked for by a name that no stranger can have lead here: an address,
    /// one of the local network, `public` (in small letters) or one below that. Else a page of
    /// theirs could have its own name lead here, and would count as ours (DNS rebinding).
    pub fn is_named_well(&self, public: Option<&str>) -> bool {
        let host = &*self.host;
        host.parse::<IpAddr>().is_ok()
            || !host.contains('.')
            || LOCAL_ENDS.iter().any(|end| host.ends_with(end))
            || public
                .and_then(|public| host.strip_suffix(public))
                .is_some_and(|before| before.is_empty() || before.ends_with('.'))
    }

    /// Whether whoever asks is on this machine and says so.
    pub fn is_of_this_machine(&self) -> bool {
        let is_loopback = self.host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
        self.is_direct && (is_loopback || self.host == "localhost")
    }
}

/// What is answered to a browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// As in HTTP.
    pub status: u16,
    /// Value of `Content-Type`.
    pub kind: &'static str,
    /// Who is signed in from now on: a token, or nobody if it is empty.
    pub session: Option<String>,
    /// What is shown.
    pub body: Vec<u8>,
}

impl Page {
    /// The whole answer. A status of 303 leads back to the page. Nothing of it may be kept, framed,
    /// or run but what comes from here. Without a referrer forms would name no origin.
    pub fn into_bytes(self) -> Vec<u8> {
        let mut head = common_head(self.status, self.kind, self.body.len());
        if self.status == 303 {
            head.push_str("Location: ./\r\n");
        }
        if let Some(token) = self.session {
            let over = if token.is_empty() { "; Max-Age=0" } else { "" };
            let rest = "; HttpOnly; SameSite=Strict";
            head.push_str(&["Set-Cookie: ", COOKIE, &token, rest, over, "\r\n"].concat());
        }
        head.push_str(
            "Referrer-Policy: same-origin\r\n\
             X-Content-Type-Options: nosniff\r\nCross-Origin-Resource-Policy: same-origin\r\n\
             Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; \
             connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'\r\n\
             \r\n",
        );
        let mut bytes = head.into_bytes();
        bytes.extend(self.body);
        bytes
    }
}

/// A field of a form as browsers send it, `application/x-www-form-urlencoded`; empty if it is not
/// there.
pub fn field(form: &[u8], name: &str) -> String {
    let mut fields = form.split(|byte| *byte == b'&').filter_map(|field| {
        let at = field.iter().position(|byte| *byte == b'=')?;
        let (key, value) = field.split_at_checked(at)?;
        (key == name.as_bytes()).then(|| value.get(1..).unwrap_or_default())
    });
    let mut value = fields.next().unwrap_or_default();
    let mut bytes = Vec::with_capacity(value.len());
    while let Some((first, rest)) = value.split_first() {
        let (byte, rest) = match (first, rest) {
            (b'+', rest) => (b' ', rest),
            (b'%', [high, low, rest @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, rest),
                _ => break,
            },
            (byte, rest) => (*byte, rest),
        };
        bytes.push(byte);
        value = rest;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Text for HTML, in an element or in a quoted attribute.
pub fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            letter => html.push(letter),
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    fn browser(lines: &str) -> Browser {
        let text = ["POST /ctl HTTP/1.1\r\n", lines, "\r\n"].concat();
        super::super::head(text.as_bytes()).unwrap().unwrap().call.browser
    }

    #[test]
    fn c195_a_page_of_another_origin_is_told_from_ours() {
        let host = "Host: rd.example:8080\r\n";
        for (origin, foreign) in [
            ("", false),
            ("Origin: http://rd.example:8080\r\n", false),
            ("Origin: https://rd.example:8080\r\n", false),
            ("Origin: http://rd.example\r\n", true),
            ("Origin: http://evil.example\r\n", true),
            ("Origin: null\r\n", true),
            ("Origin: http://rd.example:8080\r\nOrigin: http://x\r\n", true),
        ] {
            assert_eq!(browser(&[host, origin].concat()).is_foreign, foreign, "{origin}");
        }
    }

    #[test]
    fn c207_a_name_that_a_stranger_may_have_lead_here_is_none_of_ours() {
        let is_well =
            |host: &str, public| browser(&["Host: ", host, "\r\n"].concat()).is_named_well(public);
        let ours = Some("rd.example.org");
        for host in [
            "192.168.1.1:8114",
            "[fd00::1]:8114",
            "127.0.0.1",
            "openwrt:8114",
            "OpenWrt.lan",
            "nas.local:8114",
            "nas.home.arpa",
            "localhost:8114",
            "rd.example.org",
            "admin.RD.example.org:443",
        ] {
            assert!(is_well(host, ours), "{host}");
        }
        for host in [
            "evil.example:8114",
            "192.168.1.1.evil.example",
            "xrd.example.org",
            "rd.example.org.evil.example",
            "example.org",
            "local.evil.example",
            "lan.",
        ] {
            assert!(!is_well(host, ours), "{host}");
        }
        assert!(!is_well("rd.example.org", None));
    }

    #[test]
    fn c208_who_is_on_this_machine_names_it_and_comes_by_no_proxy() {
        let is_here = |lines: &str| browser(lines).is_of_this_machine();
        for host in ["127.0.0.1:8114", "localhost", "[::1]:8114", "LOCALHOST:1", "127.8.8.8"] {
            let line = ["Host: ", host, "\r\n"].concat();
            assert!(is_here(&line), "{host}");
            for more in ["X-Real-IP: 127.0.0.1", "x-forwarded-for: x", "Via: 1.1 a", "Forwarded: "]
            {
                assert!(!is_here(&[&line, more, "\r\n"].concat()), "{more}");
            }
        }
        for other in ["", "Host: 192.168.1.1\r\n", "Host: localhost.evil.example\r\n"] {
            assert!(!is_here(other), "{other}");
        }
        assert!(!is_here("Host: 127.0.0.1\r\nHost: 127.0.0.1\r\n"));
    }

    #[test]
    fn c195_the_cookie_is_found_among_others() {
        let token = |line: &str| browser(line).token;
        assert_eq!(token("Cookie: a=1; hbb-session=Tok; b=2\r\n").as_deref(), Some("Tok"));
        assert_eq!(token("Cookie: xhbb-session=Tok\r\n"), None);
        assert_eq!(token(""), None);
        assert!(browser("X-Hbb: 1\r\n").is_script);
    }

    #[test]
    fn c196_a_form_is_read_and_text_is_escaped() {
        let form = b"name=a%26b+c&password=%C3%A4%3d&code=";
        assert_eq!(field(form, "name"), "a&b c");
        assert_eq!(field(form, "password"), "\u{e4}=");
        assert_eq!((field(form, "code"), field(form, "other")), (String::new(), String::new()));
        assert_eq!(field(b"name=a%4", "name"), "a%4");
        assert_eq!(field(b"name=%zz", "name"), "");
        assert_eq!(escaped("<a href=\"'&"), "&lt;a href=&quot;&#39;&amp;");
    }
}
