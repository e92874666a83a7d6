//! The reason why a desired state cannot be used.

/// The reason why a desired state cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DesiredError {
    /// A resource has no name.
    #[error("{kind} has no name")]
    NoName {
        /// The kind of resource, such as `an org`.
        kind: &'static str,
    },
    /// Two resources of one kind have the same name.
    #[error("there are two {kind} named {name}{place}")]
    Duplicate {
        /// The kind, such as `apps`.
        kind: &'static str,
        /// Their name.
        name: String,
        /// The scope, such as ` in the space prod`. Empty if the name must be unique
        /// everywhere.
        place: String,
    },
    /// All apps of a group would have the same name.
    #[error("the group {group} has {count} apps, so its name must contain {{i}}")]
    NoIndex {
        /// The group's name.
        group: String,
        /// The number of apps.
        count: u32,
    },
    /// A label of a route's host is longer than DNS allows.
    #[error("the route {route} of the app {app} has a label of more than 63 characters")]
    HostTooLong {
        /// The app's name.
        app: String,
        /// The route.
        route: String,
    },
    /// A space has a security group that is not part of the desired state.
    #[error("the space {space} names the security group {security_group}, which is not defined")]
    UnknownSecurityGroup {
        /// The space's name.
        space: String,
        /// The security group's name.
        security_group: String,
    },
    /// A resource refers to a quota, a group or an app that is not part of the desired
    /// state.
    #[error("{user} names the {kind} {name}, which is not defined")]
    UnknownReference {
        /// The referring resource, such as `the org shop`.
        user: String,
        /// The kind of the missing resource, such as `quota`.
        kind: &'static str,
        /// The missing name.
        name: String,
    },
    /// A value of a resource is not allowed.
    #[error("{subject} cannot have {value}: {reason}")]
    Value {
        /// The resource, such as `the org quota small`.
        subject: String,
        /// The key and its value, such as `apps.total_instances: true`.
        value: String,
        /// The reason and the allowed values.
        reason: String,
    },
    /// A group of apps cannot have a property.
    #[error("the group {group} cannot have `{property}`: {reason}")]
    Property {
        /// The group's name.
        group: String,
        /// The property.
        property: &'static str,
        /// The reason.
        reason: &'static str,
    },
}
