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
    /// The same as this flag of `hbb serve`.
    Flag(&'static str),
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
    /// Nothing, for this reason.
    Nothing(&'static str),
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
            Meaning::Flag(flag) => ["`", flag, "`"].concat(),
            Meaning::PortBelow => "`--relay-port`, which is the one above".into(),
            Meaning::Relayed => "`--always-use-relay`, if it is Y".into(),
            Meaning::Enforced => "`--key _`, if it is 1".into(),
            Meaning::SecretKey => {
                "`--key` with that secret key; beside an empty `KEY` it only signs".into()
            }
            Meaning::Level => "`--log-level`".into(),
            Meaning::Here => "as upstream's".into(),
            Meaning::Nothing(why) => ["nothing: ", why].concat(),
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
    flag("bind", 'b', None, Meaning::Flag("--bind")),
    flag("port", 'p', HBBS, Meaning::Flag("--port")),
    variable("port", HBBR, Meaning::PortBelow),
    flag("relay-port", 'p', HBBR, Meaning::Flag("--relay-port")),
    flag("config", 'c', HBBS, Meaning::Here),
    variable("relay", HBBS, Meaning::Flag("--relay-servers")),
    flag("relay-servers", 'r', HBBS, Meaning::Flag("--relay-servers")),
    flag("mask", 'm', HBBS, Meaning::Flag("--mask")),
    variable("local-ip", HBBS, Meaning::Flag("--local-ip")),
    flag("key", 'k', None, Meaning::Flag("--key")),
    variable("encrypted-only", None, Meaning::Enforced),
    variable("key-priv", None, Meaning::SecretKey),
    variable("key-pub", None, Meaning::Nothing("it follows from KEY_PRIV or id_ed25519")),
    variable("max-peers", HBBS, Meaning::Flag("--max-peers")),
    variable("always-use-relay", HBBS, Meaning::Relayed),
    variable("total-bandwidth", HBBR, Meaning::Flag("--total-bandwidth")),
    variable("single-bandwidth", HBBR, Meaning::Flag("--single-bandwidth")),
    variable("limit-speed", HBBR, Meaning::Flag("--limit-speed")),
    variable("downgrade-threshold", HBBR, Meaning::Flag("--downgrade-threshold")),
    variable("downgrade-start-check", HBBR, Meaning::Flag("--downgrade-start-check")),
    variable("rust-log", None, Meaning::Level),
    variable("db-url", HBBS, Meaning::Here),
    variable("max-database-connections", HBBS, Meaning::Nothing("there is no SQLite here")),
    variable("test-hbbs", HBBS, Meaning::Nothing("it never tests itself")),
    flag("rmem", 'M', HBBS, Meaning::Nothing("as much is taken as the system gives")),
    flag("serial", 's', HBBS, Meaning::Nothing("no client of today asks for it")),
    flag("software-url", 'u', HBBS, Meaning::Nothing("no client of today asks for it")),
    flag("rendezvous-servers", 'R', HBBS, Meaning::Nothing("no client of today asks for it")),
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
