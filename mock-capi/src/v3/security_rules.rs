//! The rules of security groups: what makes one valid.

use std::net::IpAddr;
use std::str::FromStr;

use serde_json::{Map, Value};

/// What is wrong with a rule, in the Cloud Controller's words.
pub(crate) fn rule_errors(rule: &Value) -> Vec<String> {
    const KEYS: &[&str] = &[
        "code",
        "description",
        "destination",
        "log",
        "ports",
        "protocol",
        "type",
    ];
    let Some(rule) = rule.as_object() else {
        return vec!["must be an object".into()];
    };
    let mut errors = Vec::new();
    let unknown: Vec<&String> = rule
        .keys()
        .filter(|key| !KEYS.contains(&key.as_str()))
        .collect();
    if !unknown.is_empty() {
        errors.push(format!("unknown field(s): {unknown:?}"));
    }
    let protocol = rule
        .get("protocol")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if !["tcp", "udp", "icmp", "icmpv6", "all"].contains(&protocol) {
        errors.push("protocol must be 'tcp', 'udp', 'icmp', 'icmpv6' or 'all'".into());
    }
    errors.extend(destination_error(rule.get("destination")).map(str::to_owned));
    if rule
        .get("description")
        .is_some_and(|d| !d.is_string() && !d.is_null())
    {
        errors.push("description must be a string".into());
    }
    if rule
        .get("log")
        .is_some_and(|log| !log.is_boolean() && !log.is_null())
    {
        errors.push("log must be a boolean".into());
    }
    errors.extend(
        protocol_errors(protocol, rule)
            .into_iter()
            .map(str::to_owned),
    );
    errors
}

fn protocol_errors(protocol: &str, rule: &Map<String, Value>) -> Vec<&'static str> {
    let given = |key: &str| rule.get(key).filter(|value| !value.is_null());
    let mut errors = Vec::new();
    match protocol {
        "tcp" | "udp" => {
            let ports = given("ports");
            if ports.is_none() {
                errors.push("ports are required for protocols of type TCP and UDP");
            }
            if !ports.and_then(Value::as_str).is_some_and(are_ports) {
                errors.push("ports must be a valid single port, comma separated list of ports, or range or ports, formatted as a string");
            }
        }
        "icmp" => {
            let valid = |key: &str| {
                let value = given(key).and_then(Value::as_i64);
                value.is_some_and(|value| (-1..=255).contains(&value))
            };
            for (key, required, range) in [
                (
                    "code",
                    "code is required for protocols of type ICMP",
                    "code must be an integer between -1 and 255 (inclusive)",
                ),
                (
                    "type",
                    "type is required for protocols of type ICMP",
                    "type must be an integer between -1 and 255 (inclusive)",
                ),
            ] {
                if given(key).is_none() {
                    errors.push(required);
                }
                if !valid(key) {
                    errors.push(range);
                }
            }
        }
        "icmpv6" => errors.push("icmpv6 cannot be used if enable_ipv6 is false"),
        "all" if given("ports").is_some() => {
            errors.push("ports are not allowed for protocols of type all");
        }
        _ => {}
    }
    errors
}

fn are_ports(ports: &str) -> bool {
    let port = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port > 0);
    if let Some((first, last)) = ports.split_once('-') {
        return matches!((port(first), port(last)), (Some(first), Some(last)) if first < last);
    }
    ports.split(',').all(|text| port(text).is_some())
}

fn destination_error(destination: Option<&Value>) -> Option<&'static str> {
    const INVALID: &str = "destination must be a valid CIDR, IP address, or IP address range";
    let text = match destination {
        None | Some(Value::Null) => return Some(INVALID),
        Some(Value::String(text)) => text,
        Some(_) => return Some("destination must be a string"),
    };
    if text.contains(char::is_whitespace) {
        return Some("destination must not contain whitespace");
    }
    let address = |text: &str| IpAddr::from_str(text).ok();
    if let Some((first, last)) = text.split_once('-') {
        return match (address(first), address(last)) {
            (Some(first), Some(last)) if first <= last => None,
            (Some(_), Some(_)) => Some(
                "beginning of IP address range is numerically greater than the end of its range (range endpoints are inverted)",
            ),
            _ => Some("destination IP address range is invalid"),
        };
    }
    (!is_cidr(text)).then_some(INVALID)
}

fn is_cidr(text: &str) -> bool {
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let Ok(address) = IpAddr::from_str(address) else {
        return false;
    };
    let bits = if address.is_ipv4() { 32 } else { 128 };
    prefix.is_none_or(|prefix| prefix.parse::<u8>().is_ok_and(|prefix| prefix <= bits))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn valid_rules() {
        for rule in [
            json!({"protocol": "tcp", "destination": "169.254.0.1", "ports": "1"}),
            json!({"protocol": "udp", "destination": "10.0.0.0/8", "ports": "53,80", "log": true}),
            json!({"protocol": "tcp", "destination": "10.0.0.1-10.0.0.9", "ports": "1-2"}),
            json!({"protocol": "icmp", "destination": "0.0.0.0/0", "type": 8, "code": -1}),
            json!({"protocol": "all", "destination": "0.0.0.0/0", "description": "x"}),
        ] {
            assert_eq!(rule_errors(&rule), [""; 0], "{rule}");
        }
    }

    #[test]
    fn invalid_rules() {
        for (rule, error) in [
            (json!(1), "must be an object"),
            (
                json!({"protocol": "all", "destination": "1.2.3.4", "x": 1}),
                "unknown field(s): [\"x\"]",
            ),
            (
                json!({"protocol": "ip", "destination": "1.2.3.4"}),
                "protocol must be 'tcp', 'udp', 'icmp', 'icmpv6' or 'all'",
            ),
            (
                json!({"protocol": "all", "destination": "1.2.3.4/33"}),
                "destination must be a valid CIDR, IP address, or IP address range",
            ),
            (
                json!({"protocol": "all", "destination": "1.2.3.4 "}),
                "destination must not contain whitespace",
            ),
            (
                json!({"protocol": "all", "destination": "2.2.2.2-1.1.1.1"}),
                "beginning of IP address range is numerically greater than the end of its range (range endpoints are inverted)",
            ),
            (
                json!({"protocol": "tcp", "destination": "1.2.3.4", "ports": "0"}),
                "ports must be a valid single port, comma separated list of ports, or range or ports, formatted as a string",
            ),
            (
                json!({"protocol": "all", "destination": "1.2.3.4", "ports": "1"}),
                "ports are not allowed for protocols of type all",
            ),
            (
                json!({"protocol": "icmp", "destination": "1.2.3.4", "type": 256, "code": 0}),
                "type must be an integer between -1 and 255 (inclusive)",
            ),
        ] {
            assert_eq!(rule_errors(&rule), [error], "{rule}");
        }
    }
}
