//! Refuses properties that a convergence does not support, so that no property is
//! ignored.

use std::collections::HashMap;

use super::ConvergeError;
use super::observe::{App, Observed};
use crate::capi::dialect::Dialect;
use crate::desired::{Bits, Desired, NeededFlag, PlacedGroup};
use crate::manifest::entry::ManifestEntry;

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

/// Refuses properties that the foundation would refuse: unknown feature flags, apps with
/// a disabled lifecycle, and apps that exist with another lifecycle.
pub(super) fn check_observed(desired: &Desired, observed: &Observed) -> Result<(), ConvergeError> {
    let flags = &observed.supporting.feature_flags;
    let mut wanted = desired.feature_flags().keys();
    if let Some(unknown) = wanted.find(|name| !flags.contains_key(*name)) {
        let mut known: Vec<String> = flags.keys().cloned().collect();
        known.sort_unstable();
        return Err(ConvergeError::UnknownFeatureFlag {
            name: unknown.clone(),
            known,
        });
    }
    let is_enabled = |flag: &NeededFlag<'_>| {
        let wanted = desired.feature_flags().get(flag.name);
        // A foundation without the flag reports an unsupported lifecycle itself.
        *wanted.or_else(|| flags.get(flag.name)).unwrap_or(&true)
    };
    if let Some(flag) = desired.needed_flags().find(|flag| !is_enabled(flag)) {
        return Err(ConvergeError::Unsupported {
            subject: format!("the group {}", flag.group.name),
            property: flag.property,
            reason: match flag.name {
                "diego_docker" => "the feature flag diego_docker of the foundation is disabled",
                _ => "the feature flag diego_cnb of the foundation is disabled",
            },
        });
    }
    for (placed, space) in desired.spaces().zip(&observed.spaces) {
        let apps = space.apps.iter().map(|app| (app.name.as_str(), app));
        let apps: HashMap<&str, &App> = apps.collect();
        for group in &placed.space.groups {
            let differs = |name: &String| {
                let app = apps.get(name.as_str());
                app.is_some_and(|app| has_another_lifecycle(app, &group.entry))
            };
            if let Some(name) = group.app_names().find(differs) {
                return Err(ConvergeError::Unsupported {
                    subject: format!("the app {name}"),
                    property: match group.entry.docker() {
                        Some(_) => "docker",
                        None => "lifecycle",
                    },
                    reason: "it exists with another lifecycle, which the Cloud Controller does not change: delete the app first",
                });
            }
        }
    }
    Ok(())
}

/// Whether an app has another lifecycle than its entry. Without a lifecycle in the entry,
/// the foundation decides between buildpacks and Cloud Native Buildpacks.
fn has_another_lifecycle(app: &App, entry: &ManifestEntry) -> bool {
    let is_named = entry.docker().is_some() || entry.get("lifecycle").is_some();
    match app.lifecycle.as_str() {
        "" => false,
        found if is_named => found != entry.lifecycle(),
        found => found == "docker",
    }
}

/// The first property that the API of 2017 does not have, with the resource that sets it.
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
            ("service_bindings", !space.service_bindings.is_empty()),
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
