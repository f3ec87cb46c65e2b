//! Upstream's console on P-1 and the relay's port, off unless asked for: text from this machine
//! itself, told from the protocol by its first bytes, since clients, proxies and hairpin routes
//! come from there too (protocol §1.6). C38, C71, C76.

mod typed;

use hbb_core::base::counters::DropReason;
use hbb_core::base::limits::{CONSOLE_BYTES_MAX, CONSOLE_MS};

use super::orders::{ConsoleOf, Orders};
use crate::net::conn::link::{Link, within};
pub(super) use typed::carry_out;

/// Bytes among which the protocol has one beyond ASCII: a header and the number of a member.
const TELLING_BYTES: usize = 5;

/// Whether a connection begins with text. What was read stays in the link.
///
/// # Errors
/// The connection is over, or silent for `ms_max`.
pub(crate) async fn begins_with_text(link: &mut Link, ms_max: u64) -> Result<bool, DropReason> {
    if !reads(link, ms_max, |read| !read.is_empty()).await {
        return Err(DropReason::Idle);
    }
    // A person at a terminal sends a line at once, a script may send no end of line.
    reads(link, CONSOLE_MS / 2, tells).await;
    let telling = beginning(&link.leftover);
    if telling.is_empty() { Err(DropReason::Done) } else { Ok(telling.is_ascii()) }
}

fn beginning(read: &[u8]) -> &[u8] {
    read.get(..TELLING_BYTES).unwrap_or(read)
}

/// Whether what was read tells text from the protocol.
fn tells(read: &[u8]) -> bool {
    let telling = beginning(read);
    !telling.is_ascii() || telling.len() == TELLING_BYTES || telling.contains(&b'\n')
}

/// Reads until that `is_enough` or no more comes; false if neither is so within `ms_max`.
async fn reads(link: &mut Link, ms_max: u64, is_enough: fn(&[u8]) -> bool) -> bool {
    let whole = async {
        while !is_enough(&link.leftover) && link.read_more().await.is_ok() {}
        true
    };
    within(ms_max, false, whole).await
}

/// Carries out one line and closes.
pub(crate) async fn serve(mut link: Box<Link>, orders: &Orders, of: ConsoleOf) {
    let is_whole = |read: &[u8]| read.contains(&b'\n') || read.len() >= CONSOLE_BYTES_MAX;
    reads(&mut link, CONSOLE_MS / 4, is_whole).await;
    let text = String::from_utf8_lossy(&link.leftover);
    let line = text.lines().next().unwrap_or_default().trim().to_owned();
    let answer = orders.typed(of, line).await;
    let _ = link.write(answer.as_bytes()).await;
}
