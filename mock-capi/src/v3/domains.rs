//! `/v3/domains`, and the domains of an organization

use serde_json::{Value, json};

use crate::call::{Call, View, to_many, to_one};
use crate::error::CcError;
use crate::http::Response;
use crate::list::{ListQuery, ListSpec};
use crate::router::Route;
use crate::world::{Domain, Field, Guid, Row};

use super::organizations;

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v3/domains", index),
    Route::get("/v3/domains/:guid", show),
];

const LIST: ListSpec = ListSpec::of(&["names", "organization_guids", "label_selector"]);

pub(crate) fn present(domain: &Domain, view: &View<'_>) -> Value {
    let path = format!("/v3/domains/{}", domain.base.guid);
    let mut links = json!({
        "self": view.link(&path),
        "route_reservations": view.link(&format!("{path}/route_reservations")),
    });
    if let Some(org) = domain.org {
        links["organization"] = view.link(&format!("/v3/organizations/{org}"));
        links["shared_organizations"] =
            view.link(&format!("{path}/relationships/shared_organizations"));
    }
    json!({
        "guid": domain.base.guid,
        "created_at": domain.base.created,
        "updated_at": domain.base.updated,
        "name": domain.name,
        "internal": false,
        "router_group": null,
        "supported_protocols": ["http"],
        "relationships": {
            "organization": to_one(domain.org),
            "shared_organizations": to_many([]),
        },
        "metadata": domain.base.metadata.present(),
        "links": links,
    })
}

fn index(call: &mut Call<'_>) -> Result<Response, CcError> {
    list(call, None)
}

/// `GET /v3/organizations/:guid/domains`
pub(crate) fn index_of_org(call: &mut Call<'_>) -> Result<Response, CcError> {
    let org = organizations::find(call)?;
    list(call, Some(org))
}

/// `GET /v3/organizations/:guid/domains/default`
pub(crate) fn default_of_org(call: &mut Call<'_>) -> Result<Response, CcError> {
    let org = organizations::find(call)?;
    let domain = call.world.default_domain(org);
    let domain = domain.ok_or_else(|| CcError::not_found(Domain::KIND))?;
    Ok(Response::ok(&present(domain, &call.view())))
}

fn list(call: &Call<'_>, usable_by: Option<Guid>) -> Result<Response, CcError> {
    let query = ListQuery::read(call, &LIST)?;
    let selection = query.by_texts(query.selection(), "names", Field::Name);
    let selection = query.by_guids(selection, "organization_guids", Field::Org);
    let usable =
        |domain: &Domain| usable_by.is_none_or(|org| call.world.domain_is_usable(domain, org));
    query.respond(call, &selection, usable, present)
}

fn show(call: &mut Call<'_>) -> Result<Response, CcError> {
    call.show("guid", present)
}
