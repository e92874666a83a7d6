//! How long the Cloud Controller takes for a request: a price list, and workers that
//! serve so many requests at once and let the others queue.

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

/// What determines the time of requests besides the latency.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    prices: Option<PriceList>,
    workers: Workers,
}

/// A request whose price is known before it is processed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Priced {
    price: profile::Price,
    /// Whether the Cloud Controller serves it, and not UAA or another component.
    is_served: bool,
}

/// How long a request takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Service {
    /// From its arrival to the response.
    pub(crate) total: Duration,
    /// Without the time in the queue, if it is to be reported.
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
    pub(crate) fn price(&self, path: &str, found: Option<&Found>) -> Priced {
        let is_served = ["/v2", "/v3"].iter().any(|root| {
            let rest = path.strip_prefix(root);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        });
        let prices = self.prices.as_ref().filter(|_| is_served);
        Priced {
            price: prices.map(|prices| prices.of(found)).unwrap_or_default(),
            is_served,
        }
    }

    /// Serves a request whose response lists so many resources.
    pub(crate) fn serve(
        &mut self,
        priced: Priced,
        listed: Option<usize>,
        timings: &Timings,
        random: &mut Random,
    ) -> Service {
        let mean = timings.latency.saturating_add(priced.price.of(listed));
        let takes = random.around(mean, timings.jitter);
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

    /// Its part of `/_mock/times`.
    pub(crate) fn present(&self, times: &mut Value) {
        let profile = self.prices.as_ref().map_or("none", PriceList::name);
        times["workers"] = json!(self.workers.count());
        times["profile"] = json!(profile);
    }

    /// Its part of `/_mock/stats`.
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
