//! Refuses changes to resources whose names the desired state protects.

use super::ConvergeError;
use super::plan::{Action, Plan};
use super::target::Target;
use crate::desired::Desired;

/// A protected resource, and the pattern that protects it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProtectedTarget {
    /// The resource.
    pub target: Target,
    /// The pattern of [`Desired::protected`] that it matches.
    pub pattern: String,
}

/// Refuses a plan that creates, changes or deletes protected resources.
pub(super) fn check_plan(desired: &Desired, plan: &Plan) -> Result<(), ConvergeError> {
    let resources = plan.resources.iter();
    let touched = resources.filter(|resource| resource.action != Action::Unchanged);
    check(desired, touched.map(|resource| &resource.target))
}

/// Refuses the targets if one of them is protected.
pub(super) fn check<'t>(
    desired: &Desired,
    targets: impl Iterator<Item = &'t Target>,
) -> Result<(), ConvergeError> {
    let protected: Vec<ProtectedTarget> = targets
        .filter_map(|target| {
            let pattern = pattern_of(desired, target)?.to_owned();
            let target = target.clone();
            Some(ProtectedTarget { target, pattern })
        })
        .collect();
    match protected.is_empty() {
        true => Ok(()),
        false => Err(ConvergeError::Protected { protected }),
    }
}

/// The pattern that protects a resource, its space or its org.
fn pattern_of<'d>(desired: &'d Desired, target: &Target) -> Option<&'d str> {
    let of_space = |org: &str, space: &str| format!("{org}/{space}");
    match target {
        Target::Org { name } => desired.protecting(&[name]),
        Target::Space { org, name } => desired.protecting(&[org, &of_space(org, name)]),
        Target::App { org, space, name } => desired.protecting(&[org, &of_space(org, space), name]),
        Target::ServiceInstance { org, space, .. }
        | Target::NetworkPolicy { org, space, .. }
        | Target::Route { org, space, .. } => desired.protecting(&[org, &of_space(org, space)]),
        Target::Role { org, space, .. } => match space {
            Some(space) => desired.protecting(&[org, &of_space(org, space)]),
            None => desired.protecting(&[org]),
        },
        Target::SpaceQuota { org, .. } => desired.protecting(&[org]),
        Target::Quota { .. }
        | Target::SecurityGroup { .. }
        | Target::FeatureFlag { .. }
        | Target::User { .. }
        | Target::Domain { .. } => None,
    }
}

/// A text such as `org system is protected by the pattern system`.
pub(super) fn listed(protected: &[ProtectedTarget]) -> String {
    let each = protected.iter().map(|it| {
        let ProtectedTarget { target, pattern } = it;
        format!("{target} is protected by the pattern {pattern}")
    });
    each.collect::<Vec<_>>().join(", ")
}
