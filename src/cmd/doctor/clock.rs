//! The clock of whoever answers HTTP, beside ours: wrong ones break certificates and codes that
//! count time. The protocol itself tells no time. C159.

use super::report::State;
use crate::net::clock::unix_secs;
use hbb_core::base::time::Utc;

/// What is no matter.
const DIFFERENCE_SECS_MAX: u64 = 60;
const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";

/// What the header `Date` says of the clocks; None if it is no date.
pub(super) fn compare(date: &str) -> Option<(State, String)> {
    let (there, here) = (read(date)?, unix_secs());
    let secs = there.abs_diff(here).to_string();
    if there.abs_diff(here) <= DIFFERENCE_SECS_MAX {
        return Some((State::Ok, "the server's and ours agree".into()));
    }
    let side = if there < here { " s behind" } else { " s ahead of" };
    Some((
        State::Wrong,
        ["the server's clock is ", &secs, side, " ours: set the wrong one"].concat(),
    ))
}

/// Unix time of `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7).
fn read(date: &str) -> Option<u64> {
    let mut words = date.split_once(", ")?.1.split(' ');
    let [day, month, year, time] = [words.next()?, words.next()?, words.next()?, words.next()?];
    let place = MONTHS.as_bytes().chunks(3).position(|name| name == month.as_bytes())?;
    Some(Utc::parse(&format!("{year}-{:02}-{day} {time}", place + 1))?.unix_secs)
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
