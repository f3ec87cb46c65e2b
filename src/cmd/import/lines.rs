//! A device as a line of words that people can read: id, uuid and key in hexadecimal digits, when
//! it was first seen, where it last was. A `-` stands for what is not known.

use core::net::IpAddr;
use core::str::SplitWhitespace;

use ct_codecs::{Decoder as _, Encoder as _, Hex};

use super::found::Found;
use hbb_core::base::peer::{Record, RecordState};
use hbb_core::base::time::Utc;

/// What stands above them.
pub(super) const TITLE: &str = "# hbb peers 1: ID, uuid, key, first seen (UTC), last address\n";

/// The line of a registered device; None for one that an operator had forgotten.
pub(super) fn line(record: &Record) -> Option<String> {
    let RecordState::Registered(address) = record.state else { return None };
    let hex = |bytes: &[u8]| Hex::encode_to_string(bytes).unwrap_or_default();
    let (device, key) = (hex(record.device.as_bytes()), hex(&record.key.0));
    let unix_secs = record.first_seen_secs;
    let seen = match unix_secs {
        0 => "-".into(),
        _ => Utc { unix_secs }.to_string().replace(' ', "T"),
    };
    let address = address.map_or_else(|| "-".into(), |address| address.to_string());
    Some([record.id.as_str(), " ", &device, " ", &key, " ", &seen, " ", &address, "\n"].concat())
}

/// Reads such a line; nothing stands in an empty one or a comment.
///
/// # Errors
/// It is no such line.
pub(super) fn parse(line: &str) -> Result<Option<Record>, ()> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    record(line.split_whitespace()).ok_or(()).map(Some)
}

fn record(mut words: SplitWhitespace<'_>) -> Option<Record> {
    let (id, device, key) = (words.next()?, hex(words.next()?)?, hex(words.next()?)?);
    let created = words.next()?;
    if created != "-" {
        Utc::parse(created)?;
    }
    let address = match words.next()? {
        "-" => None,
        address => Some(address.parse::<IpAddr>().ok()?.to_canonical()),
    };
    let found = Found { id, device: device.into(), key: key.into(), created, address };
    found.record().ok().filter(|_| words.next().is_none())
}

/// Bytes from hexadecimal digits of either case.
pub(super) fn hex(digits: &str) -> Option<Vec<u8>> {
    Hex::decode_to_vec(digits, None).ok()
}
