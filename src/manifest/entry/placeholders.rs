//! The placeholders in environment variables and routes: `{i}` and `{apps_domain}`.

use std::borrow::Cow;
use std::sync::Arc;

use super::ManifestEntry;
use super::routes::{route_text, sort_routes};

/// The placeholder for the number of an app in its group, from 0.
const INDEX: &str = "{i}";

/// The placeholder for the domain of the apps' routes.
const APPS_DOMAIN: &str = "{apps_domain}";

impl ManifestEntry {
    /// Whether the entry uses the domain of the apps.
    pub(crate) fn needs_apps_domain(&self) -> bool {
        let mut texts = self.env.values().map(String::as_str);
        let mut routes = self.entry_routes().iter();
        self.has_default_route()
            || texts.any(|text| text.contains(APPS_DOMAIN))
            || routes.any(|route| route.route.contains(APPS_DOMAIN))
    }

    /// The entry of one app of a group.
    pub(crate) fn of_app(&self, name: &str, index: u32, apps_domain: &str) -> Self {
        let mut entry = self.clone();
        if self.env.values().any(|value| has_placeholder(value)) {
            let filled = self.env.iter();
            let filled = filled.map(|(key, value)| {
                (
                    key.clone(),
                    filled_in(value, index, apps_domain).into_owned(),
                )
            });
            entry.env = Arc::new(filled.collect());
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
        if self.env.values().any(|value| value.contains(APPS_DOMAIN)) {
            let env = self.env.iter();
            let env =
                env.map(|(key, value)| (key.clone(), value.replace(APPS_DOMAIN, apps_domain)));
            entry.env = Arc::new(env.collect());
        }
        entry
    }
}

fn has_placeholder(text: &str) -> bool {
    text.contains(INDEX) || text.contains(APPS_DOMAIN)
}

/// Replaces the placeholders in a text.
pub(crate) fn filled_in<'t>(text: &'t str, index: u32, apps_domain: &str) -> Cow<'t, str> {
    if !has_placeholder(text) {
        return Cow::Borrowed(text);
    }
    let text = text.replace(INDEX, &index.to_string());
    Cow::Owned(text.replace(APPS_DOMAIN, apps_domain))
}

/// Whether a text has the placeholder for the number of the app.
pub(crate) fn has_index(text: &str) -> bool {
    text.contains(INDEX)
}
