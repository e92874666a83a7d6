//! Plans users and their roles.

use std::collections::HashSet;

use crate::capi::model::{Role as FoundRole, User};
use crate::converge::observe::Observed;
use crate::converge::plan::{ResourcePlan, Step};
use crate::converge::target::Target;
use crate::desired::{Org, Role, user_and_origin};

/// The role in an org that a user needs to have roles in its spaces.
const MEMBER: &str = "organization_user";

pub(super) fn plan_user(text: &str, users: &[User]) -> ResourcePlan {
    let (name, origin) = user_and_origin(text);
    let exists = users.iter().any(|user| {
        let found = user.name.as_deref().unwrap_or_default();
        is_user(name, origin, found, user.origin.as_deref())
    });
    let name = text.to_owned();
    let mut plan = ResourcePlan::new(Target::User { name }, exists);
    if !exists {
        plan.steps.push(Step::CreateUser);
    }
    plan
}

/// Whether a user has this name and, if it is given, this identity provider.
fn is_user(name: &str, origin: Option<&str>, found: &str, found_origin: Option<&str>) -> bool {
    found.eq_ignore_ascii_case(name)
        && origin.is_none_or(|origin| found_origin.is_none_or(|found| found == origin))
}

/// The missing roles in the org of users with roles in its spaces. The Cloud Controller
/// requires the role `organization_user`, regardless of the user's other roles.
pub(super) fn memberships(org: &Org, found: &[FoundRole]) -> Vec<Role> {
    let mut seen = HashSet::new();
    let of_spaces = org.spaces.iter().flat_map(|space| &space.roles);
    let is_member = |role: &&Role| {
        let same = |other: &Role| {
            is_user(
                &role.user,
                role.origin.as_deref(),
                &other.user,
                other.origin.as_deref(),
            )
        };
        let mut wanted = org.roles.iter().filter(|it| it.kind == MEMBER);
        let mut found = found.iter().filter(|it| it.kind == MEMBER);
        wanted.any(same) || found.any(|found| is_of(role, found))
    };
    let missing = of_spaces.filter(|role| !is_member(role));
    let members = missing.map(|role| Role {
        kind: MEMBER.to_owned(),
        ..role.clone()
    });
    members.filter(|role| seen.insert(role.clone())).collect()
}

/// Whether a desired and an existing role have the same user.
fn is_of(role: &Role, found: &FoundRole) -> bool {
    is_user(
        &role.user,
        role.origin.as_deref(),
        &found.user,
        found.origin.as_deref(),
    )
}

pub(super) fn plan_role(
    org: &str,
    space: Option<&str>,
    role: &Role,
    found: &[FoundRole],
) -> ResourcePlan {
    let exists = found
        .iter()
        .any(|it| it.kind == role.kind && is_of(role, it));
    let user = match &role.origin {
        Some(origin) => format!("{origin}/{}", role.user),
        None => role.user.clone(),
    };
    let target = Target::Role {
        org: org.to_owned(),
        space: space.map(str::to_owned),
        role: role.kind.clone(),
        user,
    };
    let mut plan = ResourcePlan::new(target, exists);
    if !exists {
        plan.steps.push(Step::AssignRole);
    }
    plan
}

impl Observed {
    /// The roles in an org or space.
    pub(super) fn roles_in(&self, guid: Option<&str>) -> &[FoundRole] {
        let roles = guid.and_then(|guid| self.supporting.roles.get(guid));
        roles.map(Vec::as_slice).unwrap_or_default()
    }
}
