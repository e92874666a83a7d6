//! Exports an org: writes a spec of its resources, or a seed file of mock-capi.
//!
//! All resources are read in lists. Only the manifest of each app, the credentials of
//! each service instance, the features of each space, and the spaces of each isolation
//! segment need separate requests.

mod build;
mod download;
mod left_out;
mod observed;
mod secrets;
mod text;

use std::path::PathBuf;

use futures::future::BoxFuture;

use crate::capi::client::Client;
use crate::capi::dialect::Dialect;
use crate::capi::error::Error;
use crate::manifest::YamlError;
use crate::manifest::entry::EntryError;
use download::Files;
pub use secrets::SecretVariable;

/// The reason why an org cannot be exported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The foundation cannot be used, or its API does not show all resources.
    #[error(transparent)]
    Api(#[from] Error),
    /// The user may not read the manifest of an app.
    #[error("reading the manifest of the app {app} failed: {source}")]
    Forbidden {
        /// The app's name.
        app: String,
        /// The Cloud Controller's refusal.
        source: Box<Error>,
    },
    /// The Cloud Controller's manifest of an app is not YAML.
    #[error("reading the manifest of the app {app} failed: {source}")]
    Yaml {
        /// The app's name.
        app: String,
        /// The cause.
        source: YamlError,
    },
    /// The Cloud Controller's manifest of an app has a property that a spec cannot have.
    #[error("the app {app} cannot be written: {source}")]
    Entry {
        /// The app's name.
        app: String,
        /// The cause.
        source: EntryError,
    },
    /// The droplet of an app cannot be downloaded.
    #[error("downloading the droplet of the app {app} failed: {}", .source.cause())]
    Droplet {
        /// The app's name.
        app: String,
        /// The cause.
        source: Box<Error>,
    },
    /// The checksum of a download differs from the droplet's checksum.
    #[error("the droplet of the app {app} arrived with the checksum {actual}, not {expected}")]
    Checksum {
        /// The app's name.
        app: String,
        /// The checksum of the downloaded file.
        actual: String,
        /// The checksum that the Cloud Controller shows.
        expected: String,
    },
    /// A file cannot be written or read.
    #[error("writing {} failed: {source}", .file.display())]
    File {
        /// The file or folder.
        file: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The API of 2017 does not show all resources.
    #[error("exporting needs the v3 API: the API of 2017 does not show all resources")]
    NeedsV3,
}

/// An export of an org, or of a space in it.
///
/// ```
/// # #[cfg(feature = "mock")]
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use cf_pusher::export::Exporter;
/// # let mock = mock_capi::MockCapi::start().await?;
/// # mock.org("o").space("s").app("web").instances(2).started();
/// # let options = cf_pusher::ConnectOptions::new(mock.uri(), cf_pusher::Credentials::Password {
/// #     username: "admin".to_owned(),
/// #     password: "admin".into(),
/// # });
/// # let client = cf_pusher::Client::connect(&options, cf_pusher::Events::default()).await?;
///
/// let export = Exporter::new(client, "o").run().await?;
/// assert!(export.text.contains("- name: web"));
/// # Ok(())
/// # }
/// # #[cfg(not(feature = "mock"))]
/// # fn main() {}
/// ```
#[derive(Debug, Clone)]
pub struct Exporter {
    client: Client,
    org: String,
    space: Option<String>,
    bits: Option<PathBuf>,
    /// The path of the droplets' folder in the spec.
    bits_in_spec: Option<PathBuf>,
    values: bool,
    seed: bool,
}

/// The result of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Export {
    /// The spec or seed in YAML. The same foundation always gives the same text.
    pub text: String,
    /// The variables in the text, by name.
    pub variables: Vec<SecretVariable>,
    /// The files of the droplets.
    pub droplets: Vec<PathBuf>,
    /// The resources that exist but are not in the text.
    pub warnings: Vec<String>,
}

impl Exporter {
    /// An export of an org with all its spaces.
    pub fn new(client: Client, org: impl Into<String>) -> Self {
        Self {
            client,
            org: org.into(),
            space: None,
            bits: None,
            bits_in_spec: None,
            values: true,
            seed: false,
        }
    }

    /// Exports only this space.
    #[must_use]
    pub fn space(mut self, name: impl Into<String>) -> Self {
        self.space = Some(name.into());
        self
    }

    /// Downloads the apps' droplets to a folder, which is created if needed. The text
    /// refers to them by paths below `in_spec`. Relative paths are relative to the spec.
    #[must_use]
    pub fn bits(mut self, folder: impl Into<PathBuf>, in_spec: impl Into<PathBuf>) -> Self {
        self.bits = Some(folder.into());
        self.bits_in_spec = Some(in_spec.into());
        self
    }

    /// Replaces all values of environment variables with variables, not only values that
    /// look secret.
    #[must_use]
    pub fn no_values(mut self) -> Self {
        self.values = false;
        self
    }

    /// Writes a seed file of mock-capi. A seed has no variables. Made-up values replace
    /// values that look secret.
    #[must_use]
    pub fn as_seed(mut self) -> Self {
        self.seed = true;
        self
    }

    /// Reads the resources, downloads the droplets if requested, and returns the text.
    ///
    /// # Errors
    ///
    /// [`ExportError`].
    pub fn run(&self) -> BoxFuture<'_, Result<Export, ExportError>> {
        Box::pin(async move {
            if self.client.dialect() == Dialect::Documented2017 {
                return Err(ExportError::NeedsV3);
            }
            let observed = self.observe().await?;
            let files = match &self.bits {
                Some(folder) => self.download(folder, &observed).await?,
                None => Files::default(),
            };
            self.write(&observed, &files)
        })
    }
}
