//! A device as a line of words that people can read: id, uuid and key in hexadecimal digits, when
//! it was first seen, where it last was or when an operator forgot it. A `-` stands for what is not
//! known. Of an id the first character may be any, a `#` too. Checks: tests/import/main.rs,
//! tests/backup.rs.

use core::net::IpAddr;
use core::str::SplitWhitespace;

use ct_codecs::{Decoder as _, Hex};

use super::Error;
use hbb_core::base::peer::{DeviceId, PeerId, PeerKey, Record, RecordState};
#[cfg(feature = "accounts")]
use hbb_core::base::rows::RowChange;
use hbb_core::base::time::Utc;

/// What stands above them.
pub const TITLE: &str = "# hbb peers 1: ID, uuid, key, first seen (UTC), last address\n";
/// What stands before the moment in place of an address.
const FORGOTTEN: &str = "forgotten:";

/// The line of a record, with its end.
pub fn line(record: &Record) -> String {
    let (device, key) = (digits(record.device.as_bytes()), digits(&record.key.0));
    let seen = match record.first_seen_secs {
        0 => "-".into(),
        secs => moment(secs),
    };
    let state = match record.state {
        RecordState::Registered(Some(address)) => address.to_string(),
        RecordState::Registered(None) => "-".into(),
        RecordState::Forgotten(secs) => [FORGOTTEN, &moment(secs)].concat(),
    };
    format!("{} {device} {key} {seen} {state}\n", record.id.as_str())
}

/// The line of a row that belongs to no device, with its end: two words where a device has five.
#[cfg(feature = "accounts")]
pub fn row_line(key: &[u8], value: &[u8]) -> String {
    let value = if value.is_empty() { "-".into() } else { digits(value) };
    format!("{} {value}\n", digits(key))
}

/// Bytes as hexadecimal digits.
fn digits(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        for digit in [byte >> 4, byte & 0xf] {
            digits.push(char::from_digit(digit.into(), 16).unwrap_or_default());
        }
    }
    digits
}

/// Whether a line is one of those.
pub fn is_row(line: &str) -> bool {
    line.split_whitespace().count() == 2
}

/// Reads such a line; None for another.
#[cfg(feature = "accounts")]
pub fn parse_row(line: &str) -> Option<RowChange> {
    let (key, value) = line.trim().split_once(' ')?;
    let value = if value == "-" { Vec::new() } else { hex(value)? };
    let key = hex(key).filter(|key| !key.is_empty())?;
    Some(RowChange { key, value: Some(value) })
}

/// Whether the device of that line was forgotten.
pub fn is_forgotten(line: &str) -> bool {
    line.split_whitespace().nth(4).is_some_and(|word| word.starts_with(FORGOTTEN))
}

fn moment(unix_secs: u64) -> String {
    Utc { unix_secs }.in_one_word()
}

/// Reads such a line; nothing stands in an empty one or a comment.
///
/// # Errors
/// [`Error::Damaged`]: it is no such line.
pub fn parse(line: &str) -> Result<Option<Record>, Error> {
    let line = line.trim();
    match record(line.split_whitespace()) {
        Some(record) => Ok(Some(record)),
        None if line.is_empty() || line.starts_with('#') => Ok(None),
        None => Err(Error::Damaged),
    }
}

fn record(mut words: SplitWhitespace<'_>) -> Option<Record> {
    let id = PeerId::new(words.next()?)?;
    let (device, key) = (DeviceId::new(&hex(words.next()?)?)?, PeerKey::new(&hex(words.next()?)?)?);
    let first_seen_secs = match words.next()? {
        "-" => 0,
        seen => Utc::parse(seen)?.unix_secs,
    };
    let state = words.next()?;
    let state = match (state, state.strip_prefix(FORGOTTEN)) {
        ("-", _) => RecordState::Registered(None),
        (_, Some(since)) => RecordState::Forgotten(Utc::parse(since)?.unix_secs),
        (address, None) => {
            RecordState::Registered(Some(address.parse::<IpAddr>().ok()?.to_canonical()))
        }
    };
    let record = Record { id, device, key, first_seen_secs, state };
    words.next().is_none().then_some(record)
}

/// Bytes from hexadecimal digits of either case.
pub fn hex(digits: &str) -> Option<Vec<u8>> {
    Hex::decode_to_vec(digits, None).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_every_state_and_ids_that_look_like_comments() {
        let address = Some("2001:db8::1".parse().unwrap());
        for state in [
            RecordState::Registered(None),
            RecordState::Registered(address),
            RecordState::Forgotten(1_800_000_000),
        ] {
            for id in ["123456789", "#1", "forgotten:1", "-", "\u{fc}\u{1f511}"] {
                let record = Record {
                    id: PeerId::new(id).unwrap(),
                    device: DeviceId::new(&[0, 255]).unwrap(),
                    key: PeerKey([7; 32]),
                    first_seen_secs: 1_700_000_000,
                    state,
                };
                assert_eq!(parse(&line(&record)), Ok(Some(record)));
            }
        }
        assert_eq!(parse(TITLE), Ok(None));
        assert_eq!(parse("123456789 00"), Err(Error::Damaged));
        for (key, value) in [(&b"ua"[..], &b""[..]), (b"t\0", b"\xff\0")] {
            let row = RowChange { key: key.into(), value: Some(value.into()) };
            assert_eq!(parse_row(&row_line(key, value)), Some(row));
        }
        for bad in ["", "75", "75 x", " 75", "- 75", "75 7", "75 75 75"] {
            assert_eq!(parse_row(bad), None, "{bad}");
        }
    }
}
