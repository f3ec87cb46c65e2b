//! `check`: looks for everything that would keep `serve` from running well, and names all of it.
//! Starts nothing, changes nothing. The exit code is that of the worst finding.
//! Checks: tests/cli.rs.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, ToSocketAddrs as _, UdpSocket};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::sleep;
use std::time::Duration;

use super::exit::{Exit, ExitReason, MAKE_ROOM, READ_ONLY, print, say_at_terminal};
#[cfg(feature = "accounts")]
use super::serve::connections;
use super::store::{self, STORE_DRAFT, STORE_FILE};
use super::{backup, greeting, keygen, serve};
use crate::cli::ServeFlags;
#[cfg(feature = "accounts")]
use crate::config::ConnectionsTo;
use crate::config::{Config, PORT, PortService, Role, WEB_CLIENTS, doubts};
use crate::file::folder_of;
use crate::net::clock::Clock;
use crate::net::control;
use crate::net::interfaces::own_addresses;
use crate::net::serve::ServeError;
use crate::net::tasks::thread;
use crate::settings;
#[cfg(feature = "accounts")]
use crate::settings::RulesFile;
use crate::store::Error;
use hbb_core::base::address::split_port;
use hbb_core::base::limits::WATCH_STACK_BYTES;
use hbb_core::base::text::holds;
use hbb_core::identity::KeyChoice;

/// How long name servers may take for all names: the second is asked after five seconds.
const NAMES_SECS_MAX: u64 = 6;
/// What says that none answered (EAI_AGAIN), as glibc and musl word it.
const AGAIN: [&str; 2] = ["emporary failure", "Try again"];
/// How often it is looked whether they answered.
const LOOK: Duration = Duration::from_millis(20);

/// `hbb check`.
#[inline(never)]
pub(super) fn run(flags: ServeFlags) -> Result<(), Exit> {
    let mut report = Report::default();
    let config = check_flags(flags, &mut report)?;
    check_directory(&config.data, &mut report);
    check_control(&config.control, &mut report);
    check_lists(&config, &mut report);
    #[cfg(feature = "accounts")]
    check_connection_log(&config, &mut report);
    check_key(&config, &mut report);
    check_store(&config, &mut report);
    check_broken_off(&config.data, &mut report);
    check_ports(&config, &mut report);
    check_names(&config, &mut report)?;
    check_upstream(&config, &mut report);
    report.end()
}

/// What was found, line by line.
#[derive(Default)]
struct Report {
    text: String,
    problems: usize,
    worst: Option<ExitReason>,
}

impl Report {
    fn fine(&mut self, what: &str) {
        self.line("ok       ", what);
    }

    /// Worth a look; the server runs with it.
    fn doubt(&mut self, what: &str) {
        self.line("doubt    ", what);
    }

    fn problem(&mut self, reason: ExitReason, what: &str) {
        self.problems += 1;
        self.worst = self.worst.max(Some(reason));
        self.line("problem  ", what);
    }

    fn exit(&mut self, exit: &Exit) {
        self.problem(exit.reason(), exit.message());
    }

    /// Shows what there is so far, since the next may take a while.
    fn flush(&mut self) -> Result<(), Exit> {
        print(&core::mem::take(&mut self.text))
    }

    fn line(&mut self, label: &str, what: &str) {
        self.text.push_str(&[label, what, "\n"].concat());
    }

    fn end(mut self) -> Result<(), Exit> {
        self.flush()?;
        let said = match self.problems {
            1 => "1 problem, see above".into(),
            many => format!("{many} problems, see above"),
        };
        self.worst.map_or(Ok(()), |reason| Err(Exit::new(reason, said)))
    }
}

/// The settings, built-in ones in place of refused flags. Of a file that cannot be read nothing is
/// known, not where the data are either.
fn check_flags(flags: ServeFlags, report: &mut Report) -> Result<Config, Exit> {
    let before = report.problems;
    let (config, problems) = settings::survey(flags).map_err(Exit::flags)?;
    for problem in &problems {
        report.problem(ExitReason::Flags, problem);
    }
    if report.problems == before {
        report.fine("flags");
    }
    doubts(&config, &own_addresses()).iter().for_each(|doubt| report.doubt(doubt));
    Ok(config)
}

fn check_directory(dir: &Path, report: &mut Report) {
    let probe = dir.join(".hbb-check");
    // A new file or none: whoever owns the folder may have put a link to any file there.
    match File::create_new(&probe) {
        Ok(_) => {
            drop(fs::remove_file(&probe));
            report.fine(&format!("directory {} can be written to", dir.display()));
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => report.problem(
            ExitReason::Unusable,
            &format!(
                "Cannot try whether the directory {} can be written to; remove {}, which is in \
                 the way.",
                dir.display(),
                probe.display()
            ),
        ),
        Err(error) => {
            let kind = error.kind();
            let way_out = match kind {
                ErrorKind::ReadOnlyFilesystem => READ_ONLY,
                ErrorKind::StorageFull => MAKE_ROOM,
                _ => "Name another with --data, or give it to the user that hbb runs as.",
            };
            let dir = dir.display();
            let said = format!("Cannot write to the directory {dir}: {error}. {way_out}");
            // What is there is served all the same.
            match kind {
                ErrorKind::StorageFull => report.doubt(&said),
                _ => report.problem(ExitReason::Unusable, &said),
            }
        }
    }
}

/// Without its socket the server serves, and `hbb ctl` gets no answer.
fn check_control(path: &Path, report: &mut Report) {
    if path.as_os_str().is_empty() {
        // Not known while flags are wrong.
        return;
    }
    let folder = folder_of(path);
    let why = match control::is_left_behind(path) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            "another hbb answers there; if that one serves already, all is well".into()
        }
        Err(error) => error.to_string(),
        Ok(false) if !folder.is_dir() => {
            format!("there is no folder {}, unless a service makes it", folder.display())
        }
        _ => return,
    };
    report.doubt(&format!("--control {}: {why}", path.display()));
}

fn check_lists(config: &Config, report: &mut Report) {
    let faults = settings::survey_lists(config);
    faults.iter().for_each(|fault| report.problem(ExitReason::Flags, fault));
    if faults.is_empty() {
        report.fine("lists of addresses");
    }
    #[cfg(feature = "accounts")]
    if let Some(doubt) = RulesFile::read(config).ok().and_then(|file| file.doubt(config)) {
        report.doubt(&doubt);
    }
}

/// Whether a file of it can be written. To try makes one that was not there, which goes again.
#[cfg(feature = "accounts")]
fn check_connection_log(config: &Config, report: &mut Report) {
    let ConnectionsTo::File(path) = &config.connections_to else { return };
    let is_new = fs::symlink_metadata(path).is_err();
    match connections(config) {
        Ok(_) => report.fine("log of connections"),
        Err(exit) => return report.exit(&exit),
    }
    if is_new {
        drop(fs::remove_file(path));
    }
}

fn check_key(config: &Config, report: &mut Report) {
    let enforce = match keygen::choice(config) {
        Err(exit) => return report.exit(&exit),
        Ok(KeyChoice::Secret { key, enforce }) => {
            report.fine(&["key of --key, public ", &key.public_text()].concat());
            enforce
        }
        Ok(KeyChoice::Word(_)) if config.role == Role::Relay => return report.fine("key of --key"),
        Ok(KeyChoice::Word(_)) => {
            return report.doubt(
                "--key is not a secret key, so nothing can be signed and sessions are NOT \
                 encrypted; leave --key out to use the key files",
            );
        }
        Ok(KeyChoice::Files { enforce }) => {
            if enforce || config.role != Role::Relay {
                check_key_files(config, report);
            }
            enforce
        }
    };
    if !enforce {
        report.doubt("--key serves anybody who reaches this server, with the key or not");
    }
}

fn check_key_files(config: &Config, report: &mut Report) {
    let key = match keygen::read_for(config) {
        Err(exit) => return report.exit(&exit),
        Ok(Some(key)) => key,
        Ok(None) => {
            return match keygen::refuse_orphan(&config.data) {
                Err(exit) => report.exit(&exit),
                Ok(()) if config.role == Role::Relay && config.key.is_none() => {
                    report.exit(&keygen::relay_without_key());
                }
                Ok(()) if config.role == Role::Relay => report.doubt(
                    "--key: 'hbb serve' will make a key that no client shows a relay; give the ID \
                     server's public key ('hbb export' prints it there)",
                ),
                Ok(()) => report.fine("no key files yet, 'hbb serve' makes them"),
            };
        }
    };
    report.fine(&["key files, public ", &key.public_text()].concat());
    let secret = config.secret_file();
    let path = secret.display();
    let mode = keygen::secret_mode(&secret);
    if let Some(mode) = mode.filter(|mode| mode & keygen::MODE_TOO_OPEN != 0) {
        report.doubt(&format!("{path} has mode {mode:o}, so others have access; chmod 600 {path}"));
    }
    if keygen::read_public(&secret).is_some_and(|text| text != key.public_text()) {
        let then = if config.key_file.is_some() { "" } else { " and will be rewritten" };
        report.doubt(&format!(
            "{} is not the public key of {path}{then}; clients that were given it need the one \
             above",
            keygen::public_path(&secret).display()
        ));
    }
}

/// Reads the whole store, unless a running server has it open.
fn check_store(config: &Config, report: &mut Report) {
    let path = config.data.join(STORE_FILE);
    if config.role == Role::Relay || path.symlink_metadata().is_err() {
        return;
    }
    match store::survey(&path) {
        Ok(Some(peers)) => report.fine(&format!("store {} with {peers} peers", path.display())),
        Ok(None) => report.doubt("No process could be started to read the store in"),
        Err(Error::InUse) => report.doubt(&format!(
            "The store {} is open in another hbb; if that one serves already, all is well",
            path.display()
        )),
        Err(error) => report.exit(&store::exit(&path, error)),
    }
}

/// What a restore or an import left that did not come to its end.
fn check_broken_off(dir: &Path, report: &mut Report) {
    for &(name, then) in &[
        (backup::WHOLE, "a restore was broken off; 'hbb serve' ends it at its start"),
        (backup::FILLING, "a restore was broken off and changed nothing; do it again"),
        (STORE_DRAFT, "an import was broken off and changed nothing; do it again"),
    ] {
        let path = dir.join(name);
        if path.symlink_metadata().is_ok() {
            report.doubt(&[&path.display().to_string(), ": ", then].concat());
        }
    }
}

fn check_ports(config: &Config, report: &mut Report) {
    let before = report.problems;
    if let Some(ip) = config.bind.filter(|ip| !is_ours(*ip)) {
        let said = format!("--bind {ip} is not an address of this machine; 'ip addr' lists those");
        return report.problem(ExitReason::Flags, &said);
    }
    #[cfg(feature = "accounts")]
    let at = |service| config.accounts.ip_of(service, config.bind);
    #[cfg(not(feature = "accounts"))]
    let at = |_| config.bind;
    for (service, port) in config.ports.tcp(config.role) {
        let outcome = listen(at(service), port, bind_tcp);
        let taken = outcome.as_ref().is_err_and(|error| error.kind() == ErrorKind::AddrInUse);
        if service.is_optional() && (taken || (outcome.is_err() && service == PortService::NoApi)) {
            let holder = service.usual_holder(port);
            let then = match service {
                PortService::NoApi => "with --no-api-port it is left to that one",
                _ => &[WEB_CLIENTS, " will not be served"].concat(),
            };
            report.doubt(&format!("TCP port {port} is taken, perhaps by {holder}: {then}"));
            continue;
        }
        check_port("TCP", port, outcome, report);
    }
    if let Some(port) = config.ports.udp(config.role) {
        check_port("UDP", port, listen(config.bind, port, bind_udp), report);
    }
    if report.problems == before {
        report.fine("ports are free");
    }
}

fn is_ours(ip: IpAddr) -> bool {
    !bind_udp(ip, 0).is_err_and(|error| error.kind() == ErrorKind::AddrNotAvailable)
}

fn bind_tcp(ip: IpAddr, port: u16) -> io::Result<()> {
    TcpListener::bind((ip, port)).map(drop)
}

pub(super) fn bind_udp(ip: IpAddr, port: u16) -> io::Result<()> {
    UdpSocket::bind((ip, port)).map(drop)
}

/// Listens as `serve` would: on all of IPv6 and IPv4, or on IPv4 where there is no IPv6.
pub(super) fn listen(
    bind: Option<IpAddr>,
    port: u16,
    listen: fn(IpAddr, u16) -> io::Result<()>,
) -> io::Result<()> {
    let Some(ip) = bind else {
        return match listen(Ipv6Addr::UNSPECIFIED.into(), port) {
            Err(error) if !is_final(&error) => listen(Ipv4Addr::UNSPECIFIED.into(), port),
            outcome => outcome,
        };
    };
    listen(ip, port)
}

fn is_final(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::AddrInUse | ErrorKind::PermissionDenied)
}

fn check_port(protocol: &'static str, port: u16, outcome: io::Result<()>, report: &mut Report) {
    if let Err(cause) = outcome {
        report.exit(&serve::exit(ServeError::Port { protocol, port, cause }));
    }
}

/// What name servers say of a name.
type Verdict = io::Result<()>;

/// Asks for all names at once. Only names are asked for: any port will do.
fn check_names(config: &Config, report: &mut Report) -> Result<(), Exit> {
    let mut names: Vec<[&str; 2]> = Vec::new();
    config.relay_servers.iter().for_each(|name| names.push(["--relay-servers", name]));
    config.public.iter().for_each(|name| names.push(["--public", name]));
    let mut asked = String::new();
    for [_, name] in &names {
        let host = split_port(name).0;
        if host.parse::<IpAddr>().is_err() {
            asked.extend([if asked.is_empty() { "" } else { ", " }, host]);
        }
    }
    if !asked.is_empty() {
        report.flush()?;
        let most = NAMES_SECS_MAX.to_string();
        say_at_terminal(&["asking the name server for ", &asked, ", ", &most, " s at most"]);
    }
    for ([flag, name], verdict) in names.iter().zip(look_up(&names)) {
        let why = match verdict {
            Some(Ok(())) => {
                report.fine(&[flag, " ", name].concat());
                continue;
            }
            None => format!("no name server answers within {NAMES_SECS_MAX} s"),
            Some(Err(error)) => match error.to_string() {
                said if AGAIN.iter().any(|word| holds(&said, word)) => {
                    ["no name server answers: ", &said].concat()
                }
                said => ["the name server does not know it: ", &said].concat(),
            },
        };
        report.problem(ExitReason::Running, &[flag, " ", name, ": ", &why].concat());
    }
    Ok(())
}

/// What is known of each after [`NAMES_SECS_MAX`]; a thread waits for the name server, as it can
/// be told no time.
fn look_up(names: &[[&str; 2]]) -> Vec<Option<Verdict>> {
    let mut found: Vec<Option<Verdict>> = Vec::new();
    found.resize_with(names.len(), || None);
    let found = Arc::new(Mutex::new(found));
    for (number, [_, name]) in names.iter().enumerate() {
        let (found, host) = (Arc::clone(&found), String::from(split_port(name).0));
        let work = move || {
            let verdict = (&*host, PORT).to_socket_addrs().map(drop);
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(place) = found.get_mut(number) {
                *place = Some(verdict);
            }
        };
        // Without a thread nobody answers.
        drop(thread::start("names", WATCH_STACK_BYTES, Box::new(work)));
    }
    let clock = Clock::start();
    loop {
        let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
        let late = clock.now().as_millis() >= NAMES_SECS_MAX * 1000;
        if late || found.iter().all(Option::is_some) {
            return core::mem::take(&mut *found);
        }
        drop(found);
        sleep(LOOK);
    }
}

/// What was set for another server, and means nothing here.
fn check_upstream(config: &Config, report: &mut Report) {
    if let Some(store) = greeting::unused_store(config) {
        let path = store.display();
        report.doubt(&format!("{path} is not read; 'hbb import' takes over the devices in it"));
    }
    let names = greeting::unused_variables();
    if !names.is_empty() {
        report.doubt(&format!(
            "variables that hbb does not read: {names}; give the flags that 'hbb hbbs --help' and \
             MIGRATING.md name in their place"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_finding_decides() {
        let mut report = Report::default();
        report.doubt("a");
        assert_eq!(report.worst, None);
        report.problem(ExitReason::Unusable, "b");
        report.problem(ExitReason::Running, "c");
        report.fine("d");
        assert_eq!((report.worst, report.problems), (Some(ExitReason::Unusable), 2));
        assert_eq!(report.text, "doubt    a\nproblem  b\nproblem  c\nok       d\n");
    }

    #[test]
    fn an_address_that_is_not_ours_cannot_be_listened_on() {
        assert!(!is_ours("192.0.2.1".parse().unwrap()));
        assert!(is_ours(Ipv4Addr::LOCALHOST.into()));
        assert!(listen(None, 0, bind_tcp).is_ok());
    }
}
