//! The page for operators, in Chromium: runs `web/pages.py`. C195-C198.

#![allow(clippy::unwrap_used)]

mod python;

use python::passes;

#[test]
fn c195_only_administrators_sign_in_with_their_password() {
    passes("web/pages.py", "SignIn");
}

#[test]
fn c196_what_another_origin_or_no_session_asks_is_refused() {
    passes("web/pages.py", "Strangers");
}

#[test]
fn c197_its_buttons_do_what_ctl_does() {
    passes("web/pages.py", "Buttons");
}

#[test]
fn c198_everybody_at_home_can_read_it() {
    passes("web/pages.py", "Readers");
}
