//! `/v3/droplets`

use serde_json::{Value, json};

use crate::call::{Call, View, to_one};
use crate::error::CcError;
use crate::http::Response;
use crate::list::{ListQuery, ListSpec, Page};
use crate::message::Message;
use crate::router::Route;
use crate::world::{Droplet, Field, Guid, Kind, Lifecycle, Origin, touch};

use super::apps;

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v3/droplets", index),
    Route::post("/v3/droplets", copy),
    Route::get("/v3/droplets/:guid", show),
    Route::patch("/v3/droplets/:guid", update),
    Route::delete("/v3/droplets/:guid", delete),
    Route::get("/v3/packages/:guid/droplets", index_of_package),
];

const LIST: ListSpec = ListSpec::of(&[
    "app_guid",
    "app_guids",
    "current",
    "organization_guids",
    "package_guid",
    "space_guids",
    "states",
    "label_selector",
]);

pub(crate) const KIND: &str = "Droplet";

pub(crate) fn present(droplet: &Droplet, view: &View<'_>) -> Value {
    let state = droplet.state(view.at);
    let (buildpacks, stack) = match &droplet.lifecycle {
        Lifecycle::Buildpack { buildpacks, stack } => {
            (json!(present_buildpacks(buildpacks)), json!(stack))
        }
        Lifecycle::Docker => (Value::Null, Value::Null),
    };
    json!({
        "guid": droplet.base.guid.to_string(),
        "created_at": droplet.base.created.to_string(),
        "updated_at": droplet.base.updated.to_string(),
        "state": state,
        "error": droplet.error.as_ref().filter(|_| state == "FAILED"),
        "lifecycle": {"type": droplet.lifecycle.kind(), "data": {}},
        "checksum": checksum(droplet, view),
        "buildpacks": buildpacks,
        "stack": stack,
        "image": droplet.image,
        "execution_metadata": "",
        "process_types": {"web": droplet.command},
        "relationships": {"app": to_one(Some(droplet.app))},
        "metadata": droplet.metadata.present(),
        "links": links(droplet, state, view),
    })
}

fn links(droplet: &Droplet, state: &str, view: &View<'_>) -> Value {
    let path = format!("/v3/droplets/{}", droplet.base.guid);
    let app = format!("/v3/apps/{}", droplet.app);
    let assign = format!("{app}/relationships/current_droplet");
    let mut links = json!({
        "self": view.link(&path),
        "app": view.link(&app),
        "assign_current_droplet": view.action("PATCH", &assign),
    });
    if let Some(package) = droplet.package {
        links["package"] = view.link(&format!("/v3/packages/{package}"));
    }
    if state == "STAGED" && droplet.lifecycle != Lifecycle::Docker {
        links["download"] = view.link(&format!("{path}/download"));
    }
    links
}

/// Only droplets that have bits have a checksum.
pub(crate) fn checksum(droplet: &Droplet, view: &View<'_>) -> Option<Value> {
    let has_bits = droplet.is_staged(view.at) && droplet.lifecycle != Lifecycle::Docker;
    has_bits.then(|| json!({"type": "sha256", "value": droplet.sha256}))
}

fn present_buildpacks(buildpacks: &[String]) -> Vec<Value> {
    let present = |name: &String| {
        json!({
            "name": name,
            "detect_output": null,
            "buildpack_name": name.trim_end_matches("_buildpack"),
            "version": "1.0.0",
        })
    };
    buildpacks.iter().map(present).collect()
}

/// Today's Cloud Controller adds the droplet of a build when the build is done,
/// and none if it failed.
fn is_visible(droplet: &Droplet, view: &View<'_>) -> bool {
    droplet.origin == Origin::Copying || droplet.is_staged(view.at)
}

pub(crate) fn find(call: &Call<'_>) -> Result<Guid, CcError> {
    let guid = call.guid_of("guid", |world| &world.droplets, KIND)?;
    let droplet = call.world.droplets.get(guid);
    droplet
        .filter(|droplet| is_visible(droplet, &call.view()))
        .map(|_| guid)
        .ok_or_else(|| CcError::not_found(KIND))
}

fn presented(call: &Call<'_>, guid: Guid) -> Result<Value, CcError> {
    call.present(guid, |world| &world.droplets, KIND, present)
}

fn index(call: &mut Call<'_>) -> Result<Response, CcError> {
    list(call, None)
}

/// `GET /v3/apps/:guid/droplets`
pub(crate) fn index_of_app(call: &mut Call<'_>) -> Result<Response, CcError> {
    let app = apps::find(call)?;
    list(call, Some((Field::App, app)))
}

fn index_of_package(call: &mut Call<'_>) -> Result<Response, CcError> {
    let package = super::packages::find(call)?;
    list(call, Some((Field::Package, package)))
}

fn list(call: &Call<'_>, nested: Option<(Field, Guid)>) -> Result<Response, CcError> {
    let query = ListQuery::read(call, &LIST)?;
    let view = call.view();
    let current_only = query.value("current") == Some("true");
    let page = page(call, &query, nested, |droplet| {
        let is_current = || {
            let app = view.world.apps.get(droplet.app);
            app.is_some_and(|app| app.droplet == Some(droplet.base.guid))
        };
        is_visible(droplet, &view) && (!current_only || is_current())
    });
    Ok(Response::ok(
        &query.answer(call, &page, |droplet| present(droplet, &view)),
    ))
}

/// The droplets that a query asks for; of one app or package, if that is given.
pub(crate) fn page<'c>(
    call: &'c Call<'_>,
    query: &ListQuery,
    nested: Option<(Field, Guid)>,
    keep: impl Fn(&Droplet) -> bool,
) -> Page<'c, Droplet> {
    let world = &*call.world;
    let mut selection = query.by_guids(query.selection(), "app_guids", Field::App);
    selection = query.by_guids(selection, "space_guids", Field::Space);
    selection = apps::by_organizations(world, query, selection);
    if let Some((field, guid)) = nested {
        selection = selection.any_guid(field, [guid]);
    }
    query.page(&world.droplets, &selection, |droplet| {
        keep(droplet) && query.admits("states", droplet.state(world.now()))
    })
}

fn show(call: &mut Call<'_>) -> Result<Response, CcError> {
    presented(call, find(call)?).map(|droplet| Response::ok(&droplet))
}

/// `POST /v3/droplets?source_guid=...`
fn copy(call: &mut Call<'_>) -> Result<Response, CcError> {
    let body = call.request.object()?;
    let mut message = Message::new(&body, &["relationships"]);
    let app = body
        .get("relationships")
        .and_then(|relationships| relationships.get("app"));
    if !app.is_some_and(Value::is_object) {
        message.error("App must be an object");
    }
    let app = app
        .and_then(|app| app.get("data"))
        .and_then(|data| data.get("guid"));
    let app = app.and_then(Value::as_str);
    if app.is_none() {
        message.error("App guid must be a string");
    }
    message.finish()?;
    let source = call.request.query("source_guid").unwrap_or_default();
    let guid = copy_droplet(call, source, app.unwrap_or_default())?;
    let droplet = call.present_pending(guid, |world| &world.droplets, KIND, present)?;
    Ok(Response::created(&droplet))
}

/// Starts the copy of a staged droplet to an app.
pub(crate) fn copy_droplet(call: &mut Call<'_>, source: &str, app: &str) -> Result<Guid, CcError> {
    let source = Guid::parse(source).and_then(|guid| call.world.droplets.get(guid));
    let source = source.ok_or_else(|| CcError::not_found(KIND))?;
    let app = Guid::parse(app).and_then(|guid| call.world.apps.get(guid));
    let app = app.ok_or_else(|| CcError::not_found(apps::KIND))?;
    if !source.is_staged(call.world.now()) {
        return Err(CcError::unprocessable("source droplet is not staged"));
    }
    if source.lifecycle.kind() != app.lifecycle.kind() {
        return Err(CcError::unprocessable(
            "source and destination lifecycle types do not match",
        ));
    }
    let error = call.faults.copy(&app.name);
    let (source, app) = (source.base.guid, app.base.guid);
    let copy = call.world.copy_droplet(source, app, error);
    copy.ok_or_else(|| CcError::not_found(KIND))
}

fn update(call: &mut Call<'_>) -> Result<Response, CcError> {
    let guid = find(call)?;
    let body = call.request.object()?;
    let mut message = Message::new(&body, &["image", "metadata"]);
    let image = message.optional_text("image", 0..=usize::MAX);
    let patch = message.metadata();
    message.finish()?;
    let now = call.world.now();
    touch(&mut call.world.droplets, now, guid, |droplet| {
        if image.is_some() {
            droplet.image = image.map(str::to_owned);
        }
        droplet.metadata.apply(patch);
    });
    presented(call, guid).map(|droplet| Response::ok(&droplet))
}

fn delete(call: &mut Call<'_>) -> Result<Response, CcError> {
    let guid = find(call)?;
    let droplet = call.world.droplets.get(guid);
    let app = droplet.and_then(|droplet| call.world.apps.get(droplet.app));
    if let Some(app) = app.filter(|app| app.droplet == Some(guid)) {
        let app = app.base.guid;
        return Err(CcError::unprocessable(format!(
            "The droplet is currently used by app with guid \"{app}\"."
        )));
    }
    Ok(call.delete_in_job("droplet.delete", Kind::Droplet, guid))
}
