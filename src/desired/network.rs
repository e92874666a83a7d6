//! The traffic of apps: security groups and network policies.

use serde::Serialize;

use super::DesiredError;

/// A security group.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SecurityGroup {
    /// The security group's name.
    pub name: String,
    /// The traffic that it allows.
    pub rules: Vec<Rule>,
    /// Whether it applies to the apps of all spaces.
    pub globally_enabled: GloballyEnabled,
}

/// Whether a security group applies to the apps of all spaces. `None` keeps the current
/// value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GloballyEnabled {
    /// Whether it applies to all running apps.
    pub running: Option<bool>,
    /// Whether it applies to all stagings.
    pub staging: Option<bool>,
}

/// One rule of a security group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[non_exhaustive]
pub struct Rule {
    /// `tcp`, `udp`, `icmp`, `icmpv6` or `all`.
    pub protocol: String,
    /// An address, a range of addresses, or a CIDR block.
    pub destination: String,
    /// Ports, such as `443`, `80,443` or `8000-9000`. `None` for `icmp` and `all`.
    pub ports: Option<String>,
    /// The ICMP type, or -1 for all. Only for `icmp` and `icmpv6`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icmp_type: Option<i64>,
    /// The ICMP code, or -1 for all. Only for `icmp` and `icmpv6`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icmp_code: Option<i64>,
    /// The purpose of the rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether cells log the connections that the rule allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<bool>,
}

/// Allows apps to send traffic to other apps on the container network.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct NetworkPolicy {
    /// The sending apps in the policy's space: a name, or a pattern with `*` for any
    /// characters and `?` for one character.
    pub from: String,
    /// The receiving apps: a name or a pattern. `space/app` refers to another space of
    /// the org, and `org/space/app` to another org.
    pub to: String,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// The first and the last port.
    pub ports: (u16, u16),
}

impl SecurityGroup {
    /// A security group with these rules.
    pub fn new(name: impl Into<String>, rules: Vec<Rule>) -> Self {
        Self {
            name: name.into(),
            rules,
            globally_enabled: GloballyEnabled::default(),
        }
    }

    /// Whether it applies to the running apps of all spaces.
    #[must_use]
    pub fn globally_running(mut self, is_enabled: bool) -> Self {
        self.globally_enabled.running = Some(is_enabled);
        self
    }

    /// Whether it applies to the stagings of all spaces.
    #[must_use]
    pub fn globally_staging(mut self, is_enabled: bool) -> Self {
        self.globally_enabled.staging = Some(is_enabled);
        self
    }
}

impl Rule {
    /// A rule for TCP.
    pub fn tcp(destination: impl Into<String>, ports: impl Into<String>) -> Self {
        Self::new("tcp", destination, Some(ports.into()))
    }

    /// A rule for a protocol.
    pub fn new(
        protocol: impl Into<String>,
        destination: impl Into<String>,
        ports: Option<String>,
    ) -> Self {
        Self {
            protocol: protocol.into(),
            destination: destination.into(),
            ports,
            icmp_type: None,
            icmp_code: None,
            description: None,
            log: None,
        }
    }

    /// Sets the type and the code of ICMP messages. -1 means all.
    #[must_use]
    pub fn icmp(mut self, kind: i64, code: i64) -> Self {
        self.icmp_type = Some(kind);
        self.icmp_code = Some(code);
        self
    }

    /// Sets the description.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Sets whether cells log the connections that the rule allows.
    #[must_use]
    pub fn log(mut self, is_logged: bool) -> Self {
        self.log = Some(is_logged);
        self
    }
}

impl NetworkPolicy {
    /// A policy for a range of ports. For a single port, use `(port, port)`.
    pub fn new(
        from: impl Into<String>,
        to: impl Into<String>,
        protocol: impl Into<String>,
        ports: (u16, u16),
    ) -> Self {
        Self {
            from: from.into(),
            to: to.into(),
            protocol: protocol.into(),
            ports,
        }
    }

    /// The org and the space of the receiving apps, if they are given, and the pattern of
    /// the apps' names.
    pub(crate) fn receivers(&self) -> (Option<&str>, Option<&str>, &str) {
        placed(&self.to)
    }

    pub(super) fn check(&self, place: &str) -> Result<(), DesiredError> {
        let refused = |value: String, reason: &str| DesiredError::Value {
            subject: format!(
                "the network policy from {} to {}{place}",
                self.from, self.to
            ),
            value,
            reason: reason.to_owned(),
        };
        if !["tcp", "udp"].contains(&self.protocol.as_str()) {
            let value = format!("the protocol {}", self.protocol);
            return Err(refused(value, "must be tcp or udp"));
        }
        let (first, last) = self.ports;
        if first == 0 || last < first {
            let value = format!("the ports {first}-{last}");
            return Err(refused(
                value,
                "must be from 1 to 65535, in ascending order",
            ));
        }
        Ok(())
    }
}

/// The org, the space and the name of a reference such as `org/space/name`.
pub(super) fn placed(reference: &str) -> (Option<&str>, Option<&str>, &str) {
    match reference.split_once('/') {
        None => (None, None, reference),
        Some((first, rest)) => match rest.split_once('/') {
            None => (None, Some(first), rest),
            Some((space, name)) => (Some(first), Some(space), name),
        },
    }
}

/// Whether a name matches a pattern, in which `*` stands for any characters and `?` for
/// one character.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let (mut at, mut in_name) = (0, 0);
    // The position of the last `*`, and of the name after the characters that it stands
    // for so far.
    let mut star: Option<(usize, usize)> = None;
    while let Some(character) = name.get(in_name) {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, in_name));
                at += 1;
            }
            Some(wanted) if *wanted == '?' || wanted == character => {
                at += 1;
                in_name += 1;
            }
            _ => {
                let Some((place, end)) = star else {
                    return false;
                };
                star = Some((place, end + 1));
                at = place + 1;
                in_name = end + 1;
            }
        }
    }
    pattern.iter().skip(at).all(|rest| *rest == '*')
}
