//! `serve`: loads key and peers, says what to type into the client, and runs the shell until a
//! signal ends it. Checks: tests/e2e.rs, tests/bad_input.rs.

#[cfg(feature = "accounts")]
use std::fs;
use std::io::ErrorKind;
#[cfg(feature = "accounts")]
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::exit::Exit;
use super::store::{self, STORE_FILE};
use super::{backup, greeting, keygen, rotate};
#[cfg(feature = "accounts")]
use crate::config::ConnectionsTo;
use crate::config::{Config, Role};
use crate::log::{dated, init, show};
use crate::net::clock::unix_secs;
#[cfg(feature = "accounts")]
use crate::net::journal::{Target, file::LogPath};
use crate::net::process::confine::Confinement;
use crate::net::process::crashes::Crashes;
use crate::net::process::files::raise_limit;
use crate::net::process::signal::Reloads;
use crate::net::recall::{self, Keep, Whereabouts};
use crate::net::serve::{Listening, Offering, RendezvousPart, ServeError, Setup, run as run_shell};
use crate::net::session::SessionSettings;
use crate::net::tasks::lasting;
use crate::settings::{self, LiveSettings, RunningSettings};
#[cfg(feature = "accounts")]
use crate::store::Store;
#[cfg(feature = "accounts")]
use hbb_core::accounts::Accounts;
use hbb_core::base::peer::{Record, RecordState};
use hbb_core::base::table::Seed;
use hbb_core::identity::KeyPolicy;
use hbb_core::relay::Relay;
use hbb_core::rendezvous::Rendezvous;
use log::{info, warn};

/// `hbb serve`, or what it does under a name of upstream's.
pub(super) fn run(config: Config, is_named_so: bool) -> Result<(), Exit> {
    init(settings::level(&config), unix_secs);
    backup::finish(&config.data)?;
    let control_folder = config.control.parent().unwrap_or(Path::new("."));
    let store = config.data.join(STORE_FILE);
    // Both before the first thread.
    let log_file = log_file(&config);
    let log_folder = log_file.as_deref().and_then(Path::parent);
    let (mut folders, mut files) = (vec![&*config.data, control_folder], vec![store]);
    folders.extend_from_slice(log_folder.as_slice());
    files.extend_from_slice(log_file.as_slice());
    let confinement = Confinement::begin(&folders, &files);
    let signals = Reloads::take().map_err(|cause| exit(ServeError::System(cause)))?;
    let crashes = Crashes::count(control_folder);
    let stopped = crashes.as_ref().is_some_and(|crashes| crashes.pause(&signals));
    if !stopped {
        serve(config, is_named_so, (confinement, signals))?;
    }
    if let Some(crashes) = crashes {
        crashes.forget();
    }
    Ok(())
}

fn serve(
    config: Config,
    is_named_so: bool,
    (confinement, signals): (Confinement, Reloads),
) -> Result<(), Exit> {
    let mut keys = keygen::policy(&config)?;
    keys.old = rotate::at_start(&config, &keys)?;
    let settings = RunningSettings::new(config.clone(), keys.clone(), raise_limit());
    let settings = settings.map_err(Exit::flags)?;
    let live = settings.live();
    let rendezvous = match config.role {
        Role::Relay => None,
        Role::All | Role::Rendezvous => Some(rendezvous(&config, &keys, &live)?),
    };
    let relay = match config.role {
        Role::Rendezvous => None,
        Role::All | Role::Relay => Some(relay(&config, &keys, &live)?),
    };
    let (ip, role, console) = (config.bind, config.role, config.console);
    let listening = Listening {
        ip,
        ports: config.ports,
        role,
        console,
        #[cfg(feature = "accounts")]
        accounts: config.accounts,
    };
    let sessions = SessionSettings { threads: config.relay_threads, dscp: config.dscp };
    let control = config.control.clone();
    let seed = seed()?;
    #[cfg(feature = "accounts")]
    let connections = connections(&config)?;
    let setup = Setup {
        #[cfg(feature = "accounts")]
        connections,
        listening,
        live,
        rendezvous,
        relay,
        sessions,
        seed,
        settings,
        control,
        confinement,
    };
    let greet = || {
        show(&dated(&greeting::text(&config, &keys), unix_secs()));
        greeting::warn_of(&config);
        greeting::warn_of_upstream(&config, is_named_so);
    };
    run_shell(setup, signals, &greet).map_err(exit)
}

/// The file of the log of connections, if there is one.
fn log_file(config: &Config) -> Option<PathBuf> {
    #[cfg(feature = "accounts")]
    if let ConnectionsTo::File(path) = &config.connections_to {
        return Some(path.clone());
    }
    let _ = config;
    None
}

/// Where asks and sessions are noted; a file is one that can be written.
#[cfg(feature = "accounts")]
pub(super) fn connections(config: &Config) -> Result<Target, Exit> {
    Ok(match &config.connections_to {
        ConnectionsTo::Nowhere => Target::Off,
        ConnectionsTo::Memory => Target::Memory,
        ConnectionsTo::Log => Target::Log,
        ConnectionsTo::File(path) => {
            if is_ours(path, &config.data) {
                let path = path.display();
                return Err(Exit::flags(format!(
                    "--connection-log: {path} is a file that the server itself needs; name another"
                )));
            }
            let opened = LogPath::open(path).map_err(|cause| {
                let path = path.display();
                Exit::flags(format!(
                    "--connection-log: cannot write {path}: {cause}; name a file in a directory \
                     that the server's user may write"
                ))
            });
            Target::File(opened?)
        }
    })
}

/// Whether `path` is, by whatever name, the store, a key, a list or the rules: lines in it, or
/// another file in its place, would be its end.
#[cfg(feature = "accounts")]
fn is_ours(path: &Path, data: &Path) -> bool {
    let number = |path: &Path| fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
    // One that is not there would be in its folder.
    let real = |path: &Path| match number(path) {
        Some(number) => Some((number, None)),
        None => {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            let name = path.file_name()?.to_owned();
            Some((number(parent.unwrap_or(Path::new(".")))?, Some(name)))
        }
    };
    let is_named = |name: &&str| real(&data.join(name)) == real(path);
    is_named(&STORE_FILE) || super::backup::FILES.iter().any(is_named)
}

fn relay(
    config: &Config,
    keys: &KeyPolicy,
    live: &LiveSettings,
) -> Result<&'static mut Relay, Exit> {
    let mut relay = Relay::new(live.limits, keys.enforced.clone(), seed()?);
    relay.set_lists(live.lists.clone());
    relay.set_old_key(keys.old.map(|old| &*old.shown));
    Ok(lasting(match config.role {
        Role::All => relay.beside_rendezvous(),
        Role::Relay | Role::Rendezvous => relay,
    }))
}

/// The machine with every stored peer, and the store.
fn rendezvous(
    config: &Config,
    keys: &KeyPolicy,
    live: &LiveSettings,
) -> Result<RendezvousPart, Exit> {
    let path = config.data.join(STORE_FILE);
    let unusable = |error| store::exit(&path, error);
    let mut store = store::open(&path).map_err(unusable)?;
    let signing = keys.signing.clone();
    let machine = Rendezvous::new(live.limits, live.policy.clone(), signing, seed()?);
    let machine = lasting(machine);
    if config.console {
        machine.keep_journal(seed()?);
    }
    let (mut peers, mut left_out) = (0_usize, 0_usize);
    let mut restore = |record: Record| {
        let registered = matches!(record.state, RecordState::Registered(_));
        match machine.restore(record) {
            true => peers += usize::from(registered),
            false => left_out += 1,
        }
    };
    store.load(&mut restore).map_err(unusable)?;
    if left_out > 0 {
        warn!("peers-left-out count={left_out} limit={} help=--max-peers", config.limits.peers);
    }
    let folder = config.control.parent().unwrap_or(Path::new("."));
    let keep = (!config.quiet_start).then(|| Keep::beside(folder));
    let (left, mut recalled) = (recall::take(keep.as_ref(), store.as_mut()), Vec::new());
    machine.were_away(left.away);
    for Whereabouts { id, at, own } in left.here {
        machine.recall(id, at);
        recalled.push((at, own));
    }
    info!("peers-loaded count={peers} recalled={}", recalled.len());
    let offering = match keys.signing.clone() {
        Some(key) => {
            let keyless = keys.enforced.is_none();
            Some(Offering { key, keyless, old: keys.old, entropy: keygen::entropy()? })
        }
        None => None,
    };
    Ok(RendezvousPart {
        #[cfg(feature = "accounts")]
        accounts: accounts(config, store.as_mut())?,
        #[cfg(feature = "accounts")]
        must_login: config.accounts.must_login,
        machine,
        store,
        offering,
        recalled,
        keep,
    })
}

/// Everybody who has an account, if accounts are on.
#[cfg(feature = "accounts")]
fn accounts(config: &Config, store: &mut dyn Store) -> Result<Option<&'static mut Accounts>, Exit> {
    if !config.accounts.on {
        return Ok(None);
    }
    let accounts = Accounts::new(config.accounts.limits, seed()?, keygen::entropy()?);
    let (accounts, mut rows, mut left_out) = (lasting(accounts), 0_usize, 0_usize);
    let read = store.rows(&mut |key, value| {
        *if accounts.load(key, Some(value)) { &mut rows } else { &mut left_out } += 1;
    });
    read.map_err(|error| store::exit(&config.data.join(STORE_FILE), error))?;
    if left_out > 0 {
        warn!("accounts-left-out rows={left_out}");
    }
    info!("accounts-loaded users={} rows={rows}", accounts.load_now().users);
    Ok(Some(accounts))
}

fn seed() -> Result<Seed, Exit> {
    let [low, high] = [keygen::entropy()?, keygen::entropy()?];
    Ok(Seed(u64::from_le_bytes(low), u64::from_le_bytes(high)))
}

/// A shell that could not start, in the operator's words.
pub(super) fn exit(error: ServeError) -> Exit {
    match error {
        ServeError::Port { protocol, port, cause } if cause.kind() == ErrorKind::AddrInUse => {
            Exit::running(format!(
                "{protocol} port {port} is taken by another program. See which with 'netstat -lnp \
                 | grep {port}' and stop it, or choose another with --port, or the flag of that \
                 port."
            ))
        }
        ServeError::Port { protocol, port, cause } => Exit::running(format!(
            "Cannot listen on {protocol} port {port}: {cause}. Check --bind and the flag of that \
             port; ports below 1024 need the capability net_bind_service."
        )),
        ServeError::System(cause) => Exit::running(format!("Cannot start: {cause}")),
    }
}
