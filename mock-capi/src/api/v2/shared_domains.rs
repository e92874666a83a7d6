//! `/v2/shared_domains`

use serde_json::{Value, json};

use super::list::{Filters, Query};
use super::{Errors, resource};
use crate::api::context::{RequestContext, View};
use crate::api::error::CcError;
use crate::api::fixtures::SHARED_DOMAINS;
use crate::api::http::Response;
use crate::api::router::Route;
use crate::world::{Domain, Field};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v2/shared_domains", index),
    Route::get("/v2/shared_domains/:guid", show),
];

const FILTERS: Filters = &[("name", Field::Name)];

pub(super) const ERRORS: Errors = Errors {
    not_found: (
        130_002,
        "CF-DomainNotFound",
        "The domain could not be found",
    ),
    name_taken: (130_003, "CF-DomainNameTaken", "The domain name is taken"),
};

fn present(domain: &Domain, _view: &View<'_>) -> Value {
    let entity = json!({
        "name": domain.name,
        "router_group_guid": null,
        "router_group_type": null,
    });
    SHARED_DOMAINS.fill_resource(resource(&domain.base, "shared_domains", entity))
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let query = Query::read(context, FILTERS)?;
    let shared = |domain: &Domain| domain.org.is_none();
    Ok(query.answer(context, &query.selection(), shared, present))
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = ERRORS.find::<Domain>(context)?;
    context.ok(guid, present)
}
