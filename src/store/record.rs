//! A record's bytes: version 1, first seen (8 bytes, little-endian), key (32 bytes), device id
//! (the rest, 1 to 64 bytes). The id is the key of the table.

use super::Error;
use hbb_core::base::peer::{DeviceId, PeerId, PeerKey, Record};

/// The version this program writes, and the only one it reads.
pub(super) const VERSION: u8 = 1;

/// The value stored under the record's id.
pub(super) fn encode(record: &Record) -> Vec<u8> {
    let first_seen = record.first_seen_secs.to_le_bytes();
    [&[VERSION][..], &first_seen, &record.key.0, record.device.as_bytes()].concat()
}

/// Reads it back.
///
/// # Errors
/// [`Error::NewerFormat`] for another version, [`Error::Damaged`] for what encodes no record.
pub(super) fn decode(id: &str, bytes: &[u8]) -> Result<Record, Error> {
    let (version, rest) = bytes.split_first().ok_or(Error::Damaged)?;
    match *version {
        VERSION => parse(id, rest).ok_or(Error::Damaged),
        0 => Err(Error::Damaged),
        _ => Err(Error::NewerFormat),
    }
}

fn parse(id: &str, bytes: &[u8]) -> Option<Record> {
    let (first_seen, rest) = bytes.split_first_chunk::<8>()?;
    let (key, device) = rest.split_first_chunk::<32>()?;
    Some(Record {
        id: PeerId::new(id)?,
        device: DeviceId::new(device)?,
        key: PeerKey(*key),
        first_seen_secs: u64::from_le_bytes(*first_seen),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hbb_core::base::limits::DEVICE_ID_BYTES_MAX;

    #[test]
    fn refuses_other_versions_and_lengths() {
        assert_eq!(decode("abcdef", &[]), Err(Error::Damaged));
        assert_eq!(decode("abcdef", &[0; 60]), Err(Error::Damaged));
        assert_eq!(decode("abcdef", &[2; 60]), Err(Error::NewerFormat));
        assert_eq!(decode("abcdef", &[1; 1 + 8 + 32]), Err(Error::Damaged));
        assert_eq!(decode("abcdef", &[1; 42 + DEVICE_ID_BYTES_MAX]), Err(Error::Damaged));
        assert_eq!(decode("", &[1; 60]), Err(Error::Damaged));
    }

    #[test]
    fn round_trips_at_the_bounds() {
        for len in [1, DEVICE_ID_BYTES_MAX] {
            let record = Record {
                id: PeerId::new("123456789").unwrap(),
                device: DeviceId::new(&vec![7; len]).unwrap(),
                key: PeerKey([9; 32]),
                first_seen_secs: u64::MAX,
            };
            assert_eq!(decode("123456789", &encode(&record)), Ok(record));
        }
    }
}
