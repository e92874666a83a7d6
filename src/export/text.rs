//! Adds comments to an exported spec.

use super::secrets::SecretVariable;
use crate::capi::error::printable;

/// The lines of an app whose bits are not in the spec.
const WITHOUT_BITS: [&str; 3] = [
    "      state: stopped",
    "      ignore_changes:",
    "      - state",
];

/// The lines of an app with unused packages and droplets.
const WITH_UNUSED: [&str; 2] = ["      ignore_changes:", "      - droplets"];

/// The information in the comments of an exported spec.
#[derive(Debug)]
pub(super) struct Comments<'a> {
    /// The exported resource, such as `org o`.
    pub(super) what: &'a str,
    pub(super) is_seed: bool,
    /// The number of running apps without bits in the spec.
    pub(super) without_bits: usize,
    pub(super) variables: &'a [SecretVariable],
    pub(super) warnings: &'a [String],
}

impl Comments<'_> {
    pub(super) fn add_to(&self, spec: &str) -> String {
        let mut lines: Vec<String> = Vec::new();
        let by = "written by `cf-pusher export`";
        lines.push(match self.is_seed {
            true => format!(
                "# A mock-capi seed of {}, {by} --as-seed.",
                in_line(self.what)
            ),
            false => format!("# The spec of {}, {by}.", in_line(self.what)),
        });
        if self.without_bits > 0 {
            lines.push(match self.without_bits {
                1 => "# 1 running app has no bits in this spec: `apply` keeps it running, and creates it stopped elsewhere.".to_owned(),
                count => format!("# {count} running apps have no bits in this spec: `apply` keeps them running, and creates them stopped elsewhere."),
            });
            let how = "# To deploy an app from the spec, replace `state` and `ignore_changes` with the `path` to its bits.";
            lines.push(how.to_owned());
        }
        lines.extend(
            self.warnings
                .iter()
                .map(|it| format!("# Not exported: {}.", in_line(it))),
        );
        let spec: Vec<&str> = spec.lines().collect();
        for (at, line) in spec.iter().enumerate() {
            let rest = spec.get(at..).unwrap_or_default();
            lines.push(if rest.starts_with(&WITHOUT_BITS) {
                format!("{line} # the app runs, but this spec does not contain its bits")
            } else if rest.starts_with(&WITH_UNUSED) {
                format!("{line} # the app has packages or droplets that it does not use")
            } else {
                (*line).to_owned()
            });
        }
        if !self.variables.is_empty() {
            lines.push(String::new());
            lines.push("# Variables, to be set with --var or in a --vars-file:".to_owned());
            let variables = self.variables.iter();
            lines.extend(variables.map(|it| format!("# {}: # {}", it.name, in_line(&it.place))));
        }
        lines.join("\n") + "\n"
    }
}

/// Removes line breaks from a text, because they would end its comment.
fn in_line(text: &str) -> String {
    printable(text).replace(char::is_control, " ")
}
