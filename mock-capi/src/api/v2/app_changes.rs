//! Creates and changes apps of v2: an app together with its web process, and staging
//! when a start needs it.

use serde_json::{Map, Value, json};

use super::app_request::{AppRequest, V2ProcessFields, invalid};
use super::apps::{APPS, ATTRIBUTES, writable};
use super::schema;
use super::spaces::SPACES;
use super::{authorize, known, name_error, post, put, quota_exceeded};
use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::router::Route;
use crate::api::shared::lifecycle;
use crate::api::shared::staging::{self, NewBuild};
use crate::world::error::Error;
use crate::world::metadata::MetadataPatch;
use crate::world::{
    AccessScope, App, Build, Destination, Feature, Field, Guid, Kind, Lifecycle, PackageKind,
    Process, ProcessPatch, Row, Scale, Selection, Space, Stack, WRITE_SPACE, World, audited,
};

pub(crate) const ROUTES: &[Route] = &[
    post("/v2/apps", create),
    put("/v2/apps/:guid", update),
    post("/v2/apps/:guid/restage", restage),
];

fn package_invalid(reason: &str) -> CcError {
    let detail = format!("The app package is invalid: {reason}");
    CcError::new(400, 150_001, "CF-AppPackageInvalid", detail)
}

fn no_bits() -> CcError {
    package_invalid("bits have not been uploaded")
}

fn taken(name: &str) -> CcError {
    let detail = format!("The app name is taken: {name}");
    CcError::new(400, 100_002, "CF-AppNameTaken", detail)
}

/// Checks a name in a space as the Cloud Controller's model does.
fn validate_name(
    context: &RequestContext<'_>,
    name: &str,
    space: Guid,
    own: Option<Guid>,
) -> Result<(), CcError> {
    if let Some(error) = name_error(name) {
        return Err(invalid(&error));
    }
    let holder = context.world.find_app(space, name).map(Row::guid);
    match holder {
        Some(holder) if Some(holder) != own => Err(taken(name)),
        _ => Ok(()),
    }
}

/// Refuses SSH in spaces where SSH is disabled, except for administrators.
fn verify_ssh(
    context: &RequestContext<'_>,
    asked: &AppRequest<'_>,
    space: Guid,
) -> Result<(), CcError> {
    let allowed = context.row::<Space>(space)?.allows_ssh || context.access.is_everything();
    match asked.enable_ssh {
        Some(true) if !allowed => Err(CcError::invalid_request()),
        _ => Ok(()),
    }
}

fn docker_image_missing() -> CcError {
    let detail = "Docker credentials can only be supplied for apps with a 'docker_image'";
    CcError::new(400, 150_008, "CF-DockerImageMissing", detail)
}

fn create(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let attributes = schema::of_new(&body, ATTRIBUTES)?;
    let name = attributes.text("name").unwrap_or_default();
    // The Cloud Controller's error names an app here, whichever resource is missing.
    let space = attributes.text("space_guid").unwrap_or_default();
    let space = SPACES
        .look_up(context.world, space)
        .map_err(|_| APPS.not_found(space))?;
    let asked = AppRequest::read(attributes);
    verify_ssh(context, &asked, space)?;
    validate_name(context, name, space, None)?;
    if asked.docker_username.is_some() && asked.docker_image.is_none() {
        return Err(docker_image_missing());
    }
    asked.check(context.world)?;
    if asked.state == Some("STARTED") && asked.docker_image.is_none() {
        return Err(no_bits());
    }
    authorize(context, WRITE_SPACE, AccessScope::Space(space))?;
    let lifecycle = match asked.docker_image {
        Some(_) => Lifecycle::Docker,
        None => Lifecycle::Buildpack {
            buildpacks: Vec::new(),
            stack: context.world.default_stack.into(),
            cnb: false,
        },
    };
    let metadata = MetadataPatch::default();
    let world = &mut *context.world;
    let guid = world.create_app(space, name.into(), lifecycle, Some(Map::new()), metadata);
    world.add_process(guid, "web");
    if let Err(refusal) = change(context, guid, asked) {
        // The app is removed without a trace.
        context.world.delete(Kind::App, guid);
        context.world.forget_events_of(guid);
        return Err(refusal);
    }
    let world = &mut *context.world;
    world.log_api(guid, format!("Created app with guid {guid}"));
    let request = audited(without_login(schema::audited_new(&body, ATTRIBUTES)));
    world.record(guid, "audit.app.create", json!({"request": request}));
    APPS.created(context, guid)
}

/// A request whose buildpack is a URL without a login.
fn without_login(mut request: Map<String, Value>) -> Map<String, Value> {
    if let Some(Value::String(buildpack)) = request.get_mut("buildpack") {
        *buildpack = lifecycle::shown(buildpack);
    }
    request
}

fn update(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let attributes = schema::of_change(&body, ATTRIBUTES)?;
    let guid = known(context, &APPS)?;
    let asked = AppRequest::read(attributes);
    let app: &App = context.row(guid)?;
    let (is_docker, space) = (app.lifecycle == Lifecycle::Docker, app.space);
    verify_ssh(context, &asked, space)?;
    writable(context, guid)?;
    require_scaling(context, guid, &asked)?;
    let of_buildpacks = asked.buildpacks.is_some() || asked.stack.is_some();
    if is_docker && of_buildpacks || !is_docker && asked.docker_image.is_some() {
        return Err(invalid("Lifecycle type cannot be changed"));
    }
    if attributes.has("docker_credentials") && !is_docker {
        return Err(docker_image_missing());
    }
    let to = match asked.space {
        Some(other) => SPACES.look_up(context.world, other)?,
        None => space,
    };
    let name = asked.name.unwrap_or(&app.name);
    validate_name(context, name, to, Some(guid))?;
    asked.check(context.world)?;
    check_mapped_ports(context.world, guid, &asked)?;
    if asked.of_process && context.world.is_deploying(guid) {
        return Err(deploying(&asked));
    }
    let warns = asked.v2.diego == Some(false)
        && asked.v2.ports.is_none()
        && context
            .world
            .process(guid, "web")
            .is_some_and(|it| !it.v2.on_dea);
    change(context, guid, asked)?;
    if to != space {
        context.world.move_app(guid, to);
    }
    let request = without_login(schema::audited_change(&body, ATTRIBUTES));
    context.world.record_app_update(guid, request);
    let warning = warns.then(|| {
        "App ports have changed but are unknown. The app should now listen on the port specified by environment variable PORT."
            .to_owned()
    });
    Ok(APPS.changed(context, guid)?.with_warnings(warning))
}

/// Refuses to scale an app while only administrators may do so.
fn require_scaling(
    context: &RequestContext<'_>,
    guid: Guid,
    asked: &AppRequest<'_>,
) -> Result<(), CcError> {
    let Some(process) = context.world.process(guid, "web") else {
        return Ok(());
    };
    let changes = |asked: Option<i64>, now: u32| asked.is_some_and(|size| size != i64::from(now));
    let scales = changes(asked.instances, process.scale.instances)
        || changes(asked.memory, process.scale.memory_mb)
        || changes(asked.disk, process.scale.disk_mb);
    match scales {
        true => context.require_flag("app_scaling"),
        false => Ok(()),
    }
}

/// Refuses to remove ports that routes are mapped to.
fn check_mapped_ports(world: &World, app: Guid, asked: &AppRequest<'_>) -> Result<(), CcError> {
    const DEFAULT: u16 = 8080;
    let Some(ports) = &asked.v2.ports else {
        return Ok(());
    };
    let routes = world.routes.select(&Selection::by(Field::App, app));
    let mut mapped = routes.iter().flat_map(|route| &route.destinations);
    let is_lost = |destination: &Destination| {
        let port = destination.port.unwrap_or(DEFAULT);
        destination.app == app && destination.process == "web" && !ports.contains(&port)
    };
    match mapped.any(is_lost) {
        true => Err(invalid(
            "App ports may not be removed while routes are mapped to them. To change the app port \
             a route is mapped to add the new ports to your app, change the app port the route is \
             mapped to, then remove unused app ports.",
        )),
        false => Ok(()),
    }
}

/// The error for a process that a deployment is replacing.
fn deploying(asked: &AppRequest<'_>) -> CcError {
    let scales = asked.memory.is_some() || asked.instances.is_some() || asked.disk.is_some();
    let (code, title, detail) = if asked.state == Some("STOPPED") {
        (
            390_024,
            "CF-StopDisabledDuringDeployment",
            "Cannot stop the app while it is deploying, please cancel the deployment before stopping the app.",
        )
    } else if scales {
        (
            390_016,
            "CF-ScaleDisabledDuringDeployment",
            "Cannot scale this process while a deployment is in flight.",
        )
    } else {
        (
            390_017,
            "CF-ProcessUpdateDisabledDuringDeployment",
            "Cannot update this process while a deployment is in flight.",
        )
    };
    CcError::new(422, code, title, detail)
}

/// Carries out a request.
fn change(
    context: &mut RequestContext<'_>,
    guid: Guid,
    asked: AppRequest<'_>,
) -> Result<(), CcError> {
    let process = context.world.process(guid, "web");
    let process = process.ok_or_else(|| APPS.not_found(&guid.to_string()))?;
    let (process, current) = (process.base.guid, process.scale);
    let starts = asked.state == Some("STARTED");
    let app: &App = context.row(guid)?;
    let is_stopped = !app.started;
    if starts && is_stopped && asked.docker_image.is_none() && !has_package(context, app) {
        return Err(no_bits());
    }
    let mut check = asked.check.clone();
    if check.kind.is_some() {
        // A change of the check's type keeps the other properties.
        let current = context.row::<Process>(process)?.health_check.clone();
        check.timeout = check.timeout.or(Some(current.timeout));
        check.endpoint = check.endpoint.or(Some(current.endpoint));
    }
    let patch = ProcessPatch {
        command: asked.command.clone(),
        health_check: check,
        ..ProcessPatch::default()
    };
    let refused = |refusal: Error| invalid(&refusal.to_string());
    let scale = asked.scale(current);
    let allowed = context.world.check_scale(process, scale);
    allowed.map_err(|error| quota_exceeded(error.into()))?;
    if starts && is_stopped {
        let size = |other: &Process| match other.base.guid == process {
            true => scale,
            false => other.scale,
        };
        let allowed = context.world.check_start(guid, size);
        allowed.map_err(|error| quota_exceeded(error.into()))?;
    }
    context
        .world
        .update_process(process, patch)
        .map_err(refused)?;
    let scaled = context.world.scale(process, scale);
    scaled.map_err(|error| quota_exceeded(error.into()))?;
    let mut asked = asked;
    mark(context.world, process, &mut asked.v2);
    change_app(context, guid, &asked)?;
    match asked.state {
        Some("STARTED") => start(context, guid),
        Some(_) => {
            context.world.stop_app(guid);
            Ok(())
        }
        None => Ok(()),
    }
}

/// Sets the fields of a process that only v2 has.
fn mark(world: &mut World, process: Guid, marks: &mut V2ProcessFields) {
    world.processes.update(process, |process| {
        let v2 = &mut process.v2;
        v2.production = marks.production.unwrap_or(v2.production);
        v2.console = marks.console.unwrap_or(v2.console);
        v2.on_dea = marks.diego.map_or(v2.on_dea, |diego| !diego);
        v2.debug = marks.debug.take().or_else(|| v2.debug.take());
        if let Some(ports) = marks.ports.take() {
            v2.ports = ports;
        }
    });
}

/// Whether the app has a droplet or a package that is ready.
fn has_package(context: &RequestContext<'_>, app: &App) -> bool {
    let package = context.world.latest_package(app.base.guid);
    app.droplet.is_some() || package.is_some_and(|package| package.is_ready(context.world.now()))
}

fn change_app(
    context: &mut RequestContext<'_>,
    guid: Guid,
    asked: &AppRequest<'_>,
) -> Result<(), CcError> {
    // An unknown stack selects the default one.
    let stack = asked.stack.map(|text| {
        let stack = context.world.look_up::<Stack>(text);
        stack.map_or_else(
            || context.world.default_stack.into(),
            |stack| stack.name.clone(),
        )
    });
    context.world.update_row(guid, |app: &mut App| {
        if let Some(name) = asked.name {
            app.name = name.into();
        }
        if let Some(environment) = asked.environment {
            app.environment = environment.clone();
            app.has_environment = true;
        }
        if let Some(enabled) = asked.enable_ssh {
            app.features.set(Feature::Ssh, enabled);
        }
        if stack.is_some() {
            // Droplets of another stack do not run on this stack.
            app.droplet = None;
        }
        if let Lifecycle::Buildpack {
            buildpacks,
            stack: current,
            ..
        } = &mut app.lifecycle
        {
            if let Some(asked) = &asked.buildpacks {
                buildpacks.clone_from(asked);
            }
            *current = stack.unwrap_or_else(|| std::mem::take(current));
        }
    });
    if let Some(image) = asked.docker_image {
        let kind = PackageKind::Docker {
            image: image.into(),
            username: asked.docker_username.map(str::to_owned),
        };
        let metadata = MetadataPatch::default();
        context.world.add_package(guid, kind, metadata)?;
    }
    Ok(())
}

/// Starts an app, after staging it if its bits are new.
fn start(context: &mut RequestContext<'_>, guid: Guid) -> Result<(), CcError> {
    let app: &App = context.row(guid)?;
    let is_staged = context.world.package_state(app) == "STAGED";
    if is_staged || context.world.latest_package(guid).is_none() {
        return context.start_app(guid).map_err(quota_exceeded);
    }
    stage(context, guid)
}

/// Stages an app's newest package, and then runs it.
fn stage(context: &mut RequestContext<'_>, guid: Guid) -> Result<(), CcError> {
    let started = context.world.await_start(guid);
    started.map_err(|error| quota_exceeded(error.into()))?;
    context
        .world
        .update_row(guid, |app: &mut App| app.droplet = None);
    let package = context.world.latest_package(guid).ok_or_else(no_bits)?;
    let package = package.base.guid;
    let process = context.world.process(guid, "web");
    let Scale {
        memory_mb,
        disk_mb,
        log_rate,
        ..
    } = process
        .map(|process: &Process| process.scale)
        .ok_or_else(|| APPS.not_found(&guid.to_string()))?;
    let build = NewBuild {
        package,
        app: guid,
        lifecycle: context.row::<App>(guid)?.lifecycle.clone(),
        memory_mb,
        disk_mb,
        log_rate,
        metadata: MetadataPatch::default(),
    };
    let build = staging::stage(context, build)?;
    let droplet = context.row::<Build>(build)?.droplet;
    let crashing = context.crashes(guid);
    context.world.run_when_staged(droplet, crashing);
    Ok(())
}

fn restage(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = known(context, &APPS)?;
    writable(context, guid)?;
    let process = context.world.process(guid, "web");
    if process.is_some_and(|process| process.scale.instances < 1) {
        let detail = "Staging error: App must have at least 1 instance to stage.";
        return Err(CcError::new(400, 170_001, "CF-StagingError", detail));
    }
    let app: &App = context.row(guid)?;
    if context.world.package_state(app) == "PENDING" {
        return Err(super::not_staged());
    }
    if context.world.latest_package(guid).is_none() {
        return Err(no_bits());
    }
    context.world.stop_app(guid);
    stage(context, guid)?;
    context.world.record(guid, "audit.app.restage", json!({}));
    APPS.created(context, guid)
}
