//! The resources of a new foundation.

use super::{
    Buildpack, Domain, EnvironmentGroup, FeatureFlag, IsolationSegment, Limits, Quota,
    SHARED_SEGMENT, Stack, StackState, World,
};
use crate::world::settings::Settings;

/// The name of the default quota of organizations.
pub(crate) const DEFAULT_QUOTA: &str = "default";

/// The stacks, newest first. The last one is that of 2017.
const STACKS: &[(&str, &str)] = &[
    (
        "cflinuxfs4",
        "Cloud Foundry Linux-based filesystem (Ubuntu 22.04)",
    ),
    (
        "cflinuxfs3",
        "Cloud Foundry Linux-based filesystem (Ubuntu 18.04)",
    ),
    (
        "cflinuxfs2",
        "Cloud Foundry Linux-based filesystem (Ubuntu 14.04)",
    ),
];

/// The buildpacks of the foundation.
const BUILDPACKS: &[&str] = &[
    "staticfile_buildpack",
    "java_buildpack",
    "ruby_buildpack",
    "dotnet_core_buildpack",
    "nodejs_buildpack",
    "go_buildpack",
    "python_buildpack",
    "php_buildpack",
    "binary_buildpack",
    "nginx_buildpack",
    "r_buildpack",
];

/// The reserved ports of the default quota of a typical deployment with TCP routes.
const PORTS_OF_DEFAULT_QUOTA: u64 = 100;

impl World {
    /// Adds these resources to an empty world.
    pub(super) fn populate(&mut self, settings: &Settings) {
        let base = self.base();
        let mut limits = Limits::of_default_quota();
        if !settings.router_groups.is_empty() {
            limits.reserved_ports = Some(PORTS_OF_DEFAULT_QUOTA);
        }
        self.quotas.insert(Quota {
            base,
            name: DEFAULT_QUOTA.into(),
            limits,
        });
        let mut base = self.base();
        base.guid = SHARED_SEGMENT;
        self.isolation_segments.insert(IsolationSegment {
            base,
            name: "shared".into(),
            orgs: Vec::new(),
        });
        let base = self.base();
        self.domains.insert(Domain {
            base,
            name: settings.apps_domain.clone(),
            org: None,
            internal: false,
            router_group: None,
            route_policies_scope: None,
            shared_with: Vec::new(),
        });
        self.populate_settings();
        self.populate_uaa(settings);
        self.populate_stacks();
    }

    /// Adds the feature flags and the environment groups.
    fn populate_settings(&mut self) {
        for (name, enabled) in FeatureFlag::DEFAULTS {
            let base = self.base();
            self.feature_flags.insert(FeatureFlag {
                base,
                name: name.into(),
                enabled,
                error_message: None,
                changed: false,
            });
        }
        for name in ["running", "staging"] {
            let base = self.base();
            self.environment_groups.insert(EnvironmentGroup {
                base,
                name: name.into(),
                variables: serde_json::Map::new(),
            });
        }
    }

    /// Adds the stacks, and the buildpacks of the default stack.
    fn populate_stacks(&mut self) {
        for (name, description) in STACKS {
            let base = self.base();
            self.stacks.insert(Stack {
                base,
                name: (*name).into(),
                description: Some((*description).into()),
                state: StackState::Active,
                state_reason: None,
            });
        }
        for (position, name) in (1..).zip(BUILDPACKS) {
            let base = self.base();
            self.buildpacks.insert(Buildpack {
                base,
                name: (*name).into(),
                stack: Some(self.default_stack.into()),
                lifecycle: "buildpack".into(),
                position,
                enabled: true,
                locked: false,
                file: Some((
                    format!("{name}-{}-v1.0.0.zip", self.default_stack),
                    self.now,
                )),
                sha256: None,
            });
        }
    }
}

impl Limits {
    /// The default quota of a typical deployment.
    pub(crate) fn of_default_quota() -> Self {
        Self {
            total_memory: Some(102_400),
            process_memory: None,
            instances: None,
            tasks: None,
            log_rate: None,
            paid_services: true,
            services: Some(100),
            service_keys: None,
            routes: Some(1000),
            reserved_ports: Some(0),
            domains: None,
        }
    }
}
