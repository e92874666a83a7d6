//! Requests to service brokers, inside and outside of the mock.

use std::sync::Arc;

use super::Core;
use crate::api::osb::{self, BrokerReply, BrokerRequest, Next};
use crate::serve::courier::Courier;
use crate::world::{Errand, Guid, World};

impl Core {
    /// Makes the brokers that run inside known to a world, with plans that
    /// everyone sees.
    pub(super) fn register_brokers(&self, world: &mut World) {
        for broker in &self.brokers {
            // What it has in its catalog is good.
            let catalog = osb::read_catalog(&broker.spec.catalog()).unwrap_or_default();
            world.register_broker(&broker.spec.name, broker.url(), catalog);
        }
    }

    /// Starts what is to be asked of brokers.
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

    /// The courier, who is there unless the system has no thread left.
    pub(crate) fn courier(&self) -> Option<&Courier> {
        if let Some(courier) = self.courier.get() {
            return Some(courier);
        }
        let courier = Courier::start(self.settings.broker_timeout).ok()?;
        Some(self.courier.get_or_init(|| courier))
    }

    /// What is to be asked of a broker for an errand.
    pub(crate) fn broker_request(&self, errand: &Errand) -> Option<BrokerRequest> {
        let state = self.lock();
        let request = osb::request(&state.world, errand)?;
        Some(self.signed(request))
    }

    /// Sets the mock's address for requests to brokers.
    pub(super) fn signed(&self, mut request: BrokerRequest) -> BrokerRequest {
        let base = self.base();
        let host = base.split_once("://").map_or(base, |(_, host)| host);
        request
            .headers
            .push(("X-Api-Info-Location", format!("{host}/v2/info")));
        request
    }

    /// Goes on with a job for which a broker was asked.
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
