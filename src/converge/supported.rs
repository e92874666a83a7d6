//! Refuses what a convergence does not bring about, so that nothing is ignored.

use super::ConvergeError;
use crate::desired::{Bits, Desired};

/// Refuses the properties that are not converged.
pub(super) fn check(desired: &Desired) -> Result<(), ConvergeError> {
    let of_foundation = [
        ("org_quotas", !desired.org_quotas().is_empty()),
        ("domains", !desired.domains().is_empty()),
        ("users", !desired.users().is_empty()),
        ("feature_flags", !desired.feature_flags().is_empty()),
    ];
    refuse(|| "the foundation".to_owned(), &of_foundation)?;
    for group in desired.security_groups() {
        let enabled = group.globally_enabled;
        let is_enabled = enabled.running.or(enabled.staging).is_some();
        let has_details = group.rules.iter().any(|rule| {
            rule.icmp_type.or(rule.icmp_code).is_some()
                || rule.description.is_some()
                || rule.log.is_some()
        });
        let of_group = [
            ("globally_enabled", is_enabled),
            ("type, code, description or log of a rule", has_details),
        ];
        refuse(|| format!("the security group {}", group.name), &of_group)?;
    }
    for org in desired.orgs() {
        let of_org = [
            ("suspended", org.suspended.is_some()),
            ("domains", !org.domains.is_empty()),
            ("isolation_segment", org.isolation_segment.is_some()),
            ("roles", !org.roles.is_empty()),
            ("space_quotas", !org.space_quotas.is_empty()),
        ];
        refuse(|| format!("the org {}", org.name), &of_org)?;
    }
    for placed in desired.spaces() {
        let space = placed.space;
        let of_space = [
            ("quota", space.quota.is_some()),
            ("features", !space.features.is_empty()),
            ("isolation_segment", space.isolation_segment.is_some()),
            ("roles", !space.roles.is_empty()),
            ("service_instances", !space.services.is_empty()),
            ("network_policies", !space.network_policies.is_empty()),
        ];
        refuse(|| format!("the space {}", space.name), &of_space)?;
    }
    for placed in desired.groups() {
        let group = placed.group;
        let of_group = [
            ("like", desired.source_of(&placed).is_some()),
            ("state", !group.is_started()),
            ("a droplet", matches!(group.bits, Bits::Droplet(_))),
        ];
        refuse(|| format!("the group {}", group.name), &of_group)?;
    }
    Ok(())
}

/// Refuses the first property that is there.
fn refuse(
    subject: impl Fn() -> String,
    properties: &[(&'static str, bool)],
) -> Result<(), ConvergeError> {
    let mut present = properties.iter().filter(|(_, is_present)| *is_present);
    match present.next() {
        None => Ok(()),
        Some((property, _)) => Err(ConvergeError::Unsupported {
            subject: subject(),
            property,
            reason: "cf-pusher does not converge it yet",
        }),
    }
}
