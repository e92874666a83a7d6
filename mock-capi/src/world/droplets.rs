//! Droplets: staged from packages, or copied from other droplets.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{Droplet, Guid, Lifecycle, Origin, Package, PackageKind, World};

/// The start command that staging detects.
const DETECTED_COMMAND: &str = "./app";

/// A droplet to be: where it comes from and whether that fails.
#[derive(Debug)]
pub(crate) struct NewDroplet {
    pub(crate) lifecycle: Lifecycle,
    pub(crate) error: Option<String>,
}

impl World {
    /// Adds the droplet that staging a package yields.
    pub(crate) fn stage(&mut self, package: Guid, new: NewDroplet) -> Option<Guid> {
        let buildpacks: &[String] = match &new.lifecycle {
            Lifecycle::Buildpack { buildpacks, .. } => buildpacks,
            Lifecycle::Docker => &[],
        };
        let ready_at = self.ready_after(|timings| timings.staging);
        self.log_staging(package, buildpacks, new.error.as_deref(), ready_at);
        let base = self.base();
        let package = self.packages.get(package)?;
        let droplet = Droplet {
            base,
            app: package.app,
            space: package.space,
            package: Some(package.base.guid),
            origin: Origin::Staging,
            ready_at,
            error: new.error,
            sha256: droplet_checksum(package),
            process_types: detected(),
            lifecycle: new.lifecycle,
            image: image_of(package),
        };
        Some(self.add(droplet))
    }

    /// Adds a copy of a droplet for another app; bits and checksum are the
    /// same.
    pub(crate) fn copy_droplet(
        &mut self,
        source: Guid,
        app: Guid,
        error: Option<String>,
    ) -> Option<Guid> {
        let base = self.base();
        let ready_at = self.ready_after(|timings| timings.copy);
        let (source, app) = (self.droplets.get(source)?, self.apps.get(app)?);
        let copy = Droplet {
            base,
            app: app.base.guid,
            space: app.space,
            package: None,
            origin: Origin::Copying,
            ready_at,
            error,
            sha256: source.sha256.clone(),
            process_types: source.process_types.clone(),
            lifecycle: source.lifecycle.clone(),
            image: source.image.clone(),
        };
        Some(self.add(copy))
    }

    /// Adds a droplet that a client is to upload.
    pub(crate) fn await_droplet(
        &mut self,
        app: Guid,
        space: Guid,
        process_types: Map<String, Value>,
    ) -> Guid {
        let base = self.base();
        self.add(Droplet {
            base,
            app,
            space,
            package: None,
            origin: Origin::Awaited,
            ready_at: self.now,
            error: None,
            sha256: String::new(),
            process_types,
            lifecycle: Lifecycle::Buildpack {
                buildpacks: Vec::new(),
                stack: String::new(),
            },
            image: None,
        })
    }
}

/// What staging detects.
fn detected() -> Map<String, Value> {
    Map::from_iter([("web".to_owned(), DETECTED_COMMAND.into())])
}

fn image_of(package: &Package) -> Option<String> {
    match &package.kind {
        PackageKind::Bits => None,
        PackageKind::Docker { image, .. } => Some(image.clone()),
    }
}

/// The same bits always make the same droplet.
fn droplet_checksum(package: &Package) -> String {
    let source = match (&package.kind, &package.upload) {
        (PackageKind::Docker { image, .. }, _) => image.as_str(),
        (PackageKind::Bits, Some(upload)) => &upload.sha256,
        (PackageKind::Bits, None) => "",
    };
    sha256(format!("droplet of {source}").as_bytes())
}

/// The SHA-256 of some bytes, in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write;

    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        // Writing to a `String` cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}
