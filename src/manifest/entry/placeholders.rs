//! The placeholders in environment variables, routes, services and metadata: `{i}` and
//! `{apps_domain}`.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::Value;

use super::ManifestEntry;
use super::routes::{route_text, sort_routes};
use crate::manifest::placeholder::{self, APPS_DOMAIN, INDEX};

/// The properties with placeholders, in addition to the environment and the routes.
const FILLED: [&str; 2] = ["metadata", "services"];

impl ManifestEntry {
    /// Whether the entry uses the domain of the apps.
    pub(crate) fn needs_apps_domain(&self) -> bool {
        let mut texts = self.env.values().map(String::as_str);
        let mut routes = self.entry_routes().iter();
        self.has_default_route()
            || texts.any(|text| placeholder::has(text, APPS_DOMAIN))
            || routes.any(|route| placeholder::has(&route.route, APPS_DOMAIN))
            || FILLED.iter().any(|key| {
                let value = self.get(key);
                value.is_some_and(|value| {
                    mentions(value, &|text| placeholder::has(text, APPS_DOMAIN))
                })
            })
    }

    /// The entry of one app of a group, with its placeholders replaced.
    pub(crate) fn of_app(&self, name: &str, index: u32, apps_domain: &str) -> Self {
        let mut entry = self.clone();
        if self.env.values().any(|value| placeholder::has_any(value)) {
            let filled = self.env.iter();
            let filled = filled.map(|(key, value)| {
                (
                    key.clone(),
                    filled_in(value, index, apps_domain).into_owned(),
                )
            });
            entry.env = Arc::new(filled.collect());
        }
        for key in FILLED {
            if let Some(value) = self.get(key)
                && mentions(value, &placeholder::has_any)
            {
                let mut value = value.clone();
                fill(&mut value, index, apps_domain);
                entry = entry.with(key, value);
            }
        }
        for route in entry.routes.iter_mut().flatten() {
            route.route = route_text(&filled_in(&route.route, index, apps_domain));
        }
        if self.has_default_route() {
            let route = format!("{}.{apps_domain}", name.to_lowercase());
            entry = entry.with_routes(vec![route]);
        }
        if let Some(routes) = &mut entry.routes {
            sort_routes(routes);
        }
        entry
    }

    /// Returns the entry with the domain of the apps in its environment. All apps of a
    /// group share that environment if it does not contain `{i}`.
    pub(crate) fn with_apps_domain(&self, apps_domain: &str) -> Self {
        let mut entry = self.clone();
        let mut values = self.env.values();
        if values.any(|value| placeholder::has(value, APPS_DOMAIN)) {
            let value = |name: &str| (name == APPS_DOMAIN).then(|| apps_domain.to_owned());
            let env = self.env.iter();
            let env = env.map(|(key, text)| {
                let filled = placeholder::filled(text, value, |_| false);
                (key.clone(), filled.into_owned())
            });
            entry.env = Arc::new(env.collect());
        }
        entry
    }

    /// Whether the entry contains the number of the app.
    pub(crate) fn has_index(&self) -> bool {
        let routes = self.entry_routes().iter().map(|route| &route.route);
        let mut texts = self.env.values().chain(routes);
        let mut others = FILLED.iter().filter_map(|key| self.get(key));
        texts.any(|text| has_index(text)) || others.any(|value| mentions(value, &has_index))
    }
}

/// Whether a value contains a text that matches.
fn mentions(value: &Value, is_one: &dyn Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => is_one(text),
        Value::Array(list) => list.iter().any(|it| mentions(it, is_one)),
        Value::Object(map) => map.values().any(|it| mentions(it, is_one)),
        _ => false,
    }
}

/// Replaces the placeholders in all texts of a value, except the keys of maps.
fn fill(value: &mut Value, index: u32, apps_domain: &str) {
    match value {
        Value::String(text) => *text = filled_in(text, index, apps_domain).into_owned(),
        Value::Array(list) => list.iter_mut().for_each(|it| fill(it, index, apps_domain)),
        Value::Object(map) => map.values_mut().for_each(|it| fill(it, index, apps_domain)),
        _ => {}
    }
}

/// Replaces the placeholders in a text.
pub(crate) fn filled_in<'t>(text: &'t str, index: u32, apps_domain: &str) -> Cow<'t, str> {
    let value = |name: &str| match name {
        INDEX => Some(index.to_string()),
        APPS_DOMAIN => Some(apps_domain.to_owned()),
        _ => None,
    };
    placeholder::filled(text, value, |name| [INDEX, APPS_DOMAIN].contains(&name))
}

/// Escapes the placeholders in a text, so that an app gets it unchanged.
pub(crate) fn literal(text: &str) -> Cow<'_, str> {
    placeholder::escaped(text, &[INDEX, APPS_DOMAIN])
}

/// Whether a text has the placeholder for the number of the app.
pub(crate) fn has_index(text: &str) -> bool {
    placeholder::has(text, INDEX)
}
