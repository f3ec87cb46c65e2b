//! `hbb ctl log`: who asked for whom, as columns, JSON, lines of JSON, or CSV as RFC 4180 has it.
//! Names of members are a documented schema: they may be added to, not changed. C190.

use hbb_core::base::address::Network;
use hbb_core::base::limits::PEERS_PER_PAGE;
use hbb_core::base::peer::PeerId;
use hbb_core::base::time::{Time, Utc};
use hbb_core::journal::{Entry, Wanted};

use crate::net::clock::Clock;
use crate::net::control::format::{Form, Output, Value};
use crate::net::control::owners::{Owners, odd};
use crate::net::control::reply::OperatorReply;
use crate::net::journal::json_line;
use crate::net::message::{Answer, RelayQuestion, RendezvousQuestion};

const COLUMNS: &[(&str, usize)] = &[
    ("number", 7),
    ("at", 21),
    ("last", 21),
    ("from", 24),
    ("to", 17),
    ("target_at", 18),
    ("asks", 5),
    ("outcome", 11),
    ("reason", 14),
    ("secs", 7),
    ("bytes", 13),
    ("end", 11),
    ("by", 17),
    ("by_name", 16),
    ("use", 9),
    ("files", 6),
    ("alarm", 6),
    ("user", 0),
];
/// What may begin the value of a cell that a program for tables takes for a formula.
const FORMULAS: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// How the entries are written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LogForm {
    /// As all other answers.
    Usual,
    Csv,
    Lines,
}

/// Lists entries page by page.
pub(super) fn log(
    words: &[&str],
    (owners, clock): (&Owners, Clock),
    reply: &mut OperatorReply,
) -> Result<(), String> {
    let (mut wanted, mut left, mut form) = query(words, clock)?;
    if wanted.by_change && reply.form == Form::Json {
        form = LogForm::Lines;
    }
    let epoch_secs = clock.epoch_secs();
    let mut out = Output::new(reply.form);
    match form {
        LogForm::Usual => out.table("log", COLUMNS),
        LogForm::Lines => out.text.clear(),
        LogForm::Csv => {
            let names: Vec<&str> = COLUMNS.iter().map(|(name, _)| *name).collect();
            out.text = names.join(",") + "\r\n";
        }
    }
    if wanted.by_change && words.iter().any(|word| word.starts_with("after=")) {
        out.text.clear();
    }
    loop {
        wanted.count = left.min(PEERS_PER_PAGE);
        let page = ask(owners, wanted.clone())?;
        for entry in &page {
            match form {
                LogForm::Usual => row(&mut out, entry, epoch_secs),
                LogForm::Csv => csv(&mut out.text, entry, epoch_secs),
                LogForm::Lines => out.text.push_str(&json_line(entry, epoch_secs)),
            }
        }
        left -= page.len();
        wanted.after = page.last().map_or(wanted.after, |last| wanted.place(last));
        let last = page.len() < wanted.count || left == 0;
        if last && wanted.by_change {
            // With what to ask next.
            out.text.push_str(&["after=", &wanted.after.to_string(), "\n"].concat());
        } else if last && form == LogForm::Usual {
            out.end_table();
            out.end();
        }
        if reply.write(&core::mem::take(&mut out.text)).is_err() || last {
            return Ok(());
        }
    }
}

/// Of the rendezvous, or of the relay where there is none.
fn ask(owners: &Owners, wanted: Wanted) -> Result<Vec<Entry>, String> {
    let answer = match owners.rendezvous {
        Some(_) => owners.ask_rendezvous(RendezvousQuestion::Log(wanted))?,
        None => owners.ask_relay(RelayQuestion::Log(wanted))?,
    };
    let Answer::Log(page) = answer else { return odd() };
    Ok(page)
}

/// Reads which entries are asked for, how many at most, and how they are to be written.
fn query(words: &[&str], clock: Clock) -> Result<(Wanted, usize, LogForm), String> {
    let (mut wanted, mut most, mut form) = (Wanted::default(), usize::MAX, LogForm::Usual);
    for word in words {
        let refusal = || {
            ["'", word, "': must be since=30m, 12h, 7d or a Unix time, id=ID, from=NETWORK, "]
                .concat()
                + "after=NUMBER, count=NUMBER, --csv, --lines or --follow"
        };
        match word.split_once('=').unwrap_or((word, "")) {
            ("since", text) => wanted.since = Some(since(text, clock).ok_or_else(refusal)?),
            ("id", id) => wanted.id = Some(PeerId::new(id).ok_or_else(refusal)?),
            ("from", text) => wanted.from = Some(Network::parse(text).ok_or_else(refusal)?),
            ("after", number) => wanted.after = number.parse().map_err(|_| refusal())?,
            ("count", count) => {
                let count = count.parse().ok().filter(|count| *count > 0);
                most = count.ok_or_else(refusal)?;
            }
            ("--csv", "") => form = LogForm::Csv,
            ("--lines", "") => form = LogForm::Lines,
            ("--follow", "") => wanted.by_change = true,
            _ => return Err(refusal()),
        }
    }
    Ok((wanted, most, form))
}

/// So long ago, or a Unix time in seconds.
fn since(text: &str, clock: Clock) -> Option<Time> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let secs = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 24 * 3_600,
        _ => {
            let secs = text.parse::<u64>().ok()?.saturating_sub(clock.epoch_secs());
            return Some(Time::from_millis(secs.saturating_mul(1000)));
        }
    };
    let ago_ms = digits.parse::<u64>().ok()?.saturating_mul(secs * 1000);
    Some(Time::from_millis(clock.now().as_millis().saturating_sub(ago_ms)))
}

/// The Unix time of a moment; None while the clock is not set.
fn unix_secs(time: Time, epoch_secs: u64) -> Option<u64> {
    (epoch_secs > 0).then(|| epoch_secs.saturating_add(time.as_millis() / 1000))
}

/// A text of others, if there is one.
pub(super) fn said(text: &str) -> Value<'_> {
    if text.is_empty() { Value::Nothing } else { Value::Text(text) }
}

fn row(out: &mut Output, entry: &Entry, epoch_secs: u64) {
    let [at, last] = [entry.at, entry.last].map(|time| unix_secs(time, epoch_secs));
    let texts = [at, last].map(|secs| secs.map(|unix_secs| Utc { unix_secs }.to_string()));
    let is_text = out.is_text();
    let [at, last] = [(at, &texts[0]), (last, &texts[1])].map(|(secs, text)| match text {
        Some(text) if is_text => Value::Text(text),
        _ => secs.map_or(Value::Nothing, Value::Number),
    });
    let number = |number: Option<u64>| number.map_or(Value::Nothing, Value::Number);
    let from = entry.from.to_string();
    let target_at = entry.target_at.map(|at| at.to_string());
    let end = entry.session.and_then(|session| session.end);
    let report = entry.report.as_deref();
    let by = report.and_then(|report| report.by.as_ref());
    let text = |text: Option<&'static str>| text.map_or(Value::Nothing, Value::Text);
    out.row(&[
        Value::Number(entry.number),
        at,
        last,
        Value::Text(&from),
        entry.to.as_ref().map_or(Value::Nothing, |to| Value::Text(to.as_str())),
        target_at.as_deref().map_or(Value::Nothing, Value::Text),
        Value::Number(entry.asks.into()),
        Value::Text(entry.outcome.as_str()),
        text(entry.outcome.reason().map(|reason| reason.as_str())),
        number(entry.secs()),
        number(end.map(|end| end.bytes)),
        text(end.map(|end| end.reason.as_str())),
        by.map_or(Value::Nothing, |by| Value::Text(by.as_str())),
        said(report.map_or("", |report| &report.name)),
        said(report.map_or("", |report| report.session)),
        number(report.map(|report| report.files.into())),
        number(report.and_then(|report| report.alarm?.try_into().ok())),
        entry.user.as_deref().map_or(Value::Nothing, Value::Text),
    ]);
}

fn csv(text: &mut String, entry: &Entry, epoch_secs: u64) {
    let time = |time| unix_secs(time, epoch_secs).map(|unix_secs| Utc { unix_secs }.to_string());
    let end = entry.session.and_then(|session| session.end);
    let report = entry.report.as_deref();
    let cells = [
        Some(entry.number.to_string()),
        time(entry.at),
        time(entry.last),
        Some(entry.from.to_string()),
        entry.to.as_ref().map(|to| to.as_str().into()),
        entry.target_at.map(|at| at.to_string()),
        Some(entry.asks.to_string()),
        Some(entry.outcome.as_str().into()),
        entry.outcome.reason().map(|reason| reason.as_str().into()),
        entry.secs().map(|secs| secs.to_string()),
        end.map(|end| end.bytes.to_string()),
        end.map(|end| end.reason.as_str().into()),
        report.and_then(|report| Some(report.by.as_ref()?.as_str().into())),
        report.map(|report| report.name.to_string()),
        report.map(|report| report.session.into()),
        report.map(|report| report.files.to_string()),
        report.and_then(|report| Some(report.alarm?.to_string())),
        entry.user.as_deref().map(String::from),
    ];
    let cells = cells.map(|cell| cell.map_or_else(String::new, |cell| csv_cell(&cell)));
    text.push_str(&(cells.join(",") + "\r\n"));
}

/// In quotes where RFC 4180 asks for that; what begins like a formula is told to be text.
fn csv_cell(value: &str) -> String {
    let mark = if value.starts_with(FORMULAS) { "'" } else { "" };
    match value.contains(['"', ',', '\r', '\n']) {
        true => ["\"", mark, &value.replace('"', "\"\""), "\""].concat(),
        false => [mark, value].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_of_csv_are_no_formulas_and_end_where_they_end() {
        for (value, cell) in [
            ("123456789", "123456789"),
            ("a,b", "\"a,b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("=1+1", "'=1+1"),
            ("@x,y", "\"'@x,y\""),
        ] {
            assert_eq!(csv_cell(value), cell);
        }
    }

    #[test]
    fn entries_are_asked_for_by_time_id_and_network() {
        let clock = Clock::start();
        let (wanted, most, form) =
            query(&["since=7d", "id=123456789", "from=10.0.0.0/8", "after=4", "--csv"], clock)
                .unwrap();
        assert_eq!((wanted.since, wanted.after, most), (Some(Time::START), 4, usize::MAX));
        assert!(form == LogForm::Csv && wanted.id.is_some() && wanted.from.is_some());
        for bad in ["since=x", "since=", "since=1y", "count=0", "id=", "from=x", "--csv=1", "csv"] {
            assert!(query(&[bad], clock).is_err(), "{bad}");
        }
    }
}
