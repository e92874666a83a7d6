//! Staging of packages.

use serde_json::json;

use super::lifecycle::check_flag;
use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::world::metadata::MetadataPatch;
use crate::world::{
    App, Build, Buildpack, Droplet, Guid, Lifecycle, MAX_APP_DISK_MB, NewDroplet, World,
};

/// The minimum memory and disk of staging.
const MIN_STAGING_MEMORY_MB: u32 = 1024;

const MIN_STAGING_DISK_MB: u32 = 4096;

/// The new build in a request.
pub(crate) struct NewBuild {
    pub(crate) package: Guid,
    pub(crate) app: Guid,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) memory_mb: u32,
    pub(crate) disk_mb: u32,
    pub(crate) log_rate: i64,
    pub(crate) metadata: MetadataPatch,
}

/// Starts to stage a package, if it can be staged.
pub(crate) fn stage(context: &mut RequestContext<'_>, new: NewBuild) -> Result<Guid, CcError> {
    check_flag(context, &new.lifecycle)?;
    check_stageable(context, new.package, new.app)?;
    check_enabled(context.world, &new.lifecycle)?;
    let memory_mb = staging_memory(context, &new)?;
    let disk_mb = staging_disk(&new)?;
    check_staging_log_rate(context, &new)?;
    let error = fail_staging(context, new.app);
    let app = new.app;
    let package = new.package;
    context
        .world
        .log_api(app, format!("Creating build for app with guid {app}"));
    let droplet = NewDroplet {
        lifecycle: new.lifecycle.clone(),
        error: error.clone(),
    };
    let droplet = context.world.stage(new.package, droplet);
    let droplet = droplet.ok_or_else(|| CcError::not_found("Package"))?;
    let (space, ready_at) = {
        let droplet: &Droplet = context.row(droplet)?;
        (droplet.space, droplet.ready_at)
    };
    let base = context.world.base_with(new.metadata);
    let build = base.guid;
    let mut data = json!({"build_guid": build, "package_guid": package});
    context
        .world
        .record(app, "audit.app.build.create", data.clone());
    let by_staging = json!({"droplet_guid": droplet, "package_guid": package});
    context
        .world
        .record(app, "audit.app.droplet.create", by_staging);
    let (outcome, event) = match &error {
        None => {
            data["droplet_guid"] = json!(droplet);
            data["buildpacks"] = json!([]);
            ("complete", "audit.app.build.staged")
        }
        Some(error) => {
            let (id, message) = error.split_once(" - ").unwrap_or(("", error));
            (data["error_id"], data["error_message"]) = (json!(id), json!(message));
            ("failed", "audit.app.build.failed")
        }
    };
    let staged = format!("Staging {outcome} for build {build}");
    context.world.log_api_at(app, ready_at, staged);
    context.world.record_at(app, ready_at, event, data);
    let caller = context.caller()?;
    let created_by = (caller.id().to_owned(), caller.name().map(str::to_owned));
    let build = Build {
        base,
        app: new.app,
        space,
        package: new.package,
        droplet,
        ready_at,
        error,
        lifecycle: new.lifecycle,
        memory_mb,
        disk_mb,
        log_rate: new.log_rate,
        created_by,
    };
    context.world.record_staging(&build);
    Ok(context.world.add(build))
}

/// The memory for staging: the requested memory, which must fit the quotas, or the
/// minimum, which is not checked.
fn staging_memory(context: &RequestContext<'_>, new: &NewBuild) -> Result<u32, CcError> {
    if new.memory_mb < MIN_STAGING_MEMORY_MB {
        return Ok(MIN_STAGING_MEMORY_MB);
    }
    let app: &App = context.row(new.app)?;
    context
        .world
        .check_staging_memory(app.space, new.memory_mb)?;
    Ok(new.memory_mb)
}

/// The disk for staging, between the minimum and the maximum of an app.
fn staging_disk(new: &NewBuild) -> Result<u32, CcError> {
    if new.disk_mb > MIN_STAGING_DISK_MB.max(MAX_APP_DISK_MB) {
        return Err(CcError::unprocessable("disk limit exceeded"));
    }
    Ok(new.disk_mb.max(MIN_STAGING_DISK_MB))
}

fn check_staging_log_rate(context: &RequestContext<'_>, new: &NewBuild) -> Result<(), CcError> {
    let app: &App = context.row(new.app)?;
    Ok(context
        .world
        .check_staging_log_rate(app.space, new.log_rate)?)
}

/// The error that a fault injects into the staging of an app's package.
pub(crate) fn fail_staging(context: &mut RequestContext<'_>, app: Guid) -> Option<String> {
    let name = context.world.apps.get(app).map(|app| app.name.as_str());
    context.faults.staging(name.unwrap_or_default())
}

/// Checks that a package is ready and no other package of its app is being staged.
fn check_stageable(context: &RequestContext<'_>, package: Guid, app: Guid) -> Result<(), CcError> {
    let world = &*context.world;
    if world.is_staging(app) {
        return Err(staging_in_progress());
    }
    if world
        .packages
        .get(package)
        .is_some_and(|package| package.is_ready(world.now()))
    {
        return Ok(());
    }
    Err(CcError::bad_request(
        "Cannot stage package whose state is not ready.",
    ))
}

/// Refuses disabled buildpacks.
fn check_enabled(world: &World, lifecycle: &Lifecycle) -> Result<(), CcError> {
    let Lifecycle::Buildpack { buildpacks, .. } = lifecycle else {
        return Ok(());
    };
    let asked = buildpacks.iter().filter_map(|name| world.named(name));
    let disabled = asked.filter(|buildpack: &&Buildpack| !buildpack.enabled);
    let names: Vec<String> = disabled.map(|it| format!("'{}'", it.name)).collect();
    if names.is_empty() {
        return Ok(());
    }
    let detail = format!(
        "Buildpack is invalid: Requested buildpack(s) {} are disabled and cannot be used for staging",
        names.join(", ")
    );
    Err(CcError::new(400, 290_003, "CF-BuildpackInvalid", detail))
}

pub(crate) fn staging_in_progress() -> CcError {
    CcError::new(
        422,
        170_017,
        "CF-StagingInProgress",
        "Only one build can be STAGING at a time per application.",
    )
}
