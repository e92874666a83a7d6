//! Roles of users in orgs and spaces.

use super::DesiredError;

/// The roles of an org.
pub(crate) const ORG_ROLES: [&str; 4] = [
    "organization_user",
    "organization_auditor",
    "organization_manager",
    "organization_billing_manager",
];

/// The roles of a space.
pub(crate) const SPACE_ROLES: [&str; 4] = [
    "space_auditor",
    "space_developer",
    "space_manager",
    "space_supporter",
];

/// A role of a user in an org or space.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Role {
    /// The Cloud Controller's name of the role: `organization_user`,
    /// `organization_auditor`, `organization_manager` or `organization_billing_manager`
    /// in an org; `space_auditor`, `space_developer`, `space_manager` or
    /// `space_supporter` in a space.
    pub kind: String,
    /// The user's name.
    pub user: String,
    /// The identity provider of the user, such as `uaa` or `ldap`. `None` if only one
    /// provider has a user with this name.
    pub origin: Option<String>,
}

impl Role {
    /// A role of a user.
    pub fn new(kind: impl Into<String>, user: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            user: user.into(),
            origin: None,
        }
    }

    /// Sets the identity provider of the user.
    #[must_use]
    pub fn origin(mut self, origin: impl Into<String>) -> Self {
        self.origin = Some(origin.into());
        self
    }

    pub(super) fn check(&self, place: &str, allowed: &[&str]) -> Result<(), DesiredError> {
        if self.user.trim().is_empty() {
            return Err(DesiredError::NoName {
                kind: "a user of a role",
            });
        }
        if !allowed.contains(&self.kind.as_str()) {
            return Err(DesiredError::Value {
                subject: place.to_owned(),
                value: format!("the role {} of {}", self.kind, self.user),
                reason: format!("must be one of {}", allowed.join(", ")),
            });
        }
        Ok(())
    }
}

/// The name and the identity provider of a user such as `ldap/alice`.
pub(crate) fn user_and_origin(user: &str) -> (&str, Option<&str>) {
    match user.split_once('/') {
        Some((origin, name)) => (name, Some(origin)),
        None => (user, None),
    }
}
