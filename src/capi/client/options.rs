//! The options of a connection.

use std::path::PathBuf;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::capi::dialect::Dialect;
use crate::capi::transport::Credentials;

/// The address of the foundation, the credentials, and options for requests.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    pub(super) api: String,
    pub(super) credentials: Credentials,
    pub(in crate::capi) skip_ssl_validation: bool,
    pub(in crate::capi) ca_cert: Option<PathBuf>,
    pub(super) dialect: Option<Dialect>,
    pub(in crate::capi) concurrency: usize,
    pub(in crate::capi) timeout: Duration,
    pub(in crate::capi) interrupt: CancellationToken,
}

impl ConnectOptions {
    /// The Cloud Controller at a URL, `https://` if it has no scheme. At most 16 requests
    /// are in flight, and waits time out after 15 minutes.
    pub fn new(api: impl Into<String>, credentials: Credentials) -> Self {
        Self {
            api: api.into(),
            credentials,
            skip_ssl_validation: false,
            ca_cert: None,
            dialect: None,
            concurrency: 16,
            timeout: Duration::from_secs(15 * 60),
            interrupt: CancellationToken::new(),
        }
    }

    /// Accepts any TLS certificate.
    #[must_use]
    pub fn skip_ssl_validation(mut self, skip: bool) -> Self {
        self.skip_ssl_validation = skip;
        self
    }

    /// Also trusts the certificates in this file, in PEM format. Certificates of the
    /// system, or those of `SSL_CERT_FILE`, are always trusted.
    #[must_use]
    pub fn ca_cert(mut self, file: Option<PathBuf>) -> Self {
        self.ca_cert = file;
        self
    }

    /// Sets the dialect. By default, it follows from the version of the API.
    #[must_use]
    pub fn dialect(mut self, dialect: Option<Dialect>) -> Self {
        self.dialect = dialect;
        self
    }

    /// Sets the maximum number of requests in flight, at least 1.
    #[must_use]
    pub fn concurrency(mut self, concurrency: usize) -> Self {
        self.concurrency = concurrency;
        self
    }

    /// Sets the timeout of a wait for a job, a staging, a copy, or for instances to run.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Interrupts the run when it is cancelled: running requests finish, no new ones are
    /// sent, and pending calls fail with [`Error::Interrupted`](crate::Error::Interrupted).
    #[must_use]
    pub fn interrupt(mut self, interrupt: CancellationToken) -> Self {
        self.interrupt = interrupt;
        self
    }
}
