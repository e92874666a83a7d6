//! Expands the service instances of a space, and bindings in addition to those of its
//! apps.

use serde_json::{Map, Value as Json, json};

use super::{Expander, Names};
use crate::desired::{ServiceInstance, ServiceKind};
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

    /// Adds the bindings of the space to the apps' services. Apps are entries of a
    /// manifest, selected by their names in the spec.
    pub(super) fn bind(
        &mut self,
        space: &Node,
        scope: Scope,
        apps: &mut [(String, Map<String, Json>)],
    ) {
        for node in space.list("service_bindings") {
            let service = self.name(node, "service_instance", scope);
            let Some(app) = node.get("app") else { continue };
            let name = app.text().unwrap_or_default();
            let named = apps.iter_mut().find(|(written, _)| *written == name);
            let Some((_, entry)) = named else {
                let known: Vec<String> = apps.iter().map(|(name, _)| name.clone()).collect();
                let known = known.iter().map(String::as_str);
                self.unknown(app.at, "app", ("the space", "app"), &name, known);
                continue;
            };
            let mut binding = json!({"name": service});
            if node.has("name") {
                binding["binding_name"] = json!(self.name(node, "name", scope));
            }
            if let Some(parameters) = map(node.get("parameters")) {
                binding["parameters"] = Json::Object(parameters);
            }
            match entry.entry("services").or_insert_with(|| json!([])) {
                Json::Array(services) => services.push(binding),
                services if services.is_null() => *services = json!([binding]),
                // Refused as a property of the app.
                _ => {}
            }
        }
    }
}

/// A map as JSON.
fn map(node: Option<&Node>) -> Option<Map<String, Json>> {
    match node?.plain_json() {
        Json::Object(map) => Some(map),
        _ => None,
    }
}
