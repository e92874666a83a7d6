//! Applies overrides to a manifest: one pure function for each override, in a fixed
//! order. Comments in the sequence explain where the order matters.
//!
//! The source is the ADR "V7 `cf push` transforms manifest before applying".

mod steps;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::io;
use std::path::PathBuf;

use super::overrides::{OverrideField, Overrides};
use super::{Application, Manifest};
use steps::*;

/// The reason why [`Overrides`] cannot be applied to a manifest.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransformError {
    /// Two overrides exclude each other.
    #[error("{field} and {other} cannot be combined")]
    Conflict {
        /// One of them.
        field: OverrideField,
        /// The other one.
        other: OverrideField,
    },
    /// An override requires another override.
    #[error("{field} requires {other}")]
    Requires {
        /// The override.
        field: OverrideField,
        /// The missing one.
        other: OverrideField,
    },
    /// The value of an override cannot be used.
    #[error("{field}: {reason}")]
    InvalidValue {
        /// The override.
        field: OverrideField,
        /// The error and the allowed values.
        reason: String,
    },
    /// One of several applications in the manifest has no `name`.
    #[error("an application in the manifest has no `name`")]
    UnnamedApp,
    /// Neither the manifest nor the overrides name the app.
    #[error("the app has no name")]
    NoName,
    /// The manifest has several apps, and none with a name in [`Overrides::apps`].
    #[error("the manifest has no app {name}, only {}", .existing.join(", "))]
    NoSuchApp {
        /// The name in the overrides.
        name: String,
        /// The names in the manifest.
        existing: Vec<String>,
    },
    /// Two applications of the manifest have the same name.
    #[error("the manifest has two apps named {name}")]
    DuplicateApp {
        /// The name.
        name: String,
    },
    /// An override applies to one app, and the manifest has several.
    #[error("{field} applies to one app, but the manifest has {apps} apps")]
    SeveralApps {
        /// The override.
        field: OverrideField,
        /// The number of apps in the manifest.
        apps: usize,
    },
    /// An override contradicts a property in the manifest.
    #[error("{field} cannot be combined with `{property}` in the manifest{}", describe(.value))]
    ManifestConflict {
        /// The override.
        field: OverrideField,
        /// The property in the manifest.
        property: &'static str,
        /// The property's value. `None` if any value conflicts.
        value: Option<String>,
    },
    /// The `path` of an app does not exist or cannot be read.
    #[error("app {app}: cannot read `path` {}: {source}", .path.display())]
    Path {
        /// The app's name.
        app: String,
        /// The path, relative to the manifest's folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

fn describe(value: &Option<String>) -> String {
    let value = value.as_ref();
    value.map(|it| format!(" ({it})")).unwrap_or_default()
}

type Transform = fn(Manifest, &Overrides) -> Result<Manifest, TransformError>;

const SEQUENCE: [Transform; 23] = [
    // First, because it may select one of several apps, and the other steps need exactly
    // one app.
    app_name,
    instances,
    start_command,
    env,
    cnb_credentials,
    lifecycle,
    // Precedes the endpoint, which requires the type `http`.
    health_check_type,
    health_check_endpoint,
    health_check_timeout,
    memory,
    disk,
    log_rate_limit,
    no_route,
    random_route,
    task,
    // Follows the other route overrides, because it applies to apps without any of them.
    default_route,
    docker_image,
    docker_username,
    stack,
    buildpacks,
    strategy,
    path,
    // Last, because it conflicts with every other source of the app.
    droplet,
];

/// The properties that a deployment sets. The manifest that is applied before does not
/// contain them.
const SCALE: [Transform; 4] = [instances, memory, disk, log_rate_limit];

impl Manifest {
    /// Applies overrides, and makes the `path` of each app relative to the working
    /// directory. The result is the manifest that `push` sends. A `path` does not have to
    /// exist. See [`Manifest::check_paths`].
    ///
    /// With a [deployment strategy](Overrides::strategy), the deployment sets instances,
    /// memory, disk and log rate limit.
    ///
    /// # Errors
    ///
    /// [`TransformError`] if the overrides are invalid or do not fit the manifest.
    pub fn transform(self, overrides: &Overrides) -> Result<Self, TransformError> {
        overrides.validate()?;
        SEQUENCE
            .iter()
            .try_fold(self, |manifest, step| step(manifest, overrides))
    }

    /// Checks that the `path` of each app exists.
    ///
    /// # Errors
    ///
    /// [`TransformError::Path`] for the first path that does not exist.
    pub fn check_paths(&self) -> Result<(), TransformError> {
        for app in &self.applications {
            let path = app.text("path").filter(|_| !app.has("docker"));
            if let Some(path) = path
                && let Err(source) = std::fs::metadata(path)
            {
                return Err(TransformError::Path {
                    app: app.name().to_owned(),
                    path: path.into(),
                    source,
                });
            }
        }
        Ok(())
    }

    /// The manifest after a deployment has scaled the app.
    pub(crate) fn scaled(self, overrides: &Overrides) -> Result<Self, TransformError> {
        let overrides = Overrides {
            strategy: None,
            ..overrides.clone()
        };
        SCALE
            .iter()
            .try_fold(self, |manifest, step| step(manifest, &overrides))
    }

    /// The one app that an override applies to.
    fn only_app(&mut self, field: OverrideField) -> Result<&mut Application, TransformError> {
        match self.applications.as_mut_slice() {
            [app] => Ok(app),
            apps => Err(TransformError::SeveralApps {
                field,
                apps: apps.len(),
            }),
        }
    }
}

impl Manifest {
    /// Refuses apps with the same name, because they would overwrite each other.
    fn with_unique_names(self) -> Result<Self, TransformError> {
        let mut names = HashSet::new();
        let duplicate = self.applications.iter().map(Application::name);
        // The Cloud Controller ignores the case of names.
        let duplicate = { duplicate }.find(|name| !names.insert(name.to_lowercase()));
        match duplicate.map(str::to_owned) {
            Some(name) => Err(TransformError::DuplicateApp { name }),
            None => Ok(self),
        }
    }
}
