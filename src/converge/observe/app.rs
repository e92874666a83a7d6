//! The state of an app and of the resources that belong to it.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::capi::model::{self, Droplet, Ownership, Package, Process};
use crate::converge::bits::image_sha256;

/// An app with its droplets, packages and web process.
#[derive(Debug, Clone, Default)]
pub(crate) struct App {
    pub(crate) guid: String,
    pub(crate) name: String,
    /// The GUID of its space.
    pub(crate) space: String,
    /// Whether its desired state is STARTED.
    pub(crate) started: bool,
    pub(crate) ownership: Ownership,
    /// `buildpack`, `cnb` or `docker`. Empty in 2017.
    pub(crate) lifecycle: String,
    /// The buildpacks that it is staged with. Empty if they are detected.
    pub(crate) buildpacks: Vec<String>,
    pub(crate) current_droplet: Option<String>,
    /// All droplets of the app.
    pub(crate) droplets: Vec<Droplet>,
    /// All packages of the app. Empty if its droplet accounts for them.
    pub(crate) packages: Vec<Package>,
    pub(crate) web: Option<Process>,
    /// The app's own manifest, if it was read.
    pub(crate) manifest: Option<Map<String, Value>>,
}

impl From<model::App> for App {
    fn from(app: model::App) -> Self {
        Self {
            guid: app.guid,
            name: app.name,
            space: app.space,
            started: app.is_started,
            ownership: app.ownership,
            lifecycle: app.lifecycle,
            buildpacks: app.buildpacks,
            current_droplet: app.current_droplet,
            ..Self::default()
        }
    }
}

impl App {
    /// The droplet that the app runs with.
    pub(crate) fn current(&self) -> Option<&Droplet> {
        let current = self.current_droplet.as_deref()?;
        self.droplets.iter().find(|droplet| droplet.guid == current)
    }

    /// Takes the packages of this app from those of many apps. A package contains the
    /// hash of the bits of the droplets that were staged from it, or the image.
    pub(crate) fn take_packages(&mut self, by_app: &mut HashMap<String, Vec<Package>>) {
        self.packages = by_app.remove(&self.guid).unwrap_or_default();
        for droplet in self.droplets.iter_mut().filter(|it| it.bits.is_none()) {
            let source = droplet.package.as_deref();
            let mut packages = self.packages.iter();
            let source = packages.find(|it| Some(it.guid.as_str()) == source);
            droplet.bits = source.and_then(|package| {
                let image = package.image.as_ref();
                let of_image = || Some(image_sha256(&image?.name, image?.username.as_deref()));
                package.bits.clone().or_else(of_image)
            });
        }
    }

    /// Whether it looks like an app that an interrupted run of ours created but did not
    /// label: it has no droplet and no package, and is stopped.
    pub(crate) fn is_unlabelled_and_empty(&self) -> bool {
        let has_nothing = self.droplets.is_empty() && self.packages.is_empty();
        !self.ownership.managed && !self.started && has_nothing
    }

    /// Whether it looks like such an app and its name begins with `owner`.
    pub(crate) fn may_be_leftover_of(&self, owner: &str) -> bool {
        !owner.is_empty() && self.name.starts_with(owner) && self.is_unlabelled_and_empty()
    }

    /// Whether its current droplet accounts for all of its packages: the droplet is a
    /// copy or annotated, and no other droplet was staged from a package.
    pub(crate) fn accounts_for_packages(&self) -> bool {
        let Some(current) = self.current() else {
            return false;
        };
        let mut others = self.droplets.iter().filter(|it| it.guid != current.guid);
        (current.annotated || current.package.is_none()) && others.all(|it| it.package.is_none())
    }
}

/// Groups resources by the GUID of their app.
pub(super) fn by_app<T>(resources: Vec<T>, app_of: impl Fn(&T) -> &str) -> HashMap<String, Vec<T>> {
    let mut by_app: HashMap<String, Vec<T>> = HashMap::new();
    for resource in resources {
        by_app
            .entry(app_of(&resource).to_owned())
            .or_default()
            .push(resource);
    }
    by_app
}

/// Web processes by the GUID of their app.
pub(super) fn web_by_app(processes: Vec<Process>) -> HashMap<String, Process> {
    let processes = processes.into_iter();
    processes.map(|web| (web.app.clone(), web)).collect()
}
