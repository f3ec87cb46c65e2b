//! What this program does under a name of upstream's: it serves as that program would, with the
//! devices of its database, or makes and checks key pairs. Checks: tests/upstream/.

use std::path::Path;

use super::exit::{Exit, print};
use super::greeting::DATABASE;
use super::store::STORE_FILE;
use super::{check, import, rotate, serve};
use crate::cli::{self, Command, ImportFlags, KeygenFlags, ServeFlags};
use crate::config::Config;
use crate::net::serve::ServeError;
use crate::settings;
use crate::upstream::{Asked, Program, told};
use hbb_core::identity::ServerKey;

const KEYS_USAGE: &str = "\
Usage: rustdesk-utils genkeypair
       rustdesk-utils validatekeypair PUBLIC_KEY SECRET_KEY
       rustdesk-utils doctor HOST [flags of 'hbb doctor']
";

/// Runs `program` with `args` and these variables of the environment.
///
/// # Errors
/// As `hbb serve` and `hbb keygen`.
pub fn run(program: Program, args: &[&str], variables: &[(String, String)]) -> Result<(), Exit> {
    if program == Program::Keys {
        return keys(args);
    }
    let mut notes = String::new();
    let note = &mut |text: &str| notes.extend([program.name(), ": ", text, "\n"]);
    let asked = program.read(args, variables, note).map_err(Exit::flags)?;
    let (given, database) = match asked {
        Asked::Text(text) => return print(&text),
        Asked::Keygen => return rotate::run(&KeygenFlags::default()),
        Asked::Serve { words, database } => (words, database),
    };
    let mut words = Vec::new();
    given.iter().for_each(|[word, _]| words.push(word.as_str()));
    let Ok(Command::Serve(flags)) = cli::parse(&words) else {
        return Err(Exit::flags([program.name(), ": these words cannot be told to hbb"].concat()));
    };
    print(&notes)?;
    serve(program, *flags, database.as_deref()).map_err(|exit| {
        let said = exit.message().trim_end();
        Exit::new(exit.reason(), [said, &told(program, said, &given)].concat())
    })
}

fn serve(program: Program, flags: ServeFlags, database: Option<&str>) -> Result<(), Exit> {
    let config = settings::read(flags).map_err(Exit::flags)?;
    if program == Program::Hbbs {
        take_over(&config, database)?;
    }
    serve::run(config, true)
}

/// At the first start, where there is no store of ours yet, takes what `DB_URL` names or the usual
/// one, if it is there. Not while its server may still run, which learns more then.
fn take_over(config: &Config, url: Option<&str>) -> Result<(), Exit> {
    if Path::new(STORE_FILE).exists() {
        return Ok(());
    }
    if let Some(port) = config.ports.udp(config.role) {
        let taken = |cause| serve::exit(ServeError::Port { protocol: "UDP", port, cause });
        check::listen(config.bind, port, check::bind_udp).map_err(taken)?;
    }
    let file = url.map_or(DATABASE, file_of);
    if Path::new(file).is_file() {
        let file = Some(file.to_owned());
        return import::run(&ImportFlags { data: None, merge: None, dry_run: false, file });
    }
    match url {
        Some(_) => print(
            &["hbbs: there is no ", file, ", which DB_URL names, so no device is known yet\n"]
                .concat(),
        ),
        None => Ok(()),
    }
}

/// The file in a URL such as `sqlite://db_v2.sqlite3?mode=rwc`, or what is no URL.
fn file_of(url: &str) -> &str {
    let file = url.strip_prefix("sqlite:").map(|file| file.strip_prefix("//").unwrap_or(file));
    file.map_or(url, |file| file.split('?').next().unwrap_or(file))
}

/// `rustdesk-utils`.
fn keys(args: &[&str]) -> Result<(), Exit> {
    match args {
        ["genkeypair"] => rotate::run(&KeygenFlags { print: true, ..KeygenFlags::default() }),
        ["validatekeypair", public, secret] => match ServerKey::parse(secret) {
            Ok(key) if key.public_text() == *public => print("Key pair is VALID\n"),
            Ok(_) => Err(Exit::running("The secret key belongs to another public key")),
            Err(why) => Err(Exit::running(format!("The secret key: {why}"))),
        },
        // A program without it says so.
        ["doctor", _, ..] => super::start(args),
        ["-h" | "--help" | "help"] => print(KEYS_USAGE),
        ["-V" | "--version"] => print(cli::VERSION),
        _ => Err(Exit::running(KEYS_USAGE)),
    }
}
