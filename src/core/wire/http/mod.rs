//! Calls of the HTTP API as values, and answers as bytes (RFC 9112). Pure over bytes; it must not
//! know what a path means. Checks: C165, the tests below, tests/fuzz.

#[cfg(feature = "web")]
pub mod browser;

use alloc::string::String;
use alloc::vec::Vec;

use httparse::{EMPTY_HEADER, Header, Request, Status};

use super::handshake::{Forwarded, HEADERS_MAX, Refusal, opening};

/// How something is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// To read.
    Get,
    /// To read, without the body.
    Head,
    /// To do.
    Post,
    /// To change.
    Put,
    /// To take away.
    Delete,
    /// Asked by browsers before they ask anything else of another origin.
    Options,
    /// Anything else.
    Other,
}

impl Method {
    /// As it is written, in capitals.
    pub fn parse(text: &str) -> Self {
        match text {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "DELETE" => Self::Delete,
            "OPTIONS" => Self::Options,
            _ => Self::Other,
        }
    }
}

/// Of what kind the body of an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// There is none.
    Nothing,
    /// JSON.
    Json,
    /// Text.
    Text,
}

impl Content {
    /// The value of `Content-Type`; empty without a body.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "",
            Self::Json => "application/json",
            Self::Text => "text/plain; charset=utf-8",
        }
    }
}

/// A call, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpCall {
    /// What is to be done,
    pub method: Method,
    /// with what: path and query.
    pub target: String,
    /// The token of `Authorization: Bearer`, if there is one.
    pub token: Option<String>,
    /// What was sent along.
    pub body: Vec<u8>,
    /// What a browser says of itself.
    #[cfg(feature = "web")]
    pub browser: browser::Browser,
}

impl HttpCall {
    /// A call by the names of method and headers, of which the value of `authorization` counts.
    pub fn new(method: &str, target: &str, authorization: Option<&str>, body: Vec<u8>) -> Self {
        let token = authorization.and_then(|value| {
            let (scheme, token) = value.trim().split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().into())
        });
        Self {
            method: Method::parse(method),
            target: target.into(),
            token,
            body,
            #[cfg(feature = "web")]
            browser: browser::Browser::default(),
        }
    }
}

/// The head of a call on a connection of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The call, its body still empty.
    pub call: HttpCall,
    /// How long the body is; None if it is not told, or in another way.
    pub body_bytes: Option<usize>,
    /// What proxies say of where the client is.
    pub forwarded: Forwarded,
    /// Whether it opens a WebSocket instead.
    pub is_opening: bool,
    /// Whether the client waits until it is told to send the body.
    pub waits: bool,
    /// Bytes of the head.
    pub consumed: usize,
}

/// Whether a connection that begins so speaks HTTP; None as long as it may. No message of ours
/// begins so.
pub fn begins(bytes: &[u8]) -> Option<bool> {
    const METHODS: [&[u8; 4]; 6] = [b"GET ", b"HEAD", b"POST", b"PUT ", b"DELE", b"OPTI"];
    let begin = bytes.get(..4).unwrap_or(bytes);
    let may_be = METHODS.iter().any(|method| method.starts_with(begin));
    if may_be && begin.len() < 4 { None } else { Some(may_be) }
}

/// Reads the head at the front of `buffer`; None while it is incomplete.
///
/// # Errors
/// [`Refusal::Malformed`]
pub fn head(buffer: &[u8]) -> Result<Option<Head>, Refusal> {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut request = Request::new(&mut headers);
    let consumed = match request.parse(buffer) {
        Ok(Status::Complete(consumed)) => consumed,
        Ok(Status::Partial) => return Ok(None),
        Err(_) => return Err(Refusal::Malformed),
    };
    let (method, target) = (request.method.unwrap_or_default(), request.path.unwrap_or_default());
    let is_opening = matches!(opening(&request, consumed), Ok(_) | Err(Refusal::UpgradeLost));
    let headers = &*request.headers;
    let authorization = only(headers, "authorization");
    #[cfg_attr(not(feature = "web"), expect(unused_mut))]
    let mut call = HttpCall::new(method, target, authorization, Vec::new());
    #[cfg(feature = "web")]
    {
        call.browser = browser::Browser::of(headers);
    }
    Ok(Some(Head {
        call,
        body_bytes: body_bytes(headers),
        forwarded: Forwarded::of(headers),
        is_opening,
        waits: only(headers, "expect").is_some(),
        consumed,
    }))
}

/// One length, in digits alone: two of them, or chunks, are read differently by others (RFC
/// 9112, section 6.3).
fn body_bytes(headers: &[Header<'_>]) -> Option<usize> {
    let has = |name: &str| headers.iter().any(|header| header.name.eq_ignore_ascii_case(name));
    if has("transfer-encoding") {
        return None;
    }
    if !has("content-length") {
        return Some(0);
    }
    let digits = only(headers, "content-length")?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// The value of a header that is there once.
fn only<'a>(headers: &'a [Header<'_>], name: &str) -> Option<&'a str> {
    let mut named = headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
    let value = core::str::from_utf8(named.next()?.value).ok()?;
    named.next().is_none().then(|| value.trim())
}

/// The head of an answer with so long a body: any page may read it, as who asks shows a token and
/// no cookie.
pub fn response_head(status: u16, content: Content, body_bytes: usize) -> String {
    let mut head = common_head(status, content.name(), body_bytes);
    head.push_str("Access-Control-Allow-Origin: *\r\n");
    if status == 204 {
        head.push_str(
            "Access-Control-Allow-Headers: Authorization, Content-Type\r\n\
             Access-Control-Allow-Methods: GET, POST, PUT, DELETE, OPTIONS\r\n\
             Access-Control-Max-Age: 86400\r\n",
        );
    }
    head.push_str("\r\n");
    head
}

/// What stands in each answer; it has no type if that is empty.
fn common_head(status: u16, kind: &str, body_bytes: usize) -> String {
    let (label, end) = if kind.is_empty() { ("", "") } else { ("Content-Type: ", "\r\n") };
    alloc::format!(
        "HTTP/1.1 {status} {}\r\n{label}{kind}{end}Content-Length: {body_bytes}\r\n\
         Connection: close\r\nCache-Control: no-store\r\n",
        reason(status)
    )
}

const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        #[cfg(feature = "web")]
        303 => "See Other",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        411 => "Length Required",
        413 => "Content Too Large",
        429 => "Too Many Requests",
        _ => "Error",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::string_slice)]

    use super::*;

    fn read(text: &str) -> Result<Option<Head>, Refusal> {
        head(text.as_bytes())
    }

    #[test]
    fn c165_a_head_tells_what_is_asked_with_which_token_and_how_much_follows() {
        let text = "POST /api/ab/peers?current=1&ab=x HTTP/1.1\r\nHost: h\r\n\
                    authorization:  bearer  abc \r\nContent-Length: 12\r\n\r\n";
        let head = read(text).unwrap().unwrap();
        assert_eq!(
            (head.call.method, &*head.call.target),
            (Method::Post, "/api/ab/peers?current=1&ab=x")
        );
        assert_eq!((head.call.token.as_deref(), head.body_bytes), (Some("abc"), Some(12)));
        assert_eq!(head.consumed, text.len());
        for cut in 0..text.len() {
            assert_eq!(read(text.split_at(cut).0), Ok(None), "cut at {cut}");
        }
    }

    #[test]
    fn c165_a_length_that_others_may_read_differently_is_none() {
        let length = |lines: &str| {
            let text = ["POST / HTTP/1.1\r\n", lines, "\r\n"].concat();
            read(&text).unwrap().unwrap().body_bytes
        };
        assert_eq!(length(""), Some(0));
        assert_eq!(length("Content-Length: 7\r\n"), Some(7));
        for bad in ["+7", "-7", "7 7", "0x7", "", "99999999999999999999999"] {
            assert_eq!(length(&["Content-Length: ", bad, "\r\n"].concat()), None, "{bad}");
        }
        assert_eq!(length("Content-Length: 7\r\nContent-Length: 7\r\n"), None);
        assert_eq!(length("Content-Length: 7\r\nTransfer-Encoding: chunked\r\n"), None);
    }

    #[test]
    fn c165_what_no_message_begins_with_is_http() {
        for (begin, is) in [
            (&b""[..], None),
            (b"P", None),
            (b"POS", None),
            (b"POST", Some(true)),
            (b"DELETE /", Some(true)),
            (b"PROXY", Some(false)),
            (b"\x09\x32\x07", Some(false)),
            (b"GETS", Some(false)),
        ] {
            assert_eq!(begins(begin), is, "{begin:?}");
        }
        assert_eq!(read("POST /x\r\n\r\n"), Err(Refusal::Malformed));
    }
}
