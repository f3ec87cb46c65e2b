//! Calls of the HTTP API carried over port P (protocol §4.11), and what shows who is logged in.
//! C165, C172.

use alloc::vec::Vec;

use super::{member, wrap_bytes};
use crate::wire::http::{Content, HttpCall};
use crate::wire::patch::{Fields, append, append_number, last_member};

/// The call that a payload carries; None if it is another message.
pub fn http_call(payload: &[u8]) -> Option<HttpCall> {
    let (member::HTTP_PROXY_REQUEST, request) = last_member(payload, member::ALL)? else {
        return None;
    };
    let bytes = |number| contents(request, number);
    let text = |number| core::str::from_utf8(bytes(number)).ok();
    let mut headers = Fields::new(request);
    if !headers.is_complete() {
        return None;
    }
    let shown = headers.find_map(|field| {
        let header = field.contents.filter(|_| field.number == 3)?;
        let is_shown = contents(header, 1).eq_ignore_ascii_case(b"authorization");
        core::str::from_utf8(contents(header, 2)).ok().filter(|_| is_shown)
    });
    Some(HttpCall::new(text(1)?, text(2)?, shown, bytes(4).to_vec()))
}

/// What a field of a message holds; nothing if it is not there.
fn contents(message: &[u8], number: u32) -> &[u8] {
    last_member(message, number..=number).map_or(&[], |(_, contents)| contents)
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
pub fn http_answer(status: u16, content: Content, body: &[u8]) -> Vec<u8> {
    let mut answer = Vec::new();
    append_number(&mut answer, 1, status.into());
    if content != Content::Nothing {
        let mut header = wrap_bytes(1, b"Content-Type");
        append(&mut header, 2, content.name().as_bytes());
        append(&mut answer, 2, &header);
    }
    append(&mut answer, 3, body);
    wrap_bytes(member::HTTP_PROXY_RESPONSE, &answer)
}
