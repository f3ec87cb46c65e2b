//! What a newcomer needs to see at the start: what to type into the client, and what of an earlier
//! server lies about unused. Checks: tests/terminal.rs, tests/bad_input.rs.

use core::net::IpAddr;
use std::path::PathBuf;

use log::warn;

use super::store::IMPORTED_FILE;
use crate::config::{Config, Role, doubts};
use crate::net::interfaces::own_addresses;
use crate::upstream::variables;
use hbb_core::identity::KeyPolicy;

/// Addresses that are shown; of a machine with more it is said how many.
const ADDRESSES_MAX: usize = 8;
/// The store of upstream's server, in the working directory if DB_URL names no other.
pub(super) const DATABASE: &str = "db_v2.sqlite3";

/// What to type into the client, or into the ID server if this is a relay alone.
pub(super) fn text(config: &Config, keys: &KeyPolicy) -> String {
    let hosts = match (&config.public, config.bind) {
        (Some(public), _) => vec![public.to_string()],
        (None, Some(ip)) if !ip.is_unspecified() => vec![ip.to_string()],
        (None, _) => addresses(),
    };
    let own = keys.signing.as_ref().map(|key| key.public_text());
    let key = own.as_deref().or(keys.enforced.as_deref());
    match config.role {
        Role::Relay => relay_text(config, &hosts, key),
        Role::All | Role::Rendezvous => {
            let text = client_text(config, &hosts, key);
            let is_open = keys.enforced.is_none();
            text + if is_open {
                "With --key= it serves anybody, with the key or not.\n"
            } else {
                ""
            }
        }
    }
}

fn client_text(config: &Config, hosts: &[String], key: Option<&str>) -> String {
    let mut text = String::from("In the client, under Settings, Network, ID/Relay server, enter\n");
    let named = |host: &str| config.ports.id_server(host);
    add(&mut text, ["  ID server     ", "             or "], hosts, &named);
    if let Some(key) = key {
        text.push_str(&["  Key           ", key, "\n"].concat());
    }
    text + "and leave the other fields empty; 'hbb export' prints it to scan or import.\n"
}

fn relay_text(config: &Config, hosts: &[String], key: Option<&str>) -> String {
    let mut text = String::from("This is a relay alone. Name it to the ID server, with the flag\n");
    let named = |host: &str| config.ports.relay_server(host);
    add(&mut text, ["  --relay-servers ", "               or "], hosts, &named);
    text + match key {
        Some(_) => "It serves clients that show the key it was given.\n",
        None => "It serves anybody.\n",
    }
}

/// Adds a line for each host, the first under its label.
fn add(text: &mut String, labels: [&str; 2], hosts: &[String], named: &dyn Fn(&str) -> String) {
    let [mut label, other] = labels;
    for host in hosts.iter().take(ADDRESSES_MAX) {
        text.push_str(&[label, &named(host), "\n"].concat());
        label = other;
    }
    if let Some(more @ 1..) = hosts.len().checked_sub(ADDRESSES_MAX) {
        text.push_str(
            &[label, "one of ", &more.to_string(), " more; 'ip addr' lists them\n"].concat(),
        );
    }
}

/// The addresses of this machine that others may reach, IPv4 first; a word in their place if there
/// is none.
fn addresses() -> Vec<String> {
    let (own, mut shown) = (own_addresses(), Vec::new());
    for is_ipv6 in [false, true] {
        for ip in own.iter().filter(|ip| ip.is_ipv6() == is_ipv6 && is_reached(**ip)) {
            shown.push(ip.to_string());
        }
    }
    if shown.is_empty() {
        shown.push("ADDRESS-OF-THIS-MACHINE".into());
    }
    shown
}

fn is_reached(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_link_local(),
        IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unicast_link_local(),
    }
}

/// Says what can hardly be meant.
pub(super) fn warn_of(config: &Config) {
    let doubts = doubts(config, &own_addresses());
    if let Some(first) = doubts.first() {
        warn!("setting-doubtful count={} help='hbb check' cause='{first}'", doubts.len());
    }
}

/// Says what was left by another server, or set for it, and means nothing here: under its name,
/// variables do.
pub(super) fn warn_of_upstream(config: &Config, is_named_so: bool) {
    if let Some(store) = unused_store(config).filter(|_| config.role != Role::Relay) {
        warn!("upstream-store-unused file={} help='hbb import --help'", store.display());
    }
    if is_named_so {
        return;
    }
    let names = unused_variables();
    if !names.is_empty() {
        warn!("upstream-variables-unused names={names} help='hbb hbbs --help, MIGRATING.md'");
    }
}

/// The database in `--data`, unless the store has been given what a database held.
pub(super) fn unused_store(config: &Config) -> Option<PathBuf> {
    let store = config.data.join(DATABASE);
    (store.is_file() && !config.data.join(IMPORTED_FILE).exists()).then_some(store)
}

/// Which variables are set that upstream's programs and images go by and `hbb serve` does not, with
/// commas between them.
pub(super) fn unused_variables() -> String {
    variables(&|name| std::env::var_os(name).is_some())
}
