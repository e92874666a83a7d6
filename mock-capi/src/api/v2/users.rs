//! `/v2/users`

use serde_json::{Map, Value, json};

use super::collection::{self, Collection, Relation};
use super::entity::Entity;
use super::filter::Filter;
use super::organizations::ORGANIZATIONS;
use super::quota_definitions;
use super::schema::{self, Attribute};
use super::source::{Source, rows};
use super::spaces::SPACES;
use super::{authorize, delete, known, post, put, remove};
use crate::api::context::{RequestContext, View};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::message::Fields;
use crate::api::router::Route;
use crate::world::metadata::MetadataPatch;
use crate::world::{
    ADMINS, AccessScope, Field, Guid, Kind, Org, RoleType, Row, Selection, Space, User, World,
};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v2/users", index),
    post("/v2/users", create),
    Route::get("/v2/users/:guid", collection::show),
    put("/v2/users/:guid", update),
    remove("/v2/users/:guid", destroy),
    Route::get("/v2/users/:guid/summary", summary),
    Route::get("/v2/users/:guid/spaces", collection::related),
    Route::get("/v2/users/:guid/organizations", collection::related),
    Route::get("/v2/users/:guid/managed_organizations", collection::related),
    Route::get(
        "/v2/users/:guid/billing_managed_organizations",
        collection::related,
    ),
    Route::get("/v2/users/:guid/audited_organizations", collection::related),
    Route::get("/v2/users/:guid/managed_spaces", collection::related),
    Route::get("/v2/users/:guid/audited_spaces", collection::related),
];

/// The relations of users to organizations and spaces, with their roles.
pub(super) const PLACES: [(&str, RoleType); 7] = [
    ("spaces", RoleType::SpaceDeveloper),
    ("organizations", RoleType::OrgUser),
    ("managed_organizations", RoleType::OrgManager),
    ("billing_managed_organizations", RoleType::OrgBillingManager),
    ("audited_organizations", RoleType::OrgAuditor),
    ("managed_spaces", RoleType::SpaceManager),
    ("audited_spaces", RoleType::SpaceAuditor),
];

pub(super) static USERS: Collection = Collection {
    path: "/v2/users",
    source: Source::of::<User>().public(),
    get: collection::row::<User>,
    parse: |world, id| world.find_user(id).map(Row::guid),
    relations: &[
        Relation::many("spaces", &SPACES, |world, user| {
            places(world, user, RoleType::SpaceDeveloper)
        }),
        Relation::many("organizations", &ORGANIZATIONS, |world, user| {
            places(world, user, RoleType::OrgUser)
        }),
        Relation::many("managed_organizations", &ORGANIZATIONS, |world, user| {
            places(world, user, RoleType::OrgManager)
        }),
        Relation::many(
            "billing_managed_organizations",
            &ORGANIZATIONS,
            |world, user| places(world, user, RoleType::OrgBillingManager),
        ),
        Relation::many("audited_organizations", &ORGANIZATIONS, |world, user| {
            places(world, user, RoleType::OrgAuditor)
        }),
        Relation::many("managed_spaces", &SPACES, |world, user| {
            places(world, user, RoleType::SpaceManager)
        }),
        Relation::many("audited_spaces", &SPACES, |world, user| {
            places(world, user, RoleType::SpaceAuditor)
        }),
    ],
    filters: &[
        Filter::guid("space_guid", |world, user| {
            ids(world, user, RoleType::SpaceDeveloper)
        }),
        Filter::guid("organization_guid", |world, user| {
            ids(world, user, RoleType::OrgUser)
        }),
        Filter::guid("managed_organization_guid", |world, user| {
            ids(world, user, RoleType::OrgManager)
        }),
        Filter::guid("billing_managed_organization_guid", |world, user| {
            ids(world, user, RoleType::OrgBillingManager)
        }),
        Filter::guid("audited_organization_guid", |world, user| {
            ids(world, user, RoleType::OrgAuditor)
        }),
        Filter::guid("managed_space_guid", |world, user| {
            ids(world, user, RoleType::SpaceManager)
        }),
        Filter::guid("audited_space_guid", |world, user| {
            ids(world, user, RoleType::SpaceAuditor)
        }),
    ],
    order_by: &[],
    not_found: (20003, "CF-UserNotFound", "The user could not be found"),
};

const NEW: &[Attribute] = &[
    Attribute::text("guid").required(),
    Attribute::boolean("admin"),
    Attribute::texts("space_guids"),
    Attribute::texts("organization_guids"),
    Attribute::texts("managed_organization_guids"),
    Attribute::texts("billing_managed_organization_guids"),
    Attribute::texts("audited_organization_guids"),
    Attribute::texts("managed_space_guids"),
    Attribute::texts("audited_space_guids"),
    Attribute::text("default_space_guid"),
];

/// The organizations or spaces where a user has a role, in the order of the roles'
/// creation.
fn places<'w>(world: &'w World, user: Guid, kind: RoleType) -> Vec<Entity<'w>> {
    let roles = world.roles_of(user).into_iter();
    let roles = roles.filter(|role| role.kind == kind);
    let guids = roles.map(|role| role.space.unwrap_or(role.org));
    let named = Selection::all().any_guid(Field::Guid, guids);
    match kind.is_of_space() {
        true => rows::<Space>(world, &named),
        false => rows::<Org>(world, &named),
    }
}

fn ids(world: &World, user: Entity<'_>, kind: RoleType) -> Vec<String> {
    let places = places(world, user.guid(), kind).into_iter();
    places.map(Entity::id).collect()
}

/// The users with a role in an organization or a space, in the order of the roles'
/// creation.
pub(super) fn users_with<'w>(world: &'w World, kind: RoleType, place: Guid) -> Vec<Entity<'w>> {
    let field = match kind.is_of_space() {
        true => Field::Space,
        false => Field::Org,
    };
    let roles = world.roles.select(&Selection::by(field, place));
    let users = roles.iter().filter(|role| role.kind == kind);
    let users = users.map(|role| role.user);
    rows::<User>(world, &Selection::all().any_guid(Field::Guid, users))
}

/// The name of a user in UAA.
pub(super) fn name<'w>(user: &User, view: &View<'w>) -> Option<&'w str> {
    let account = view.world.account_of(user)?;
    Some(&account.name)
}

pub(super) fn attributes(user: &User) -> Value {
    json!({
        "admin": false,
        "active": user.active,
        "default_space_guid": null,
    })
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    authorize(context, ADMINS, AccessScope::Deleted)?;
    collection::index(context)
}

fn create(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let attributes = schema::of_new(&body, NEW)?;
    let id = attributes.text("guid").unwrap_or_default();
    if id.is_empty() {
        let detail = "The user info is invalid: guid presence";
        return Err(CcError::new(400, 20001, "CF-UserInvalid", detail));
    }
    if context.world.find_user(id).is_some() {
        let detail = format!("The UAA ID is taken: {id}");
        return Err(CcError::new(400, 20002, "CF-UaaIdTaken", detail));
    }
    authorize(context, ADMINS, AccessScope::Deleted)?;
    let guid = context.world.add_user(id, MetadataPatch::default());
    if let Err(refusal) = assign_places(context, attributes, guid) {
        context.world.delete(Kind::User, guid);
        return Err(refusal);
    }
    USERS.created(context, guid)
}

fn update(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let attributes = schema::of_change(&body, &NEW[1..])?;
    let guid = known(context, &USERS)?;
    authorize(context, ADMINS, AccessScope::Deleted)?;
    assign_places(context, attributes, guid)?;
    USERS.changed(context, guid)
}

/// Assigns exactly the roles of a request to a user.
fn assign_places(
    context: &mut RequestContext<'_>,
    attributes: Fields<'_>,
    user: Guid,
) -> Result<(), CcError> {
    for (plural, kind) in PLACES {
        let name = format!("{}_guids", plural.trim_end_matches('s'));
        let Some(texts) = attributes.texts(&name) else {
            continue;
        };
        let mut wanted = Vec::new();
        for text in texts {
            wanted.push(find_place(context.world, kind, text)?);
        }
        let roles = context.world.roles_of(user).into_iter();
        let held: Vec<(Guid, Option<Guid>)> = roles
            .filter(|role| role.kind == kind)
            .map(|role| (role.org, role.space))
            .collect();
        for (org, space) in held {
            if !wanted.contains(&(org, space)) {
                context.world.unassign(kind, user, org, space);
            }
        }
        for (org, space) in wanted {
            context.world.assign(kind, user, org, space);
        }
    }
    Ok(())
}

/// The organization with an identifier, and the space for roles in spaces.
fn find_place(world: &World, kind: RoleType, text: &str) -> Result<(Guid, Option<Guid>), CcError> {
    if kind.is_of_space() {
        let space = super::found_by_guid::<Space>(world, "Space", text)?;
        return Ok((space.org, Some(space.guid())));
    }
    let org = super::found_by_guid::<Org>(world, "Organization", text)?;
    Ok((org.guid(), None))
}

fn destroy(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = known(context, &USERS)?;
    authorize(context, ADMINS, AccessScope::Deleted)?;
    Ok(delete(context, "user.delete", Kind::User, guid))
}

/// `GET /v2/users/:guid/summary`: all organizations and spaces where a user has a role.
fn summary(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = USERS.readable(context)?;
    let world = &*context.world;
    let entity: Map<String, Value> = PLACES
        .into_iter()
        .map(|(name, kind)| {
            let places = places(world, guid, kind).into_iter();
            let summaries = places.map(|place| summarize(world, place));
            (name.to_owned(), summaries.collect())
        })
        .collect();
    let user: &User = context.row(guid)?;
    Ok(Response::ok(&resource(
        Entity::User(user),
        Value::Object(entity),
    )))
}

/// A resource in summaries, which has no URL.
fn resource(entity: Entity<'_>, attributes: Value) -> Value {
    let mut metadata = entity.metadata("");
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.remove("url");
    }
    json!({"metadata": metadata, "entity": attributes})
}

fn summarize(world: &World, place: Entity<'_>) -> Value {
    let Entity::Org(org) = place else {
        return resource(place, json!({"name": place.name()}));
    };
    let spaces = world.spaces.select(&Selection::by(Field::Org, org.guid()));
    let spaces = spaces.into_iter();
    let spaces: Vec<Value> = spaces
        .map(|space| summarize(world, Entity::Space(space)))
        .collect();
    let managers = users_with(world, RoleType::OrgManager, org.guid()).into_iter();
    let managers: Vec<Value> = managers
        .map(|manager| match manager {
            Entity::User(user) => resource(manager, attributes(user)),
            other => resource(other, Value::Null),
        })
        .collect();
    let quota = world.quotas.get(org.quota);
    let quota = quota.map(|quota| {
        let attributes = quota_definitions::summarize(quota);
        resource(Entity::Quota(quota), attributes)
    });
    let attributes = json!({
        "name": org.name,
        "billing_enabled": org.billing_enabled,
        "status": if org.suspended { "suspended" } else { "active" },
        "spaces": spaces,
        "quota_definition": quota,
        "managers": managers,
    });
    resource(place, attributes)
}
