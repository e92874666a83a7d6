//! What creates and changes `/v2/apps`: an app and its web process at once,
//! and staging where a start needs it.

use serde_json::{Map, Value};

use super::apps::{self, ERRORS};
use super::attributes::Attributes;
use super::{check_name, quota_exceeded};
use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::message::check_environment;
use crate::api::router::Route;
use crate::api::v3::builds::{self, NewBuild};
use crate::api::v3::{lifecycle, packages};
use crate::world::error::Error;
use crate::world::metadata::MetadataPatch;
use crate::world::{
    App, Build, CheckPatch, Feature, Guid, Kind, Lifecycle, PackageKind, Process, ProcessPatch,
    Row, Scale, Space, Stack, World,
};

pub(crate) const ROUTES: &[Route] = &[
    Route::post("/v2/apps", create),
    Route::put("/v2/apps/:guid", update),
    Route::post("/v2/apps/:guid/restage", restage),
];

const HEALTH_CHECKS: [&str; 4] = ["http", "none", "port", "process"];

/// The attributes that are the process's; while it is deployed, they stay.
const OF_PROCESS: [&str; 11] = [
    "production",
    "memory",
    "instances",
    "disk_quota",
    "state",
    "command",
    "health_check_type",
    "health_check_timeout",
    "health_check_http_endpoint",
    "diego",
    "ports",
];

/// What a request says of an app; `None` is left alone.
struct AppRequest<'b> {
    name: Option<&'b str>,
    environment: Option<Map<String, Value>>,
    enable_ssh: Option<bool>,
    buildpacks: Option<Vec<String>>,
    space: Option<&'b str>,
    stack: Option<&'b str>,
    docker_image: Option<&'b str>,
    docker_username: Option<&'b str>,
    command: Option<Option<String>>,
    check: CheckPatch,
    memory: Option<i64>,
    instances: Option<i64>,
    disk: Option<i64>,
    log_rate: Option<i64>,
    state: Option<&'b str>,
    /// Whether it is about the process.
    of_process: bool,
    /// What is wrong with it, in the words of the model.
    errors: Vec<String>,
}

impl<'b> AppRequest<'b> {
    fn read(attributes: &mut Attributes<'b>) -> Self {
        let mut errors = Vec::new();
        let environment = attributes.optional_object("environment_json");
        if let Some(variables) = environment {
            errors.extend(check_environment("environment_variables", variables));
        }
        let credentials = attributes.optional_object("docker_credentials");
        let username = credentials.and_then(|credentials| credentials.get("username"));
        let mut at_least = |name, min, error: &str| {
            let size = attributes.optional_integer(name);
            if size.is_some_and(|size| size < min) {
                errors.push(error.to_owned());
            }
            size
        };
        let disk = at_least(
            "disk_quota",
            1,
            "disk_quota too little disk requested (must be greater than zero)",
        );
        let log_rate = at_least(
            "log_rate_limit",
            -1,
            "log_rate_limit log_rate_limit must be greater than or equal to -1 (where -1 is unlimited)",
        );
        let check = read_check(attributes, &mut errors);
        // An empty text unsets what has a default.
        let mut unset_or = |name| {
            let text = attributes.optional_text(name);
            let text = text.filter(|text| !text.is_empty()).map(str::to_owned);
            attributes.has(name).then_some(text)
        };
        let (buildpack, command) = (unset_or("buildpack"), unset_or("command"));
        Self {
            name: attributes.optional_text("name"),
            environment: attributes
                .has("environment_json")
                .then(|| environment.cloned().unwrap_or_default()),
            enable_ssh: attributes.optional_boolean("enable_ssh"),
            buildpacks: buildpack.map(|buildpack| buildpack.into_iter().collect()),
            space: attributes.optional_text("space_guid"),
            stack: attributes.optional_text("stack_guid"),
            docker_image: attributes.optional_text("docker_image"),
            docker_username: username.and_then(Value::as_str),
            command,
            check,
            memory: attributes.optional_integer("memory"),
            instances: attributes.optional_integer("instances"),
            disk,
            log_rate,
            state: attributes.optional_text("state"),
            of_process: OF_PROCESS.iter().any(|name| attributes.has(name)),
            errors,
        }
    }

    /// What the model says of it.
    fn check(&self, world: &World) -> Result<(), CcError> {
        if self.memory.is_some_and(|memory| memory < 1) {
            let detail = "You have specified an invalid amount of memory for your application.";
            return Err(CcError::new(400, 100_006, "CF-AppMemoryInvalid", detail));
        }
        for (size, attribute) in [
            (self.memory, "memory"),
            (self.instances, "instances"),
            (self.disk, "disk_quota"),
        ] {
            if size.is_some_and(|size| size > i64::from(i32::MAX)) {
                return Err(invalid(&format!("{attribute} is too large")));
            }
        }
        if self.instances.is_some_and(|instances| instances < 0) {
            return Err(invalid("Number of instances less than 0"));
        }
        if self
            .state
            .is_some_and(|state| !["STARTED", "STOPPED"].contains(&state))
        {
            return Err(invalid("Invalid app state provided"));
        }
        let mut buildpacks = self.buildpacks.iter().flatten();
        if let Some(name) = buildpacks.find(|name| !lifecycle::is_buildpack(world, name, None)) {
            let reason = format!("Specified unknown buildpack name: \"{name}\"");
            return Err(invalid(&reason));
        }
        match self.errors.as_slice() {
            [] => Ok(()),
            errors => Err(invalid(&errors.join(", "))),
        }
    }

    /// The sizes that a process has then.
    fn scale(&self, current: Scale) -> Scale {
        let size = |asked: Option<i64>, current| {
            asked
                .and_then(|size| u32::try_from(size).ok())
                .unwrap_or(current)
        };
        Scale {
            instances: size(self.instances, current.instances),
            memory_mb: size(self.memory, current.memory_mb),
            disk_mb: size(self.disk, current.disk_mb),
            log_rate: self.log_rate.unwrap_or(current.log_rate),
        }
    }
}

fn read_check(attributes: &mut Attributes<'_>, errors: &mut Vec<String>) -> CheckPatch {
    let kind = attributes.optional_text("health_check_type");
    let known = kind.and_then(|kind| HEALTH_CHECKS.into_iter().find(|known| *known == kind));
    if kind.is_some() && known.is_none() {
        let kinds = HEALTH_CHECKS.join(", ");
        errors.push(format!("health_check_type must be one of {kinds}"));
    }
    let timeout = attributes.optional_integer("health_check_timeout");
    if timeout.is_some_and(|timeout| timeout < 1) {
        errors.push("health_check_timeout less_than_one".into());
    }
    // What is too large is refused with the process.
    let timeout = timeout.map(|timeout| u32::try_from(timeout).unwrap_or(u32::MAX));
    let endpoint = attributes.optional_text("health_check_http_endpoint");
    CheckPatch {
        kind: known,
        timeout: attributes.has("health_check_timeout").then_some(timeout),
        endpoint: attributes
            .has("health_check_http_endpoint")
            .then(|| endpoint.map(str::to_owned)),
        ..CheckPatch::default()
    }
}

fn invalid(reason: &str) -> CcError {
    let detail = format!("The app is invalid: {reason}");
    CcError::new(400, 100_001, "CF-AppInvalid", detail)
}

fn package_invalid(reason: &str) -> CcError {
    let detail = format!("The app package is invalid: {reason}");
    CcError::new(400, 150_001, "CF-AppPackageInvalid", detail)
}

fn no_bits() -> CcError {
    package_invalid("bits have not been uploaded")
}

fn create(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let mut attributes = Attributes::new(&body);
    let name = attributes.text("name").unwrap_or_default();
    let space_guid = attributes.text("space_guid").unwrap_or_default();
    let asked = AppRequest::read(&mut attributes);
    attributes.finish()?;
    check_name(name, invalid)?;
    asked.check(context.world)?;
    let space = context.world.look_up::<Space>(space_guid).map(Row::guid);
    let space = space.ok_or_else(|| super::spaces::ERRORS.not_found(space_guid))?;
    if context.world.find_app(space, name).is_some() {
        return Err(ERRORS.taken(name));
    }
    if asked.docker_username.is_some() && asked.docker_image.is_none() {
        let detail = "Docker credentials can only be supplied for apps with a 'docker_image'";
        return Err(CcError::new(400, 150_008, "CF-DockerImageMissing", detail));
    }
    if asked.state == Some("STARTED") && asked.docker_image.is_none() {
        return Err(no_bits());
    }
    let lifecycle = match asked.docker_image {
        Some(_) => Lifecycle::Docker,
        None => Lifecycle::Buildpack {
            buildpacks: Vec::new(),
            stack: context.world.default_stack.into(),
        },
    };
    let metadata = MetadataPatch::default();
    let world = &mut *context.world;
    let guid = world.create_app(space, name.into(), lifecycle, Map::new(), metadata);
    world.create_process(guid, "web");
    if let Err(refusal) = change(context, guid, asked) {
        // It is as if it had never been there.
        context.world.delete(Kind::App, guid);
        context.world.forget_events_of(guid);
        return Err(refusal);
    }
    let location = format!("/v2/apps/{guid}");
    Ok(Response::created(&apps::shown(context, guid)).with_header("Location", location))
}

fn update(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = apps::find(context)?;
    let body = context.request.object()?;
    let mut attributes = Attributes::new(&body);
    let asked = AppRequest::read(&mut attributes);
    attributes.finish()?;
    let app: &App = context.row(guid)?;
    let (is_docker, space) = (app.lifecycle == Lifecycle::Docker, app.space);
    if asked.space.is_some_and(|other| other != space.to_string()) {
        return Err(CcError::unimplemented(
            "PUT",
            "/v2/apps/:guid with another space_guid",
        ));
    }
    let of_buildpacks = asked.buildpacks.is_some() || asked.stack.is_some();
    if is_docker && of_buildpacks || !is_docker && asked.docker_image.is_some() {
        return Err(invalid("Lifecycle type cannot be changed"));
    }
    asked.check(context.world)?;
    if let Some(name) = asked.name {
        check_name(name, invalid)?;
        let holder = context.world.find_app(space, name);
        if holder.is_some_and(|holder| holder.base.guid != guid) {
            return Err(ERRORS.taken(name));
        }
    }
    if asked.of_process && context.world.is_deploying(guid) {
        return Err(deploying(&asked));
    }
    change(context, guid, asked)?;
    Ok(Response::created(&apps::shown(context, guid)))
}

/// Why a process that a deployment replaces stays as it is.
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

/// Does what a request asks for.
fn change(
    context: &mut RequestContext<'_>,
    guid: Guid,
    asked: AppRequest<'_>,
) -> Result<(), CcError> {
    let process = context.world.process(guid, "web");
    let process = process.ok_or_else(|| ERRORS.not_found(&guid.to_string()))?;
    let (process, current) = (process.base.guid, process.scale);
    let starts = asked.state == Some("STARTED");
    let app: &App = context.row(guid)?;
    let is_stopped = !app.started;
    if starts && is_stopped && asked.docker_image.is_none() && !has_package(context, app) {
        return Err(no_bits());
    }
    let patch = ProcessPatch {
        command: asked.command.clone(),
        health_check: asked.check.clone(),
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

/// Whether there is something to run or to stage.
fn has_package(context: &RequestContext<'_>, app: &App) -> bool {
    let package = context.world.latest_package(app.base.guid);
    app.droplet.is_some() || package.is_some_and(|package| builds::is_ready(context.world, package))
}

fn change_app(
    context: &mut RequestContext<'_>,
    guid: Guid,
    asked: &AppRequest<'_>,
) -> Result<(), CcError> {
    // A stack that is not there leaves an app on the default one.
    let stack = asked.stack.map(|text| {
        let stack = context.world.look_up::<Stack>(text);
        stack.map_or_else(
            || context.world.default_stack.into(),
            |stack| stack.name.clone(),
        )
    });
    context.world.touch(guid, |app: &mut App| {
        if let Some(name) = asked.name {
            app.name = name.into();
        }
        if let Some(environment) = &asked.environment {
            app.environment = environment.clone();
        }
        if let Some(enabled) = asked.enable_ssh {
            app.features.set(Feature::Ssh, enabled);
        }
        if stack.is_some() {
            // What was staged on another stack does not run on this one.
            app.droplet = None;
        }
        if let Lifecycle::Buildpack {
            buildpacks,
            stack: current,
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
        let space = context.row::<App>(guid)?.space;
        packages::add(context.world, guid, space, kind, MetadataPatch::default());
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

/// Stages an app's newest package, and runs it then.
fn stage(context: &mut RequestContext<'_>, guid: Guid) -> Result<(), CcError> {
    let started = context.world.await_start(guid);
    started.map_err(|error| quota_exceeded(error.into()))?;
    context
        .world
        .touch(guid, |app: &mut App| app.droplet = None);
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
        .ok_or_else(|| ERRORS.not_found(&guid.to_string()))?;
    let build = NewBuild {
        package,
        app: guid,
        lifecycle: context.row::<App>(guid)?.lifecycle.clone(),
        memory_mb,
        disk_mb,
        log_rate,
        metadata: MetadataPatch::default(),
    };
    let build = builds::stage(context, build)?;
    let droplet = context.row::<Build>(build)?.droplet;
    let crashing = context.crashes(guid);
    context.world.run_when_staged(droplet, crashing);
    Ok(())
}

fn restage(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = apps::find(context)?;
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
    let location = format!("/v2/apps/{guid}");
    Ok(Response::created(&apps::shown(context, guid)).with_header("Location", location))
}
