//! The words of a command line as argh takes them. Checks: below, tests/cli.rs.

/// `--name=value` as two words, and a lone dash where a file may stand behind what ends the flags.
pub(super) fn split<'a>(args: &[&'a str]) -> Vec<&'a str> {
    let mut words = Vec::with_capacity(args.len());
    for &arg in args {
        match arg.split_once('=').filter(|(name, _)| is_flag(name)) {
            Some((name, value)) => words.extend([name, value]),
            None => words.push(arg),
        }
    }
    // argh takes a dash for a flag unless it stands last, behind what ends the flags.
    if let Some(at) = words.iter().skip(1).position(|word| *word == "-").filter(|_| has_file(args))
    {
        words.remove(at + 1);
        words.extend(["--", "-"]);
    }
    words
}

fn has_file(args: &[&str]) -> bool {
    matches!(args, ["backup" | "restore" | "import", ..])
}

fn is_flag(text: &str) -> bool {
    let name = text.strip_prefix("--").unwrap_or_default();
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_split_at_the_first_equals_of_a_flag() {
        assert_eq!(
            split(&["--key=a=b", "c=d", "--=", "-k=v"]),
            ["--key", "a=b", "c=d", "--=", "-k=v"]
        );
        assert_eq!(split(&["backup", "-", "--data", "d"]), ["backup", "--data", "d", "--", "-"]);
    }
}
