//! The registry of resources. Each kind is listed here and nowhere else.
//!
//! The tables of the [`World`], state files, snapshots, lookups by GUID, the counts of
//! `/_mock/overview` and the lists of `/_mock/state` are generated from this list. A new
//! kind of resource needs a line here, an [`impl Row`](super::Row) with the keys of its
//! rows, and an `impl Present` with their JSON. Without these, the crate does not
//! compile.

use super::{Base, Table, World};

/// Expands `callback! { [table: Type = "name in messages", "name of lists"; ...] ... }`
/// with all kinds of resources, followed by the tokens after the callback's name.
macro_rules! with_resources {
    ($callback:ident $($further:tt)*) => {
        $callback! {
            [
                orgs: Org = "Organization", "organizations";
                spaces: Space = "Space", "spaces";
                apps: App = "App", "apps";
                processes: Process = "Process", "processes";
                sidecars: Sidecar = "Sidecar", "sidecars";
                packages: Package = "Package", "packages";
                builds: Build = "Build", "builds";
                droplets: Droplet = "Droplet", "droplets";
                deployments: Deployment = "Deployment", "deployments";
                revisions: Revision = "Revision", "revisions";
                tasks: Task = "Task", "tasks";
                domains: Domain = "Domain", "domains";
                routes: Route = "Route", "routes";
                route_policies: RoutePolicy = "Route policy", "route_policies";
                service_instances: ServiceInstance = "Service instance", "service_instances";
                service_bindings: ServiceBinding = "Service credential binding", "service_credential_bindings";
                route_bindings: RouteBinding = "Service route binding", "service_route_bindings";
                service_brokers: ServiceBroker = "Service broker", "service_brokers";
                service_offerings: ServiceOffering = "Service offering", "service_offerings";
                service_plans: ServicePlan = "Service plan", "service_plans";
                users: User = "User", "users";
                roles: Role = "Role", "roles";
                quotas: Quota = "Organization quota", "organization_quotas";
                space_quotas: SpaceQuota = "Space quota", "space_quotas";
                isolation_segments: IsolationSegment = "Isolation segment", "isolation_segments";
                security_groups: SecurityGroup = "Security group", "security_groups";
                stacks: Stack = "Stack", "stacks";
                buildpacks: Buildpack = "Buildpack", "buildpacks";
                feature_flags: FeatureFlag = "Feature flag", "feature_flags";
                environment_groups: EnvironmentGroup = "Environment variable group", "environment_variable_groups";
                jobs: Job = "Job", "jobs";
                events: Event = "Event", "audit_events";
                app_usage_events: AppUsageEvent = "App usage event", "app_usage_events";
                service_usage_events: ServiceUsageEvent = "Service usage event", "service_usage_events";
                accounts: Account = "Account", "uaa_users";
                groups: Group = "Group", "uaa_groups";
                clients: Client = "Client", "uaa_clients";
            ]
            $($further)*
        }
    };
}
pub(crate) use with_resources;

/// Declares the world: a table for each kind of resource, and additional fields.
macro_rules! declare_world {
    (
        [$($table:ident: $row:ident = $kind:literal, $list:literal;)*]
        $(#[$meta:meta])*
        pub(crate) struct World { $($fields:tt)* }
    ) => {
        $(#[$meta])*
        pub(crate) struct World {
            $(
                // State files of older versions do not have newer tables.
                #[serde(default)]
                pub(crate) $table: Table<$row>,
            )*
            $($fields)*
        }
    };
}
pub(super) use declare_world;

/// Creates a world with empty tables and the given additional fields.
macro_rules! empty_world {
    (
        [$($table:ident: $row:ident = $kind:literal, $list:literal;)*]
        $($fields:tt)*
    ) => {
        World {
            $($table: Table::default(),)*
            $($fields)*
        }
    };
}
pub(super) use empty_world;

/// A kind of resource in the registry.
pub(crate) trait Registered: Sized {
    /// Its name in errors, such as `Security group`.
    const KIND: &'static str;

    fn base(&self) -> &Base;

    fn base_mut(&mut self) -> &mut Base;

    /// The world's table of this kind.
    fn table(world: &World) -> &Table<Self>;

    fn table_mut(world: &mut World) -> &mut Table<Self>;
}

macro_rules! implement_registered {
    ([$($table:ident: $row:ident = $kind:literal, $list:literal;)*]) => {
        $(
            impl Registered for super::$row {
                const KIND: &'static str = $kind;

                fn base(&self) -> &Base {
                    &self.base
                }

                fn base_mut(&mut self) -> &mut Base {
                    &mut self.base
                }

                fn table(world: &World) -> &Table<Self> {
                    &world.$table
                }

                fn table_mut(world: &mut World) -> &mut Table<Self> {
                    &mut world.$table
                }
            }
        )*

        impl World {
            /// The number of resources of each kind, by the name of its list.
            pub(crate) fn counts(&self) -> Vec<(&'static str, usize)> {
                vec![$(($list, self.$table.len())),*]
            }
        }
    };
}
with_resources!(implement_registered);
