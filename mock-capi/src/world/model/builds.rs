//! Packages, builds and droplets.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Lifecycle;
use crate::world::clock::Timestamp;
use crate::world::{Access, AccessScope, Base, Field, Guid, Key, PackageFile, Row, World};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Package {
    pub(crate) base: Base,
    pub(crate) app: Guid,
    pub(crate) space: Guid,
    pub(crate) kind: PackageKind,
    pub(crate) upload: Option<Upload>,
    /// Whether the bits were deleted, because the app has newer ones.
    #[serde(default)]
    pub(crate) expired: bool,
}

impl Package {
    /// Whether the package can be staged.
    pub(crate) fn is_ready(&self, now: Timestamp) -> bool {
        self.state(now) == "READY"
    }

    pub(crate) fn kind(&self) -> &'static str {
        match self.kind {
            PackageKind::Bits => "bits",
            PackageKind::Docker { .. } => "docker",
        }
    }

    pub(crate) fn state(&self, now: Timestamp) -> &'static str {
        if self.expired {
            return "EXPIRED";
        }
        match (&self.kind, &self.upload) {
            (PackageKind::Docker { .. }, _) => "READY",
            (PackageKind::Bits, None) => "AWAITING_UPLOAD",
            (PackageKind::Bits, Some(upload)) if now < upload.ready_at => {
                if upload.copied {
                    "COPYING"
                } else {
                    "PROCESSING_UPLOAD"
                }
            }
            (PackageKind::Bits, Some(upload)) if upload.error.is_some() => "FAILED",
            (PackageKind::Bits, Some(_)) => "READY",
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum PackageKind {
    Bits,
    Docker {
        image: String,
        username: Option<String>,
    },
}

/// Uploaded bits.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Upload {
    pub(crate) sha256: String,
    pub(crate) files: Arc<[PackageFile]>,
    /// Whether the bits were copied from another package.
    pub(crate) copied: bool,
    pub(crate) error: Option<String>,
    pub(crate) ready_at: Timestamp,
}

impl Upload {
    /// A copy of bits that the blobstore does not have.
    pub(crate) fn missing(package: Guid) -> Self {
        Self {
            sha256: String::new(),
            files: Arc::new([]),
            copied: true,
            error: Some(format!(
                "failed to copy - Could not find object '{package}'"
            )),
            ready_at: Timestamp::default(),
        }
    }
}

impl Row for Package {
    fn keys(&self) -> Vec<Key> {
        vec![
            Key::Guid(Field::App, self.app),
            Key::Guid(Field::Space, self.space),
        ]
    }

    fn access_scope(&self, _world: &World) -> AccessScope {
        AccessScope::Space(self.space)
    }

    fn listed_by(world: &World, access: &Access) -> Option<Vec<Key>> {
        Some(access.keys_of_spaces(world))
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Build {
    pub(crate) base: Base,
    pub(crate) app: Guid,
    pub(crate) space: Guid,
    pub(crate) package: Guid,
    pub(crate) droplet: Guid,
    pub(crate) ready_at: Timestamp,
    pub(crate) error: Option<String>,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) memory_mb: u32,
    pub(crate) disk_mb: u32,
    pub(crate) log_rate: i64,
    /// The GUID and the name of the user.
    pub(crate) created_by: (String, Option<String>),
}

impl Build {
    pub(crate) fn state(&self, now: Timestamp) -> &'static str {
        match &self.error {
            _ if now < self.ready_at => "STAGING",
            Some(_) => "FAILED",
            None => "STAGED",
        }
    }
}

impl Row for Build {
    fn keys(&self) -> Vec<Key> {
        vec![
            Key::Guid(Field::App, self.app),
            Key::Guid(Field::Space, self.space),
            Key::Guid(Field::Package, self.package),
        ]
    }

    fn access_scope(&self, _world: &World) -> AccessScope {
        AccessScope::Space(self.space)
    }

    fn listed_by(world: &World, access: &Access) -> Option<Vec<Key>> {
        Some(access.keys_of_spaces(world))
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Droplet {
    pub(crate) base: Base,
    pub(crate) app: Guid,
    pub(crate) space: Guid,
    pub(crate) package: Option<Guid>,
    pub(crate) origin: Origin,
    pub(crate) ready_at: Timestamp,
    pub(crate) error: Option<String>,
    pub(crate) sha256: String,
    /// The start commands by type of process. Copies of a droplet share them.
    pub(crate) process_types: Arc<Map<String, Value>>,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) image: Option<String>,
    /// Whether the bits were deleted, because the app has newer ones.
    #[serde(default)]
    pub(crate) expired: bool,
}

impl Droplet {
    pub(crate) fn state(&self, now: Timestamp) -> &'static str {
        if self.expired {
            return "EXPIRED";
        }
        match (self.origin, &self.error) {
            (Origin::Staging, _) if now < self.ready_at => "STAGING",
            (Origin::Copying, _) if now < self.ready_at => "COPYING",
            (Origin::Awaited, _) => "AWAITING_UPLOAD",
            (Origin::Uploading, _) if now < self.ready_at => "PROCESSING_UPLOAD",
            (_, Some(_)) => "FAILED",
            (_, None) => "STAGED",
        }
    }

    pub(crate) fn is_staged(&self, now: Timestamp) -> bool {
        self.state(now) == "STAGED"
    }

    /// Whether the droplet is visible to clients. Droplets that are being staged are not.
    pub(crate) fn is_shown(&self, now: Timestamp) -> bool {
        self.hidden_until().is_none_or(|until| until <= now)
    }
}

/// How a droplet is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Origin {
    Staging,
    Copying,
    /// A client will upload it.
    Awaited,
    Uploading,
}

impl Row for Droplet {
    fn keys(&self) -> Vec<Key> {
        let mut keys = vec![
            Key::Guid(Field::App, self.app),
            Key::Guid(Field::Space, self.space),
        ];
        keys.extend(self.package.map(|guid| Key::Guid(Field::Package, guid)));
        keys
    }

    /// A droplet whose staging fails is never shown.
    fn hidden_until(&self) -> Option<Timestamp> {
        let is_from_build = self.origin == Origin::Staging && !self.expired;
        is_from_build.then_some(match &self.error {
            None => self.ready_at,
            Some(_) => Timestamp::NEVER,
        })
    }

    fn access_scope(&self, _world: &World) -> AccessScope {
        AccessScope::Space(self.space)
    }

    fn listed_by(world: &World, access: &Access) -> Option<Vec<Key>> {
        Some(access.keys_of_spaces(world))
    }
}
