//! The settings with which a mock is started.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::world::durations;
use crate::world::{Guid, RouterGroup};

/// The version of the Cloud Controller API that the mock serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// Today's v3 API (3.228), and the part of v2 (2.293) that clients still use.
    #[default]
    V3,
    /// The API of April 2017: v2, and the v3 of that time.
    Documented2017,
}

/// The error for an unknown name of a [`Dialect`].
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

/// The delay of responses, and the durations of operations that a real Cloud Controller
/// carries out in the background.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Timings {
    pub(crate) latency: Duration,
    pub(crate) staging: Duration,
    pub(crate) copy: Duration,
    pub(crate) start: Duration,
    pub(crate) job: Duration,
    pub(crate) task: Duration,
    /// The time until a network policy takes effect.
    pub(crate) policy: Duration,
    /// The time until a security group takes effect.
    pub(crate) asg: Duration,
    /// The maximum deviation of each of these times except for the last two, as a
    /// fraction.
    pub(crate) jitter: f64,
}

/// A change of [`Timings`], as JSON.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TimingsPatch {
    #[serde(with = "durations", skip_serializing_if = "Option::is_none")]
    latency: Option<Duration>,
    #[serde(with = "durations", skip_serializing_if = "Option::is_none")]
    staging: Option<Duration>,
    #[serde(with = "durations", skip_serializing_if = "Option::is_none")]
    copy: Option<Duration>,
    #[serde(with = "durations", skip_serializing_if = "Option::is_none")]
    start: Option<Duration>,
    #[serde(with = "durations", skip_serializing_if = "Option::is_none")]
    job: Option<Duration>,
    #[serde(with = "durations", skip_serializing_if = "Option::is_none")]
    task: Option<Duration>,
    #[serde(with = "durations", skip_serializing_if = "Option::is_none")]
    policy: Option<Duration>,
    #[serde(with = "durations", skip_serializing_if = "Option::is_none")]
    asg: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jitter: Option<f64>,
}

impl Timings {
    /// The time after which every instance has started.
    pub(crate) fn longest_start(&self) -> Duration {
        let seconds = self.start.as_secs_f64() * (1.0 + self.jitter);
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }

    pub(crate) fn present(&self) -> Value {
        let time = |time: Duration| humantime::format_duration(time).to_string();
        json!({
            "latency": time(self.latency),
            "staging": time(self.staging),
            "copy": time(self.copy),
            "start": time(self.start),
            "job": time(self.job),
            "task": time(self.task),
            "policy": time(self.policy),
            "asg": time(self.asg),
            "jitter": self.jitter,
        })
    }

    /// Applies a change.
    pub(crate) fn change(&mut self, patch: &TimingsPatch) -> Result<(), String> {
        if let Some(jitter) = patch.jitter {
            check_jitter(jitter)?;
            self.jitter = jitter;
        }
        for (time, change) in [
            (&mut self.latency, patch.latency),
            (&mut self.staging, patch.staging),
            (&mut self.copy, patch.copy),
            (&mut self.start, patch.start),
            (&mut self.job, patch.job),
            (&mut self.task, patch.task),
            (&mut self.policy, patch.policy),
            (&mut self.asg, patch.asg),
        ] {
            *time = change.unwrap_or(*time);
        }
        Ok(())
    }
}

/// Checks that a jitter is a fraction.
pub(crate) fn check_jitter(jitter: f64) -> Result<f64, String> {
    if (0.0..=1.0).contains(&jitter) {
        Ok(jitter)
    } else {
        Err(format!("jitter must be from 0 to 1, not {jitter}"))
    }
}

/// The number of requests that a user may send in a period.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RateLimit {
    pub(crate) requests: u64,
    pub(crate) window: Duration,
}

/// A user who can log in from the start.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) secret: String,
    pub(crate) guid: Guid,
    pub(crate) admin: bool,
}

/// A client of UAA: its name and its secret.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) id: String,
    pub(crate) secret: String,
}

/// The settings of a mock, which do not change while it runs.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) dialect: Dialect,
    pub(crate) users: Vec<Account>,
    /// A client with the permissions of an administrator, which logs in with its own
    /// credentials.
    pub(crate) client: Option<Client>,
    pub(crate) apps_domain: String,
    pub(crate) token_lifetime: Duration,
    pub(crate) record_requests: bool,
    pub(crate) deployments_disabled: bool,
    pub(crate) rate_limit: Option<RateLimit>,
    /// The number of events of each kind that are kept.
    pub(crate) keep_events: usize,
    /// The number of requests that `/_mock/requests` keeps.
    pub(crate) keep_requests: usize,
    /// The rate limit of administrators, if it differs.
    pub(crate) admin_rate_limit: Option<u64>,
    /// Whether the v2 API is served.
    pub(crate) v2: bool,
    /// Additional host names for which `/_mock/` is served.
    pub(crate) allowed_hosts: Vec<String>,
    /// The maximum number of bindings between an app and a service instance.
    pub(crate) bindings_per_app: usize,
    /// The timeout of requests to service brokers.
    pub(crate) broker_timeout: Duration,
    /// The minimum interval between polls of a broker.
    pub(crate) broker_poll_interval: Duration,
    /// Whether security groups may have IPv6 rules.
    pub(crate) ipv6: bool,
    /// Whether the deletion of an instance waits for its bindings.
    pub(crate) recursive_delete: bool,
    /// The router groups for TCP routes. Without one, the routing API is disabled.
    pub(crate) router_groups: Vec<RouterGroup>,
}

impl Settings {
    /// The default stack of apps.
    pub(crate) fn default_stack(dialect: Dialect) -> &'static str {
        match dialect {
            Dialect::V3 => "cflinuxfs4",
            Dialect::Documented2017 => "cflinuxfs2",
        }
    }
}
