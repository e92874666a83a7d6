//! Service instances.

use std::fmt;

use serde_json::{Map, Value, json};

/// A service instance of a space. Apps are bound to it by `services` in their entries.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ServiceInstance {
    /// The service instance's name.
    pub name: String,
    /// The kind of service instance.
    pub kind: ServiceKind,
    /// Tags, which apps see in `VCAP_SERVICES`.
    pub tags: Vec<String>,
}

/// The kind of a service instance.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub enum ServiceKind {
    /// Credentials that the user provides.
    UserProvided {
        /// The credentials that bound apps get in `VCAP_SERVICES`. `None` keeps the
        /// current ones.
        credentials: Option<Map<String, Value>>,
        /// The URL that the logs of bound apps are sent to, if any.
        syslog_drain_url: Option<String>,
        /// The URL of the proxy of bound routes, if any.
        route_service_url: Option<String>,
    },
    /// An instance of a service plan of a broker.
    Managed {
        /// The name of the service offering.
        offering: String,
        /// The name of the service plan.
        plan: String,
        /// The name of the broker, if several brokers have an offering with this name.
        broker: Option<String>,
        /// The parameters that the broker gets when the instance is created.
        parameters: Option<Map<String, Value>>,
    },
}

impl ServiceInstance {
    /// A user-provided service instance.
    pub fn user_provided(name: impl Into<String>, credentials: Map<String, Value>) -> Self {
        Self::new(
            name,
            ServiceKind::UserProvided {
                credentials: Some(credentials),
                syslog_drain_url: None,
                route_service_url: None,
            },
        )
    }

    /// A service instance of a broker.
    pub fn managed(
        name: impl Into<String>,
        offering: impl Into<String>,
        plan: impl Into<String>,
    ) -> Self {
        Self::new(
            name,
            ServiceKind::Managed {
                offering: offering.into(),
                plan: plan.into(),
                broker: None,
                parameters: None,
            },
        )
    }

    /// A service instance without tags.
    pub fn new(name: impl Into<String>, kind: ServiceKind) -> Self {
        Self {
            name: name.into(),
            kind,
            tags: Vec::new(),
        }
    }

    /// The values that may be secret.
    pub(crate) fn secrets(&self) -> Value {
        match &self.kind {
            ServiceKind::UserProvided {
                credentials,
                syslog_drain_url,
                route_service_url,
            } => json!([credentials, syslog_drain_url, route_service_url]),
            ServiceKind::Managed {
                broker, parameters, ..
            } => json!([broker, parameters]),
        }
    }

    /// Sets the tags.
    #[must_use]
    pub fn tags<T: Into<String>>(mut self, tags: impl IntoIterator<Item = T>) -> Self {
        self.tags.extend(tags.into_iter().map(Into::into));
        self
    }
}

/// Hides credentials and parameters, which may be secret.
impl fmt::Debug for ServiceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UserProvided { .. } => f.debug_struct("UserProvided").finish_non_exhaustive(),
            Self::Managed { offering, plan, .. } => f
                .debug_struct("Managed")
                .field("offering", offering)
                .field("plan", plan)
                .finish_non_exhaustive(),
        }
    }
}
