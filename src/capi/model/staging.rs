//! Files, packages, builds and droplets: the resources between an app's bits and its
//! running instances.

use std::fmt;

use serde::Deserialize;

use crate::capi::poll::Progress;

/// The state of a package, a build or a droplet.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum ResourceState {
    /// The package can be staged.
    Ready,
    /// The build is finished, or an app can run with the droplet.
    Staged,
    /// A build is in progress. In 2017, also the state of a droplet.
    #[serde(alias = "PENDING")]
    Staging,
    Failed,
    Expired,
    /// Any other state, such as that of an upload or a copy.
    #[serde(untagged)]
    Other(String),
}

impl fmt::Display for ResourceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ready => "READY",
            Self::Staged => "STAGED",
            Self::Staging => "STAGING",
            Self::Failed => "FAILED",
            Self::Expired => "EXPIRED",
            Self::Other(state) => state,
        })
    }
}

impl ResourceState {
    /// The progress of a resource towards the state `done`.
    fn progress<T>(self, done: &Self, error: Option<String>, resource: T) -> Progress<T> {
        match self {
            state if state == *done => Progress::Done(resource),
            state @ (Self::Failed | Self::Expired) => {
                Progress::Failed(error.unwrap_or_else(|| state.to_string()))
            }
            state => Progress::Pending(state.to_string()),
        }
    }
}

/// A package: the bits or image that an app is staged from.
#[derive(Debug, Clone)]
pub(crate) struct Package {
    pub(crate) guid: String,
    /// The GUID of its app.
    pub(crate) app: String,
    pub(crate) state: ResourceState,
    /// The SHA-256 of its bits, if we annotated it.
    pub(crate) bits: Option<String>,
    /// Its Docker image. `None` if it has bits.
    pub(crate) image: Option<PackageImage>,
    /// The reason for a failure.
    pub(crate) error: Option<String>,
}

impl Package {
    /// Whether it can be staged.
    pub(crate) fn is_ready(&self) -> bool {
        self.state == ResourceState::Ready
    }

    /// The progress until it can be staged.
    pub(crate) fn progress(self) -> Progress<Self> {
        let (state, error) = (self.state.clone(), self.error.clone());
        state.progress(&ResourceState::Ready, error, self)
    }
}

/// The Docker image of a package, with the user of its registry. The Cloud Controller does
/// not show the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PackageImage {
    pub(crate) name: String,
    pub(crate) username: Option<String>,
}

/// A Docker image, with the login of its registry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DockerImage<'a> {
    pub(crate) image: &'a str,
    /// User and password.
    pub(crate) login: Option<(&'a str, &'a str)>,
    /// The annotation of the package in place of the SHA-256 of bits.
    pub(crate) bits: Option<&'a str>,
}

/// The staging of a package into a droplet.
#[derive(Debug, Clone)]
pub(crate) struct Build {
    pub(crate) guid: String,
    pub(crate) state: ResourceState,
    /// The GUID of the droplet. In 2017, a build and its droplet were one resource.
    pub(crate) droplet: Option<String>,
    /// The start of the staging, in nanoseconds since 1970 by the foundation's clock.
    pub(crate) created_at: Option<i64>,
    /// The reason for a failure.
    pub(crate) error: Option<String>,
}

impl Build {
    /// The progress of the staging.
    pub(crate) fn progress(self) -> Progress<Self> {
        let (state, error) = (self.state.clone(), self.error.clone());
        state.progress(&ResourceState::Staged, error, self)
    }
}

/// A droplet: a staged app, ready to run.
#[derive(Debug, Clone)]
pub(crate) struct Droplet {
    pub(crate) guid: String,
    /// The GUID of its app.
    pub(crate) app: String,
    pub(crate) state: ResourceState,
    /// The same for a droplet and its copies. `None` of a Docker image.
    pub(crate) checksum: Option<String>,
    /// The Docker image that it stands for. Its copies have the same image.
    pub(crate) image: Option<String>,
    /// The time of creation, in the foundation's format. Empty in 2017.
    pub(crate) created_at: String,
    /// The SHA-256 of the bits that it was staged from, if we annotated it.
    pub(crate) bits: Option<String>,
    /// Whether the droplet itself has that annotation. In 2017, whether the app that runs
    /// with it has it.
    pub(crate) annotated: bool,
    /// The GUID of the package that it was staged from. `None` for a copy.
    pub(crate) package: Option<String>,
    /// The reason for a failure.
    pub(crate) error: Option<String>,
}

impl Droplet {
    /// The progress until an app can run with it.
    pub(crate) fn progress(self) -> Progress<Self> {
        let (state, error) = (self.state.clone(), self.error.clone());
        state.progress(&ResourceState::Staged, error, self)
    }
}

/// A file that the Cloud Controller may already have.
#[derive(Debug, Clone)]
pub(crate) struct Resource<'a> {
    pub(crate) path: &'a str,
    /// Unix permissions.
    pub(crate) mode: u32,
    /// The SHA-1 of its content, in hexadecimal.
    pub(crate) sha1: String,
    /// The size in bytes.
    pub(crate) size: u64,
}
