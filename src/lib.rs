//! hbb: a RustDesk ID server and relay in one small binary.
