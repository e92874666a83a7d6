//! `/v2/apps`: apps as v2 knew them, which is with their web process.

use serde_json::{Value, json};

use super::list::{Filters, Query};
use super::{Errors, resource, routes};
use crate::call::Call;
use crate::error::CcError;
use crate::http::Response;
use crate::router::Route;
use crate::world::{App, Field, Guid, Lifecycle, Process, Row, Selection, World};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v2/apps", index),
    Route::get("/v2/apps/:guid", show),
    Route::get("/v2/apps/:guid/summary", summary),
];

const FILTERS: Filters = &[
    ("name", Field::Name),
    ("space_guid", Field::Space),
    ("organization_guid", Field::Org),
];

const ERRORS: Errors = Errors {
    not_found: (100_004, "CF-AppNotFound", "The app could not be found"),
    name_taken: (100_002, "CF-AppNameTaken", "The app name is taken"),
};

/// The attributes of an app.
fn entity(app: &App, process: &Process) -> Value {
    let (buildpack, docker) = match &app.lifecycle {
        Lifecycle::Buildpack { buildpacks, .. } => (buildpacks.first(), false),
        Lifecycle::Docker => (None, true),
    };
    json!({
        "name": app.name,
        "production": false,
        "space_guid": app.space,
        "stack_guid": null,
        "buildpack": buildpack,
        "detected_buildpack": null,
        "detected_buildpack_guid": null,
        "environment_json": app.environment,
        "memory": process.scale.memory_mb,
        "instances": process.scale.instances,
        "disk_quota": process.scale.disk_mb,
        "state": app.state(),
        "version": process.base.guid,
        "command": process.command,
        "console": false,
        "debug": null,
        "staging_task_id": null,
        "package_state": if app.droplet.is_some() { "STAGED" } else { "PENDING" },
        "health_check_type": process.health_check.kind,
        "health_check_timeout": process.health_check.timeout,
        "health_check_http_endpoint": process.health_check.endpoint,
        "staging_failed_reason": null,
        "staging_failed_description": null,
        "diego": true,
        "docker_image": docker.then_some(""),
        "package_updated_at": null,
        "detected_start_command": "",
        "enable_ssh": true,
        "docker_credentials_json": {"redacted_message": "[PRIVATE DATA HIDDEN]"},
        "ports": [8080],
    })
}

fn present(app: &App, process: &Process) -> Value {
    let path = format!("/v2/apps/{}", app.base.guid);
    let mut entity = entity(app, process);
    entity["space_url"] = json!(format!("/v2/spaces/{}", app.space));
    for relation in ["events", "service_bindings", "routes", "route_mappings"] {
        entity[format!("{relation}_url")] = json!(format!("{path}/{relation}"));
    }
    resource(&app.base, "apps", entity)
}

pub(super) fn find(call: &Call<'_>) -> Result<Guid, CcError> {
    let app = ERRORS.find::<App>(call)?;
    let process = call.world.process(app, "web");
    process
        .map(|_| app)
        .ok_or_else(|| ERRORS.not_found(call.capture("guid")))
}

fn index(call: &mut Call<'_>) -> Result<Response, CcError> {
    let query = Query::read(call, FILTERS)?;
    let mut selection = query.selection();
    if let Some(orgs) = query.orgs() {
        selection = selection.any_guid(Field::Space, call.world.spaces_of(orgs));
    }
    let world = &*call.world;
    let web = |app: &App| world.process(app.base.guid, "web");
    Ok(query.answer(
        call,
        &selection,
        |app| web(app).is_some(),
        |app, _| {
            web(app)
                .map(|process| present(app, process))
                .unwrap_or_default()
        },
    ))
}

fn show(call: &mut Call<'_>) -> Result<Response, CcError> {
    let guid = find(call)?;
    let (app, process) = (call.world.apps.get(guid), call.world.process(guid, "web"));
    let shown = app.zip(process).map(|(app, process)| present(app, process));
    Ok(Response::ok(&shown.unwrap_or_default()))
}

/// `GET /v2/apps/:guid/summary`
fn summary(call: &mut Call<'_>) -> Result<Response, CcError> {
    let guid = find(call)?;
    let world = &*call.world;
    let process = world.process(guid, "web");
    let mut summary = process
        .and_then(|process| summarize(world, process))
        .unwrap_or_default();
    let domains = world.domains.iter().map(|domain| {
        json!({
            "guid": domain.base.guid,
            "name": domain.name,
            "router_group_guid": null,
            "router_group_type": null,
        })
    });
    summary["available_domains"] = domains.collect();
    summary["services"] = json!([]);
    Ok(Response::ok(&summary))
}

/// An app with its routes and running instances.
pub(super) fn summarize(world: &World, process: &Process) -> Option<Value> {
    let app = world.apps.get(process.app)?;
    let mapped = world.routes.select(&Selection::by(Field::App, app.guid()));
    let urls: Vec<String> = mapped.iter().map(|route| world.route_url(route)).collect();
    let routes: Vec<Value> = mapped
        .iter()
        .map(|route| routes::summarize(world, route))
        .collect();
    let mut summary = entity(app, process);
    summary["guid"] = json!(app.base.guid);
    summary["urls"] = json!(urls);
    summary["routes"] = json!(routes);
    summary["service_count"] = json!(0);
    summary["service_names"] = json!([]);
    summary["running_instances"] = json!(world.live_instances(process));
    Some(summary)
}
