//! The validation of rules of security groups.

use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use serde_json::{Map, Value};

/// The errors of a rule. `ipv6` is whether IPv6 rules are enabled.
pub(crate) fn rule_errors(rule: &Value, ipv6: bool) -> Vec<String> {
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
    let (destination, address) = read_destination(rule.get("destination"), ipv6);
    errors.extend(destination.into_iter().map(str::to_owned));
    let wrong_version = match (protocol, address) {
        ("icmp", Some(IpAddr::V6(_))) => Some(6),
        ("icmpv6", Some(IpAddr::V4(_))) => Some(4),
        _ => None,
    };
    if let Some(version) = wrong_version {
        errors.push(format!(
            "for protocol \"{protocol}\" you cannot use IPv{version} addresses"
        ));
    }
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
        protocol_errors(protocol, rule, ipv6)
            .into_iter()
            .map(str::to_owned),
    );
    errors
}

fn protocol_errors(protocol: &str, rule: &Map<String, Value>, ipv6: bool) -> Vec<&'static str> {
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
        "icmp" | "icmpv6" => {
            if protocol == "icmpv6" && !ipv6 {
                errors.push("icmpv6 cannot be used if enable_ipv6 is false");
            }
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
        "all" if given("ports").is_some() => {
            errors.push("ports are not allowed for protocols of type all");
        }
        _ => {}
    }
    errors
}

/// The errors of the Cloud Controller's model for rules. The v3 API has already checked
/// the rules with [`rule_errors`].
pub(crate) fn model_errors<'r>(
    rules: impl IntoIterator<Item = &'r Value>,
    ipv6: bool,
) -> Vec<String> {
    let mut errors = Vec::new();
    for (number, rule) in (1..).zip(rules) {
        let wrong = model_errors_of(rule, ipv6).into_iter();
        errors.extend(wrong.map(|error| format!("rules rule number {number} {error}")));
    }
    errors
}

fn model_errors_of(rule: &Value, ipv6: bool) -> Vec<String> {
    let given = |key: &str| rule.get(key);
    let protocol = given("protocol").and_then(Value::as_str);
    let more: &[&str] = match protocol {
        Some("tcp" | "udp") => &["ports"],
        Some("icmp" | "icmpv6") => &["code", "type"],
        Some("all") => &[],
        _ => return vec!["contains an unsupported protocol".into()],
    };
    let required: Vec<&str> = ["protocol", "destination"]
        .into_iter()
        .chain(more.iter().copied())
        .collect();
    let missing = required.iter().filter(|key| given(key).is_none());
    let mut errors: Vec<String> = missing
        .map(|key| format!("missing required field '{key}'"))
        .collect();
    let keys = rule.as_object().into_iter().flat_map(|rule| rule.keys());
    let known = |key: &str| required.contains(&key) || ["log", "description"].contains(&key);
    let invalid = keys.filter(|key| !known(key));
    errors.extend(invalid.map(|key| format!("contains the invalid field '{key}'")));
    if !errors.is_empty() {
        return errors;
    }
    let destination = given("destination").and_then(Value::as_str);
    let is_code = |key: &str| {
        let code = given(key).and_then(Value::as_i64);
        code.is_some_and(|code| (-1..256).contains(&code))
    };
    let ports = given("ports").and_then(Value::as_str);
    let checks = [
        (
            !destination.is_some_and(|text| is_destination(text, ipv6)),
            "contains invalid destination",
        ),
        (
            given("log").is_some_and(|log| !log.is_boolean()),
            "contains invalid log value",
        ),
        (
            given("description").is_some_and(|text| !text.is_string()),
            "contains invalid description",
        ),
    ];
    let wrong = checks.iter().filter(|(wrong, _)| *wrong);
    errors.extend(wrong.map(|(_, error)| (*error).to_owned()));
    if !errors.is_empty() {
        return errors;
    }
    for (key, right) in [
        ("ports", ports.is_some_and(are_ports)),
        ("type", is_code("type")),
        ("code", is_code("code")),
    ] {
        if more.contains(&key) && !right {
            errors.push(format!("contains invalid {key}"));
        }
    }
    errors
}

/// Whether a string is a port, a list of ports, or a range of ports.
fn are_ports(ports: &str) -> bool {
    let port = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port > 0);
    if let Some((first, last)) = ports.split_once('-') {
        return matches!((port(first), port(last)), (Some(first), Some(last)) if first < last);
    }
    let ports = split(ports, ',');
    !ports.is_empty() && ports.into_iter().all(|text| port(text).is_some())
}

/// Splits a string as Ruby does, without empty parts at its end.
fn split(text: &str, separator: char) -> Vec<&str> {
    let parts = text.trim_end_matches(separator).split(separator);
    parts.filter(|_| !text.is_empty()).collect()
}

/// Whether a string is an address, a range of addresses, or a network.
fn is_destination(text: &str, ipv6: bool) -> bool {
    !text.is_empty()
        && read_destination(Some(&Value::from(text)), ipv6)
            .0
            .is_empty()
}

/// The errors of a destination, and its first address. IPv6 is an error unless it is
/// enabled.
fn read_destination(
    destination: Option<&Value>,
    ipv6: bool,
) -> (Vec<&'static str>, Option<IpAddr>) {
    const INVALID: &str = "destination must be a valid CIDR, IP address, or IP address range";
    let text = match destination {
        None | Some(Value::Null) => return (vec![INVALID], None),
        Some(Value::String(text)) => text,
        Some(_) => return (vec!["destination must be a string"], None),
    };
    if text.contains(char::is_whitespace) {
        return (vec!["destination must not contain whitespace"], None);
    }
    if text.contains(',') {
        return (vec![INVALID], None);
    }
    let mut errors = Vec::new();
    if text.is_empty() {
        // The list of destinations is empty, which the model refuses.
        return (errors, None);
    }
    let ends = split(text, '-');
    let padded = ends.iter().any(|end| has_leading_zeros(end));
    if padded {
        errors.push("destination octets cannot contain leading zeros");
    }
    let address = |text: &str| {
        let address = IpAddr::from_str(text).ok();
        address.filter(|address| ipv6 || address.is_ipv4())
    };
    let network = |text: &str| {
        let (base, _) = text.split_once('/').unwrap_or((text, ""));
        address(base).filter(|base| is_cidr(*base, text))
    };
    let mut found = None;
    match ends.as_slice() {
        [one] => {
            found = network(one);
            errors.extend((found.is_none() && !padded).then_some(INVALID));
        }
        [first, last] => match (address(first), address(last)) {
            (Some(first), Some(last)) if first.is_ipv4() == last.is_ipv4() => {
                if first > last {
                    errors.push("beginning of IP address range is numerically greater than the end of its range (range endpoints are inverted)");
                }
                found = Some(first.min(last));
            }
            _ => errors.push("destination IP address range is invalid"),
        },
        _ => errors.push(INVALID),
    }
    (errors, found)
}

fn has_leading_zeros(address: &str) -> bool {
    let octet = |octet: &str| octet.split('/').next().unwrap_or(octet).to_owned();
    let mut octets = address.split('.').map(octet);
    let padded = |octet: String| octet.len() > 1 && octet.starts_with('0');
    address.contains('.') && octets.any(padded)
}

/// Whether an address has no suffix, or a valid prefix length or mask.
fn is_cidr(address: IpAddr, text: &str) -> bool {
    let Some((_, suffix)) = text.split_once('/') else {
        return true;
    };
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let is_prefix = || suffix.parse::<u8>().is_ok_and(|prefix| prefix <= bits);
    let is_mask = || {
        let mask = Ipv4Addr::from_str(suffix).map(u32::from);
        mask.is_ok_and(|mask| mask.leading_ones() + mask.trailing_zeros() >= 32)
    };
    is_prefix() || address.is_ipv4() && is_mask()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn valid_rules_have_no_errors() {
        for rule in [
            json!({"protocol": "tcp", "destination": "169.254.0.1", "ports": "1"}),
            json!({"protocol": "udp", "destination": "10.0.0.0/8", "ports": "53,80", "log": true}),
            json!({"protocol": "tcp", "destination": "10.0.0.1-10.0.0.9", "ports": "1-2"}),
            json!({"protocol": "icmp", "destination": "0.0.0.0/0", "type": 8, "code": -1}),
            json!({"protocol": "all", "destination": "1.2.3.4/255.255.255.0"}),
            json!({"protocol": "tcp", "destination": "10.0.0.0/8", "ports": "80,"}),
            json!({"protocol": "all", "destination": "0.0.0.0/0", "description": "x"}),
        ] {
            assert_eq!(rule_errors(&rule, false), [""; 0], "{rule}");
        }
    }

    #[test]
    fn invalid_rules_have_errors() {
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
                json!({"protocol": "tcp", "destination": "::1", "ports": "80"}),
                "destination must be a valid CIDR, IP address, or IP address range",
            ),
            (
                json!({"protocol": "all", "destination": "1.1.1.1-2.2.2.2-3.3.3.3"}),
                "destination must be a valid CIDR, IP address, or IP address range",
            ),
            (
                json!({"protocol": "all", "destination": "1.2.3.4/255.0.255.0"}),
                "destination must be a valid CIDR, IP address, or IP address range",
            ),
            (
                json!({"protocol": "all", "destination": "010.0.0.1"}),
                "destination octets cannot contain leading zeros",
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
            assert_eq!(rule_errors(&rule, false), [error], "{rule}");
        }
    }

    #[test]
    fn ipv6_rules_need_a_foundation_with_ipv6() {
        for rule in [
            json!({"protocol": "tcp", "destination": "2001:db8::/32", "ports": "443"}),
            json!({"protocol": "all", "destination": "2001:db8::1-2001:db8::9"}),
            json!({"protocol": "icmpv6", "destination": "::1", "type": 128, "code": 0}),
        ] {
            assert_eq!(rule_errors(&rule, true), [""; 0], "{rule}");
            assert_ne!(rule_errors(&rule, false), [""; 0], "{rule}");
        }
        let other = json!({"protocol": "icmpv6", "destination": "10.0.0.1", "type": 1, "code": 1});
        let wrong = "for protocol \"icmpv6\" you cannot use IPv4 addresses";
        assert_eq!(rule_errors(&other, true), [wrong]);
        assert_eq!(
            rule_errors(&other, false),
            [wrong, "icmpv6 cannot be used if enable_ipv6 is false"]
        );
    }
}
