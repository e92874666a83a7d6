//! Displays plans: similar resources share a line.

use std::fmt;

use super::{Action, Change, Plan, PlannedSize, ResourcePlan};
use crate::converge::target::Target;

/// The actions, in the order of the counts.
const COUNTED: [(Action, &str); 4] = [
    (Action::Create, "to create"),
    (Action::Change, "to change"),
    (Action::Delete, "to delete"),
    (Action::Unchanged, "unchanged"),
];

/// `{}` shows the changes, `{:#}` also the resources that are up to date. Similar apps of
/// a space share a line. The last lines have the number of resources of every kind.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.resources.iter();
        let shown =
            shown.filter(|it| f.alternate() || it.action != Action::Unchanged || it.unmanaged);
        let places = self.names_places();
        for line in lines(shown) {
            line.write(f, places)?;
        }
        f.write_str(&self.counts().join("\n"))
    }
}

impl Plan {
    /// Whether the names of apps may be ambiguous.
    fn names_places(&self) -> bool {
        let place = |target: &Target| match target {
            Target::App { org, space, .. } => Some((org.clone(), space.clone())),
            _ => None,
        };
        let mut places = self.resources.iter().filter_map(|it| place(&it.target));
        let first = places.next();
        places.any(|it| Some(&it) != first.as_ref())
    }

    /// A line of counts for each kind of resource, apps last.
    fn counts(&self) -> Vec<String> {
        let mut kinds: Vec<&'static str> = Vec::new();
        for resource in &self.resources {
            let kind = resource.target.kind();
            if !kinds.contains(&kind) && kind != "app" {
                kinds.push(kind);
            }
        }
        kinds.push("app");
        kinds.iter().map(|kind| self.counts_of(kind)).collect()
    }

    fn counts_of(&self, kind: &str) -> String {
        let of_kind = |action: Action| {
            let resources = self.resources.iter();
            let resources = resources.filter(|it| it.target.kind() == kind && it.action == action);
            resources.count()
        };
        let counts = COUNTED.map(|(action, words)| format!("{} {words}", of_kind(action)));
        format!("{}: {}", Target::plural(kind), counts.join(", "))
    }
}

/// The properties that distinguish the lines of a plan.
#[derive(PartialEq)]
struct LineKey<'p> {
    kind: &'static str,
    /// The type of a role.
    role: Option<&'p str>,
    place: Option<(&'p str, &'p str)>,
    action: Action,
    unmanaged: bool,
    changes: &'p [Change],
    size: Option<PlannedSize>,
}

struct Line<'p> {
    alike: LineKey<'p>,
    targets: Vec<&'p Target>,
}

/// Joins similar resources in one line, at the position of the first one.
fn lines<'p>(resources: impl Iterator<Item = &'p ResourcePlan>) -> Vec<Line<'p>> {
    let mut lines: Vec<Line<'p>> = Vec::new();
    for resource in resources {
        let alike = LineKey::of(resource);
        // Similar resources are close together.
        match lines
            .iter_mut()
            .rev()
            .take(MAX_LINES_BACK)
            .find(|line| line.alike == alike)
        {
            Some(line) => line.targets.push(&resource.target),
            None => lines.push(Line {
                alike,
                targets: vec![&resource.target],
            }),
        }
    }
    lines
}

/// The number of previous lines that are searched for similar resources. The limit makes
/// printing take linear time even if all apps differ.
const MAX_LINES_BACK: usize = 100;

impl<'p> LineKey<'p> {
    fn of(resource: &'p ResourcePlan) -> Self {
        let place = match &resource.target {
            Target::App { org, space, .. }
            | Target::ServiceInstance { org, space, .. }
            | Target::Route { org, space, .. }
            | Target::NetworkPolicy { org, space, .. } => Some((org.as_str(), space.as_str())),
            Target::Role {
                org, space, role, ..
            } => {
                let space = space.as_deref().unwrap_or_default();
                return Self::of_role(resource, role, (org, space));
            }
            _ => None,
        };
        let size = resource.app.as_ref().and_then(|app| app.size);
        Self {
            kind: resource.target.kind(),
            role: None,
            place,
            action: resource.action,
            unmanaged: resource.unmanaged,
            changes: &resource.changes,
            size: size.filter(|_| resource.action == Action::Create),
        }
    }
}

impl<'p> LineKey<'p> {
    /// The roles of one type in one org or space are similar.
    fn of_role(resource: &'p ResourcePlan, role: &'p str, place: (&'p str, &'p str)) -> Self {
        Self {
            kind: "role",
            role: Some(role),
            place: Some(place),
            action: resource.action,
            unmanaged: resource.unmanaged,
            changes: &resource.changes,
            size: None,
        }
    }
}

impl Line<'_> {
    fn write(&self, f: &mut fmt::Formatter<'_>, names_places: bool) -> fmt::Result {
        let alike = &self.alike;
        write_start(f, alike.action, alike.unmanaged)?;
        let names = Target::ranges(self.targets.iter().copied()).join(", ");
        let count = self.targets.len();
        match (alike.role, count) {
            (Some(role), _) => {
                write!(f, "role {role} of {names}")?;
                write_place(f, alike.place)?;
            }
            (None, 1) => write!(f, "{} {names}", alike.kind)?,
            (None, count) => write!(f, "{count} {} {names}", Target::plural(alike.kind))?,
        }
        if names_places && alike.role.is_none() {
            write_place(f, alike.place)?;
        }
        if let Some(size) = alike.size {
            write!(f, ": {size}")?;
        }
        write_changes(f, alike.changes)?;
        writeln!(f)
    }
}

impl fmt::Display for ResourcePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_start(f, self.action, self.unmanaged)?;
        write!(f, "{}", self.target)?;
        write_changes(f, &self.changes)
    }
}

fn write_place(f: &mut fmt::Formatter<'_>, place: Option<(&str, &str)>) -> fmt::Result {
    match place {
        Some((org, "")) => write!(f, " in {org}"),
        Some((org, space)) => write!(f, " in {org}/{space}"),
        None => Ok(()),
    }
}

fn write_start(f: &mut fmt::Formatter<'_>, action: Action, unmanaged: bool) -> fmt::Result {
    f.write_str(match action {
        Action::Create => "+ ",
        Action::Change => "~ ",
        Action::Delete => "- ",
        Action::Unchanged => "= ",
    })?;
    f.write_str(if unmanaged { "unmanaged " } else { "" })
}

fn write_changes(f: &mut fmt::Formatter<'_>, changes: &[Change]) -> fmt::Result {
    if changes.is_empty() {
        return Ok(());
    }
    let changes: Vec<String> = changes.iter().map(Change::to_string).collect();
    write!(f, " ({})", changes.join(", "))
}

impl fmt::Display for PlannedSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.instances {
            1 => write!(f, "1 instance")?,
            count => write!(f, "{count} instances")?,
        }
        match self.memory_mb {
            Some(memory) => write!(f, ", {memory}M"),
            None => Ok(()),
        }
    }
}
