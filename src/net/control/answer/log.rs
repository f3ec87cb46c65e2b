//! `hbb ctl log`: who asked for whom, as columns, JSON, lines of JSON, or CSV as RFC 4180 has it.
//! C190.

use hbb_core::base::address::Network;
use hbb_core::base::limits::PEERS_PER_PAGE;
use hbb_core::base::peer::PeerId;
use hbb_core::base::text::{csv_cell, named};
use hbb_core::base::time::Time;
use hbb_core::journal::{Entry, Wanted};

use crate::net::clock::Clock;
use crate::net::control::format::{Form, Output, Value};
use crate::net::control::owners::{Owners, odd};
use crate::net::control::reply::OperatorReply;
use crate::net::journal::{FIELDS, Field, fields, json_line};
use crate::net::message::{Answer, RelayQuestion, RendezvousQuestion};

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
    let people = form == LogForm::Csv || reply.form == Form::Text;
    let mut out = Output::new(reply.form);
    match form {
        LogForm::Usual => out.table("log", FIELDS),
        LogForm::Lines => out.text.clear(),
        LogForm::Csv => {
            let names: Vec<&str> = named(FIELDS).iter().map(|it| it.0).collect();
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
                LogForm::Usual => row(&mut out, &fields(entry, epoch_secs, people)),
                LogForm::Csv => csv(&mut out.text, &fields(entry, epoch_secs, people)),
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

/// A text of others, if there is one.
pub(super) fn said(text: &str) -> Value<'_> {
    if text.is_empty() { Value::Nothing } else { Value::Text(text) }
}

fn row(out: &mut Output, fields: &[Field]) {
    let mut values = Vec::with_capacity(fields.len());
    for field in fields {
        values.push(match field {
            Field::Nothing => Value::Nothing,
            Field::Number(number) => Value::Number(*number),
            Field::Text(text) => said(text),
        });
    }
    out.row(&values);
}

fn csv(text: &mut String, fields: &[Field]) {
    for (at, field) in fields.iter().enumerate() {
        text.push_str(if at == 0 { "" } else { "," });
        text.push_str(&csv_cell(&field.written()));
    }
    text.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

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
