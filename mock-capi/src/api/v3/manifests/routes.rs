//! The routes of an application: their addresses, options and protocols, and the keys for
//! random and default routes.

use serde_json::{Map, Value};

use crate::api::message::Message;
use crate::api::v3::route_options::{self, OptionRules};
use crate::world::ruby;

/// The routes in an application.
#[derive(Clone, Debug, Default)]
pub(crate) struct WantedRoutes {
    pub(crate) none: bool,
    pub(crate) random: bool,
    pub(crate) default: bool,
    pub(crate) named: Option<Vec<WantedRoute>>,
}

/// A route with an address.
#[derive(Clone, Debug)]
pub(crate) struct WantedRoute {
    /// The address as written.
    pub(crate) text: String,
    pub(crate) address: Address,
    pub(crate) protocol: Option<&'static str>,
    pub(crate) options: Map<String, Value>,
}

/// A route's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// The host and the domain. The known domains determine where the host ends.
    pub(crate) name: String,
    pub(crate) port: Option<u16>,
    pub(crate) path: String,
}

impl Address {
    /// Reads the address of a route. `None` if it is malformed.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Some(scheme.to_ascii_lowercase()), rest),
            None => (None, text),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let (name, port) = match authority.rsplit_once(':') {
            Some((name, port)) => (name, Some(port.parse().ok()?)),
            None => (authority, None),
        };
        let schemes: &[&str] = match port {
            Some(_) => &["tcp"],
            None => &["http", "https"],
        };
        let known = match &scheme {
            Some(scheme) => schemes.contains(&scheme.as_str()),
            // Without a scheme, a dot distinguishes a host from a path.
            None => name.contains('.'),
        };
        let clean = |c: char| !c.is_whitespace() && !matches!(c, ':' | '@' | '[' | ']' | '\\');
        if !known || name.is_empty() || !name.chars().all(clean) {
            return None;
        }
        let path = rest.find(['?', '#']).map_or(rest, |end| &rest[..end]);
        Some(Self {
            name: name.into(),
            port,
            path: path.into(),
        })
    }

    /// Possible hosts and domains of the name, the most likely first.
    pub(crate) fn candidates(&self) -> Vec<(&str, &str)> {
        let (host, domain) = self.name.split_once('.').unwrap_or((&self.name, ""));
        if self.name.starts_with('*') {
            vec![(host, domain)]
        } else {
            vec![("", &self.name), (host, domain)]
        }
    }
}

const PROTOCOLS: [&str; 3] = ["http1", "http2", "tcp"];

/// Reads the keys about routes.
pub(crate) fn read(message: &mut Message<'_>, rules: &OptionRules) -> WantedRoutes {
    let named = message.value("routes").map(|routes| {
        let read = read_routes(routes);
        match &read {
            Ok(routes) => {
                for error in errors_of(routes, rules) {
                    message.error(error);
                }
            }
            Err(error) => message.error(*error),
        }
        read.unwrap_or_default()
    });
    let none = message.boolean_of("No-route", "no_route") == Some(true);
    let default = message.boolean_of("Default-route", "default_route") == Some(true);
    let random = message.boolean_of("Random-route", "random_route") == Some(true);
    if random && default {
        message.error("Random-route and default-route may not be used together");
    }
    let named = named.map(|routes| routes.into_iter().filter_map(wanted).collect());
    WantedRoutes {
        none,
        random,
        default,
        named,
    }
}

/// An entry of `routes`: its address, and all of its fields.
type Entry<'m> = (&'m str, &'m Map<String, Value>);

fn read_routes(routes: &Value) -> Result<Vec<Entry<'_>>, &'static str> {
    let entries: Option<Vec<Entry<'_>>> = routes
        .as_array()
        .and_then(|routes| routes.iter().map(read_entry).collect());
    entries.ok_or("Routes must be a list of route objects")
}

fn read_entry(route: &Value) -> Option<Entry<'_>> {
    let fields = route.as_object()?;
    let text = fields.get("route")?.as_str()?;
    (!text.trim().is_empty()).then_some((text, fields))
}

fn errors_of(routes: &[Entry<'_>], rules: &OptionRules) -> Vec<String> {
    let mut errors = Vec::new();
    for (text, _) in routes {
        if Address::parse(text).is_none() {
            errors.push(format!("The route '{text}' is not a properly formed URL"));
        }
    }
    for (_, fields) in routes {
        let protocol = fields.get("protocol").filter(|value| !value.is_null());
        if protocol.is_some_and(|value| known_protocol(value).is_none()) {
            errors.push("Route protocol must be 'http1', 'http2' or 'tcp'.".into());
        }
    }
    errors.extend(routes.iter().flat_map(|route| option_errors(route, rules)));
    errors.extend(
        routes
            .iter()
            .filter_map(|route| algorithm_error(route, rules)),
    );
    if rules.hashes {
        errors.extend(routes.iter().flat_map(hash_errors));
    }
    errors
}

fn option_errors((text, fields): &Entry<'_>, rules: &OptionRules) -> Vec<String> {
    match fields.get("options") {
        None => Vec::new(),
        Some(Value::Object(options)) => {
            let unknown = options
                .keys()
                .filter(|key| !rules.names.contains(&key.as_str()));
            let valid = rules.names.join(", ");
            unknown
                .map(|key| {
                    format!(
                        "Route '{text}' contains invalid route option '{key}'. Valid keys: '{valid}'"
                    )
                })
                .collect()
        }
        Some(_) => vec![format!("Route '{text}': options must be an object")],
    }
}

/// The errors of options for hashing.
fn hash_errors((text, fields): &Entry<'_>) -> Vec<String> {
    let Some(options) = fields.get("options").and_then(Value::as_object) else {
        return Vec::new();
    };
    let mut message = Message::of_any(options);
    let given = |name: &str| options.get(name).filter(|value| !ruby::is_blank(value));
    route_options::check_hash_options(
        &mut message,
        given("loadbalancing"),
        given("hash_header"),
        given("hash_balance"),
    );
    let errors = message.into_errors().into_iter();
    errors
        .map(|error| format!("Route '{text}': {error}"))
        .collect()
}

fn algorithm_error((text, fields): &Entry<'_>, rules: &OptionRules) -> Option<String> {
    let algorithm = fields.get("options")?.as_object()?.get("loadbalancing")?;
    let valid = rules.algorithms.join(", ");
    match algorithm.as_str() {
        Some(name) if rules.algorithms.contains(&name) => None,
        Some(name) => Some(format!(
            "Cannot use loadbalancing value '{name}' for Route '{text}'; Valid values are: '{valid}'"
        )),
        None => Some(format!(
            "Invalid value for 'loadbalancing' for Route '{text}'; Valid values are: '{valid}'"
        )),
    }
}

fn known_protocol(value: &Value) -> Option<&'static str> {
    PROTOCOLS.into_iter().find(|known| value == known)
}

fn wanted((text, fields): Entry<'_>) -> Option<WantedRoute> {
    let options = fields.get("options").and_then(Value::as_object);
    let mut options = options.cloned().unwrap_or_default();
    options.retain(|_, value| !ruby::is_blank(value));
    Some(WantedRoute {
        text: text.into(),
        address: Address::parse(text)?,
        protocol: fields.get("protocol").and_then(known_protocol),
        options,
    })
}

impl WantedRoute {
    /// A route with only a name: a random or default route.
    pub(crate) fn named(name: String) -> Self {
        Self {
            text: name.clone(),
            address: Address {
                name,
                port: None,
                path: String::new(),
            },
            protocol: None,
            options: Map::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_the_cloud_controller_reads_them() {
        let address = |name: &str, port, path: &str| {
            Some(Address {
                name: name.into(),
                port,
                path: path.into(),
            })
        };
        for (text, expected) in [
            ("a.example.com", address("a.example.com", None, "")),
            ("https://a.b.c/d?e", address("a.b.c", None, "/d")),
            ("*.example.com", address("*.example.com", None, "")),
            (
                "tcp.example.com:1024",
                address("tcp.example.com", Some(1024), ""),
            ),
            ("tcp://a.b:1", address("a.b", Some(1), "")),
            ("http://a.b:1", None),
            ("ftp://a.b", None),
            ("localhost", None),
            ("a b.c", None),
            ("", None),
        ] {
            assert_eq!(Address::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn a_name_is_a_domain_or_a_host_in_a_domain() {
        let candidates = |text: &str| {
            let address = Address::parse(text).unwrap();
            let candidates = address.candidates().into_iter();
            candidates
                .map(|(host, domain)| format!("{host}|{domain}"))
                .collect::<Vec<_>>()
        };
        assert_eq!(candidates("a.b.c"), ["|a.b.c", "a|b.c"]);
        assert_eq!(candidates("*.b.c"), ["*|b.c"]);
    }
}
