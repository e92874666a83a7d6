//! The approval of deletions.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::plan::{Action, Plan};
use super::target::Target;

/// The deletions that a run may make. The caller always has to choose.
///
/// Only deletions of orgs and apps need approval. A run that only creates and changes
/// resources needs no approval.
///
/// ```
/// use cf_pusher::Approval;
///
/// let few = Approval::ask(|deletions| deletions.count() < 3);
/// assert_eq!(format!("{few:?}"), "Ask(..)");
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub enum Approval {
    /// No deletions.
    None,
    /// At most this many deletions of orgs and apps.
    MaxDeletes(usize),
    /// All deletions of the plan.
    All,
    /// The function decides. It is called once, on a thread that may block, and only if
    /// the plan deletes something.
    Ask(Question),
}

/// The function of [`Approval::Ask`].
pub type Question = Arc<dyn Fn(&Deletions) -> bool + Send + Sync>;

impl Approval {
    /// Asks a function, such as a prompt.
    pub fn ask(question: impl Fn(&Deletions) -> bool + Send + Sync + 'static) -> Self {
        Self::Ask(Arc::new(question))
    }
}

impl fmt::Debug for Approval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::MaxDeletes(most) => write!(f, "MaxDeletes({most})"),
            Self::All => f.write_str("All"),
            Self::Ask(_) => f.write_str("Ask(..)"),
        }
    }
}

/// The deletions of a run.
///
/// `Display` shows a line for each org, quota, security group and kind of app. Apps whose
/// names differ only in a number share a line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Deletions {
    /// Orgs, then the apps in them and other apps, then quotas and security groups.
    pub targets: Vec<Target>,
}

impl Deletions {
    /// The deletions of a plan, including the contents of deleted orgs and spaces.
    pub(crate) fn of(plan: &Plan) -> Self {
        let resources = plan.resources.iter();
        let deleted = resources.filter(|it| it.action == Action::Delete);
        let targets = deleted.flat_map(|resource| {
            let content = resource.content.iter();
            std::iter::once(&resource.target).chain(content).cloned()
        });
        Self {
            targets: targets.collect(),
        }
    }

    /// The number of orgs and apps, and of the spaces, service instances, domains, routes
    /// and users that a plan deletes.
    pub fn count(&self) -> usize {
        let counted = |target: &&Target| {
            !matches!(
                target,
                Target::Quota { .. }
                    | Target::SpaceQuota { .. }
                    | Target::SecurityGroup { .. }
                    | Target::Role { .. }
                    | Target::NetworkPolicy { .. }
            )
        };
        self.targets.iter().filter(counted).count()
    }

    /// Whether the plan deletes nothing.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// The numbers of deleted orgs, apps and other resources in words, such as `the org a
    /// and 2 apps`.
    pub fn summary(&self) -> String {
        let orgs: Vec<&str> = self.named(|target| matches!(target, Target::Org { .. }));
        let mut parts: Vec<String> = orgs.iter().map(|name| format!("the org {name}")).collect();
        let mut others = self.targets.len() - orgs.len();
        for kind in [
            "space",
            "app",
            "service instance",
            "domain",
            "route",
            "user",
        ] {
            let count = self.named(|target| target.kind() == kind).len();
            others -= count;
            match count {
                0 => {}
                1 => parts.push(format!("1 {kind}")),
                count => parts.push(format!("{count} {}", Target::plural(kind))),
            }
        }
        if parts.is_empty() && others > 0 {
            let names = self.targets.iter().map(|it| format!("the {it}"));
            parts.extend(names);
        }
        listed(&parts)
    }

    fn named(&self, is_wanted: impl Fn(&Target) -> bool) -> Vec<&str> {
        let targets = self.targets.iter().filter(|target| is_wanted(target));
        targets.map(Target::name).collect()
    }

    /// The deletions that are not in a list.
    pub(crate) fn beyond(&self, listed: &HashSet<Target>) -> Vec<&Target> {
        let targets = self.targets.iter();
        targets.filter(|target| !listed.contains(target)).collect()
    }
}

impl fmt::Display for Deletions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines: Vec<String> = Vec::new();
        let (apps, others): (Vec<&Target>, Vec<&Target>) =
            self.targets.iter().partition(|target| target.is_app());
        lines.extend(others.iter().map(|target| format!("- {target}")));
        let names: Vec<&str> = apps.iter().map(|target| target.name()).collect();
        lines.extend(ranges(&names).iter().map(|names| format!("- app {names}")));
        f.write_str(&lines.join("\n"))
    }
}

fn listed(parts: &[String]) -> String {
    match parts {
        [] => "nothing".to_owned(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// Joins names with consecutive numbers: `a-0`, `a-1`, `a-2` become `a-{0..2}`.
pub(crate) fn ranges(names: &[&str]) -> Vec<String> {
    let mut numbered: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    let mut shown = Vec::new();
    for name in names {
        match number_at_end(name) {
            Some((stem, number)) => numbered.entry(stem).or_default().push(number),
            None => shown.push((*name).to_owned()),
        }
    }
    for (stem, mut numbers) in numbered {
        numbers.sort_unstable();
        for run in numbers.chunk_by(|a, b| a + 1 == *b) {
            match run {
                [first, .., last] => shown.push(format!("{stem}{{{first}..{last}}}")),
                [only] => shown.push(format!("{stem}{only}")),
                [] => {}
            }
        }
    }
    shown
}

/// The name without the number at its end, and that number, unless it has leading zeros.
fn number_at_end(name: &str) -> Option<(&str, u64)> {
    let stem = name.trim_end_matches(|it: char| it.is_ascii_digit());
    let digits = name.get(stem.len()..)?;
    let number = digits.parse().ok()?;
    (digits == "0" || !digits.starts_with('0')).then_some((stem, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(name: &str) -> Target {
        Target::App {
            org: "o".to_owned(),
            space: "s".to_owned(),
            name: name.to_owned(),
        }
    }

    #[test]
    fn apps_that_differ_in_a_number_share_a_line() {
        let names = ["tick-10", "tick-9", "tick-2", "other", "x-007", "tick-11"];
        let mut targets: Vec<Target> = names.iter().map(|name| app(name)).collect();
        let name = "o".to_owned();
        targets.insert(0, Target::Org { name });
        let deletions = Deletions { targets };
        insta::assert_snapshot!(deletions, @r"
        - org o
        - app other
        - app x-007
        - app tick-2
        - app tick-{9..11}
        ");
        assert_eq!(deletions.summary(), "the org o and 6 apps");
        assert_eq!(deletions.count(), 7);
        assert_eq!(Deletions::default().summary(), "nothing");
    }
}
