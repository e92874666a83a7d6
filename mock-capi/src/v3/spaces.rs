//! `/v3/spaces`

use serde_json::{Value, json};

use crate::call::{Call, View, to_one};
use crate::error::CcError;
use crate::http::Response;
use crate::list::{ListQuery, ListSpec};
use crate::message::Message;
use crate::metadata::Metadata;
use crate::router::Route;
use crate::world::{Field, Guid, Kind, Row, Space, World, touch};

use super::organizations;

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v3/spaces", index),
    Route::post("/v3/spaces", create),
    Route::get("/v3/spaces/:guid", show),
    Route::patch("/v3/spaces/:guid", update),
    Route::delete("/v3/spaces/:guid", delete),
];

const LIST: ListSpec = ListSpec {
    order_by: &["name"],
    include: &["org", "organization"],
    ..ListSpec::of(&["names", "organization_guids", "include", "label_selector"])
};

pub(crate) const KIND: &str = "Space";
const MAX_NAME: usize = 255;

pub(crate) fn present(space: &Space, view: &View<'_>) -> Value {
    let path = format!("/v3/spaces/{}", space.base.guid);
    json!({
        "guid": space.base.guid.to_string(),
        "created_at": space.base.created.to_string(),
        "updated_at": space.base.updated.to_string(),
        "name": space.name,
        "suspended": space.suspended,
        "relationships": {
            "organization": to_one(Some(space.org)),
            "quota": to_one(None),
        },
        "metadata": space.metadata.present(),
        "links": {
            "self": view.link(&path),
            "organization": view.link(&format!("/v3/organizations/{}", space.org)),
            "features": view.link(&format!("{path}/features")),
            "apply_manifest": view.action("POST", &format!("{path}/actions/apply_manifest")),
        },
    })
}

/// Spaces that resources of a list belong to, each once, presented.
pub(crate) fn present_included(view: &View<'_>, guids: impl Iterator<Item = Guid>) -> Value {
    let spaces = distinct(guids)
        .into_iter()
        .filter_map(|guid| view.world.spaces.get(guid));
    spaces.map(|space| present(space, view)).collect()
}

/// Organizations that resources of a list belong to, each once, presented.
pub(crate) fn present_included_orgs(view: &View<'_>, guids: impl Iterator<Item = Guid>) -> Value {
    let orgs = distinct(guids)
        .into_iter()
        .filter_map(|guid| view.world.orgs.get(guid));
    orgs.map(|org| organizations::present(org, view)).collect()
}

pub(crate) fn distinct(guids: impl Iterator<Item = Guid>) -> Vec<Guid> {
    let mut guids: Vec<Guid> = guids.collect();
    guids.sort_unstable();
    guids.dedup();
    guids
}

pub(crate) fn find(call: &Call<'_>) -> Result<Guid, CcError> {
    call.guid_of("guid", |world| &world.spaces, KIND)
}

fn presented(call: &Call<'_>, guid: Guid) -> Result<Value, CcError> {
    call.present(guid, |world| &world.spaces, KIND, present)
}

fn index(call: &mut Call<'_>) -> Result<Response, CcError> {
    let query = ListQuery::read(call, &LIST)?;
    let selection = query.by_texts(query.selection(), "names", Field::Name);
    let selection = query.by_guids(selection, "organization_guids", Field::Org);
    let view = call.view();
    let page = query.page(&view.world.spaces, &selection, |_| true);
    let mut answer = query.answer(call, &page, |space| present(space, &view));
    if query.includes("org") || query.includes("organization") {
        let orgs = page.rows.iter().map(|space| space.org);
        answer["included"] = json!({"organizations": present_included_orgs(&view, orgs)});
    }
    Ok(Response::ok(&answer))
}

fn create(call: &mut Call<'_>) -> Result<Response, CcError> {
    let body = call.request.object()?;
    let mut message = Message::new(&body, &["name", "relationships", "suspended", "metadata"]);
    let org = message.relationships(&["organization"], |inner| inner.related("organization"));
    let name = message.text("name", MAX_NAME).unwrap_or_default();
    let suspended = message.boolean("suspended").unwrap_or_default();
    let patch = message.metadata();
    message.finish()?;
    let org = org
        .flatten()
        .and_then(Guid::parse)
        .filter(|org| call.world.orgs.get(*org).is_some())
        .ok_or_else(|| {
            CcError::unprocessable(
                "Invalid organization. Ensure the organization exists and you have access to it.",
            )
        })?;
    check_name(call.world, org, name, None)?;
    let mut metadata = Metadata::default();
    metadata.apply(patch);
    let base = call.world.base();
    let guid = base.guid;
    call.world.spaces.insert(Space {
        base,
        name: name.into(),
        org,
        suspended,
        metadata,
    });
    presented(call, guid).map(|space| Response::created(&space))
}

fn show(call: &mut Call<'_>) -> Result<Response, CcError> {
    presented(call, find(call)?).map(|space| Response::ok(&space))
}

fn update(call: &mut Call<'_>) -> Result<Response, CcError> {
    let guid = find(call)?;
    let body = call.request.object()?;
    let mut message = Message::new(&body, &["name", "suspended", "metadata"]);
    let name = message.optional_text("name", 1..=MAX_NAME);
    let suspended = message.boolean("suspended");
    let patch = message.metadata();
    message.finish()?;
    let org = call.world.spaces.get(guid).map(|space| space.org);
    if let (Some(org), Some(name)) = (org, name) {
        check_name(call.world, org, name, Some(guid))?;
    }
    let now = call.world.now();
    touch(&mut call.world.spaces, now, guid, |space| {
        space.name = name.map_or_else(|| std::mem::take(&mut space.name), str::to_owned);
        space.suspended = suspended.unwrap_or(space.suspended);
        space.metadata.apply(patch);
    });
    presented(call, guid).map(|space| Response::ok(&space))
}

fn delete(call: &mut Call<'_>) -> Result<Response, CcError> {
    let guid = find(call)?;
    Ok(call.delete_in_job("space.delete", Kind::Space, guid))
}

fn check_name(world: &World, org: Guid, name: &str, own: Option<Guid>) -> Result<(), CcError> {
    match world.find_space(org, name) {
        Some(other) if Some(other.guid()) != own => Err(CcError::unprocessable(
            "Name must be unique per organization",
        )),
        _ => Ok(()),
    }
}
