//! What a session may do, as rules name it and as the wire counts it (protocol §2.2, §2.8).

/// The names, each at the index of its pair of bits.
pub const PERMISSIONS: [&str; 13] = [
    "keyboard",
    "printer",
    "clipboard",
    "files",
    "audio",
    "camera",
    "terminal",
    "tunnel",
    "restart",
    "recording",
    "block-input",
    "modify",
    "privacy",
];

/// What a person who only watches is left with.
const OF_WATCHERS: [&str; 2] = ["audio", "recording"];

const DENY: u64 = 1;
const ALLOW: u64 = 2;

/// `permissions` with one of them set; None for no such name.
pub(super) fn set(permissions: u64, name: &str, allowed: bool) -> Option<u64> {
    let index = PERMISSIONS.iter().position(|known| *known == name)?;
    let value = if allowed { ALLOW } else { DENY };
    Some(permissions & !(3 << (2 * index)) | value << (2 * index))
}

/// `permissions` without all that is more than to watch.
pub(super) fn view_only(permissions: u64) -> u64 {
    let taken = PERMISSIONS.iter().filter(|name| !OF_WATCHERS.contains(name));
    taken.fold(permissions, |all, name| set(all, name, false).unwrap_or(all))
}
