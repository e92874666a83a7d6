//! The router: it finds the instance for a host and a path, and responds with its own
//! errors if there is none.

use std::net::IpAddr;

use super::{Action, AppFault, AppRequest, DataPlaneContext, Instance, Outcome, PORT, Reply};
use crate::world::{HostLookup, InstanceState, Process, ROUTER, Route, Row, without_port};

/// The header that selects an instance.
const APP_INSTANCE: &str = "x-cf-app-instance";

const NO_CACHE: &str = "no-cache, no-store";

impl<'s> DataPlaneContext<'s> {
    /// Answers a request to the router. `None` if its host belongs to no domain of the
    /// world.
    pub(super) fn route(&mut self, request: &AppRequest<'_>) -> Option<Outcome> {
        let world = self.world;
        let name = without_port(request.host);
        match world.find_by_host(name, request.path) {
            HostLookup::Route(route) => Some(self.pass_on(route, request)),
            HostLookup::UnknownRoute => Some(unknown_route(request).into()),
            HostLookup::OtherDomain => None,
        }
    }

    fn pass_on(&mut self, route: &'s Route, request: &AppRequest<'_>) -> Outcome {
        if route.destinations.is_empty() {
            return unknown_route(request).into();
        }
        let turn = self.plane.turns.get(&route.guid()).copied();
        let turn = turn.unwrap_or_default();
        let endpoints = self.endpoints(route);
        let found = match request.headers.get(APP_INSTANCE) {
            None => self.next_of(&endpoints, turn),
            Some(wanted) => {
                let wanted = wanted.to_str().ok().and_then(parse_instance);
                let Some((app, index)) = wanted else {
                    return invalid_instance().into();
                };
                let found = self.find_instance(&endpoints, app, index);
                if found.is_none() {
                    return unknown_instance(request, app, index).into();
                }
                found
            }
        };
        let Some((instance, port)) = found else {
            return no_endpoints(request).into();
        };
        let outcome = self.dispatch(&instance, port, request);
        if !matches!(outcome.action, Action::ReadBody) {
            self.plane.turns.insert(route.guid(), turn.wrapping_add(1));
        }
        outcome
    }

    /// Passes a request on to an instance.
    fn dispatch(
        &mut self,
        instance: &Instance<'s>,
        port: u16,
        request: &AppRequest<'_>,
    ) -> Outcome {
        let behaviour = self.behaviour(instance);
        if !behaviour.listens(&instance.app.environment, port) {
            return endpoint_failure("").into();
        }
        let app = &instance.app.name;
        if let Some(delay) = self.faults.apply(AppFault::Unreachable, app, request) {
            let mut outcome = Outcome::from(endpoint_failure(""));
            outcome.delay = delay;
            return outcome;
        }
        self.serve(instance, &behaviour, request, IpAddr::V4(ROUTER))
    }

    /// The processes of a route's destinations, each with its port.
    pub(super) fn endpoints(&self, route: &Route) -> Vec<(&'s Process, u16)> {
        let world = self.world;
        let destinations = route.destinations.iter();
        let endpoints = destinations.flat_map(|destination| {
            let processes = world.processes_of(destination.app).into_iter();
            let processes = processes.filter(|process| process.kind == destination.process);
            processes.map(|process| (process, destination.port.unwrap_or(PORT)))
        });
        endpoints.filter(|(process, _)| process.started).collect()
    }

    /// The next running instance, round-robin.
    fn next_of(
        &self,
        endpoints: &[(&'s Process, u16)],
        turn: usize,
    ) -> Option<(Instance<'s>, u16)> {
        let counts = endpoints.iter().map(|(process, _)| listed(process));
        let total: usize = counts.sum();
        (0..total).find_map(|step| {
            let mut at = turn.wrapping_add(step) % total;
            let (process, port) = endpoints.iter().find(|(process, _)| {
                let count = listed(process);
                let is_here = at < count;
                if !is_here {
                    at -= count;
                }
                is_here
            })?;
            let index = u32::try_from(at).ok()?;
            Some((Instance::running(self.world, process, index)?, *port))
        })
    }

    fn find_instance(
        &self,
        endpoints: &[(&'s Process, u16)],
        app: &str,
        index: u32,
    ) -> Option<(Instance<'s>, u16)> {
        let mut of_app = endpoints
            .iter()
            .filter(|(process, _)| process.app.to_string() == app);
        of_app.find_map(|(process, port)| {
            let instance = Instance::running(self.world, process, index)?;
            Some((instance, *port))
        })
    }
}

/// The number of a process's instances that can receive requests.
fn listed(process: &Process) -> usize {
    usize::try_from(process.scale.instances.min(InstanceState::LISTED)).unwrap_or_default()
}

/// Parses `GUID:INDEX`.
fn parse_instance(text: &str) -> Option<(&str, u32)> {
    let (app, index) = text.split_once(':')?;
    let is_guid = app.len() == 36
        && app
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    let is_number = !index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit());
    (is_guid && is_number).then_some(())?;
    Some((app, index.parse().ok()?))
}

pub(super) fn unknown_route(request: &AppRequest<'_>) -> Reply {
    let host = request.host;
    let text = format!("404 Not Found: Requested route ('{host}') does not exist.");
    router_error(404, "unknown_route", NO_CACHE, &text)
}

fn no_endpoints(request: &AppRequest<'_>) -> Reply {
    let host = request.host;
    let text =
        format!("503 Service Unavailable: Requested route ('{host}') has no available endpoints.");
    router_error(503, "no_endpoints", "public,max-age=2", &text)
}

fn invalid_instance() -> Reply {
    let text = "400 Bad Request: Invalid X-CF-App-Instance Header";
    router_error(400, "invalid_cf_app_instance_header", NO_CACHE, text)
}

fn unknown_instance(request: &AppRequest<'_>, app: &str, index: u32) -> Reply {
    let host = request.host;
    let text = format!(
        "400 Bad Request: Requested instance ('{index}') with guid ('{app}') does not exist for route ('{host}')"
    );
    router_error(400, "unknown_route", NO_CACHE, &text)
}

/// The response if the app does not listen or the connection breaks, for `reason`.
pub(super) fn endpoint_failure(reason: &str) -> Reply {
    let error = match reason {
        "" => "endpoint_failure".to_owned(),
        reason => format!("endpoint_failure ({reason})"),
    };
    let text = "502 Bad Gateway: Registered endpoint failed to handle the request.";
    router_error(502, &error, NO_CACHE, text)
}

/// The response to a request that the mock has forwarded to itself.
pub(crate) fn loop_detected() -> Reply {
    let text = "508 Loop Detected: mock-capi has forwarded this request to itself.";
    router_error(508, "loop_detected", NO_CACHE, text)
}

fn router_error(status: u16, error: &str, cache: &str, text: &str) -> Reply {
    super::go::error(status, text)
        .with_header("Cache-Control", cache)
        .with_header("X-Cf-RouterError", error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_selected_by_guid_and_index() {
        let guid = "0e47d7a3-0000-4000-8000-000000000000";
        assert_eq!(parse_instance(&format!("{guid}:3")), Some((guid, 3)));
        for wrong in [
            "",
            ":",
            "1:2",
            "x",
            guid,
            &format!("{guid}:"),
            &format!("{guid}:x"),
            &format!("{guid}:1:2"),
        ] {
            assert_eq!(parse_instance(wrong), None, "{wrong}");
        }
    }
}
