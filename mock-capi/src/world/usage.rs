//! What started processes use of their organization's quota. Kept up to date
//! with each change of a process, so that a check costs nothing.

use super::{Field, Guid, Process, Scale, Selection, World};
use crate::error::CcError;

/// What the started processes of an organization use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    memory_mb: u64,
    instances: u64,
}

impl Usage {
    fn of(scale: Scale) -> Self {
        let (instances, memory_mb) = (u64::from(scale.instances), u64::from(scale.memory_mb));
        Self {
            memory_mb: instances * memory_mb,
            instances,
        }
    }

    /// What a process uses now: only started ones count.
    fn of_process(process: &Process) -> Self {
        if process.started {
            Self::of(process.scale)
        } else {
            Self::default()
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            memory_mb: self.memory_mb.saturating_add(other.memory_mb),
            instances: self.instances.saturating_add(other.instances),
        }
    }

    fn minus(self, other: Self) -> Self {
        Self {
            memory_mb: self.memory_mb.saturating_sub(other.memory_mb),
            instances: self.instances.saturating_sub(other.instances),
        }
    }
}

impl World {
    /// Changes a process and accounts for what it then uses.
    pub(super) fn change_process(&mut self, guid: Guid, change: impl FnOnce(&mut Process)) {
        let now = self.now;
        let changed = self.processes.update(guid, |process| {
            let before = Usage::of_process(process);
            change(process);
            process.base.updated = now;
            (process.space, before, Usage::of_process(process))
        });
        if let Some((space, before, after)) = changed {
            self.account(space, before, after);
        }
    }

    pub(super) fn remove_process(&mut self, guid: Guid) {
        if let Some(process) = self.processes.remove(guid) {
            self.account(process.space, Usage::of_process(&process), Usage::default());
        }
    }

    fn account(&mut self, space: Guid, before: Usage, after: Usage) {
        if before == after {
            return;
        }
        if let Some(org) = self.spaces.get(space).map(|space| space.org) {
            let usage = self.usage.entry(org).or_default();
            *usage = usage.minus(before).plus(after);
        }
    }

    /// Whether the organization's quota allows one more task of that size.
    pub(super) fn check_task_quota(&self, space: Guid, memory_mb: u32) -> Result<(), CcError> {
        let Some(org) = self.org_of(space) else {
            return Ok(());
        };
        let Some(limits) = self.quotas.get(org.quota).map(|quota| &quota.limits) else {
            return Ok(());
        };
        let spaces = Selection::all().any_guid(Field::Space, self.spaces_of(vec![org.base.guid]));
        let mut tasks = self.tasks.select(&spaces);
        tasks.retain(|task| task.state(self.now) == "RUNNING");
        let of_tasks: u64 = tasks.iter().map(|task| u64::from(task.memory_mb)).sum();
        let of_processes = self.usage.get(&org.base.guid).map_or(0, |u| u.memory_mb);
        let memory = u64::from(memory_mb);
        let total = of_processes.saturating_add(of_tasks).saturating_add(memory);
        let exceeds = |limit: Option<u64>, value: u64| limit.is_some_and(|limit| value > limit);
        let count = u64::try_from(tasks.len()).unwrap_or(u64::MAX);
        let mut violations = Vec::new();
        if exceeds(limits.total_memory, total) {
            violations.push("memory_in_mb exceeds organization memory quota");
        }
        if exceeds(limits.process_memory, memory) {
            violations.push("memory_in_mb exceeds organization instance memory quota");
        }
        if exceeds(limits.tasks, count.saturating_add(1)) {
            violations.push("app_task_limit quota exceeded");
        }
        if violations.is_empty() {
            Ok(())
        } else {
            Err(CcError::unprocessable(violations.join(", ")))
        }
    }

    /// Whether the organization's quota allows processes of a space to run at
    /// new sizes. Texts as the Cloud Controller's model validation gives them.
    pub(super) fn check_quota(
        &self,
        space: Guid,
        changes: &[(&Process, Scale)],
    ) -> Result<(), CcError> {
        let Some(org) = self.org_of(space) else {
            return Ok(());
        };
        let Some(limits) = self.quotas.get(org.quota).map(|quota| &quota.limits) else {
            return Ok(());
        };
        let current = self.usage.get(&org.base.guid).copied().unwrap_or_default();
        let proposed = changes.iter().fold(current, |usage, (process, scale)| {
            usage
                .minus(Usage::of_process(process))
                .plus(Usage::of(*scale))
        });
        let largest = changes
            .iter()
            .map(|(_, scale)| u64::from(scale.memory_mb))
            .max();
        let exceeds = |limit: Option<u64>, value: u64| limit.is_some_and(|limit| value > limit);
        let mut violations = Vec::new();
        if proposed.memory_mb > current.memory_mb
            && exceeds(limits.total_memory, proposed.memory_mb)
        {
            violations.push("memory quota_exceeded");
        }
        if exceeds(limits.process_memory, largest.unwrap_or_default()) {
            violations.push("memory instance_memory_limit_exceeded");
        }
        if exceeds(limits.instances, proposed.instances) {
            violations.push("app_instance_limit app_instance_limit_exceeded");
        }
        if violations.is_empty() {
            Ok(())
        } else {
            Err(CcError::unprocessable(violations.join(", ")))
        }
    }
}
