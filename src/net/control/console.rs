//! Upstream's console on P-1 and the relay's port, off unless asked for: text from this machine
//! itself, told from the protocol by its first bytes, since clients, proxies and hairpin routes
//! come from there too (protocol §1.6). C38, C71, C76.

use hbb_core::base::counters::DropReason;
use hbb_core::base::limits::{CONSOLE_BYTES_MAX, CONSOLE_MS, IDLE_MS};

use crate::net::conn::link::{Link, within};
use crate::net::message::{Answer, RelayQuestion, SessionRow, ToRelay, ToRendezvous};
use crate::net::relaying::RelayHandle;
use crate::net::signalling::conversation::SignallingHandle;
use crate::net::tasks::queue::bounded;

/// Bytes among which the protocol has one beyond ASCII: a header and the number of a member.
const TELLING_BYTES: usize = 5;
/// What `h` prints on the relay's port.
const RELAY_HELP: &str = "h\nusage(u)\n";

/// Who is behind the port.
pub(crate) enum Owner {
    /// On P-1.
    Rendezvous(SignallingHandle),
    /// On the relay's port.
    Relay(RelayHandle),
}

/// Whether a connection begins with text. What was read stays in the link.
///
/// # Errors
/// The connection is over, or silent.
pub(crate) async fn begins_with_text(link: &mut Link) -> Result<bool, DropReason> {
    let spoke = async {
        link.stream.readable().await;
        Ok(())
    };
    within(IDLE_MS, Err(DropReason::Idle), spoke).await?;
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
pub(crate) async fn serve(mut link: Link, owner: Owner) {
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
    let answer = match owner {
        Owner::Rendezvous(owner) => ask(&owner, line).await,
        Owner::Relay(relay) => ask_relay(&relay, &line).await,
    };
    let _ = link.write(answer.as_bytes()).await;
}

async fn ask(owner: &SignallingHandle, line: String) -> String {
    let (answer, told) = bounded(1);
    let asked = owner.inbox.send(ToRendezvous::Console { line, answer }).await;
    if asked.is_ok() { told.recv().await.unwrap_or_default() } else { String::new() }
}

async fn ask_relay(relay: &RelayHandle, line: &str) -> String {
    match line {
        "h" => return RELAY_HELP.into(),
        "usage" | "u" => {}
        _ => return String::new(),
    }
    let (to, told) = bounded(1);
    if relay.inbox.send(ToRelay::Asked(RelayQuestion::Sessions, to)).await.is_err() {
        return String::new();
    }
    let Some(Answer::Sessions(mut rows)) = told.recv().await else { return String::new() };
    rows.sort_unstable_by_key(|row| core::cmp::Reverse(row.bytes));
    rows.iter().map(usage).collect()
}

/// A session as upstream shows it, by the leg that came second: MB of 1024 times 1024 bytes in
/// hundredths, and bits a millisecond: the most, on average, now (protocol §6.2).
fn usage(row: &SessionRow) -> String {
    let [_, from] = row.ends;
    let hundredths = row.bytes.saturating_mul(100) / (1024 * 1024);
    let average = row.bytes / row.secs.max(1);
    let [most, average, now] =
        [row.peak.max(average), average, row.rate].map(|rate| rate.saturating_mul(8) / 1000);
    let (whole, part) = (hundredths / 100, hundredths % 100);
    format!("{from}: {}s {whole}.{part:02}MB {most}kb/s {average}kb/s {now}kb/s\n", row.secs)
}
