//! Waits for the instances of the apps, and explains why some do not run.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use futures::future::{BoxFuture, join_all};

use super::failure::Failure;
use super::observe::App;
use super::observe::{self, Observed};
use super::plan::{Plan, Role};
use super::run::LAG;
use super::target::Target;
use super::verify::{Difference, Drift};
use super::{ConvergeError, Converger};
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::{log_cache, poll};
use crate::events::{AppMilestone, Event, Phase};

/// The failed step of an app whose instances do not run.
const WAITING: &str = "waiting for instances";

/// The number of crashed apps whose logs are read. Other apps usually crash for the same
/// reason.
const MAX_LOGS: usize = 5;

/// The number of lines of a crashed app's log.
const LOG_LINES: usize = 10;

/// The timeout of reading the log of a crashed app.
const LOG_TIMEOUT: Duration = Duration::from_secs(10);

/// The result of a wait.
pub(super) struct WaitResult {
    pub(super) observed: Observed,
    /// The drift.
    pub(super) drift: Vec<Drift>,
    /// Whether some instances were not running at first.
    pub(super) has_waited: bool,
}

impl Converger {
    /// All drift from the desired state, after instances have started or `wait` has
    /// passed. Sends no writes.
    ///
    /// # Errors
    /// The same errors as [`Converger::plan`].
    pub fn verify_within(
        &self,
        wait: Duration,
    ) -> BoxFuture<'_, Result<Vec<Drift>, ConvergeError>> {
        Box::pin(async move {
            let bits = self.prepare().await?;
            let seen = self.observe_and_plan(bits, false).await?;
            let waited = self.wait_for_instances(seen.observed, &seen.plan, wait);
            Ok(waited.await?.drift)
        })
    }

    /// Waits until all instances run except those of crashed apps, or until the deadline.
    pub(super) async fn wait_for_instances(
        &self,
        mut observed: Observed,
        plan: &Plan,
        timeout: Duration,
    ) -> Result<WaitResult, Error> {
        let client = &self.client;
        let began = Instant::now();
        let total = startable(plan, &self.drift_of(&observed, plan));
        let mut has_waited = false;
        let mut awaited: HashSet<Target> = plan
            .apps()
            .filter(|app| app.role() != Some(Role::Surplus))
            .map(|app| app.target.clone())
            .collect();
        // Diego restarts crashed instances, so they are not crashed in every observation.
        let mut crashed: HashSet<Target> = HashSet::new();
        let mut pauses = poll::shared_pauses(poll::QUICK);
        loop {
            let drift = self.drift_of(&observed, plan);
            let starting: Vec<&Drift> = drift.iter().filter(|it| it.is_transient).collect();
            let now = starting.iter().filter(|it| it.difference.is_crash());
            crashed.extend(now.map(|it| it.target.clone()));
            crashed.retain(|target| starting.iter().any(|it| it.target == *target));
            // The list of processes may lag behind the list of apps.
            let lacks_process = |it: &&Drift| it.difference == Difference::NoWebProcess;
            let lagging = match began.elapsed() < LAG {
                true => drift.iter().filter(lacks_process).count(),
                false => 0,
            };
            let waiting = starting.len() - crashed.len() + lagging;
            self.show_waiting(&mut has_waited, total, waiting, crashed.len());
            let mut awaiting = drift.iter().filter(|it| match it.is_transient {
                true => !crashed.contains(&it.target),
                false => lagging > 0 && lacks_process(it),
            });
            if let Some(first) = awaiting.next() {
                self.client.events().emit(Event::Waiting {
                    phase: Phase::Instances,
                    app: first.target.name().to_owned(),
                });
            }
            self.report_running(&mut awaited, &drift);
            let pause = pauses.next().unwrap_or(timeout);
            if waiting == 0 || began.elapsed().saturating_add(pause) > timeout {
                return Ok(WaitResult {
                    observed,
                    drift,
                    has_waited,
                });
            }
            client.pause(pause).await?;
            let apps = self.apps_by_target(&observed);
            let late = drift
                .iter()
                .filter(|it| it.is_transient || lacks_process(it));
            let late = late.filter_map(|it| apps.get(&it.target).map(|app| app.guid.clone()));
            let late: Vec<String> = late.collect();
            observe::refresh_instances(client, &mut observed, &late).await?;
        }
    }

    /// Reports each app when it runs.
    fn report_running(&self, awaited: &mut HashSet<Target>, drift: &[Drift]) {
        let differing: HashSet<&Target> = drift.iter().map(|drift| &drift.target).collect();
        for app in awaited.extract_if(|app| !differing.contains(app)) {
            self.client.events().emit(Event::App {
                name: app.name().to_owned(),
                milestone: AppMilestone::Running,
            });
        }
    }

    fn show_waiting(&self, has_waited: &mut bool, total: usize, left: usize, failed: usize) {
        let phase = Phase::Instances;
        let events = self.client.events();
        if left > 0 && !*has_waited {
            *has_waited = true;
            events.emit(Event::PhaseStarted { phase, total });
        }
        if *has_waited {
            let done = total.saturating_sub(left + failed);
            events.emit(Event::PhaseProgress {
                phase,
                done,
                failed,
            });
        }
        if *has_waited && left == 0 {
            events.emit(Event::PhaseEnded { phase });
        }
    }

    /// A failure for each app whose instances do not run, with the foundation's reason.
    /// The failures of some crashed apps contain the end of their log.
    pub(super) async fn start_failures(&self, waited: &WaitResult) -> Vec<Failure> {
        let apps = self.apps_by_target(&waited.observed);
        let mut logs_left = MAX_LOGS;
        let failures = waited.drift.iter().filter_map(|drift| {
            let Difference::Instances { .. } = drift.difference else {
                return None;
            };
            let app = apps.get(&drift.target).copied();
            let reads_log = drift.difference.is_crash() && logs_left > 0;
            logs_left -= usize::from(reads_log);
            Some(self.start_failure(drift, app, reads_log))
        });
        let failures: Vec<_> = failures.collect();
        join_all(failures).await
    }

    async fn start_failure(&self, drift: &Drift, app: Option<&App>, reads_log: bool) -> Failure {
        let what = format!("starting {}", drift.target.name());
        if !drift.difference.is_crash() {
            let error = Error::Deadline {
                what,
                waited: self.client.timeout(),
                last: drift.difference.to_string(),
            };
            return Failure::at(drift.target.clone(), WAITING, error);
        }
        let details = app
            .and_then(|app| app.web.as_ref())
            .and_then(|web| web.actual.iter().find_map(|it| it.details.clone()));
        let reason = match details {
            Some(details) => format!("all instances crashed: {details}"),
            None => "all instances crashed".to_owned(),
        };
        let error = Error::Failed { what, reason };
        let mut failure = Failure::at(drift.target.clone(), WAITING, error);
        if let Some(app) = app.filter(|_| reads_log) {
            failure.log = last_lines(&self.client, &app.guid).await;
        }
        failure
    }

    fn apps_by_target<'o>(&self, observed: &'o Observed) -> HashMap<Target, &'o App> {
        let spaces = self.desired.spaces().zip(&observed.spaces);
        let apps = spaces.flat_map(|(placed, space)| {
            space.apps.iter().map(move |app| {
                let target = Target::App {
                    org: placed.org.name.clone(),
                    space: placed.space.name.clone(),
                    name: app.name.clone(),
                };
                (target, app)
            })
        });
        apps.collect()
    }
}

/// The number of apps whose instances are running or may start, without apps whose
/// changes failed.
fn startable(plan: &Plan, drift: &[Drift]) -> usize {
    let targets = |is_wanted: fn(&&Drift) -> bool| -> HashSet<&Target> {
        let wanted = drift.iter().filter(is_wanted);
        wanted.map(|it| &it.target).collect()
    };
    let starting = targets(|it| it.is_transient);
    let stuck = targets(|it| !it.is_transient && it.difference != Difference::NoWebProcess);
    let apps = plan.apps().filter(|app| {
        app.role() != Some(Role::Surplus)
            && (starting.contains(&app.target) || !stuck.contains(&app.target))
    });
    apps.count()
}

/// The last lines of an app's log. Empty if it cannot be read.
async fn last_lines(client: &Client, app: &str) -> Vec<String> {
    let read = log_cache::last_lines(client, app, LOG_LINES);
    match tokio::time::timeout(LOG_TIMEOUT, read).await {
        Ok(Ok(lines)) => lines,
        Ok(Err(_)) | Err(_) => Vec::new(),
    }
}
