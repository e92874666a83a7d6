//! Makes the manifest of clones from the manifest of their source.

use std::collections::{BTreeMap, HashSet};

use super::entry::{HEALTH_CHECKS, route_text};
use super::yaml::{Map, Value};
use super::{Application, Manifest};

/// The differences between the entry of a clone and the entry of its source.
#[derive(Debug, Clone)]
pub(crate) struct CloneEntry<'a> {
    pub(crate) name: &'a str,
    /// The clone's routes, by the corresponding routes of the source, both without
    /// scheme. Other routes of the source are omitted.
    pub(crate) routes: BTreeMap<String, String>,
    /// Whether the clone is bound to the services of its source.
    pub(crate) services: bool,
    /// The number of instances of the web process, if it differs from the source's.
    pub(crate) instances: Option<u32>,
}

/// A change of the labels or annotations of clones.
#[derive(Debug, Clone, Copy)]
pub(crate) enum MetadataChange<'a> {
    /// A label or annotation that clones do not get. With a value, it is omitted only if
    /// it has that value.
    LeaveOut {
        part: &'static str,
        key: &'a str,
        value: Option<&'a str>,
    },
    Annotate {
        key: &'a str,
        value: &'a str,
    },
}

impl Manifest {
    /// The manifest of clones of the first app of this manifest.
    pub(crate) fn of_clones(
        &self,
        clones: &[CloneEntry<'_>],
        metadata: &[MetadataChange<'_>],
    ) -> Self {
        let mut source = self.applications.first().cloned().unwrap_or_default();
        source.remove_unused_endpoints();
        let applications = clones.iter().map(|clone| {
            let mut app = source.clone();
            app.set("name", clone.name.into());
            app.set_clone_routes(&clone.routes);
            if !clone.services {
                app.0.remove("services");
            }
            if let Some(instances) = clone.instances {
                let instances = Value::Int(instances.into());
                app.change_web(|web, _| web.set("instances", instances));
            }
            for change in metadata {
                app.change_metadata(*change);
            }
            app
        });
        Self {
            properties: Map::default(),
            applications: applications.collect(),
            path: None,
            warnings: Vec::new(),
        }
    }

    /// The manifest with this Docker image for each app that has no image.
    pub(crate) fn with_image(mut self, image: &str) -> Self {
        for app in &mut self.applications {
            if !app.0.contains("docker") {
                let docker = Map::from_iter([("image".into(), Value::text(image))]);
                app.set("docker", Value::Map(docker));
            }
        }
        self
    }

    /// The manifest with only these applications. `None` if there are none.
    pub(crate) fn with_applications(&self, applications: Vec<Application>) -> Option<Self> {
        (!applications.is_empty()).then(|| Self {
            applications,
            ..self.clone()
        })
    }

    /// A manifest that removes an annotation from apps and changes nothing else.
    pub(crate) fn without_annotation<'n>(names: impl Iterator<Item = &'n str>, key: &str) -> Self {
        let applications = names.map(|name| {
            let annotations = Map::from_iter([(key.into(), Value::Null)]);
            let metadata = Map::from_iter([("annotations".into(), Value::Map(annotations))]);
            Application(Map::from_iter([
                ("name".into(), name.into()),
                ("metadata".into(), Value::Map(metadata)),
            ]))
        });
        Self {
            properties: Map::default(),
            applications: applications.collect(),
            path: None,
            warnings: Vec::new(),
        }
    }
}

impl Application {
    /// Removes endpoints of health checks that are not HTTP. The Cloud Controller shows
    /// them, but refuses them in a manifest.
    fn remove_unused_endpoints(&mut self) {
        let Some(Value::List(processes)) = self.0.get_mut("processes") else {
            return;
        };
        for process in processes.iter_mut().filter_map(Value::as_map_mut) {
            for (kind, endpoint) in HEALTH_CHECKS {
                if process.get(kind).and_then(Value::as_text) != Some("http") {
                    process.remove(endpoint);
                }
            }
        }
    }

    fn set_clone_routes(&mut self, routes: &BTreeMap<String, String>) {
        let of_source = match self.0.remove("routes") {
            Some(Value::List(list)) => list,
            _ => return,
        };
        let mut seen = HashSet::new();
        let of_clone = of_source.into_iter().filter_map(|mut route| {
            let map = route.as_map_mut()?;
            let text = route_text(map.get("route")?.as_text()?);
            let new = routes.get(&text)?;
            map.set("route", Value::text(new));
            seen.insert(new.clone()).then_some(route)
        });
        let of_clone: Vec<Value> = of_clone.collect();
        if !of_clone.is_empty() {
            self.set("routes", Value::List(of_clone));
        }
    }

    fn change_metadata(&mut self, change: MetadataChange<'_>) {
        let mut metadata = match self.0.remove("metadata") {
            Some(Value::Map(metadata)) => metadata,
            _ => Map::default(),
        };
        let part = match change {
            MetadataChange::LeaveOut { part, .. } => part,
            MetadataChange::Annotate { .. } => "annotations",
        };
        let mut values = match metadata.remove(part) {
            Some(Value::Map(values)) => values,
            _ => Map::default(),
        };
        match change {
            MetadataChange::LeaveOut { key, value, .. } => {
                let text = values.get(key).and_then(Value::scalar_text);
                if value.is_none() || text.as_deref() == value {
                    values.remove(key);
                }
            }
            MetadataChange::Annotate { key, value } => values.set(key, Value::text(value)),
        }
        if !values.is_empty() {
            metadata.set(part, Value::Map(values));
        }
        if !metadata.is_empty() {
            self.set("metadata", Value::Map(metadata));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "applications:\n- name: web\n  env: {A: b}\n  services: [db]\n  routes:\n  - {route: Web.example.com/api, protocol: http2}\n  - {route: www.example.com/api}\n  - {route: 'tcp.example.com:1024'}\n  metadata:\n    labels: {managed-by: cf-pusher, team: x}\n  processes: [{type: web, instances: 3, health-check-type: port, health-check-http-endpoint: /up}, {type: worker, instances: 2, health-check-type: http, health-check-http-endpoint: /up}]\n";

    fn clone_entry(name: &str) -> CloneEntry<'_> {
        let to = |route: &str| (route.to_owned(), format!("{name}.example.com/api"));
        CloneEntry {
            name,
            routes: ["web.example.com/api", "www.example.com/api"]
                .map(to)
                .into(),
            services: true,
            instances: None,
        }
    }

    fn cloned(entry: CloneEntry<'_>) -> String {
        let source = Manifest::parse(SOURCE, "test").unwrap();
        let metadata = [
            MetadataChange::LeaveOut {
                part: "labels",
                key: "managed-by",
                value: Some("cf-pusher"),
            },
            MetadataChange::Annotate {
                key: "of",
                value: "web",
            },
        ];
        source.of_clones(&[entry], &metadata).render()
    }

    #[test]
    fn a_clone_has_every_property_but_name_and_host() {
        insta::assert_snapshot!(cloned(clone_entry("web-0")), @r"
        ---
        applications:
        - name: web-0
          env:
            A: b
          services:
          - db
          processes:
          - type: web
            instances: 3
            health-check-type: port
          - type: worker
            instances: 2
            health-check-type: http
            health-check-http-endpoint: /up
          routes:
          - route: web-0.example.com/api
            protocol: http2
          metadata:
            labels:
              team: x
            annotations:
              of: web
        ");
    }

    #[test]
    fn a_clone_may_have_no_routes_and_services_and_other_instances() {
        let entry = CloneEntry {
            routes: BTreeMap::new(),
            services: false,
            instances: Some(1),
            ..clone_entry("web-0")
        };
        insta::assert_snapshot!(cloned(entry), @r"
        ---
        applications:
        - name: web-0
          env:
            A: b
          processes:
          - type: web
            instances: 1
            health-check-type: port
          - type: worker
            instances: 2
            health-check-type: http
            health-check-http-endpoint: /up
          metadata:
            labels:
              team: x
            annotations:
              of: web
        ");
    }

    #[test]
    fn removing_an_annotation_changes_nothing_else() {
        let manifest = Manifest::without_annotation(["a"].into_iter(), "of");
        insta::assert_snapshot!(manifest.render(), @r"
        ---
        applications:
        - name: a
          metadata:
            annotations:
              of: null
        ");
    }
}
