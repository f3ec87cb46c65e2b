//! The server key: the Ed25519 pair clients trust, its text, its signatures, and what `--key` says.
//!
//! Bytes in, bytes out: nothing here knows a file, a message or a socket.
//! C74 (text of the key files), C75 (the `--key` table), the vectors of §4.8, §4.9 and §5.1.

pub mod declined;
pub mod rotation;
pub mod seal;

use alloc::borrow::ToOwned as _;
use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

use ct_codecs::{Base64, Base64NoPadding, Decoder, Encoder, Hex};
use ed25519_compact::{KeyPair, PublicKey, SecretKey, Seed};

use rotation::OldKey;

/// Bytes of a pair's text: base64 of 64 bytes, padded.
const SECRET_TEXT_BYTES: usize = 88;
/// Characters of a public key's text without its padding.
pub const KEY_CHARS: usize = 43;
/// What stands before a secret key that signs and that nobody need show.
pub const OPEN: &str = "open:";
/// What separates the lines of a wrapped text.
const BLANKS: &[u8] = b" \t\r\n";
/// How the keys of other programs begin, `-` read as `+`.
const FOREIGN: [&str; 6] = ["+++++BEGIN", "++++ BEGIN", "ssh+", "ecdsa+", "sk+ssh", "PuTTY+"];

/// Why a key is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// There is no text at all.
    Empty,
    /// Some character does not belong to standard base64.
    NotBase64,
    /// It is base64, but not of 64 bytes: cut short.
    WrongLength,
    /// It is 32 bytes in base64: a public key, which clients have.
    PublicKey,
    /// A key of OpenSSH or of a certificate, whose file is called the same.
    Foreign,
    /// The second half is not the public key of the first half.
    PairDiffers,
    /// The seed is 32 zero bytes: a broken random source, not a key.
    ZeroSeed,
}

impl fmt::Display for KeyError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Empty => "it is empty, as a full disk leaves it",
            Self::NotBase64 => "not base64 text",
            Self::WrongLength => "not 64 bytes in base64 (88 characters), it may be cut short",
            Self::PublicKey => {
                "it is a public key or a bare seed (44 characters), the secret one has 88"
            }
            Self::Foreign => {
                "it is a key of OpenSSH, OpenSSL or PuTTY, RustDesk's is one line of 88 characters"
            }
            Self::PairDiffers => "its public half does not belong to its secret half",
            Self::ZeroSeed => "its secret half is all zeros",
        })
    }
}

/// A detached Ed25519 signature; on the wire it stands in front of what it signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature(pub [u8; 64]);

/// The server's signing pair, consistent by construction. `Debug` shows the public half only.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerKey(SecretKey);

impl ServerKey {
    /// The pair that grows from 32 bytes of entropy; all zeros are refused.
    pub fn from_seed(seed: [u8; 32]) -> Result<Self, KeyError> {
        let pair = KeyPair::try_from_seed(Seed::new(seed)).map_err(|_| KeyError::ZeroSeed)?;
        Ok(Self(pair.sk))
    }

    /// Reads the text of a secret key file: base64 of seed and public key, 64 bytes in all, or the
    /// same in hex. What editors and shells leave around it is put aside (a byte order mark,
    /// quotes, blanks, broken lines, zeros of UTF-16) and missing padding is forgiven (§5.1), as is
    /// the URL's alphabet; the halves must match. Where they do, one word among others is the pair:
    /// behind a label, or beside its public half.
    ///
    /// # Errors
    /// What it is instead.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let shown = text.chars().filter(|c| !matches!(c, '\0' | '\u{feff}'));
        let text: String = shown.map(plain).collect();
        let text = text.trim();
        if text.is_empty() {
            return Err(KeyError::Empty);
        }
        if FOREIGN.iter().any(|begin| text.starts_with(begin)) {
            return Err(KeyError::Foreign);
        }
        match Self::decode(text) {
            Err(why @ (KeyError::NotBase64 | KeyError::WrongLength)) => {
                Self::among(text).unwrap_or(Err(why))
            }
            found => found,
        }
    }

    /// The one pair among words, whole or not; two are none.
    fn among(text: &str) -> Option<Result<Self, KeyError>> {
        let mut found = None;
        for word in text.split_whitespace() {
            let pair = Self::decode(word);
            let is_other = matches!(
                pair,
                Err(KeyError::NotBase64 | KeyError::WrongLength | KeyError::PublicKey)
            );
            if is_other || found.as_ref() == Some(&pair) {
                continue;
            }
            if found.is_some() {
                return None;
            }
            found = Some(pair);
        }
        found
    }

    /// One pair, in one line or in several.
    fn decode(text: &str) -> Result<Self, KeyError> {
        let mut bytes = [0; 64];
        let in_hex = Hex::decode(&mut bytes, text, Some(BLANKS)).map_or(0, <[u8]>::len);
        let length = match in_hex {
            32 | 64 => in_hex,
            _ => match Base64NoPadding::decode(&mut bytes, text, Some(BLANKS)) {
                Ok(decoded) => decoded.len(),
                // Where a text is cut a few bits are left over, as if it were none.
                Err(ct_codecs::Error::InvalidInput) if !text.bytes().all(is_base64) => {
                    return Err(KeyError::NotBase64);
                }
                Err(_) => return Err(KeyError::WrongLength),
            },
        };
        match length {
            64 => {}
            32 => return Err(KeyError::PublicKey),
            _ => return Err(KeyError::WrongLength),
        }
        let secret = SecretKey::new(bytes);
        match secret.validate_public_key(&secret.public_key()) {
            Ok(()) => Ok(Self(secret)),
            // So many hex digits may be a word that somebody made up.
            Err(_) if in_hex == 64 => Err(KeyError::WrongLength),
            Err(ed25519_compact::Error::InvalidSeed) => Err(KeyError::ZeroSeed),
            Err(_) => Err(KeyError::PairDiffers),
        }
    }

    /// The text of the secret key file: 88 characters, no newline. Never log it.
    pub fn secret_text(&self) -> String {
        encode(&*self.0)
    }

    /// The text clients are given: 44 characters with padding, which they insist on (§5.1).
    pub fn public_text(&self) -> String {
        encode(&self.public())
    }

    /// The public half.
    pub fn public(&self) -> [u8; PublicKey::BYTES] {
        *self.0.public_key()
    }

    /// Signs `message`; the same key and message always give the same signature.
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(*self.0.sign(message, None))
    }
}

impl fmt::Debug for ServerKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "ServerKey({})", self.public_text())
    }
}

/// What `--key` asks for: the rows of §5.2, one binary being both servers (C75).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyChoice {
    /// Load the key files or make them, and sign; demand the public key of clients if `enforce`.
    Files {
        /// Whether clients must show the public key.
        enforce: bool,
    },
    /// Sign with this key; the files are not touched.
    Secret {
        /// The pair.
        key: ServerKey,
        /// Whether clients must show its public half.
        enforce: bool,
    },
    /// Demand this text. Nothing is signed, so sessions stay unencrypted; worth a loud warning.
    Word(Box<str>),
}

impl KeyChoice {
    /// Reads the value of `--key`; None if the flag was not given.
    /// Only a 64-byte secret whose halves disagree is an error: any other text is a word to demand.
    pub fn parse(text: Option<&str>) -> Result<Self, KeyError> {
        let text = match text {
            None => return Ok(Self::Files { enforce: true }),
            Some("") => return Ok(Self::Files { enforce: false }),
            Some(text) => text,
        };
        // In quotes, too, where nothing took them off: no client could enter those.
        if matches!(unquoted(text), "-" | "_") {
            return Ok(Self::Files { enforce: true });
        }
        match ServerKey::parse(text) {
            Ok(key) => Ok(Self::Secret { key, enforce: !text.starts_with(OPEN) }),
            Err(broken @ (KeyError::PairDiffers | KeyError::ZeroSeed | KeyError::Foreign)) => {
                Err(broken)
            }
            Err(_) => Ok(Self::Word(text.into())),
        }
    }

    /// Settles the choice. `load` reads or makes the key files; it is called only if they matter.
    pub fn resolve<E>(self, load: impl FnOnce() -> Result<ServerKey, E>) -> Result<KeyPolicy, E> {
        Ok(match self {
            Self::Files { enforce } => KeyPolicy::signed(load()?, enforce),
            Self::Secret { key, enforce } => KeyPolicy::signed(key, enforce),
            Self::Word(word) => KeyPolicy { signing: None, enforced: Some(word), old: None },
        })
    }
}

/// The keys both machines work by: the rendezvous machine takes all of it, the relay `enforced`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPolicy {
    /// Signs peer keys. None: nothing is signed, and clients fall back to unencrypted sessions.
    pub signing: Option<ServerKey>,
    /// The access key clients must show, byte for byte. None: whoever asks is served.
    pub enforced: Option<Box<str>>,
    /// The key before, which is good for a while yet (C156).
    pub old: Option<&'static OldKey>,
}

impl KeyPolicy {
    fn signed(key: ServerKey, enforce: bool) -> Self {
        let enforced = enforce.then(|| key.public_text().into());
        Self { signing: Some(key), enforced, old: None }
    }
}

const fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')
}

/// A character of a key as base64 has it; what only separates words is a blank.
const fn plain(c: char) -> char {
    match c {
        '-' => '+',
        '_' => '/',
        '=' | ':' | ',' => ' ',
        c if is_quote(c) => ' ',
        c => c,
    }
}

/// Whether it is a quote, as keyboards or word processors have it.
pub const fn is_quote(c: char) -> bool {
    matches!(c, '"' | '\'' | '\u{2018}' | '\u{2019}' | '\u{201c}' | '\u{201d}')
}

/// A text without quotes and blanks around it.
pub fn unquoted(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || is_quote(c))
}

/// The public key that clients enter, of its text; None of any other word.
pub fn public_key(text: &str) -> Option<[u8; PublicKey::BYTES]> {
    let mut bytes = [0; PublicKey::BYTES];
    let text = text.strip_suffix('=')?;
    let length = Base64NoPadding::decode(&mut bytes, text, Some(b"")).ok()?.len();
    (length == bytes.len()).then_some(bytes)
}

/// What stands behind a signature, if the server with this public key made it (§4.8, §4.9).
pub fn opened<'a>(signed: &'a [u8], public: &[u8; PublicKey::BYTES]) -> Option<&'a [u8]> {
    let (signature, message) = signed.split_at_checked(ed25519_compact::Signature::BYTES)?;
    let signature = ed25519_compact::Signature::from_slice(signature).ok()?;
    PublicKey::new(*public).verify(message, &signature).ok()?;
    Some(message)
}

/// Standard base64 with padding, of a key or a pair. It cannot fail: there is room for a pair.
fn encode(bytes: &[u8]) -> String {
    let mut text = [0; SECRET_TEXT_BYTES];
    Base64::encode_to_str(&mut text, bytes).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use alloc::borrow::ToOwned as _;
    use alloc::format;
    use alloc::vec::Vec;

    use super::*;

    const SECRET: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8DoQe/884Qvh1w3RjnS8CZZ+TWMJul\
                          DV8d3IZkElUxuA==";
    const PUBLIC: &str = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";

    fn key() -> ServerKey {
        ServerKey::from_seed(core::array::from_fn(|i| u8::try_from(i).unwrap())).unwrap()
    }

    fn hex(text: &str) -> Vec<u8> {
        text.as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    #[test]
    fn parse_refuses_cut_foreign_and_mismatched_text() {
        for empty in ["", " \r\n", "\u{feff}", "\0\0", "\"\""] {
            assert_eq!(ServerKey::parse(empty), Err(KeyError::Empty), "{empty:?}");
        }
        assert_eq!(ServerKey::parse(PUBLIC), Err(KeyError::PublicKey));
        for foreign in [
            "-----BEGIN OPENSSH PRIVATE KEY-----\nb3",
            "-----BEGIN RSA PRIVATE KEY-----\nMIIE",
            "---- BEGIN SSH2 PUBLIC KEY ----",
            "ssh-ed25519 AAAAC3 me@here",
            "ecdsa-sha2-nistp256 AAAAE2 me@here",
            "sk-ssh-ed25519@openssh.com AAAAG me@here",
            "PuTTY-User-Key-File-3: ssh-ed25519",
        ] {
            assert_eq!(ServerKey::parse(foreign), Err(KeyError::Foreign));
        }
        assert_eq!(ServerKey::parse(SECRET.trim_end_matches("uA==")), Err(KeyError::WrongLength));
        for cut in 40..86 {
            let cut: String = SECRET.chars().take(cut).collect();
            let why = ServerKey::parse(&cut).unwrap_err();
            assert!(matches!(why, KeyError::WrongLength | KeyError::PublicKey), "{cut}: {why}");
        }
        assert_eq!(ServerKey::parse("<html>"), Err(KeyError::NotBase64));
        assert_eq!(ServerKey::parse(&SECRET.replace("==", "QAAA")), Err(KeyError::WrongLength));
        assert_eq!(ServerKey::parse(&SECRET.replace("AAEC", "BAEC")), Err(KeyError::PairDiffers));
        assert_eq!(ServerKey::parse(&encode(&[0; 64])), Err(KeyError::ZeroSeed));
        assert_eq!(ServerKey::from_seed([0; 32]), Err(KeyError::ZeroSeed));
    }

    #[test]
    fn text_round_trips_and_padding_is_forgiven() {
        assert_eq!((key().secret_text().as_str(), key().public_text().as_str()), (SECRET, PUBLIC));
        let bare = SECRET.trim_end_matches('=');
        for text in [SECRET.to_owned(), bare.to_owned(), format!(" {bare}=\r\n")] {
            assert_eq!(ServerKey::parse(&text), Ok(key()), "{text:?}");
        }
        assert_eq!(format!("{:?}", key()), format!("ServerKey({PUBLIC})"));
    }

    #[test]
    fn what_editors_and_shells_leave_is_put_aside() {
        let (first, second) = SECRET.split_at(64);
        for text in [
            format!("\u{feff}{SECRET}\r\n"),
            format!("\"{SECRET}\"\n"),
            format!("'{SECRET}'"),
            format!("{first}\r\n{second}\r\n"),
            format!("{first}\n  {second} =="),
        ] {
            assert_eq!(ServerKey::parse(&text), Ok(key()), "{text:?}");
        }
        let utf16: String = SECRET.chars().flat_map(|c| [c, '\0']).collect();
        for text in [
            utf16,
            SECRET.replace('/', "_").replace('+', "-"),
            format!("\u{201c}{SECRET}\u{201d}"),
            format!("\u{2018}{SECRET}\u{2019}\n"),
            format!("key={SECRET}\n"),
            format!("key = \"{SECRET}\"").replace(" = ", "="),
            format!("Public Key:  {PUBLIC}\nSecret Key:  {SECRET}\n"),
        ] {
            assert_eq!(ServerKey::parse(&text), Ok(key()), "{text:?}");
        }
        for text in
            [format!("\"{SECRET}"), format!("{SECRET}'"), format!("{{\"key\": \"{SECRET}\"}}")]
        {
            assert_eq!(ServerKey::parse(&text), Ok(key()), "{text:?}");
        }
    }

    #[test]
    fn a_pair_is_found_beside_its_public_half_and_in_hex() {
        let digits: String = key().0.iter().map(|byte| format!("{byte:02x}")).collect();
        let (first, second) = digits.split_at(64);
        for text in [
            format!("{SECRET}\n{PUBLIC}\n"),
            format!("{PUBLIC}\r\n{SECRET}"),
            format!("{SECRET}{PUBLIC}"),
            format!("{SECRET}\n{SECRET}\n"),
            digits.clone(),
            format!("{}\n", digits.to_uppercase()),
            format!("{first}\n{second}\n"),
        ] {
            assert_eq!(ServerKey::parse(&text), Ok(key()), "{text:?}");
        }
        let other = ServerKey::from_seed([7; 32]).unwrap().secret_text();
        let two = format!("{SECRET}\n{other}");
        assert_eq!(ServerKey::parse(&two), Err(KeyError::WrongLength), "two of them");
        assert_eq!(ServerKey::parse(first), Err(KeyError::PublicKey), "half of one");
        let word = digits.replace("00", "01");
        assert_eq!(KeyChoice::parse(Some(&word)), Ok(KeyChoice::Word((&*word).into())));
        let differs = format!("key={}", SECRET.replace("AAEC", "BAEC"));
        assert_eq!(ServerKey::parse(&differs), Err(KeyError::PairDiffers));
    }

    #[test]
    fn signs_the_vectors_of_4_8_and_4_9() {
        let ephemeral = hex("a4e09292b651c278b9772c569f5fa9bb13d906b46ab68c9df9dc2b4409f8a209");
        assert_eq!(
            key().sign(&ephemeral).0.to_vec(),
            hex("dfa4a840fc39a0c5a91d87f2ae03f70174d2dc7ebecfe65fc214b289e87314ee\
                 9e28e207aa6df97aebe1e6fa0f5c1db5ae483c0b8e206f4d383d01feb481f90c")
        );
        let id_pk = [b"\x0a\x09123456789\x12\x20".as_slice(), &[0x11; 32]].concat();
        assert_eq!(
            key().sign(&id_pk).0.to_vec(),
            hex("f4cb34dbfc530c3fb06ecbfb8dad3b63d15a054f282a7cd8e1551aa25b8bebc6\
                 421a5c9ffaca8cc33b478c1839899497a8fc46c42da3820558ef2e949e6d1906")
        );
        assert_eq!(
            key().public().to_vec(),
            hex("03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8")
        );
    }

    #[test]
    fn c159_only_what_the_key_signed_is_opened() {
        let signed = [&key().sign(b"text").0[..], b"text"].concat();
        assert_eq!(opened(&signed, &public_key(PUBLIC).unwrap()), Some(&b"text"[..]));
        let other = ServerKey::from_seed([7; 32]).unwrap();
        assert_eq!(opened(&signed, &other.public()), None);
        assert_eq!(opened(&signed[..63], &key().public()), None);
        assert_eq!(opened(&[signed.as_slice(), b"x"].concat(), &key().public()), None);
        for word in ["", "a word", "AAAA", SECRET] {
            assert_eq!(public_key(word), None, "{word}");
        }
    }

    #[test]
    fn resolve_loads_files_only_if_they_matter() {
        let unreadable = || Err::<ServerKey, _>(());
        assert_eq!(KeyChoice::Files { enforce: true }.resolve(unreadable), Err(()));
        let word = KeyChoice::Word("hunter2".into()).resolve(unreadable).unwrap();
        assert_eq!(word, KeyPolicy { signing: None, enforced: Some("hunter2".into()), old: None });
        for (before, enforced) in [("", Some(PUBLIC.into())), (OPEN, None)] {
            let secret = KeyChoice::parse(Some(&[before, SECRET].concat())).unwrap();
            let policy = KeyPolicy { signing: Some(key()), enforced, old: None };
            assert_eq!(secret.resolve(unreadable), Ok(policy));
        }
        let open = KeyChoice::Files { enforce: false }.resolve(|| Ok::<_, ()>(key())).unwrap();
        assert_eq!(open, KeyPolicy { signing: Some(key()), enforced: None, old: None });
    }
}
