//! Sends requests to service brokers, and continues jobs with their responses.

use std::sync::Arc;

use super::Core;
use crate::api::osb::{self, BrokerReply, BrokerRequest, NextRun};
use crate::serve::dispatcher::BrokerDispatcher;
use crate::world::{BrokerTask, Guid, World};

impl Core {
    /// Registers the embedded brokers, with plans that are visible to everyone.
    pub(super) fn register_brokers(&self, world: &mut World) {
        for broker in &self.brokers {
            // The catalog of such a broker is always valid.
            let catalog = osb::read_catalog(&broker.spec.catalog()).unwrap_or_default();
            world.register_broker(&broker.spec.name, broker.url(), catalog);
        }
    }

    /// Starts the pending requests to brokers.
    pub(crate) fn run_broker_tasks(self: &Arc<Self>) {
        let broker_tasks = self.lock().world.take_broker_tasks();
        if broker_tasks.is_empty() {
            return;
        }
        if let Some(dispatcher) = self.dispatcher() {
            for task in broker_tasks {
                dispatcher.run(task, self);
            }
        }
    }

    /// The dispatcher. `None` only if the system cannot start a thread.
    pub(crate) fn dispatcher(&self) -> Option<&BrokerDispatcher> {
        if let Some(dispatcher) = self.dispatcher.get() {
            return Some(dispatcher);
        }
        let dispatcher = BrokerDispatcher::start(self.settings.broker_timeout).ok()?;
        Some(self.dispatcher.get_or_init(|| dispatcher))
    }

    /// The next request to a broker for a task.
    pub(crate) fn broker_request(&self, task: &BrokerTask) -> Option<BrokerRequest> {
        let state = self.lock();
        let request = osb::request(&state.world, task)?;
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
    pub(crate) fn continue_job(
        self: &Arc<Self>,
        job: Guid,
        reply: Option<&BrokerReply>,
    ) -> NextRun {
        let next = {
            let mut state = self.lock();
            state.world.settle(self.clock.now());
            osb::continue_job(&mut state.world, &self.settings, job, reply)
        };
        self.run_broker_tasks();
        next
    }
}
