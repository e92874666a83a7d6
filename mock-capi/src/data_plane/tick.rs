//! The app `tick`: it responds with its name and index, and registers.

use std::borrow::Cow;
use std::ops::Range;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};

use super::behaviour::variable;
use super::{Instance, Reply, go};
use crate::world::REGISTRY_BASE_URL;

const FIRST_EXTRA_PORT: u16 = 7000;
const MIN_TTL: u64 = 10;
const MAX_TTL: u64 = 86_400;

/// The response of a tick to every request.
#[derive(Serialize)]
struct Identity<'a> {
    application_name: &'a str,
    instance_index: u32,
}

pub(super) fn answer(instance: &Instance<'_>) -> Reply {
    let identity = Identity {
        application_name: &instance.app.name,
        instance_index: instance.index,
    };
    go::json(200, &identity)
}

/// The ports that a tick listens on in addition to `$PORT`.
pub(super) fn extra_ports(environment: &Map<String, Value>) -> Range<u16> {
    let number = |name: &str| variable(environment, name)?.parse::<u16>().ok();
    let first = number("START_PORT").unwrap_or(FIRST_EXTRA_PORT);
    let count = number("LISTEN_PORTS").unwrap_or(0);
    first..first.saturating_add(count)
}

/// The registration of a tick.
#[derive(Debug)]
pub(super) struct Registration<'e> {
    /// The registry's URL.
    pub(super) url: Cow<'e, str>,
    /// The lifetime of a registration. A tick registers four times in this time.
    pub(super) ttl: Duration,
}

impl<'e> Registration<'e> {
    /// Reads the environment of a tick. `None` if the tick has no registry.
    pub(super) fn read(environment: &'e Map<String, Value>) -> Option<Self> {
        let url = variable(environment, REGISTRY_BASE_URL)?;
        let ttl = variable(environment, "REGISTRY_TTL_SECONDS");
        let ttl = ttl.and_then(|ttl| ttl.parse::<u64>().ok());
        let ttl = ttl.unwrap_or(MIN_TTL).clamp(MIN_TTL, MAX_TTL);
        Some(Self {
            url,
            ttl: Duration::from_secs(ttl),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn environment(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn the_extra_ports_follow_the_first_one() {
        for (variables, expected) in [
            (json!({}), 7000..7000),
            (json!({"LISTEN_PORTS": "2"}), 7000..7002),
            (json!({"LISTEN_PORTS": 2, "START_PORT": "9"}), 9..11),
            (json!({"LISTEN_PORTS": "two"}), 7000..7000),
            (
                json!({"LISTEN_PORTS": "9", "START_PORT": "65530"}),
                65530..65535,
            ),
        ] {
            assert_eq!(extra_ports(&environment(variables)), expected);
        }
    }

    #[test]
    fn a_registration_lasts_ten_seconds_or_more() {
        let ttl = |ttl: &str| {
            let variables = json!({"REGISTRY_BASE_URL": "http://r", "REGISTRY_TTL_SECONDS": ttl});
            let environment = environment(variables);
            let read = Registration::read(&environment).unwrap();
            (read.url.into_owned(), read.ttl.as_secs())
        };
        assert_eq!(ttl(""), ("http://r".to_owned(), 10));
        assert_eq!([ttl("3").1, ttl("180").1, ttl("x").1], [10, 180, 10]);
        assert!(Registration::read(&environment(json!({}))).is_none());
    }
}
