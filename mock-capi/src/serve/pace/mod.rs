//! The time that requests take: a price list, and a limited number of workers for which
//! requests queue.

mod profile;
mod workers;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::api::router::Found;
use crate::world::random::Random;
use crate::world::settings::Timings;

pub(crate) use profile::PriceList;
pub use profile::{InvalidProfile, Profile};
use workers::Workers;

/// The price list and the workers.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    prices: Option<PriceList>,
    workers: Workers,
}

/// The price of a request, which is known before the request is processed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PricedRequest {
    price: profile::Price,
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
    pub(crate) fn new(prices: Option<PriceList>, workers: usize) -> Self {
        Self {
            prices,
            workers: Workers::new(workers),
        }
    }

    /// The price of a request.
    pub(crate) fn price(&self, path: &str, found: Option<&Found>) -> PricedRequest {
        let is_served = ["/v2", "/v3"].iter().any(|root| {
            let rest = path.strip_prefix(root);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        let prices = self.prices.as_ref().filter(|_| is_served);
        PricedRequest {
            price: prices.map(|prices| prices.of(found)).unwrap_or_default(),
            is_served,
        }
    }

    /// Serves a request. `listed` is the number of resources in its response.
    pub(crate) fn serve(
        &mut self,
        priced: PricedRequest,
        listed: Option<usize>,
        timings: &Timings,
        random: &mut Random,
    ) -> Service {
        let mean = timings.latency.saturating_add(priced.price.of(listed));
        let takes = random.jittered(mean, timings.jitter);
        if !priced.is_served {
            return Service {
                total: takes,
                runtime: None,
            };
        }
        let is_paced = self.prices.is_some() || self.workers.count() > 0;
        Service {
            total: self.workers.serve(Instant::now(), takes),
            runtime: is_paced.then_some(takes),
        }
    }

    pub(crate) fn set_prices(&mut self, prices: Option<PriceList>) {
        self.prices = prices;
    }

    pub(crate) fn set_workers(&mut self, count: usize) {
        self.workers.set(count);
    }

    pub(crate) fn reset_peak(&mut self) {
        self.workers.reset_peak();
    }

    /// Adds the profile and the workers to `/_mock/times`.
    pub(crate) fn present(&self, times: &mut Value) {
        let profile = self.prices.as_ref().map_or("none", PriceList::name);
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
        self.prices
            .as_ref()
            .map_or(Value::Null, |prices| json!(prices.profile()))
    }
}
