//! Every word that upstream's programs take, and what becomes of it: the one list, from which
//! `--help` and the table in MIGRATING.md are made. `MAX_PEERS` is ours: upstream's has no such
//! bound, and who reaches it must have a way on under that name too.

/// One of upstream's programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// The ID server.
    Hbbs,
    /// The relay.
    Hbbr,
    /// `rustdesk-utils`: keys.
    Keys,
}

impl Program {
    /// As it is called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hbbs => "hbbs",
            Self::Hbbr => "hbbr",
            Self::Keys => "rustdesk-utils",
        }
    }
}

/// What becomes of a word here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The same as the flag of `hbb serve` that is named so.
    Flag,
    /// `--relay-servers`.
    Relays,
    /// The relay's port is the one above.
    PortBelow,
    /// Y: `--always-use-relay`.
    Relayed,
    /// 1: clients must show the key.
    Enforced,
    /// The secret key, in place of the key files.
    SecretKey,
    /// `--log-level`.
    Level,
    /// It is used while the words are read.
    Here,
    /// Nothing.
    Nothing(Why),
}

/// Why a word means nothing here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is no secret.
    Follows,
    /// SQLite's connections.
    NoSqlite,
    /// A server that asks itself.
    NoTest,
    /// Sizes of buffers.
    Given,
    /// What old clients asked for.
    Unasked,
}

impl Why {
    /// A part of a sentence.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Follows => "it follows from KEY_PRIV or id_ed25519",
            Self::NoSqlite => "there is no SQLite here",
            Self::NoTest => "it never tests itself",
            Self::Given => "as much is taken as the system gives",
            Self::Unasked => "no client of today asks for it",
        }
    }
}

/// A flag, a variable or both.
#[derive(Clone, Copy, Debug)]
pub struct Word {
    /// In lower case, with `-` between its parts; as a variable, in upper case with `_`.
    pub name: &'static str,
    /// The letter of the flag; None if it is a variable alone.
    pub letter: Option<char>,
    /// Whose it is; None: of both servers.
    pub of: Option<Program>,
    /// Whether a value follows the flag.
    pub has_value: bool,
    /// What becomes of it.
    pub meaning: Meaning,
}

impl Word {
    /// Whether this program takes it.
    pub fn is_of(&self, program: Program) -> bool {
        self.of.is_none_or(|of| of == program)
    }

    /// Its name as a flag.
    pub(super) fn flag(&self) -> &'static str {
        if self.name == "relay-port" { "port" } else { self.name }
    }

    /// Its name as a variable.
    pub fn variable(&self) -> String {
        self.name.to_ascii_uppercase().replace('-', "_")
    }

    /// What becomes of it, in words.
    pub fn fate(&self) -> String {
        match self.meaning {
            Meaning::Flag => ["`--", self.name, "`"].concat(),
            Meaning::Relays => "`--relay-servers`".into(),
            Meaning::PortBelow => "`--relay-port`, which is the one above".into(),
            Meaning::Relayed => "`--always-use-relay`, if it is Y".into(),
            Meaning::Enforced => "`--key _`, if it is 1".into(),
            Meaning::SecretKey => {
                "`--key` with that secret key; beside an empty `KEY` it only signs".into()
            }
            Meaning::Level => "`--log-level`".into(),
            Meaning::Here => "as upstream's".into(),
            Meaning::Nothing(why) => ["nothing: ", why.text()].concat(),
        }
    }
}

const HBBS: Option<Program> = Some(Program::Hbbs);
const HBBR: Option<Program> = Some(Program::Hbbr);

const fn flag(name: &'static str, letter: char, of: Option<Program>, meaning: Meaning) -> Word {
    Word { name, letter: Some(letter), of, has_value: true, meaning }
}

const fn switch(name: &'static str, letter: char, of: Option<Program>) -> Word {
    Word { name, letter: Some(letter), of, has_value: false, meaning: Meaning::Here }
}

const fn variable(name: &'static str, of: Option<Program>, meaning: Meaning) -> Word {
    Word { name, letter: None, of, has_value: true, meaning }
}

/// Later ones are obeyed after earlier ones.
pub const WORDS: &[Word] = &[
    flag("bind", 'b', None, Meaning::Flag),
    flag("port", 'p', HBBS, Meaning::Flag),
    variable("port", HBBR, Meaning::PortBelow),
    flag("relay-port", 'p', HBBR, Meaning::Flag),
    flag("config", 'c', HBBS, Meaning::Here),
    variable("relay", HBBS, Meaning::Relays),
    flag("relay-servers", 'r', HBBS, Meaning::Flag),
    flag("mask", 'm', HBBS, Meaning::Flag),
    variable("local-ip", HBBS, Meaning::Flag),
    flag("key", 'k', None, Meaning::Flag),
    variable("encrypted-only", None, Meaning::Enforced),
    variable("key-priv", None, Meaning::SecretKey),
    variable("key-pub", None, Meaning::Nothing(Why::Follows)),
    variable("max-peers", HBBS, Meaning::Flag),
    variable("always-use-relay", HBBS, Meaning::Relayed),
    variable("total-bandwidth", HBBR, Meaning::Flag),
    variable("single-bandwidth", HBBR, Meaning::Flag),
    variable("limit-speed", HBBR, Meaning::Flag),
    variable("downgrade-threshold", HBBR, Meaning::Flag),
    variable("downgrade-start-check", HBBR, Meaning::Flag),
    variable("rust-log", None, Meaning::Level),
    variable("db-url", HBBS, Meaning::Here),
    variable("max-database-connections", HBBS, Meaning::Nothing(Why::NoSqlite)),
    variable("test-hbbs", HBBS, Meaning::Nothing(Why::NoTest)),
    flag("rmem", 'M', HBBS, Meaning::Nothing(Why::Given)),
    flag("serial", 's', HBBS, Meaning::Nothing(Why::Unasked)),
    flag("software-url", 'u', HBBS, Meaning::Nothing(Why::Unasked)),
    flag("rendezvous-servers", 'R', HBBS, Meaning::Nothing(Why::Unasked)),
    switch("generate", 'g', HBBS),
    switch("help", 'h', None),
    switch("version", 'V', None),
];

/// What `--help` prints.
pub(super) fn help(program: Program) -> String {
    let name = program.name();
    let mut text = [
        "Usage: ",
        name,
        " [<flags>]\n\nThis is hbb under the name of ",
        name,
        ": it takes that program's flags, variables, .env\nand files in the working directory, and \
         serves with what they mean here.\n\nFlags:\n",
    ]
    .concat();
    let mut variables = String::from(
        "\nVariables, also in .env, beside one for each flag with a value, such as KEY:\n",
    );
    for word in WORDS.iter().filter(|word| word.is_of(program)) {
        let (part, name) = match word.letter {
            None => (&mut variables, word.variable()),
            Some(letter) => (&mut text, format!("-{letter}, --{}", word.flag())),
        };
        part.push_str(&format!("  {name:<26} {}\n", word.fate().replace('`', "")));
    }
    text + &variables + "\nAll that hbb itself can do: hbb serve --help\n"
}
