//! Writes an entry as an application of a manifest.

use std::fmt;

use serde_json::{Map, Value, json};

use super::normal::{PROCESS, names_of_services, of, sort_by};
use super::{EntryRoute, ManifestEntry};
use crate::manifest::yaml;

/// The purpose for which an entry is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To create an app. Properties that a new app does not have are omitted.
    Create,
    /// To change an app. If all routes are removed, `no-route` is written.
    Change,
    /// To let the Cloud Controller compare it. Properties that lists show, or that the
    /// diff does not compare, are omitted.
    Compare,
}

impl ManifestEntry {
    /// The entry as an application of a manifest, without a name.
    pub(crate) fn application(&self, purpose: Purpose) -> Map<String, Value> {
        let mut application = Map::new();
        let is_change = purpose == Purpose::Change;
        let compares = purpose == Purpose::Compare;
        if compares || !self.env.is_empty() {
            application.insert("env".to_owned(), json!(*self.env));
        }
        let mut web = Map::new();
        for (key, value) in self.properties.iter() {
            let is_listed = ["instances", "memory", "disk_quota", "buildpacks", "docker"];
            if compares && (is_listed.contains(&key.as_str()) || key == "cnb-credentials") {
                continue;
            }
            let value = match key.as_str() {
                "services" if compares => names_of_services(value),
                "docker" => without_password(value),
                _ => value.clone(),
            };
            let is_of_web = of(&PROCESS, key).is_some() && self.properties.contains_key("user");
            let target = if is_of_web {
                &mut web
            } else {
                &mut application
            };
            target.insert(key.clone(), value);
        }
        if !web.is_empty() {
            web.insert("type".to_owned(), json!("web"));
            let processes = application.entry("processes").or_insert_with(|| json!([]));
            if let Value::Array(processes) = processes {
                processes.push(Value::Object(web));
                sort_by(processes, "type");
            }
        }
        if compares && self.command().is_none() {
            application.insert("command".to_owned(), Value::Null);
        }
        match &self.routes {
            Some(routes) if routes.is_empty() && is_change => {
                application.insert("no-route".to_owned(), json!(true));
            }
            Some(routes) if !routes.is_empty() => {
                let routes = routes.iter().map(EntryRoute::to_value).collect();
                application.insert("routes".to_owned(), Value::Array(routes));
            }
            _ => {}
        }
        application
    }
}

/// Removes the password. The Cloud Controller gets it with the image, and would log the
/// password in a manifest.
pub(super) fn without_password(docker: &Value) -> Value {
    let mut docker = docker.clone();
    if let Some(docker) = docker.as_object_mut() {
        docker.remove("password");
    }
    docker
}

impl fmt::Display for ManifestEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let application = Value::Object(self.application(Purpose::Create));
        f.write_str(&yaml::Value::from(&application).render())
    }
}

impl EntryRoute {
    fn to_value(&self) -> Value {
        let mut value = json!({"route": self.route});
        if let Some(protocol) = &self.protocol {
            value["protocol"] = json!(protocol);
        }
        if let Some(options) = &self.options {
            value["options"] = options.clone();
        }
        value
    }
}
