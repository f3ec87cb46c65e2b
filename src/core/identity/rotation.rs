//! A server key that is being replaced: for a while those are served too who were told the old one
//! alone. Its file, and who shows which. It must not know files, connections or clocks. C156.

use alloc::boxed::Box;
use alloc::string::{String, ToString as _};
use core::net::IpAddr;

use super::{KeyError, ServerKey};
use crate::base::address::Prefix;
use crate::base::limits::ROTATION_ADDRESSES_MAX;
use crate::base::table::{Seed, Table};
use crate::base::text::around;
use crate::base::time::{Time, Utc};

/// The key before the present one, and until when it is good. A server has one at most, which lasts
/// as long as the process.
#[derive(Debug, PartialEq, Eq)]
pub struct OldKey {
    /// Signs for those who show its public half.
    pub key: ServerKey,
    /// That half as clients show it.
    pub shown: Box<str>,
    /// Unix time of its end, in seconds.
    pub until_secs: u64,
}

impl OldKey {
    /// `key` is good until then.
    pub fn new(key: ServerKey, until_secs: u64) -> Self {
        Self { shown: key.public_text().into(), key, until_secs }
    }

    /// Reads the text of the old key's file: the secret's text, then `until DATE TIME` in UTC.
    ///
    /// # Errors
    /// As for [`ServerKey::parse`]; [`KeyError::NotBase64`] if there is no such line.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let (key, until) = around(text, "\nuntil ").ok_or(KeyError::NotBase64)?;
        let until = Utc::parse(until.trim()).ok_or(KeyError::NotBase64)?;
        Ok(Self::new(ServerKey::parse(key)?, until.unix_secs))
    }

    /// The text of the old key's file. Never log it.
    pub fn text(&self) -> String {
        let until = Utc { unix_secs: self.until_secs }.to_string();
        [&self.key.secret_text(), "\nuntil ", &until, "\n"].concat()
    }
}

/// Addresses where the old key was the last that was shown, `ROTATION_ADDRESSES_MAX` at most:
/// who says nothing there is made an offer of a sealed channel under it (protocol §4.8).
pub struct OldAddresses(Table<Prefix, Time>);

impl OldAddresses {
    /// None yet; `seed` keys the table.
    pub fn new(seed: Seed) -> Self {
        Self(Table::new(ROTATION_ADDRESSES_MAX, seed))
    }

    /// Somebody at this address showed the old key or the new one, or may have the one that was
    /// not offered, as an offer under the other was left unanswered.
    pub fn note(&mut self, ip: IpAddr, old: bool) {
        let prefix = Prefix::of(ip);
        if old {
            // When is of no use: a table of the kind that `Declined` has takes no code of its own.
            self.0.insert_evicting(prefix, Time::START);
        } else {
            self.0.remove(&prefix);
        }
    }

    /// Whether the old key was shown there last.
    pub fn has(&self, ip: IpAddr) -> bool {
        self.0.get(&Prefix::of(ip)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn the_old_keys_file_says_until_when() {
        let key = ServerKey::from_seed([7; 32]).unwrap();
        let old = OldKey::new(key.clone(), 1_796_000_000);
        let text = old.text();
        assert_eq!(text, format!("{}\nuntil 2026-11-30 00:53:20\n", key.secret_text()));
        assert_eq!(OldKey::parse(&text), Ok(old));
        assert_eq!(OldKey::parse(&key.secret_text()), Err(KeyError::NotBase64));
        assert_eq!(OldKey::parse(&text.replace("2026", "soon")), Err(KeyError::NotBase64));
        let (_, cut) = text.split_at(40);
        assert_eq!(OldKey::parse(cut), Err(KeyError::WrongLength));
    }

    #[test]
    fn c156_an_address_has_the_key_it_showed_last() {
        let mut addresses = OldAddresses::new(Seed(1, 2));
        let [one, near, other] =
            ["2001:db8::1", "2001:db8::2", "192.0.2.1"].map(|ip| ip.parse().unwrap());
        addresses.note(one, true);
        assert!(addresses.has(near) && !addresses.has(other), "the same /64");
        addresses.note(near, false);
        assert!(!addresses.has(one));
        for ip in 0..=u32::try_from(ROTATION_ADDRESSES_MAX).unwrap() {
            addresses.note(IpAddr::from(ip.to_be_bytes()), true);
        }
        assert!(!addresses.has([0, 0, 0, 0].into()), "the oldest gives way");
    }
}
