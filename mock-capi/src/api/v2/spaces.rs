//! `/v2/spaces`

use serde_json::{Value, json};

use super::apps::{self, APPS, web_app};
use super::collection::{self, Collection, Relation, by_guid, row, rows_by};
use super::domains::DOMAINS;
use super::entity::Entity;
use super::events::{APP_EVENTS, EVENTS};
use super::filter::Filter;
use super::list::Query;
use super::organizations::{ORGANIZATIONS, ids_of};
use super::routes::HTTP_ROUTES;
use super::schema::{self, Attribute, Preset};
use super::security_groups::SECURITY_GROUPS;
use super::services::SERVICE_INSTANCES;
use super::source::Source;
use super::space_quota_definitions::SPACE_QUOTA_DEFINITIONS;
use super::users::{USERS, users_with};
use super::{
    assign_all, authorize, delete, found_by_guid, is_recursive, known, name_error, post, put,
    related_request, related_row, remove, service_attributes,
};
use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::message::Fields;
use crate::api::router::Route;
use crate::world::{
    AccessScope, Event, Field, Guid, IsolationSegment, Key, Kind, MANAGE_ORG, Org, RoleType, Row,
    SecurityGroup, Selection, ServiceInstance, Space, SpaceQuota, UPDATE_SPACE, WRITE_SPACE, World,
};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v2/spaces", collection::index),
    post("/v2/spaces", create),
    Route::get("/v2/spaces/:guid", collection::show),
    put("/v2/spaces/:guid", update),
    remove("/v2/spaces/:guid", destroy),
    Route::get("/v2/spaces/:guid/summary", summary),
    Route::get("/v2/spaces/:guid/developers", collection::related),
    Route::get("/v2/spaces/:guid/managers", collection::related),
    Route::get("/v2/spaces/:guid/auditors", collection::related),
    Route::get("/v2/spaces/:guid/apps", collection::related),
    Route::get("/v2/spaces/:guid/routes", collection::related),
    Route::get("/v2/spaces/:guid/domains", domains),
    Route::get("/v2/spaces/:guid/service_instances", index_instances),
    Route::get("/v2/spaces/:guid/app_events", collection::related),
    Route::get("/v2/spaces/:guid/events", collection::related),
    Route::get("/v2/spaces/:guid/security_groups", collection::related),
    put("/v2/spaces/:guid/security_groups/:other", bind_group),
    remove("/v2/spaces/:guid/security_groups/:other", unbind_group),
    Route::get(
        "/v2/spaces/:guid/staging_security_groups",
        collection::related,
    ),
    put(
        "/v2/spaces/:guid/staging_security_groups/:other",
        bind_staging_group,
    ),
    remove(
        "/v2/spaces/:guid/staging_security_groups/:other",
        unbind_staging_group,
    ),
    remove("/v2/spaces/:guid/unmapped_routes", delete_unmapped_routes),
    remove("/v2/spaces/:guid/isolation_segment", unset_segment),
];

pub(super) static SPACES: Collection = Collection {
    path: "/v2/spaces",
    source: Source::of::<Space>(),
    get: row::<Space>,
    parse: by_guid,
    relations: &[
        Relation::one("organization", &ORGANIZATIONS, |world, guid| {
            world.org_of(guid).map(Entity::from)
        }),
        Relation::many("developers", &USERS, |world, guid| {
            users_with(world, RoleType::SpaceDeveloper, guid)
        }),
        Relation::many("managers", &USERS, |world, guid| {
            users_with(world, RoleType::SpaceManager, guid)
        }),
        Relation::many("auditors", &USERS, |world, guid| {
            users_with(world, RoleType::SpaceAuditor, guid)
        }),
        Relation::many("apps", &APPS, |world, guid| {
            let apps = world.apps.select(&Selection::by(Field::Space, guid));
            apps.into_iter()
                .filter_map(|app| web_app(world, app))
                .collect()
        }),
        Relation::many("routes", &HTTP_ROUTES, |world, guid| {
            rows_by::<crate::world::Route>(world, Field::Space, guid)
        }),
        Relation::many("domains", &DOMAINS, |world, guid| {
            let org = world.org_of(guid).map(Row::guid);
            let domains = world.domains.iter();
            let usable = domains.filter(|domain| org.is_some_and(|org| domain.is_usable_by(org)));
            usable.map(Entity::from).collect()
        }),
        Relation::many("service_instances", &SERVICE_INSTANCES, |world, guid| {
            rows_by::<ServiceInstance>(world, Field::Space, guid)
        }),
        Relation::link("app_events", &APP_EVENTS, |_, _| Vec::new()),
        Relation::link("events", &EVENTS, |world, guid| {
            super::events::so_far(world, rows_by::<Event>(world, Field::Space, guid))
        }),
        Relation::many("security_groups", &SECURITY_GROUPS, |world, guid| {
            groups(world, |group| {
                group.running_default || group.running_spaces.contains(&guid)
            })
        }),
        Relation::many(
            "staging_security_groups",
            &SECURITY_GROUPS,
            |world, guid| {
                groups(world, |group| {
                    group.staging_default || group.staging_spaces.contains(&guid)
                })
            },
        ),
        Relation::one(
            "space_quota_definition",
            &SPACE_QUOTA_DEFINITIONS,
            |world, guid| {
                let quota = world.spaces.get(guid)?.quota?;
                world.space_quotas.get(quota).map(Entity::from)
            },
        ),
    ],
    filters: &[
        Filter::NAME,
        Filter::guid("organization_guid", |_, space| match space {
            Entity::Space(space) => vec![space.org.to_string()],
            _ => Vec::new(),
        })
        .indexed(Field::Org),
        Filter::guid("developer_guid", |world, space| {
            ids_of(users_with(world, RoleType::SpaceDeveloper, space.guid()))
        }),
        Filter::guid("app_guid", |world, space| {
            let apps = world
                .apps
                .select(&Selection::by(Field::Space, space.guid()));
            apps.iter().map(|app| app.guid().to_string()).collect()
        }),
        Filter::text("isolation_segment_guid", |_, space| match space {
            Entity::Space(space) => space.segment.iter().map(Guid::to_string).collect(),
            _ => Vec::new(),
        }),
    ],
    order_by: &["id", "name"],
    not_found: (
        40004,
        "CF-SpaceNotFound",
        "The app space could not be found",
    ),
};

const ATTRIBUTES: &[Attribute] = &[
    Attribute::text("name").required(),
    Attribute::boolean("allow_ssh").preset(Preset::Boolean(true)),
    Attribute::text("isolation_segment_guid"),
    Attribute::text("organization_guid").required(),
    Attribute::text("space_quota_definition_guid"),
    Attribute::texts("developer_guids"),
    Attribute::texts("manager_guids"),
    Attribute::texts("auditor_guids"),
    Attribute::texts("domain_guids"),
    Attribute::texts("service_instance_guids"),
    Attribute::texts("security_group_guids"),
    Attribute::texts("staging_security_group_guids"),
];

/// The roles for lists of users in a request.
const ROLES: [(&str, RoleType); 3] = [
    ("developer_guids", RoleType::SpaceDeveloper),
    ("manager_guids", RoleType::SpaceManager),
    ("auditor_guids", RoleType::SpaceAuditor),
];

fn groups<'w>(world: &'w World, keep: impl Fn(&SecurityGroup) -> bool) -> Vec<Entity<'w>> {
    let groups = world.security_groups.iter().filter(|group| keep(group));
    groups.map(Entity::from).collect()
}

pub(super) fn attributes(space: &Space) -> Value {
    let mut attributes = json!({
        "name": space.name,
        "organization_guid": space.org,
        "space_quota_definition_guid": space.quota,
        "isolation_segment_guid": space.segment,
        "allow_ssh": space.allows_ssh,
    });
    if let Some(segment) = space.segment {
        attributes["isolation_segment_url"] = json!(format!("/v3/isolation_segments/{segment}"));
    }
    attributes
}

fn taken(name: &str) -> CcError {
    let detail = format!("The app space name is taken: {name}");
    CcError::new(400, 40002, "CF-SpaceNameTaken", detail)
}

fn invalid(reason: &str) -> CcError {
    let detail = format!("The app space info is invalid: {reason}");
    CcError::new(400, 40001, "CF-SpaceInvalid", detail)
}

/// Checks a name in an organization as the Cloud Controller's model does.
fn validate_name(
    context: &RequestContext<'_>,
    name: &str,
    org: Guid,
    own: Option<Guid>,
) -> Result<(), CcError> {
    if let Some(error) = name_error(name) {
        return Err(invalid(&error));
    }
    let holder = context.world.find_space(org, name).map(Row::guid);
    match holder {
        Some(holder) if Some(holder) != own => Err(taken(name)),
        _ => Ok(()),
    }
}

/// The isolation segment of a request, to which the organization must be entitled.
fn read_segment(
    context: &RequestContext<'_>,
    attributes: Fields<'_>,
    org: Guid,
) -> Result<Option<Guid>, CcError> {
    let Some(text) = attributes.text("isolation_segment_guid") else {
        return Ok(None);
    };
    let found = context.world.look_up::<IsolationSegment>(text);
    let segment = found.ok_or_else(|| {
        let detail = "Isolation Segment not found";
        CcError::new(404, 10010, "CF-ResourceNotFound", detail)
    })?;
    if !segment.orgs.contains(&org) {
        let detail = "Adding the Isolation Segment to the Space could not be completed: \
             Only Isolation Segments in the Organization's allowed list can be used.";
        return Err(CcError::new(400, 10008, "CF-UnableToPerform", detail));
    }
    Ok(Some(segment.guid()))
}

/// The security groups of a request.
fn read_groups(
    context: &RequestContext<'_>,
    attributes: Fields<'_>,
    name: &str,
) -> Result<Option<Vec<Guid>>, CcError> {
    let Some(texts) = attributes.texts(name) else {
        return Ok(None);
    };
    let groups = texts.into_iter().map(|text| {
        let group = found_by_guid::<SecurityGroup>(context.world, "SecurityGroup", text);
        group.map(Row::guid)
    });
    groups.collect::<Result<_, _>>().map(Some)
}

fn create(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let attributes = schema::of_new(&body, ATTRIBUTES)?;
    let name = attributes.text("name").unwrap_or_default();
    let org = attributes.text("organization_guid").unwrap_or_default();
    let org = related_row::<Org>(context.world, "Organization", org)?.guid();
    let quota = attributes.text("space_quota_definition_guid");
    let quota = quota
        .map(|quota| related_row::<SpaceQuota>(context.world, "SpaceQuotaDefinition", quota))
        .transpose()?;
    if quota.is_some_and(|quota| quota.org != org) {
        return Err(invalid("space_quota_definition invalid_organization"));
    }
    let quota = quota.map(Row::guid);
    let running = read_groups(context, attributes, "security_group_guids")?;
    let staging = read_groups(context, attributes, "staging_security_group_guids")?;
    validate_name(context, name, org, None)?;
    let segment = read_segment(context, attributes, org)?;
    authorize(context, MANAGE_ORG, AccessScope::Org(org))?;
    let base = context.world.base();
    let guid = context.world.add(Space {
        base,
        name: name.trim().into(),
        org,
        suspended: false,
        segment,
        allows_ssh: attributes.boolean("allow_ssh").unwrap_or(true),
        quota,
    });
    bind_groups(context.world, guid, running, staging);
    let request = Value::Object(schema::audited_new(&body, ATTRIBUTES));
    let place = (org, Some(guid));
    if let Err(refusal) = assign_all(context, attributes, &ROLES, place, &request) {
        context.world.delete(Kind::Space, guid);
        return Err(refusal);
    }
    context
        .world
        .record_space(guid, "audit.space.create", request);
    SPACES.created(context, guid)
}

fn update(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let attributes = schema::of_change(&body, ATTRIBUTES)?;
    let guid = known(context, &SPACES)?;
    let org = context.row::<Space>(guid)?.org;
    if attributes.has("isolation_segment_guid") {
        authorize(context, MANAGE_ORG, AccessScope::Org(org))?;
    }
    let segment = read_segment(context, attributes, org)?;
    authorize(context, UPDATE_SPACE, AccessScope::Space(guid))?;
    if let Some(other) = attributes.text("organization_guid") {
        let other = related_row::<Org>(context.world, "Organization", other)?;
        if other.guid() != org {
            let detail = "Cannot change organization";
            return Err(CcError::new(
                400,
                30007,
                "CF-OrganizationAlreadySet",
                detail,
            ));
        }
    }
    let running = read_groups(context, attributes, "security_group_guids")?;
    let staging = read_groups(context, attributes, "staging_security_group_guids")?;
    if let Some(name) = attributes.text("name") {
        validate_name(context, name, org, Some(guid))?;
    }
    let request = Value::Object(schema::audited_change(&body, ATTRIBUTES));
    assign_all(context, attributes, &ROLES, (org, Some(guid)), &request)?;
    context.world.update_row(guid, |space: &mut Space| {
        if let Some(name) = attributes.text("name") {
            space.name = name.trim().into();
        }
        if let Some(allowed) = attributes.boolean("allow_ssh") {
            space.allows_ssh = allowed;
        }
        space.segment = segment.or(space.segment);
    });
    bind_groups(context.world, guid, running, staging);
    context
        .world
        .record_space(guid, "audit.space.update", request);
    SPACES.changed(context, guid)
}

/// Binds exactly these security groups to a space. `None` keeps the current bindings.
fn bind_groups(
    world: &mut World,
    space: Guid,
    running: Option<Vec<Guid>>,
    staging: Option<Vec<Guid>>,
) {
    let all: Vec<Guid> = world.security_groups.iter().map(Row::guid).collect();
    for guid in all {
        for (asked, of_running) in [(&running, true), (&staging, false)] {
            if let Some(asked) = asked {
                set_bound(world, guid, space, of_running, asked.contains(&guid));
            }
        }
    }
}

/// Binds a security group to a space, or unbinds it.
pub(super) fn set_bound(world: &mut World, group: Guid, space: Guid, running: bool, bound: bool) {
    world.security_groups.update(group, |group| {
        let spaces = match running {
            true => &mut group.running_spaces,
            false => &mut group.staging_spaces,
        };
        spaces.retain(|other| *other != space);
        if bound {
            spaces.push(space);
        }
    });
}

fn destroy(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = known(context, &SPACES)?;
    let space: &Space = context.row(guid)?;
    authorize(context, MANAGE_ORG, AccessScope::Org(space.org))?;
    if !is_recursive(context) {
        let of_space = Key::Guid(Field::Space, guid);
        let world = &*context.world;
        let apps = world.processes.count(&of_space) > 0;
        let routes = world.routes.count(&of_space) > 0;
        let kept: Vec<&str> = [(apps, "processes"), (routes, "routes")]
            .into_iter()
            .filter_map(|(kept, association)| kept.then_some(association))
            .collect();
        if !kept.is_empty() {
            return Err(super::association_not_empty(&kept.join(", "), "spaces"));
        }
        if world.service_instances.count(&of_space) > 0 || world.apps.count(&of_space) > 0 {
            let detail = format!(
                "Resource inside space {} must first be deleted, or specify recursive delete.",
                space.name
            );
            let title = "CF-NonrecursiveSpaceDeletionFailed";
            return Err(CcError::new(400, 290_011, title, detail));
        }
    }
    let request = json!({"recursive": is_recursive(context)});
    context
        .world
        .record_space(guid, "audit.space.delete-request", request);
    Ok(delete(context, "space.delete", Kind::Space, guid))
}

/// `GET /v2/spaces/:guid/summary`: all apps of a space with their instances.
fn summary(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = SPACES.readable(context)?;
    let view = context.view();
    let world = &*context.world;
    let name = world.spaces.get(guid).map(|space| &space.name);
    let processes = world.processes.select(&Selection::by(Field::Space, guid));
    let apps: Vec<Value> = processes
        .into_iter()
        .filter(|process| process.kind == "web")
        .filter_map(|process| apps::summarize_in_space(process, &view))
        .collect();
    Ok(Response::ok(&json!({
        "guid": guid,
        "name": name,
        "apps": apps,
        "services": service_attributes::summarize_of_space(world, guid),
    })))
}

fn domains(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let answer = collection::related(context)?;
    Ok(answer.with_warnings(Some("Endpoint deprecated".into())))
}

/// Lists only managed services, unless the request sets
/// `return_user_provided_service_instances`.
fn index_instances(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    const ALL: &str = "return_user_provided_service_instances";
    let guid = SPACES.readable(context)?;
    let query = Query::read(context, &SERVICE_INSTANCES, false)?;
    let provided = context.request.query(ALL) == Some("true");
    let usable = service_attributes::usable_in(context.world, guid).into_iter();
    let found = usable.filter(|instance| provided || instance.managed.is_some());
    let found = found.map(Entity::from).collect();
    let path = format!("/v2/spaces/{guid}/service_instances");
    Ok(query.answer(context, &SERVICE_INSTANCES, found, &path))
}

fn change_group(
    context: &mut RequestContext<'_>,
    running: bool,
    bound: bool,
) -> Result<Guid, CcError> {
    let guid = known(context, &SPACES)?;
    authorize(context, UPDATE_SPACE, AccessScope::Space(guid))?;
    let other = context.capture("other");
    let group = found_by_guid::<SecurityGroup>(context.world, "SecurityGroup", other)?.guid();
    let (singular, relation) = match running {
        true => ("security_group", "security_groups"),
        false => ("staging_security_group", "staging_security_groups"),
    };
    let verb = if bound { "add" } else { "remove" };
    let request = related_request(singular, verb, relation, other);
    set_bound(context.world, group, guid, running, bound);
    context
        .world
        .record_space(guid, "audit.space.update", request);
    Ok(guid)
}

fn bind_group(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = change_group(context, true, true)?;
    SPACES.changed(context, guid)
}

fn unbind_group(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    change_group(context, true, false)?;
    Ok(Response::empty(204))
}

fn bind_staging_group(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = change_group(context, false, true)?;
    SPACES.changed(context, guid)
}

fn unbind_staging_group(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    change_group(context, false, false)?;
    Ok(Response::empty(204))
}

fn delete_unmapped_routes(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = SPACES.readable(context)?;
    let routes = Key::Guid(Field::Space, guid);
    if context.world.routes.count(&routes) > 0 {
        authorize(context, WRITE_SPACE, AccessScope::Space(guid))?;
    }
    context.world.delete(Kind::UnmappedRoutes, guid);
    Ok(Response::empty(204))
}

fn unset_segment(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = known(context, &SPACES)?;
    let org = context.row::<Space>(guid)?.org;
    authorize(context, MANAGE_ORG, AccessScope::Org(org))?;
    context
        .world
        .update_row(guid, |space: &mut Space| space.segment = None);
    let presented = SPACES.present(context, guid)?;
    Ok(Response::ok(&presented))
}
