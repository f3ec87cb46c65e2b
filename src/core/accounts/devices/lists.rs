//! What the tab of accessible devices asks (protocol §9.4): users, devices and their groups, a page
//! at a time. An administrator sees all; others see the users of their group, the devices that
//! those are logged in on, and those that an operator put into the group of that name. C193, C217.

use alloc::string::String;
use alloc::vec::Vec;

use super::{Device, DeviceInfo, Devices, Groups};
use crate::accounts::access::login::user_object;
use crate::accounts::access::tokens::Tokens;
use crate::accounts::access::users::{User, Users, field};
use crate::accounts::call::{Answer, Call, Page, Who};
use crate::base::json::Writer;
use crate::base::peer::PeerId;

/// Who may see what.
#[derive(Clone, Copy)]
pub(in crate::accounts) struct Sight<'a> {
    pub(in crate::accounts) who: Who<'a>,
    pub(in crate::accounts) users: &'a Users,
    pub(in crate::accounts) tokens: &'a Tokens,
}

impl Sight<'_> {
    /// Who is disabled is shown to nobody: clients ask for those who are not.
    fn sees_user(&self, name: &str, user: User<'_>) -> bool {
        let Who { name: own, group, is_admin } = self.who;
        let is_theirs = is_admin || name == own || (!group.is_empty() && user.group() == group);
        is_theirs && !user.is_disabled()
    }

    /// The user who is logged in on a device.
    fn owner<'d>(&self, id: &str, info: &'d DeviceInfo) -> Option<(&'d str, User<'_>)> {
        let user = self.users.get(&info.login)?;
        self.tokens.has(&info.login, id).then_some((&*info.login, user))
    }

    /// A device's own word makes nobody see it: a stranger's could call itself anything.
    fn sees_device(&self, id: &str, info: &DeviceInfo, groups: &Groups) -> bool {
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
        let (groups, blank, mut ids) = (&self.groups, Device::default(), Vec::new());
        self.table.iter().for_each(|(id, _)| ids.push(id.clone()));
        // An operator may name one that never called.
        groups.iter().for_each(|(id, _)| ids.extend(PeerId::new(id)));
        // Whoever calls is the newest, while a client asks for page after page.
        ids.sort_unstable();
        ids.dedup();
        let all = ids.iter().map(|id| (id.as_str(), self.table.get(id).unwrap_or(&blank)));
        let seen = all.filter(|(id, it)| sight.sees_device(id, &it.info, groups));
        let group = |id: &str, device: &Device| match groups.get(id) {
            "" => String::from(&*device.info.group),
            group => group.into(),
        };
        let mut page = Page::begin(call);
        match path {
            "users" => {
                for (name, user) in sight.users.iter() {
                    if sight.sees_user(name, user)
                        && let Some(out) = page.next()
                    {
                        out.raw(&user_object(name, user));
                    }
                }
            }
            "peers" | "device-group/accessible" => {
                let mut groups = Vec::new();
                for (id, device) in seen {
                    if path != "peers" {
                        groups.push(group(id, device));
                    } else if let Some(out) = page.next() {
                        show((id, device, &group(id, device)), sight, out);
                    }
                }
                groups.sort_unstable();
                groups.dedup();
                for group in groups.into_iter().filter(|group| !group.is_empty()) {
                    if let Some(out) = page.next() {
                        out.open('{');
                        out.member("name", &group);
                        out.close('}');
                    }
                }
            }
            _ => return None,
        }
        Some(Answer::json(page.end().into_bytes()))
    }
}

fn show((id, device, group): (&str, &Device, &str), sight: Sight<'_>, out: &mut Writer) {
    let DeviceInfo { name, system, user, .. } = &device.info;
    let owner = sight.owner(id, &device.info);
    out.open('{');
    out.member("id", id);
    out.name("info");
    out.open('{');
    out.members("username os device_name", &[user, system, name]);
    out.close('}');
    out.name("status");
    out.number(1);
    let (login, shown) = owner.map_or(("", ""), |(name, user)| (name, user.0.text(field::DISPLAY)));
    out.members("user user_name device_group_name note", &[login, shown, group, ""]);
    out.close('}');
}
