//! What a browser says with a request for the page of operators, and how it is answered: cookies
//! (RFC 6265), origins (RFC 6454), forms. Pure over bytes. C195, C196, the tests below.

use alloc::string::String;
use alloc::vec::Vec;

use httparse::Header;

use super::{only, reason};

/// The cookie that holds the token of who is signed in.
const COOKIE: &str = "hbb-session=";
/// The header that the page's script sends, and no page of another origin may.
const MARK: &str = "x-hbb";

/// Who asks, as far as the headers tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Browser {
    /// The token in our cookie.
    pub token: Option<String>,
    /// Whether a page of another origin has it asked.
    pub is_foreign: bool,
    /// Whether our page's script asks.
    pub is_script: bool,
}

impl Browser {
    pub(super) fn of(headers: &[Header<'_>]) -> Self {
        let cookies = only(headers, "cookie").unwrap_or_default();
        let token = cookies.split(';').find_map(|cookie| cookie.trim().strip_prefix(COOKIE));
        let named = headers.iter().any(|header| header.name.eq_ignore_ascii_case("origin"));
        let origin = only(headers, "origin").and_then(|origin| origin.split_once("://"));
        let is_ours = origin.is_some_and(|(_, host)| only(headers, "host") == Some(host));
        Self {
            token: token.map(String::from),
            is_foreign: named && !is_ours,
            is_script: only(headers, MARK).is_some(),
        }
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
        use core::fmt::Write as _;

        let (mut head, status) = (String::new(), self.status);
        // Writing to a string cannot fail.
        let _ = write!(head, "HTTP/1.1 {status} {}\r\n", reason(status));
        let _ = write!(head, "Content-Type: {}\r\n", self.kind);
        let _ = write!(head, "Content-Length: {}\r\n", self.body.len());
        if status == 303 {
            head.push_str("Location: ./\r\n");
        }
        if let Some(token) = self.session {
            let over = if token.is_empty() { "; Max-Age=0" } else { "" };
            let _ = write!(
                head,
                "Set-Cookie: {COOKIE}{token}; HttpOnly; SameSite=Strict; Path=/{over}\r\n"
            );
        }
        head.push_str(
            "Connection: close\r\nCache-Control: no-store\r\nReferrer-Policy: same-origin\r\n\
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
