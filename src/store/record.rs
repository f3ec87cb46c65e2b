//! A record's bytes: version 2, a tag for its state and what that tag says (`0` nothing, `4` an
//! IPv4 address, `6` an IPv6 address, `F` the 8 bytes of when it was forgotten), first seen (8
//! bytes), key (32 bytes), device id (the rest, 1 to 64 bytes). Numbers are little-endian. The id
//! is the key of the table. Version 1, which is read too, lacks tag and what it says: registered,
//! at an address that nobody knows.

use super::Error;
use core::net::IpAddr;

use hbb_core::base::peer::{DeviceId, PeerId, PeerKey, Record, RecordState};

/// The version this program writes.
const VERSION: u8 = 2;
/// The one before, which it reads too.
const WITHOUT_STANDING: u8 = 1;

/// The value stored under the record's id.
pub(super) fn encode(record: &Record) -> Vec<u8> {
    let first_seen = record.first_seen_secs.to_le_bytes();
    let rest = [&first_seen[..], &record.key.0, record.device.as_bytes()];
    let mut bytes = vec![VERSION];
    match record.state {
        RecordState::Registered(None) => bytes.push(b'0'),
        RecordState::Registered(Some(IpAddr::V4(ip))) => {
            bytes.push(b'4');
            bytes.extend(ip.octets());
        }
        RecordState::Registered(Some(IpAddr::V6(ip))) => {
            bytes.push(b'6');
            bytes.extend(ip.octets());
        }
        RecordState::Forgotten(secs) => {
            bytes.push(b'F');
            bytes.extend(secs.to_le_bytes());
        }
    }
    bytes.extend(rest.concat());
    bytes
}

/// Reads it back.
///
/// # Errors
/// [`Error::NewerFormat`] for a later version, [`Error::Damaged`] for what encodes no record.
pub(super) fn decode(id: &str, bytes: &[u8]) -> Result<Record, Error> {
    let (version, rest) = bytes.split_first().ok_or(Error::Damaged)?;
    match *version {
        VERSION => {
            state(rest).and_then(|(state, rest)| parse(id, state, rest)).ok_or(Error::Damaged)
        }
        WITHOUT_STANDING => parse(id, RecordState::Registered(None), rest).ok_or(Error::Damaged),
        0 => Err(Error::Damaged),
        _ => Err(Error::NewerFormat),
    }
}

/// Reads a tag and what it says; gives what follows, too.
fn state(bytes: &[u8]) -> Option<(RecordState, &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    Some(match tag {
        b'0' => (RecordState::Registered(None), rest),
        b'4' => {
            let (ip, rest) = rest.split_first_chunk::<4>()?;
            (RecordState::Registered(Some(IpAddr::from(*ip))), rest)
        }
        b'6' => {
            let (ip, rest) = rest.split_first_chunk::<16>()?;
            (RecordState::Registered(Some(IpAddr::from(*ip))), rest)
        }
        b'F' => {
            let (secs, rest) = rest.split_first_chunk::<8>()?;
            (RecordState::Forgotten(u64::from_le_bytes(*secs)), rest)
        }
        _ => return None,
    })
}

fn parse(id: &str, state: RecordState, bytes: &[u8]) -> Option<Record> {
    let (first_seen, rest) = bytes.split_first_chunk::<8>()?;
    let (key, device) = rest.split_first_chunk::<32>()?;
    Some(Record {
        id: PeerId::new(id)?,
        device: DeviceId::new(device)?,
        key: PeerKey(*key),
        first_seen_secs: u64::from_le_bytes(*first_seen),
        state,
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
        assert_eq!(decode("abcdef", &[3; 60]), Err(Error::NewerFormat));
        assert_eq!(decode("abcdef", &[2; 60]), Err(Error::Damaged));
        assert_eq!(decode("abcdef", &[1; 1 + 8 + 32]), Err(Error::Damaged));
        assert_eq!(decode("abcdef", &[1; 42 + DEVICE_ID_BYTES_MAX]), Err(Error::Damaged));
        assert_eq!(decode("", &[1; 60]), Err(Error::Damaged));
    }

    fn record(len: usize, state: RecordState) -> Record {
        Record {
            id: PeerId::new("123456789").unwrap(),
            device: DeviceId::new(&vec![7; len]).unwrap(),
            key: PeerKey([9; 32]),
            first_seen_secs: u64::MAX,
            state,
        }
    }

    #[test]
    fn round_trips_at_the_bounds_in_every_state() {
        let at = |ip: &str| RecordState::Registered(Some(ip.parse().unwrap()));
        let unknown = RecordState::Registered(None);
        let forgotten = [RecordState::Forgotten(0), RecordState::Forgotten(u64::MAX)];
        for state in [[unknown, at("203.0.113.9")], [at("2001:db8::1"), unknown], forgotten] {
            for (len, state) in [1, DEVICE_ID_BYTES_MAX].into_iter().zip(state) {
                let record = record(len, state);
                assert_eq!(decode("123456789", &encode(&record)), Ok(record.clone()));
                let cut = encode(&record);
                assert_eq!(decode("123456789", &cut[..cut.len() - len]), Err(Error::Damaged));
            }
        }
    }

    #[test]
    fn a_record_of_version_1_was_registered_nobody_knows_where() {
        let bytes = [&[1][..], &[0xff; 8], &[9; 32], &[7; 64]].concat();
        assert_eq!(decode("123456789", &bytes), Ok(record(64, RecordState::Registered(None))));
    }
}
