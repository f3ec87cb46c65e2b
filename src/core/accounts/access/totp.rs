//! Codes that a telephone makes every 30 s (TOTP, RFC 6238, over HMAC of SHA-1, RFC 2104), and the
//! address it learns them from. C169.

use alloc::string::String;
use core::fmt::Write as _;

use sha1_smol::Sha1;

/// How long a code lasts.
const STEP_SECS: u64 = 30;
/// So many are a day.
const DAY_STEPS: u64 = 24 * 3_600 / STEP_SECS;
/// Codes have six digits.
const CODES: u32 = 1_000_000;
const BLOCK_BYTES: usize = 64;

/// The step whose code was shown, of this moment, the one before or the next, as clocks differ;
/// none up to `last`, which were taken already. A `last` more than a day ahead was taken by a clock
/// that was wrong: by it, nobody would log in for years.
pub(in crate::accounts) fn step_of(
    secret: &[u8; 20],
    shown: &str,
    now_secs: u64,
    last: u64,
) -> Option<u64> {
    let shown = shown.trim();
    if shown.len() != 6 || !shown.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let shown: u32 = shown.parse().ok()?;
    let step = now_secs / STEP_SECS;
    let last = if last > step.saturating_add(DAY_STEPS) { 0 } else { last };
    let near = [step.saturating_sub(1), step, step.saturating_add(1)];
    near.into_iter().find(|step| *step > last && code(secret, *step) == shown)
}

fn code(secret: &[u8; 20], step: u64) -> u32 {
    let mac = hmac(secret, &step.to_be_bytes());
    let [.., last] = mac;
    let at = usize::from(last & 0xf);
    let word = mac.get(at..at + 4).and_then(|word| word.first_chunk().copied()).unwrap_or_default();
    (u32::from_be_bytes(word) & 0x7fff_ffff) % CODES
}

fn hmac(secret: &[u8; 20], message: &[u8]) -> [u8; 20] {
    let pad = |with: u8| {
        let mut block = [with; BLOCK_BYTES];
        block.iter_mut().zip(secret).for_each(|(byte, secret)| *byte ^= secret);
        block
    };
    let digest = |parts: [&[u8]; 2]| {
        let mut hash = Sha1::new();
        parts.into_iter().for_each(|part| hash.update(part));
        hash.digest().bytes()
    };
    digest([&pad(0x5c), &digest([&pad(0x36), message])])
}

/// What a telephone scans.
pub(in crate::accounts) fn uri(user: &str, secret: &[u8; 20]) -> String {
    let mut text = String::from("otpauth://totp/hbb:");
    for byte in user.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' => text.push(byte.into()),
            // Writing to a string cannot fail.
            _ => drop(write!(text, "%{byte:02X}")),
        }
    }
    text.push_str("?secret=");
    base32(secret, &mut text);
    text.push_str("&issuer=hbb");
    text
}

/// RFC 4648 §6; 20 bytes need no padding.
fn base32(secret: &[u8; 20], text: &mut String) {
    const DIGITS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    for five in secret.chunks_exact(5) {
        let bits = five.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        for at in (0..8).rev() {
            let digit = usize::try_from(bits >> (5 * at) & 0x1f).unwrap_or_default();
            text.push(DIGITS.get(digit).copied().map_or('A', char::from));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8; 20] = b"12345678901234567890";

    /// RFC 6238, appendix B, the last six of its eight digits.
    #[test]
    fn c169_the_codes_of_the_rfc_are_taken_once_and_near_their_time() {
        for (secs, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            let step = secs / 30;
            for now in [secs - 30, secs, secs + 30] {
                assert_eq!(step_of(SECRET, code, now, 0), Some(step), "{code}");
            }
            assert_eq!(step_of(SECRET, code, secs, step), None, "{code} again");
            assert_eq!(step_of(SECRET, code, secs + 61, 0), None, "{code} later");
            // The clock was a day ahead, then years.
            assert_eq!(step_of(SECRET, code, secs, step + DAY_STEPS), None, "{code} a day ago");
            let years = step + 10 * 365 * DAY_STEPS;
            assert_eq!(step_of(SECRET, code, secs, years), Some(step), "{code} years ago");
        }
    }

    #[test]
    fn c169_what_is_no_code_is_none() {
        for bad in ["", "287 82", "28708", "2870820", "+87082", "28708\u{0662}"] {
            assert_eq!(step_of(SECRET, bad, 59, 0), None, "{bad}");
        }
    }

    #[test]
    fn c169_a_telephone_learns_the_secret_by_an_address() {
        assert_eq!(
            uri("a@b", SECRET),
            "otpauth://totp/hbb:a%40b?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=hbb"
        );
    }
}
