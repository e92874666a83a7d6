//! Groups of identical apps.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use super::DesiredError;
use crate::manifest::entry::{ManifestEntry, filled_in, has_index};

/// The maximum length of a label of a host name in DNS.
const MAX_LABEL: usize = 63;

/// The placeholder for the number in the names of a group's apps.
const INDEX: &str = "{i}";

/// Identical apps. The first app is staged from bits, and the others get a copy of its
/// droplet.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Group {
    /// The name of each app. `{i}` stands for the app's number, starting at 0.
    pub name: String,
    /// The desired properties of each app.
    pub entry: ManifestEntry,
    /// The number of apps.
    pub count: u32,
    /// The source of the bits. Not read if `like` names another group.
    pub bits: Bits,
    /// Whether the apps run.
    pub state: AppState,
    /// Whether existing apps keep their state, regardless of `state`. Only apps without
    /// bits can ignore it. New apps are created stopped.
    pub ignores_state: bool,
    /// Whether existing apps keep unused packages and droplets, which are otherwise
    /// deleted. Stopped apps also keep an image that was never staged.
    pub ignores_droplets: bool,
    /// The group whose droplet is copied to all apps of this group, by its name with or
    /// without `{i}`. `space/group` and `org/space/group` refer to other spaces.
    pub like: Option<String>,
    /// The environment variables whose values a plan shows. Other values may be secret.
    pub shown_env: HashSet<String>,
}

/// Whether an app runs. Serializes as the Cloud Controller's `STARTED` or `STOPPED`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
#[non_exhaustive]
pub enum AppState {
    /// All instances of the app run.
    #[default]
    Started,
    /// The app has its droplet, and no instance runs.
    Stopped,
}

/// The source of the bits of an app. The source is read when the bits are needed for the
/// first time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Bits {
    /// The files of a folder, except those that its `.cfignore` excludes.
    Folder(PathBuf),
    /// The files of a zip archive.
    Archive(PathBuf),
    /// Files in memory, by their paths relative to the app's folder, separated by `/`.
    Files(Arc<BTreeMap<String, Vec<u8>>>),
    /// A droplet: a staged app as a gzipped tar archive. It is uploaded instead of
    /// staging bits.
    Droplet(PathBuf),
    /// No bits: the apps get the droplet of another group, run the Docker image of their
    /// entry, or are created stopped and keep their droplets.
    None,
}

impl Group {
    /// A group of one app. [`Group::count`] sets another number.
    pub fn new(name: impl Into<String>, entry: ManifestEntry, bits: Bits) -> Self {
        Self {
            name: name.into(),
            entry,
            count: 1,
            bits,
            state: AppState::Started,
            ignores_state: false,
            ignores_droplets: false,
            like: None,
            shown_env: HashSet::new(),
        }
    }

    /// Apps without bits that get a copy of the droplet of another group.
    pub fn copy_of(
        name: impl Into<String>,
        entry: ManifestEntry,
        group: impl Into<String>,
    ) -> Self {
        Self::new(name, entry, Bits::None).like(group)
    }

    /// Sets the number of apps, which may be 0.
    #[must_use]
    pub fn count(mut self, count: u32) -> Self {
        self.count = count;
        self
    }

    /// Sets whether the apps run.
    #[must_use]
    pub fn state(mut self, state: AppState) -> Self {
        self.state = state;
        self
    }

    /// Creates new apps stopped, and keeps the state of existing apps.
    #[must_use]
    pub fn ignore_state(mut self) -> Self {
        self.state = AppState::Stopped;
        self.ignores_state = true;
        self
    }

    /// Keeps unused packages and droplets of existing apps.
    #[must_use]
    pub fn ignore_droplets(mut self) -> Self {
        self.ignores_droplets = true;
        self
    }

    /// Copies the droplet of another group instead of staging bits.
    #[must_use]
    pub fn like(mut self, group: impl Into<String>) -> Self {
        self.like = Some(group.into());
        self
    }

    /// Allows plans to show the values of these environment variables.
    #[must_use]
    pub fn shown_env<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.shown_env.extend(names.into_iter().map(Into::into));
        self
    }

    pub(crate) fn app_count(&self) -> usize {
        usize::try_from(self.count).unwrap_or(usize::MAX)
    }

    /// The name of the app with this number.
    pub(crate) fn app_name(&self, index: u32) -> String {
        filled_in(&self.name, index, "").into_owned()
    }

    /// The names of all apps. The first app is the prototype.
    pub(crate) fn app_names(&self) -> impl Iterator<Item = String> {
        (0..self.count).map(|index| self.app_name(index))
    }

    /// Whether the apps should run.
    pub(crate) fn is_started(&self) -> bool {
        self.state == AppState::Started
    }

    /// Whether the apps get droplets from bits, from an image, or from another group.
    pub(crate) fn has_source(&self) -> bool {
        self.bits != Bits::None || self.entry.docker().is_some() || self.like.is_some()
    }

    /// Whether the Cloud Controller can copy droplets of the apps. It cannot copy
    /// droplets that Cloud Native Buildpacks staged, so each such app is staged.
    pub(crate) fn is_copied(&self) -> bool {
        self.entry.lifecycle() != "cnb"
    }

    /// Its name without the number of each app.
    pub(super) fn stem(&self) -> &str {
        let stem = self.name.strip_suffix(INDEX).unwrap_or(&self.name);
        stem.trim_end_matches(['-', '_'])
    }

    pub(crate) fn check(&self) -> Result<(), DesiredError> {
        let refused = |property: &'static str, reason: &'static str| DesiredError::Property {
            group: self.name.clone(),
            property,
            reason,
        };
        if self.count > 1 && !has_index(&self.name) {
            return Err(DesiredError::NoIndex {
                group: self.name.clone(),
                count: self.count,
            });
        }
        if let Some(docker) = self.entry.docker() {
            if self.bits != Bits::None {
                return Err(refused("docker", "the apps are staged from other bits"));
            }
            if docker.username.is_some() != docker.password.is_some() {
                let reason = "`username` and `password` must be set together";
                return Err(refused("docker", reason));
            }
            if has_index(docker.image) {
                let reason = "the image cannot contain {i}, because the apps share a droplet";
                return Err(refused("docker", reason));
            }
        } else if !self.has_source() && self.is_started() {
            return Err(refused("state", "apps without bits cannot be started"));
        }
        if self.ignores_state && (self.bits != Bits::None || self.like.is_some()) {
            return Err(refused(
                "ignore_changes",
                "only apps without bits can ignore changes to their `state`",
            ));
        }
        let Some(last) = self.count.checked_sub(1) else {
            return Ok(());
        };
        let app = self.app_name(last);
        let entry = self.entry.of_app(&app, last, "apps.domain");
        for route in entry.routes().into_iter().flatten() {
            let host = route.split(['/', ':']).next().unwrap_or_default();
            if host.split('.').any(|label| label.len() > MAX_LABEL) {
                let route = route.to_owned();
                return Err(DesiredError::HostTooLong { app, route });
            }
        }
        Ok(())
    }
}

impl Bits {
    /// The files of a folder.
    pub fn folder(path: impl Into<PathBuf>) -> Self {
        Self::Folder(path.into())
    }

    /// The files of a zip archive.
    pub fn archive(path: impl Into<PathBuf>) -> Self {
        Self::Archive(path.into())
    }

    /// Files in memory, each with its path and content.
    pub fn files<P: Into<String>, C: Into<Vec<u8>>>(
        files: impl IntoIterator<Item = (P, C)>,
    ) -> Self {
        let files = files.into_iter();
        let files = files.map(|(path, content)| (path.into(), content.into()));
        Self::Files(Arc::new(files.collect()))
    }

    /// A droplet, as `GET /v3/droplets/:guid/download` returns it.
    pub fn droplet(path: impl Into<PathBuf>) -> Self {
        Self::Droplet(path.into())
    }
}
