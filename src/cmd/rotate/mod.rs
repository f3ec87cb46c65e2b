//! A new key beside the old one: for a while clients are served that have either, so that they can
//! be told the new one in turn. The order of writes leaves a whole key after a power cut.
//! Checks: C156, tests/rotation.rs.

use std::io::ErrorKind;
use std::path::Path;

use super::exit::{Exit, print};
use super::keygen::{
    self, KEY_FILE_BYTES_MAX, SECRET_FILE, SECRET_MODE, cannot_write, exists, generate, put_aside,
    read, write_public,
};
use super::{backup, store};
use crate::cli::KeygenFlags;
use crate::config::{Config, old_key_file};
use crate::file::{read_text, replace_for_owner};
use crate::net::clock::{is_set, unix_secs};
use crate::net::tasks::lasting;
use hbb_core::base::time::Utc;
use hbb_core::identity::KeyPolicy;
use hbb_core::identity::rotation::OldKey;
use log::info;

/// How long the old key is good, if nothing else is said, and at most.
const DAYS: u64 = 30;
const DAYS_MAX: u64 = 3_650;
const DAY_SECS: u64 = 24 * 3_600;

/// `hbb keygen`, whatever it is to do.
#[inline(never)]
pub(super) fn run(flags: &KeygenFlags) -> Result<(), Exit> {
    let dir = Path::new(flags.data.as_deref().unwrap_or("."));
    let _alone = if flags.print { None } else { store::alone_in(dir)? };
    if !flags.print {
        backup::finish(dir)?;
    }
    match (flags.rotate, flags.end_rotation) {
        _ if flags.print && (flags.rotate || flags.end_rotation) => {
            Err(Exit::flags("--print: not together with --rotate or --end-rotation"))
        }
        (true, false) => begin(dir, flags.days.as_deref()),
        (false, true) => end(dir),
        (true, true) => Err(Exit::flags("--end-rotation: not together with --rotate")),
        (false, false) if flags.days.is_some() => {
            Err(Exit::flags("--days: only together with --rotate"))
        }
        (false, false) => keygen::run(flags),
    }
}

/// `hbb keygen --rotate`.
fn begin(dir: &Path, days: Option<&str>) -> Result<(), Exit> {
    let secret = dir.join(SECRET_FILE);
    let place = dir.display();
    let days = match days {
        None => DAYS,
        Some(text) => text
            .parse()
            .ok()
            .filter(|days| (1..=DAYS_MAX).contains(days))
            .ok_or_else(|| Exit::must_be("--days", text, "a number from 1 to 3650"))?,
    };
    if !is_set(unix_secs()) {
        return Err(Exit::running(
            "The clock of this machine is not set, so nothing can end in some days. Set it first.",
        ));
    }
    let Some(key) = read(&secret)? else {
        return Err(Exit::unusable(format!(
            "There is no key in {place} to replace; 'hbb keygen' makes one."
        )));
    };
    if let Some(old) = in_force(&secret)?
        && old.key != key
    {
        return Err(Exit::unusable(format!(
            "The key is being replaced already: the one before is good until {} UTC. End that \
             first with 'hbb keygen --end-rotation'.",
            Utc { unix_secs: old.until_secs }
        )));
    }
    let (old, new) = (OldKey::new(key, unix_secs() + days * DAY_SECS), generate()?);
    let write = || {
        let old_file = old_key_file(&secret);
        put_aside(&old_file, &old_file)?;
        // The old one first: it is the only one until the new one has its name.
        replace_for_owner(&old_file, SECRET_MODE, &old.text())?;
        replace_for_owner(&secret, SECRET_MODE, &new.secret_text())
    };
    write_public(dir, &new, &write).map_err(|error| cannot_write(dir, &error))?;
    print(&format!(
        "Made a new key in {place}; the one before is good until {} UTC.\nRestart hbb now, and \
         hbbr if that runs by itself. A relay on another machine needs id_ed25519 and \
         id_ed25519.old too, as it knows one key otherwise. Then give clients the new public \
         key: 'hbb export' prints it, 'hbb ctl peers key=old' lists devices that still have the \
         old one.\nPublic Key:  {}\n",
        Utc { unix_secs: old.until_secs },
        new.public_text()
    ))
}

/// `hbb keygen --end-rotation`.
fn end(dir: &Path) -> Result<(), Exit> {
    let old_file = old_key_file(&dir.join(SECRET_FILE));
    if !exists(&old_file) {
        return Err(Exit::running(format!("No key is being replaced in {}.", dir.display())));
    }
    put_aside(&old_file, &old_file).map_err(|error| cannot_write(dir, &error))?;
    print(
        "The old key is good no more, once hbb has read its settings again ('hbb ctl reload', or a \
         restart). Its file was kept, with its date in the name.\n",
    )
}

/// The key before that in `secret`, if it is still good.
///
/// # Errors
/// What is in its file is no such key: nobody could tell whether it should be good.
fn in_force(secret: &Path) -> Result<Option<&'static OldKey>, Exit> {
    let path = old_key_file(secret);
    let unusable = |why: &str| {
        Exit::unusable(format!(
            "The file {} of the key before cannot be used: {why}. Restore it, or move it away if \
             every client has the new key.",
            path.display()
        ))
    };
    let text = match read_text(&path, KEY_FILE_BYTES_MAX) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable(&error.to_string())),
    };
    let old = OldKey::parse(&text).map_err(|why| unusable(&why.to_string()))?;
    let now = unix_secs();
    let is_over = is_set(now) && now >= old.until_secs;
    Ok((!is_over).then(|| &*lasting(old)))
}

/// The same for a server that starts with `keys`, which says so; none for a key that is not from
/// the file.
///
/// # Errors
/// As above.
pub(super) fn at_start(config: &Config, keys: &KeyPolicy) -> Result<Option<&'static OldKey>, Exit> {
    let secret = config.secret_file();
    let Some(key) = &keys.signing else { return Ok(None) };
    let Some(old) = in_force(&secret)? else { return Ok(None) };
    let of_file = keygen::read(&secret).ok().flatten();
    // The same one twice: the power was cut before the new one had its name.
    if old.key == *key || of_file.as_ref() != Some(key) {
        return Ok(None);
    }
    let date = Utc { unix_secs: old.until_secs }.in_one_word();
    info!("key-rotation old={} until={date}Z", old.shown);
    Ok(Some(old))
}
