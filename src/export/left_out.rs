//! Finds resources that a spec cannot declare. A warning names each kind, so that no
//! resource is lost silently.

use std::collections::{BTreeMap, HashMap, HashSet};

use futures::try_join;
use serde_json::{Map, Value, json};

use super::observed::{Observed, ObservedApp, ObservedService, ObservedSpace};
use super::{ExportError, Exporter};
use crate::capi::error::Error;
use crate::capi::model::{Route, SecurityGroup, Space};
use crate::manifest::entry::route_text;

/// The maximum number of names in a warning.
const MAX_NAMES: usize = 5;

/// The resources that a spec cannot declare, or only in part.
#[derive(Debug, Default)]
pub(super) struct LeftOut {
    /// The routes of the spaces.
    routes: Vec<Route>,
    staging_groups: Vec<SecurityGroup>,
    /// The GUID of the service instance of each service key.
    keys: Vec<String>,
    /// The GUID of the service instance of each route binding.
    route_bindings: Vec<String>,
    /// The names of the service brokers that are visible in a single space.
    brokers: Vec<String>,
}

impl Exporter {
    pub(super) async fn left_out(
        &self,
        spaces: &[Space],
        services: &[ObservedService],
    ) -> Result<LeftOut, Error> {
        let client = &self.client;
        if spaces.is_empty() {
            return Ok(LeftOut::default());
        }
        let spaces: Vec<&str> = spaces.iter().map(|space| space.guid.as_str()).collect();
        let instances = services.iter().map(|it| it.instance.guid.as_str());
        let instances: Vec<&str> = instances.collect();
        let managed = services.iter().filter(|it| it.instance.plan.is_some());
        let managed: Vec<&str> = managed.map(|it| it.instance.guid.as_str()).collect();
        let (routes, staging_groups, brokers, keys, route_bindings) = try_join!(
            client.routes_of_spaces(&spaces),
            client.staging_groups_of_spaces(&spaces),
            client.service_brokers_of_spaces(&spaces),
            client.service_keys_of(&managed),
            client.route_bindings_of(&instances),
        )?;
        Ok(LeftOut {
            routes,
            staging_groups,
            keys,
            route_bindings,
            brokers,
        })
    }
}

/// The parts of the apps' routes that a spec declares, by URL.
pub(super) struct Routes<'o> {
    is_seed: bool,
    known: HashMap<String, &'o Route>,
    /// The GUIDs of the spaces of the spec's apps.
    spaces: HashMap<&'o str, &'o str>,
}

impl<'o> Routes<'o> {
    pub(super) fn of(observed: &'o Observed, is_seed: bool) -> Self {
        let routes = observed.left_out.routes.iter();
        Self {
            is_seed,
            known: routes.map(|it| (route_text(&it.url), it)).collect(),
            spaces: observed
                .apps()
                .map(|(space, app)| (app.guid.as_str(), space.guid.as_str()))
                .collect(),
        }
    }

    /// Removes routes that a manifest cannot map from an app's manifest.
    pub(super) fn take_special(
        &self,
        space: &ObservedSpace,
        app: &ObservedApp,
        manifest: &mut Map<String, Value>,
        warnings: &mut Vec<String>,
    ) {
        let Some(Value::Array(routes)) = manifest.get_mut("routes") else {
            manifest.insert("no-route".to_owned(), json!(true));
            return;
        };
        routes.retain(|route| {
            let url = route.get("route").and_then(Value::as_str);
            let url = route_text(url.unwrap_or_default());
            let reason = self.special(space, app, &url);
            let place = format!("the app {} in the space {}", app.name, space.name);
            warnings.extend(reason.map(|it| format!("the route {url} of {place}: {it}")));
            reason.is_none()
        });
        if routes.is_empty() {
            manifest.remove("routes");
        }
    }

    fn special(&self, space: &ObservedSpace, app: &ObservedApp, url: &str) -> Option<&'static str> {
        let Some(route) = self.known.get(url).filter(|it| it.space == space.guid) else {
            return Some("it belongs to another space");
        };
        if self.is_seed && route.port.is_some() {
            return Some("a seed has no domains of TCP routes");
        }
        let mut destinations = route.destinations.iter();
        if !destinations.all(|it| it.app != app.guid || it.is_default()) {
            return Some("it leads to a port or process that a manifest cannot set");
        }
        let mut destinations = route.destinations.iter();
        let is_elsewhere = |app: &str| self.spaces.get(app).is_none_or(|it| *it != space.guid);
        let is_shared = destinations.any(|it| is_elsewhere(&it.app));
        let mut destinations = route.destinations.iter();
        match is_shared {
            true => Some("it also leads to an app in another space"),
            false if !destinations.all(|it| it.is_default()) => {
                Some("it also leads to another app on a port or process that a manifest cannot set")
            }
            false => None,
        }
    }
}

impl Observed {
    /// Adds a warning for each kind of resource that is not in the spec.
    pub(super) fn warn_of_left_out(&self, warnings: &mut Vec<String>) {
        let left_out = &self.left_out;
        if self.spaces.is_empty() {
            warnings.push("spaces: none found, or not visible to the user".to_owned());
        }
        let idle = left_out
            .routes
            .iter()
            .filter(|it| it.destinations.is_empty());
        let mut idle: Vec<&str> = idle.map(|route| route.url.as_str()).collect();
        idle.sort_unstable();
        if !idle.is_empty() {
            warnings.push(format!("routes without an app: {}", listed(&idle)));
        }
        self.warn_of_domains(warnings);
        for app in &self.without_image {
            warnings.push(format!("the app {app}, which has no Docker image yet"));
        }
        for group in &left_out.staging_groups {
            warnings.push(format!("the security group {} for staging", group.name));
        }
        for (instances, what) in [
            (&left_out.keys, "service key"),
            (&left_out.route_bindings, "route binding"),
        ] {
            for (name, count) in self.counted(instances) {
                let s = if count == 1 { "" } else { "s" };
                warnings.push(format!("{count} {what}{s} of the service instance {name}"));
            }
        }
        for broker in &left_out.brokers {
            warnings.push(format!("the space-scoped service broker {broker}"));
        }
        self.warn_of_shared_services(warnings);
        self.warn_of_senders(warnings);
    }

    /// Adds a warning for each private domain of another org where apps have routes.
    fn warn_of_domains(&self, warnings: &mut Vec<String>) {
        let used: HashSet<&str> = self
            .left_out
            .routes
            .iter()
            .map(|it| it.domain.as_str())
            .collect();
        for domain in &self.domains {
            let is_of_other = domain.owner.as_ref().is_some_and(|it| *it != self.org.guid);
            if is_of_other && used.contains(domain.guid.as_str()) {
                warnings.push(format!(
                    "the private domain {} of another org, which is used by routes",
                    domain.name
                ));
            }
        }
    }

    /// The names of service instances, and how often each GUID occurs in the list.
    fn counted<'o>(&'o self, guids: &'o [String]) -> impl Iterator<Item = (&'o str, usize)> {
        let services = self.spaces.iter().flat_map(|space| &space.services);
        services.filter_map(move |service| {
            let guid = &service.instance.guid;
            let count = guids.iter().filter(|it| *it == guid).count();
            (count > 0).then_some((service.instance.name.as_str(), count))
        })
    }

    /// Adds a warning for bindings to service instances that another space shares,
    /// because apps are bound by name.
    fn warn_of_shared_services(&self, warnings: &mut Vec<String>) {
        let mut shared: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
        for (space, app) in self.apps() {
            let own: HashSet<&str> = space
                .services
                .iter()
                .map(|service| service.instance.name.as_str())
                .collect();
            let bound = app.manifest.get("services").and_then(Value::as_array);
            for service in bound.into_iter().flatten() {
                let name = service.as_str().or_else(|| service.get("name")?.as_str());
                if let Some(name) = name.filter(|name| !own.contains(name)) {
                    shared
                        .entry((space.name.as_str(), name))
                        .or_default()
                        .push(&app.name);
                }
            }
        }
        for ((space, name), apps) in shared {
            warnings.push(format!(
                "the service instance {name}, which another space shares with {space}, and which is bound to {}",
                listed(&apps)
            ));
        }
    }

    /// Adds a warning for network policies whose source is an app in another space.
    fn warn_of_senders(&self, warnings: &mut Vec<String>) {
        let apps: HashMap<&str, &str> = self
            .apps()
            .map(|(_, app)| (app.guid.as_str(), app.name.as_str()))
            .collect();
        let from_elsewhere = self.policies.iter().filter_map(|policy| {
            let is_ours = apps.contains_key(policy.source.as_str());
            apps.get(policy.destination.as_str()).filter(|_| !is_ours)
        });
        let mut receivers: Vec<&str> = from_elsewhere.copied().collect();
        receivers.sort_unstable();
        receivers.dedup();
        if !receivers.is_empty() {
            warnings.push(format!(
                "network policies from other apps to {}",
                listed(&receivers)
            ));
        }
    }
}

/// The first names, and the number of remaining names.
fn listed(names: &[&str]) -> String {
    let shown = names.iter().take(MAX_NAMES).copied();
    let shown = shown.collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(MAX_NAMES) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// The error if the user may not see a whole list.
pub(super) fn of_app(app: &str, error: Error) -> ExportError {
    match error.is_forbidden() {
        true => ExportError::Forbidden {
            app: app.to_owned(),
            source: Box::new(error),
        },
        false => ExportError::Api(error),
    }
}
