//! An operator's rules: who may dial whom, when, through what and with which permissions. One rule
//! a line, the first that fits decides, and where none fits all is allowed. Pure: who asks, where
//! both are and what time it is are arguments. It must not know messages. C180-C184.

mod draft;
mod permissions;
mod when;
mod who;
mod zone;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

use crate::base::peer::PeerId;

pub use permissions::PERMISSIONS;
pub use when::Local;
use when::When;
use who::{Members, Memo};
use zone::Zone;

/// What is said to who may not, if the rule has no sentence of its own.
pub const DENIED: &str = "The rules of this server do not allow this connection";
/// What is said where a rule asks for the time and nobody knows it.
pub const CLOCK_NOT_SET: &str =
    "The ID server does not know the time yet, and its rules ask for it";
/// What is said where only the relay would do.
pub const DIRECT_ONLY: &str =
    "The rules of this server allow a direct connection only, and none opens";
/// What is said where no relay would be used.
pub const RELAY_ONLY: &str = "The rules of this server allow a connection through the relay only";

/// The rules of a file, at most [`crate::base::limits::RULES_MAX`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    rules: Vec<Rule>,
    groups: Vec<Members>,
    zone: Zone,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    line: u32,
    allows: bool,
    from: Members,
    to: Members,
    when: When,
    terms: Terms,
    say: Option<Box<str>>,
}

/// One who asks for another.
#[derive(Clone, Copy)]
pub struct Dial<'a> {
    /// Where who asks is seen, made canonical; None if that is not told.
    pub from: Option<IpAddr>,
    /// The user who is logged in there.
    pub user: Option<&'a str>,
    /// That user's group; empty for none.
    pub user_group: &'a str,
    /// Who is asked for.
    pub to: &'a PeerId,
    /// The group that an operator put that one in; empty for none.
    pub to_group: &'a str,
    /// Where that one was seen last.
    pub to_ip: Option<IpAddr>,
    /// When.
    pub at: At,
    /// Whether a device is present where who asks is seen: clients do not tell their own id.
    pub is_there: &'a dyn Fn(&PeerId) -> bool,
}

/// A moment, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// Unix time in seconds; 0 while the clock is not set.
    Unix(u64),
    /// A time of the week where the rules hold.
    Local(Local),
}

/// By which path a session may go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Only {
    /// Either.
    #[default]
    Any,
    /// No relay.
    Direct,
    /// No direct path.
    Relay,
}

/// On which terms a session is allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// By which path.
    pub only: Only,
    /// `ControlPermissions` of protocol §2.8: two bits each, 1 denies, 2 allows; 0 says nothing.
    pub permissions: u64,
}

/// What the rules say of one who asks for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision<'a> {
    /// The line that decides, from 1; None if none fits.
    pub line: Option<u32>,
    /// The terms, or the sentence for who asks.
    pub outcome: Result<Terms, &'a str>,
}

impl Rules {
    /// Reads the text of a file, in the form that board/manual.md explains.
    ///
    /// # Errors
    /// What is wrong, each with its line: at most 100 sentences. Then no rule counts.
    pub fn parse(text: &str) -> Result<Self, Vec<String>> {
        draft::parse(text)
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether one of them names a group of accounts, which a server alone knows, or also `users`.
    pub fn name_accounts(&self, users: bool) -> bool {
        let members = self.rules.iter().flat_map(|rule| [&rule.from, &rule.to]);
        members.chain(&self.groups).any(|members| members.name_accounts(users))
    }

    /// The first rule that fits. Allocates nothing.
    pub fn decide(&self, dial: &Dial<'_>) -> Decision<'_> {
        let (mut from, mut to) = (Memo::default(), Memo::default());
        let mut local = None;
        for rule in &self.rules {
            let is_to = |members: &Members| members.has_target(dial);
            let is_from = |members: &Members| members.has_asker(dial);
            if !to.fits(&rule.to, &self.groups, &is_to)
                || !from.fits(&rule.from, &self.groups, &is_from)
            {
                continue;
            }
            if rule.when.is_always() {
                return rule.decision();
            }
            match *local.get_or_insert_with(|| self.local(dial.at)) {
                None => return Decision { outcome: Err(CLOCK_NOT_SET), ..rule.decision() },
                Some(now) if rule.when.has(now) => return rule.decision(),
                Some(_) => {}
            }
        }
        Decision { line: None, outcome: Ok(Terms::default()) }
    }

    /// The sentence of a line, if it has one.
    pub fn said(&self, line: u32) -> Option<&str> {
        self.rules.iter().find(|rule| rule.line == line)?.say.as_deref()
    }

    /// The time of the week where the rules hold; None while the clock is not set.
    pub fn local(&self, at: At) -> Option<Local> {
        match at {
            At::Unix(0) => None,
            At::Unix(secs) => Some(self.zone.local(secs)),
            At::Local(local) => Some(local),
        }
    }
}

impl Rule {
    fn decision(&self) -> Decision<'_> {
        let said = || self.say.as_deref().unwrap_or(DENIED);
        let outcome = if self.allows { Ok(self.terms) } else { Err(said()) };
        Decision { line: Some(self.line), outcome }
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec;

    use super::*;

    fn id(text: &str) -> PeerId {
        PeerId::new(text).unwrap()
    }

    /// What `text` says of one at 192.0.2.1, where 234567890 is present, who asks for `to`.
    fn told(text: &str, to: &str, at: &str) -> (Option<u32>, Result<Terms, String>) {
        let rules = Rules::parse(text).unwrap();
        let at = Local::parse(at).map_or(At::Unix(0), At::Local);
        let (to, there) = (id(to), id("234567890"));
        let is_there = |id: &PeerId| *id == there;
        let (from, to_ip) = (Some([192, 0, 2, 1].into()), Some([10, 1, 2, 3].into()));
        let dial = Dial {
            from,
            user: Some("anna"),
            user_group: "sales",
            to: &to,
            to_group: "tills",
            to_ip,
            at,
            is_there: &is_there,
        };
        let decision = rules.decide(&dial);
        (decision.line, decision.outcome.map_err(String::from))
    }

    fn line(text: &str, to: &str) -> Option<u32> {
        told(text, to, "Mon 12:00").0
    }

    #[test]
    fn the_first_that_fits_decides_and_without_one_all_is_allowed() {
        let text = "# mine\n\nallow to=123456789\ndeny to=12345* say=\"Not these = or #\"\nallow\n";
        assert_eq!(told(text, "123456789", ""), (Some(3), Ok(Terms::default())));
        assert_eq!(told(text, "123450000", ""), (Some(4), Err("Not these = or #".into())));
        assert_eq!(told(text, "999999999", "").0, Some(5));
        assert_eq!(told("deny to=123456789", "999999999", ""), (None, Ok(Terms::default())));
        assert_eq!(told("deny", "999999999", ""), (Some(1), Err(DENIED.into())));
        assert_eq!(told("", "999999999", ""), (None, Ok(Terms::default())));
    }

    #[test]
    fn who_is_meant_by_id_network_user_group_and_tag() {
        for fits in [
            "from=234567890",
            "from=192.0.2.0/24",
            "from=user:anna",
            "from=@sales",
            "from=group:both",
            "to=@tills",
            "to=@other,@tills",
            "to=group:both",
            "from=999999999,192.0.2.1",
            "from=group:late",
            "from=tag:mine",
            "to=123456789",
            "to=1234*",
            "to=10.0.0.0/8",
            "to=group:late",
            "to=tag:begin",
            "from=* to=*",
        ] {
            let text = format!(
                "deny {fits}\ngroup late = 234567890 10.1.0.0/16\ntag mine 234567890\n\
                 tag begin = 1234*\ngroup both = @sales @tills"
            );
            assert_eq!(line(&text, "123456789"), Some(1), "{fits}");
        }
        for other in [
            "from=123456789",
            "from=10.0.0.0/8",
            "from=user:otto",
            "from=@tills",
            "to=@sales",
            "from=group:users",
            "to=234567890",
            "to=12345678",
            "to=192.0.2.0/24",
            "to=group:users",
            "from=234567890 to=999999999",
        ] {
            let text = format!("group users = user:otto\ndeny {other}");
            assert_eq!(line(&text, "123456789"), None, "{other}");
        }
    }

    #[test]
    fn where_nobody_knows_the_time_a_rule_that_asks_for_it_refuses() {
        let text = "deny to=999999999\nallow to=123456789 hours=08:00-18:00\nallow";
        assert_eq!(told(text, "123456789", ""), (Some(2), Err(CLOCK_NOT_SET.into())));
        assert_eq!(told(text, "123456789", "Mon 08:00").0, Some(2));
        assert_eq!(told(text, "123456789", "Mon 18:00").0, Some(3));
        assert_eq!(told(text, "111111111", "").0, Some(3), "it asks for no time here");
    }

    #[test]
    fn terms_are_a_path_and_pairs_of_bits() {
        let terms = |text: &str| told(text, "123456789", "").1.unwrap();
        let told = terms("allow only=relay keyboard=no files=yes privacy=no");
        assert_eq!(told.only, Only::Relay);
        assert_eq!(told.permissions, 1 | 2 << 6 | 1 << 24);
        let told = terms("allow only=direct view-only clipboard=yes");
        assert_eq!(told.only, Only::Direct);
        // All but audio (4) and recording (9) are denied.
        let denied = (0..13).filter(|index| ![2, 4, 9].contains(index));
        assert_eq!(told.permissions, denied.fold(2 << 4, |all, index| all | 1 << (2 * index)));
    }

    #[test]
    fn each_wrong_line_is_named_with_what_is_allowed() {
        for (text, said) in [
            ("permit", "line 1 'permit': a line begins with allow, deny"),
            ("\n\nallow form=1", "line 3 'form=1': must be from="),
            ("allow from=1234*", "line 1 '1234*': of who asks only whole ids"),
            ("tag a 1234*\nallow from=tag:a", "line 2 'tag:a': has how ids begin"),
            ("allow from=group:x", "line 1 'group:x': no line says who"),
            ("group x = tag:y", "line 1 'tag:y': a group or tag names no other"),
            ("tag x = 10.0.0.0/8", "line 1 '10.0.0.0/8': a tag holds ids alone"),
            ("group x =", "line 1 'x': must be NAME = MEMBER"),
            ("group", "line 1 'group': must be NAME = MEMBER"),
            ("group x = *", "line 1 '*': must be an id"),
            ("group x = 1.2.3.4\ngroup x = 1.2.3.5", "line 2 'x': there is a line for that"),
            ("allow to=user:x", "line 1 'user:x': a user can only be who asks"),
            ("allow from=user:", "line 1 'user:': must be an id"),
            ("allow from=@", "line 1 '@': must be an id"),
            ("tag x = @sales", "line 1 '@sales': a tag holds ids alone"),
            ("allow to=123", "line 1 '123': must be an id"),
            ("allow to=123456789,", "line 1 '': must be an id"),
            ("allow days=Mo", "line 1 'days=Mo': must be days"),
            ("allow hours=8-9", "line 1 'hours=8-9': must be hours"),
            ("allow only=udp", "line 1 'only=udp': must be from="),
            ("allow mouse=no", "line 1 'mouse=no': must be from="),
            ("allow keyboard=maybe", "line 1 'keyboard=maybe': must be from="),
            ("allow keyboard=no keyboard=yes", "line 1 'keyboard': stands there twice"),
            ("allow from=1.2.3.4 from=1.2.3.5", "line 1 'from': stands there twice"),
            ("deny only=relay", "line 1 what is denied has no path"),
            ("deny view-only", "line 1 what is denied has no path"),
            ("deny say=never", "line 1 'say=never': must be a sentence"),
            ("deny say=\"\"", "line 1 'say=\"\"': must be a sentence"),
            ("deny say=\"open", "line 1 'say=\"open': must be a sentence"),
            ("deny say=\"a\" # why", "line 1 '#': must be from="),
            ("zone CET", "line 1 'CET': must be UTC"),
            ("zone UTC\nzone UTC", "line 2 'UTC': there is a line for that"),
            ("zone", "line 1 'zone': must be UTC"),
        ] {
            let faults = Rules::parse(text).unwrap_err();
            assert!(faults.len() == 1 && faults[0].starts_with(said), "{text}: {faults:?}");
        }
        let faults = Rules::parse("allow x\nallow\ngroup\ndeny y").unwrap_err();
        let lines = ["line 1 'x'", "line 3 'group'", "line 4 'y'"];
        assert!(faults.iter().zip(lines).all(|(said, line)| said.starts_with(line)), "{faults:?}");
        assert_eq!(faults.len(), 3);
    }

    #[test]
    fn every_bound_holds_at_its_limit() {
        use crate::base::limits::{
            RULE_GROUPS_MAX, RULE_MEMBERS_MAX, RULES_BYTES_MAX, RULES_MAX, SAY_BYTES_MAX,
        };
        let many = |line: &str, count: usize| vec![line; count].join("\n");
        assert_eq!(Rules::parse(&many("deny", RULES_MAX)).unwrap().len(), RULES_MAX);
        assert_eq!(Rules::parse(&many("deny", RULES_MAX + 1)).unwrap_err().len(), 1);
        let groups = |count: usize| -> String {
            (0..count).map(|n| format!("group g{n} = 1.2.3.4\n")).collect()
        };
        let last = format!("{}deny from=group:g63", groups(RULE_GROUPS_MAX));
        assert!(Rules::parse(&last).is_ok());
        assert!(Rules::parse(&groups(RULE_GROUPS_MAX + 1)).is_err());
        let members = |count: usize| {
            let words: Vec<_> = (0..count).map(|n| format!("1.{}.{}.1", n >> 8, n & 255)).collect();
            format!("group all = {}", words.join(" "))
        };
        assert!(Rules::parse(&members(RULE_MEMBERS_MAX)).is_ok());
        assert!(Rules::parse(&members(RULE_MEMBERS_MAX + 1)).is_err());
        let say = |len: usize| format!("deny say=\"{}\"", "x".repeat(len));
        assert!(Rules::parse(&say(SAY_BYTES_MAX)).is_ok());
        assert!(Rules::parse(&say(SAY_BYTES_MAX + 1)).is_err());
        assert!(Rules::parse(&"#".repeat(RULES_BYTES_MAX)).is_ok());
        assert!(Rules::parse(&"#".repeat(RULES_BYTES_MAX + 1)).is_err());
        assert_eq!(Rules::parse(&many("x", 1_000)).unwrap_err().len(), 100);
    }
}
