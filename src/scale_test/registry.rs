//! Reads the registry app's list of tick instances, and checks whether it is complete.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::numbers::allowed_difference;
use crate::capi::error::json_problem;

/// The path of the registry's list of instances.
pub(super) const PATH: &str = "/api/v1/instances";

/// A registered instance.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Address {
    /// The name of the instance's app.
    pub(super) app: String,
    /// The address in the container network, without a port.
    pub(super) ip: String,
}

#[derive(Deserialize)]
struct List {
    instances: Vec<Instance>,
}

#[derive(Deserialize)]
struct Instance {
    service_name: String,
    endpoint: Endpoint,
}

#[derive(Deserialize)]
struct Endpoint {
    value: String,
}

/// Reads the registry's list. The error describes the problem.
pub(super) fn parse(body: &str) -> Result<Vec<Address>, String> {
    let list: List = serde_json::from_str(body).map_err(|error| {
        format!(
            "its response is not a list of instances: {}",
            json_problem(&error)
        )
    })?;
    let instances = list.instances.into_iter().map(|instance| {
        let value = instance.endpoint.value;
        let ip = ip_of(&value).ok_or_else(|| format!("\"{value}\" is not IP:PORT"))?;
        Ok(Address {
            app: instance.service_name,
            ip: ip.to_owned(),
        })
    });
    instances.collect()
}

/// The part before the port. An IPv6 address keeps its brackets.
fn ip_of(endpoint: &str) -> Option<&str> {
    let (ip, port) = endpoint.rsplit_once(':')?;
    let is_bracketed = ip.starts_with('[') && ip.ends_with(']');
    let is_ip = !ip.is_empty() && (is_bracketed || !ip.contains(':'));
    (is_ip && port.parse::<u16>().is_ok()).then_some(ip)
}

/// The registered tick instances.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Registration {
    /// Whether the numbers of registered and expected instances differ by at most
    /// [`Registration::allowed_difference`].
    pub ok: bool,
    /// The total number of instances of all tick apps.
    pub expected: u64,
    /// The number of registered instances.
    pub registered: u64,
    /// A thousandth of the expected instances, rounded down.
    pub allowed_difference: u64,
    /// The tick apps whose number of registered instances differs, and other registered
    /// apps.
    pub differences: Vec<RegisteredApp>,
    /// The reason why the registry could not be read. `None` if it could be read.
    pub error: Option<String>,
}

/// The registered instances of an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RegisteredApp {
    /// The app's name.
    pub app: String,
    /// The expected number of instances.
    pub expected: u64,
    /// The number of registered instances.
    pub registered: u64,
}

impl Registration {
    /// Compares the registered instances with `instances` of each of `ticks`.
    pub(super) fn of(ticks: &[String], instances: u32, addresses: &[Address]) -> Self {
        let mut registered: BTreeMap<&str, u64> = BTreeMap::new();
        for address in addresses {
            *registered.entry(&address.app).or_default() += 1;
        }
        let mut differences = Vec::new();
        for tick in ticks {
            let expected = u64::from(instances);
            let found = registered.remove(tick.as_str()).unwrap_or_default();
            if found != expected {
                differences.push(RegisteredApp {
                    app: tick.clone(),
                    expected,
                    registered: found,
                });
            }
        }
        differences.extend(
            registered
                .into_iter()
                .map(|(app, registered)| RegisteredApp {
                    app: app.to_owned(),
                    expected: 0,
                    registered,
                }),
        );
        let (expected, found) = (expected(ticks, instances), addresses.len() as u64);
        let allowed_difference = allowed_difference(expected);
        Self {
            ok: expected.abs_diff(found) <= allowed_difference,
            expected,
            registered: found,
            allowed_difference,
            differences,
            error: None,
        }
    }

    /// The result if the registry could not be read.
    pub(super) fn failed(ticks: &[String], instances: u32, error: String) -> Self {
        Self {
            ok: false,
            differences: Vec::new(),
            error: Some(error),
            ..Self::of(ticks, instances, &[])
        }
    }
}

fn expected(ticks: &[String], instances: u32) -> u64 {
    ticks.len() as u64 * u64::from(instances)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn address(app: &str, ip: &str) -> Address {
        Address {
            app: app.to_owned(),
            ip: ip.to_owned(),
        }
    }

    #[test]
    fn the_list_names_apps_and_addresses() {
        let body = r#"{"instances": [
            {"service_name": "scale-tick-0", "endpoint": {"type": "tcp", "value": "10.255.0.1:8080"}, "ttl": 180},
            {"service_name": "scale-tick-1", "endpoint": {"value": "[fd00::1]:8080"}}
        ]}"#;
        assert_eq!(
            parse(body).unwrap(),
            [
                address("scale-tick-0", "10.255.0.1"),
                address("scale-tick-1", "[fd00::1]")
            ]
        );
    }

    #[rstest]
    #[case("", "its response is not a list of instances: EOF while parsing")]
    #[case("{}", "missing field `instances`")]
    #[case(
        r#"{"instances": [{"service_name": "a", "endpoint": {"value": "10.0.0.1"}}]}"#,
        "\"10.0.0.1\" is not IP:PORT"
    )]
    #[case(
        r#"{"instances": [{"service_name": "a", "endpoint": {"value": ":8080"}}]}"#,
        "\":8080\" is not IP:PORT"
    )]
    #[case(
        r#"{"instances": [{"service_name": "a", "endpoint": {"value": "fd00::1:8080"}}]}"#,
        "is not IP:PORT"
    )]
    fn an_invalid_list_is_an_error_with_the_reason(#[case] body: &str, #[case] expected: &str) {
        let error = parse(body).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }

    fn ticks(count: usize) -> Vec<String> {
        (0..count).map(|i| format!("tick-{i}")).collect()
    }

    /// All instances of some tick apps.
    fn all(ticks: &[String], instances: usize) -> Vec<Address> {
        let of_app = |app: &String| vec![address(app, "10.0.0.1"); instances];
        ticks.iter().flat_map(of_app).collect()
    }

    #[test]
    fn all_instances_must_be_registered() {
        let ticks = ticks(2);
        let complete = Registration::of(&ticks, 2, &all(&ticks, 2));
        assert!(complete.ok);
        assert_eq!((complete.expected, complete.registered), (4, 4));
        assert_eq!(complete.differences, []);
        let one_missing = Registration::of(&ticks, 2, &all(&ticks, 2)[1..]);
        assert!(!one_missing.ok);
        let expected = RegisteredApp {
            app: "tick-0".to_owned(),
            expected: 2,
            registered: 1,
        };
        assert_eq!(one_missing.differences, [expected]);
    }

    #[test]
    fn one_of_a_thousand_instances_may_be_missing_or_outdated() {
        let ticks = ticks(500);
        let mut addresses = all(&ticks, 2);
        addresses.push(address("older-tick", "10.0.0.1"));
        assert!(Registration::of(&ticks, 2, &addresses).ok);
        assert!(Registration::of(&ticks, 2, &addresses[2..]).ok);
        assert!(!Registration::of(&ticks, 2, &addresses[3..]).ok);
        addresses.push(address("older-tick", "10.0.0.2"));
        let two_more = Registration::of(&ticks, 2, &addresses);
        assert!(!two_more.ok);
        assert_eq!(two_more.differences[0].app, "older-tick");
    }
}
