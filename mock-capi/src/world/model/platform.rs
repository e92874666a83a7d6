//! Resources of operators: feature flags, environment variable groups, security groups,
//! stacks and buildpacks.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::CowStr;
use crate::world::access::READ_SPACE;
use crate::world::clock::Timestamp;
use crate::world::{Access, AccessScope, Base, Field, Guid, Key, Row, World};

/// A feature flag.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FeatureFlag {
    pub(crate) base: Base,
    pub(crate) name: CowStr,
    pub(crate) enabled: bool,
    pub(crate) error_message: Option<String>,
    /// Whether the flag was ever set.
    pub(crate) changed: bool,
}

impl FeatureFlag {
    /// All flags and their defaults, by name.
    pub(crate) const DEFAULTS: [(&'static str, bool); 19] = [
        ("app_bits_upload", true),
        ("app_scaling", true),
        ("diego_cnb", false),
        ("diego_docker", false),
        ("env_var_visibility", true),
        ("hash_based_routing", false),
        ("hide_marketplace_from_unauthenticated_users", false),
        ("private_domain_creation", true),
        ("resource_matching", true),
        ("route_creation", true),
        ("route_sharing", false),
        ("service_instance_creation", true),
        ("service_instance_sharing", false),
        ("set_roles_by_username", true),
        ("space_developer_env_var_visibility", true),
        ("space_scoped_private_broker_creation", true),
        ("task_creation", true),
        ("unset_roles_by_username", true),
        ("user_org_creation", false),
    ];

    /// Whether administrators may use the feature while it is disabled.
    pub(crate) fn allows_admins(&self) -> bool {
        const FOR_ALL: [&str; 4] = [
            "env_var_visibility",
            "diego_cnb",
            "diego_docker",
            "route_sharing",
        ];
        !FOR_ALL.contains(&self.name.as_ref())
    }
}

impl Row for FeatureFlag {
    const NAME: Field = Field::ExactName;

    const IS_PUBLIC: bool = true;

    fn keys(&self) -> Vec<Key> {
        vec![Key::text(Self::NAME, &self.name)]
    }

    fn order_text(&self, _column: &str) -> &str {
        &self.name
    }
}

/// Environment variables of all running apps, or of all apps that are staged.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct EnvironmentGroup {
    pub(crate) base: Base,
    pub(crate) name: CowStr,
    pub(crate) variables: Map<String, Value>,
}

impl Row for EnvironmentGroup {
    const NAME: Field = Field::ExactName;

    fn keys(&self) -> Vec<Key> {
        vec![Key::text(Self::NAME, &self.name)]
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SecurityGroup {
    pub(crate) base: Base,
    pub(crate) name: String,
    pub(crate) rules: Vec<Value>,
    pub(crate) running_default: bool,
    pub(crate) staging_default: bool,
    pub(crate) running_spaces: Vec<Guid>,
    pub(crate) staging_spaces: Vec<Guid>,
}

impl SecurityGroup {
    /// The type of groups that apply to all spaces, for running apps or for staging.
    pub(crate) const DEFAULT: &str = "default";

    /// The type of groups that apply to the running apps of all spaces.
    pub(crate) const RUNNING_DEFAULT: &str = "running";

    /// The type of groups that apply to staging in all spaces.
    pub(crate) const STAGING_DEFAULT: &str = "staging";
}

impl Row for SecurityGroup {
    const NAME: Field = Field::ExactName;

    fn keys(&self) -> Vec<Key> {
        let keys_of = |field, spaces: &[Guid]| -> Vec<Key> {
            spaces
                .iter()
                .map(|&space| Key::Guid(field, space))
                .collect()
        };
        let mut keys = vec![Key::text(Self::NAME, &self.name)];
        let is_default = self.running_default || self.staging_default;
        let kinds = [
            (is_default, Self::DEFAULT),
            (self.running_default, Self::RUNNING_DEFAULT),
            (self.staging_default, Self::STAGING_DEFAULT),
        ];
        let kinds = kinds.into_iter().filter(|(has, _)| *has);
        keys.extend(kinds.map(|(_, kind)| Key::text(Field::Type, kind)));
        keys.extend(keys_of(Field::RunningSpace, &self.running_spaces));
        keys.extend(keys_of(Field::StagingSpace, &self.staging_spaces));
        keys
    }

    fn listed_by(world: &World, access: &Access) -> Option<Vec<Key>> {
        let fields = [Field::RunningSpace, Field::StagingSpace];
        let mut keys = access.keys_by_space(world, READ_SPACE, &fields);
        keys.push(Key::text(Field::Type, Self::DEFAULT));
        Some(keys)
    }

    fn is_visible(&self, world: &World, access: &Access) -> bool {
        let mut spaces = self.running_spaces.iter().chain(&self.staging_spaces);
        access.sees_everything()
            || self.running_default
            || self.staging_default
            || spaces.any(|space| access.sees(world, AccessScope::Space(*space)))
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Stack {
    pub(crate) base: Base,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) state: StackState,
    pub(crate) state_reason: Option<String>,
}

/// The uses that the state of a stack allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum StackState {
    Active,
    Deprecated,
    Restricted,
    Disabled,
}

impl StackState {
    pub(crate) const ALL: [Self; 4] = [
        Self::Active,
        Self::Restricted,
        Self::Deprecated,
        Self::Disabled,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Deprecated => "DEPRECATED",
            Self::Restricted => "RESTRICTED",
            Self::Disabled => "DISABLED",
        }
    }
}

impl Row for Stack {
    const NAME: Field = Field::ExactName;

    const IS_PUBLIC: bool = true;

    fn keys(&self) -> Vec<Key> {
        vec![Key::text(Self::NAME, &self.name)]
    }

    fn order_text(&self, _column: &str) -> &str {
        &self.name
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Buildpack {
    pub(crate) base: Base,
    pub(crate) name: String,
    pub(crate) stack: Option<String>,
    /// `buildpack` or `cnb`.
    pub(crate) lifecycle: CowStr,
    /// Counted from 1, among the buildpacks of the same lifecycle.
    pub(crate) position: u32,
    pub(crate) enabled: bool,
    pub(crate) locked: bool,
    /// The name of the uploaded file, and the time at which it was processed.
    pub(crate) file: Option<(String, Timestamp)>,
    /// The checksum of the uploaded file.
    #[serde(default)]
    pub(crate) sha256: Option<String>,
}

impl Buildpack {
    /// The name of the uploaded file, after it was processed.
    pub(crate) fn file_name(&self, now: Timestamp) -> Option<&str> {
        let file = self.file.as_ref().filter(|(_, ready_at)| *ready_at <= now);
        file.map(|(name, _)| name.as_str())
    }
}

impl Row for Buildpack {
    const NAME: Field = Field::ExactName;

    const IS_PUBLIC: bool = true;

    fn keys(&self) -> Vec<Key> {
        vec![Key::text(Self::NAME, &self.name)]
    }

    fn order_text(&self, column: &str) -> &str {
        match column {
            "lifecycle" => &self.lifecycle,
            _ => "",
        }
    }

    fn order_number(&self) -> u32 {
        self.position
    }
}
