//! What the tab of accessible devices asks (protocol §9.4): users, devices and their groups, a page
//! at a time. An administrator sees all; others see the users of their group, the devices that
//! those are logged in on, and those that an operator put into the group of that name. C193, C217.

use alloc::string::String;
use alloc::vec::Vec;

use super::{Device, DeviceInfo, Devices, Groups};
use crate::accounts::access::login::user_object;
use crate::accounts::access::tokens::Tokens;
use crate::accounts::access::users::{User, Users};
use crate::accounts::call::{Answer, Call, Who};
use crate::base::json::Writer;
use crate::base::limits::BOOK_PAGE_MAX;
use crate::base::peer::PeerId;

/// Who may see what.
#[derive(Clone, Copy)]
pub(in crate::accounts) struct Sight<'a> {
    pub(in crate::accounts) who: Who<'a>,
    pub(in crate::accounts) users: &'a Users,
    pub(in crate::accounts) tokens: &'a Tokens,
}

impl Sight<'_> {
    fn sees_user(&self, name: &str, user: &User) -> bool {
        let Who { name: own, group, is_admin } = self.who;
        is_admin || name == own || (!group.is_empty() && user.group == group)
    }

    /// The user who is logged in on a device.
    fn owner<'d>(&self, id: &PeerId, info: &'d DeviceInfo) -> Option<(&'d str, &User)> {
        let user = self.users.get(&info.login)?;
        self.tokens.has(&info.login, id.as_str()).then_some((&*info.login, user))
    }

    /// A device's own word makes nobody see it: a stranger's could call itself anything.
    fn sees_device(&self, id: &PeerId, info: &DeviceInfo, groups: &Groups) -> bool {
        let own = self.who.group;
        self.who.is_admin
            || (!own.is_empty() && groups.get(id) == own)
            || self.owner(id, info).is_some_and(|(name, user)| self.sees_user(name, user))
    }
}

impl Devices {
    /// The answer to a call of the tab; None if it is another one.
    pub(in crate::accounts) fn list(
        &self,
        path: &str,
        call: &Call<'_>,
        sight: Sight<'_>,
    ) -> Option<Answer> {
        let (groups, blank) = (&self.groups, Device::default());
        // An operator may name one that never called.
        let silent = groups.iter().map(|(id, _)| (id, &blank));
        let silent = silent.filter(|(id, _)| self.table.get(id).is_none());
        let all = self.table.iter().chain(silent);
        let seen: Vec<_> = all.filter(|(id, it)| sight.sees_device(id, &it.info, groups)).collect();
        let group = |id: &PeerId, device: &'_ Device| match groups.get(id) {
            "" => String::from(&*device.info.group),
            group => group.into(),
        };
        let text = match path {
            "users" => {
                let users = sight.users.iter();
                let users = users.filter(|(name, user)| sight.sees_user(name, user));
                paged(call, users, &|(name, user), out| out.raw(&user_object(name, user)))
            }
            "peers" => paged(call, seen.into_iter(), &|(id, device), out| {
                show((id, device, &group(id, device)), sight, out);
            }),
            "device-group/accessible" => {
                let mut groups: Vec<_> = seen.iter().map(|(id, it)| group(id, it)).collect();
                groups.sort_unstable();
                groups.dedup();
                let groups = groups.into_iter().filter(|group| !group.is_empty());
                paged(call, groups, &|group, out| {
                    out.open('{');
                    out.member("name", &group);
                    out.close('}');
                })
            }
            _ => return None,
        };
        Some(Answer::json(text.into_bytes()))
    }
}

fn show((id, device, group): (&PeerId, &Device, &str), sight: Sight<'_>, out: &mut Writer) {
    let DeviceInfo { name, system, user, .. } = &device.info;
    let owner = sight.owner(id, &device.info);
    out.open('{');
    out.member("id", id.as_str());
    out.name("info");
    out.open('{');
    out.member("username", user);
    out.member("os", system);
    out.member("device_name", name);
    out.close('}');
    out.name("status");
    out.number(1);
    out.member("user", owner.map_or("", |(name, _)| name));
    out.member("user_name", owner.map_or("", |(_, user)| user.display.as_str()));
    out.member("device_group_name", group);
    out.member("note", "");
    out.close('}');
}

/// The page of a list that was asked for, and how long the list is.
fn paged<T>(
    call: &Call<'_>,
    all: impl Iterator<Item = T>,
    show: &dyn Fn(T, &mut Writer),
) -> String {
    let asked = |name| call.param(name).and_then(|text| text.parse::<usize>().ok());
    let size = asked("pageSize").unwrap_or(BOOK_PAGE_MAX).clamp(1, BOOK_PAGE_MAX);
    let from = asked("current").unwrap_or(1).saturating_sub(1).saturating_mul(size);
    let (mut out, mut total) = (Writer::default(), 0);
    out.open('{');
    out.name("data");
    out.open('[');
    for one in all {
        if total >= from && total - from < size {
            show(one, &mut out);
        }
        total += 1;
    }
    out.close(']');
    out.name("total");
    out.number(i64::try_from(total).unwrap_or(i64::MAX));
    out.close('}');
    out.into_text()
}
