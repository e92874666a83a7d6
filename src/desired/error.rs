//! Why a desired state cannot be used.

/// Why a desired state cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DesiredError {
    /// Something has no name.
    #[error("{kind} has no name")]
    NoName {
        /// What it is, such as `an org`.
        kind: &'static str,
    },
    /// Two things of one kind have the same name.
    #[error("there are two {kind} named {name}{place}")]
    Duplicate {
        /// What they are, such as `apps`.
        kind: &'static str,
        /// Their name.
        name: String,
        /// Where, such as ` in the space prod`; empty where the name must be unique.
        place: String,
    },
    /// The apps of a group would all have one name.
    #[error("the group {group} has {count} apps, so its name needs a {{i}} for the number of each")]
    NoIndex {
        /// The group's name.
        group: String,
        /// How many apps it has.
        count: u32,
    },
    /// A host of a route is longer than DNS allows.
    #[error("the route {route} of the app {app} has a label of more than 63 characters")]
    HostTooLong {
        /// The app's name.
        app: String,
        /// The route.
        route: String,
    },
    /// A space is to have a security group that is not part of the desired state.
    #[error("the space {space} names the security group {security_group}, which is not defined")]
    UnknownSecurityGroup {
        /// The space's name.
        space: String,
        /// The security group's name.
        security_group: String,
    },
    /// Something refers to a quota, a group or an app that is not part of the desired
    /// state.
    #[error("{user} names the {kind} {name}, which is not defined")]
    UnknownReference {
        /// What refers to it, such as `the org shop`.
        user: String,
        /// What it refers to, such as `quota`.
        kind: &'static str,
        /// The name that it uses.
        name: String,
    },
    /// A value of a resource is not allowed.
    #[error("{subject} cannot have {value}: {reason}")]
    Value {
        /// The resource, such as `the org quota small`.
        subject: String,
        /// The key and its value, such as `apps.total_instances: true`.
        value: String,
        /// Why, and what is allowed.
        reason: String,
    },
    /// A property of an entry does not fit a group of apps.
    #[error("the group {group} cannot have `{property}`: {reason}")]
    Property {
        /// The group's name.
        group: String,
        /// The property.
        property: &'static str,
        /// Why.
        reason: &'static str,
    },
}
