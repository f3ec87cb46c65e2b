//! Codes that let one device in each, without an operator beside it: in memory alone, so that they
//! end with the server at the latest. C187.

use alloc::string::String;
use alloc::vec::Vec;

use crate::base::limits::INVITES_MAX;
use crate::base::nonce::Nonces;
use crate::base::time::Time;

/// What a code is written in: no letter that looks like a digit, or like another.
const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";
/// Letters of a code, of five bits each.
const CODE_CHARS: usize = 16;
/// A hyphen stands behind so many.
const GROUP_CHARS: usize = 4;

type Code = [u8; CODE_CHARS];

/// See the file's head.
#[derive(Default)]
pub(in crate::rendezvous) struct Invites(Vec<(Code, Time)>);

impl Invites {
    /// A new one, good until then; None if there are as many as may be.
    pub(super) fn draw(&mut self, now: Time, until: Time, nonces: &mut Nonces) -> Option<String> {
        self.0.retain(|(_, until)| now < *until);
        if self.0.len() >= INVITES_MAX {
            return None;
        }
        let code = Code::from(core::array::from_fn(|_| {
            let at = usize::try_from(nonces.draw() & 31).unwrap_or(0);
            LETTERS.get(at).copied().unwrap_or(b'a')
        }));
        self.0.push((code, until));
        let mut text = String::new();
        for (at, letter) in code.into_iter().enumerate() {
            if at > 0 && at % GROUP_CHARS == 0 {
                text.push('-');
            }
            text.push(char::from(letter));
        }
        Some(text)
    }

    /// Uses up the code that somebody shows, hyphens and capitals aside; false if it is none.
    pub(super) fn take(&mut self, now: Time, shown: &str) -> bool {
        let at = self.find(now, shown);
        at.map(|at| self.0.remove(at)).is_some()
    }

    /// Whether what somebody shows is one.
    pub(super) fn has(&self, now: Time, shown: &str) -> bool {
        self.find(now, shown).is_some()
    }

    fn find(&self, now: Time, shown: &str) -> Option<usize> {
        let letters = shown.replace('-', "").to_ascii_lowercase();
        let shown: Code = letters.into_bytes().try_into().ok()?;
        // All of it is looked at, so that the time tells nothing.
        let differ = |code: &Code| code.iter().zip(shown).fold(0, |all, (a, b)| all | (a ^ b));
        self.0.iter().position(|(code, until)| differ(code) == 0 && now < *until)
    }

    pub(in crate::rendezvous) fn clear(&mut self) {
        self.0 = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::table::Seed;

    #[test]
    fn c187_a_code_is_good_once_until_its_time_however_it_is_typed() {
        let (mut invites, mut nonces) = (Invites::default(), Nonces::new(Seed(1, 2)));
        let (start, hour) = (Time::START, Time::from_millis(3_600_000));
        let mut draw = |invites: &mut Invites| invites.draw(start, hour, &mut nonces).unwrap();
        let (one, other) = (draw(&mut invites), draw(&mut invites));
        assert!(one != other && one.len() == 19 && one.matches('-').count() == 3, "{one}");
        for wrong in ["", "-", "aaaa-aaaa-aaaa-aaaa", one.split_at(1).1, &alloc::format!("{one}a")]
        {
            assert!(!invites.has(start, wrong) && !invites.take(start, wrong), "{wrong}");
        }
        let typed = one.replace('-', "").to_uppercase();
        assert!(invites.has(start, &typed) && invites.take(start, &typed));
        assert!(!invites.take(start, &one), "twice");
        assert!(!invites.has(hour, &other) && !invites.take(hour, &other), "too late");
        assert!(invites.take(Time::from_millis(3_599_999), &other));
        for _ in 0..INVITES_MAX {
            draw(&mut invites);
        }
        assert_eq!(invites.draw(start, hour, &mut nonces), None);
        assert!(invites.draw(hour, Time::from_millis(3_600_001), &mut nonces).is_some());
    }
}
