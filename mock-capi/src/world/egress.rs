//! Connections out of the overlay network, which the security groups of a space allow.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::Value;

use super::{Guid, SecurityGroup, World};
use crate::world::clock::Timestamp;

impl World {
    /// Whether a security group whose last change is not after `deadline` allows the
    /// running apps of a space to connect to a TCP port.
    pub(crate) fn can_leave(
        &self,
        space: Guid,
        ip: IpAddr,
        port: u16,
        deadline: Timestamp,
    ) -> bool {
        let applies = |group: &&SecurityGroup| {
            (group.running_default || group.running_spaces.contains(&space))
                && group.base.updated <= deadline
        };
        let mut groups = self.security_groups.iter().filter(applies);
        groups.any(|group| group.rules.iter().any(|rule| allows(rule, ip, port)))
    }
}

/// Whether a rule allows TCP connections to a port.
fn allows(rule: &Value, ip: IpAddr, port: u16) -> bool {
    let ports = match rule["protocol"].as_str() {
        Some("all") => true,
        Some("tcp") => rule["ports"].as_str().is_some_and(|it| has_port(it, port)),
        _ => false,
    };
    let destinations = rule["destination"].as_str().unwrap_or_default();
    ports && destinations.split(',').any(|it| has_address(it, ip))
}

/// Whether a port, a list of ports or a range contains a port.
fn has_port(ports: &str, port: u16) -> bool {
    ports.split(',').any(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let bounds = (first.trim().parse::<u16>(), last.trim().parse::<u16>());
        matches!(bounds, (Ok(first), Ok(last)) if (first..=last).contains(&port))
    })
}

/// Whether an address, a network or a range contains an address.
fn has_address(text: &str, ip: IpAddr) -> bool {
    if let Some((network, length)) = text.split_once('/') {
        let parsed = (network.parse::<IpAddr>(), length.parse::<u32>());
        let (Ok(network), Ok(length)) = parsed else {
            return false;
        };
        return match (network, ip) {
            (IpAddr::V4(network), IpAddr::V4(ip)) => shares(
                u128::from(network.to_bits()),
                u128::from(ip.to_bits()),
                32,
                length,
            ),
            (IpAddr::V6(network), IpAddr::V6(ip)) => {
                shares(network.to_bits(), ip.to_bits(), 128, length)
            }
            _ => false,
        };
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.parse::<IpAddr>(), last.parse::<IpAddr>()) {
        (Ok(first), Ok(last)) => first.is_ipv4() == ip.is_ipv4() && first <= ip && ip <= last,
        _ => false,
    }
}

/// Whether two addresses have a common prefix of `length` bits.
fn shares(network: u128, ip: u128, width: u32, length: u32) -> bool {
    match width.checked_sub(length) {
        Some(rest) if rest < 128 => network >> rest == ip >> rest,
        Some(_) => true,
        None => false,
    }
}

/// The IP address of the router as apps see it.
pub(crate) const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 0, 255, 254);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rules_allow_the_addresses_and_ports_that_they_name() {
        for (rule, destination, port, expected) in [
            (
                json!({"protocol": "all", "destination": "0.0.0.0/0"}),
                "8.8.8.8",
                1,
                true,
            ),
            (
                json!({"protocol": "tcp", "destination": "10.0.0.0/8", "ports": "80"}),
                "10.1.2.3",
                80,
                true,
            ),
            (
                json!({"protocol": "tcp", "destination": "10.0.0.0/8", "ports": "80"}),
                "11.1.2.3",
                80,
                false,
            ),
            (
                json!({"protocol": "tcp", "destination": "10.0.0.0/8", "ports": "80"}),
                "10.1.2.3",
                81,
                false,
            ),
            (
                json!({"protocol": "tcp", "destination": "1.1.1.1-1.1.1.9", "ports": "1-3,9"}),
                "1.1.1.5",
                9,
                true,
            ),
            (
                json!({"protocol": "tcp", "destination": "1.1.1.1-1.1.1.9", "ports": "1-3,9"}),
                "1.1.1.10",
                2,
                false,
            ),
            (
                json!({"protocol": "tcp", "destination": "2.2.2.2,1.1.1.1", "ports": "1"}),
                "1.1.1.1",
                1,
                true,
            ),
            (
                json!({"protocol": "udp", "destination": "1.1.1.1", "ports": "1"}),
                "1.1.1.1",
                1,
                false,
            ),
            (
                json!({"protocol": "all", "destination": "::/0"}),
                "2001:db8::1",
                1,
                true,
            ),
            (
                json!({"protocol": "all", "destination": "2001:db8::/32"}),
                "2001:db9::1",
                1,
                false,
            ),
            (
                json!({"protocol": "all", "destination": "0.0.0.0/0"}),
                "2001:db8::1",
                1,
                false,
            ),
        ] {
            let ip = destination.parse().unwrap();
            assert_eq!(
                allows(&rule, ip, port),
                expected,
                "{rule} {destination}:{port}"
            );
        }
    }
}
