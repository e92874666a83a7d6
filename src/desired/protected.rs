//! Names of resources that no run changes.

use regex::Regex;

use super::DesiredError;

/// Regular expressions for the names of protected orgs, spaces and apps.
#[derive(Debug, Clone, Default)]
pub(super) struct Protected {
    pub(super) patterns: Vec<String>,
    compiled: Vec<Regex>,
}

impl PartialEq for Protected {
    fn eq(&self, other: &Self) -> bool {
        self.patterns == other.patterns
    }
}

impl Protected {
    /// Compiles the patterns.
    pub(super) fn compile(&mut self) -> Result<(), DesiredError> {
        let patterns = self.patterns.iter();
        let compiled = patterns.map(|pattern| {
            // A pattern matches whole names.
            Regex::new(&format!("^(?:{pattern})$")).map_err(|error| DesiredError::Value {
                subject: "`protected`".to_owned(),
                value: format!("the pattern {pattern}"),
                reason: reason(&error),
            })
        });
        self.compiled = compiled.collect::<Result<_, _>>()?;
        Ok(())
    }

    /// The pattern that one of the names matches.
    pub(super) fn pattern_of(&self, names: &[&str]) -> Option<&str> {
        let mut patterns = self.compiled.iter().zip(&self.patterns);
        let found = patterns.find(|(regex, _)| names.iter().any(|name| regex.is_match(name)));
        found.map(|(_, pattern)| pattern.as_str())
    }
}

/// The last line of the error, which explains it. The other lines show the pattern.
fn reason(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.trim_start_matches("error: ").to_owned()
}
