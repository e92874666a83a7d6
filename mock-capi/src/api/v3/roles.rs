//! `/v3/roles`

use serde_json::{Value, json};

use crate::api::context::{RequestContext, View, to_one};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::list::{ListQuery, ListSpec};
use crate::api::message::Message;
use crate::api::router::Route;
use crate::api::state::Present;
use crate::world::{
    AccessScope, Field, Guid, Kind, MANAGE_ORG, Org, Role, RoleType, Row, Space, UPDATE_SPACE,
    World,
};

use super::{organizations, spaces, users};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v3/roles", index),
    Route::post("/v3/roles", create).by_anyone(),
    Route::get("/v3/roles/:guid", show),
    Route::delete("/v3/roles/:guid", delete).by_anyone(),
];

const LIST: ListSpec = ListSpec {
    include: &["user", "organization", "space"],
    ..ListSpec::of(&[
        "organization_guids",
        "space_guids",
        "user_guids",
        "types",
        "include",
    ])
};

const NO_SPACE: &str = "Invalid space. Ensure that the space exists and you have access to it.";
const NO_ORG: &str =
    "Invalid organization. Ensure that the organization exists and you have access to it.";
const NOT_IN_ORG: &str = "Users cannot be assigned roles in a space if they do not have a role in that space's organization.";

impl Present for Role {
    fn present(&self, view: &View<'_>) -> Value {
        present(self, view)
    }
}

pub(crate) fn present(role: &Role, view: &View<'_>) -> Value {
    let path = format!("/v3/roles/{}", role.base.guid);
    let user = view.world.users.get(role.user);
    let org = role.space.is_none().then_some(role.org);
    let mut links = json!({
        "self": view.link(&path),
        "user": user.map(|user| view.link(&users::path(user))),
    });
    match role.space {
        Some(space) => links["space"] = view.link(&format!("/v3/spaces/{space}")),
        None => links["organization"] = view.link(&format!("/v3/organizations/{}", role.org)),
    }
    json!({
        "guid": role.base.guid,
        "created_at": role.base.created,
        "updated_at": role.base.updated,
        "type": role.kind.name(),
        "relationships": {
            "user": {"data": user.map(|user| json!({"guid": user.id}))},
            "space": to_one(role.space),
            "organization": to_one(org),
        },
        "links": links,
    })
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let query = ListQuery::read_or(context, &LIST, CcError::unprocessable)?;
    let query = query.or_ordered_by("created_at", true);
    let mut selection = query.by_guids(query.selection(), "organization_guids", Field::Org);
    selection = query.by_guids(selection, "space_guids", Field::Space);
    selection = query.by_users(context.world, selection, "user_guids", Field::User);
    selection = query.by_texts(selection, "types", Field::Type);
    let page = query.page_by_query(context.world, &selection, |_: &Role| true);
    let mut answer = query.answer(context, &page, present);
    include(&query, &context.view(), &mut answer.rest, &page.rows);
    Ok(answer.into())
}

fn include(query: &ListQuery, view: &View<'_>, answer: &mut Value, roles: &[&Role]) {
    let roles = || roles.iter();
    if query.includes("user") {
        let guids = roles().map(|role| role.user);
        answer["included"]["users"] = view.included(guids, users::present);
    }
    if query.includes("organization") {
        let of_orgs = roles().filter(|role| role.space.is_none());
        let guids = of_orgs.map(|role| role.org);
        answer["included"]["organizations"] = view.included(guids, organizations::present);
    }
    if query.includes("space") {
        let guids = roles().filter_map(|role| role.space);
        answer["included"]["spaces"] = view.included(guids, spaces::present);
    }
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let spec = ListSpec {
        include: LIST.include,
        ..ListSpec::of_one(&["include"])
    };
    let query = ListQuery::read_or(context, &spec, CcError::unprocessable)?;
    let role: &Role = context.named("guid")?;
    let view = context.view();
    let mut answer = present(role, &view);
    include(&query, &view, &mut answer, &[role]);
    Ok(Response::ok(&answer))
}

/// The user of a role, as identified in a request.
enum UserRef<'b> {
    Guid(&'b str),
    Name(&'b str, Option<&'b str>),
}

/// The organization or space of a role.
enum Place<'b> {
    Org(&'b str),
    Space(&'b str),
}

fn create(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let mut message = Message::new(&body, &["type", "relationships"]);
    let kind = message.get("type").and_then(Value::as_str);
    let kind = kind.unwrap_or_default();
    let related = message.relationships(&["space", "user", "organization"], |inner| {
        read_related(inner, kind)
    });
    let known = RoleType::of_name(kind);
    // An empty list is valid, because all of its items are allowed types.
    let is_empty_list = message.get("type") == Some(&json!([]));
    if known.is_none() && !is_empty_list {
        message.error(format!(
            "Type must be one of the allowed types {:?}",
            RoleType::ALL.map(RoleType::name)
        ));
    }
    message.finish()?;
    if is_empty_list {
        return Err(CcError::unprocessable("Role type '[]' is invalid."));
    }
    let (Some(kind), Some((owner, place))) = (known, related.flatten()) else {
        return Err(CcError::unknown());
    };
    let guid = match place {
        Place::Space(space) => create_of_space(context, kind, &owner, space)?,
        Place::Org(org) => create_of_org(context, kind, &owner, org)?,
    };
    let request = context.request_body();
    context.world.record_role(guid, true, request);
    context.created(guid, present)
}

/// Reads the user of a role, and its organization or space.
fn read_related<'b>(message: &mut Message<'b>, kind: &str) -> Option<(UserRef<'b>, Place<'b>)> {
    let data = |key| message.get(key).and_then(|value| value.get("data"));
    let data = |key| data(key).filter(|data| !data.is_null());
    let (user, space, org) = (data("user"), data("space"), data("organization"));
    let user_is_right = check_user(message, user);
    let place_is_right = check_place(message, kind, space.is_some(), org.is_some());
    let place = match place_is_right {
        false => None,
        true if space.is_some() => message.related("space").map(Place::Space),
        true => message.related("organization").map(Place::Org),
    };
    let owner = user.filter(|_| user_is_right);
    let owner = owner.and_then(|user| read_owner(message, user));
    owner.zip(place)
}

fn check_user(message: &mut Message<'_>, data: Option<&Value>) -> bool {
    if message.is_blank("user") {
        message.error("User can't be blank");
    }
    let has = |key| data.is_some_and(|data| data.get(key).is_some());
    let (guid, name, origin) = (has("guid"), has("username"), has("origin"));
    let by_guid = "cannot be specified when identifying user by guid";
    let errors = [
        (guid && name, format!("Username {by_guid}")),
        (guid && origin, format!("User origin {by_guid}")),
        (
            !name && origin,
            "User origin cannot be specified without specifying the username".into(),
        ),
        (
            !name && !guid,
            "User must have a username or guid specified".into(),
        ),
    ];
    report(message, errors)
}

fn check_place(message: &mut Message<'_>, kind: &str, space: bool, org: bool) -> bool {
    let known = RoleType::of_name(kind);
    let of_space = known.is_some_and(RoleType::is_of_space);
    let of_org = known.is_some() && !of_space;
    let errors = [
        (
            !space && !org,
            "must specify either a space or an organization.".into(),
        ),
        (
            space && of_org,
            format!("Space cannot be provided with the organization role type: '{kind}'."),
        ),
        (
            org && of_space,
            format!("Organization cannot be provided with the space role type: '{kind}'."),
        ),
        (
            space && org,
            "cannot specify both an organization and a space.".into(),
        ),
    ];
    report(message, errors)
}

/// Reports the errors that apply, and returns whether there are none.
fn report(message: &mut Message<'_>, errors: [(bool, String); 4]) -> bool {
    let mut none = true;
    for (_, error) in errors.into_iter().filter(|(applies, _)| *applies) {
        message.error(error);
        none = false;
    }
    none
}

fn read_owner<'b>(message: &mut Message<'b>, data: &'b Value) -> Option<UserRef<'b>> {
    if data.get("guid").is_some() {
        return message.related("user").map(UserRef::Guid);
    }
    let name = data["username"].as_str();
    if name.is_none() {
        message.error("Username must be a string");
    }
    let origin = data.get("origin").filter(|origin| !origin.is_null());
    if origin.is_some_and(|origin| !origin.is_string()) {
        message.error("User origin must be a string");
    }
    let origin = origin.and_then(Value::as_str).filter(|it| !it.is_empty());
    name.map(|name| UserRef::Name(name, origin))
}

fn create_of_space(
    context: &mut RequestContext<'_>,
    kind: RoleType,
    owner: &UserRef<'_>,
    space: &str,
) -> Result<Guid, CcError> {
    let refused = |text: String| CcError::unprocessable(text);
    let space = context.world.look_up::<Space>(space);
    let space = space.ok_or_else(|| refused(NO_SPACE.into()))?;
    let (guid, org, name) = (space.base.guid, space.org, space.name.clone());
    context.require(UPDATE_SPACE, AccessScope::Space(guid))?;
    let outside = || refused(NOT_IN_ORG.into());
    let id = match owner {
        UserRef::Guid(guid) => (*guid).to_owned(),
        UserRef::Name(name, origin) => look_up(context, name, *origin)?.ok_or_else(outside)?,
    };
    let user = context.world.find_user(&id).map(Row::guid);
    let member = |user: &Guid| context.world.has_role(RoleType::OrgUser, *user, org, None);
    let user = user.filter(member).ok_or_else(outside)?;
    let role = context.world.assign(kind, user, org, Some(guid));
    role.ok_or_else(|| refused(already_has_role(context.world, user, kind, "space", &name)))
}

fn create_of_org(
    context: &mut RequestContext<'_>,
    kind: RoleType,
    owner: &UserRef<'_>,
    org: &str,
) -> Result<Guid, CcError> {
    let refused = |text: String| CcError::unprocessable(text);
    let org = context.world.look_up::<Org>(org);
    let org = org.ok_or_else(|| refused(NO_ORG.into()))?;
    let (guid, name) = (org.base.guid, org.name.clone());
    context.require(MANAGE_ORG, AccessScope::Org(guid))?;
    let id = match owner {
        UserRef::Guid(guid) => (*guid).to_owned(),
        UserRef::Name(name, origin) => {
            look_up(context, name, *origin)?.ok_or_else(|| refused(unknown_user(name, *origin)))?
        }
    };
    let user = context.world.find_or_add_user(&id);
    let role = context.world.assign(kind, user, guid, None);
    role.ok_or_else(|| {
        let text = already_has_role(context.world, user, kind, "organization", &name);
        refused(text)
    })
}

fn unknown_user(name: &str, origin: Option<&str>) -> String {
    match origin {
        Some(origin) => {
            format!("No user exists with the username '{name}' and origin '{origin}'.")
        }
        None => format!("No user exists with the username '{name}'."),
    }
}

/// The GUID of a user in UAA.
fn look_up(
    context: &RequestContext<'_>,
    name: &str,
    origin: Option<&str>,
) -> Result<Option<String>, CcError> {
    context.require_flag("set_roles_by_username")?;
    let origins = origin.map(|origin| [origin.to_owned()]);
    let found = context
        .world
        .accounts_named(name, origins.as_ref().map(<[String; 1]>::as_slice));
    if found.len() > 1 {
        let mut origins: Vec<&str> = found.iter().map(|user| user.origin.as_str()).collect();
        origins.sort_unstable();
        let origins = origins.join(", ");
        return Err(CcError::unprocessable(format!(
            "Ambiguous user. User with username '{name}' exists in the following origins: {origins}. Specify an origin to disambiguate."
        )));
    }
    Ok(found.first().map(|user| user.base.guid.to_string()))
}

fn already_has_role(world: &World, user: Guid, kind: RoleType, place: &str, name: &str) -> String {
    let user = world.users.get(user);
    let user = user.map_or("", |user| world.presentation_name(user));
    let kind = kind.name();
    format!("User '{user}' already has '{kind}' role in {place} '{name}'.")
}

fn delete(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let role: &Role = context.named("guid")?;
    let guid = role.base.guid;
    match role.space {
        Some(space) => context.require(UPDATE_SPACE, AccessScope::Space(space))?,
        None => context.require(MANAGE_ORG, AccessScope::Org(role.org))?,
    }
    if role.kind == RoleType::OrgUser && has_space_role(context.world, role) {
        return Err(CcError::unprocessable(
            "Cannot delete organization_user role while user has roles in spaces in that organization.",
        ));
    }
    Ok(context.delete_in_job("role.delete", Kind::Role, guid))
}

/// Whether the user of a role has another role in a space of its organization.
fn has_space_role(world: &World, role: &Role) -> bool {
    let mut others = world.roles_of(role.user).into_iter();
    others.any(|other| other.org == role.org && other.space.is_some())
}
