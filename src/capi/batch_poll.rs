//! Waits for many resources together. Each waiter registers a GUID, and one list request
//! at a time polls all registered resources.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::convert::Infallible;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::client::Client;
use super::error::Error;
use super::model::{Build, Droplet, Package, Process};
use super::poll::{self, Progress};

/// The maximum number of GUIDs in one poll. They must fit into a URL.
const GUIDS_PER_POLL: usize = 100;

/// A resource that is missing from this many consecutive polls is gone, unless lists may
/// still lag behind its creation.
const MISSES_UNTIL_GONE: usize = 3;

/// The maximum time that a list may lag behind writes.
const LAG: Duration = Duration::from_secs(3);

/// A kind of resource that can be polled by GUIDs.
pub(crate) trait PolledResource {
    /// The value that a successful wait returns.
    type Output;

    /// The pause before the second poll.
    fn first_pause(&self) -> Duration;

    /// The progress of some resources. Resources that do not exist are missing from the
    /// result.
    async fn poll(&self, client: &Client, guids: &[String]) -> Result<Polled<Self::Output>, Error>;
}

/// The progress of the polled resources, by GUID.
pub(crate) type Polled<T> = Vec<(String, Progress<T>)>;

/// Packages, until they can be staged.
#[derive(Debug)]
pub(crate) struct Packages;

impl PolledResource for Packages {
    type Output = Package;

    fn first_pause(&self) -> Duration {
        poll::QUICK
    }

    async fn poll(&self, client: &Client, guids: &[String]) -> Result<Polled<Package>, Error> {
        let packages = client.packages(guids).await?.into_iter();
        Ok(packages
            .map(|it| (it.guid.clone(), it.progress()))
            .collect())
    }
}

/// Builds, until they are staged.
#[derive(Debug)]
pub(crate) struct Builds {
    /// The pause before the second poll.
    pub(crate) first_pause: Duration,
}

impl PolledResource for Builds {
    type Output = Build;

    fn first_pause(&self) -> Duration {
        self.first_pause
    }

    async fn poll(&self, client: &Client, guids: &[String]) -> Result<Polled<Build>, Error> {
        let builds = client.builds(guids).await?.into_iter();
        Ok(builds.map(|it| (it.guid.clone(), it.progress())).collect())
    }
}

/// Droplets, until an app can run with them.
#[derive(Debug)]
pub(crate) struct Droplets;

impl PolledResource for Droplets {
    type Output = Droplet;

    fn first_pause(&self) -> Duration {
        poll::QUICK
    }

    async fn poll(&self, client: &Client, guids: &[String]) -> Result<Polled<Droplet>, Error> {
        let droplets = client.droplets(guids).await?.into_iter();
        Ok(droplets
            .map(|it| (it.guid.clone(), it.progress()))
            .collect())
    }
}

/// Apps, until an instance of each process runs.
#[derive(Debug)]
pub(crate) struct RunningApps {
    /// Whether only the web process matters.
    pub(crate) web_only: bool,
}

impl PolledResource for RunningApps {
    type Output = Vec<Process>;

    fn first_pause(&self) -> Duration {
        poll::SLOW
    }

    async fn poll(&self, client: &Client, apps: &[String]) -> Result<Polled<Vec<Process>>, Error> {
        let mut by_app: BTreeMap<String, Vec<Process>> = BTreeMap::new();
        for process in client.processes_of_apps(apps).await? {
            by_app.entry(process.app.clone()).or_default().push(process);
        }
        let by_app = by_app.into_iter();
        Ok(by_app.map(|(app, all)| (app, self.progress(all))).collect())
    }
}

impl RunningApps {
    fn progress(&self, processes: Vec<Process>) -> Progress<Vec<Process>> {
        let is_awaited =
            |process: &&Process| process.instances > 0 && (!self.web_only || process.kind == "web");
        for process in processes.iter().filter(is_awaited) {
            if process.running() > 0 {
                continue;
            }
            if process.has_only_crashed() {
                return Progress::Failed(crash(process));
            }
            let (kind, count) = (&process.kind, process.instances);
            return Progress::Pending(format!("none of {count} instances of {kind} running"));
        }
        Progress::Done(processes)
    }
}

fn crash(process: &Process) -> String {
    let details = process.actual.iter().find_map(|it| it.details.as_deref());
    let details = details.map(|details| format!(": {details}"));
    format!(
        "all instances of the process {} crashed{}",
        process.kind,
        details.unwrap_or_default()
    )
}

/// The resources of one kind that callers wait for.
pub(crate) struct BatchPoll<R: PolledResource> {
    resource: R,
    /// The timeout of each wait. `None` selects the client's timeout.
    timeout: Option<Duration>,
    waiters: Mutex<HashMap<String, Waiter<R::Output>>>,
    arrival: tokio::sync::Notify,
}

struct Waiter<T> {
    what: String,
    since: Instant,
    last: String,
    /// The number of consecutive polls that did not show the resource.
    missed: usize,
    result: oneshot::Sender<Result<T, Error>>,
}

impl<R: PolledResource> BatchPoll<R> {
    pub(crate) fn new(resource: R) -> Self {
        Self {
            resource,
            timeout: None,
            waiters: Mutex::default(),
            arrival: tokio::sync::Notify::new(),
        }
    }

    /// Sets the timeout of each wait.
    pub(crate) fn timeout(self, timeout: Option<Duration>) -> Self {
        Self { timeout, ..self }
    }

    /// Waits for the resource with this GUID. `what` names the work in errors.
    /// [`BatchPoll::run`] must be polled at the same time.
    pub(crate) async fn wait_for(&self, guid: &str, what: String) -> Result<R::Output, Error> {
        let (result, outcome) = oneshot::channel();
        let waiter = Waiter {
            what: what.clone(),
            since: Instant::now(),
            last: "not seen yet".to_owned(),
            missed: 0,
            result,
        };
        self.with(|all| all.insert(guid.to_owned(), waiter));
        self.arrival.notify_one();
        outcome
            .await
            .unwrap_or_else(|_| Err(Error::impossible(what, "the polling stopped")))
    }

    /// Polls all registered resources, for as long as it is polled itself.
    pub(crate) async fn run(&self, client: &Client) -> Infallible {
        let fresh = || poll::shared_pauses(self.resource.first_pause());
        let mut pauses = fresh();
        loop {
            let guids: Vec<String> = self.with(|all| all.keys().cloned().collect());
            if guids.is_empty() {
                self.arrival.notified().await;
                pauses = fresh();
                if self.is_slow() {
                    // Not ready yet. More waiters may join until the next poll.
                    let pause = pauses.next().unwrap_or(poll::SLOW);
                    let _ = client.pause(pause).await;
                }
                continue;
            }
            let mut has_progress = false;
            for some in guids.chunks(GUIDS_PER_POLL) {
                has_progress |= self.poll(client, some).await;
            }
            self.end_late_waits(self.timeout.unwrap_or(client.timeout()));
            if has_progress && !self.is_slow() {
                // If one resource is done, others may be done soon.
                pauses = fresh();
            } else {
                let pause = pauses.next().unwrap_or(Duration::from_secs(1));
                // An interrupt ends all waits with the next poll.
                let _ = client.pause(pause).await;
            }
        }
    }

    fn is_slow(&self) -> bool {
        self.resource.first_pause() >= poll::SLOW
    }

    /// Polls some of the resources. Returns whether any wait ended.
    async fn poll(&self, client: &Client, guids: &[String]) -> bool {
        let polled = match self.resource.poll(client, guids).await {
            Ok(polled) => polled,
            // The next poll may succeed, and each wait has its deadline. A lost
            // connection has already been retried.
            Err(error) if error.is_worth_replanning() && !error.is_connection() => {
                let reason = error.to_string();
                for guid in guids {
                    self.set_last(guid, &reason);
                }
                return false;
            }
            Err(error) => {
                for guid in guids {
                    self.end(guid, |_| Err(error.clone()));
                }
                return true;
            }
        };
        let shown: HashSet<&str> = polled.iter().map(|(guid, _)| guid.as_str()).collect();
        let mut has_progress = false;
        for guid in guids.iter().filter(|guid| !shown.contains(guid.as_str())) {
            has_progress |= self.miss(guid);
        }
        for (guid, progress) in polled {
            has_progress |= self.update(client, &guid, progress);
        }
        has_progress
    }

    /// Applies the result of a poll. Returns whether it ended the wait.
    fn update(&self, client: &Client, guid: &str, progress: Progress<R::Output>) -> bool {
        match progress {
            Progress::Done(output) => self.end(guid, |_| Ok(output)),
            Progress::Pending(state) => {
                self.set_last(guid, &state);
                false
            }
            Progress::Failed(reason) => self.end(guid, |what| {
                let error = Error::Failed { what, reason };
                Err(client.masked(error))
            }),
        }
    }

    /// Counts that a poll did not show a resource. Returns whether the resource counts as
    /// gone, which ends the wait.
    fn miss(&self, guid: &str) -> bool {
        let is_gone = self.with(|all| {
            all.get_mut(guid).is_some_and(|waiter| {
                waiter.missed += 1;
                waiter.missed >= MISSES_UNTIL_GONE && waiter.since.elapsed() >= LAG
            })
        });
        is_gone && self.end(guid, |what| Err(Error::Gone { what }))
    }

    fn set_last(&self, guid: &str, state: &str) {
        self.with(|all| {
            if let Some(waiter) = all.get_mut(guid) {
                waiter.missed = 0;
                state.clone_into(&mut waiter.last);
            }
        });
    }

    /// Ends a wait. `outcome` gets the name of the work that the caller waited for.
    fn end(&self, guid: &str, outcome: impl FnOnce(String) -> Result<R::Output, Error>) -> bool {
        let Some(waiter) = self.with(|all| all.remove(guid)) else {
            return false;
        };
        // The waiter may have been dropped. Nobody needs the outcome then.
        let _ = waiter.result.send(outcome(waiter.what));
        true
    }

    fn end_late_waits(&self, timeout: Duration) {
        let late: Vec<(String, String)> = self.with(|all| {
            let late = all.iter();
            let late = late.filter(|(_, waiter)| waiter.since.elapsed() > timeout);
            late.map(|(guid, waiter)| (guid.clone(), waiter.last.clone()))
                .collect()
        });
        for (guid, last) in late {
            self.end(&guid, |what| {
                Err(Error::Deadline {
                    what,
                    waited: timeout,
                    last,
                })
            });
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut HashMap<String, Waiter<R::Output>>) -> T) -> T {
        let mut waiters = match self.waiters.lock() {
            Ok(waiters) => waiters,
            // No code under the lock leaves the map inconsistent.
            Err(poisoned) => poisoned.into_inner(),
        };
        act(&mut waiters)
    }
}
