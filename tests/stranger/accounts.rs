//! The same against a server that has accounts, the API, the page, rules and a log of connections
//! in a file, and lets nobody register whom no operator approved. C166, C185.

use std::net::SocketAddr;
use std::time::Duration;

use crate::doors::{Doors, PASSWORD, USER};
use crate::load::Sources;
use crate::model::server::{Server, command, free_ports};
use crate::{Accounts, HONEST, SERVER, Served, is_long, place, wear};

const RULES: &str = "\
group office = 203.0.113.5 203.0.113.6
deny to=strange-own-1 days=Mon-Sun say=\"Not this one.\"
allow from=group:office tunnel=no
allow to=* from=100.64.0.0/10
";

fn ctl(server: &Server, words: &[&str]) {
    let mut command = command(&[]);
    command.args(["ctl", "--data"]).arg(server.data()).args(words);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
}

fn add_user(server: &Server) {
    let line = format!("printf '%s\\n' '{PASSWORD}' | \"$0\" ctl --data \"$1\" user add {USER}");
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &line]).arg(command(&[]).get_program()).arg(server.data());
    let output = shell.output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

fn wear_accounts_down(name: &'static str, sources: Sources) {
    let place = place(name);
    let doors = Doors { api: free_ports(), web: free_ports() };
    let log = std::env::temp_dir().join(format!("hbb-stranger-{name}-{}", std::process::id()));
    let (api, web) = (doors.api.to_string(), format!("[::]:{}", doors.web));
    let on = ["--accounts", "--private", "--password-memory", "4", "--connection-log"];
    let flags = [&on[..], &[log.to_str().unwrap(), "--api", &api, "--web", &web]].concat();
    let rules = ("rules.conf", RULES);
    let server = Server::start_behind_with(&place.prefix(), &[rules], &flags);
    add_user(&server);
    let main = SocketAddr::new(SERVER.parse().unwrap(), server.port);
    place.host(HONEST[0]).enter();
    let approve = |id: &str, address: &str| ctl(&server, &["approve", id, address]);
    let new_every = Duration::from_secs(if is_long() { 12 } else { 4 });
    let lasts = Duration::from_secs(if is_long() { 600 } else { 10 });
    let mut served = Served::new(&place, main, server.key());
    served.accounts = Some(Accounts { doors, approve: &approve, new_every });
    wear((name, sources, lasts), &server, served);
    let log_bytes = std::fs::metadata(&log).map_or(0, |file| file.len());
    println!("{name}: {log_bytes} bytes in the log of connections");
    let _ = std::fs::remove_file(&log);
    let _ = std::fs::remove_file(log.with_extension("1"));
}

/// From one address, or with `HBB_LONG=1` from each of the sources there are.
#[test]
fn c166_accounts_wear_nobody_down_who_is_known() {
    wear_accounts_down("accounts", Sources::OneAddress);
    if is_long() {
        wear_accounts_down("accounts-ipv6", Sources::Ipv6);
        wear_accounts_down("accounts-forged", Sources::Forged);
    }
}
