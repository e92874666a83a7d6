//! Droplets, which are staged from packages or copied from other droplets.

use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::world::clock::Timestamp;

use super::{
    Droplet, Due, Field, Guid, Lifecycle, Origin, Package, PackageKind, Row, Selection, World,
};

/// The start command that staging detects.
const DETECTED_COMMAND: &str = "./app";
/// The number of unused packages and of unused droplets of an app that do not expire.
const KEPT: usize = 5;

/// The lifecycle of a droplet to stage, and its error if staging fails.
#[derive(Debug)]
pub(crate) struct NewDroplet {
    pub(crate) lifecycle: Lifecycle,
    pub(crate) error: Option<String>,
}

impl World {
    /// Adds the droplet that results from staging a package.
    pub(crate) fn stage(&mut self, package: Guid, new: NewDroplet) -> Option<Guid> {
        let buildpacks: &[String] = match &new.lifecycle {
            Lifecycle::Buildpack { buildpacks, .. } => buildpacks,
            Lifecycle::Docker => &[],
        };
        let ready_at = self.ready_after(|timings| timings.staging);
        self.log_staging(package, buildpacks, new.error.as_deref(), ready_at);
        let base = self.base();
        let package = self.packages.get(package)?;
        let sha256 = match &package.kind {
            PackageKind::Docker { image, .. } => sha256(image.as_bytes()),
            PackageKind::Bits => {
                let upload = package.upload.as_ref();
                let staged = droplet_of(upload.map_or("", |upload| &upload.sha256));
                let checksum = sha256(&staged);
                self.blobs.keep(&checksum, &staged);
                checksum
            }
        };
        let droplet = Droplet {
            base,
            app: package.app,
            space: package.space,
            package: Some(package.base.guid),
            origin: Origin::Staging,
            ready_at,
            error: new.error,
            sha256,
            process_types: Arc::new(detected()),
            lifecycle: new.lifecycle,
            image: image_of(package),
            expired: false,
        };
        let app = droplet.app;
        let droplet = self.add(droplet);
        self.plan(ready_at, Due::ExpireDroplets(app));
        Some(droplet)
    }

    /// Expires old droplets of an app, except for the current one.
    pub(super) fn expire_droplets(&mut self, app: Guid) {
        let current = self.apps.get(app).and_then(|app| app.droplet);
        let now = self.now;
        let droplets = self.droplets.select(&Selection::by(Field::App, app));
        let can_expire = |droplet: &&&Droplet| {
            Some(droplet.guid()) != current && ["STAGED", "FAILED"].contains(&droplet.state(now))
        };
        let candidates = droplets.iter().filter(can_expire).rev().skip(KEPT);
        for guid in candidates.map(|droplet| droplet.guid()).collect::<Vec<_>>() {
            self.update_row(guid, |droplet: &mut Droplet| droplet.expired = true);
        }
    }

    /// Expires old packages of an app, except for that of the current droplet.
    pub(super) fn expire_packages(&mut self, app: Guid) {
        let current = self.apps.get(app).and_then(|app| app.droplet);
        let current = current.and_then(|droplet| self.droplets.get(droplet)?.package);
        let now = self.now;
        let packages = self.packages.select(&Selection::by(Field::App, app));
        let can_expire = |package: &&&Package| {
            Some(package.guid()) != current && ["READY", "FAILED"].contains(&package.state(now))
        };
        let candidates = packages.iter().filter(can_expire).rev().skip(KEPT);
        for guid in candidates.map(|package| package.guid()).collect::<Vec<_>>() {
            self.update_row(guid, |package: &mut Package| package.expired = true);
        }
    }

    /// Schedules the expiry of packages for when a package is ready.
    pub(crate) fn expire_packages_at(&mut self, at: Timestamp, app: Guid) {
        self.plan(at, Due::ExpirePackages(app));
    }

    /// Adds a copy of a droplet for another app, with the same bits and checksum.
    pub(crate) fn copy_droplet(
        &mut self,
        source: Guid,
        app: Guid,
        error: Option<String>,
    ) -> Option<Guid> {
        let base = self.base();
        let copied_at = self.ready_after(|timings| timings.copy);
        let (source, app) = (self.droplets.get(source)?, self.apps.get(app)?);
        // The droplet of an image has no bits to copy.
        let ready_at = match source.lifecycle {
            Lifecycle::Docker => self.now,
            Lifecycle::Buildpack { .. } => copied_at,
        };
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
            expired: false,
        };
        Some(self.add(copy))
    }

    /// Adds a droplet whose bits a client will upload.
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
            process_types: Arc::new(process_types),
            lifecycle: Lifecycle::Buildpack {
                buildpacks: Vec::new(),
                stack: String::new(),
                cnb: false,
            },
            image: None,
            expired: false,
        })
    }
}

/// The process types that staging detects.
fn detected() -> Map<String, Value> {
    Map::from_iter([("web".to_owned(), DETECTED_COMMAND.into())])
}

fn image_of(package: &Package) -> Option<String> {
    match &package.kind {
        PackageKind::Bits => None,
        PackageKind::Docker { image, .. } => Some(image.clone()),
    }
}

/// The bits of a droplet. They depend only on the package, so equal packages have equal
/// droplets.
fn droplet_of(package: &str) -> Vec<u8> {
    let info = json!({"detected_buildpack": "", "start_command": DETECTED_COMMAND}).to_string();
    let note =
        format!("mock-capi stages nothing: this is no app, but names its package.\n{package}\n");
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (path, content) in [
        ("./staging_info.yml", info.as_bytes()),
        ("./app/mock-capi.txt", note.as_bytes()),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(u64::try_from(content.len()).unwrap_or_default());
        // Writing to memory cannot fail, and the paths are short.
        let _ = archive.append_data(&mut header, path, content);
    }
    let archive = archive.into_inner().and_then(GzEncoder::finish);
    archive.unwrap_or_default()
}

/// The SHA-256 of these bytes, in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Formats bytes in hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;

    let mut hex = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a `String` cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}
