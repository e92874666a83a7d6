//! The routes of an entry.

use serde_json::Value;

use super::normal::scalar;
use super::{EntryError, EntryRoute};

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
        let options = item.get("options").filter(|options| !options.is_null());
        routes.push(EntryRoute {
            route: route_text(route),
            protocol: item.get("protocol").and_then(scalar),
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
