//! Service instances and their plans.

use serde_json::{Map, Value};

use super::{Metadata, Ownership};

/// A service instance.
#[derive(Debug, Clone, Default)]
pub(crate) struct ServiceInstance {
    /// Empty in 2017.
    pub(crate) guid: String,
    pub(crate) name: String,
    /// The GUID of its org. Empty in lists by space.
    pub(crate) org: String,
    /// The GUID of its space. Empty in 2017.
    pub(crate) space: String,
    /// Unknown in 2017.
    pub(crate) ownership: Ownership,
    pub(crate) tags: Vec<String>,
    pub(crate) syslog_drain_url: Option<String>,
    pub(crate) route_service_url: Option<String>,
    /// The GUID of its service plan. `None` if it is user-provided.
    pub(crate) plan: Option<String>,
    /// The last operation of its broker and the result, such as `create failed`. Empty
    /// for a user-provided instance.
    pub(crate) last_operation: String,
}

/// The properties of a service instance to create.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NewServiceInstance<'a> {
    pub(crate) name: &'a str,
    /// The GUID of its space.
    pub(crate) space: &'a str,
    pub(crate) settings: ServiceSettings<'a>,
    pub(crate) metadata: &'a Metadata,
}

/// The settings of a service instance. `None` keeps the current value.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ServiceSettings<'a> {
    pub(crate) tags: Option<&'a [String]>,
    /// The GUID of the service plan of a managed service instance.
    pub(crate) plan: Option<&'a str>,
    pub(crate) parameters: Option<&'a Map<String, Value>>,
    pub(crate) credentials: Option<&'a Map<String, Value>>,
    /// `Some(None)` removes the URL.
    pub(crate) syslog_drain_url: Option<Option<&'a str>>,
    /// `Some(None)` removes the URL.
    pub(crate) route_service_url: Option<Option<&'a str>>,
}

/// A service plan, with the names of its offering and broker.
#[derive(Debug, Clone)]
pub(crate) struct ServicePlan {
    pub(crate) guid: String,
    pub(crate) name: String,
    pub(crate) offering: String,
    pub(crate) broker: String,
}
