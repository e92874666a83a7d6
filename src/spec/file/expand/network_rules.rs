//! Checks the rules of security groups as the Cloud Controller does. The Cloud Controller
//! would refuse a group only after other resources have changed.

use std::net::IpAddr;

use super::Expander;
use crate::spec::file::node::Node;
use crate::spec::file::problem::SpecProblemReason;
use crate::spec::file::scope::Scope;

const DESTINATION: &str =
    "an address, a range such as 10.0.0.1-10.0.0.9, or a CIDR block such as 10.0.0.0/24";
const PORTS: &str = "ports from 1 to 65535, such as 443, 80,443 or 8000-9000";

impl Expander<'_, '_> {
    /// Checks the rules of a group for each of its numbers. For each rule, the first
    /// number with a problem is reported.
    pub(super) fn check_rules(&mut self, group: &Node, numbers: &[Option<u32>]) {
        let scopes: Vec<Scope> = numbers
            .iter()
            .map(|number| Scope::default().within(*number))
            .collect();
        for rule in group.list("rules") {
            for (key, is_right, allowed) in [
                (
                    "destination",
                    is_destination as fn(&str) -> bool,
                    DESTINATION,
                ),
                ("ports", are_ports, PORTS),
            ] {
                let Some(node) = rule.get(key).filter(|node| !node.is_unresolved()) else {
                    continue;
                };
                let texts = scopes.iter().filter_map(|scope| scope.text(node));
                if texts
                    .filter(|text| !text.trim().is_empty())
                    .any(|text| !is_right(&text))
                {
                    self.problems.value(node.at, key, node.shown(), allowed);
                }
            }
            self.check_protocol(rule);
        }
    }

    /// Checks the keys that depend on the protocol. TCP and UDP need ports, and ICMP
    /// needs a type and a code. Other protocols must not have them.
    fn check_protocol(&mut self, rule: &Node) {
        let protocol = rule.get("protocol").and_then(Node::text);
        let protocol = protocol.unwrap_or_default();
        let (has_ports, has_types) = match protocol.as_str() {
            "tcp" | "udp" => (true, false),
            "icmp" | "icmpv6" => (false, true),
            "all" => (false, false),
            // An invalid protocol is reported with the other values.
            _ => return,
        };
        let icmp = "a whole number from -1 to 255";
        for (key, is_needed, allowed) in [
            ("ports", has_ports, PORTS),
            ("type", has_types, icmp),
            ("code", has_types, icmp),
        ] {
            match rule.get(key) {
                None if is_needed => {
                    let reason = SpecProblemReason::Missing {
                        key: key.to_owned(),
                        allowed: allowed.to_owned(),
                    };
                    self.problems.add(rule.at, reason);
                }
                Some(node) if !is_needed => {
                    let allowed = format!("omitted, because the protocol is {protocol}");
                    self.problems.value(node.at, key, node.shown(), allowed);
                }
                _ => {}
            }
        }
    }
}

/// Whether a text is a destination, or several destinations separated by commas.
fn is_destination(text: &str) -> bool {
    let is_one = |text: &str| {
        let address = |text: &str| text.trim().parse::<IpAddr>().ok();
        if let Some((first, last)) = text.split_once('-') {
            let range = address(first).zip(address(last));
            return range
                .is_some_and(|(first, last)| first.is_ipv4() == last.is_ipv4() && first <= last);
        }
        let Some((base, length)) = text.split_once('/') else {
            return address(text).is_some();
        };
        let longest = address(base).map(|base| if base.is_ipv4() { 32 } else { 128 });
        let length = length.trim().parse::<u8>().ok();
        longest
            .zip(length)
            .is_some_and(|(longest, length)| length <= longest)
    };
    text.split(',').all(is_one)
}

/// Whether a text is a port, several ports, or a range of ports.
fn are_ports(text: &str) -> bool {
    let port = |text: &str| text.trim().parse::<u16>().ok().filter(|port| *port > 0);
    match text.split_once('-') {
        Some((first, last)) => {
            let range = port(first).zip(port(last));
            range.is_some_and(|(first, last)| first <= last)
        }
        None => text.split(',').all(|text| port(text).is_some()),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("10.0.0.1", true)]
    #[case("10.0.0.0/24", true)]
    #[case("::1/128", true)]
    #[case("10.0.0.1-10.0.0.9", true)]
    #[case("10.0.0.1, 10.0.1.0/24", true)]
    #[case("10.0.0.9-10.0.0.1", false)]
    #[case("10.0.0.0/33", false)]
    #[case("10.0.0.256", false)]
    #[case("example.com", false)]
    #[case("10.0.0.1-::1", false)]
    fn destinations_are_addresses(#[case] text: &str, #[case] expected: bool) {
        assert_eq!(is_destination(text), expected);
    }

    #[rstest]
    #[case("443", true)]
    #[case("80, 443", true)]
    #[case("8000-9000", true)]
    #[case("9000-8000", false)]
    #[case("0", false)]
    #[case("65536", false)]
    #[case("http", false)]
    #[case("", false)]
    fn ports_are_numbers(#[case] text: &str, #[case] expected: bool) {
        assert_eq!(are_ports(text), expected);
    }
}
