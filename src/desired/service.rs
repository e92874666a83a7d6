//! Service instances and their bindings.

use std::fmt;

use serde_json::{Map, Value, json};

use super::{Group, matches};

/// A service instance of a space. Apps are bound to it by `services` of their entries or by
/// a [`ServiceBinding`].
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
        /// current credentials.
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

/// Binds apps of a space to a service instance of the same space.
#[derive(Clone, PartialEq)]
#[non_exhaustive]
pub struct ServiceBinding {
    /// The apps: the name of a group, the name of an app, or a pattern with `*` for any
    /// characters and `?` for one character.
    pub app: String,
    /// The service instance's name.
    pub service: String,
    /// The binding's name, if it has one.
    pub name: Option<String>,
    /// The parameters that the broker gets when the binding is created.
    pub parameters: Option<Map<String, Value>>,
}

impl ServiceBinding {
    /// A binding without a name and parameters.
    pub fn new(app: impl Into<String>, service: impl Into<String>) -> Self {
        Self {
            app: app.into(),
            service: service.into(),
            name: None,
            parameters: None,
        }
    }

    /// Sets the binding's name.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets parameters for the broker.
    #[must_use]
    pub fn parameters(mut self, parameters: Map<String, Value>) -> Self {
        self.parameters = Some(parameters);
        self
    }

    /// Whether it binds an app of a group.
    pub(crate) fn is_of(&self, group: &Group, app: &str) -> bool {
        self.app == group.name || matches(&self.app, app)
    }

    /// Converts the binding to an item of `services` in a manifest.
    pub(crate) fn to_value(&self) -> Value {
        let mut value = json!({"name": self.service});
        if let Some(name) = &self.name {
            value["binding_name"] = json!(name);
        }
        if let Some(parameters) = &self.parameters {
            value["parameters"] = json!(parameters);
        }
        value
    }
}

/// Parameters may be secret.
impl fmt::Debug for ServiceBinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceBinding")
            .field("app", &self.app)
            .field("service", &self.service)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
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
