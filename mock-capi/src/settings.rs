//! What a mock is started with.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::world::Guid;

/// The Cloud Controller API that the mock speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// Today's v3 API (3.228): `GET /` advertises v3 alone.
    #[default]
    V3,
    /// The API of April 2017: v2, and the v3 of that time.
    Documented2017,
}

/// A text that names no [`Dialect`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown dialect '{0}': use 'v3' or '2017'")]
pub struct UnknownDialect(String);

impl FromStr for Dialect {
    type Err = UnknownDialect;

    /// Reads `v3` or `2017`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "v3" => Ok(Self::V3),
            "2017" => Ok(Self::Documented2017),
            other => Err(UnknownDialect(other.into())),
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V3 => "v3",
            Self::Documented2017 => "2017",
        })
    }
}

/// How long things take that a real Cloud Controller does in the background.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Timings {
    pub(crate) staging: Duration,
    pub(crate) copy: Duration,
    pub(crate) start: Duration,
    pub(crate) job: Duration,
    pub(crate) task: Duration,
}

/// Someone who can log in.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) secret: String,
    pub(crate) guid: Guid,
}

/// Everything about a mock that does not change while it runs.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) dialect: Dialect,
    pub(crate) user: Account,
    pub(crate) client: Option<Account>,
    pub(crate) apps_domain: String,
    pub(crate) latency: Duration,
    pub(crate) token_lifetime: Duration,
    pub(crate) record_requests: bool,
    pub(crate) deployments_disabled: bool,
    /// What access tokens are signed with.
    pub(crate) signing_key: Guid,
}

impl Settings {
    /// The stack that apps have unless told otherwise.
    pub(crate) fn default_stack(dialect: Dialect) -> &'static str {
        match dialect {
            Dialect::V3 => "cflinuxfs4",
            Dialect::Documented2017 => "cflinuxfs2",
        }
    }
}

impl Account {
    pub(crate) fn matches(&self, name: &str, secret: &str) -> bool {
        self.name == name && self.secret == secret
    }
}
