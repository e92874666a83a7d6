//! Revisions: the deployed droplet, environment and commands of an app, recorded when they
//! change.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{AccessScope, App, Base, Feature, Field, Guid, Key, Row, Selection, Sidecar, World};
use crate::world::error::Error;

/// The content of a revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RevisionContent {
    pub(crate) droplet: Guid,
    /// `None` if it was never set.
    pub(crate) environment: Option<Map<String, Value>>,
    /// The user's commands by type of process.
    pub(crate) commands: BTreeMap<String, Option<String>>,
    /// By name.
    pub(crate) sidecars: BTreeMap<String, RevisionSidecar>,
}

/// A sidecar in a revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RevisionSidecar {
    pub(crate) command: String,
    pub(crate) memory_mb: Option<u32>,
    pub(crate) process_types: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Revision {
    pub(crate) base: Base,
    pub(crate) app: Guid,
    pub(crate) version: u32,
    pub(crate) description: String,
    pub(crate) deployed: RevisionContent,
}

/// A rollback to a revision, and the description of the new revision.
#[derive(Debug)]
pub(super) struct Rollback {
    description: String,
    pub(super) deployed: RevisionContent,
}

/// The highest version. The next one is 1 again.
const LAST_VERSION: u32 = 9999;

impl RevisionContent {
    /// The user's command for a type of process.
    pub(super) fn command(&self, kind: &str) -> Option<String> {
        self.commands.get(kind).cloned().flatten()
    }

    /// The changes that make a new revision necessary, in the order of the
    /// description.
    fn changes(&self, next: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        if self.droplet != next.droplet {
            changes.push("New droplet deployed.".to_owned());
        }
        if self.environment != next.environment {
            changes.push("New environment variables deployed.".to_owned());
        }
        let types: BTreeSet<&String> = self.commands.keys().chain(next.commands.keys()).collect();
        for kind in types {
            let (before, after) = (self.commands.get(kind), next.commands.get(kind));
            changes.extend(command_change(kind, before, after));
        }
        if self.sidecars != next.sidecars {
            changes.push("Sidecars updated.".to_owned());
        }
        changes.sort();
        changes
    }
}

fn command_change(
    kind: &str,
    before: Option<&Option<String>>,
    after: Option<&Option<String>>,
) -> Option<String> {
    let custom = |what: &str| format!("Custom start command {what} for '{kind}' process.");
    Some(match (before, after) {
        (before, after) if before == after => return None,
        (None, _) => format!("New process type '{kind}' added."),
        (_, None) => format!("Process type '{kind}' removed."),
        (Some(None), _) => custom("added"),
        (_, Some(None)) => custom("removed"),
        _ => custom("updated"),
    })
}

impl World {
    pub(crate) fn has_revisions(&self, app: Guid) -> bool {
        let app = self.apps.get(app);
        app.is_some_and(|app| app.features.has(Feature::Revisions))
    }

    /// The app's newest revision.
    pub(crate) fn latest_revision(&self, app: Guid) -> Option<&Revision> {
        let revisions = self.revisions.select(&Selection::by(Field::App, app));
        revisions.last().copied()
    }

    /// Creates a revision if the app is about to run something new.
    pub(super) fn update_revision(&mut self, app: Guid) {
        let Some(deployed) = self.deployed_of(app).filter(|_| self.has_revisions(app)) else {
            return;
        };
        let description = match self.latest_revision(app) {
            None => "Initial revision.".to_owned(),
            Some(latest) => latest.deployed.changes(&deployed).join(" "),
        };
        if !description.is_empty() {
            self.add_revision(app, description, deployed);
        }
    }

    /// Plans a rollback to a revision. Fails if the rollback would change nothing.
    pub(super) fn plan_rollback(&self, target: &Revision) -> Result<Rollback, Error> {
        let latest = self.latest_revision(target.app);
        let changes = latest.map(|latest| latest.deployed.changes(&target.deployed));
        let mut changes = changes.unwrap_or_default();
        if changes.is_empty() {
            return Err(Error::unprocessable(
                "Unable to rollback. The code and configuration you are rolling back to is the \
                 same as the deployed revision.",
            ));
        }
        changes.push(format!("Rolled back to revision {}.", target.version));
        Ok(Rollback {
            description: changes.join(" "),
            deployed: target.deployed.clone(),
        })
    }

    /// Restores the environment and the sidecars of a revision, and creates a new
    /// revision.
    pub(super) fn roll_back(&mut self, app: Guid, rollback: Rollback) {
        let Rollback {
            description,
            deployed,
        } = rollback;
        let environment = deployed.environment.clone();
        self.update_row(app, |app: &mut App| {
            app.has_environment = environment.is_some();
            app.environment = environment.unwrap_or_default();
        });
        for sidecar in self
            .sidecars
            .guids_newest_first(&Selection::by(Field::App, app))
        {
            self.sidecars.remove(sidecar);
        }
        for (name, sidecar) in &deployed.sidecars {
            let base = self.base();
            self.add(Sidecar {
                base,
                app,
                name: name.clone(),
                command: sidecar.command.clone(),
                process_types: sidecar.process_types.clone(),
                memory_mb: sidecar.memory_mb,
            });
        }
        self.add_revision(app, description, deployed);
    }

    fn add_revision(&mut self, app: Guid, description: String, deployed: RevisionContent) {
        let latest = self.latest_revision(app).map(|latest| latest.version);
        let version = latest.map_or(1, |version| version % LAST_VERSION + 1);
        let revisions = self.revisions.select(&Selection::by(Field::App, app));
        let same = revisions.iter().find(|other| other.version == version);
        if let Some(old) = same.map(|old| old.guid()) {
            self.revisions.remove(old);
        }
        let base = self.base();
        let guid = self.add(Revision {
            base,
            app,
            version,
            description,
            deployed,
        });
        let data = json!({"revision_guid": guid, "revision_version": version});
        self.record(app, "audit.app.revision.create", data);
        let text = format!("Creating revision for app with guid {app}");
        self.log_api(app, text);
    }

    /// The content of a revision with an app's current state. `None` without a droplet.
    fn deployed_of(&self, guid: Guid) -> Option<RevisionContent> {
        let app = self.apps.get(guid)?;
        let processes = self.processes_of(guid).into_iter();
        let sidecars = self.sidecars_of(guid).into_iter();
        Some(RevisionContent {
            droplet: app.droplet?,
            environment: app.given_environment().cloned(),
            // The newest web process comes last.
            commands: processes
                .map(|process| (process.kind.to_string(), process.command.clone()))
                .collect(),
            sidecars: sidecars
                .map(|sidecar| (sidecar.name.clone(), RevisionSidecar::of(sidecar)))
                .collect(),
        })
    }
}

impl RevisionSidecar {
    fn of(sidecar: &Sidecar) -> Self {
        Self {
            command: sidecar.command.clone(),
            memory_mb: sidecar.memory_mb,
            process_types: sidecar.process_types.clone(),
        }
    }
}

impl Row for Revision {
    fn keys(&self) -> Vec<Key> {
        vec![Key::Guid(Field::App, self.app)]
    }

    fn access_scope(&self, world: &World) -> AccessScope {
        world.access_scope_of_app(self.app)
    }
}
