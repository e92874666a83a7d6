//! Groups of apps that are alike.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::DesiredError;
use crate::manifest::entry::{ManifestEntry, filled_in, has_index};

/// The longest label of a host name that DNS, and so the Cloud Controller, allows.
const LONGEST_HOST: usize = 63;

/// The place of the number in the names of a group's apps.
const INDEX: &str = "{i}";

/// Apps that are alike: the first is staged from bits, the others get a copy of
/// its droplet.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Group {
    /// The name of each app; `{i}` in it stands for the app's number, from 0.
    pub name: String,
    /// What should be true of each app.
    pub entry: ManifestEntry,
    /// How many apps there are.
    pub count: u32,
    /// Where the bits come from. They are not read if `like` names another group.
    pub bits: Bits,
    /// Whether the apps run.
    pub state: AppState,
    /// Whether apps that exist keep running, or stay stopped, whatever `state` says. Only
    /// apps without bits can do so: their new apps are created stopped.
    pub ignores_state: bool,
    /// The group whose droplet all apps of this one get a copy of, by its name with or
    /// without `{i}`. `space/group` and `org/space/group` reach other spaces.
    pub like: Option<String>,
    /// The environment variables whose values a plan shows; those of others may be
    /// secret.
    pub shown_env: HashSet<String>,
}

/// Whether an app runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AppState {
    /// All its instances run.
    #[default]
    Started,
    /// It has its droplet, and no instance runs.
    Stopped,
}

/// Where the bits of an app come from. They are read when they are needed first.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Bits {
    /// The files of a folder, but what its `.cfignore` excludes.
    Folder(PathBuf),
    /// The files of a zip archive.
    Archive(PathBuf),
    /// Files in memory, by their paths relative to the app's folder, with `/`.
    Files(Arc<BTreeMap<String, Vec<u8>>>),
    /// A droplet: a staged app as a gzipped tar archive. It is uploaded, not staged.
    Droplet(PathBuf),
    /// None: the apps are a copy of another group, are of a Docker image, or are stopped
    /// and keep the droplets that they have.
    None,
}

impl Group {
    /// One app, or with [`Group::count`] many.
    pub fn new(name: impl Into<String>, entry: ManifestEntry, bits: Bits) -> Self {
        Self {
            name: name.into(),
            entry,
            count: 1,
            bits,
            state: AppState::Started,
            ignores_state: false,
            like: None,
            shown_env: HashSet::new(),
        }
    }

    /// Apps with a copy of the droplet of another group, so without bits of their own.
    pub fn copy_of(
        name: impl Into<String>,
        entry: ManifestEntry,
        group: impl Into<String>,
    ) -> Self {
        Self::new(name, entry, Bits::None).like(group)
    }

    /// With so many apps; none is allowed.
    #[must_use]
    pub fn count(mut self, count: u32) -> Self {
        self.count = count;
        self
    }

    /// With its apps running or stopped.
    #[must_use]
    pub fn state(mut self, state: AppState) -> Self {
        self.state = state;
        self
    }

    /// With apps that are created stopped, and keep the state that they have once they
    /// exist.
    #[must_use]
    pub fn ignore_state(mut self) -> Self {
        self.state = AppState::Stopped;
        self.ignores_state = true;
        self
    }

    /// With a copy of the droplet of another group in place of its own bits.
    #[must_use]
    pub fn like(mut self, group: impl Into<String>) -> Self {
        self.like = Some(group.into());
        self
    }

    /// With environment variables whose values a plan may show.
    #[must_use]
    pub fn shown_env<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.shown_env.extend(names.into_iter().map(Into::into));
        self
    }

    pub(crate) fn app_count(&self) -> usize {
        usize::try_from(self.count).unwrap_or(usize::MAX)
    }

    /// The name of the app of this number.
    pub(crate) fn app_name(&self, index: u32) -> String {
        filled_in(&self.name, index, "").into_owned()
    }

    /// The names of all apps; the first is the prototype.
    pub(crate) fn app_names(&self) -> impl Iterator<Item = String> {
        (0..self.count).map(|index| self.app_name(index))
    }

    /// Whether the apps should run.
    pub(crate) fn is_started(&self) -> bool {
        self.state == AppState::Started
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
        if self.entry.get("docker").is_some() {
            return Err(refused("docker", "a group is staged from bits"));
        }
        if self.bits == Bits::None && self.like.is_none() && self.is_started() {
            return Err(refused("state", "apps without bits cannot be started"));
        }
        if self.ignores_state && (self.bits != Bits::None || self.like.is_some()) {
            return Err(refused(
                "ignore_changes",
                "apps with bits have their `state`",
            ));
        }
        let Some(last) = self.count.checked_sub(1) else {
            return Ok(());
        };
        let app = self.app_name(last);
        let entry = self.entry.of_app(&app, last, "apps.domain");
        for route in entry.routes().into_iter().flatten() {
            let host = route.split(['/', ':']).next().unwrap_or_default();
            if host.split('.').any(|label| label.len() > LONGEST_HOST) {
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
