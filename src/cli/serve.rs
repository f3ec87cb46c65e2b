//! The flags of `serve`, which `check` takes as well.

#![allow(rustdoc::broken_intra_doc_links, rustdoc::bare_urls)] // help texts, for a terminal

use core::fmt;

#[cfg(feature = "testing")]
use argh::ArgsInfo;
use argh::{CommandInfo, EarlyExit, FromArgs, SubCommand};

/// Run the ID server and the relay, in the foreground.
#[derive(FromArgs, Default)]
#[cfg_attr(feature = "testing", derive(ArgsInfo))]
#[argh(
    subcommand,
    name = "serve",
    help_triggers("-h", "--help", "help"),
    usage = "[<flags>]",
    example = "{command_name} --data /etc/hbb --public rd.example.org",
    example = "{command_name} --flags /etc/hbb/flags --log-level debug",
    example = "{command_name} --role relay --key 'PUBLIC KEY OF THE ID SERVER'",
    note = "Open TCP 21114 to 21119 and UDP 21116 in the firewall; with another --port they move.",
    note = "TEXT of --key:",
    note = "  _ or -       clients must show the public key of the key files; the default",
    note = "  (--key=)     sign with the key files, but serve clients that show no key",
    note = "  a secret key as in id_ed25519: sign with it; clients must show its public half",
    note = "  other text   clients must show this text; nothing is signed or encrypted (fit for a",
    note = "               relay alone)",
    note = "FILE of --flags holds the same flags, one per line, and # comments:",
    note = "  --public rd.example.org",
    note = "  --max-peers 4096",
    note = "  --key=",
    note = "The command line overrides the file. SIGHUP reads the file again."
)]
pub struct ServeFlags {
    /// DIR with the key files and the peers; the working directory if not given
    #[argh(option)]
    pub data: Option<String>,
    /// FILE with more flags, see below
    #[argh(option)]
    pub flags: Option<String>,
    /// PATH of the socket for 'hbb ctl'; hbb.sock in the directory of --data if not given
    #[argh(option)]
    pub control: Option<String>,
    /// name or number of the user to become, if started as root; on the command line alone
    #[argh(option)]
    pub user: Option<String>,
    /// IP address to listen on; all of IPv6 and IPv4 if not given
    #[argh(option)]
    pub bind: Option<String>,
    /// port of the ID server, 3 to 65532 (21116); the two below and the two above go with it
    #[argh(option)]
    pub port: Option<String>,
    /// port of the relay (--port + 1); the second port above it is for browsers
    #[argh(option)]
    pub relay_port: Option<String>,
    /// serve everything on --port alone: ID server, relay, WebSocket; needs --public or
    /// --relay-servers
    #[argh(switch)]
    pub single_port: bool,
    /// leave TCP --port - 2 to an API server; if not given, clients that look for one there are
    /// told that there is none
    #[argh(switch)]
    pub no_api_port: bool,
    /// answer upstream's console commands on --port - 1 and the relay's port, from this machine
    /// alone; 'h' lists them
    #[argh(switch)]
    pub console: bool,
    /// proxies trusted to say where their clients are: ADDRESS[/BITS],... (127.0.0.0/8,::1)
    #[argh(option)]
    pub trusted_proxies: Option<String>,
    /// header in which they tell it to WebSockets: x-real-ip or x-forwarded-for (x-real-ip)
    #[argh(option)]
    pub proxy_header: Option<String>,
    /// they begin every other TCP connection with the PROXY protocol, version 1 or 2
    #[argh(switch)]
    pub proxy_protocol: bool,
    /// relays that clients are told to use: HOST[:PORT],HOST[:PORT]... (this one)
    #[argh(option)]
    pub relay_servers: Option<String>,
    /// TEXT that says which key to sign with and what clients must show, see below
    #[argh(option)]
    pub key: Option<String>,
    /// FILE with the secret key, elsewhere than in --data; it is read and never written
    #[argh(option)]
    pub key_file: Option<String>,
    /// local network such as 192.168.0.0/16 whose members connect directly, where the interfaces
    /// do not tell it; needs --local-ip
    #[argh(option)]
    pub mask: Option<String>,
    /// IP address of this machine in the network of --mask
    #[argh(option)]
    pub local_ip: Option<String>,
    /// send all sessions through the relay
    #[argh(switch)]
    pub always_use_relay: bool,
    /// what to run: all, rendezvous (the ID server alone) or relay (all)
    #[argh(option)]
    pub role: Option<String>,
    /// HOST by which clients reach this machine: a name or an IP address
    #[argh(option)]
    pub public: Option<String>,
    /// FILE that says who may connect to whom; rules.conf in the directory of --data if not given
    #[cfg(feature = "accounts")]
    #[argh(option)]
    pub rules: Option<String>,
    /// let no device register that 'hbb ctl approve' did not let in
    #[cfg(feature = "accounts")]
    #[argh(switch)]
    pub private: bool,
    /// serve what clients ask an API server for: users, logins, address books; see 'hbb ctl'
    #[cfg(feature = "accounts")]
    #[argh(switch)]
    pub accounts: bool,
    /// answer that by HTTP on [IP:]PORT too, such as 21114; if not given, sealed on --port alone
    #[cfg(feature = "accounts")]
    #[argh(option)]
    pub api: Option<String>,
    /// a page for administrators on [IP:]PORT, such as 8114; without IP for private addresses alone
    #[cfg(feature = "web")]
    #[argh(option)]
    pub web: Option<String>,
    /// let only users connect who are logged in; needs --accounts
    #[cfg(feature = "accounts")]
    #[argh(switch)]
    pub must_login: bool,
    /// most users, 1 to 4096 (64)
    #[cfg(feature = "accounts")]
    #[argh(option)]
    pub max_users: Option<String>,
    /// memory that it takes to check a password, in MiB, 4 to 64 (7)
    #[cfg(feature = "accounts")]
    #[argh(option)]
    pub password_memory: Option<String>,
    /// most registered devices, 1 to 131072 (1024)
    #[argh(option)]
    pub max_peers: Option<String>,
    /// most connections beside relayed sessions, 1 to 16384 (256)
    #[argh(option)]
    pub max_connections: Option<String>,
    /// most relayed sessions, 1 to 4096 (32)
    #[argh(option)]
    pub max_sessions: Option<String>,
    /// key registrations from one address (a network has four times it) per minute, 1 to 65535 (32)
    #[argh(option)]
    pub registrations_per_minute: Option<String>,
    /// new devices from one address (a network has four times it) per day, 1 to 65535 (300)
    #[argh(option)]
    pub new_peers_per_day: Option<String>,
    /// days after which an absent device gives way to a new one if --max-peers are registered,
    /// 0 to 65535; its ID is free then (0: never)
    #[argh(option)]
    pub forget_after: Option<String>,
    /// most MiB that registrations may write to flash in a day, 0 to 65535; beyond it they wait
    /// (8; 0: no limit)
    #[argh(option)]
    pub writes_per_day: Option<String>,
    /// after a start, ask no device to register that was here when the server stopped: each comes
    /// by itself, within 15 s
    #[argh(switch)]
    pub quiet_start: bool,
    /// threads for relayed sessions: 1 shares the main thread, auto is one per core (1)
    #[argh(option)]
    pub relay_threads: Option<String>,
    /// mark relayed traffic with this DSCP, 0 to 63, such as 34 for AF41 (no mark)
    #[argh(option)]
    pub dscp: Option<String>,
    /// speed of all relayed sessions together in Mb/s, 1 Mb being 1048576 bits (1024)
    #[argh(option)]
    pub total_bandwidth: Option<String>,
    /// speed of one session in Mb/s, both directions together (128)
    #[argh(option)]
    pub single_bandwidth: Option<String>,
    /// speed of one session of a blacklisted address or after a downgrade, in Mb/s (32)
    #[argh(option)]
    pub limit_speed: Option<String>,
    /// part of --single-bandwidth; a session that uses more on average is downgraded (0.66)
    #[argh(option)]
    pub downgrade_threshold: Option<String>,
    /// seconds before a session may be downgraded (1800)
    #[argh(option)]
    pub downgrade_start_check: Option<String>,
    /// who asked for whom, for 'hbb ctl log': memory, off, log (log lines too) or a FILE too
    /// (memory)
    #[cfg(feature = "accounts")]
    #[argh(option)]
    pub connection_log: Option<String>,
    /// error, warn, info, debug or, in debug builds, trace (info)
    #[argh(option)]
    pub log_level: Option<String>,
}

/// Hides the values: one of them may be a secret key.
impl fmt::Debug for ServeFlags {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("ServeFlags").finish_non_exhaustive()
    }
}

/// The flags of `serve`, given to `check`.
#[derive(Debug)]
pub struct CheckFlags(pub Box<ServeFlags>);

impl FromArgs for CheckFlags {
    fn from_args(command_name: &[&str], args: &[&str]) -> Result<Self, EarlyExit> {
        match ServeFlags::from_args(command_name, args) {
            Ok(flags) => Ok(Self(Box::new(flags))),
            Err(EarlyExit { status: Ok(()), .. }) => {
                Err(EarlyExit { output: CHECK_HELP.into(), status: Ok(()) })
            }
            Err(wrong) => Err(wrong),
        }
    }
}

impl SubCommand for CheckFlags {
    const COMMAND: &'static CommandInfo = &CommandInfo {
        name: "check",
        short: &'\0',
        description: "Look for mistakes without starting anything.",
    };
}

#[cfg(feature = "testing")]
impl ArgsInfo for CheckFlags {
    fn get_args_info() -> argh::CommandInfoWithArgs {
        let CommandInfo { name, short, description } = *Self::COMMAND;
        argh::CommandInfoWithArgs { name, short, description, ..ServeFlags::get_args_info() }
    }
}

pub(super) const CHECK_HELP: &str = "\
Usage: hbb check [<flags of 'hbb serve'>]

Look for mistakes in flags, key files, store, ports and names, and list them
all. Nothing is started or changed.

Examples:
  hbb check --flags /etc/hbb/flags
  hbb check --data /etc/hbb --port 21116

Notes:
  Run it as the user that the server runs as, while the server is stopped: the
  ports it holds are reported as taken, with exit code 1.
  The exit code is that of the worst finding, see 'hbb --help'.
";
