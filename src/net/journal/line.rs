//! An entry of the log of connections as a line of JSON, for files and for programs.

use hbb_core::base::json::Writer;
use hbb_core::base::time::Time;
use hbb_core::journal::Entry;

/// One JSON object on a line of its own; `epoch_secs` is the Unix time of the start, 0 while the
/// clock is not set: then no time is told.
pub(crate) fn json_line(entry: &Entry, epoch_secs: u64) -> String {
    let mut out = Writer::default();
    let at =
        |time: Time| (epoch_secs > 0).then(|| epoch_secs.saturating_add(time.as_millis() / 1000));
    let end = entry.session.and_then(|session| session.end);
    out.open('{');
    number(&mut out, "number", Some(entry.number));
    number(&mut out, "at", at(entry.at));
    number(&mut out, "last", at(entry.last));
    text(&mut out, "from", Some(&entry.from.to_string()));
    text(&mut out, "to", entry.to.as_ref().map(|to| to.as_str()));
    text(&mut out, "target_at", entry.target_at.map(|at| at.to_string()).as_deref());
    number(&mut out, "asks", Some(entry.asks.into()));
    text(&mut out, "outcome", Some(entry.outcome.as_str()));
    text(&mut out, "reason", entry.outcome.reason().map(|reason| reason.as_str()));
    number(&mut out, "secs", entry.secs());
    number(&mut out, "bytes", end.map(|end| end.bytes));
    text(&mut out, "end", end.map(|end| end.reason.as_str()));
    if let Some(report) = &entry.report {
        text(&mut out, "by", report.by.as_ref().map(|by| by.as_str()));
        text(&mut out, "by_name", Some(&report.name));
        text(&mut out, "use", Some(report.session));
        number(&mut out, "files", Some(report.files.into()));
        number(&mut out, "alarm", report.alarm.and_then(|alarm| alarm.try_into().ok()));
    }
    text(&mut out, "user", entry.user.as_deref());
    out.close('}');
    out.into_text() + "\n"
}

/// What stands in a file where so many lines are missing; empty for none.
pub(super) fn lost_line(lines: usize) -> String {
    match lines {
        0 => String::new(),
        lines => ["{\"lost\":", &lines.to_string(), "}\n"].concat(),
    }
}

fn text(out: &mut Writer, name: &str, value: Option<&str>) {
    out.name(name);
    match value {
        Some(value) => out.text(value),
        None => out.raw("null"),
    }
}

fn number(out: &mut Writer, name: &str, value: Option<u64>) {
    out.name(name);
    match value {
        Some(value) => out.number(value.try_into().unwrap_or(i64::MAX)),
        None => out.raw("null"),
    }
}
