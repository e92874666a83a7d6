//! The app `registry`: it lists the instances that have registered.
//!
//! The mock's ticks send no requests. Their registrations are derived from the times at
//! which they and the registry run: a tick registers when it starts and four times per
//! TTL, and more often while no registry has answered yet. Registrations by clients are
//! stored.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::behaviour::Behaviour;
use super::presence::Presence;
use super::tick::Registration;
use super::{
    AppFault, AppRequest, DataPlaneContext, Instance, PORT, READ_BODY, Reply, RequestBody, go,
};
use crate::world::clock::Timestamp;
use crate::world::{App, EndedInstances, Guid, HostLookup, InstanceAddress, without_port};

const INSTANCES: &str = "/api/v1/instances";
const DEFAULT_TTL: i64 = 30;
const MIN_TTL: i64 = 10;
const MAX_TTL: i64 = 86_400;

/// The registrations and deregistrations by clients that an instance of the registry
/// stores.
#[derive(Debug, Default)]
pub(super) struct Memory {
    registered: BTreeMap<String, StoredRegistration>,
    /// The time of each deregistration, by ID.
    removed: HashMap<String, Timestamp>,
}

/// A registration.
#[derive(Clone, Debug)]
struct StoredRegistration {
    registration: NewRegistration,
    id: String,
    renewed: Timestamp,
}

/// A registration as clients send it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct NewRegistration {
    service_name: String,
    endpoint: Endpoint,
    ttl: i64,
    status: String,
    metadata: Option<Value>,
    tags: Vec<String>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Endpoint {
    #[serde(rename = "type")]
    kind: String,
    value: String,
}

/// A registration in a list.
#[derive(Serialize)]
struct ListedRegistration<'r> {
    id: &'r str,
    service_name: &'r str,
    endpoint: &'r Endpoint,
    ttl: i64,
    status: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: &'r Option<Value>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    tags: &'r [String],
    last_heartbeat: String,
}

impl StoredRegistration {
    fn new(mut registration: NewRegistration, now: Timestamp) -> Self {
        registration.ttl = match registration.ttl {
            0 => DEFAULT_TTL,
            ttl => ttl.clamp(MIN_TTL, MAX_TTL),
        };
        if registration.status.is_empty() {
            registration.status = "UP".into();
        }
        let Endpoint { kind, value } = &registration.endpoint;
        let digest = Sha256::digest(format!("{}\0{kind}\0{value}", registration.service_name));
        let id = digest.iter().take(8).map(|byte| format!("{byte:02x}"));
        Self {
            id: id.collect(),
            registration,
            renewed: now,
        }
    }

    /// The registration of a tick.
    fn of_tick(name: &str, address: InstanceAddress, ttl: Duration, renewed: Timestamp) -> Self {
        let registration = NewRegistration {
            service_name: name.into(),
            endpoint: Endpoint {
                kind: "tcp".into(),
                value: format!("{}:{PORT}", address.ip()),
            },
            ttl: i64::try_from(ttl.as_secs()).unwrap_or(MAX_TTL),
            ..NewRegistration::default()
        };
        Self::new(registration, renewed)
    }

    fn has_expired(&self, now: Timestamp) -> bool {
        let ttl = u64::try_from(self.registration.ttl).unwrap_or_default();
        now.since(self.renewed) > Duration::from_secs(ttl)
    }

    fn present(&self) -> ListedRegistration<'_> {
        ListedRegistration {
            id: &self.id,
            service_name: &self.registration.service_name,
            endpoint: &self.registration.endpoint,
            ttl: self.registration.ttl,
            status: &self.registration.status,
            metadata: &self.registration.metadata,
            tags: &self.registration.tags,
            last_heartbeat: self.renewed.to_precise_text(),
        }
    }
}

impl<'s> DataPlaneContext<'s> {
    pub(super) fn serve_registry(
        &mut self,
        instance: &Instance<'s>,
        request: &AppRequest<'_>,
    ) -> Reply {
        let path = request.path;
        let id = path
            .strip_prefix(INSTANCES)
            .and_then(|rest| rest.strip_prefix('/'));
        match (request.method, path, id) {
            ("GET", "/", _) => {
                let instances = self.registered(instance, request).len();
                go::json(
                    200,
                    &Summary {
                        instances,
                        name: "registry",
                    },
                )
            }
            ("GET", "/health", _) => go::json(200, &BTreeMap::from([("status", "UP")])),
            ("GET", "/api/v1/services", _) => {
                let all = self.registered(instance, request);
                let mut names: Vec<&str> = all
                    .iter()
                    .map(|it| it.registration.service_name.as_str())
                    .collect();
                names.dedup();
                go::json(200, &BTreeMap::from([("services", names)]))
            }
            ("GET", INSTANCES, _) => {
                let all = self.registered(instance, request);
                let listed: Vec<_> = all.iter().map(StoredRegistration::present).collect();
                go::json(200, &BTreeMap::from([("instances", listed)]))
            }
            ("POST", INSTANCES, _) => self.register(instance, request),
            ("PUT", _, Some(id)) if id.ends_with("/heartbeat") => {
                let id = id.trim_end_matches("/heartbeat");
                found(self.renew(instance, request, id))
            }
            ("DELETE", _, Some(id)) => found(self.deregister(instance, request, id)),
            (method, path, _) => failure(404, &format!("there is no {method} {path}")),
        }
    }

    /// The current registrations, ordered by name and address.
    fn registered(
        &mut self,
        instance: &Instance<'s>,
        request: &AppRequest<'_>,
    ) -> Vec<StoredRegistration> {
        let now = self.now();
        let mut all = self.ticks(instance, request);
        all.extend(self.departed_ticks(instance));
        if let Some(memory) = self.plane.registries.get_mut(&instance.address) {
            memory.registered.retain(|_, it| !it.has_expired(now));
            let removed = &memory.removed;
            all.retain(|it| removed.get(&it.id).is_none_or(|at| it.renewed > *at));
            all.extend(memory.registered.values().cloned());
        }
        all.sort_by(|a, b| {
            let by_name = a
                .registration
                .service_name
                .cmp(&b.registration.service_name);
            let by_address = || {
                a.registration
                    .endpoint
                    .value
                    .cmp(&b.registration.endpoint.value)
            };
            by_name
                .then_with(by_address)
                .then_with(|| b.renewed.cmp(&a.renewed))
        });
        all.dedup_by(|later, first| later.id == first.id);
        all
    }

    /// The registrations of running ticks.
    fn ticks(
        &mut self,
        registry: &Instance<'s>,
        request: &AppRequest<'_>,
    ) -> Vec<StoredRegistration> {
        let (world, now) = (self.world, self.now());
        let Some(presence) = self.presence(registry) else {
            return Vec::new();
        };
        let mut leads = HashMap::new();
        let mut all = Vec::new();
        for app in world.apps.iter().filter(|app| app.started) {
            let Some(registration) = Registration::read(&app.environment) else {
                continue;
            };
            let url = registration.url.into_owned();
            let leads = leads
                .entry(url)
                .or_insert_with_key(|url| self.leads_to(url, registry.process.app));
            if !*leads {
                continue;
            }
            for process in world.processes_of(app.base.guid) {
                let command = || world.command_of(process);
                let named = (app.name.as_str(), app.space);
                let settings = &self.plane.settings;
                let behaviour = settings.behaviour(world, named, &app.environment, command);
                if process.kind != "web" || !matches!(behaviour, Behaviour::Tick) {
                    continue;
                }
                for index in world.running_instances(process) {
                    all.extend(self.tick(
                        app,
                        process,
                        index,
                        registration.ttl,
                        &presence,
                        request,
                        now,
                    ));
                }
            }
        }
        all
    }

    #[expect(clippy::too_many_arguments, reason = "a step of the loop above")]
    fn tick(
        &mut self,
        app: &App,
        process: &'s crate::world::Process,
        index: u32,
        ttl: Duration,
        presence: &Presence,
        request: &AppRequest<'_>,
        now: Timestamp,
    ) -> Option<StoredRegistration> {
        let since = self.world.running_since(process, index)?;
        let address = self.world.address_of(process, index)?;
        let renewed = presence.last_registration(since, ttl, now)?;
        let unregistered = self
            .faults
            .apply(AppFault::Unregistered, &app.name, request);
        if unregistered.is_some() {
            return None;
        }
        Some(StoredRegistration::of_tick(
            &app.name, address, ttl, renewed,
        ))
    }

    /// The registrations of ticks that stopped less than their TTL ago.
    fn departed_ticks(&self, registry: &Instance<'s>) -> Vec<StoredRegistration> {
        let (world, now) = (self.world, self.now());
        let Some(presence) = self.presence(registry) else {
            return Vec::new();
        };
        let lasting = |departure: &&EndedInstances| {
            let registration = Registration::read(&departure.environment);
            registration.is_some_and(|registration| {
                now.since(departure.at) <= registration.ttl
                    && self.leads_to(&registration.url, registry.process.app)
            })
        };
        let mut all = Vec::new();
        for departure in world.departures().filter(lasting) {
            let EndedInstances {
                name,
                space,
                environment,
                command,
                ..
            } = departure;
            let settings = &self.plane.settings;
            let command = || command.as_str().into();
            let behaviour = settings.behaviour(world, (name, *space), environment, command);
            let registration = Registration::read(environment);
            let Some(registration) = registration.filter(|_| matches!(behaviour, Behaviour::Tick))
            else {
                continue;
            };
            let ttl = registration.ttl;
            if presence
                .last_registration(departure.since, ttl, departure.at)
                .is_none()
            {
                continue;
            }
            let addresses = (0..departure.count).map(|count| departure.address.plus(count));
            all.extend(
                addresses
                    .map(|address| StoredRegistration::of_tick(name, address, ttl, departure.at)),
            );
        }
        all
    }

    fn presence(&self, registry: &Instance<'s>) -> Option<Presence> {
        let since = self.world.running_since(registry.process, registry.index)?;
        let before = self.world.departures();
        let before = before.filter(|departure| departure.app == registry.process.app);
        Some(Presence {
            since,
            before: before.map(|it| (it.since, it.at)).collect(),
        })
    }

    /// Whether a URL leads to an app.
    fn leads_to(&self, url: &str, app: Guid) -> bool {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let (host, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let host = without_port(host);
        let route = match self.world.find_by_host(host, &format!("{path}{INSTANCES}")) {
            HostLookup::Route(route) => Some(route),
            HostLookup::UnknownRoute | HostLookup::OtherDomain => {
                self.world.find_internal(host).map(|(route, _)| route)
            }
        };
        if let Some(route) = route {
            return route.destinations.iter().any(|it| it.app == app);
        }
        let address = host.parse().ok().and_then(InstanceAddress::of_ip);
        let instance = address.and_then(|address| self.world.instance_at(address));
        instance.is_some_and(|(process, _)| process.app == app)
    }

    fn register(&mut self, instance: &Instance<'s>, request: &AppRequest<'_>) -> Reply {
        let body = match request.body {
            RequestBody::Read(body) => body,
            RequestBody::Empty | RequestBody::Unread => &[],
        };
        let registration = match read(body) {
            Ok(registration) => registration,
            Err(error) => {
                let text = format!("the body is not a registration: {error}");
                return failure(400, &text);
            }
        };
        let Endpoint { kind, value } = &registration.endpoint;
        if registration.service_name.is_empty() || kind.is_empty() || value.is_empty() {
            let text = "service_name, endpoint.type and endpoint.value are required";
            return failure(400, text);
        }
        let registered = StoredRegistration::new(registration, self.now());
        let scheme = request.headers.get("x-forwarded-proto");
        let scheme = scheme.and_then(|scheme| scheme.to_str().ok());
        let scheme = scheme.unwrap_or(request.scheme);
        let own = format!("{scheme}://{}{INSTANCES}/{}", request.host, registered.id);
        let reply = go::json(
            201,
            &Created {
                id: &registered.id,
                links: Links {
                    heartbeat: format!("{own}/heartbeat"),
                    own: &own,
                },
                ttl: registered.registration.ttl,
            },
        );
        let memory = self.memory(instance);
        memory.registered.insert(registered.id.clone(), registered);
        reply.with_header("Location", own)
    }

    fn renew(&mut self, instance: &Instance<'s>, request: &AppRequest<'_>, id: &str) -> bool {
        let all = self.registered(instance, request);
        let now = self.now();
        let Some(mut renewed) = all.into_iter().find(|it| it.id == id) else {
            return false;
        };
        renewed.renewed = now;
        let memory = self.memory(instance);
        memory.registered.insert(renewed.id.clone(), renewed);
        true
    }

    fn deregister(&mut self, instance: &Instance<'s>, request: &AppRequest<'_>, id: &str) -> bool {
        let all = self.registered(instance, request);
        let now = self.now();
        let is_there = all.iter().any(|it| it.id == id);
        if is_there {
            let memory = self.memory(instance);
            memory.registered.remove(id);
            memory.removed.insert(id.to_owned(), now);
        }
        is_there
    }

    fn memory(&mut self, instance: &Instance<'_>) -> &mut Memory {
        let (world, registries) = (self.world, &mut self.plane.registries);
        if registries.len() >= super::MAX_REMEMBERED && !registries.contains_key(&instance.address)
        {
            registries.retain(|address, _| world.instance_at(*address).is_some());
        }
        registries.entry(instance.address).or_default()
    }
}

#[derive(Serialize)]
struct Summary {
    instances: usize,
    name: &'static str,
}

#[derive(Serialize)]
struct Created<'r> {
    id: &'r str,
    links: Links<'r>,
    ttl: i64,
}

#[derive(Serialize)]
struct Links<'r> {
    heartbeat: String,
    #[serde(rename = "self")]
    own: &'r str,
}

/// Parses a registration. The error is worded as Go words it.
fn read(body: &[u8]) -> Result<NewRegistration, String> {
    if body.len() > READ_BODY {
        return Err("http: request body too large".into());
    }
    if body.trim_ascii().is_empty() {
        return Err("EOF".into());
    }
    // Like Go's decoder, this reads one value and ignores the rest.
    let mut values = serde_json::Deserializer::from_slice(body).into_iter::<Value>();
    let value = match values.next() {
        Some(Ok(value)) => value,
        Some(Err(error)) if error.is_eof() => return Err("unexpected EOF".into()),
        Some(Err(error)) => return Err(error.to_string()),
        None => return Err("EOF".into()),
    };
    let Value::Object(fields) = value else {
        let kind = match value {
            Value::Array(_) => "array",
            Value::String(_) => "string",
            Value::Bool(_) => "bool",
            Value::Null => return Ok(NewRegistration::default()),
            Value::Number(_) | Value::Object(_) => "number",
        };
        return Err(format!(
            "json: cannot unmarshal {kind} into Go value of type main.instance"
        ));
    };
    let given: Map<String, Value> = fields.into_iter().filter(|(_, it)| !it.is_null()).collect();
    serde_json::from_value(Value::Object(given)).map_err(|error| format!("json: {error}"))
}

fn failure(status: u16, error: &str) -> Reply {
    go::json(status, &BTreeMap::from([("error", error)]))
}

fn found(is_found: bool) -> Reply {
    match is_found {
        true => Reply::new(200, ""),
        false => failure(410, "no such instance"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::clock::Clock;

    #[test]
    fn registrations_are_read_as_go_reads_them() {
        for (body, error) in [
            ("", "EOF"),
            ("{", "unexpected EOF"),
            (
                "[]",
                "json: cannot unmarshal array into Go value of type main.instance",
            ),
        ] {
            assert_eq!(read(body.as_bytes()).unwrap_err(), error, "{body}");
        }
        let registration = read(br#"{"service_name": "a", "endpoint": {"type": "tcp", "value": "b"}, "ttl": 3, "tags": null} x"#);
        let registered = StoredRegistration::new(registration.unwrap(), Clock::new().now());
        assert_eq!(
            (
                registered.registration.ttl,
                registered.registration.status.as_str()
            ),
            (10, "UP")
        );
        assert_eq!(registered.id.len(), 16);
    }
}
