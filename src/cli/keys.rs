//! The flags of the commands that make the key and print it for clients. Checks: tests/cli.rs.

#![allow(rustdoc::broken_intra_doc_links, rustdoc::bare_urls)] // help texts, for a terminal

#[cfg(feature = "testing")]
use argh::ArgsInfo;
use argh::FromArgs;

/// Make or replace the server's key.
#[derive(FromArgs, Debug, Default)]
#[cfg_attr(feature = "testing", derive(ArgsInfo))]
#[argh(
    subcommand,
    name = "keygen",
    help_triggers("-h", "--help", "help"),
    usage = "[<flags>]",
    example = "{command_name} --data /etc/hbb",
    example = "{command_name} --print",
    note = "The files are id_ed25519 (secret) and id_ed25519.pub (for clients). 'hbb serve' makes",
    note = "them at its first start. After a change every client needs the new public key."
)]
pub struct KeygenFlags {
    /// DIR to write to; the working directory if not given
    #[argh(option)]
    pub data: Option<String>,
    /// print a new pair and write nothing
    #[argh(switch)]
    pub print: bool,
    /// replace an existing pair; the old files are kept, with their date in the name
    #[argh(switch)]
    pub force: bool,
    /// replace the pair, and serve clients with the old key too for a while, so that they can be
    /// told the new one in turn; restart hbb then
    #[argh(switch)]
    pub rotate: bool,
    /// with --rotate: the old key is good for so many DAYS (30)
    #[argh(option)]
    pub days: Option<String>,
    /// have the old key end now; reload hbb then
    #[argh(switch)]
    pub end_rotation: bool,
}

/// Print what clients need, to type, import or scan.
#[derive(FromArgs, Debug, Default)]
#[cfg_attr(feature = "testing", derive(ArgsInfo))]
#[argh(
    subcommand,
    name = "export",
    help_triggers("-h", "--help", "help"),
    usage = "[<flags>]",
    example = "{command_name} --data /etc/hbb --host rd.example.org",
    example = "{command_name} --flags /etc/hbb/flags --format qr",
    example = "rustdesk --config \"$({command_name} --data . --host 192.0.2.10 --format string)\"",
    note = "Formats: text to type, string to import, qr to scan, exe for a Windows file name,",
    note = "toml for RustDesk2.toml, server-conf for that with the string as a comment, json;",
    note = "all of them, explained, if not given."
)]
pub struct ExportFlags {
    /// HOST by which clients reach this server; --public of the flags file if not given; again
    /// for each other name of it, the first for most clients
    #[argh(option)]
    pub host: Vec<String>,
    /// the same as --host
    #[argh(option, hidden_help)]
    pub public: Option<String>,
    /// port of the ID server (21116)
    #[argh(option)]
    pub port: Option<String>,
    /// relay to name, HOST[:PORT]; not needed if it is this server
    #[argh(option)]
    pub relay: Option<String>,
    /// address of an API server to name, such as https://rd.example.org
    #[argh(option)]
    pub api: Option<String>,
    /// print the registered devices instead, as lines that 'hbb import' reads; a server that runs
    /// is asked for them, as its user or as root
    #[argh(switch)]
    pub peers: bool,
    /// text, string, qr, exe, server-conf, toml or json
    #[argh(option)]
    pub format: Option<String>,
    /// write server.conf, RustDesk2.toml, import.txt, exe-name.txt and key into DIR instead
    #[argh(option)]
    pub write: Option<String>,
    /// DIR with the key files; the working directory if not given
    #[argh(option)]
    pub data: Option<String>,
    /// FILE with the secret key, if it is not in --data
    #[argh(option)]
    pub key_file: Option<String>,
    /// FILE of 'hbb serve --flags' to take from it what is not given here
    #[argh(option)]
    pub flags: Option<String>,
}
