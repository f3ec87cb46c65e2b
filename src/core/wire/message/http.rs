//! Calls of the HTTP API carried over port P (protocol §4.11), and what shows who is logged in.
//! C165, C172.

use alloc::string::String;
use alloc::vec::Vec;

use prost::Message as _;

use super::{member, proto, wrap_bytes};
use crate::wire::http::{Content, HttpCall};
use crate::wire::patch::last_member;

/// The call that a payload carries; None if it is another message.
pub fn http_call(payload: &[u8]) -> Option<HttpCall> {
    let (member::HTTP_PROXY_REQUEST, body) = last_member(payload, member::ALL)? else {
        return None;
    };
    let request = proto::HttpProxyRequest::decode(body).ok()?;
    let is_shown = |header: &&proto::HeaderEntry| header.name.eq_ignore_ascii_case("authorization");
    let shown = request.headers.iter().find(is_shown).map(|header| &*header.value);
    Some(HttpCall::new(&request.method, &request.path, shown, request.body))
}

/// The token of the API in a request to connect; None if there is none. It ends here (C55).
pub fn access_token(payload: &[u8]) -> Option<&str> {
    let (number, body) = last_member(payload, member::ALL)?;
    let token = match number {
        member::PUNCH_HOLE_REQUEST => 5,
        member::REQUEST_RELAY => 8,
        _ => return None,
    };
    let (_, token) = last_member(body, token..=token)?;
    core::str::from_utf8(token).ok()
}

/// The payload that answers it.
pub fn http_answer(status: u16, content: Content, body: Vec<u8>) -> Vec<u8> {
    let header =
        |value: &str| proto::HeaderEntry { name: "Content-Type".into(), value: value.into() };
    let headers = match content {
        Content::Nothing => Vec::new(),
        Content::Json | Content::Text => Vec::from([header(content.name())]),
    };
    let status = status.into();
    let answer = proto::HttpProxyResponse { status, headers, body, error: String::new() };
    wrap_bytes(member::HTTP_PROXY_RESPONSE, &answer.encode_to_vec())
}
