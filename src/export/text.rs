//! The comments of an exported spec.

use super::secrets::SecretVariable;

/// The line of an app that is stopped: no other line of a spec is like it.
const STOPPED: &str = "      state: stopped";

/// What an exported spec says beside what exists.
#[derive(Debug)]
pub(super) struct Comments<'a> {
    /// What was exported, such as `org o`.
    pub(super) what: &'a str,
    pub(super) is_seed: bool,
    /// Of each app that is stopped in the spec, in order: whether it runs, and is stopped
    /// because the spec lacks its bits.
    pub(super) stopped: &'a [bool],
    pub(super) variables: &'a [SecretVariable],
    pub(super) warnings: &'a [String],
}

impl Comments<'_> {
    pub(super) fn add_to(&self, spec: &str) -> String {
        let mut lines: Vec<String> = Vec::new();
        let by = "written by `cf-pusher export`";
        lines.push(match self.is_seed {
            true => format!("# A seed of mock-capi like {}, {by} --as-seed.", self.what),
            false => format!("# The spec of {}, {by}.", self.what),
        });
        let lacking = self.stopped.iter().filter(|lacks| **lacks).count();
        if lacking > 0 {
            let (apps, them) = match lacking {
                1 => ("1 app runs".to_owned(), "it"),
                count => (format!("{count} apps run"), "them"),
            };
            lines.push(format!(
                "# {apps}, but the spec has no bits, so applying it stops {them}: give a `path`, or export with --bits DIR."
            ));
        }
        lines.extend(
            self.warnings
                .iter()
                .map(|it| format!("# Not in here: {it}.")),
        );
        let mut stopped = self.stopped.iter();
        lines.extend(spec.lines().map(|line| {
            let lacks_bits = line == STOPPED && stopped.next() == Some(&true);
            match lacks_bits {
                true => format!("{line} # it runs, but its bits are not in here"),
                false => line.to_owned(),
            }
        }));
        if !self.variables.is_empty() {
            lines.push(String::new());
            lines.push("# Variables, to be set with --var or in a --vars-file:".to_owned());
            let variables = self.variables.iter();
            lines.extend(variables.map(|it| format!("# {}: # {}", it.name, it.place)));
        }
        lines.join("\n") + "\n"
    }
}
