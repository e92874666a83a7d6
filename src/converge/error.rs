//! The reasons why a run ends without an outcome.

use super::approval::Deletions;
use super::target::Target;
use super::{GroupBitsError, ProtectedTarget, protect};
use crate::capi::error::Error;

/// The reason why a run ended without an outcome.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConvergeError {
    /// A request to the foundation failed.
    #[error(transparent)]
    Api(#[from] Error),
    /// The bits of a group cannot be used.
    #[error("the bits of the group {group} cannot be used: {source}")]
    Bits {
        /// The group's name.
        group: String,
        /// The cause.
        source: GroupBitsError,
    },
    /// The API of the foundation does not support a property of apps.
    #[error(
        "the group {group} cannot have `{property}`: the API of 2017 knows only memory, disk_quota, instances, env, command, buildpacks, health-check-* and routes"
    )]
    Property {
        /// The group's name.
        group: String,
        /// The property.
        property: String,
    },
    /// The desired state has a property that cannot be converged on this foundation.
    #[error("{subject} cannot have `{property}`: {reason}")]
    Unsupported {
        /// The resource, such as `the space prod`.
        subject: String,
        /// The unsupported property.
        property: &'static str,
        /// The reason, as a clause.
        reason: &'static str,
    },
    /// The desired state sets a feature flag that the foundation does not have. No write was
    /// sent.
    #[error("the foundation has no feature flag {name}: its flags are {}", known.join(", "))]
    UnknownFeatureFlag {
        /// The flag's name.
        name: String,
        /// The names of the foundation's flags.
        known: Vec<String>,
    },
    /// The run would touch resources that the desired state protects. No write was sent.
    #[error("converging failed: {}", protect::listed(protected))]
    Protected {
        /// The resources and the patterns that protect them.
        protected: Vec<ProtectedTarget>,
    },
    /// An org or space is no longer part of the desired state, but contains unmanaged
    /// resources. No write was sent.
    #[error(
        "deleting the {target} failed: it has {} that cf-pusher does not manage",
        counted(unmanaged)
    )]
    Occupied {
        /// The org or space.
        target: Target,
        /// The unmanaged spaces, apps and service instances.
        unmanaged: Vec<Target>,
    },
    /// The org is unmanaged, so it is not deleted.
    #[error(
        "deleting the org {org} failed: it is unmanaged (it has no label managed-by=cf-pusher)"
    )]
    NotOurs {
        /// The org's name.
        org: String,
    },
    /// The org contains unmanaged apps or service instances, so it is not deleted.
    #[error(
        "deleting the org {org} failed: it has {} that cf-pusher does not manage",
        counted(unmanaged)
    )]
    HasUnmanaged {
        /// The org's name.
        org: String,
        /// The unmanaged apps and service instances.
        unmanaged: Vec<Target>,
    },
    /// Unmanaged resources have the names of desired ones. No write was sent.
    #[error("converging failed: {}", exist(targets))]
    Unmanaged {
        /// The resources.
        targets: Vec<Target>,
    },
    /// The plan to follow has changed. No write was sent.
    #[error("following the plan failed: it is out of date")]
    PlanChanged {
        /// The changes, one on each line.
        differences: Vec<String>,
    },
    /// A selected group is not part of the desired state.
    #[error("unknown group {group}: {}", groups(known))]
    UnknownGroup {
        /// The selected name.
        group: String,
        /// The names of the groups.
        known: Vec<String>,
    },
    /// The run would delete more than was approved. No write was sent.
    #[error("deleting {} failed: {}", deletions.summary(), not_approved(*most))]
    NotApproved {
        /// The deletions of the run.
        deletions: Deletions,
        /// The approved number of deletions, if a number was approved.
        most: Option<usize>,
    },
    /// The function of [`Approval::Ask`](super::Approval::Ask) declined the deletions. No write was sent.
    #[error("deleting {} failed: declined", deletions.summary())]
    Declined {
        /// The deletions of the run.
        deletions: Deletions,
    },
}

/// The names of the groups, for an error.
fn groups(known: &[String]) -> String {
    match known {
        [] => "the desired state has no groups".to_owned(),
        known => format!("the groups are {}", known.join(", ")),
    }
}

/// A text such as `1 app and 2 service instances`.
fn counted(targets: &[Target]) -> String {
    let apps = targets.iter().filter(|target| target.is_app()).count();
    let is_space = |target: &&Target| matches!(target, Target::Space { .. });
    let spaces = targets.iter().filter(is_space).count();
    let count = |count: usize, name: &str| match count {
        0 => None,
        1 => Some(format!("1 {name}")),
        count => Some(format!("{count} {name}s")),
    };
    let services = count(targets.len() - apps - spaces, "service instance");
    let parts = [count(spaces, "space"), count(apps, "app"), services];
    let parts = parts.into_iter().flatten();
    parts.collect::<Vec<_>>().join(" and ")
}

fn exist(targets: &[Target]) -> String {
    match targets {
        [only] => format!("{only} exists and is unmanaged"),
        all => format!("{} resources exist and are unmanaged", all.len()),
    }
}

fn not_approved(most: Option<usize>) -> String {
    match most {
        Some(1) => "at most 1 deletion is approved".to_owned(),
        Some(most) => format!("at most {most} deletions are approved"),
        None => "not approved".to_owned(),
    }
}
