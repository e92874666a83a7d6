//! Roles of users in organizations and spaces, by GUID or by name, below `/v2/users`,
//! `/v2/organizations` and `/v2/spaces`

use serde_json::{Value, json};

use super::collection::Collection;
use super::organizations::ORGANIZATIONS;
use super::schema::parse_error;
use super::spaces::SPACES;
use super::users::{self, USERS, users_with};
use super::{
    association_not_empty, authorize, invalid_relation, is_recursive, known, post, put,
    related_request,
};
use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::router::Route;
use crate::world::{
    ADMINS, AccessScope, Field, Guid, MANAGE_ORG, RoleChange, RoleType, Row, Selection, Space,
    UPDATE_SPACE, User, World,
};

macro_rules! routes_of {
    ($($place:literal: $($role:literal),*;)*) => {
        &[$($(
            put(concat!("/v2/", $place, "/:guid/", $role, "/:user"), add_by_guid),
            put(concat!("/v2/", $place, "/:guid/", $role), add_by_name),
            super::remove(concat!("/v2/", $place, "/:guid/", $role, "/:user"), remove_by_guid),
            super::remove(concat!("/v2/", $place, "/:guid/", $role), remove_by_name),
            post(concat!("/v2/", $place, "/:guid/", $role, "/remove"), remove_by_name),
        )*)*]
    };
}

macro_rules! routes_of_users {
    ($($place:literal),* $(,)?) => {
        &[$(
            put(concat!("/v2/users/:guid/", $place, "/:place"), add_place),
            super::remove(concat!("/v2/users/:guid/", $place, "/:place"), remove_place),
        )*]
    };
}

pub(crate) const ROUTES: &[Route] = routes_of! {
    "organizations": "users", "managers", "billing_managers", "auditors";
    "spaces": "developers", "managers", "auditors";
};

pub(crate) const ROUTES_OF_USERS: &[Route] = routes_of_users![
    "spaces",
    "organizations",
    "managed_organizations",
    "billing_managed_organizations",
    "audited_organizations",
    "managed_spaces",
    "audited_spaces",
];

pub(crate) const LISTS: &[Route] = &[
    Route::get("/v2/organizations/:guid/user_roles", index_of_org),
    Route::get("/v2/spaces/:guid/user_roles", index_of_space),
];

/// The role in the path of a request, and whether it is in an organization or a space.
struct Place {
    collection: &'static Collection,
    kind: RoleType,
}

impl Place {
    fn of(context: &RequestContext<'_>) -> Result<Self, CcError> {
        let mut segments = context.request.path.split('/').skip(2);
        let (place, role) = (segments.next(), segments.nth(1));
        let (collection, kind) = match (place, role) {
            (Some("organizations"), Some("users")) => (&ORGANIZATIONS, RoleType::OrgUser),
            (Some("organizations"), Some("managers")) => (&ORGANIZATIONS, RoleType::OrgManager),
            (Some("organizations"), Some("billing_managers")) => {
                (&ORGANIZATIONS, RoleType::OrgBillingManager)
            }
            (Some("organizations"), Some("auditors")) => (&ORGANIZATIONS, RoleType::OrgAuditor),
            (Some("spaces"), Some("developers")) => (&SPACES, RoleType::SpaceDeveloper),
            (Some("spaces"), Some("managers")) => (&SPACES, RoleType::SpaceManager),
            (Some("spaces"), Some("auditors")) => (&SPACES, RoleType::SpaceAuditor),
            _ => return Err(CcError::unknown_request()),
        };
        Ok(Self { collection, kind })
    }

    /// The organization, and the space for roles in spaces, that the path names, if the
    /// caller may change the members.
    fn find(&self, context: &RequestContext<'_>) -> Result<(Guid, Option<Guid>), CcError> {
        let guid = known(context, self.collection)?;
        if self.kind.is_of_space() {
            authorize(context, UPDATE_SPACE, AccessScope::Space(guid))?;
            return Ok((context.row::<Space>(guid)?.org, Some(guid)));
        }
        authorize(context, MANAGE_ORG, AccessScope::Org(guid))?;
        Ok((guid, None))
    }
}

/// The UAA user that the body of a request names.
fn named_user(context: &RequestContext<'_>) -> Result<String, CcError> {
    let body: Value = serde_json::from_slice(context.request.body)
        .map_err(|_| parse_error("invalid request body"))?;
    let Value::Object(body) = body else {
        return Err(parse_error("invalid request body"));
    };
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    let (name, origin) = (text("username"), text("origin"));
    let accounts = context.world.accounts_named(name, None);
    let found = match origin {
        "" if accounts.len() > 1 => {
            let origins: Vec<String> = accounts
                .iter()
                .map(|account| format!("\"'{}'\"", account.origin))
                .collect();
            let detail = format!(
                "The user exists in multiple origins. Specify an origin for the requested user from: [{}]",
                origins.join(", ")
            );
            let title = "CF-UserIsInMultipleOrigins";
            return Err(CcError::new(400, 20006, title, detail));
        }
        "" => accounts.first().copied(),
        origin => {
            let mut accounts = accounts.into_iter();
            let found = accounts.find(|account| account.origin == origin);
            if found.is_none() {
                let detail =
                    format!("The user could not be found, username: '{name}', origin: '{origin}'");
                return Err(CcError::new(
                    404,
                    20007,
                    "CF-UserWithOriginNotFound",
                    detail,
                ));
            }
            found
        }
    };
    let account = found.ok_or_else(|| USERS.not_found(name))?;
    Ok(account.guid().to_string())
}

fn add(context: &mut RequestContext<'_>, user: &str) -> Result<Response, CcError> {
    let place = Place::of(context)?;
    let user = context.world.find_or_add_user(user);
    let (org, space) = place.find(context)?;
    assign(context.world, place.kind, user, (org, space))?;
    let change = RoleChange {
        kind: place.kind.audited(true),
        user,
        is_named: true,
    };
    context
        .world
        .record_role_change(change, (org, space), Value::Null);
    place.collection.changed(context, space.unwrap_or(org))
}

/// Assigns a role. Roles in a space need membership in its organization.
fn assign(
    world: &mut World,
    kind: RoleType,
    user: Guid,
    (org, space): (Guid, Option<Guid>),
) -> Result<bool, CcError> {
    if space.is_some() && !world.has_role(RoleType::OrgUser, user, org, None) {
        let id = world.users.get(user).map(|user| user.id.clone());
        return Err(invalid_relation(id.unwrap_or_default()));
    }
    Ok(world.assign(kind, user, org, space).is_some())
}

/// Assigns a role that a request lists. The event contains the request, but not the name of
/// the user.
pub(super) fn assign_listed(
    world: &mut World,
    kind: RoleType,
    user: Guid,
    place: (Guid, Option<Guid>),
    request: &Value,
) -> Result<(), CcError> {
    if assign(world, kind, user, place)? {
        let change = RoleChange {
            kind: kind.audited(true),
            user,
            is_named: false,
        };
        world.record_role_change(change, place, request.clone());
    }
    Ok(())
}

/// Removes a role that a request no longer lists.
pub(super) fn unassign_unlisted(
    world: &mut World,
    kind: RoleType,
    user: Guid,
    (org, space): (Guid, Option<Guid>),
    request: &Value,
) {
    let change = RoleChange {
        kind: kind.audited(false),
        user,
        is_named: false,
    };
    world.record_role_change(change, (org, space), request.clone());
    world.unassign(kind, user, org, space);
}

/// Removes a role from a user. The event is recorded even if they did not have it.
fn unassign(
    world: &mut World,
    kind: RoleType,
    user: Guid,
    (org, space): (Guid, Option<Guid>),
    request: Value,
) {
    let change = RoleChange {
        kind: kind.audited(false),
        user,
        is_named: space.is_some(),
    };
    world.record_role_change(change, (org, space), request);
    world.unassign(kind, user, org, space);
}

fn add_by_guid(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let user = context.capture("user").to_owned();
    add(context, &user)
}

fn add_by_name(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    context.require_flag("set_roles_by_username")?;
    let user = named_user(context)?;
    add(context, &user)
}

/// Whether the caller is the user. Users may always give up their own roles.
fn is_caller(context: &RequestContext<'_>, user: &str) -> bool {
    let caller = context.caller.as_ref();
    caller.is_some_and(|caller| caller.id() == user)
}

fn remove_by_guid(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let place = Place::of(context)?;
    let id = context.capture("user").to_owned();
    let guid = known(context, place.collection)?;
    if !is_caller(context, &id) {
        place.find(context)?;
    }
    let user = context.world.find_user(&id).map(Row::guid);
    if place.kind.is_of_space() {
        let user =
            user.ok_or_else(|| invalid_relation(format!("User with guid {id} not found")))?;
        let org = context.row::<Space>(guid)?.org;
        let of_space = (org, Some(guid));
        unassign(context.world, place.kind, user, of_space, Value::Null);
        return Ok(Response::empty(204));
    }
    keep_the_last(context, place.kind, guid, user)?;
    let user = user.ok_or_else(|| {
        let model = "VCAP::CloudController::User";
        invalid_relation(format!("Could not find {model} with guid: {id}"))
    })?;
    let relation = context.request.path.split('/').nth(4).unwrap_or_default();
    let singular = relation.trim_end_matches('s');
    let request = related_request(singular, "remove", relation, &id);
    unassign_in_org(context, place.kind, user, guid, json!({}))?;
    context
        .world
        .record_org(guid, "audit.organization.update", request);
    Ok(Response::empty(204))
}

/// Refuses to remove the last manager, billing manager or user of an organization, except
/// for administrators.
fn keep_the_last(
    context: &RequestContext<'_>,
    kind: RoleType,
    org: Guid,
    user: Option<Guid>,
) -> Result<(), CcError> {
    if context.access.is_everything() {
        return Ok(());
    }
    let holders = |kind| users_with(context.world, kind, org);
    let is_only = |kind| {
        let holders = holders(kind);
        holders.len() == 1 && holders.first().map(|holder| holder.guid()) == user
    };
    let refuse = |code, title, what| {
        let detail = format!("Cannot remove last {what} in org");
        Err(CcError::new(403, code, title, detail))
    };
    let manager = (30004, "CF-LastManagerInOrg", "Org Manager");
    let billing = (30005, "CF-LastBillingManagerInOrg", "Billing Manager");
    match kind {
        RoleType::OrgManager if holders(kind).len() <= 1 => refuse(manager.0, manager.1, manager.2),
        RoleType::OrgBillingManager if holders(kind).len() <= 1 => {
            refuse(billing.0, billing.1, billing.2)
        }
        RoleType::OrgUser if is_only(RoleType::OrgManager) => {
            refuse(manager.0, manager.1, manager.2)
        }
        RoleType::OrgUser if is_only(RoleType::OrgBillingManager) => {
            refuse(billing.0, billing.1, billing.2)
        }
        RoleType::OrgUser
            if is_only(kind)
                && holders(RoleType::OrgManager).len() <= 1
                && holders(RoleType::OrgBillingManager).len() <= 1 =>
        {
            refuse(30006, "CF-LastUserInOrg", "User")
        }
        _ => Ok(()),
    }
}

/// Removes a role in an organization. Membership can only be removed from users
/// without roles in its spaces, or with all other roles.
fn unassign_in_org(
    context: &mut RequestContext<'_>,
    kind: RoleType,
    user: Guid,
    org: Guid,
    request: Value,
) -> Result<(), CcError> {
    if kind == RoleType::OrgUser {
        let roles = context.world.roles_of(user).into_iter();
        let of_spaces: Vec<(RoleType, Option<Guid>)> = roles
            .filter(|role| role.org == org && role.space.is_some())
            .filter(|role| role.kind != RoleType::SpaceSupporter)
            .map(|role| (role.kind, role.space))
            .collect();
        if is_recursive(context) {
            for (kind, space) in of_spaces {
                context.world.unassign(kind, user, org, space);
            }
            let of_org = |other: &RoleType| !other.is_of_space() && *other != kind;
            for other in RoleType::ALL.into_iter().filter(of_org) {
                context.world.unassign(other, user, org, None);
            }
        } else if !of_spaces.is_empty() {
            return Err(association_not_empty("user", "spaces in the org"));
        }
    }
    unassign(context.world, kind, user, (org, None), request);
    Ok(())
}

fn remove_by_name(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    context.require_flag("unset_roles_by_username")?;
    let id = named_user(context)?;
    let name = |context: &RequestContext<'_>| {
        let body = context.request.object().unwrap_or_default();
        let name = body.get("username").and_then(Value::as_str);
        name.unwrap_or_default().to_owned()
    };
    let user = context.world.find_user(&id).map(Row::guid);
    let user = user.ok_or_else(|| USERS.not_found(&name(context)))?;
    let place = Place::of(context)?;
    let (org, space) = place.find(context)?;
    if let Some(space) = space {
        let of_space = (org, Some(space));
        unassign(context.world, place.kind, user, of_space, Value::Null);
        let presented = SPACES.present(context, space)?;
        return Ok(Response::ok(&presented));
    }
    unassign_in_org(context, place.kind, user, org, Value::Null)?;
    Ok(Response::empty(204))
}

/// The organization or space in `/v2/users/:guid/NAME/:place`.
fn named_place(
    context: &RequestContext<'_>,
) -> Result<(RoleType, Guid, Guid, Option<Guid>), CcError> {
    let user = known(context, &USERS)?;
    let name = context.request.path.split('/').nth(4);
    let mut places = users::PLACES.into_iter();
    let found = places.find(|(place, _)| Some(*place) == name);
    let (_, kind) = found.ok_or_else(CcError::unknown_request)?;
    let text = context.capture("place");
    if kind.is_of_space() {
        let space = SPACES.look_up(context.world, text)?;
        let org = context.row::<Space>(space)?.org;
        return Ok((kind, user, org, Some(space)));
    }
    let org = ORGANIZATIONS.look_up(context.world, text)?;
    Ok((kind, user, org, None))
}

fn add_place(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let (kind, user, org, space) = named_place(context)?;
    authorize(context, ADMINS, AccessScope::Deleted)?;
    if let Some(role) = context.world.assign(kind, user, org, space) {
        context.world.record_role(role, true, json!({}));
    }
    USERS.changed(context, user)
}

fn remove_place(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let (kind, user, org, space) = named_place(context)?;
    match space {
        _ if is_caller(context, context.capture("guid")) => {}
        Some(space) => authorize(context, UPDATE_SPACE, AccessScope::Space(space))?,
        None => authorize(context, MANAGE_ORG, AccessScope::Org(org))?,
    }
    match space {
        Some(_) => unassign(context.world, kind, user, (org, space), json!({})),
        None => {
            keep_the_last(context, kind, org, Some(user))?;
            unassign_in_org(context, kind, user, org, json!({}))?;
        }
    }
    Ok(Response::empty(204))
}

/// The names of roles in lists of users.
const NAMES: [(RoleType, &str); 7] = [
    (RoleType::OrgUser, "org_user"),
    (RoleType::OrgManager, "org_manager"),
    (RoleType::OrgAuditor, "org_auditor"),
    (RoleType::OrgBillingManager, "billing_manager"),
    (RoleType::SpaceDeveloper, "space_developer"),
    (RoleType::SpaceManager, "space_manager"),
    (RoleType::SpaceAuditor, "space_auditor"),
];

fn index_of_org(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = ORGANIZATIONS.readable(context)?;
    // Any filter selects a user, regardless of the filter's name.
    let query = context.request.query("q");
    let user = query.and_then(|query| query.split(':').nth(1));
    index(context, Field::Org, guid, user, "organization_roles")
}

fn index_of_space(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = SPACES.readable(context)?;
    index(context, Field::Space, guid, None, "space_roles")
}

/// The users of an organization or a space with their roles.
fn index(
    context: &RequestContext<'_>,
    field: Field,
    place: Guid,
    user: Option<&str>,
    key: &str,
) -> Result<Response, CcError> {
    let world = &*context.world;
    let named = |kind: RoleType| NAMES.iter().find(|(known, _)| *known == kind);
    let roles = world.roles.select(&Selection::by(field, place));
    let members = roles.iter().filter(|role| named(role.kind).is_some());
    let members = members.map(|role| role.user);
    let members = Selection::all().any_guid(Field::Guid, members);
    let mut users = world.users.select(&members);
    users.retain(|member: &&User| user.is_none_or(|user| member.id == user));
    let found = users.into_iter().map(super::entity::Entity::from).collect();
    let path = context.request.path.trim_end_matches('/');
    let names_of = |id: &str| -> Vec<&str> {
        let held = roles.iter().filter(|role| {
            let user = world.users.get(role.user);
            user.is_some_and(|user| user.id == id)
        });
        let held: Vec<RoleType> = held.map(|role| role.kind).collect();
        let names = NAMES.iter().filter(|(kind, _)| held.contains(kind));
        names.map(|(_, name)| *name).collect()
    };
    let mut page =
        super::list::Query::read_page(context, &USERS)?.page(context, &USERS, found, path);
    for resource in page["resources"].as_array_mut().into_iter().flatten() {
        let id = resource["metadata"]["guid"].as_str().unwrap_or_default();
        let names = names_of(id);
        resource["entity"][key] = json!(names);
    }
    Ok(Response::ok(&page))
}
