//! The quota usage of started processes, by space and by organization. It is updated with
//! each change of a process, so that checks are cheap.

use super::usage_events::Used;
use super::{Field, Guid, Limits, Process, Row, Scale, Selection, World};
use crate::world::error::Error;

/// The value of an unlimited log rate.
const UNLIMITED: i64 = -1;

/// The usage of a space's or an organization's started processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    memory_mb: i64,
    instances: i64,
    /// An unlimited instance counts as -1, as in the Cloud Controller's sums.
    log_rate: i64,
}

impl Usage {
    fn of(scale: Scale) -> Self {
        let (instances, memory_mb) = (i64::from(scale.instances), i64::from(scale.memory_mb));
        Self {
            memory_mb: instances * memory_mb,
            instances,
            log_rate: instances.saturating_mul(scale.log_rate),
        }
    }

    /// The usage of a process, which is zero unless it is started.
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
    /// Changes a process and updates the usage.
    pub(super) fn change_process(&mut self, guid: Guid, change: impl FnOnce(&mut Process)) {
        let now = self.now;
        let changed = self.processes.update(guid, |process| {
            let before = (Usage::of_process(process), Used::of(process));
            change(process);
            process.base.updated = now;
            let after = (Usage::of_process(process), Used::of(process));
            (process.space, before, after)
        });
        if let Some((space, (before, used), (after, uses))) = changed {
            self.account(space, before, after);
            self.record_usage(guid, used, uses);
            self.place_instances(guid);
        }
    }

    /// Moves a process to another space and updates the usage.
    pub(super) fn move_process(&mut self, guid: Guid, space: Guid) {
        let moved = self.processes.update(guid, |process| {
            let from = std::mem::replace(&mut process.space, space);
            (from, Usage::of_process(process))
        });
        if let Some((from, usage)) = moved {
            self.account(from, usage, Usage::default());
            self.account(space, Usage::default(), usage);
        }
    }

    pub(super) fn remove_process(&mut self, guid: Guid) {
        self.record_departures(guid);
        if let Some(process) = self.processes.remove(guid) {
            self.account(process.space, Usage::of_process(&process), Usage::default());
            self.record_removal(&process);
        }
    }

    /// Computes the usage of a loaded world.
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

    /// The number of instances of a space's or an organization's started processes.
    pub(crate) fn started_instances(&self, owner: Guid) -> u64 {
        let instances = self.usage.get(&owner).map_or(0, |usage| usage.instances);
        instances.unsigned_abs()
    }

    /// Whether a process in one of these spaces has no log rate limit, whether it is
    /// started or not.
    pub(crate) fn has_unlimited_log_rate(&self, spaces: &[Guid]) -> bool {
        let processes = self.processes.iter();
        let unlimited = processes.filter(|process| process.scale.log_rate == UNLIMITED);
        let mut spaces_of_unlimited = unlimited.map(|process| process.space);
        spaces_of_unlimited.any(|space| spaces.contains(&space))
    }

    /// The reasons why the quotas do not allow another task of an app in a space.
    pub(super) fn task_quota_problems(
        &self,
        space: Guid,
        memory_mb: u32,
        log_rate: i64,
    ) -> Vec<String> {
        let mut violations = Violations::default();
        let (own, of_org) = self.owners(space);
        for owner in of_org.iter().chain(&own) {
            let (kind, limits, used) = (owner.kind, owner.limits, owner.used);
            let memory = i64::from(memory_mb);
            if exceeds(limits.total_memory, used.memory_mb.saturating_add(memory)) {
                violations.add("memory_in_mb", format!("exceeds {kind} memory quota"));
            }
            if exceeds(limits.process_memory, memory) {
                let text = format!("exceeds {kind} instance memory quota");
                violations.add("memory_in_mb", text);
            }
            owner.check_log_rate(log_rate, &mut violations);
            if exceeds(limits.tasks, owner.tasks.saturating_add(1)) {
                violations.add("app_task_limit", "quota exceeded");
            }
        }
        violations.texts()
    }

    /// Checks that the quotas leave this amount of memory for staging. As in the Cloud
    /// Controller, the organization's quota is checked last.
    pub(crate) fn check_staging_memory(&self, space: Guid, memory_mb: u32) -> Result<(), Error> {
        let (own, of_org) = self.owners(space);
        for owner in own.iter().chain(&of_org) {
            let wanted = owner.used.memory_mb.saturating_add(i64::from(memory_mb));
            if exceeds(owner.limits.total_memory, wanted) {
                return Err(Error::unprocessable(format!(
                    "{}'s memory limit exceeded: staging requires {memory_mb}M memory",
                    owner.kind
                )));
            }
        }
        Ok(())
    }

    /// Checks that the quotas leave this log rate for staging.
    pub(crate) fn check_staging_log_rate(&self, space: Guid, log_rate: i64) -> Result<(), Error> {
        let (own, of_org) = self.owners(space);
        for owner in own.iter().chain(&of_org) {
            let wanted = owner.used.log_rate.saturating_add(log_rate);
            if exceeds(owner.limits.log_rate, wanted) {
                return Err(Error::unprocessable(format!(
                    "{}'s log rate limit exceeded: staging requires {log_rate} bytes per second",
                    owner.kind
                )));
            }
        }
        Ok(())
    }

    /// Checks that the quotas of a space and its organization allow processes to run
    /// with new sizes, one after the other. The messages are those of the Cloud
    /// Controller's models.
    pub(super) fn check_quota(
        &self,
        space: Guid,
        changes: &[(&Process, Scale)],
    ) -> Result<(), Error> {
        let changes = changes.iter().map(|(process, scale)| SizeChange {
            before: Usage::of_process(process),
            was: process.started.then_some(process.scale),
            scale: *scale,
        });
        self.check_sizes(space, changes)
    }

    /// Checks that the quotas allow processes to be stopped and started again.
    pub(super) fn check_restart_quota(
        &self,
        space: Guid,
        processes: &[&Process],
    ) -> Result<(), Error> {
        let changes = processes.iter().map(|process| SizeChange {
            before: Usage::of_process(process),
            was: None,
            scale: process.scale,
        });
        self.check_sizes(space, changes)
    }

    fn check_sizes(
        &self,
        space: Guid,
        changes: impl Iterator<Item = SizeChange>,
    ) -> Result<(), Error> {
        let (mut own, mut of_org) = self.owners(space);
        for change in changes {
            change.check(own.as_ref(), of_org.as_ref())?;
            let after = Usage::of(change.scale);
            for owner in own.iter_mut().chain(&mut of_org) {
                owner.used = owner.used.minus(change.before).plus(after);
            }
        }
        Ok(())
    }

    /// A space and its organization, if they have quotas.
    fn owners(&self, space: Guid) -> (Option<QuotaOwner<'_>>, Option<QuotaOwner<'_>>) {
        let own = self.spaces.get(space).and_then(|space| {
            let limits = &self.space_quotas.get(space.quota?)?.limits;
            Some(self.owner("space", &space.name, space.guid(), &[space.guid()], limits))
        });
        let of_org = self.org_of(space).and_then(|org| {
            let limits = &self.quotas.get(org.quota)?.limits;
            // Most worlds have no tasks, so spaces need not be looked up.
            let spaces = if self.tasks.is_empty() {
                Vec::new()
            } else {
                self.spaces_of(vec![org.base.guid])
            };
            Some(self.owner("organization", &org.name, org.guid(), &spaces, limits))
        });
        (own, of_org)
    }

    fn owner<'w>(
        &self,
        kind: &'static str,
        name: &'w str,
        guid: Guid,
        spaces: &[Guid],
        limits: &'w Limits,
    ) -> QuotaOwner<'w> {
        let of_processes = self.usage.get(&guid).copied().unwrap_or_default();
        let mut owner = QuotaOwner {
            kind,
            name,
            limits,
            used: of_processes,
            tasks: 0,
        };
        if self.tasks.is_empty() {
            return owner;
        }
        let spaces = Selection::all().any_guid(Field::Space, spaces.iter().copied());
        for task in self.tasks.select(&spaces) {
            if task.state(self.now) == "RUNNING" {
                owner.tasks += 1;
                owner.used = owner.used.plus(Usage {
                    memory_mb: i64::from(task.memory_mb),
                    instances: 0,
                    log_rate: task.log_rate,
                });
            }
        }
        owner
    }
}

/// The usage and the limits of a space or an organization with a quota.
#[derive(Debug)]
struct QuotaOwner<'w> {
    kind: &'static str,
    name: &'w str,
    limits: &'w Limits,
    /// The usage of processes and tasks.
    used: Usage,
    tasks: i64,
}

impl QuotaOwner<'_> {
    fn check_log_rate(&self, requested: i64, violations: &mut Violations) {
        let Self { kind, name, .. } = self;
        if self.limits.log_rate.is_none() {
            return;
        }
        if requested == UNLIMITED {
            let text = format!("cannot be unlimited in {kind} '{name}'.");
            violations.add("log_rate_limit", text);
        }
        if exceeds(
            self.limits.log_rate,
            self.used.log_rate.saturating_add(requested),
        ) {
            violations.add("log_rate_limit", format!("exceeds {kind} log rate quota"));
        }
    }
}

/// A process whose size changes.
#[derive(Debug)]
struct SizeChange {
    /// The current usage.
    before: Usage,
    /// The current size, if the process is started.
    was: Option<Scale>,
    scale: Scale,
}

impl SizeChange {
    fn check(
        &self,
        own: Option<&QuotaOwner<'_>>,
        of_org: Option<&QuotaOwner<'_>>,
    ) -> Result<(), Error> {
        let mut violations = Violations::default();
        let after = Usage::of(self.scale);
        let memory = |owner: &QuotaOwner<'_>| {
            let proposed = owner.used.minus(self.before).plus(after);
            exceeds(owner.limits.total_memory, proposed.memory_mb)
        };
        let process_memory = |owner: &QuotaOwner<'_>| {
            exceeds(owner.limits.process_memory, i64::from(self.scale.memory_mb))
        };
        let instances = |owner: &QuotaOwner<'_>| {
            let proposed = owner.used.minus(self.before).plus(after);
            exceeds(owner.limits.instances, proposed.instances)
        };
        for (violated, field, text) in [
            (own.is_some_and(memory), "memory", "space_quota_exceeded"),
            (of_org.is_some_and(memory), "memory", "quota_exceeded"),
            (
                of_org.is_some_and(process_memory),
                "memory",
                "instance_memory_limit_exceeded",
            ),
            (
                own.is_some_and(process_memory),
                "memory",
                "space_instance_memory_limit_exceeded",
            ),
            (
                of_org.is_some_and(instances),
                "app_instance_limit",
                "app_instance_limit_exceeded",
            ),
            (
                own.is_some_and(instances),
                "app_instance_limit",
                "space_app_instance_limit_exceeded",
            ),
        ] {
            if violated {
                violations.add(field, text);
            }
        }
        if let Some(requested) = self.requested_log_rate() {
            for owner in own.iter().chain(&of_org) {
                owner.check_log_rate(requested, &mut violations);
            }
        }
        violations.refuse()
    }

    /// The additional log rate, if log rate or instances change.
    fn requested_log_rate(&self) -> Option<i64> {
        let rate = |scale: Scale| (scale.instances, scale.log_rate);
        if self.was.is_some_and(|was| rate(was) == rate(self.scale)) {
            return None;
        }
        if self.scale.log_rate == UNLIMITED {
            return Some(UNLIMITED);
        }
        let used = self.was.filter(|was| was.log_rate != UNLIMITED);
        let used = used.map_or(0, |was| Usage::of(was).log_rate);
        Some(Usage::of(self.scale).log_rate.saturating_sub(used))
    }
}

/// The errors of a model's validation, by field, in the order of each field's first
/// error.
#[derive(Debug, Default)]
struct Violations(Vec<(&'static str, String)>);

impl Violations {
    fn add(&mut self, field: &'static str, text: impl Into<String>) {
        let after = self.0.iter().rposition(|(other, _)| *other == field);
        let at = after.map_or(self.0.len(), |at| at + 1);
        self.0.insert(at, (field, text.into()));
    }

    fn texts(self) -> Vec<String> {
        let texts = self.0.iter().map(|(field, text)| format!("{field} {text}"));
        texts.collect()
    }

    fn refuse(self) -> Result<(), Error> {
        if self.0.is_empty() {
            return Ok(());
        }
        Err(Error::unprocessable(self.texts().join(", ")))
    }
}

fn exceeds(limit: Option<u64>, value: i64) -> bool {
    let limit = limit.map(|limit| i64::try_from(limit).unwrap_or(i64::MAX));
    limit.is_some_and(|limit| value > limit)
}
