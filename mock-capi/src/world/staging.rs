//! Staging for v2: the state of an app's package, and apps that run once they are staged.

use super::{App, Droplet, Due, Field, Guid, Package, Row, Selection, World};

impl World {
    /// The app's newest package.
    pub(crate) fn latest_package(&self, app: Guid) -> Option<&Package> {
        let packages = self.packages.select(&Selection::by(Field::App, app));
        packages.last().copied()
    }

    /// The app's newest droplet that is not being staged.
    pub(crate) fn latest_droplet(&self, app: Guid) -> Option<&Droplet> {
        let droplets = self.droplets.select(&Selection::by(Field::App, app));
        let exists = |droplet: &&Droplet| droplet.is_shown(self.now);
        droplets.into_iter().rfind(exists)
    }

    /// Whether a droplet of the app is being staged.
    pub(crate) fn is_staging(&self, app: Guid) -> bool {
        let droplets = self.droplets.select(&Selection::by(Field::App, app));
        let mut states = droplets.iter().map(|droplet| droplet.state(self.now));
        states.any(|state| state == "STAGING")
    }

    /// `STAGED` if the current droplet was staged from the newest package, `FAILED` if
    /// the package's upload or staging failed, and otherwise `PENDING`.
    pub(crate) fn package_state(&self, app: &App) -> &'static str {
        let of_app = Selection::by(Field::App, app.guid());
        let package = self.latest_package(app.guid());
        let droplet = self.latest_droplet(app.guid());
        let builds = self.builds.select(&of_app);
        let build = builds.last().map(|build| build.state(self.now));
        if package.is_none() && droplet.is_none() {
            return "PENDING";
        }
        let current = app.droplet.and_then(|droplet| self.droplets.get(droplet));
        let newer = match (package, droplet) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(package), Some(droplet)) => {
                current.and_then(|current| current.package) != Some(package.guid())
                    && package.base.created >= droplet.base.created
            }
        };
        let source = droplet.and_then(|droplet| droplet.package);
        let upload_failed = package.is_some_and(|package| {
            (newer || source == Some(package.guid())) && package.state(self.now) == "FAILED"
        });
        let droplet_failed = droplet.is_some_and(|droplet| droplet.state(self.now) == "FAILED");
        if upload_failed || build == Some("FAILED") || droplet_failed {
            return "FAILED";
        }
        let is_current = droplet.map(Row::guid) == app.droplet && !newer;
        match build {
            None | Some("STAGED") if is_current => "STAGED",
            _ => "PENDING",
        }
    }

    /// Once a droplet is staged, makes it the current one of its app and runs it. Its
    /// instances crash if `crashing` is set.
    pub(crate) fn run_when_staged(&mut self, droplet: Guid, crashing: bool) {
        if let Some(droplet) = self.droplets.get(droplet) {
            let (ready_at, guid) = (droplet.ready_at, droplet.guid());
            self.plan(ready_at, Due::Run(guid, crashing));
        }
    }

    /// Makes a droplet that is being stored the current one of its app when it is done.
    pub(crate) fn use_when_ready(&mut self, droplet: Guid) {
        if let Some(droplet) = self.droplets.get(droplet) {
            let (ready_at, guid) = (droplet.ready_at, droplet.guid());
            self.plan(ready_at, Due::Use(guid));
        }
    }

    pub(super) fn use_stored(&mut self, droplet: Guid) {
        let stored = self.droplets.get(droplet);
        let stored = stored.filter(|droplet| droplet.is_staged(self.now));
        if let Some(app) = stored.map(|droplet| droplet.app) {
            self.update_row(app, |app: &mut App| app.droplet = Some(droplet));
        }
    }

    pub(super) fn run_staged(&mut self, droplet: Guid, crashing: bool) {
        let staged = self.droplets.get(droplet);
        let staged = staged.filter(|droplet| droplet.is_staged(self.now));
        let Some(app) = staged.map(|droplet| droplet.app) else {
            return;
        };
        self.use_droplet(app, droplet);
        if self.apps.get(app).is_some_and(|app| app.started) {
            self.begin_all(app, crashing);
        }
    }
}
