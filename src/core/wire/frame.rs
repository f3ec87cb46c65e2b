//! Length-prefixed frames on TCP: a little-endian header of 1 to 4 bytes whose two low bits tell
//! its own length. Pure over slices; it must not know what a payload means. C01-C04.

use heapless::Vec;

use super::WireError;

/// Longest payload a header can announce.
const HEADER_PAYLOAD_MAX: usize = 0x3fff_ffff;

/// One frame at the front of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What the frame carries; empty means heartbeat.
    pub payload: &'a [u8],
    /// Bytes of the buffer it took, header included.
    pub consumed: usize,
}

/// The first frame in `buffer`, None while it is incomplete. A longer header than needed is
/// accepted (C02).
///
/// # Errors
/// [`WireError::Oversized`] as soon as the header announces more than `payload_max` (C04).
pub fn split(buffer: &[u8], payload_max: usize) -> Result<Option<Frame<'_>>, WireError> {
    let Some((header_len, payload_len)) = header(buffer) else { return Ok(None) };
    if payload_len > payload_max {
        return Err(WireError::Oversized);
    }
    let consumed = header_len + payload_len;
    Ok(buffer.get(header_len..consumed).map(|payload| Frame { payload, consumed }))
}

/// Header length and payload length, None while the header is incomplete.
pub fn header(buffer: &[u8]) -> Option<(usize, usize)> {
    let len = usize::from(*buffer.first()? & 3) + 1;
    let bytes = buffer.get(..len)?;
    let value = bytes.iter().rev().fold(0_usize, |value, byte| value << 8 | usize::from(*byte));
    Some((len, value >> 2))
}

/// The shortest header for a payload of `payload_len` bytes.
///
/// # Errors
/// [`WireError::Oversized`] above 0x3fffffff.
pub fn header_for(payload_len: usize) -> Result<Vec<u8, 4>, WireError> {
    let extra: u8 = match payload_len {
        0..=0x3f => 0,
        0x40..=0x3fff => 1,
        0x4000..=0x3f_ffff => 2,
        0x40_0000..=HEADER_PAYLOAD_MAX => 3,
        _ => return Err(WireError::Oversized),
    };
    let value =
        u32::try_from(payload_len).map_err(|_| WireError::Oversized)? << 2 | u32::from(extra);
    let mut header = Vec::from_array(value.to_le_bytes());
    header.truncate(usize::from(extra) + 1);
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_announced_above_the_cap_before_it_arrives() {
        assert_eq!(split(&[0xff, 0xff, 0xff, 0xff], 65_536), Err(WireError::Oversized));
        assert_eq!(split(&[0xff, 0xff, 0xff], 65_536), Ok(None));
        assert_eq!(header_for(HEADER_PAYLOAD_MAX + 1), Err(WireError::Oversized));
    }

    #[test]
    fn heartbeat_is_one_zero_byte() {
        assert_eq!(split(&[0], 0), Ok(Some(Frame { payload: &[], consumed: 1 })));
    }
}
