//! `/v3/organizations`

use serde_json::{Value, json};

use crate::call::{Call, View, to_one};
use crate::error::CcError;
use crate::http::Response;
use crate::list::{self, ListQuery, ListSpec};
use crate::message::Message;
use crate::metadata::Metadata;
use crate::router::Route;
use crate::world::{Field, Guid, Kind, Org, name_taken, touch};

use super::domains;

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v3/organizations", index),
    Route::post("/v3/organizations", create),
    Route::get("/v3/organizations/:guid", show),
    Route::patch("/v3/organizations/:guid", update),
    Route::delete("/v3/organizations/:guid", delete),
    Route::get("/v3/organizations/:guid/domains", domains::index_of_org),
    Route::get(
        "/v3/organizations/:guid/domains/default",
        domains::default_of_org,
    ),
];

const LIST: ListSpec = ListSpec {
    order_by: &["name"],
    ..ListSpec::of(&["names", "isolation_segment_guid", "label_selector"])
};

pub(crate) const KIND: &str = "Organization";
pub(crate) const MAX_NAME: usize = 255;

pub(crate) fn present(org: &Org, view: &View<'_>) -> Value {
    let path = format!("/v3/organizations/{}", org.base.guid);
    json!({
        "guid": org.base.guid.to_string(),
        "created_at": org.base.created.to_string(),
        "updated_at": org.base.updated.to_string(),
        "name": org.name,
        "suspended": org.suspended,
        "relationships": {"quota": to_one(Some(org.quota))},
        "metadata": org.metadata.present(),
        "links": {
            "self": view.link(&path),
            "domains": view.link(&format!("{path}/domains")),
            "default_domain": view.link(&format!("{path}/domains/default")),
            "quota": view.link(&format!("/v3/organization_quotas/{}", org.quota)),
        },
    })
}

pub(crate) fn find(call: &Call<'_>) -> Result<Guid, CcError> {
    call.guid_of("guid", |world| &world.orgs, KIND)
}

fn presented(call: &Call<'_>, guid: Guid) -> Result<Value, CcError> {
    call.present(guid, |world| &world.orgs, KIND, present)
}

fn index(call: &mut Call<'_>) -> Result<Response, CcError> {
    let query = ListQuery::read(call, &LIST)?;
    let selection = query.by_texts(query.selection(), "names", Field::Name);
    let view = call.view();
    Ok(list::respond(
        call,
        &query,
        &view.world.orgs,
        &selection,
        |org| present(org, &view),
    ))
}

fn create(call: &mut Call<'_>) -> Result<Response, CcError> {
    let body = call.request.object()?;
    let mut message = Message::new(&body, &["name", "suspended", "metadata"]);
    let name = message.text("name", MAX_NAME).unwrap_or_default();
    let suspended = message.boolean("suspended").unwrap_or_default();
    let patch = message.metadata();
    message.finish()?;
    if name_taken(&call.world.orgs, name, None) {
        let taken = format!("Organization '{name}' already exists.");
        return Err(CcError::unprocessable(taken));
    }
    let quota = call.world.default_quota().map(|quota| quota.base.guid);
    let quota = quota.ok_or_else(|| CcError::unprocessable("quota_definition invalid"))?;
    let mut metadata = Metadata::default();
    metadata.apply(patch);
    let base = call.world.base();
    let guid = base.guid;
    call.world.orgs.insert(Org {
        base,
        name: name.into(),
        suspended,
        quota,
        metadata,
    });
    presented(call, guid).map(|org| Response::created(&org))
}

fn show(call: &mut Call<'_>) -> Result<Response, CcError> {
    presented(call, find(call)?).map(|org| Response::ok(&org))
}

fn update(call: &mut Call<'_>) -> Result<Response, CcError> {
    let guid = find(call)?;
    let body = call.request.object()?;
    let mut message = Message::new(&body, &["name", "suspended", "metadata"]);
    let name = message.optional_text("name", 1..=MAX_NAME);
    let suspended = message.boolean("suspended");
    let patch = message.metadata();
    message.finish()?;
    if let Some(name) = name.filter(|name| name_taken(&call.world.orgs, name, Some(guid))) {
        let taken = format!("Organization name '{name}' is already taken.");
        return Err(CcError::unprocessable(taken));
    }
    let now = call.world.now();
    touch(&mut call.world.orgs, now, guid, |org| {
        org.name = name.map_or_else(|| std::mem::take(&mut org.name), str::to_owned);
        org.suspended = suspended.unwrap_or(org.suspended);
        org.metadata.apply(patch);
    });
    presented(call, guid).map(|org| Response::ok(&org))
}

fn delete(call: &mut Call<'_>) -> Result<Response, CcError> {
    let guid = find(call)?;
    Ok(call.delete_in_job("organization.delete", Kind::Org, guid))
}
