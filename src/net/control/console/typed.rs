//! What a line of a console does: the words of the ID server go to its machine, those of the relay
//! change the settings until the next reload, or tell them. On the control thread. C76, C162.

use hbb_core::base::address::canonical;
use hbb_core::rendezvous::command_names;

use crate::net::control::answer::Controller;
use crate::net::control::orders::{ConsoleOf, Typed};
use crate::net::control::settings::SettingsOwner;
use crate::net::message::{Answer, RelayQuestion, RendezvousQuestion, SessionRow};
use crate::settings::RelayList;

/// What `h` prints on the relay's port.
const RELAY_HELP: &str = "\
blacklist-add(ba) <ip>|<ip>
blacklist-remove(br) <ip>|<ip> or all
blacklist(b) [<ip>]
blocklist-add(Ba) <ip>|<ip>
blocklist-remove(Br) <ip>|<ip> or all
blocklist(B) [<ip>]
downgrade-threshold(dt) [<part>]
downgrade-start-check(t) [<seconds>]
limit-speed(ls) [<Mb/s>]
total-bandwidth(tb) [<Mb/s>]
single-bandwidth(sb) [<Mb/s>]
usage(u)
";
/// Carries out a line; what to say to it, nothing to a setter or to what is not understood.
pub(in crate::net::control) fn carry_out(typed: &Typed, control: &mut Controller) -> String {
    let said = match typed.of {
        ConsoleOf::Rendezvous => rendezvous(&typed.line, control),
        ConsoleOf::Relay => relay(&typed.line, control),
        #[cfg(feature = "web")]
        ConsoleOf::Page => None,
    };
    said.unwrap_or_default()
}

fn rendezvous(line: &str, control: &Controller) -> Option<String> {
    match control.owners.ask_rendezvous(RendezvousQuestion::Typed(line.into())).ok()? {
        Answer::Typed(said) => Some(said),
        _ => None,
    }
}

fn relay(line: &str, control: &mut Controller) -> Option<String> {
    let mut words = line.split_whitespace();
    let ([name, command], argument) = (command_names(RELAY_HELP, words.next()?), words.next());
    let settings = &mut control.settings;
    let (black, block) = (RelayList::Black, RelayList::Block);
    match (command, argument) {
        ("h", _) => Some(RELAY_HELP.into()),
        ("dt", part) => limit(settings, (name, "\n"), part),
        ("t", secs) => limit(settings, (name, "s\n"), secs),
        ("ls" | "tb" | "sb", rate) => limit(settings, (name, "Mb/s\n"), rate),
        ("u", _) => usage(control),
        ("b", ip) => listed(settings, black, ip),
        ("B", ip) => listed(settings, block, ip),
        ("ba", Some(text)) => change(settings, (black, true), text),
        ("br", Some(text)) => change(settings, (black, false), text),
        ("Ba", Some(text)) => change(settings, (block, true), text),
        ("Br", Some(text)) => change(settings, (block, false), text),
        _ => None,
    }
}

/// Tells a limit of this name, which is ours too, or sets it.
fn limit(
    settings: &mut SettingsOwner,
    (name, unit): (&str, &str),
    value: Option<&str>,
) -> Option<String> {
    if let Some(value) = value {
        drop(settings.set_limit(name, value));
        return None;
    }
    let limits = settings.settings.limit_texts();
    limits.into_iter().find(|(known, _)| *known == name).map(|(_, value)| value + unit)
}

/// Puts addresses into a list or takes them out, of which the console says nothing.
fn change(
    settings: &mut SettingsOwner,
    (list, is_in): (RelayList, bool),
    text: &str,
) -> Option<String> {
    settings.change_list(list, text, is_in);
    None
}

/// Who is in a list, or whether somebody is.
fn listed(settings: &SettingsOwner, list: RelayList, ip: Option<&str>) -> Option<String> {
    let networks = settings.settings.listed(list);
    Some(match ip {
        None => {
            let mut text = String::new();
            networks.iter().for_each(|network| text += &format!("{network}\n"));
            text
        }
        Some(ip) => format!("{}\n", networks.contains(canonical(ip.parse().ok()?))),
    })
}

fn usage(control: &Controller) -> Option<String> {
    let Ok(Answer::Sessions(mut rows)) = control.owners.ask_relay(RelayQuestion::Sessions) else {
        return None;
    };
    let mut text = String::new();
    // The one with most bytes first: to sort them would be code for this list alone.
    while let Some((at, row)) = rows.iter().enumerate().max_by_key(|(_, row)| row.bytes) {
        text.push_str(&session(row));
        rows.swap_remove(at);
    }
    Some(text)
}

/// A session as upstream shows it, by the leg that came second: MB of 1024 times 1024 bytes in
/// hundredths, and bits a millisecond: the most, on average, now (protocol §6.2).
fn session(row: &SessionRow) -> String {
    let [_, from] = row.ends;
    let hundredths = row.bytes.saturating_mul(100) / (1024 * 1024);
    let bits = |rate: u64| rate.saturating_mul(8) / 1000;
    let (most, average, now) = (bits(row.peak), bits(row.average), bits(row.rate));
    let (whole, part) = (hundredths / 100, hundredths % 100);
    format!("{from}: {}s {whole}.{part:02}MB {most}kb/s {average}kb/s {now}kb/s\n", row.secs)
}
