//! `/v2/apps`: apps together with their web processes

use serde_json::{Value, json};

use super::collection::{self, Collection, Relation, by_guid, rows_by};
use super::entity::Entity;
use super::events::{EVENTS, of_app};
use super::filter::{Filter, in_spaces_of};
use super::route_mappings::{ROUTE_MAPPINGS, mappings_of_app};
use super::routes::{self, HTTP_ROUTES};
use super::schema::{Attribute, Preset};
use super::services::SERVICE_BINDINGS;
use super::source::{Listing, Order, Source};
use super::spaces::SPACES;
use super::stacks::STACKS;
use super::{association_not_empty, authorize, domains, is_recursive, remove, service_attributes};
use crate::api::context::{RequestContext, View};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::router::Route;
use crate::api::shared::lifecycle;
use crate::world::{
    Access, AccessScope, App, Domain, Feature, Field, Guid, Key, Kind, Lifecycle, PackageKind,
    Process, READ_SECRETS, READ_V2_SPACE, Row, Selection, ServiceBinding, Stack, WRITE_SPACE,
    World,
};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v2/apps", collection::index),
    Route::get("/v2/apps/:guid", collection::show),
    remove("/v2/apps/:guid", destroy),
    Route::get("/v2/apps/:guid/summary", summary),
    Route::get("/v2/apps/:guid/permissions", permissions),
    Route::get("/v2/apps/:guid/routes", collection::related),
    Route::get("/v2/apps/:guid/events", collection::related),
    Route::get("/v2/apps/:guid/service_bindings", collection::related),
    Route::get("/v2/apps/:guid/route_mappings", collection::related),
];

pub(super) static APPS: Collection = Collection {
    path: "/v2/apps",
    source: Source::scan(web_apps)
        .in_order(web_apps_in_order)
        .visible(keys_of_spaces),
    get: |world, guid| web_app(world, world.apps.get(guid)?),
    parse: by_guid,
    relations: &[
        Relation::one("space", &SPACES, |world, guid| {
            let app = world.apps.get(guid)?;
            world.spaces.get(app.space).map(Entity::from)
        }),
        Relation::one("stack", &STACKS, |world, guid| {
            stack_of(world, world.apps.get(guid)?).map(Entity::from)
        }),
        Relation::many("routes", &HTTP_ROUTES, |world, guid| {
            rows_by::<crate::world::Route>(world, Field::App, guid)
        }),
        Relation::link("events", &EVENTS, of_app),
        Relation::many("service_bindings", &SERVICE_BINDINGS, |world, guid| {
            rows_by::<ServiceBinding>(world, Field::App, guid)
        }),
        Relation::link("route_mappings", &ROUTE_MAPPINGS, mappings_of_app),
    ],
    filters: &[
        Filter::NAME,
        Filter::guid("space_guid", |_, app| match app {
            Entity::App(app, _) => vec![app.space.to_string()],
            _ => Vec::new(),
        })
        .indexed(Field::Space),
        Filter::guid("organization_guid", |world, app| match app {
            Entity::App(app, _) => {
                let org = world.org_of(app.space);
                org.map(|org| org.guid().to_string()).into_iter().collect()
            }
            _ => Vec::new(),
        })
        .found_by(in_spaces_of),
        Filter::flag("diego", |_, app| match app {
            Entity::App(_, process) => vec![(!process.v2.on_dea).to_string()],
            _ => Vec::new(),
        }),
        Filter::guid("stack_guid", |world, app| match app {
            Entity::App(app, _) => {
                let stack = stack_of(world, app);
                stack
                    .map(|stack| stack.guid().to_string())
                    .into_iter()
                    .collect()
            }
            _ => Vec::new(),
        }),
    ],
    order_by: &[],
    not_found: (100_004, "CF-AppNotFound", "The app could not be found"),
};

/// The attributes of an app in requests.
pub(super) const ATTRIBUTES: &[Attribute] = &[
    Attribute::boolean("enable_ssh"),
    Attribute::text("buildpack"),
    Attribute::text("command"),
    Attribute::boolean("console").preset(Preset::Boolean(false)),
    Attribute::boolean("diego"),
    Attribute::text("docker_image"),
    Attribute::object("docker_credentials").preset(Preset::NoFields),
    Attribute::text("debug"),
    Attribute::integer("disk_quota"),
    Attribute::integer("log_rate_limit"),
    Attribute::object("environment_json").preset(Preset::NoFields),
    Attribute::text("health_check_http_endpoint"),
    Attribute::text("health_check_type").preset(Preset::Text("port")),
    Attribute::integer("health_check_timeout"),
    Attribute::integer("instances").preset(Preset::Integer(1)),
    Attribute::integer("memory"),
    Attribute::text("name").required(),
    Attribute::boolean("production").preset(Preset::Boolean(false)),
    Attribute::text("state").preset(Preset::Text("STOPPED")),
    Attribute::integers("ports"),
    Attribute::text("space_guid").required(),
    Attribute::text("stack_guid"),
];

fn web_apps<'w>(world: &'w World, selection: &Selection) -> Vec<Entity<'w>> {
    let apps = world.apps.select(selection).into_iter();
    apps.filter_map(|app| web_app(world, app)).collect()
}

/// Every app is created with a web process, so the numbers of apps and web processes are
/// equal.
fn web_apps_in_order<'w>(
    world: &'w World,
    keys: Option<&[Key]>,
    order: Order,
) -> Option<Listing<'w>> {
    let (total, apps) = order.rows(world, &world.apps, keys)?;
    let apps = apps.filter_map(|app| web_app(world, app));
    Some((total, Box::new(apps)))
}

/// The keys of rows in the spaces that the caller can see in v2.
pub(super) fn keys_of_spaces(world: &World, access: &Access) -> Option<Vec<Key>> {
    Some(access.keys_in_spaces(world, READ_V2_SPACE))
}

/// An app with its web process, without which v2 does not show it.
pub(super) fn web_app<'w>(world: &'w World, app: &'w App) -> Option<Entity<'w>> {
    let process = world.process(app.guid(), "web")?;
    Some(Entity::App(app, process))
}

/// The stack of an app. Apps with Docker images have the default stack.
fn stack_of<'w>(world: &'w World, app: &App) -> Option<&'w Stack> {
    let name = match &app.lifecycle {
        Lifecycle::Buildpack { stack, .. } => stack.as_str(),
        Lifecycle::Docker => world.default_stack,
    };
    world.named::<Stack>(name)
}

/// The configured ports of an app, and the ports of its routes.
fn ports(world: &World, app: &App, process: &Process) -> Vec<u16> {
    const DEFAULT: u16 = 8080;
    let mut ports = process.v2.ports.clone();
    let routes = world.routes.select(&Selection::by(Field::App, app.guid()));
    let destinations = routes.iter().flat_map(|route| &route.destinations);
    let of_process = destinations.filter(|it| it.app == app.guid() && it.process == process.kind);
    for destination in of_process {
        let port = destination.port.unwrap_or(DEFAULT);
        if !ports.contains(&port) {
            ports.push(port);
        }
    }
    ports
}

pub(super) fn attributes(app: &App, process: &Process, view: &View<'_>) -> Value {
    let mut attributes = basic_attributes(app, process, view);
    let username = attributes["docker_username"].take();
    if let Some(attributes) = attributes.as_object_mut() {
        attributes.remove("docker_username");
    }
    attributes["docker_credentials"] = json!({
        "password": username.is_string().then_some("***"),
        "username": username,
    });
    if attributes["ports"].is_null() {
        attributes["ports"] = json!([8080]);
    }
    attributes
}

/// The attributes of an app that are also in summaries.
fn basic_attributes(app: &App, process: &Process, view: &View<'_>) -> Value {
    let world = view.world;
    let buildpack = match &app.lifecycle {
        Lifecycle::Buildpack { buildpacks, .. } => buildpacks.first(),
        Lifecycle::Docker => None,
    };
    let package = world.latest_package(app.guid());
    let (image, username) = match package.map(|package| &package.kind) {
        Some(PackageKind::Docker { image, username }) => (Some(image), username.as_ref()),
        _ => (None, None),
    };
    let droplet = app.droplet.and_then(|droplet| world.droplets.get(droplet));
    let command = droplet.and_then(|droplet| droplet.process_types.get(&process.kind));
    let of_buildpacks = droplet.filter(|droplet| droplet.lifecycle != Lifecycle::Docker);
    let builds = world.builds.select(&Selection::by(Field::App, app.guid()));
    let build = builds.last();
    let staging = build.map(|build| build.guid());
    let staging = staging.or_else(|| world.latest_droplet(app.guid()).map(Row::guid));
    let failure = build.filter(|build| build.state(world.now()) == "FAILED");
    let failure = failure.and_then(|build| build.error.as_deref()?.split_once(" - "));
    let access_scope = AccessScope::Space(app.space);
    let environment = match view.access.allows(world, access_scope, READ_SECRETS) {
        true => json!(app.given_environment()),
        false => json!({"redacted_message": "[PRIVATE DATA HIDDEN]"}),
    };
    let ports = ports(world, app, process);
    json!({
        "name": app.name,
        "production": process.v2.production,
        "space_guid": app.space,
        "stack_guid": stack_of(world, app).map(Row::guid),
        "buildpack": buildpack.map(|name| lifecycle::shown(name)),
        // Staging is simulated, so buildpacks detect nothing.
        "detected_buildpack": of_buildpacks.map(|_| ""),
        "detected_buildpack_guid": null,
        "environment_json": environment,
        "memory": process.scale.memory_mb,
        "instances": process.scale.instances,
        "disk_quota": process.scale.disk_mb,
        "log_rate_limit": process.scale.log_rate,
        "state": app.state(),
        "version": world.version_of(process),
        "command": process.command,
        "console": process.v2.console,
        "debug": process.v2.debug,
        "staging_task_id": staging,
        "package_state": world.package_state(app),
        "health_check_type": process.health_check.kind,
        "health_check_timeout": process.health_check.timeout,
        "health_check_http_endpoint": process.health_check.endpoint,
        "staging_failed_reason": failure.map(|(reason, _)| reason),
        "staging_failed_description": failure.map(|(_, description)| description),
        "diego": !process.v2.on_dea,
        "docker_image": image,
        "docker_username": username,
        "package_updated_at": package.map(|package| package.base.created),
        "detected_start_command": command.unwrap_or(&json!("")),
        "enable_ssh": app.features.has(Feature::Ssh),
        "ports": if ports.is_empty() { Value::Null } else { json!(ports) },
    })
}

/// Refuses callers who may not change the app that the path names.
pub(super) fn writable(context: &RequestContext<'_>, guid: Guid) -> Result<(), CcError> {
    let space = context.row::<App>(guid)?.space;
    authorize(context, WRITE_SPACE, AccessScope::Space(space))
}

/// `DELETE /v2/apps/:guid`
fn destroy(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = super::known(context, &APPS)?;
    writable(context, guid)?;
    if !context.world.bindings_of(guid).is_empty() && !is_recursive(context) {
        return Err(association_not_empty("service_bindings", "processes"));
    }
    let data = json!({"request": {"recursive": is_recursive(context)}});
    let world = &mut *context.world;
    world.log_api(guid, format!("Deleted app with guid {guid}"));
    world.record(guid, "audit.app.delete-request", data);
    world.delete(Kind::App, guid);
    Ok(Response::empty(204))
}

/// `GET /v2/apps/:guid/permissions`: the caller's permissions.
fn permissions(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = super::known(context, &APPS)?;
    let access_scope = AccessScope::Space(context.row::<App>(guid)?.space);
    let allows = |roles| context.access.allows(context.world, access_scope, roles);
    if !allows(READ_V2_SPACE) {
        return Err(CcError::not_authorized());
    }
    Ok(Response::ok(&json!({
        "read_sensitive_data": allows(READ_SECRETS),
        "read_basic_data": true,
    })))
}

/// An app in its own summary and in that of its space.
fn summarize(app: &App, process: &Process, view: &View<'_>) -> Value {
    let world = view.world;
    let mapped = world.routes.select(&Selection::by(Field::App, app.guid()));
    let mapped = mapped.into_iter();
    let routes: Vec<Value> = mapped
        .map(|route| routes::summarize(world, route))
        .collect();
    let mut summary = basic_attributes(app, process, view);
    if let Some(summary) = summary.as_object_mut() {
        summary.remove("docker_username");
    }
    summary["guid"] = json!(app.base.guid);
    summary["routes"] = json!(routes);
    summary["running_instances"] = json!(world.live_instances(process));
    summary
}

/// `GET /v2/apps/:guid/summary`
fn summary(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = APPS.readable(context)?;
    let (world, view) = (&*context.world, context.view());
    let app: &App = context.row(guid)?;
    let process = world.process(guid, "web");
    let process = process.ok_or_else(|| APPS.not_found(context.capture("guid")))?;
    let mut summary = summarize(app, process, &view);
    // The summary always shows the environment.
    summary["environment_json"] = json!(app.environment);
    let org = world.org_of(app.space).map(Row::guid);
    let usable = |domain: &&Domain| org.is_some_and(|org| domain.is_usable_by(org));
    let (private, shared): (Vec<&Domain>, Vec<&Domain>) = world
        .domains
        .iter()
        .filter(usable)
        .partition(|domain| domain.org.is_some());
    let available = private.into_iter().chain(shared);
    summary["available_domains"] = available
        .map(|domain| domains::summarize(domain, &view))
        .collect();
    let bindings = world.bindings_of(guid).into_iter();
    let bound = bindings.filter_map(|binding| world.service_instances.get(binding.instance));
    summary["services"] = bound
        .map(|instance| service_attributes::summarize(world, instance))
        .collect();
    Ok(Response::ok(&summary))
}

/// An app in the summary of its space.
pub(super) fn summarize_in_space(process: &Process, view: &View<'_>) -> Option<Value> {
    let world = view.world;
    let app = world.apps.get(process.app)?;
    let mut summary = summarize(app, process, view);
    let mapped = world.routes.select(&Selection::by(Field::App, app.guid()));
    let urls: Vec<String> = mapped.iter().map(|route| world.route_url(route)).collect();
    summary["urls"] = json!(urls);
    let bindings = world.bindings_of(app.guid());
    let services: Vec<&str> = bindings
        .iter()
        .filter_map(|binding| world.service_instances.get(binding.instance))
        .map(|instance| instance.name.as_str())
        .collect();
    summary["service_count"] = json!(services.len());
    summary["service_names"] = json!(services);
    Some(summary)
}
