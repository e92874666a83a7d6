//! The routes of an entry.

use serde_json::Value;

use super::normal::scalar;
use super::{EntryError, EntryRoute};

/// The properties of an item of `routes`.
const KEYS: [&str; 3] = ["route", "protocol", "options"];

/// The protocols of routes.
const PROTOCOLS: [&str; 3] = ["http1", "http2", "tcp"];

pub(super) fn routes(value: Value) -> Result<Option<Vec<EntryRoute>>, EntryError> {
    let wrong = || EntryError::new("routes", "must be a list of maps with a `route`");
    let list = match value {
        Value::Null => return Ok(None),
        Value::Array(list) if list.is_empty() => return Ok(None),
        Value::Array(list) => list,
        _ => return Err(wrong()),
    };
    let mut routes = Vec::new();
    for item in list {
        let route = item
            .get("route")
            .and_then(Value::as_str)
            .ok_or_else(wrong)?;
        let mut keys = item.as_object().into_iter().flatten().map(|(key, _)| key);
        if let Some(unknown) = keys.find(|key| !KEYS.contains(&key.as_str())) {
            let reason = format!("cannot have `{unknown}`, only {}", KEYS.join(", "));
            return Err(EntryError::new("routes", reason));
        }
        let given = |key: &str| item.get(key).filter(|value| !value.is_null());
        let protocol = given("protocol").map(|it| scalar(it).unwrap_or_default());
        if let Some(other) = protocol.as_deref().filter(|it| !PROTOCOLS.contains(it)) {
            let reason = format!(
                "cannot have the protocol {other:?}, only {}",
                PROTOCOLS.join(", ")
            );
            return Err(EntryError::new("routes", reason));
        }
        let options = given("options");
        if options.is_some_and(|options| !options.is_object()) {
            return Err(EntryError::new("routes", "must have a map as `options`"));
        }
        routes.push(EntryRoute {
            route: route_text(route),
            protocol,
            options: options.cloned(),
        });
    }
    sort_routes(&mut routes);
    routes.dedup_by(|a, b| a.route == b.route);
    Ok(Some(routes))
}

/// Sorts routes as the Cloud Controller does.
pub(super) fn sort_routes(routes: &mut [EntryRoute]) {
    routes.sort_by_key(|route| route.route.to_lowercase());
}

/// A route without its scheme and with its host in lower case.
pub(crate) fn route_text(route: &str) -> String {
    let route = ["http://", "https://", "tcp://"]
        .iter()
        .find_map(|scheme| route.strip_prefix(scheme))
        .unwrap_or(route);
    match route.find('/') {
        Some(path) => {
            let (host, path) = route.split_at(path);
            format!("{}{path}", host.to_lowercase())
        }
        None => route.to_lowercase(),
    }
}
