//! Expands the service instances of a space, and its bindings in addition to the apps'
//! own bindings.

use serde_json::{Map, Value as Json};
use url::Url;

use super::{Expander, Names, PlacedGroup};
use crate::desired::{ServiceBinding, ServiceInstance, ServiceKind, matches};
use crate::spec::file::check::is_apps;
use crate::spec::file::node::Node;
use crate::spec::file::scope::Scope;

impl Expander<'_, '_> {
    pub(super) fn services(
        &mut self,
        node: &Node,
        scope: Scope,
        place: &str,
    ) -> Vec<ServiceInstance> {
        let mut services = Vec::new();
        let mut names = Names::new("service instance", place.to_owned());
        for node in node.list("service_instances") {
            let name = self.name(node, "name", scope);
            names.add(&name, node.at, self.problems);
            self.check_urls(node);
            let text = |key: &str| node.get(key).and_then(Node::text);
            let kind = match text("type").as_deref() {
                Some("managed") => ServiceKind::Managed {
                    offering: text("offering").unwrap_or_default(),
                    plan: text("plan").unwrap_or_default(),
                    broker: text("broker"),
                    parameters: map(node.get("parameters")),
                },
                _ => ServiceKind::UserProvided {
                    credentials: map(node.get("credentials")),
                    syslog_drain_url: text("syslog_drain_url"),
                    route_service_url: text("route_service_url"),
                },
            };
            let tags = node.list("tags").iter().filter_map(Node::text);
            services.push(ServiceInstance::new(name, kind).tags(tags));
        }
        services
    }

    /// Checks the URLs of a user-provided service instance as the Cloud Controller does.
    fn check_urls(&mut self, service: &Node) {
        for (key, is_right, allowed) in [
            (
                "syslog_drain_url",
                is_url as fn(&str) -> bool,
                "a URL such as syslog-tls://logs.example.com:6514",
            ),
            (
                "route_service_url",
                is_https,
                "a URL that begins with https://",
            ),
        ] {
            let Some(value) = service.get(key).filter(|value| !value.is_unresolved()) else {
                continue;
            };
            if value.text().is_some_and(|text| !is_right(&text)) {
                self.problems.value(value.at, key, value.shown(), allowed);
            }
        }
    }

    /// The bindings of the space: of an entry of `apps`, a single app, or a pattern.
    pub(super) fn bindings(
        &mut self,
        space: &Node,
        scope: Scope,
        groups: &[PlacedGroup<'_>],
        place: &str,
    ) -> Vec<ServiceBinding> {
        if !space.has("service_bindings") {
            return Vec::new();
        }
        let apps: Vec<String> = groups
            .iter()
            .flat_map(|placed| placed.group.app_names())
            .collect();
        let mut bindings = Vec::new();
        let mut names_of_bindings = Names::new("service binding", place.to_owned());
        for node in space.list("service_bindings") {
            let Some(app) = node.get("app") else { continue };
            // Invalid names are reported by the check of the keys.
            let Some(text) = app.text().filter(|text| is_apps(text, 1, 1)) else {
                continue;
            };
            // The name of an entry with a count keeps `{i}`.
            let entry = Scope { i: None, ..scope };
            let entry = entry.fill_of_app(&text).into_owned();
            let mut names = groups.iter().map(|placed| placed.group.name.as_str());
            let name = match names.any(|name| name == entry) {
                true => entry,
                false if !app.is_supplied && scope.unfilled(&text).is_some() => {
                    self.check_placeholders(app, "app", &text, scope);
                    continue;
                }
                false => scope.text(app).unwrap_or_default(),
            };
            let names = groups.iter().map(|placed| placed.group.name.as_str());
            let is_known = |app: &String| matches(&name, app);
            if !names.clone().any(|it| it == name) && !apps.iter().any(is_known) {
                self.unknown(app.at, "app", ("the space", "app"), &text, names);
            }
            let mut binding = ServiceBinding::new(name, self.name(node, "service_instance", scope));
            binding.name = node.has("name").then(|| self.name(node, "name", scope));
            binding.parameters = map(node.get("parameters"));
            for placed in groups {
                let apps = placed.group.app_names();
                for app in apps.filter(|app| binding.is_of(&placed.group, app)) {
                    let name = format!("of {app} to {}", binding.service);
                    names_of_bindings.add(&name, node.at, self.problems);
                }
            }
            bindings.push(binding);
        }
        bindings
    }
}

fn is_url(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| url.has_host())
}

fn is_https(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| url.scheme() == "https" && url.has_host())
}

/// A map as JSON.
fn map(node: Option<&Node>) -> Option<Map<String, Json>> {
    match node?.plain_json() {
        Json::Object(map) => Some(map),
        _ => None,
    }
}
