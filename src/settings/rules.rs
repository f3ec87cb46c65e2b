//! The file of rules: who may dial whom. It counts whole or not at all, as a line that is left out
//! is somebody who is let in. Checks: C183 in tests/conformance, tests/rules.rs.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

use hbb_core::base::limits::RULES_BYTES_MAX;
use hbb_core::rules::Rules;

use crate::config::Config;
use crate::file::read_text;

/// The rules in the data directory, if no other file is named.
const RULES_FILE: &str = "rules.conf";

/// The rules with their text.
pub struct RulesFile {
    /// What it says; no rules if there is no file.
    pub rules: Rules,
    path: PathBuf,
    text: Option<String>,
}

impl RulesFile {
    /// Reads the file that the settings name, or the one in the data directory, if there is one.
    ///
    /// # Errors
    /// What is wrong, naming file and line: at most 100 texts.
    pub fn read(config: &Config) -> Result<Self, Vec<String>> {
        let usual = config.data.join(RULES_FILE);
        let path = config.rules.clone().unwrap_or(usual);
        let name = path.display();
        let text = match read_text(&path, RULES_BYTES_MAX as u64) {
            // A link that leads nowhere is no empty file: its disk may not be mounted.
            Err(error)
                if error.kind() == ErrorKind::NotFound
                    && config.rules.is_none()
                    && path.symlink_metadata().is_err() =>
            {
                return Ok(Self { rules: Rules::default(), path, text: None });
            }
            text => text.map_err(|cause| vec![format!("Cannot read {name}: {cause}")])?,
        };
        let named = |fault: String| [&name.to_string(), " ", &fault].concat();
        let rules = Rules::parse(&text)
            .map_err(|faults| faults.into_iter().map(named).collect::<Vec<_>>())?;
        Ok(Self { rules, path, text: Some(text) })
    }

    /// The same for a server: None where nothing is to be asked.
    ///
    /// # Errors
    /// As for [`Self::read`].
    pub(super) fn in_force(config: &Config) -> Result<Option<Arc<Rules>>, Vec<String>> {
        let rules = Self::read(config)?.rules;
        Ok((!rules.is_empty()).then(|| Arc::new(rules)))
    }

    /// What there is, in a line.
    pub fn summary(&self) -> String {
        let path = self.path.display();
        match self.rules.len() {
            _ if self.text.is_none() => format!("There is no {path}: everybody may dial.\n"),
            1 => format!("{path} is well, with 1 rule.\n"),
            many => format!("{path} is well, with {many} rules.\n"),
        }
    }

    /// The line of that number, from 1.
    pub fn line(&self, number: u32) -> &str {
        let before = usize::try_from(number).unwrap_or(usize::MAX).saturating_sub(1);
        self.text.as_deref().and_then(|text| text.lines().nth(before)).unwrap_or_default().trim()
    }
}
