//! What started processes use of the quotas of their space and organization.
//! Kept up to date with each change of a process, so that a check costs nothing.

use super::{Field, Guid, Limits, Process, Row, Scale, Selection, World};
use crate::api::error::CcError;

/// What the started processes of a space or an organization use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    memory_mb: u64,
    instances: u64,
    /// Of the processes that have a limit.
    log_rate: u64,
}

impl Usage {
    fn of(scale: Scale) -> Self {
        let (instances, memory_mb) = (u64::from(scale.instances), u64::from(scale.memory_mb));
        Self {
            memory_mb: instances * memory_mb,
            instances,
            log_rate: u64::try_from(scale.log_rate)
                .map_or(0, |log_rate| instances.saturating_mul(log_rate)),
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
            log_rate: self.log_rate.saturating_add(other.log_rate),
        }
    }

    fn minus(self, other: Self) -> Self {
        Self {
            memory_mb: self.memory_mb.saturating_sub(other.memory_mb),
            instances: self.instances.saturating_sub(other.instances),
            log_rate: self.log_rate.saturating_sub(other.log_rate),
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

    /// Accounts for all processes, in a world that was loaded.
    pub(super) fn count_usage(&mut self) {
        self.usage.clear();
        let used = self.processes.iter();
        let used: Vec<_> = used
            .map(|process| (process.space, Usage::of_process(process)))
            .collect();
        for (space, usage) in used {
            self.account(space, Usage::default(), usage);
        }
    }

    fn account(&mut self, space: Guid, before: Usage, after: Usage) {
        if before == after {
            return;
        }
        let org = self.spaces.get(space).map(|space| space.org);
        for owner in org.into_iter().chain([space]) {
            let usage = self.usage.entry(owner).or_default();
            *usage = usage.minus(before).plus(after);
        }
    }

    /// How many instances the started processes of a space or an organization
    /// have.
    pub(crate) fn started_instances(&self, owner: Guid) -> u64 {
        self.usage.get(&owner).map_or(0, |usage| usage.instances)
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

    /// Whether the quotas of a space and of its organization allow its
    /// processes to run at new sizes. Texts as the Cloud Controller's model
    /// validation gives them.
    pub(super) fn check_quota(
        &self,
        space: Guid,
        changes: &[(&Process, Scale)],
    ) -> Result<(), CcError> {
        let own = self.spaces.get(space).and_then(|space| {
            let limits = &self.space_quotas.get(space.quota?)?.limits;
            Some(self.claim("space", &space.name, space.guid(), limits, changes))
        });
        let of_org = self.org_of(space).and_then(|org| {
            let limits = &self.quotas.get(org.quota)?.limits;
            Some(self.claim("organization", &org.name, org.guid(), limits, changes))
        });
        let exceeded =
            |claim: &Option<Claim<'_>>| claim.as_ref().map(Claim::exceeded).unwrap_or_default();
        let (own_exceeded, org_exceeded) = (exceeded(&own), exceeded(&of_org));
        let checks = [
            (own_exceeded.memory, "memory space_quota_exceeded"),
            (org_exceeded.memory, "memory quota_exceeded"),
            (
                org_exceeded.process_memory,
                "memory instance_memory_limit_exceeded",
            ),
            (
                own_exceeded.process_memory,
                "memory space_instance_memory_limit_exceeded",
            ),
            (
                org_exceeded.instances,
                "app_instance_limit app_instance_limit_exceeded",
            ),
            (
                own_exceeded.instances,
                "app_instance_limit space_app_instance_limit_exceeded",
            ),
        ];
        let violated = checks.iter().filter(|(violated, _)| *violated);
        let mut violations: Vec<String> = violated.map(|(_, text)| (*text).into()).collect();
        for claim in own.iter().chain(&of_org) {
            violations.extend(claim.log_rate_violations(changes));
        }
        if violations.is_empty() {
            Ok(())
        } else {
            Err(CcError::unprocessable(violations.join(", ")))
        }
    }

    fn claim<'w>(
        &self,
        kind: &'static str,
        name: &'w str,
        owner: Guid,
        limits: &'w Limits,
        changes: &[(&Process, Scale)],
    ) -> Claim<'w> {
        let current = self.usage.get(&owner).copied().unwrap_or_default();
        let proposed = changes.iter().fold(current, |usage, (process, scale)| {
            usage
                .minus(Usage::of_process(process))
                .plus(Usage::of(*scale))
        });
        let sizes = changes.iter().map(|(_, scale)| u64::from(scale.memory_mb));
        Claim {
            kind,
            name,
            limits,
            current,
            proposed,
            largest: sizes.max().unwrap_or_default(),
        }
    }
}

/// What a space or an organization would use, and may.
#[derive(Debug)]
struct Claim<'w> {
    kind: &'static str,
    name: &'w str,
    limits: &'w Limits,
    current: Usage,
    proposed: Usage,
    /// The memory of the largest of the processes.
    largest: u64,
}

fn exceeds(limit: Option<u64>, value: u64) -> bool {
    limit.is_some_and(|limit| value > limit)
}

/// Which limits a claim exceeds.
#[derive(Debug, Default)]
struct Exceeded {
    memory: bool,
    process_memory: bool,
    instances: bool,
}

impl Claim<'_> {
    fn exceeded(&self) -> Exceeded {
        let (limits, proposed) = (self.limits, self.proposed);
        Exceeded {
            memory: proposed.memory_mb > self.current.memory_mb
                && exceeds(limits.total_memory, proposed.memory_mb),
            process_memory: exceeds(limits.process_memory, self.largest),
            instances: exceeds(limits.instances, proposed.instances),
        }
    }

    /// Log rates are looked at when they, or the instances, change.
    fn log_rate_violations(&self, all: &[(&Process, Scale)]) -> Vec<String> {
        let rate = |scale: Scale| (scale.instances, scale.log_rate);
        let changed: Vec<Scale> = all
            .iter()
            .filter(|(process, scale)| !process.started || rate(process.scale) != rate(*scale))
            .map(|(_, scale)| *scale)
            .collect();
        let mut violations = Vec::new();
        if self.limits.log_rate.is_none() || changed.is_empty() {
            return violations;
        }
        let Self { kind, name, .. } = self;
        if changed.iter().any(|scale| scale.log_rate < 0) {
            violations.push(format!(
                "log_rate_limit cannot be unlimited in {kind} '{name}'."
            ));
        }
        if self.proposed.log_rate > self.current.log_rate
            && exceeds(self.limits.log_rate, self.proposed.log_rate)
        {
            violations.push(format!("log_rate_limit exceeds {kind} log rate quota"));
        }
        violations
    }
}
