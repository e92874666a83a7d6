//! Waiting for many droplets together: who waits for a copy registers it, and
//! one list request at a time asks for all that are awaited.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::sync::oneshot;

use super::client::Client;
use super::error::Error;
use super::wait;

/// How many droplets one request asks for: their GUIDs must fit into a URL.
const PER_REQUEST: usize = 100;

/// Droplets that are awaited, and who awaits them.
#[derive(Default)]
pub(crate) struct DropletWaits {
    awaited: Mutex<HashMap<String, Awaited>>,
    arrival: tokio::sync::Notify,
}

struct Awaited {
    since: Instant,
    last: String,
    done: oneshot::Sender<Result<(), Error>>,
}

#[derive(Deserialize)]
struct Seen {
    guid: String,
    state: String,
    error: Option<String>,
}

impl DropletWaits {
    /// Waits until a droplet is staged. Needs [`DropletWaits::serve`] beside it.
    pub(crate) async fn staged(&self, droplet: &str) -> Result<(), Error> {
        let (done, outcome) = oneshot::channel();
        let awaited = Awaited {
            since: Instant::now(),
            last: "not seen yet".to_owned(),
            done,
        };
        self.with(|all| all.insert(droplet.to_owned(), awaited));
        self.arrival.notify_one();
        outcome.await.unwrap_or_else(|_| {
            Err(Error::Local {
                what: format!("waiting for droplet {droplet}"),
                reason: "the wait was given up".to_owned(),
            })
        })
    }

    /// Looks after all that wait, for as long as it is polled.
    pub(crate) async fn serve(&self, client: &Client) -> Infallible {
        let mut pauses = wait::pauses();
        loop {
            let guids: Vec<String> = self.with(|all| all.keys().cloned().collect());
            if guids.is_empty() {
                self.arrival.notified().await;
                pauses = wait::pauses();
                continue;
            }
            let mut any = false;
            for some in guids.chunks(PER_REQUEST) {
                any |= self.look(client, some).await;
            }
            self.give_up_after(client.timeout());
            if any {
                // Where some are done, others may be too.
                pauses = wait::pauses();
            } else {
                let pause = pauses.next().unwrap_or(Duration::from_secs(1));
                tokio::time::sleep(pause).await;
            }
        }
    }

    /// Asks for some droplets; whether any wait ended.
    async fn look(&self, client: &Client, guids: &[String]) -> bool {
        let path = format!(
            "/v3/droplets?guids={}&per_page={PER_REQUEST}",
            guids.join(",")
        );
        let seen: Vec<Seen> = match client.list(&path).await {
            Ok(seen) => seen,
            // The next look may be answered; each wait has its deadline.
            Err(error) if error.may_settle() => {
                let reason = error.to_string();
                for guid in guids {
                    self.see(guid, &reason);
                }
                return false;
            }
            Err(error) => {
                let reason = error.to_string();
                for guid in guids {
                    self.end(guid, || Err(failed(guid, &reason)));
                }
                return true;
            }
        };
        let mut any = false;
        for droplet in seen {
            match droplet.state.as_str() {
                "STAGED" => any |= self.end(&droplet.guid, || Ok(())),
                "FAILED" | "EXPIRED" => {
                    let reason = droplet.error.unwrap_or(droplet.state);
                    any |= self.end(&droplet.guid, || Err(failed(&droplet.guid, &reason)));
                }
                state => self.see(&droplet.guid, state),
            }
        }
        any
    }

    /// Notes what is known of a droplet that is still awaited.
    fn see(&self, guid: &str, state: &str) {
        self.with(|all| {
            if let Some(awaited) = all.get_mut(guid) {
                state.clone_into(&mut awaited.last);
            }
        });
    }

    fn end(&self, guid: &str, outcome: impl FnOnce() -> Result<(), Error>) -> bool {
        let Some(awaited) = self.with(|all| all.remove(guid)) else {
            return false;
        };
        // Whoever waited may be gone; then nobody needs to know.
        let _ = awaited.done.send(outcome());
        true
    }

    fn give_up_after(&self, timeout: Duration) {
        let late: Vec<(String, String)> = self.with(|all| {
            all.iter()
                .filter(|(_, awaited)| awaited.since.elapsed() > timeout)
                .map(|(guid, awaited)| (guid.clone(), awaited.last.clone()))
                .collect()
        });
        for (guid, last) in late {
            self.end(&guid, || {
                Err(Error::Deadline {
                    what: format!("copying to droplet {guid}"),
                    waited: timeout,
                    last,
                })
            });
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut HashMap<String, Awaited>) -> T) -> T {
        let mut awaited = match self.awaited.lock() {
            Ok(awaited) => awaited,
            // Nothing that is done under the lock leaves it half done.
            Err(poisoned) => poisoned.into_inner(),
        };
        act(&mut awaited)
    }
}

fn failed(guid: &str, reason: &str) -> Error {
    Error::Failed {
        what: format!("copying to droplet {guid}"),
        reason: reason.to_owned(),
    }
}
