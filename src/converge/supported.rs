//! Refuses properties that a convergence does not support, so that none is ignored.

use super::ConvergeError;
use crate::capi::dialect::Dialect;
use crate::desired::{Bits, Desired, PlacedGroup};

/// Refuses the properties that are not supported on this foundation.
pub(super) fn check(desired: &Desired, dialect: Dialect) -> Result<(), ConvergeError> {
    if dialect == Dialect::V3 {
        return Ok(());
    }
    match beyond_2017(desired) {
        None => Ok(()),
        Some((subject, property)) => Err(ConvergeError::Unsupported {
            subject,
            property,
            reason: "the API of 2017 lacks it",
        }),
    }
}

/// The first property without a counterpart in 2017, and the resource that has it.
fn beyond_2017(desired: &Desired) -> Option<(String, &'static str)> {
    let of_foundation = [
        ("org_quotas", !desired.org_quotas().is_empty()),
        ("domains", !desired.domains().is_empty()),
        ("users", !desired.users().is_empty()),
        ("feature_flags", !desired.feature_flags().is_empty()),
    ];
    if let Some(property) = first(&of_foundation) {
        return Some(("the foundation".to_owned(), property));
    }
    for group in desired.security_groups() {
        let enabled = group.globally_enabled;
        if enabled.running.or(enabled.staging).is_some() {
            let subject = format!("the security group {}", group.name);
            return Some((subject, "globally_enabled"));
        }
    }
    for org in desired.orgs() {
        let of_org = [
            ("suspended", org.suspended.is_some()),
            ("domains", !org.domains.is_empty()),
            ("isolation_segment", org.isolation_segment.is_some()),
            ("roles", !org.roles.is_empty()),
            ("space_quotas", !org.space_quotas.is_empty()),
        ];
        if let Some(property) = first(&of_org) {
            return Some((format!("the org {}", org.name), property));
        }
    }
    for PlacedGroup { group, .. } in desired.groups() {
        let of_group = [
            ("like", group.like.is_some()),
            ("state", !group.is_started()),
            ("a droplet", matches!(group.bits, Bits::Droplet(_))),
        ];
        if let Some(property) = first(&of_group) {
            return Some((format!("the group {}", group.name), property));
        }
    }
    desired.spaces().find_map(|placed| {
        let space = placed.space;
        let of_space = [
            ("quota", space.quota.is_some()),
            ("features", !space.features.is_empty()),
            ("isolation_segment", space.isolation_segment.is_some()),
            ("roles", !space.roles.is_empty()),
            ("service_instances", !space.services.is_empty()),
            ("network_policies", !space.network_policies.is_empty()),
        ];
        Some((format!("the space {}", space.name), first(&of_space)?))
    })
}

/// The first property that is set.
fn first(properties: &[(&'static str, bool)]) -> Option<&'static str> {
    let mut present = properties.iter().filter(|(_, is_present)| *is_present);
    present.next().map(|(property, _)| *property)
}
