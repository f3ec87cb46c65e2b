//! The flags of `doctor`. Must not know what is asked of a server. Checks: tests/doctor/main.rs.

#![allow(rustdoc::broken_intra_doc_links, rustdoc::bare_urls)] // help texts, for a terminal

#[cfg(feature = "testing")]
use argh::ArgsInfo;
use argh::FromArgs;

/// Try a server from another machine, as clients would.
#[derive(FromArgs, Debug)]
#[cfg_attr(feature = "testing", derive(ArgsInfo))]
#[argh(
    subcommand,
    name = "doctor",
    help_triggers("-h", "--help", "help"),
    usage = "HOST [<flags>]",
    example = "{command_name} rd.example.org --key 'PUBLIC KEY OF THE SERVER'",
    example = "{command_name} rd.example.org --ws http://rd.example.org --json",
    note = "Every address of HOST is tried, IPv4 and IPv6. Nothing is registered, and nothing",
    note = "stays at the server but lines of its log. What is closed is named, with who must open",
    note = "it.",
    note = "Names of checks: dns, tcp, nat, udp, key, signed, relay, websocket, websocket-relay,",
    note = "proxy, proxy-relay, api, clock, hairpin.",
    note = "The exit code is 0 if all is well, 1 if something is wrong, 2 if a flag is."
)]
pub struct DoctorFlags {
    /// KEY that clients enter, as 'hbb export' prints it
    #[argh(option)]
    pub key: Option<String>,
    /// port of the ID server (21116)
    #[argh(option)]
    pub port: Option<String>,
    /// relays that clients are told, HOST[:PORT],... (HOST, at --port + 1)
    #[argh(option)]
    pub relay: Option<String>,
    /// the server has --single-port
    #[argh(switch)]
    pub single_port: bool,
    /// ID of a device that is online: asks for it, to see the server's signature and which relay
    /// it is told
    #[argh(option)]
    pub id: Option<String>,
    /// URL of the proxy that clients in WebSocket mode reach, http:// or ws://; with https:// or
    /// wss:// no more is tried than whether its port is open
    #[argh(option)]
    pub ws: Option<String>,
    /// URL of the API server (http://HOST, at --port - 2)
    #[argh(option)]
    pub api: Option<String>,
    /// names of checks to leave out, NAME,...
    #[argh(option)]
    pub skip: Option<String>,
    /// this machine is in the server's network: say whether the router leads its public address
    /// back inside (hairpin NAT)
    #[argh(switch)]
    pub from_inside: bool,
    /// SECONDS to wait for each answer, 1 to 60 (3); all of it takes four times as long at most
    #[argh(option)]
    pub timeout: Option<String>,
    /// answer in JSON
    #[argh(switch)]
    pub json: bool,
    /// name or address of the server
    #[argh(positional, hidden_help)]
    pub host: String,
}
