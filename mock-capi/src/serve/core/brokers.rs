//! Sends requests to service brokers, and continues jobs with their responses.

use std::sync::Arc;

use super::Core;
use crate::api::osb::{self, BrokerReply, BrokerRequest, Next};
use crate::serve::courier::Courier;
use crate::world::{Errand, Guid, World};

impl Core {
    /// Registers the brokers that run inside the mock, with plans that everyone sees.
    pub(super) fn register_brokers(&self, world: &mut World) {
        for broker in &self.brokers {
            // The catalog of such a broker is always valid.
            let catalog = osb::read_catalog(&broker.spec.catalog()).unwrap_or_default();
            world.register_broker(&broker.spec.name, broker.url(), catalog);
        }
    }

    /// Starts the pending requests to brokers.
    pub(crate) fn run_errands(self: &Arc<Self>) {
        let errands = self.lock().world.take_errands();
        if errands.is_empty() {
            return;
        }
        if let Some(courier) = self.courier() {
            for errand in errands {
                courier.run(errand, self);
            }
        }
    }

    /// The courier. `None` only if the system cannot start a thread.
    pub(crate) fn courier(&self) -> Option<&Courier> {
        if let Some(courier) = self.courier.get() {
            return Some(courier);
        }
        let courier = Courier::start(self.settings.broker_timeout).ok()?;
        Some(self.courier.get_or_init(|| courier))
    }

    /// The next request to a broker for an errand.
    pub(crate) fn broker_request(&self, errand: &Errand) -> Option<BrokerRequest> {
        let state = self.lock();
        let request = osb::request(&state.world, errand)?;
        Some(self.signed(request))
    }

    /// Adds the mock's address to a request to a broker.
    pub(super) fn signed(&self, mut request: BrokerRequest) -> BrokerRequest {
        let base = self.base();
        let host = base.split_once("://").map_or(base, |(_, host)| host);
        request
            .headers
            .push(("X-Api-Info-Location", format!("{host}/v2/info")));
        request
    }

    /// Continues a job with the reply of a broker.
    pub(crate) fn go_on(self: &Arc<Self>, job: Guid, reply: Option<&BrokerReply>) -> Next {
        let next = {
            let mut state = self.lock();
            state.world.settle(self.clock.now());
            osb::go_on(&mut state.world, &self.settings, job, reply)
        };
        self.run_errands();
        next
    }
}
