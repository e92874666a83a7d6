//! `/v2/space_quota_definitions`

use serde_json::{Value, json};

use super::collection::{self, Collection, Relation, by_guid, row, rows_by};
use super::entity::Entity;
use super::organizations::ORGANIZATIONS;
use super::quota_definitions::{limit_errors, limits, read_limits};
use super::schema::{self, Attribute};
use super::source::Source;
use super::spaces::SPACES;
use super::{authorize, delete, found_by_guid, known, post, put, related_row, remove};
use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::message::Fields;
use crate::api::router::Route;
use crate::world::{
    AccessScope, Field, Guid, Key, Kind, Limits, MANAGE_ORG, Org, Row, Selection, Space, SpaceQuota,
};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v2/space_quota_definitions", collection::index),
    post("/v2/space_quota_definitions", create),
    Route::get("/v2/space_quota_definitions/:guid", collection::show),
    put("/v2/space_quota_definitions/:guid", update),
    remove("/v2/space_quota_definitions/:guid", destroy),
    Route::get(
        "/v2/space_quota_definitions/:guid/spaces",
        collection::related,
    ),
    put("/v2/space_quota_definitions/:guid/spaces/:other", apply),
    remove("/v2/space_quota_definitions/:guid/spaces/:other", unapply),
];

pub(super) static SPACE_QUOTA_DEFINITIONS: Collection = Collection {
    path: "/v2/space_quota_definitions",
    source: Source::of::<SpaceQuota>(),
    get: row::<SpaceQuota>,
    parse: by_guid,
    relations: &[
        Relation::one("organization", &ORGANIZATIONS, |world, guid| {
            let quota = world.space_quotas.get(guid)?;
            world.orgs.get(quota.org).map(Entity::from)
        }),
        Relation::many("spaces", &SPACES, |world, guid| {
            rows_by::<Space>(world, Field::Quota, guid)
        }),
    ],
    filters: &[],
    order_by: &[],
    not_found: (
        310_007,
        "CF-SpaceQuotaDefinitionNotFound",
        "Space Quota Definition could not be found",
    ),
};

const ATTRIBUTES: &[Attribute] = &[
    Attribute::text("name").required(),
    Attribute::boolean("non_basic_services_allowed").required(),
    Attribute::integer("total_services").required(),
    Attribute::integer("total_service_keys"),
    Attribute::integer("total_routes").required(),
    Attribute::integer("memory_limit").required(),
    Attribute::integer("instance_memory_limit"),
    Attribute::integer("app_instance_limit"),
    Attribute::integer("app_task_limit"),
    Attribute::integer("total_reserved_route_ports"),
    Attribute::text("organization_guid").required(),
];

pub(super) fn attributes(quota: &SpaceQuota) -> Value {
    let mut attributes = limits(&quota.limits);
    attributes["name"] = json!(quota.name);
    attributes["organization_guid"] = json!(quota.org);
    attributes
}

fn validate(
    context: &RequestContext<'_>,
    attributes: Fields<'_>,
    limits: &Limits,
    org: Guid,
    own: Option<Guid>,
) -> Result<(), CcError> {
    const CHECKED: [&str; 5] = [
        "memory_limit",
        "instance_memory_limit",
        "app_instance_limit",
        "app_task_limit",
        "total_service_keys",
    ];
    const RESERVED_PORTS: &str = "Total reserved ports must be -1, 0, or a positive integer, must be less than or equal to total routes, and must be less than or equal to total reserved ports for the organization quota.";
    if let Some(name) = attributes.text("name") {
        let named = Selection::by(Field::Org, org).any(vec![Key::text(SpaceQuota::NAME, name)]);
        let holders = context.world.space_quotas.select(&named);
        if holders.iter().any(|holder| Some(holder.guid()) != own) {
            let detail = format!("The space quota definition name is taken: {name}");
            let title = "CF-SpaceQuotaDefinitionNameTaken";
            return Err(CcError::new(400, 310_002, title, detail));
        }
    }
    let mut errors = Vec::new();
    if attributes
        .text("name")
        .is_some_and(|name| name.trim().is_empty())
    {
        errors.push("name presence".to_owned());
    }
    errors.extend(limit_errors(attributes, &CHECKED));
    let of_org = context.world.orgs.get(org);
    let of_org = of_org.and_then(|org| context.world.quotas.get(org.quota));
    let of_org = of_org.and_then(|quota| quota.limits.reserved_ports);
    let above = |limit: Option<u64>| {
        let both = limits.reserved_ports.zip(limit);
        both.is_some_and(|(ports, limit)| ports > limit)
    };
    let ports = attributes.integer("total_reserved_route_ports");
    if above(limits.routes) || above(of_org) || ports.is_some_and(|ports| ports < -1) {
        errors.push(format!("total_reserved_route_ports {RESERVED_PORTS}"));
    }
    match errors.as_slice() {
        [] => Ok(()),
        errors => {
            let detail = format!("Space Quota Definition is invalid: {}", errors.join(", "));
            let title = "CF-SpaceQuotaDefinitionInvalid";
            Err(CcError::new(400, 310_001, title, detail))
        }
    }
}

fn create(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let attributes = schema::of_new(&body, ATTRIBUTES)?;
    let org = attributes.text("organization_guid").unwrap_or_default();
    let org = related_row::<Org>(context.world, "Organization", org)?.guid();
    let new = Limits {
        tasks: Some(5),
        ..Limits::of_new_quota()
    };
    let limits = read_limits(attributes, new);
    validate(context, attributes, &limits, org, None)?;
    authorize(context, MANAGE_ORG, AccessScope::Org(org))?;
    let base = context.world.base();
    let guid = context.world.add(SpaceQuota {
        base,
        name: attributes.text("name").unwrap_or_default().into(),
        org,
        limits,
    });
    SPACE_QUOTA_DEFINITIONS.created(context, guid)
}

/// The quota that the path names, if the caller may change it, and its organization.
fn find(context: &RequestContext<'_>) -> Result<(Guid, Guid), CcError> {
    let guid = known(context, &SPACE_QUOTA_DEFINITIONS)?;
    let org = context.row::<SpaceQuota>(guid)?.org;
    authorize(context, MANAGE_ORG, AccessScope::Org(org))?;
    Ok((guid, org))
}

fn update(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let attributes = schema::of_change(&body, ATTRIBUTES)?;
    let (guid, org) = find(context)?;
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
    let limits = context.row::<SpaceQuota>(guid)?.limits.clone();
    let limits = read_limits(attributes, limits);
    validate(context, attributes, &limits, org, Some(guid))?;
    context.world.update_row(guid, |quota: &mut SpaceQuota| {
        if let Some(name) = attributes.text("name") {
            quota.name = name.into();
        }
        quota.limits = limits;
    });
    SPACE_QUOTA_DEFINITIONS.changed(context, guid)
}

fn destroy(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let (guid, _) = find(context)?;
    let applied = Selection::by(Field::Quota, guid);
    for space in context.world.spaces.guids_newest_first(&applied) {
        set_quota(context, space, None);
    }
    let operation = "space_quota_definition.delete";
    Ok(delete(context, operation, Kind::SpaceQuota, guid))
}

fn set_quota(context: &mut RequestContext<'_>, space: Guid, quota: Option<Guid>) {
    context
        .world
        .spaces
        .update(space, |space| space.quota = quota);
}

fn apply(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let (guid, org) = find(context)?;
    let space = found_by_guid::<Space>(context.world, "Space", context.capture("other"))?;
    if space.org != org {
        let detail = "The app space info is invalid: space_quota_definition invalid_organization";
        return Err(CcError::new(400, 40001, "CF-SpaceInvalid", detail));
    }
    let space = space.guid();
    set_quota(context, space, Some(guid));
    SPACE_QUOTA_DEFINITIONS.changed(context, guid)
}

fn unapply(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let (guid, _) = find(context)?;
    let space = found_by_guid::<Space>(context.world, "Space", context.capture("other"))?;
    if space.quota == Some(guid) {
        let space = space.guid();
        set_quota(context, space, None);
    }
    Ok(Response::empty(204))
}
