//! The time that requests take: a cost table, and a limited number of workers for which
//! requests queue.

mod profile;
mod workers;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::api::router::RouteMatch;
use crate::world::random::Random;
use crate::world::settings::Timings;

pub(crate) use profile::CostTable;
pub use profile::{InvalidProfile, Profile};
use workers::Workers;

/// The cost table and the workers.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    costs: Option<CostTable>,
    workers: Workers,
}

/// The cost of a request, which is known before the request is processed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PacedRequest {
    cost: profile::Cost,
    /// Whether the request is for the Cloud Controller, not for UAA or log-cache.
    is_served: bool,
}

/// The time that a request takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Service {
    /// The time from the arrival to the response.
    pub(crate) total: Duration,
    /// The time without the queue, if the response reports it.
    pub(crate) runtime: Option<Duration>,
}

impl Pace {
    pub(crate) fn new(costs: Option<CostTable>, workers: usize) -> Self {
        Self {
            costs,
            workers: Workers::new(workers),
        }
    }

    /// The cost of a request.
    pub(crate) fn cost(&self, path: &str, found: Option<&RouteMatch>) -> PacedRequest {
        let is_served = ["/v2", "/v3"].iter().any(|root| {
            let rest = path.strip_prefix(root);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        let costs = self.costs.as_ref().filter(|_| is_served);
        PacedRequest {
            cost: costs.map(|costs| costs.of(found)).unwrap_or_default(),
            is_served,
        }
    }

    /// Serves a request. `listed` is the number of resources in its response.
    pub(crate) fn serve(
        &mut self,
        paced: PacedRequest,
        listed: Option<usize>,
        timings: &Timings,
        random: &mut Random,
    ) -> Service {
        let mean = timings.latency.saturating_add(paced.cost.of(listed));
        let takes = random.jittered(mean, timings.jitter);
        if !paced.is_served {
            return Service {
                total: takes,
                runtime: None,
            };
        }
        let is_paced = self.costs.is_some() || self.workers.count() > 0;
        Service {
            total: self.workers.serve(Instant::now(), takes),
            runtime: is_paced.then_some(takes),
        }
    }

    pub(crate) fn set_costs(&mut self, costs: Option<CostTable>) {
        self.costs = costs;
    }

    pub(crate) fn set_workers(&mut self, count: usize) {
        self.workers.set(count);
    }

    pub(crate) fn reset_peak(&mut self) {
        self.workers.reset_peak();
    }

    /// Adds the profile and the workers to `/_mock/times`.
    pub(crate) fn present(&self, times: &mut Value) {
        let profile = self.costs.as_ref().map_or("none", CostTable::name);
        times["workers"] = json!(self.workers.count());
        times["profile"] = json!(profile);
    }

    /// The queue as `/_mock/stats` shows it.
    pub(crate) fn queue(&mut self) -> Value {
        self.workers.present(Instant::now())
    }

    pub(crate) fn peak_queue(&self) -> usize {
        self.workers.peak()
    }

    /// The profile in force, as JSON.
    pub(crate) fn profile(&self) -> Value {
        self.costs
            .as_ref()
            .map_or(Value::Null, |costs| json!(costs.profile()))
    }
}
