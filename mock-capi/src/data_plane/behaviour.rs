//! Determines how an app behaves, by its environment and its start command.

use std::sync::Arc;

use serde_json::{Map, Value};
use url::Url;

use super::settings::FixedAnswer;
use super::{AppRequest, PORT, tick};

/// The way in which an app responds to requests.
#[derive(Clone, Debug)]
pub(super) enum Behaviour {
    /// The app responds with its name and index, and registers with a registry.
    Tick,
    /// The app connects to other instances on request.
    Proxy,
    /// The app lists registered instances.
    Registry,
    /// The app responds with the request that it received.
    Echo,
    /// Another server responds for the app.
    Forward(Arc<Url>),
    /// The app responds to every request with the same response.
    Fixed(Arc<FixedAnswer>),
}

impl Behaviour {
    /// The behaviour of the scaling test's app with this name.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        match name {
            "tick" => Some(Self::Tick),
            "proxy" => Some(Self::Proxy),
            "registry" => Some(Self::Registry),
            _ => None,
        }
    }

    /// The default behaviour of an app: that of the Go package in `GOPACKAGENAME`, or of
    /// the program in the start command.
    pub(super) fn of_app(environment: &Map<String, Value>, command: &str) -> Self {
        let package = environment.get("GOPACKAGENAME").and_then(Value::as_str);
        let package = package.and_then(|package| Self::of_name(last_segment(package)));
        let program = command.split_whitespace().next().unwrap_or_default();
        package
            .or_else(|| Self::of_name(last_segment(program)))
            .unwrap_or(Self::Echo)
    }

    /// Whether an app listens on a port.
    pub(super) fn listens(&self, environment: &Map<String, Value>, port: u16) -> bool {
        match self {
            Self::Tick => port == PORT || tick::extra_ports(environment).contains(&port),
            Self::Proxy | Self::Registry => port == PORT,
            Self::Echo | Self::Forward(_) | Self::Fixed(_) => true,
        }
    }

    /// Whether the response depends on the content of the request's body.
    pub(super) fn reads_body(&self, request: &AppRequest<'_>) -> bool {
        match self {
            Self::Echo => true,
            Self::Registry => request.method == "POST",
            _ => false,
        }
    }
}

fn last_segment(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    path.rsplit('/').next().unwrap_or(path)
}

/// An environment variable, as the app sees it.
pub(super) fn variable<'e>(
    environment: &'e Map<String, Value>,
    name: &str,
) -> Option<std::borrow::Cow<'e, str>> {
    let text = match environment.get(name)? {
        Value::String(text) => text.as_str().into(),
        other => other.to_string().into(),
    };
    Some(text).filter(|text: &std::borrow::Cow<'_, str>| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_package_or_the_command_determines_the_behaviour() {
        for (package, command, expected) in [
            (json!("example-apps/tick"), "", "Tick"),
            (json!("tick"), "./bin/proxy", "Tick"),
            (json!("example-apps/proxy/"), "", "Proxy"),
            (json!("my/service"), "./bin/registry -v", "Registry"),
            (Value::Null, "tick", "Tick"),
            (Value::Null, "java -jar tick", "Echo"),
            (Value::Null, "", "Echo"),
        ] {
            let environment = Map::from_iter([("GOPACKAGENAME".to_owned(), package.clone())]);
            let found = format!("{:?}", Behaviour::of_app(&environment, command));
            assert_eq!(found, expected, "{package} {command}");
        }
    }
}
