//! A running mock: the fake, and the adapter that serves it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::PathBuf;
use std::thread;

use crate::serve::adapter::Adapter;
use crate::serve::builder::MockCapiBuilder;
use crate::serve::controller::CloudController;
use crate::serve::faults::InvalidFaults;
use crate::serve::front::Front;
use crate::serve::on_wiremock::Wiremock;
use crate::serve::state::StateError;

/// A running fake Cloud Controller. It stops when it is dropped.
///
/// It is served by wiremock, so that a test can mount its own mocks in front of the fake
/// (see [`MockCapi::server`]), or, as `MockCapi<Front>`, by a server with more control
/// over connections (see [`MockCapiBuilder::front`]). [`CloudController`], to which it
/// derefs, has everything that does not depend on the adapter.
///
/// Every instance has its own world and its own port, so tests can run in parallel.
///
/// # Panics
///
/// Dropping it panics if an expectation of [`Fault::expect`](crate::Fault::expect) or of
/// a mounted mock was not met.
pub struct MockCapi<A: Adapter = Wiremock> {
    pub(crate) adapter: A,
    controller: CloudController,
}

/// The reason why a mock could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The address is in use, or does not belong to this machine.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The operating system's error.
        source: io::Error,
    },
    /// The state file cannot be loaded or saved.
    #[error(transparent)]
    State(#[from] StateError),
    /// A fault could never apply.
    #[error("invalid faults: {0}")]
    Faults(#[from] InvalidFaults),
    /// The seed file cannot be read, or is invalid.
    #[error("invalid seed file {}: {reason}", path.display())]
    SeedFile {
        /// The file.
        path: PathBuf,
        /// The problem and its place in the file.
        reason: String,
    },
    /// The text of [`MockCapiBuilder::seed_yaml`] is invalid.
    #[error("invalid seed: {0}")]
    Seed(String),
    /// The certificate cannot be created, for example because of an invalid host name.
    #[error("cannot create a certificate: {0}")]
    Tls(#[source] io::Error),
    /// A service broker inside the mock cannot listen.
    #[error("cannot start a service broker: {0}")]
    Broker(#[source] io::Error),
    /// A time or the jitter is invalid.
    #[error("invalid times: {0}")]
    Times(String),
}

impl MockCapi {
    /// Starts a mock on a free port of 127.0.0.1, with a shared domain and the user
    /// `admin`, whose password is `admin`.
    ///
    /// # Errors
    ///
    /// [`StartError::Listen`] if the system has no free port.
    pub async fn start() -> Result<Self, StartError> {
        Self::builder().start().await
    }

    /// The settings of a mock that has not been started.
    pub fn builder() -> MockCapiBuilder {
        MockCapiBuilder::new()
    }
}

impl<A: Adapter> MockCapi<A> {
    pub(crate) fn new(adapter: A, controller: CloudController) -> Self {
        Self {
            adapter,
            controller,
        }
    }

    /// The address that the mock listens on.
    pub fn address(&self) -> SocketAddr {
        self.adapter.address()
    }
}

impl MockCapi<Front> {
    /// The certificate that clients must trust, in PEM format. `None` unless
    /// [`MockCapiBuilder::tls`] was called.
    pub fn certificate(&self) -> Option<&str> {
        self.adapter.certificate()
    }
}

impl<A: Adapter> Deref for MockCapi<A> {
    type Target = CloudController;

    fn deref(&self) -> &CloudController {
        &self.controller
    }
}

impl<A: Adapter> fmt::Debug for MockCapi<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockCapi")
            .field("uri", &self.uri())
            .finish_non_exhaustive()
    }
}

impl<A: Adapter> Drop for MockCapi<A> {
    #[expect(clippy::panic, reason = "a test fails whose expectations are not met")]
    fn drop(&mut self) {
        self.controller.core().release_state_file();
        let unmet = self.unmet_expectations();
        if !unmet.is_empty() && !thread::panicking() {
            panic!("faults of mock-capi: {}", unmet.join("; "));
        }
    }
}
