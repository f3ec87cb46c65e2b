//! Rules against a naive reading of them: each rule is asked in full, with nothing remembered,
//! sorted or shared, and time is counted minute by minute.

use std::net::{IpAddr, Ipv4Addr};

use hbb_core::base::peer::PeerId;
use hbb_core::rules::{At, CLOCK_NOT_SET, DENIED, Dial, Local, Only, Rules, Terms};
use proptest::prelude::*;
use proptest::{collection, option};

use crate::check;

const CASES: u32 = 3_000;
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const GROUPS: [&str; 3] = ["group:a", "group:b", "tag:t"];

/// A member as it is written; few of each, so that many fit.
#[derive(Clone, Debug, PartialEq)]
enum Who {
    Everybody,
    Id(u8),
    Begins,
    Network(u8),
    User(u8),
    /// One of accounts.
    Named(u8),
    Group(usize),
}

#[derive(Clone, Debug)]
struct Line {
    allows: bool,
    from: Option<Vec<Who>>,
    to: Option<Vec<Who>>,
    days: Option<(usize, usize)>,
    hours: Option<(u16, u16)>,
    only: Option<bool>,
    say: bool,
}

/// Groups a and b, tag t, and the rules.
type File = (Vec<Who>, Vec<Who>, Vec<Who>, Vec<Line>);

/// Who asks (address, user, which ids are there), who is asked for, when.
#[derive(Clone, Debug)]
struct Asked {
    ip: Option<u8>,
    /// A user is of the group of its number, and so is a device that is asked for.
    user: Option<u8>,
    there: Vec<u8>,
    to: u8,
    to_ip: Option<u8>,
    minute: Option<u16>,
}

fn id(number: u8) -> PeerId {
    PeerId::new(&format!("10000000{number}")).unwrap()
}

fn ip(number: u8) -> IpAddr {
    Ipv4Addr::new(10, number >> 1, number & 1, 1).into()
}

impl Who {
    fn text(&self) -> String {
        match self {
            Self::Everybody => "*".into(),
            Self::Id(number) => id(*number).as_str().into(),
            Self::Begins => "10000000*".into(),
            Self::Network(number) => format!("10.{number}.0.0/16"),
            Self::User(number) => format!("user:u{number}"),
            Self::Named(number) => format!("@g{number}"),
            Self::Group(number) => GROUPS[*number].into(),
        }
    }

    fn asks(&self, file: &File, asked: &Asked) -> bool {
        match self {
            Self::Everybody => true,
            Self::Id(number) => asked.there.contains(number),
            Self::Begins => panic!("nobody writes that"),
            Self::Network(number) => asked.ip.is_some_and(|ip| ip >> 1 == *number),
            Self::User(number) | Self::Named(number) => asked.user == Some(*number),
            Self::Group(number) => group(file, *number).iter().any(|who| who.asks(file, asked)),
        }
    }

    fn is_asked_for(&self, file: &File, asked: &Asked) -> bool {
        match self {
            Self::Everybody | Self::Begins => true,
            Self::Id(number) | Self::Named(number) => asked.to == *number,
            Self::Network(number) => asked.to_ip.is_some_and(|ip| ip >> 1 == *number),
            Self::User(_) => false,
            Self::Group(number) => {
                group(file, *number).iter().any(|who| who.is_asked_for(file, asked))
            }
        }
    }
}

fn group(file: &File, number: usize) -> &[Who] {
    [&file.0, &file.1, &file.2][number]
}

impl Line {
    fn text(&self) -> String {
        let mut text = String::from(if self.allows { "allow" } else { "deny" });
        for (name, list) in [("from", &self.from), ("to", &self.to)] {
            if let Some(list) = list {
                let words: Vec<_> = list.iter().map(Who::text).collect();
                text += &format!(" {name}={}", words.join(","));
            }
        }
        if let Some((first, last)) = self.days {
            text += &format!(" days={}-{}", DAYS[first], DAYS[last]);
        }
        if let Some((from, to)) = self.hours {
            text +=
                &format!(" hours={:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60);
        }
        match self.only.filter(|_| self.allows) {
            Some(true) => text += " only=direct",
            Some(false) => text += " only=relay",
            None => {}
        }
        if self.say {
            text += " say=\"No, not now.\"";
        }
        text
    }

    /// Every minute of the week at which it holds, one after the other from the start of each day.
    fn holds_at(&self, minute: u16) -> bool {
        let (first, last) = self.days.unwrap_or((0, 6));
        let mut day = first;
        loop {
            let begin = u16::try_from(day).unwrap() * 1_440;
            let (from, to) = self.hours.unwrap_or((0, 1_440));
            let until = if from < to { to } else { to + 1_440 };
            if (from..until).any(|at| (begin + at) % (7 * 1_440) == minute) {
                return true;
            }
            if day == last {
                return false;
            }
            day = (day + 1) % 7;
        }
    }

    fn fits(&self, file: &File, asked: &Asked) -> bool {
        let any = |list: &Option<Vec<Who>>, is: &dyn Fn(&Who) -> bool| {
            list.as_ref().is_none_or(|list| list.iter().any(is))
        };
        any(&self.from, &|who| who.asks(file, asked))
            && any(&self.to, &|who| who.is_asked_for(file, asked))
    }
}

/// Which line decides, and how.
fn naive(file: &File, asked: &Asked) -> (Option<u32>, Result<Terms, &'static str>) {
    for (line, number) in file.3.iter().zip(4_u32..) {
        if !line.fits(file, asked) {
            continue;
        }
        let always = line.hours.is_none()
            && line.days.is_none_or(|(first, last)| (last + 8 - first) % 7 == 0);
        match asked.minute {
            None if !always => return (Some(number), Err(CLOCK_NOT_SET)),
            Some(minute) if !always && !line.holds_at(minute) => continue,
            _ => {}
        }
        let only = match line.only {
            Some(true) => Only::Direct,
            Some(false) => Only::Relay,
            None => Only::Any,
        };
        let said = if line.say { "No, not now." } else { DENIED };
        let outcome = if line.allows { Ok(Terms { only, permissions: 0 }) } else { Err(said) };
        return (Some(number), outcome);
    }
    (None, Ok(Terms::default()))
}

fn in_group() -> impl Strategy<Value = Vec<Who>> {
    let who = prop_oneof![
        (0..4_u8).prop_map(Who::Id),
        (0..3_u8).prop_map(Who::Network),
        (0..2_u8).prop_map(Who::User),
        (0..2_u8).prop_map(Who::Named),
    ];
    collection::vec(who, 1..4)
}

fn in_rule(to: bool) -> impl Strategy<Value = Option<Vec<Who>>> {
    let own = if to { Who::Begins } else { Who::User(0) };
    let who = prop_oneof![
        4 => (0..4_u8).prop_map(Who::Id),
        2 => (0..3_u8).prop_map(Who::Network),
        4 => (0..3_usize).prop_map(Who::Group),
        1 => Just(own),
        1 => (0..2_u8).prop_map(Who::Named),
        1 => Just(Who::Everybody),
    ];
    option::weighted(0.7, collection::vec(who, 1..4))
}

fn line() -> impl Strategy<Value = Line> {
    let hours = (0..1_440_u16, 0..=1_440_u16).prop_filter("a span", |(from, to)| from != to);
    let days = option::weighted(0.3, (0..7_usize, 0..7_usize));
    let who = (in_rule(false), in_rule(true));
    let rest = (days, option::weighted(0.3, hours), option::weighted(0.3, any::<bool>()));
    (any::<bool>(), who, rest, any::<bool>()).prop_map(|(allows, who, rest, say)| Line {
        allows,
        from: who.0,
        to: who.1,
        days: rest.0,
        hours: rest.1,
        only: rest.2,
        say,
    })
}

fn file() -> impl Strategy<Value = File> {
    let tag = collection::vec((0..4_u8).prop_map(Who::Id), 1..3);
    (in_group(), in_group(), tag, collection::vec(line(), 0..8))
}

fn asked() -> impl Strategy<Value = Asked> {
    let from = (option::of(0..6_u8), option::of(0..2_u8), collection::vec(0..4_u8, 0..3));
    let to = (0..4_u8, option::of(0..6_u8), option::weighted(0.8, 0..7 * 1_440_u16));
    (from, to).prop_map(|((ip, user, there), (to, to_ip, minute))| Asked {
        ip,
        user,
        there,
        to,
        to_ip,
        minute,
    })
}

fn text(file: &File) -> String {
    let words = |list: &[Who]| list.iter().map(Who::text).collect::<Vec<_>>().join(" ");
    let mut text = format!("group a = {}\ngroup b {}\n", words(&file.0), words(&file.1));
    text += &format!("tag t = {}\n", words(&file.2));
    file.3.iter().for_each(|line| text += &(line.text() + "\n"));
    text
}

#[test]
fn c184_a_naive_reading_of_the_rules_agrees() {
    check(CASES, &(file(), asked()), |(file, asked)| {
        let text = text(&file);
        let rules = Rules::parse(&text).unwrap_or_else(|faults| panic!("{text}: {faults:?}"));
        let at = asked.minute.map_or(At::Unix(0), |minute| {
            let (day, minute) = (DAYS[usize::from(minute / 1_440)], minute % 1_440);
            let time = format!("{day} {:02}:{:02}", minute / 60, minute % 60);
            At::Local(Local::parse(&time).unwrap())
        });
        let there: Vec<_> = asked.there.iter().map(|number| id(*number)).collect();
        let user = asked.user.map(|number| format!("u{number}"));
        let decision = rules.decide(&Dial {
            from: asked.ip.map(ip),
            user: user.as_deref(),
            user_group: &asked.user.map_or_else(String::new, |number| format!("g{number}")),
            to: &id(asked.to),
            to_group: &format!("g{}", asked.to),
            to_ip: asked.to_ip.map(ip),
            at,
            is_there: &|id| there.contains(id),
        });
        assert_eq!((decision.line, decision.outcome), naive(&file, &asked), "{text}{asked:?}");
    });
}
