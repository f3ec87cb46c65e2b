//! Modelled clients: they speak the wire as real ones do, over real sockets, with framing and
//! mangling of their own. Used by tests that run the real binary.

#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::disallowed_methods, reason = "tests wait by the clock and read HBB_BIN")]

pub(crate) mod clock;
pub(crate) mod datagrams;
pub(crate) mod devices;
pub(crate) mod doors;
pub(crate) mod host;
pub(crate) mod initiator;
pub(crate) mod line;
pub(crate) mod link;
pub(crate) mod networks;
pub(crate) mod place;
pub(crate) mod ports;
pub(crate) mod seal;
pub(crate) mod server;
pub(crate) mod session;
pub(crate) mod target;
pub(crate) mod wire;
pub(crate) mod ws;
