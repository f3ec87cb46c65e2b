//! The clock of whoever answers HTTP, beside ours: wrong ones break certificates and codes that
//! count time. The protocol itself tells no time. C159.

use super::report::State;
use crate::net::clock::unix_secs;
use hbb_core::base::time::Utc;

/// What is no matter.
const DIFFERENCE_SECS_MAX: u64 = 60;
const MONTHS: &str =
    "Jan-01 Feb-02 Mar-03 Apr-04 May-05 Jun-06 Jul-07 Aug-08 Sep-09 Oct-10 Nov-11 Dec-12";

/// What the header `Date` says of the clocks; None if it is no date.
pub(super) fn compare(date: &str) -> Option<(State, String)> {
    let (there, here) = (read(date)?, unix_secs());
    let difference = there.abs_diff(here);
    if difference <= DIFFERENCE_SECS_MAX {
        return Some((State::Ok, "the server's and ours agree".into()));
    }
    let side = if there < here { "behind" } else { "ahead of" };
    let text = format!("the server's clock is {difference} s {side} ours: set the wrong one");
    Some((State::Wrong, text))
}

/// Unix time of `Sun, 06 Nov 1994 08:49:37 GMT`, whose length is always the same (RFC 9110 §5.6.7).
fn read(date: &str) -> Option<u64> {
    let [day, name, year, time] =
        [date.get(5..7)?, date.get(8..11)?, date.get(12..16)?, date.get(17..25)?];
    let month = MONTHS.split(' ').find_map(|month| month.strip_prefix(name)?.strip_prefix('-'))?;
    Some(Utc::parse(&[year, "-", month, "-", day, " ", time].concat())?.unix_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c159_the_date_of_an_http_answer_is_read() {
        assert_eq!(read("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(read("Thu, 01 Jan 1970 00:00:01 GMT"), Some(1));
        for bad in ["", "now", "Sun, 06 Xyz 1994 08:49:37 GMT", "Sun, 6 Nov 94 08:49 GMT", "Sun, "]
        {
            assert_eq!(read(bad), None, "{bad}");
        }
        let (state, text) = compare("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        assert_eq!(state, State::Wrong);
        assert!(text.contains(" s behind ours"), "{text}");
    }
}
