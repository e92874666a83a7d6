//! Waiting for many things together: who waits for one registers it, and one
//! list request at a time asks for all that are awaited.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::oneshot;

use super::client::Client;
use super::error::Error;
use super::wait::{self, Progress};

/// How many things one request asks for: their GUIDs must fit into a URL.
const PER_REQUEST: usize = 100;

/// What is not there in so many looks is gone.
const GONE: usize = 3;

/// What is known of something that is awaited: how far it is, or why it failed.
pub(crate) type Sight<T> = Result<Progress<T>, String>;

/// What is known of something, for who waits for it alone; `what` says in an
/// error what was awaited.
pub(crate) fn progress<T>(what: &str, sight: Sight<T>) -> Result<Progress<T>, Error> {
    sight.map_err(|reason| Error::Failed {
        what: what.to_owned(),
        reason,
    })
}

/// A way to look at many things that are awaited.
pub(crate) trait Watch {
    /// What a wait ends with.
    type Done;

    /// Before the second look.
    fn first_pause(&self) -> Duration;

    /// Looks at what is behind some GUIDs; of what is not there it says nothing.
    async fn look(
        &self,
        client: &Client,
        guids: &[String],
    ) -> Result<Vec<(String, Sight<Self::Done>)>, Error>;
}

/// Things with a `state`, each waited for until it is as it is to be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stateful {
    Packages,
    Builds,
    Droplets,
}

impl Stateful {
    fn path(self) -> &'static str {
        match self {
            Self::Packages => "/v3/packages",
            Self::Builds => "/v3/builds",
            Self::Droplets => "/v3/droplets",
        }
    }

    /// What the thing's state means.
    pub(crate) fn sight(self, seen: &Value) -> Sight<Value> {
        let done = match self {
            Self::Packages => "READY",
            Self::Builds | Self::Droplets => "STAGED",
        };
        let state = seen.get("state").and_then(Value::as_str);
        match state.unwrap_or("unknown") {
            state if state == done => Ok(Progress::Done(seen.clone())),
            state @ ("FAILED" | "EXPIRED") => {
                let reason = seen.get("error").and_then(Value::as_str);
                let reason = reason.or_else(|| seen.pointer("/data/error")?.as_str());
                Err(reason.unwrap_or(state).to_owned())
            }
            state => Ok(Progress::Pending(state.to_owned())),
        }
    }
}

impl Watch for Stateful {
    type Done = Value;

    fn first_pause(&self) -> Duration {
        match self {
            Self::Builds => wait::SLOW,
            Self::Packages | Self::Droplets => wait::QUICK,
        }
    }

    async fn look(
        &self,
        client: &Client,
        guids: &[String],
    ) -> Result<Vec<(String, Sight<Value>)>, Error> {
        let (path, guids) = (self.path(), guids.join(","));
        let path = format!("{path}?guids={guids}&per_page={PER_REQUEST}");
        let seen: Vec<Value> = client.list(&path).await?;
        let sight = |seen: &Value| Some((seen.get("guid")?.as_str()?.to_owned(), self.sight(seen)));
        Ok(seen.iter().filter_map(sight).collect())
    }
}

/// Things that are awaited, and who awaits them.
pub(crate) struct Waits<W: Watch> {
    watch: W,
    awaited: Mutex<HashMap<String, Awaited<W::Done>>>,
    arrival: tokio::sync::Notify,
}

struct Awaited<T> {
    what: String,
    since: Instant,
    last: String,
    /// How often in a row it was not in the list.
    missed: usize,
    done: oneshot::Sender<Result<T, Error>>,
}

impl<W: Watch> Waits<W> {
    pub(crate) fn new(watch: W) -> Self {
        Self {
            watch,
            awaited: Mutex::default(),
            arrival: tokio::sync::Notify::new(),
        }
    }

    /// Waits for the thing with this GUID; `what` says in an error what was
    /// awaited. Needs [`Waits::serve`] beside it.
    pub(crate) async fn done(&self, guid: &str, what: String) -> Result<W::Done, Error> {
        let (done, outcome) = oneshot::channel();
        let awaited = Awaited {
            what: what.clone(),
            since: Instant::now(),
            last: "not seen yet".to_owned(),
            missed: 0,
            done,
        };
        self.with(|all| all.insert(guid.to_owned(), awaited));
        self.arrival.notify_one();
        outcome.await.unwrap_or_else(|_| {
            Err(Error::Local {
                what,
                reason: "the wait was given up".to_owned(),
            })
        })
    }

    /// Looks after all that wait, for as long as it is polled.
    pub(crate) async fn serve(&self, client: &Client) -> Infallible {
        let fresh = || wait::pauses_from(self.watch.first_pause());
        let mut pauses = fresh();
        loop {
            let guids: Vec<String> = self.with(|all| all.keys().cloned().collect());
            if guids.is_empty() {
                self.arrival.notified().await;
                pauses = fresh();
                if self.is_slow() {
                    // Nothing can be done yet, and more may come meanwhile.
                    let pause = pauses.next().unwrap_or(wait::SLOW);
                    let _ = client.pause(pause).await;
                }
                continue;
            }
            let mut any = false;
            for some in guids.chunks(PER_REQUEST) {
                any |= self.look(client, some).await;
            }
            self.give_up_after(client.timeout());
            if any && !self.is_slow() {
                // Where some are done, others may be too.
                pauses = fresh();
            } else {
                let pause = pauses.next().unwrap_or(Duration::from_secs(1));
                // An interrupt ends all waits with the next look.
                let _ = client.pause(pause).await;
            }
        }
    }

    fn is_slow(&self) -> bool {
        self.watch.first_pause() >= wait::SLOW
    }

    /// Asks for some of them; whether any wait ended.
    async fn look(&self, client: &Client, guids: &[String]) -> bool {
        let seen = match self.watch.look(client, guids).await {
            Ok(seen) => seen,
            // The next look may be answered; each wait has its deadline. Who could
            // not be reached has been tried again and again already.
            Err(error) if error.may_settle() && !error.is_connection() => {
                let reason = error.to_string();
                for guid in guids {
                    self.see(guid, &reason);
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
        let mut any = false;
        let there: HashSet<&str> = seen.iter().map(|(guid, _)| guid.as_str()).collect();
        for guid in guids.iter().filter(|guid| !there.contains(guid.as_str())) {
            if self.misses(guid) == GONE {
                any |= self.end(guid, |awaited| {
                    let what = awaited.what.clone();
                    Err(Error::Gone { what })
                });
            }
        }
        for (guid, sight) in seen {
            match sight {
                Ok(Progress::Done(done)) => any |= self.end(&guid, |_| Ok(done)),
                Ok(Progress::Pending(state)) => self.see(&guid, &state),
                Ok(Progress::Failed(reason)) | Err(reason) => any |= self.fail(&guid, &reason),
            }
        }
        any
    }

    /// Counts that something was not there, and how often in a row.
    fn misses(&self, guid: &str) -> usize {
        self.with(|all| {
            all.get_mut(guid).map_or(0, |awaited| {
                awaited.missed += 1;
                awaited.missed
            })
        })
    }

    /// Notes what is known of something that is still awaited.
    fn see(&self, guid: &str, state: &str) {
        self.with(|all| {
            if let Some(awaited) = all.get_mut(guid) {
                awaited.missed = 0;
                state.clone_into(&mut awaited.last);
            }
        });
    }

    fn fail(&self, guid: &str, reason: &str) -> bool {
        self.end(guid, |awaited| {
            Err(Error::Failed {
                what: awaited.what.clone(),
                reason: reason.to_owned(),
            })
        })
    }

    fn end(
        &self,
        guid: &str,
        outcome: impl FnOnce(&Awaited<W::Done>) -> Result<W::Done, Error>,
    ) -> bool {
        let Some(awaited) = self.with(|all| all.remove(guid)) else {
            return false;
        };
        let outcome = outcome(&awaited);
        // Whoever waited may be gone; then nobody needs to know.
        let _ = awaited.done.send(outcome);
        true
    }

    fn give_up_after(&self, timeout: Duration) {
        let late: Vec<String> = self.with(|all| {
            let late = all.iter();
            let late = late.filter(|(_, awaited)| awaited.since.elapsed() > timeout);
            late.map(|(guid, _)| guid.clone()).collect()
        });
        for guid in late {
            self.end(&guid, |awaited| {
                Err(Error::Deadline {
                    what: awaited.what.clone(),
                    waited: timeout,
                    last: awaited.last.clone(),
                })
            });
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut HashMap<String, Awaited<W::Done>>) -> T) -> T {
        let mut awaited = match self.awaited.lock() {
            Ok(awaited) => awaited,
            // Nothing that is done under the lock leaves it half done.
            Err(poisoned) => poisoned.into_inner(),
        };
        act(&mut awaited)
    }
}
