//! The rows of the world: the columns of the Cloud Controller's database, and the keys,
//! order and visibility of each kind of row.

mod apps;
mod builds;
mod deployments;
mod jobs;
mod orgs;
mod platform;
mod roles;
mod routes;
mod services;

use std::borrow::Cow;

pub(crate) use apps::{
    App, Feature, Features, HealthCheck, Lifecycle, Process, Scale, Sidecar, Task, V2Marks,
};
pub(crate) use builds::{Build, Droplet, Origin, Package, PackageKind, Upload};
pub(crate) use deployments::{Deployment, DeploymentOptions, DeploymentState};
pub(crate) use jobs::Job;
pub(crate) use orgs::{IsolationSegment, Limits, Org, Quota, Space, SpaceQuota};
pub(crate) use platform::{
    Buildpack, EnvironmentGroup, FeatureFlag, SecurityGroup, Stack, StackState,
};
pub(crate) use roles::{Role, RoleType, User};
pub(crate) use routes::{Destination, Domain, Route};
pub(crate) use services::{Managed, RouteBinding, ServiceBinding, ServiceInstance};

/// A string that is usually one of a few constants.
pub(crate) type CowStr = Cow<'static, str>;
