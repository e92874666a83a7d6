//! Packages and their bits.

use super::{App, Bits, Guid, Package, PackageKind, Registered, Resource, Upload, World};
use crate::world::clock::Timestamp;
use crate::world::error::Error;
use crate::world::metadata::MetadataPatch;

impl World {
    /// Adds a package to an app.
    pub(crate) fn add_package(
        &mut self,
        app: Guid,
        kind: PackageKind,
        metadata: MetadataPatch,
    ) -> Result<Guid, Error> {
        let owner = self.apps.get(app);
        let owner = owner.ok_or(Error::not_found(App::KIND))?;
        let space = owner.space;
        let base = self.base_with(metadata);
        let guid = self.add(Package {
            base,
            app,
            space,
            kind,
            upload: None,
            expired: false,
        });
        self.log_api(app, format!("Adding app package for app with guid {app}"));
        Ok(guid)
    }

    /// Stores the bits of a package, and the time at which they are processed or fail.
    pub(crate) fn receive_bits(
        &mut self,
        guid: Guid,
        bits: Option<&Bits>,
        resources: &[Resource],
        (ready_at, failure): (Timestamp, Option<String>),
    ) {
        let app = self.packages.get(guid).map(|package| package.app);
        let contents = self.unpack(bits, resources);
        self.update_row(guid, |package: &mut Package| {
            package.upload = Some(Upload {
                sha256: contents.sha256,
                files: contents.files,
                copied: false,
                error: failure.or(contents.error),
                ready_at,
            });
        });
        if let Some(app) = app {
            self.expire_packages_at(ready_at, app);
        }
    }
}
