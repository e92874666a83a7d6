//! `/v2/apps`: apps as v2 knew them, which is with their web process.

use serde_json::{Value, json};

use super::list::{Filters, Query};
use super::{Errors, association_not_empty, is_recursive, resource, routes, services};
use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::router::Route;
use crate::api::v3::lifecycle;
use crate::world::{
    App, Domain, Feature, Field, Guid, Key, Kind, Lifecycle, PackageKind, Process, Row, Selection,
    World,
};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v2/apps", index),
    Route::get("/v2/apps/:guid", show),
    Route::delete("/v2/apps/:guid", destroy),
    Route::get("/v2/apps/:guid/summary", summary),
];

const FILTERS: Filters = &[
    ("name", Field::Name),
    ("space_guid", Field::Space),
    ("organization_guid", Field::Org),
];

pub(super) const ERRORS: Errors = Errors {
    not_found: (100_004, "CF-AppNotFound", "The app could not be found"),
    name_taken: (100_002, "CF-AppNameTaken", "The app name is taken"),
};

/// The attributes of an app.
fn entity(world: &World, app: &App, process: &Process) -> Value {
    let (buildpack, stack) = match &app.lifecycle {
        Lifecycle::Buildpack { buildpacks, stack } => (
            buildpacks.first().map(|it| lifecycle::shown(it)),
            stack.as_str(),
        ),
        Lifecycle::Docker => (None, world.default_stack),
    };
    let named = Selection::all().any(vec![Key::text(Field::Name, stack)]);
    let stack = world
        .stacks
        .select(&named)
        .first()
        .map(|stack| stack.guid());
    let package = world.latest_package(app.guid());
    let (image, username) = match package.map(|package| &package.kind) {
        Some(PackageKind::Docker { image, username }) => (Some(image), username.as_ref()),
        _ => (None, None),
    };
    let droplet = app.droplet.and_then(|droplet| world.droplets.get(droplet));
    let detected = droplet.and_then(|droplet| droplet.process_types.get(&process.kind));
    let builds = world.builds.select(&Selection::by(Field::App, app.guid()));
    let build = builds.last();
    let staging = build.map(|build| build.guid());
    let staging = staging.or_else(|| world.latest_droplet(app.guid()).map(Row::guid));
    let failure = build.filter(|build| build.state(world.now()) == "FAILED");
    let failure = failure.and_then(|build| build.error.as_deref()?.split_once(" - "));
    json!({
        "name": app.name,
        "production": false,
        "space_guid": app.space,
        "stack_guid": stack,
        "buildpack": buildpack,
        "detected_buildpack": null,
        "detected_buildpack_guid": null,
        "environment_json": app.environment,
        "memory": process.scale.memory_mb,
        "instances": process.scale.instances,
        "disk_quota": process.scale.disk_mb,
        "log_rate_limit": process.scale.log_rate,
        "state": app.state(),
        "version": process.base.guid,
        "command": process.command,
        "console": false,
        "debug": null,
        "staging_task_id": staging,
        "package_state": world.package_state(app),
        "health_check_type": process.health_check.kind,
        "health_check_timeout": process.health_check.timeout,
        "health_check_http_endpoint": process.health_check.endpoint,
        "staging_failed_reason": failure.map(|(reason, _)| reason),
        "staging_failed_description": failure.map(|(_, description)| description),
        "diego": true,
        "docker_image": image,
        "docker_credentials": {
            "username": username,
            "password": username.map(|_| "***"),
        },
        "package_updated_at": package.map(|package| package.base.created),
        "detected_start_command": detected.unwrap_or(&json!("")),
        "enable_ssh": app.features.has(Feature::Ssh),
        "ports": [8080],
    })
}

fn present(world: &World, app: &App, process: &Process) -> Value {
    let path = format!("/v2/apps/{}", app.base.guid);
    let mut entity = entity(world, app, process);
    entity["stack_url"] = json!(format!(
        "/v2/stacks/{}",
        entity["stack_guid"].as_str().unwrap_or_default()
    ));
    entity["space_url"] = json!(format!("/v2/spaces/{}", app.space));
    for relation in ["events", "service_bindings", "routes", "route_mappings"] {
        entity[format!("{relation}_url")] = json!(format!("{path}/{relation}"));
    }
    resource(&app.base, "apps", entity)
}

pub(super) fn find(context: &RequestContext<'_>) -> Result<Guid, CcError> {
    let app = ERRORS.find::<App>(context)?;
    let process = context.world.process(app, "web");
    process
        .map(|_| app)
        .ok_or_else(|| ERRORS.not_found(context.capture("guid")))
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    list(context, None)
}

/// Apps; of one space or route, if that is given.
pub(super) fn list(
    context: &RequestContext<'_>,
    nested: Option<(Field, Vec<Guid>)>,
) -> Result<Response, CcError> {
    let query = Query::read(context, FILTERS)?;
    let mut selection = query.selection();
    if let Some((field, guids)) = nested {
        selection = selection.any_guid(field, guids);
    }
    if let Some(orgs) = query.orgs() {
        selection = selection.any_guid(Field::Space, context.world.spaces_of(orgs));
    }
    let world = &*context.world;
    let web = |app: &App| world.process(app.base.guid, "web");
    Ok(query.answer(
        context,
        &selection,
        |app| web(app).is_some(),
        |app, _| {
            web(app)
                .map(|process| present(world, app, process))
                .unwrap_or_default()
        },
    ))
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find(context)?;
    Ok(Response::ok(&shown(context, guid)))
}

/// An app as it is now.
pub(super) fn shown(context: &RequestContext<'_>, guid: Guid) -> Value {
    let world = &*context.world;
    let (app, process) = (world.apps.get(guid), world.process(guid, "web"));
    let shown = app
        .zip(process)
        .map(|(app, process)| present(world, app, process));
    shown.unwrap_or_default()
}

/// `DELETE /v2/apps/:guid`
fn destroy(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find(context)?;
    if !context.world.bindings_of(guid).is_empty() && !is_recursive(context) {
        return Err(association_not_empty("service_bindings", "processes"));
    }
    context.world.delete(Kind::App, guid);
    Ok(Response::empty(204))
}

/// `GET /v2/apps/:guid/summary`
fn summary(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find(context)?;
    let world = &*context.world;
    let process = world.process(guid, "web");
    let mut summary = process
        .and_then(|process| summarize(world, process))
        .unwrap_or_default();
    let org = world.apps.get(guid).and_then(|app| world.org_of(app.space));
    let usable = |domain: &&Domain| org.is_some_and(|org| domain.is_usable_by(org.guid()));
    let (private, shared): (Vec<&Domain>, Vec<&Domain>) = world
        .domains
        .iter()
        .filter(usable)
        .partition(|domain| domain.org.is_some());
    let domains = private.into_iter().chain(shared);
    summary["available_domains"] = domains.map(summarize_domain).collect();
    let bindings = world.bindings_of(guid).into_iter();
    let bound = bindings.filter_map(|binding| world.service_instances.get(binding.instance));
    summary["services"] = bound
        .map(|instance| services::summarize(world, instance))
        .collect();
    Ok(Response::ok(&summary))
}

fn summarize_domain(domain: &Domain) -> Value {
    let mut summary = json!({"guid": domain.guid(), "name": domain.name});
    match domain.org {
        Some(owner) => summary["owning_organization_guid"] = json!(owner),
        None => {
            summary["router_group_guid"] = Value::Null;
            summary["router_group_type"] = Value::Null;
        }
    }
    summary
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
    let mut summary = entity(world, app, process);
    summary["guid"] = json!(app.base.guid);
    summary["urls"] = json!(urls);
    summary["routes"] = json!(routes);
    let bindings = world.bindings_of(app.guid());
    let services: Vec<&str> = bindings
        .iter()
        .filter_map(|binding| world.service_instances.get(binding.instance))
        .map(|instance| instance.name.as_str())
        .collect();
    summary["service_count"] = json!(services.len());
    summary["service_names"] = json!(services);
    summary["running_instances"] = json!(world.live_instances(process));
    Some(summary)
}
