//! Devices that wait for an operator: their list, and the word that lets one in. C185-C187.

use std::net::SocketAddr;

use hbb_core::accounts::{Command, Told};
use hbb_core::base::address::{Endpoint, named_id};
use hbb_core::base::limits::INVITE_HOURS_MAX;
use hbb_core::rendezvous::{Approval, Invited};

use super::format::{Output, Value};
use super::owners::{Owners, odd};
use crate::net::message::{Answer, RendezvousQuestion};

const COLUMNS: &str = "id:17 address:24 proved:7 waiting_secs:13 seen_secs:0";

const NOBODY: &str = "Nobody waits for that id; 'hbb ctl pending' lists who does.";
const SEVERAL: &str = "Several devices wait for that id: name the address of yours too, as \
                       'hbb ctl pending' shows it.";
const FULL: &str = "As many devices are registered as may be: see --max-peers.";
const NOT_PRIVATE: &str = "Every device may register here: codes are for --private.";
const TOO_MANY: &str = "As many codes as may be are good; they end by themselves.";
const APPROVED: &str = "The device is approved; it registers within half a minute.";
const NOT_STORED: &str = "The store did not take the change; try again, and see the log if it \
                          fails again.";

/// Who waits.
pub(super) fn list(out: &mut Output, owners: &Owners) -> Result<(), String> {
    let Answer::Waiting(rows) = owners.ask_rendezvous(RendezvousQuestion::Waiting)? else {
        return odd();
    };
    out.table("pending", COLUMNS);
    for row in &rows {
        out.row(&[
            Value::Text(row.id.as_str()),
            Value::Text(&row.from.to_string()),
            Value::Flag(row.proved),
            Value::Number(row.waiting_secs),
            Value::Number(row.seen_secs),
        ]);
    }
    out.end_table();
    Ok(())
}

/// A code for one that nobody sees wait, and who brings it to the accounts.
pub(super) fn invite(out: &mut Output, hours: &str, owners: &Owners) -> Result<(), String> {
    let good = hours.parse().ok().filter(|hours| (1..=INVITE_HOURS_MAX).contains(hours));
    let wrong = || format!("'{hours}': must be a number of hours from 1 to {INVITE_HOURS_MAX}");
    let hours = good.ok_or_else(wrong)?;
    match owners.ask_rendezvous(RendezvousQuestion::Invite(hours))? {
        Answer::Invited(Invited::Code(code)) => {
            let accounts = RendezvousQuestion::Accounts(Command::Groups);
            if let Answer::Accounts(Told::Refused(said)) = owners.ask_rendezvous(accounts)? {
                return Err(said);
            }
            out.field("code", Value::Text(&code));
        }
        Answer::Invited(Invited::NotEnabled) => return Err(NOT_PRIVATE.into()),
        Answer::Invited(Invited::Full) => return Err(TOO_MANY.into()),
        _ => return odd(),
    }
    out.field("hours", Value::Number(hours.into()));
    Ok(())
}

/// Lets one in.
pub(super) fn approve(id: &str, at: Option<&str>, owners: &Owners) -> Result<&'static str, String> {
    let id = named_id(id).ok_or(NOBODY)?;
    let at = match at {
        None => None,
        Some(text) => {
            // As the list shows it, or without the port.
            let at = text.parse::<SocketAddr>().map(Endpoint::from);
            let at = at.or_else(|_| text.parse().map(|ip| Endpoint::new(ip, 0)));
            let wrong = |_| ["'", text, "': must be an address of 'hbb ctl pending'"].concat();
            Some(at.map_err(wrong)?)
        }
    };
    match owners.ask_rendezvous(RendezvousQuestion::Approve { id, at })? {
        Answer::Approved(Approval::Saving) => Ok(APPROVED),
        Answer::Approved(Approval::Unknown) => Err(NOBODY.into()),
        Answer::Approved(Approval::Several) => Err(SEVERAL.into()),
        Answer::Approved(Approval::Full) => Err(FULL.into()),
        Answer::Approved(Approval::Busy) | Answer::Forgotten(_) => Err(NOT_STORED.into()),
        _ => odd(),
    }
}
