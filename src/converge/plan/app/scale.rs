//! Plans the instances, memory and disk of an app.

use std::collections::HashMap;

use super::AppContext;
use crate::capi::model::Process;
use crate::converge::observe::App;
use crate::converge::plan::{Change, Step};
use crate::desired::Group;

/// The most frequent memory and disk of the apps of a group, in MB. They apply if the
/// entry does not set them.
pub(in crate::converge::plan) fn usual_sizes(group: &Group, apps: &HashMap<&str, &App>) -> Sizes {
    if group.entry.memory_mb().is_some() && group.entry.disk_mb().is_some() {
        return Sizes::default();
    }
    let processes: Vec<&Process> = group
        .app_names()
        .filter_map(|name| apps.get(name.as_str())?.web.as_ref())
        .collect();
    Sizes {
        memory_mb: usual(processes.iter().map(|process| process.memory_mb)),
        disk_mb: usual(processes.iter().map(|process| process.disk_mb)),
    }
}

/// The most frequent value, or the first one of several that are equally frequent.
pub(super) fn usual(mut values: impl Iterator<Item = u64> + Clone) -> Option<u64> {
    let mut counts: HashMap<u64, usize> = HashMap::new();
    for value in values.clone() {
        *counts.entry(value).or_default() += 1;
    }
    let most = counts.values().copied().max()?;
    values.find(|value| counts.get(value) == Some(&most))
}

/// Memory and disk of a group's processes, if they are known.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::converge::plan) struct Sizes {
    memory_mb: Option<u64>,
    disk_mb: Option<u64>,
}

/// The new scale of a process. `None` keeps the current value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Scale {
    pub(super) instances: Option<u32>,
    pub(super) memory_mb: Option<u64>,
    pub(super) disk_mb: Option<u64>,
}

impl Scale {
    pub(super) fn step(self) -> Step {
        let Self {
            instances,
            memory_mb,
            disk_mb,
        } = self;
        Step::Scale {
            instances,
            memory_mb,
            disk_mb,
        }
    }
}

impl AppContext<'_> {
    /// The new scale, if it differs.
    pub(super) fn scale(&self, changes: &mut Vec<Change>, web: Option<&Process>) -> Option<Scale> {
        let Some(web) = web else {
            return Some(self.whole_scale());
        };
        let memory_mb = self.entry.memory_mb().or(self.usual.memory_mb);
        let disk_mb = self.entry.disk_mb().or(self.usual.disk_mb);
        let scale = Scale {
            instances: self
                .entry
                .instances()
                .filter(|wanted| *wanted != web.instances),
            memory_mb: memory_mb.filter(|wanted| *wanted != web.memory_mb),
            disk_mb: disk_mb.filter(|wanted| *wanted != web.disk_mb),
        };
        if let Some(new) = scale.instances {
            changes.push(Change::new("instances", web.instances, new));
        }
        let sizes = [
            ("memory", web.memory_mb, scale.memory_mb),
            ("disk", web.disk_mb, scale.disk_mb),
        ];
        for (property, old, new) in sizes {
            if let Some(new) = new {
                let (old, new) = (format!("{old}M"), format!("{new}M"));
                changes.push(Change::new(property, old, new));
            }
        }
        Some(scale).filter(|scale| *scale != Scale::default())
    }

    pub(super) fn whole_scale(&self) -> Scale {
        Scale {
            instances: self.entry.instances(),
            memory_mb: self.entry.memory_mb(),
            disk_mb: self.entry.disk_mb(),
        }
    }
}
