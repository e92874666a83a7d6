//! A plan in a file, so that a later run makes only the changes that were reviewed.

use std::collections::HashMap;
use std::fmt::Write as _;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::bits::GroupBits;
use super::plan::{Action, Change, Plan, ResourcePlan, Step};
use super::target::Target;
use super::{ConvergeError, Converger};

/// The version of the file format.
const FORMAT_VERSION: u32 = 1;

/// A plan to be carried out later by [`Converger::follow`].
///
/// It contains the API, a hash of the desired state and the bits, and hashes instead of
/// the values of environment variables. The hashes are salted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedPlan {
    format_version: u32,
    api: String,
    salt: String,
    /// The hash of the desired state.
    config: String,
    /// The resources that are not up to date.
    resources: Vec<SavedResource>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct SavedResource {
    target: Target,
    action: Action,
    changes: Vec<Change>,
    #[serde(default)]
    unmanaged: bool,
    steps: Vec<Value>,
}

/// The reason why a text is not a plan.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SavedPlanError {
    /// The text is not JSON, or lacks a field.
    #[error("not a plan: {0}")]
    Syntax(#[from] serde_json::Error),
    /// It was written by another version of cf-pusher.
    #[error(
        "the plan has the format version {found}, and this version of cf-pusher reads {FORMAT_VERSION}"
    )]
    Version {
        /// The version in the text.
        found: u64,
    },
}

impl SavedPlan {
    /// Parses the output of [`SavedPlan::to_json`].
    ///
    /// # Errors
    ///
    /// [`SavedPlanError`] for any other text.
    pub fn parse(text: &str) -> Result<Self, SavedPlanError> {
        let value: Value = serde_json::from_str(text)?;
        match value.get("format_version").and_then(Value::as_u64) {
            Some(version) if version != u64::from(FORMAT_VERSION) => {
                Err(SavedPlanError::Version { found: version })
            }
            _ => Ok(serde_json::from_value(value)?),
        }
    }

    /// The plan as JSON. It lists resources of the foundation, so keep it private.
    pub fn to_json(&self) -> String {
        format!("{:#}\n", json!(self))
    }

    fn new(converger: &Converger, bits: &[GroupBits], plan: &Plan, salt: &str) -> Self {
        let changed = plan.resources.iter();
        let changed = changed.filter(|resource| resource.action != Action::Unchanged);
        Self {
            format_version: FORMAT_VERSION,
            api: converger.client.api().to_owned(),
            config: hash(salt, &config_text(converger, bits)),
            resources: changed.map(|it| SavedResource::of(it, salt)).collect(),
            salt: salt.to_owned(),
        }
    }

    /// The differences of a later plan. Empty if the later plan is equal to this plan or
    /// a part of it.
    fn differences(&self, now: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        if self.api != now.api {
            differences.push(format!("the plan is for {}, not for {}", self.api, now.api));
        }
        if self.config != now.config {
            differences.push("the configuration or the bits of the apps have changed".to_owned());
        }
        let planned: HashMap<&Target, &SavedResource> =
            self.resources.iter().map(|it| (&it.target, it)).collect();
        for resource in &now.resources {
            match planned.get(&resource.target) {
                Some(planned) if resource.is_part_of(planned) => {}
                Some(planned) => {
                    differences.push(format!("planned: {}", planned.line()));
                    differences.push(format!("now: {}", resource.line()));
                }
                None => differences.push(format!("not planned: {}", resource.line())),
            }
        }
        differences
    }
}

impl Converger {
    /// A plan to write to a file and carry out later.
    ///
    /// # Errors
    ///
    /// The same errors as [`Converger::plan`].
    pub fn save<'a>(&'a self, plan: &'a Plan) -> BoxFuture<'a, Result<SavedPlan, ConvergeError>> {
        Box::pin(async move {
            let bits = self.prepare().await?;
            let salt = format!("{:032x}", fastrand::u128(..));
            Ok(SavedPlan::new(self, bits, plan, &salt))
        })
    }

    /// Makes [`Converger::converge`] refuse to run unless its plan is the saved plan or a
    /// part of it, as after an interrupted run.
    #[must_use]
    pub fn follow(self, plan: SavedPlan) -> Self {
        let follows = Some(std::sync::Arc::new(plan));
        Self { follows, ..self }
    }

    /// Compares a plan with the saved plan to follow, if any.
    pub(super) fn check_saved(&self, bits: &[GroupBits], plan: &Plan) -> Result<(), ConvergeError> {
        let Some(saved) = &self.follows else {
            return Ok(());
        };
        let now = SavedPlan::new(self, bits, plan, &saved.salt);
        match saved.differences(&now) {
            differences if differences.is_empty() => Ok(()),
            differences => Err(ConvergeError::PlanChanged { differences }),
        }
    }
}

impl SavedResource {
    fn of(resource: &ResourcePlan, salt: &str) -> Self {
        let change = |change: &Change| match change.property.starts_with("env ") {
            true => Change {
                property: change.property.clone(),
                old: hash_unless_none(salt, &change.old),
                new: hash_unless_none(salt, &change.new),
            },
            false => change.clone(),
        };
        Self {
            target: resource.target.clone(),
            action: resource.action,
            changes: resource.changes.iter().map(change).collect(),
            unmanaged: resource.unmanaged,
            steps: resource.steps.iter().map(|it| stored(it, salt)).collect(),
        }
    }

    /// Whether the saved plan covers this plan of a resource. An interrupted run leaves
    /// apps that already exist, are stopped, or have another droplet.
    fn is_part_of(&self, planned: &Self) -> bool {
        if self == planned {
            return true;
        }
        let is_new = |change: &Change| {
            let mut changes = planned.changes.iter();
            let is_planned =
                changes.any(|it| it.property == change.property && it.new == change.new);
            !is_planned && !planned.leaves(&change.property)
        };
        match (planned.action, self.action) {
            (Action::Create, Action::Create | Action::Change) => !self.unmanaged,
            (Action::Change, Action::Change) => {
                self.unmanaged == planned.unmanaged && !self.changes.iter().any(is_new)
            }
            (Action::Delete, Action::Delete) => true,
            _ => false,
        }
    }

    /// Whether an interrupted run may leave a difference in a property that the plan
    /// itself does not list.
    fn leaves(&self, property: &str) -> bool {
        let takes = |step: &str| self.steps.iter().any(|it| it["step"] == step);
        let replaces = self.changes.iter().any(|it| it.property == "droplet");
        match property {
            "state" => takes("stop") || takes("start") || takes("deploy"),
            "droplet" | "droplets" | "packages" | "hash of the bits" => replaces,
            _ => false,
        }
    }

    fn line(&self) -> String {
        let verb = match self.action {
            Action::Create => "create",
            Action::Change => "change",
            Action::Delete => "delete",
            Action::Unchanged => "leave",
        };
        let mut line = format!("{verb} {}", self.target);
        let changes = self.changes.iter().map(|change| {
            // A hash is not informative.
            match change.property.starts_with("env ") {
                true => change.property.clone(),
                false => change.to_string(),
            }
        });
        let changes: Vec<String> = changes.collect();
        if !changes.is_empty() {
            let _ = write!(line, " ({})", changes.join(", "));
        }
        line
    }
}

/// A step as JSON, with hashes instead of the values of environment variables.
fn stored(step: &Step, salt: &str) -> Value {
    let mut stored = json!(step);
    let mut hashed = |pointer: &str, name: &str, value: &str| {
        if let Some(Value::Object(env)) = stored.pointer_mut(pointer) {
            env.insert(
                name.to_owned(),
                json!(hash(salt, &format!("{name}={value}"))),
            );
        }
    };
    match step {
        Step::CreateApp { env, .. } => {
            for (name, value) in env.as_ref() {
                hashed("/env", name, value);
            }
        }
        Step::ApplyManifest { entry } => {
            for (name, value) in entry.env() {
                hashed("/entry/env", name, value);
            }
        }
        Step::SetEnv { variables } => {
            for (name, value) in variables {
                if let Some(value) = value {
                    hashed("/variables", name, value);
                }
            }
        }
        _ => {}
    }
    stored
}

/// A text of everything that the plan depends on in addition to the foundation.
fn config_text(converger: &Converger, bits: &[GroupBits]) -> String {
    let desired = &converger.desired;
    let mut text = format!(
        "{:?} {:?} {:?} {:?}\n",
        desired.owner(),
        desired.apps_domain(),
        desired.security_groups(),
        converger.workflow,
    );
    for org in desired.orgs() {
        let _ = writeln!(
            text,
            "org {:?} {:?} {:?}",
            org.name, org.quota, org.metadata
        );
    }
    for placed in desired.spaces() {
        let space = placed.space;
        let _ = writeln!(
            text,
            "space {} {:?} {:?} {:?}",
            placed.org_id, space.name, space.security_groups, space.metadata
        );
    }
    let supporting = desired.supporting_text();
    let _ = writeln!(text, "{supporting:?} {}", converger.prunes);
    for placed in desired.groups() {
        let group = placed.group;
        let is_selected = converger
            .only
            .as_ref()
            .is_none_or(|only| only.groups.contains(&placed.id));
        let bits = bits.get(placed.id).map(GroupBits::sha256);
        let _ = writeln!(
            text,
            "group {} {:?} {} {} {bits:?} {is_selected}",
            placed.space.id,
            group.name,
            group.count,
            json!(group.entry),
        );
    }
    text
}

fn hash_unless_none(salt: &str, value: &str) -> String {
    match value {
        "none" => value.to_owned(),
        value => hash(salt, value),
    }
}

fn hash(salt: &str, text: &str) -> String {
    let digest = Sha256::new()
        .chain_update(salt)
        .chain_update(text)
        .finalize();
    digest.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
