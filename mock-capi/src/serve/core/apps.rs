//! Answers requests to apps.

use std::time::Duration;

use http::HeaderMap;
use serde_json::Value;

use super::{Core, Wire};
use crate::data_plane::{
    AppBehaviour, AppRequest, DataPlaneContext, InvalidApps, Outcome as AppOutcome,
};
use crate::serve::faults::NO_APPS;
use crate::world::InstanceAddress;

impl Core {
    /// The behaviours that were set for apps, which replace the default ones, as JSON.
    pub(crate) fn app_behaviours(&self) -> Value {
        self.lock().plane.behaviours()
    }

    pub(crate) fn set_app_behaviours(
        &self,
        behaviours: Vec<AppBehaviour>,
    ) -> Result<(), InvalidApps> {
        if self.wire == Wire::Wiremock {
            return Err(InvalidApps(NO_APPS.to_owned()));
        }
        self.lock().plane.set_behaviours(behaviours)
    }

    /// The number of requests to apps.
    pub(crate) fn app_requests(&self) -> u64 {
        self.lock().plane.requests()
    }

    /// The outcome of a request to an app. `None` if its host does not belong to a domain
    /// of the world.
    pub(crate) fn answer_app(&self, request: &AppRequest<'_>) -> Option<AppOutcome> {
        let mut guard = self.lock();
        let state = &mut *guard;
        let now = self.clock.now();
        state.world.settle(now);
        let mut faults = state.faults.of_traffic(now);
        DataPlaneContext::new(&state.world, &mut state.plane, &mut faults).answer(request)
    }

    /// Whether this mock has already forwarded the request, so that it would be forwarded
    /// in a loop.
    pub(crate) fn has_forwarded(&self, headers: &HeaderMap) -> bool {
        self.lock().plane.has_forwarded(headers)
    }

    /// Records the time that another server took to answer for an instance.
    pub(crate) fn record_latency(&self, proxy: InstanceAddress, latency: Duration) {
        let mut guard = self.lock();
        let state = &mut *guard;
        state.plane.record_latency(proxy, latency, &state.world);
    }
}
