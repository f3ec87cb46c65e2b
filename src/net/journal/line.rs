//! An entry of the log of connections as fields, which every form of it is written from; here as a
//! line of JSON, for files and for programs, and as a line for a syslog. C190.

use core::ops::Range;

use hbb_core::base::address::Endpoint;
use hbb_core::base::json::Writer;
use hbb_core::base::text::named;
use hbb_core::base::time::{Time, Utc};
use hbb_core::journal::Entry;

/// The names of the fields, each with its width in columns of text. They are a documented schema:
/// it may be added to, not changed.
pub(crate) const FIELDS: &str = "number:7 at:21 last:21 from:24 to:17 target_at:18 asks:5 \
                                 outcome:11 reason:14 secs:7 bytes:13 end:11 by:17 by_name:16 \
                                 use:9 files:6 file:16 alarm:6 user:0";
/// How many there are.
const COUNT: usize = 19;
/// Those that only a target's report tells: a line of JSON has them if there is one.
const REPORTED: Range<usize> = 12..18;
/// What a line for a syslog tells behind outcome and address, where it is known.
const IN_SYSLOG: &str = "to user reason target_at secs bytes end by use files alarm asks number";

/// The value of a field.
pub(crate) enum Field {
    /// Not known, or none.
    Nothing,
    /// A whole number.
    Number(u64),
    /// Text, which others may have written.
    Text(String),
}

impl Field {
    fn text(text: Option<&str>) -> Self {
        text.map_or(Self::Nothing, |text| Self::Text(text.into()))
    }

    fn number(number: Option<u64>) -> Self {
        number.map_or(Self::Nothing, Self::Number)
    }

    /// As it stands in a table; empty for nothing.
    pub(crate) fn written(&self) -> String {
        match self {
            Self::Nothing => String::new(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

/// The fields of an entry, in the order of [`FIELDS`]. `epoch_secs` is the Unix time of the start,
/// 0 while the clock is not set: then no time is told; it is told as a date to `people`.
pub(crate) fn fields(entry: &Entry, epoch_secs: u64, people: bool) -> [Field; COUNT] {
    let time = |time: Time| match epoch_secs.saturating_add(time.as_millis() / 1000) {
        _ if epoch_secs == 0 => Field::Nothing,
        unix_secs if people => Field::Text(Utc { unix_secs }.to_string()),
        unix_secs => Field::Number(unix_secs),
    };
    let end = entry.session.and_then(|session| session.end);
    let report = entry.report.as_deref();
    let by = report.and_then(|report| report.by.as_ref());
    [
        Field::Number(entry.number),
        time(entry.at),
        time(entry.last),
        from(entry.from),
        Field::text(entry.to.as_ref().map(|to| to.as_str())),
        entry.target_at.map_or(Field::Nothing, |at| Field::Text(at.to_string())),
        Field::Number(entry.asks.into()),
        Field::text(Some(entry.outcome.as_str())),
        Field::text(entry.outcome.reason().map(|reason| reason.as_str())),
        Field::number(entry.secs()),
        Field::number(end.map(|end| end.bytes)),
        Field::text(end.map(|end| end.reason.as_str())),
        Field::text(by.map(|by| by.as_str())),
        Field::text(report.map(|report| &*report.name)),
        Field::text(report.map(|report| report.session)),
        Field::number(report.map(|report| report.files.into())),
        Field::text(report.map(|report| &*report.file)),
        Field::number(report.and_then(|report| report.alarm?.try_into().ok())),
        Field::text(entry.user.as_deref()),
    ]
}

/// Where somebody asked from; a target tells no port, and at times no address.
fn from(at: Endpoint) -> Field {
    match at.port() {
        0 if at.ip().is_unspecified() => Field::Nothing,
        0 => Field::Text(at.ip().to_string()),
        _ => Field::Text(at.to_string()),
    }
}

/// One JSON object on a line of its own; `epoch_secs` as for [`fields`].
pub(crate) fn json_line(entry: &Entry, epoch_secs: u64) -> String {
    let mut out = Writer::object();
    let fields = fields(entry, epoch_secs, false);
    for (at, (field, (name, _))) in fields.iter().zip(named(FIELDS)).enumerate() {
        if entry.report.is_none() && REPORTED.contains(&at) {
            continue;
        }
        out.name(name);
        match field {
            Field::Nothing => out.raw("null"),
            Field::Number(number) => out.number((*number).try_into().unwrap_or(i64::MAX)),
            Field::Text(text) => out.text(text),
        }
    }
    out.end() + "\n"
}

/// One line for a syslog: what is known, as `name=value`.
pub(super) fn syslog_line(entry: &Entry) -> String {
    let mut line = format!("outcome={} from={}", entry.outcome.as_str(), entry.from.ip());
    let fields = fields(entry, 0, false);
    let names = named(FIELDS);
    for told in IN_SYSLOG.split(' ') {
        let at = names.iter().position(|(name, _)| *name == told);
        let value = at.and_then(|at| fields.get(at)).map_or_else(String::new, Field::written);
        if !value.is_empty() {
            line.push_str(&[" ", &told.replace('_', "-"), "=", &value].concat());
        }
    }
    line
}

/// What stands in a file where so many lines are missing; empty for none.
pub(super) fn lost_line(lines: usize) -> String {
    match lines {
        0 => String::new(),
        lines => ["{\"lost\":", &lines.to_string(), "}\n"].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hbb_core::base::limits::Limits;
    use hbb_core::base::peer::PeerId;
    use hbb_core::base::table::Seed;
    use hbb_core::journal::{Audit, AuditKind, Journal, Wanted};

    /// As of a session that was there before the server.
    #[test]
    fn c194_a_report_tells_of_the_caller_s_address_what_it_says() {
        let mut journal = Journal::new(&Limits::default(), false, Seed(1, 2));
        let target = PeerId::new("123456789").unwrap();
        for (conn, kind) in [
            (1, AuditKind::Closed),
            (2, AuditKind::Began(Some([203, 0, 113, 9].into()))),
            (3, AuditKind::Began("2001:db8::9".parse().ok())),
        ] {
            let at = [192, 0, 2, 1].into();
            journal.report(Time::START, &target, Audit { conn, at, kind });
        }
        let wanted = Wanted { count: 9, ..Wanted::default() };
        for (entry, from) in journal.read(Time::START, &wanted).iter().zip([
            "null",
            r#""203.0.113.9""#,
            r#""2001:db8::9""#,
        ]) {
            let line = json_line(entry, 0);
            assert!(line.contains(&[",\"from\":", from, ","].concat()), "{line}");
        }
    }
}
