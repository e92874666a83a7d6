//! The data of the page.

use std::collections::HashMap;

use serde::Serialize;

use super::super::counts::RunCounts;
use super::super::heat::HeatMap;
use crate::events::{AppMilestone, CheckResult, ResourceResult};
use crate::latency::Percentiles;

/// The times at which an app reached each milestone, in milliseconds, in the order of
/// [`AppMilestone`].
pub(super) type MilestoneTimes = [Option<u64>; 4];

#[derive(Serialize)]
pub(super) struct Data {
    pub(super) seconds: f64,
    pub(super) outcome: Option<RunResult>,
    pub(super) run: RunCounts,
    pub(super) bin_ms: f64,
    pub(super) bins: Vec<ShownBin>,
    pub(super) rows: Vec<Row>,
    pub(super) slowest: Vec<SlowApp>,
    pub(super) refused: Vec<RefusedRequests>,
    pub(super) failures: Vec<FailedTargets>,
    /// The connections of a scaling test, by check.
    pub(super) connections: Vec<HeatMap>,
    /// The result of a scaling test, if one has ended.
    pub(super) test: Option<EndedTest>,
}

#[derive(Clone, Serialize)]
pub(super) struct EndedTest {
    pub(super) checks: Vec<CheckResult>,
    pub(super) error: Option<String>,
}

#[derive(Clone, Serialize)]
pub(super) struct RunResult {
    pub(super) changed: usize,
    pub(super) unchanged: usize,
    pub(super) failed: usize,
    pub(super) error: Option<String>,
}

#[derive(Serialize)]
pub(super) struct ShownBin {
    pub(super) latency: Percentiles,
    pub(super) mean: f64,
    pub(super) peak: usize,
    pub(super) failed: u64,
    pub(super) retries: u64,
    pub(super) rate_limited: u64,
    pub(super) apps: [u64; 4],
}

/// Apps that share a line, with the mean times of their milestones.
#[derive(Serialize)]
pub(super) struct Row {
    pub(super) count: usize,
    milestones: MilestoneTimes,
}

#[derive(Serialize)]
pub(super) struct SlowApp {
    name: String,
    milestones: MilestoneTimes,
    took_ms: u64,
}

#[derive(Serialize)]
pub(super) struct RefusedRequests {
    pub(super) endpoint: String,
    pub(super) status: Option<u16>,
    pub(super) count: u64,
}

#[derive(Clone, Serialize)]
pub(super) struct FailedTargets {
    /// The names of all failed targets.
    pub(super) targets: String,
    pub(super) step: String,
    pub(super) error: String,
    /// The ID of the first request that failed.
    pub(super) request_id: Option<String>,
    pub(super) count: u64,
}

/// The failures at the end of a run, by step and cause, with the names of all apps.
pub(super) fn failures_of(resources: &[ResourceResult]) -> Vec<FailedTargets> {
    let mut failures: Vec<FailedTargets> = Vec::new();
    for resource in resources {
        let Some(failure) = &resource.failure else {
            continue;
        };
        let is_like =
            |it: &&mut FailedTargets| it.step == failure.step && it.error == failure.cause;
        match failures.iter_mut().find(is_like) {
            Some(alike) => {
                alike.targets += &format!(", {}", resource.target);
                alike.count += 1;
            }
            None => failures.push(FailedTargets {
                targets: resource.target.clone(),
                step: failure.step.clone(),
                error: failure.cause.clone(),
                request_id: failure.request_id.clone(),
                count: 1,
            }),
        }
    }
    failures
}

/// The apps in the order of their creation, and the slowest ones.
pub(super) fn timeline(apps: &HashMap<String, MilestoneTimes>) -> (Vec<Row>, Vec<SlowApp>) {
    let apps = apps
        .iter()
        .map(|(name, milestones)| (name.clone(), *milestones));
    let mut apps: Vec<(String, MilestoneTimes)> = apps.collect();
    let first = |milestones: &MilestoneTimes| milestones.iter().flatten().min().copied();
    apps.sort_by(|(name, one), (other_name, other)| {
        (first(one), name).cmp(&(first(other), other_name))
    });
    let size = apps.len().div_ceil(MAX_LINES).max(1);
    let rows = apps.chunks(size).map(|apps| Row {
        count: apps.len(),
        milestones: std::array::from_fn(|at| mean(apps.iter().filter_map(|(_, it)| it[at]))),
    });
    let rows = rows.collect();
    let slow = apps.into_iter().filter_map(|(name, milestones)| {
        let took_ms = milestones[AppMilestone::Running as usize]? - first(&milestones)?;
        Some(SlowApp {
            name,
            milestones,
            took_ms,
        })
    });
    let mut slowest: Vec<SlowApp> = slow.collect();
    slowest.sort_by_key(|app| std::cmp::Reverse(app.took_ms));
    slowest.truncate(MAX_NAMED);
    (rows, slowest)
}

fn mean(values: impl Iterator<Item = u64>) -> Option<u64> {
    let (sum, count) = values.fold((0, 0), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / count)
}

/// The maximum number of lines for the apps' times.
pub(super) const MAX_LINES: usize = 100;

/// The maximum number of listed slowest apps, and of listed failures.
pub(super) const MAX_NAMED: usize = 20;
