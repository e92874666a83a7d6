//! `/v2/organizations`

use serde_json::{Value, json};

use super::attributes::Attributes;
use super::list::{Filters, Query};
use super::{
    Errors, association_not_empty, check_name, delete, invalid_relation, is_recursive, related,
    resource, spaces,
};
use crate::api::context::{RequestContext, View};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::router::Route;
use crate::world::{Field, Guid, Key, Kind, Org, Quota, Row};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v2/organizations", index),
    Route::post("/v2/organizations", create),
    Route::get("/v2/organizations/:guid", show),
    Route::put("/v2/organizations/:guid", update),
    Route::delete("/v2/organizations/:guid", destroy),
    Route::get("/v2/organizations/:guid/spaces", index_spaces),
];

const FILTERS: Filters = &[("name", Field::Name)];

pub(super) const ERRORS: Errors = Errors {
    not_found: (
        30003,
        "CF-OrganizationNotFound",
        "The organization could not be found",
    ),
    name_taken: (
        30002,
        "CF-OrganizationNameTaken",
        "The organization name is taken",
    ),
};

fn present(org: &Org, _view: &View<'_>) -> Value {
    let path = format!("/v2/organizations/{}", org.base.guid);
    let mut entity = json!({
        "name": org.name,
        "billing_enabled": false,
        "quota_definition_guid": org.quota,
        "status": if org.suspended { "suspended" } else { "active" },
        "default_isolation_segment_guid": org.default_segment,
        "quota_definition_url": format!("/v2/quota_definitions/{}", org.quota),
    });
    for relation in [
        "spaces",
        "domains",
        "private_domains",
        "users",
        "managers",
        "billing_managers",
        "auditors",
        "app_events",
        "space_quota_definitions",
    ] {
        entity[format!("{relation}_url")] = json!(format!("{path}/{relation}"));
    }
    resource(&org.base, "organizations", entity)
}

pub(super) fn find(context: &RequestContext<'_>) -> Result<Guid, CcError> {
    ERRORS.find::<Org>(context)
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let query = Query::read(context, FILTERS)?;
    Ok(query.answer(context, &query.selection(), |_| true, present))
}

fn invalid(reason: &str) -> CcError {
    CcError::new(
        400,
        30001,
        "CF-OrganizationInvalid",
        format!("The organization info is invalid: {reason}"),
    )
}

fn create(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let mut attributes = Attributes::new(&body);
    let name = attributes.text("name").unwrap_or_default();
    let quota = attributes.optional_text("quota_definition_guid");
    attributes.finish()?;
    check_name(name, invalid)?;
    if context.world.name_taken::<Org>(name, None) {
        return Err(ERRORS.taken(name));
    }
    let quota = match quota {
        Some(guid) => find_quota(context, guid)?,
        None => context
            .world
            .default_quota()
            .map(|quota| quota.base.guid)
            .ok_or_else(|| invalid_relation("QuotaDefinition", "default"))?,
    };
    let base = context.world.base();
    let guid = context.world.add(Org {
        base,
        name: name.into(),
        suspended: false,
        quota,
        default_segment: None,
    });
    context.created(guid, present)
}

fn find_quota(context: &RequestContext<'_>, text: &str) -> Result<Guid, CcError> {
    related::<Quota>(context.world, "QuotaDefinition", text).map(Row::guid)
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    context.ok(find(context)?, present)
}

fn update(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find(context)?;
    let body = context.request.object()?;
    let mut attributes = Attributes::new(&body);
    let name = attributes.optional_text("name");
    let quota = attributes.optional_text("quota_definition_guid");
    attributes.finish()?;
    name.map_or(Ok(()), |name| check_name(name, invalid))?;
    if let Some(name) = name.filter(|name| context.world.name_taken::<Org>(name, Some(guid))) {
        return Err(ERRORS.taken(name));
    }
    let quota = quota.map(|quota| find_quota(context, quota)).transpose()?;
    context.world.touch(guid, |org: &mut Org| {
        org.name = name.map_or_else(|| std::mem::take(&mut org.name), str::to_owned);
        org.quota = quota.unwrap_or(org.quota);
    });
    context.created(guid, present)
}

fn destroy(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find(context)?;
    let has_spaces = context.world.spaces.count(&Key::Guid(Field::Org, guid)) > 0;
    if has_spaces && !is_recursive(context) {
        return Err(association_not_empty("spaces", "organizations"));
    }
    Ok(delete(context, "organization.delete", Kind::Org, guid))
}

fn index_spaces(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let org = find(context)?;
    spaces::list(context, Some(org))
}
