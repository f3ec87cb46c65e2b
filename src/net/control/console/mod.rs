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
    let spoke = async {
        link.stream.readable().await;
        Ok(())
    };
    within(ms_max, Err(DropReason::Idle), spoke).await?;
    let whole = async {
        while link.read_more().await.is_ok() {
            let telling = link.leftover.get(..TELLING_BYTES).unwrap_or(&link.leftover);
            if !telling.is_ascii() || telling.len() == TELLING_BYTES || telling.contains(&b'\n') {
                return;
            }
        }
    };
    // A person at a terminal sends a line at once, a script may send no end of line.
    within(CONSOLE_MS, (), whole).await;
    let telling = link.leftover.get(..TELLING_BYTES).unwrap_or(&link.leftover);
    if telling.is_empty() { Err(DropReason::Done) } else { Ok(telling.is_ascii()) }
}

/// Carries out one line and closes.
pub(crate) async fn serve(mut link: Box<Link>, orders: &Orders, of: ConsoleOf) {
    let whole = async {
        while !link.leftover.contains(&b'\n') && link.leftover.len() < CONSOLE_BYTES_MAX {
            if link.read_more().await.is_err() {
                return;
            }
        }
    };
    within(CONSOLE_MS, (), whole).await;
    let text = String::from_utf8_lossy(&link.leftover);
    let line = text.lines().next().unwrap_or_default().trim().to_owned();
    let answer = orders.typed(of, line).await;
    let _ = link.write(answer.as_bytes()).await;
}
