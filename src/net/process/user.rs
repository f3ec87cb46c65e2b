//! From root to the user of `--user`, for good, before any file of that user is opened. Until the
//! ports are open one capability stays: to open those below 1024. Checks: tests/confined.rs.

use std::io::ErrorKind;
use std::path::Path;

use rustix::process::{Gid, Uid, getuid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_keep_capabilities,
    set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use crate::file::read_text;

const USERS: &str = "/etc/passwd";
const GROUPS: &str = "/etc/group";
/// Far more than the users of a small machine take.
const BYTES_MAX: u64 = 1024 * 1024;
/// What the kernel takes.
const GROUPS_MAX: usize = 65_536;

/// Makes this process one of the user `text`, a name or a number. Call it before a thread starts.
///
/// # Errors
/// What to change, in the operator's words.
pub(crate) fn become_user(text: &str) -> Result<(), String> {
    let (uid, gid, name) = find(text, &table(USERS)?)?;
    if getuid().as_raw() == uid {
        return Ok(());
    }
    if !getuid().is_root() {
        return Err(format!("--user {text}: only root can become another user"));
    }
    let mut groups = vec![Gid::from_raw(gid)];
    groups.extend(more_groups(&name, &table(GROUPS)?).map(Gid::from_raw).take(GROUPS_MAX - 1));
    change(Uid::from_raw(uid), &groups)
        .map_err(|cause| format!("--user {text}: cannot become this user: {cause}"))
}

fn change(uid: Uid, groups: &[Gid]) -> rustix::io::Result<()> {
    let gid = groups.first().copied();
    set_thread_groups(groups)?;
    set_thread_res_gid(gid, gid, gid)?;
    set_keep_capabilities(true)?;
    set_thread_res_uid(uid, uid, uid)?;
    hold(CapabilitySet::NET_BIND_SERVICE).or_else(|_| hold(CapabilitySet::empty()))
}

/// Gives up what root left us, for those who are not root. Who holds nothing asks for nothing: some
/// supervisors end a process for asking.
pub(super) fn give_up_capabilities() {
    let holds = capabilities(None)
        .is_ok_and(|sets| !(sets.effective | sets.permitted | sets.inheritable).is_empty());
    if holds && !getuid().is_root() {
        let _ = hold(CapabilitySet::empty());
    }
}

fn hold(held: CapabilitySet) -> rustix::io::Result<()> {
    let inheritable = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: held, permitted: held, inheritable })
}

/// A system without such a table has no names.
fn table(path: &str) -> Result<String, String> {
    match read_text(Path::new(path), BYTES_MAX) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(format!("--user: {path}: {error}"))
        }
        text => Ok(text.unwrap_or_default()),
    }
}

/// Number, group and name of a user; a number that has no name is its own group.
fn find(text: &str, users: &str) -> Result<(u32, u32, String), String> {
    let number = text.parse::<u32>().ok();
    let user = users.lines().find_map(|line| {
        let [name, _, uid, gid] = columns(line)?;
        let (uid, gid) = (uid.parse().ok()?, gid.parse().ok()?);
        (name == text || number == Some(uid)).then(|| (uid, gid, name.to_owned()))
    });
    // The largest number means nobody in particular to the kernel.
    let nameless = number.filter(|uid| *uid < u32::MAX).map(|uid| (uid, uid, String::new()));
    user.or(nameless).ok_or_else(|| format!("--user {text}: {USERS} has no such user"))
}

/// The groups that name the user as a member.
fn more_groups(name: &str, groups: &str) -> impl Iterator<Item = u32> {
    groups.lines().filter_map(move |line| {
        let [_, _, gid, members] = columns(line)?;
        let is_member = members.split(',').any(|member| member == name && !name.is_empty());
        gid.parse().ok().filter(|_| is_member)
    })
}

/// The first columns of a line, in either table.
fn columns(line: &str) -> Option<[&str; 4]> {
    let mut columns = line.split(':');
    Some([columns.next()?, columns.next()?, columns.next()?, columns.next()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF_HERE: &str = "root:x:0:0:root:/root:/bin/sh\nhbb:x:971:972::/var/lib/hbb:\nodd:x\n";

    #[test]
    fn a_name_or_a_number_is_found() {
        assert_eq!(find("hbb", OF_HERE), Ok((971, 972, "hbb".into())));
        assert_eq!(find("971", OF_HERE), Ok((971, 972, "hbb".into())));
        assert_eq!(find("5000", OF_HERE), Ok((5000, 5000, String::new())));
        for nobody in ["hb", "", "x", "-1", "4294967295", "4294967296"] {
            assert!(find(nobody, OF_HERE).is_err(), "{nobody}");
        }
    }

    #[test]
    fn groups_are_those_that_name_the_user() {
        let groups = "tls:x:10:hbb,www\nwww:x:11:\nbad\nlog:x:12:syslog,hbb\nhb:x:13:hb\n";
        assert_eq!(more_groups("hbb", groups).collect::<Vec<_>>(), [10, 12]);
        assert_eq!(more_groups("", groups).count(), 0);
    }
}
