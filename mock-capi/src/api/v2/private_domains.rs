//! `/v2/private_domains`

use serde_json::{Value, json};

use super::list::{Filters, Query};
use super::{organizations, resource};
use crate::api::context::{RequestContext, View};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::router::Route;
use crate::world::{Domain, Field, Guid};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v2/private_domains", index),
    Route::get(
        "/v2/organizations/:guid/private_domains",
        index_of_organization,
    ),
];

const FILTERS: Filters = &[("name", Field::Name)];

fn present(domain: &Domain, _view: &View<'_>) -> Value {
    let path = format!("/v2/private_domains/{}", domain.base.guid);
    let owner = domain.org.map(|org| org.to_string()).unwrap_or_default();
    let entity = json!({
        "name": domain.name,
        "owning_organization_guid": domain.org,
        "owning_organization_url": format!("/v2/organizations/{owner}"),
        "shared_organizations_url": format!("{path}/shared_organizations"),
    });
    resource(&domain.base, "private_domains", entity)
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    list(context, None)
}

fn index_of_organization(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let org = organizations::find(context)?;
    list(context, Some(org))
}

/// Domains of organizations; those that one may use, if that is given.
fn list(context: &RequestContext<'_>, org: Option<Guid>) -> Result<Response, CcError> {
    let query = Query::read(context, FILTERS)?;
    let private =
        |domain: &Domain| domain.org.is_some() && org.is_none_or(|org| domain.is_usable_by(org));
    Ok(query.answer(context, &query.selection(), private, present))
}
