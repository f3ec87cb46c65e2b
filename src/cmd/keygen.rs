//! The key files: made once, whole or not at all, readable by their owner alone, never replaced
//! unless told to. Alone asks the system for entropy.
//! Whatever is wrong with a key file ends the start: a server that goes on without its key, or
//! with another, is one that clients can no longer tell from an impostor.
//! Checks: C74, C75.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::exit::{DENIED, Exit, MAKE_ROOM, READ_ONLY, print};
use crate::cli::KeygenFlags;
use crate::config::{Config, Role, old_key_file};
use crate::file::{beside, draft_of, give_to_owner, open_file, publish, read_text, replace_after};
use hbb_core::base::text::holds;
use hbb_core::base::time::Utc;
use hbb_core::identity::{
    KEY_CHARS, KeyChoice, KeyError, KeyPolicy, ServerKey, public_key, unquoted,
};
use log::warn;

pub(super) use crate::config::SECRET_FILE;
/// The public key's file, for people to copy; the server itself never trusts it.
pub(super) const PUBLIC_FILE: &str = "id_ed25519.pub";
/// Permissions of the secret key's file that let others in.
pub(super) const MODE_TOO_OPEN: u32 = 0o027;

pub(super) const SECRET_MODE: u32 = 0o600;
const PUBLIC_MODE: u32 = 0o644;
/// A key by itself, which some programs write as it is.
const SECRET_BYTES: u64 = 64;
/// Half of one.
const SEED_BYTES: u64 = 32;
/// Characters of a pair, without padding.
const SECRET_CHARS: usize = 86;
/// Characters of a public key that tell it from others.
const SHOWN_CHARS: usize = 8;
/// A key file has 88 bytes; one of another program, which is named as that, fits as well.
pub(super) const KEY_FILE_BYTES_MAX: u64 = 16 * 1024;
/// Every other public key holds a `/`, so this many with one in all of them do not happen.
const TRIES_MAX: usize = 300;
/// The refusal of a path where the text of a key is meant.
const KEY_IS_PATH: &str = "--key takes the text of a key, not its file. Leave it out to use \
     id_ed25519 in --data, or give what is in the file.";
/// The refusal of a part of a secret key.
const KEY_IS_CUT: &str = "--key: this looks like a part of a secret key, and would be told to all \
     clients. Copy all 88 characters of the secret key file, or leave --key out to use the file.";
/// How long another process may take to make the key: this often, this long.
const WAITS_MAX: usize = 20;
const WAIT: Duration = Duration::from_millis(100);
/// How long a relay leaves the making of the key to an ID server that starts beside it (§5.2).
const ID_SERVER_WAIT: Duration = Duration::from_millis(300);

/// `hbb keygen`.
pub(super) fn run(flags: &KeygenFlags) -> Result<(), Exit> {
    let dir = Path::new(flags.data.as_deref().unwrap_or("."));
    if flags.print {
        return print(&pair_text(&generate()?));
    }
    let (secret, public) = (dir.join(SECRET_FILE), dir.join(PUBLIC_FILE));
    let is_there = exists(&secret) || exists(&public);
    if is_there && !flags.force {
        return Err(Exit::unusable(format!(
            "There is a key in {} already, and clients may know it. 'hbb keygen --force' replaces \
             it, and keeps the old files.",
            dir.display()
        )));
    }
    // Who wants another key at once wants the one before no more.
    let old = old_key_file(&secret);
    let clear = || put_aside(&old, &old).and_then(|()| put_aside(&secret, &public));
    let failed = |error| cannot_write(dir, &error);
    let key = if is_there {
        let key = generate()?;
        let secret = || replace_after(&secret, SECRET_MODE, &key.secret_text(), &clear);
        write_public(dir, &key, &secret).map_err(failed)?;
        key
    } else {
        clear().map_err(failed)?;
        let key = make(dir)?;
        write_public(dir, &key, &|| Ok(())).map_err(failed)?;
        key
    };
    let place = dir.display();
    print(&format!(
        "Made {place}/{SECRET_FILE} (secret: back it up, show it to nobody) and \
         {place}/{PUBLIC_FILE}.\nPublic Key:  {}\n",
        key.public_text()
    ))
}

/// The keys `config` asks for, loaded or made: the table of §5.2 (C75).
/// Without `--key` both servers demand the key, where upstream's relay serves anybody. A relay
/// alone does not make a key of its own, since clients show it the ID server's: it must be given.
/// Call it after logging has started: damage that can be lived with is logged as a warning.
pub fn policy(config: &Config) -> Result<KeyPolicy, Exit> {
    let alone = config.role == Role::Relay;
    let choice = choice(config)?;
    match choice {
        KeyChoice::Files { enforce: false } if alone => {
            return Ok(KeyPolicy { signing: None, enforced: None, old: None });
        }
        KeyChoice::Files { .. } if alone && config.key.is_none() && read_for(config)?.is_none() => {
            return Err(relay_without_key());
        }
        KeyChoice::Word(word) if alone => return Ok(shown_to_relay(&word)),
        KeyChoice::Files { .. } if alone && read_for(config)?.is_none() => {
            std::thread::sleep(ID_SERVER_WAIT);
            if read_for(config)?.is_none() {
                warn!("relay-key-made help='--key, with the public key of the ID server'");
            }
        }
        KeyChoice::Word(_) => warn!("key-unsigned flag=--key sessions=unencrypted"),
        _ => {}
    }
    choice.resolve(|| match &config.key_file {
        None => load_or_create(&config.data),
        Some(file) => load(file),
    })
}

/// What `--key` asks for.
///
/// # Errors
/// It is no key, a part of one or a file's name, or `--key-file` names another key.
pub(super) fn choice(config: &Config) -> Result<KeyChoice, Exit> {
    let choice = KeyChoice::parse(config.key.as_deref())
        .map_err(|why| Exit::flags(format!("--key: {why}; copy all of the secret key file")))?;
    match choice {
        KeyChoice::Files { .. } => Ok(choice),
        // It can only mean what clients must show: it signs, as without the flag.
        KeyChoice::Word(word) if is_own_public(config, &word) => match config.role {
            Role::Relay => Ok(KeyChoice::Word(word)),
            _ => Ok(KeyChoice::Files { enforce: true }),
        },
        _ if config.key_file.is_some() => {
            Err(Exit::flags("--key-file: --key holds another key; leave one of them out"))
        }
        KeyChoice::Word(word) if is_path(&word) => Err(Exit::flags(KEY_IS_PATH)),
        KeyChoice::Word(word) if is_cut_secret(config, &word) => Err(Exit::flags(KEY_IS_CUT)),
        choice => Ok(choice),
    }
}

/// The key in a file that `--key-file` names, where nothing is changed or made.
fn load(file: &Path) -> Result<ServerKey, Exit> {
    let key = read(file)?.ok_or_else(|| missing(file))?;
    warn_if_open(file);
    if let Some(text) = read_public(file).filter(|text| *text != key.public_text()) {
        warn_of_public(file, (&text, &key), "kept");
    }
    Ok(key)
}

/// Tells the key that clients may have been given from the right one by how each begins. Of what is
/// no public key nothing is told.
fn warn_of_public(secret: &Path, (found, key): (&str, &ServerKey), now: &str) {
    let start = |text: String| text.chars().take(SHOWN_CHARS).collect::<String>();
    let whole = bare(found) + "=";
    let holds = if public_key(&whole).is_some() { start(whole) } else { "no-key".into() };
    let (file, key) = (public_path(secret), start(key.public_text()));
    warn!("key-public-differs file={} holds={holds} key={key} now={now}", file.display());
}

/// The file of the public key, beside that of the secret one.
pub(super) fn public_path(secret: &Path) -> PathBuf {
    beside(secret, ".pub")
}

/// Whether `word` is the public half of the key in the file that is ours, as people copy it: in
/// quotes, with blanks, without padding, in the alphabet for URLs.
fn is_own_public(config: &Config, word: &str) -> bool {
    let read = || read_for(config).ok().flatten();
    let word = bare(word);
    word.len() >= KEY_CHARS && read().is_some_and(|key| bare(&key.public_text()) == word)
}

/// What clients must show a relay alone: a public key as they have it, however it was copied.
fn shown_to_relay(word: &str) -> KeyPolicy {
    let key = bare(word) + "=";
    let shown = if public_key(&key).is_some() { &key } else { word };
    KeyPolicy { signing: None, enforced: Some(shown.into()), old: None }
}

/// Whether `word` is a piece of a secret key, which would be shown to all as the key of clients: of
/// the own one, or any text of its alphabet that is longer than a key and shorter than a pair.
fn is_cut_secret(config: &Config, word: &str) -> bool {
    let whole = bare(word);
    let word = whole.as_str();
    let alphabet = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    if word.len() < KEY_CHARS - 1 || !word.bytes().all(alphabet) {
        return false;
    }
    let own = || read_for(config).ok().flatten();
    word.len() > KEY_CHARS + 1 && word.len() < SECRET_CHARS
        || own().is_some_and(|key| {
            holds(&bare(&key.secret_text()), word) && bare(&key.public_text()) != word
        })
}

/// Without what is around it, in the letters of plain base64.
fn bare(text: &str) -> String {
    unquoted(text).trim_matches('=').replace('-', "+").replace('_', "/")
}

/// Whether somebody gave the key's file where its text is meant.
fn is_path(word: &str) -> bool {
    let looks = word.starts_with(['/', '.', '~']) || word.ends_with(".pub");
    looks || word.ends_with(SECRET_FILE)
}

/// The pair in `dir`, made if there is none. Anything in between is refused and left as it is.
pub fn load_or_create(dir: &Path) -> Result<ServerKey, Exit> {
    let key = match read(&dir.join(SECRET_FILE))? {
        Some(key) => key,
        None => refuse_orphan(dir).and_then(|()| make(dir))?,
    };
    warn_if_open(&dir.join(SECRET_FILE));
    repair_public(dir, &key);
    Ok(key)
}

fn warn_if_open(secret: &Path) {
    if secret_mode(secret).is_some_and(|mode| mode & MODE_TOO_OPEN != 0) {
        warn!("key-file-open file={} fix='chmod 600'", secret.display());
    }
}

/// The key in the file that is ours; None if there is none in `--data`, where one is made.
pub(super) fn read_for(config: &Config) -> Result<Option<ServerKey>, Exit> {
    let path = config.secret_file();
    match read(&path)? {
        None if config.key_file.is_some() => Err(missing(&path)),
        key => Ok(key),
    }
}

/// The key in a secret key file; None if there is no such file.
pub(super) fn read(path: &Path) -> Result<Option<ServerKey>, Exit> {
    let text = match read_text(path, KEY_FILE_BYTES_MAX) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound && !exists(path) => return Ok(None),
        Err(error) => return Err(unreadable(path, &error)),
    };
    ServerKey::parse(&text).map(Some).map_err(|why| match why {
        KeyError::Foreign | KeyError::PublicKey => Exit::unusable(format!(
            "The file {} is no key of ours: {why}. Put the {SECRET_FILE} of your RustDesk server \
             in its place, or move it away and start again for a new key. It was not changed.",
            path.display()
        )),
        _ => damaged(path, why),
    })
}

/// A file that was named and is not there: making one would be a key that no client knows.
fn missing(path: &Path) -> Exit {
    Exit::unusable(format!(
        "There is no key file {}, which --key-file names. Put the {SECRET_FILE} of the server \
         there, or leave the flag out for the one in --data.",
        path.display()
    ))
}

fn damaged(path: &Path, why: KeyError) -> Exit {
    Exit::unusable(format!(
        "The key file {} is damaged: {why}. Restore it from a backup. If there is none, 'hbb \
         keygen --force' puts it aside and makes a new key, which every client then needs. It was \
         not changed.",
        path.display()
    ))
}

/// The text of the public key file beside `secret`, trimmed; None if it cannot be read.
pub(super) fn read_public(secret: &Path) -> Option<String> {
    let text = read_text(&public_path(secret), KEY_FILE_BYTES_MAX).ok()?;
    Some(text.trim().into())
}

/// Refuses a public key file without its secret: a new key would not be the one clients know.
pub(super) fn refuse_orphan(dir: &Path) -> Result<(), Exit> {
    let public = dir.join(PUBLIC_FILE);
    if !exists(&public) || exists(&dir.join(SECRET_FILE)) {
        return Ok(());
    }
    Err(Exit::unusable(format!(
        "There is {} but no {SECRET_FILE} beside it. Restore that from a backup, or make a new \
         key with 'hbb keygen --force', which every client then needs.",
        public.display()
    )))
}

/// The refusal of a relay that has no way to know whom to serve.
pub(super) fn relay_without_key() -> Exit {
    Exit::flags(
        "--role relay: add --key with the ID server's public key ('hbb export' prints it there), \
         or --key= to serve anybody",
    )
}

/// The permission bits of the secret key file, if it is there.
pub(super) fn secret_mode(secret: &Path) -> Option<u32> {
    fs::metadata(secret).ok().map(|metadata| metadata.mode() & 0o777)
}

/// `N` bytes nobody can guess.
#[allow(clippy::disallowed_methods, reason = "the one place that asks for entropy")]
pub(super) fn entropy<const N: usize>() -> Result<[u8; N], Exit> {
    let mut bytes = [0; N];
    match getrandom::fill(&mut bytes) {
        Ok(()) => Ok(bytes),
        Err(error) => Err(Exit::running(format!("The system gives no random bytes: {error}"))),
    }
}

/// A new pair. Its public text holds no `/`, as it may become part of a Windows file name (C74).
pub(super) fn generate() -> Result<ServerKey, Exit> {
    for _ in 0..TRIES_MAX {
        let key = ServerKey::from_seed(entropy()?);
        if let Some(key) = key.ok().filter(|key| !key.public_text().contains('/')) {
            return Ok(key);
        }
    }
    Err(Exit::running("The system's random bytes are not random"))
}

/// The text of `genkeypair` (§5.3).
fn pair_text(key: &ServerKey) -> String {
    format!("Public Key:  {}\nSecret Key:  {}\n", key.public_text(), key.secret_text())
}

/// Makes the secret key file; should another process be making one, its key is taken.
fn make(dir: &Path) -> Result<ServerKey, Exit> {
    let (path, mut seen) = (dir.join(SECRET_FILE), None);
    for turn in 0..=WAITS_MAX {
        if turn == WAITS_MAX {
            // Nobody is that slow.
            drop(fs::remove_file(draft_of(&path)));
        }
        let key = generate()?;
        match create(dir, &key) {
            Ok(()) => return Ok(key),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(cannot_write(dir, &error)),
        }
        let draft = fs::symlink_metadata(draft_of(&path)).ok().map(|found| found.ino());
        match seen.filter(|seen| draft == Some(*seen)) {
            Some(seen) if remove_left(&draft_of(&path), seen) => continue,
            _ => std::thread::sleep(WAIT),
        }
        seen = draft;
        if let Some(key) = read(&path)? {
            return Ok(key);
        }
    }
    Err(cannot_write(dir, &ErrorKind::AlreadyExists.into()))
}

/// Removes a draft that was there a while ago, known by its number, and that nobody is writing, as
/// a power cut leaves one: who makes a key holds a lock on it. Whether it is gone.
fn remove_left(draft: &Path, seen: u64) -> bool {
    let file = open_file(draft);
    let is_held = match &file {
        Ok(file) => file.try_lock().is_err(),
        Err(error) => error.kind() == ErrorKind::PermissionDenied,
    };
    // Another may have removed it meanwhile, and be writing its own.
    let is_same = fs::symlink_metadata(draft).is_ok_and(|found| found.ino() == seen);
    !is_held && is_same && fs::remove_file(draft).is_ok()
}

/// Writes the secret key file if there is none; `AlreadyExists` if there is one, or another
/// process is making it: the draft serves as a lock.
fn create(dir: &Path, key: &ServerKey) -> io::Result<()> {
    let path = dir.join(SECRET_FILE);
    let mut options = OpenOptions::new();
    let draft = options.write(true).create_new(true).mode(SECRET_MODE).open(draft_of(&path))?;
    give_to_owner(&draft_of(&path));
    // Where there are no locks, others wait for longer than need be.
    let _ = draft.lock();
    if exists(&path) {
        drop(fs::remove_file(draft_of(&path)));
        return Err(ErrorKind::AlreadyExists.into());
    }
    publish(&path, draft, &key.secret_text())
}

/// Writes the public key file, replacing what is there; the secret one goes `first`, as soon as
/// there is room for both.
pub(super) fn write_public(
    dir: &Path,
    key: &ServerKey,
    first: &dyn Fn() -> io::Result<()>,
) -> io::Result<()> {
    replace_after(&dir.join(PUBLIC_FILE), PUBLIC_MODE, &key.public_text(), first)
}

/// People copy the public key from its file, so it must be that of the secret.
fn repair_public(dir: &Path, key: &ServerKey) {
    let (path, secret) = (dir.join(PUBLIC_FILE), dir.join(SECRET_FILE));
    let is_right = |found: &Option<String>| found.as_deref() == Some(&key.public_text());
    let found = read_public(&secret);
    if is_right(&found) {
        return;
    }
    if exists(&path) {
        warn_of_public(&secret, (&found.unwrap_or_default(), key), "rewritten");
    }
    // A server that starts beside this one may have been quicker.
    if let Err(error) = write_public(dir, key, &|| Ok(()))
        && !is_right(&read_public(&secret))
    {
        warn!("key-public-unwritable file={} cause='{error}'", path.display());
    }
}

/// Renames both files, as far as they are there, adding the date of the first.
pub(super) fn put_aside(secret: &Path, public: &Path) -> io::Result<()> {
    let old = fs::symlink_metadata(secret).or_else(|_| fs::symlink_metadata(public));
    let Ok(old) = old else { return Ok(()) };
    let date = Utc { unix_secs: u64::try_from(old.mtime()).unwrap_or(0) }.for_file();
    let (mut end, mut turn) = ([".", &date].concat(), 1_u32);
    while exists(&beside(secret, &end)) || exists(&beside(public, &end)) {
        turn += 1;
        end = format!(".{date}-{turn}");
    }
    // The public file first: a secret alone is a whole key, a public key alone is refused.
    for path in [public, secret].into_iter().filter(|path| exists(path)) {
        fs::rename(path, beside(path, &end))?;
    }
    Ok(())
}

/// Whether anything has this name, be it a link that leads nowhere.
pub(super) fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

fn unreadable(path: &Path, error: &io::Error) -> Exit {
    let bytes = fs::metadata(path).map(|metadata| metadata.len());
    let advice = match error.kind() {
        ErrorKind::NotFound => &dangling(path),
        ErrorKind::IsADirectory => {
            "It is a folder: a container makes one where the file to mount was missing. Remove it \
             and put the key file there."
        }
        ErrorKind::InvalidData if matches!(bytes, Ok(SECRET_BYTES)) => &format!(
            "It holds a key's 64 bytes, not their text: 'base64 -w0 {}' writes that.",
            path.display()
        ),
        ErrorKind::InvalidData if matches!(bytes, Ok(SEED_BYTES)) => {
            "It holds 32 bytes and no text: a public key or half of a secret one. Restore the key \
             file from a backup."
        }
        ErrorKind::InvalidData => "It is no plain text. Restore the key file from a backup.",
        ErrorKind::FileTooLarge | ErrorKind::InvalidInput => {
            "It is no key file. Restore that from a backup."
        }
        ErrorKind::PermissionDenied => DENIED,
        _ => "Name another directory with --data.",
    };
    Exit::unusable(format!(
        "The key file {} cannot be read: {error}. {advice} It was not changed.",
        path.display()
    ))
}

/// What is there has no file behind it.
fn dangling(path: &Path) -> String {
    let target = fs::read_link(path).unwrap_or_default();
    format!(
        "It is a link to {}, where nothing is. Put the key file there, or in the link's place.",
        target.display()
    )
}

pub(super) fn cannot_write(dir: &Path, error: &io::Error) -> Exit {
    let way_out = match error.kind() {
        ErrorKind::ReadOnlyFilesystem => READ_ONLY,
        ErrorKind::StorageFull => MAKE_ROOM,
        _ => "Name an existing directory with --data that the user hbb runs as may write to.",
    };
    Exit::unusable(format!("Cannot write key files to {}: {error}. {way_out}", dir.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_keys_fit_file_names_and_differ() {
        let (one, other) = (generate().unwrap(), generate().unwrap());
        assert_ne!(one, other);
        assert!(!one.public_text().contains(['/', ':']));
        assert_eq!(ServerKey::parse(&one.secret_text()), Ok(one));
    }
}
