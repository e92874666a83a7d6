//! The Cloud Controller's resources, with one type for each. Both dialects use the same
//! types.

mod apps;
mod manifest_diff;
mod orgs;
mod routes;
mod security_groups;
mod services;
mod staging;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub(crate) use apps::{
    App, Deployment, DeploymentOptions, HealthCheck, Instance, InstanceState, NewApp,
    NewDeployment, OrgApps, Process, Scale, Summary,
};
pub(crate) use manifest_diff::{DiffEntry, DiffOp, ManifestValue};
pub(crate) use orgs::{
    DEFAULT_QUOTA, FeatureFlag, IsolationSegment, Limits, Org, OrgQuota, Role, Space, SpaceQuota,
    User,
};
pub(crate) use routes::{Destination, Domain, NewRoute, Route};
pub(crate) use security_groups::{Enabled, NewSecurityGroup, Rule, SecurityGroup};
pub(crate) use services::{NewServiceInstance, ServiceInstance, ServicePlan, ServiceSettings};
pub(crate) use staging::{
    Build, DockerImage, Droplet, Package, PackageImage, Resource, ResourceState,
};

/// The label that marks orgs, spaces and apps as ours.
pub(crate) const MANAGED_BY_LABEL: &str = "managed-by";

/// The value of that label, and of [`MANAGED_BY_VARIABLE`].
pub(crate) const MANAGED_BY_VALUE: &str = "cf-pusher";

/// The annotation with the prefix of the configuration that created the resource.
pub(crate) const PREFIX_ANNOTATION: &str = "cf-pusher-prefix";

/// The annotation of a package, and of the droplet that was staged from it, with the
/// SHA-256 of the bits. A droplet with this annotation accounts for all packages of its
/// app.
pub(crate) const BITS_ANNOTATION: &str = "cf-pusher-bits-sha256";

/// The annotation of clones with the GUID of their source. It is removed when a run of
/// `clone` has finished all clones.
pub(crate) const CLONE_ANNOTATION: &str = "cf-pusher-clone-of";

/// In 2017, the environment variable that replaces the label.
pub(crate) const MANAGED_BY_VARIABLE: &str = "CF_PUSHER_MANAGED_BY";

/// In 2017, the environment variable that replaces the annotation of bits.
pub(crate) const BITS_VARIABLE: &str = "CF_PUSHER_BITS_SHA256";

/// The environment variables of an app.
pub(crate) type Env = BTreeMap<String, String>;

/// Labels or annotations. In a request, a key without a value is removed.
pub(crate) type Labels = BTreeMap<String, Option<String>>;

/// Labels and annotations.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Metadata {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) labels: Labels,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: Labels,
}

/// Whether a resource has our label, and its owner.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ownership {
    pub(crate) managed: bool,
    /// The owner that an annotation names.
    pub(crate) owner: Option<String>,
}

impl Ownership {
    /// Whether it is managed, and has this owner or none.
    pub(crate) fn is_of(&self, owner: &str) -> bool {
        self.managed && self.owner.as_deref().is_none_or(|it| it == owner)
    }
}

impl Metadata {
    /// The label that marks a resource as managed, and the annotation with its owner.
    pub(crate) fn managed(prefix: &str) -> Self {
        let one = |key: &str, value: &str| Labels::from([(key.to_owned(), Some(value.to_owned()))]);
        Self {
            labels: one(MANAGED_BY_LABEL, MANAGED_BY_VALUE),
            annotations: one(PREFIX_ANNOTATION, prefix),
        }
    }

    /// Whether it has our label.
    pub(crate) fn is_managed(&self) -> bool {
        let label = self.labels.get(MANAGED_BY_LABEL);
        label.and_then(Option::as_deref) == Some(MANAGED_BY_VALUE)
    }

    pub(crate) fn ownership(&self) -> Ownership {
        Ownership {
            managed: self.is_managed(),
            owner: self.annotations.get(PREFIX_ANNOTATION).cloned().flatten(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.annotations.is_empty()
    }
}
