//! `/v2/spaces`

use serde_json::{Value, json};

use super::attributes::Attributes;
use super::list::{Filters, Query};
use super::{
    Errors, apps, association_not_empty, check_name, delete, is_recursive, related, resource,
    routes, security_groups, services,
};
use crate::api::context::{RequestContext, View};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::router::Route;
use crate::world::{Field, Guid, Key, Kind, Org, Row, Selection, Space};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v2/spaces", index),
    Route::post("/v2/spaces", create),
    Route::get("/v2/spaces/:guid", show),
    Route::delete("/v2/spaces/:guid", destroy),
    Route::get("/v2/spaces/:guid/summary", summary),
    Route::get("/v2/spaces/:guid/apps", index_apps),
    Route::get("/v2/spaces/:guid/routes", index_routes),
    Route::get("/v2/spaces/:guid/security_groups", index_security_groups),
];

const FILTERS: Filters = &[("name", Field::Name), ("organization_guid", Field::Org)];

pub(super) const ERRORS: Errors = Errors {
    not_found: (
        40004,
        "CF-SpaceNotFound",
        "The app space could not be found",
    ),
    name_taken: (40002, "CF-SpaceNameTaken", "The app space name is taken"),
};

pub(super) fn present(space: &Space, _view: &View<'_>) -> Value {
    let path = format!("/v2/spaces/{}", space.base.guid);
    let mut entity = json!({
        "name": space.name,
        "organization_guid": space.org,
        "space_quota_definition_guid": space.quota,
        "isolation_segment_guid": space.segment,
        "allow_ssh": space.allows_ssh,
        "organization_url": format!("/v2/organizations/{}", space.org),
    });
    for relation in [
        "developers",
        "managers",
        "auditors",
        "apps",
        "routes",
        "domains",
        "service_instances",
        "app_events",
        "events",
        "security_groups",
        "staging_security_groups",
    ] {
        entity[format!("{relation}_url")] = json!(format!("{path}/{relation}"));
    }
    resource(&space.base, "spaces", entity)
}

pub(super) fn find(context: &RequestContext<'_>) -> Result<Guid, CcError> {
    ERRORS.find::<Space>(context)
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    list(context, None)
}

/// Spaces; of one organization, if that is given.
pub(super) fn list(context: &RequestContext<'_>, org: Option<Guid>) -> Result<Response, CcError> {
    let query = Query::read(context, FILTERS)?;
    let mut selection = query.selection();
    for orgs in [query.orgs(), org.map(|org| vec![org])]
        .into_iter()
        .flatten()
    {
        selection = selection.any_guid(Field::Org, orgs);
    }
    Ok(query.answer(context, &selection, |_| true, present))
}

fn invalid(reason: &str) -> CcError {
    CcError::new(
        400,
        40001,
        "CF-SpaceInvalid",
        format!("The app space info is invalid: {reason}"),
    )
}

fn create(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let mut attributes = Attributes::new(&body);
    let name = attributes.text("name").unwrap_or_default();
    let org_guid = attributes.text("organization_guid").unwrap_or_default();
    attributes.finish()?;
    check_name(name, invalid)?;
    let org = related::<Org>(context.world, "Organization", org_guid)?.guid();
    if context.world.find_space(org, name).is_some() {
        return Err(ERRORS.taken(name));
    }
    let base = context.world.base();
    let guid = context.world.add(Space {
        base,
        name: name.into(),
        org,
        suspended: false,
        segment: None,
        allows_ssh: true,
        quota: None,
    });
    context.created(guid, present)
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    context.ok(find(context)?, present)
}

fn destroy(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find(context)?;
    for (used, association) in [
        (
            context.world.apps.count(&Key::Guid(Field::Space, guid)),
            "apps",
        ),
        (
            context.world.routes.count(&Key::Guid(Field::Space, guid)),
            "routes",
        ),
    ] {
        if used > 0 && !is_recursive(context) {
            return Err(association_not_empty(association, "spaces"));
        }
    }
    Ok(delete(context, "space.delete", Kind::Space, guid))
}

/// `GET /v2/spaces/:guid/summary`: all apps of a space with their instances.
fn summary(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find(context)?;
    let world = &*context.world;
    let name = world.spaces.get(guid).map(|space| &space.name);
    let processes = world.processes.select(&Selection::by(Field::Space, guid));
    let apps: Vec<Value> = processes
        .into_iter()
        .filter(|process| process.kind == "web")
        .filter_map(|process| apps::summarize(world, process))
        .collect();
    Ok(Response::ok(&json!({
        "guid": guid,
        "name": name,
        "apps": apps,
        "services": services::summarize_of_space(world, guid),
    })))
}

fn index_apps(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let space = find(context)?;
    apps::list(context, Some((Field::Space, vec![space])))
}

fn index_routes(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let space = find(context)?;
    routes::list(context, Some((Field::Space, space)))
}

fn index_security_groups(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let space = find(context)?;
    security_groups::list(context, Some(space))
}
