//! `PUT /v2/apps/:guid/bits`, and `/v2/resource_match`, which clients use before it

use serde_json::{Map, Value, json};

use super::apps::{APPS, writable};
use super::{jobs, known, post, put};
use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::router::Route;
use crate::api::shared::droplets::receive_droplet;
use crate::api::shared::packages;
use crate::world::metadata::MetadataPatch;
use crate::world::{App, Guid, Job, Lifecycle, Package, PackageKind, Upload};

pub(crate) const ROUTES: &[Route] = &[
    put("/v2/apps/:guid/bits", upload),
    post("/v2/apps/:guid/copy_bits", copy),
    Route::get("/v2/apps/:guid/download", download),
    Route::get("/v2/apps/:guid/droplet/download", download_droplet),
    put("/v2/apps/:guid/droplet/upload", upload_droplet),
    put("/v2/resource_match", matches),
];

fn upload(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = known(context, &APPS)?;
    uploadable(context, guid)?;
    let app: &App = context.row(guid)?;
    if app.lifecycle == Lifecycle::Docker {
        return Err(CcError::unprocessable("cannot upload bits to a docker app"));
    }
    let metadata = MetadataPatch::default();
    let package = context
        .world
        .add_package(guid, PackageKind::Bits, metadata)?;
    let form = context.request.form;
    let resources = form.text("resources");
    let resources = resources.ok_or_else(|| invalid("missing :resources"))?;
    let resources =
        packages::read_resources(resources).map_err(|_| invalid("invalid :resources"))?;
    let bits = form.bits("application").filter(|bits| !bits.is_empty());
    let text = format!("Uploading bits for app with guid {guid}");
    context.world.log_api(guid, text);
    let data = json!({"package_guid": package});
    context.world.record(guid, "audit.app.upload-bits", data);
    if context.request.query("async") != Some("true") {
        let now = context.world.now();
        let outcome = (now, None);
        context
            .world
            .receive_bits(package, bits, &resources, outcome);
        return match refusal(context, package)? {
            Some(refusal) => Err(refusal),
            None => Ok(Response::created(&json!({}))),
        };
    }
    let job = context.start_job("package.upload", Some(package), None);
    let Job {
        ready_at, failure, ..
    } = context.row(job)?;
    let failure = failure
        .clone()
        .and_then(|failure| CcError::from(failure).staging_text());
    let outcome = (*ready_at, failure);
    context
        .world
        .receive_bits(package, bits, &resources, outcome);
    let refusal = refusal(context, package)?.map(Into::into);
    context.world.jobs.update(job, |job| {
        job.failure = job.failure.take().or(refusal);
    });
    Ok(Response::created(&jobs::present_queued(context.world, job)))
}

/// The error if the bits of a package are invalid.
fn refusal(context: &RequestContext<'_>, package: Guid) -> Result<Option<CcError>, CcError> {
    let package: &Package = context.row(package)?;
    let error = package.upload.as_ref().and_then(|it| it.error.as_deref());
    Ok(error.map(packages::invalid_bits))
}

/// Refuses callers who may not upload bits of an app.
fn uploadable(context: &RequestContext<'_>, guid: Guid) -> Result<(), CcError> {
    context.require_flag("app_bits_upload")?;
    writable(context, guid)
}

/// `POST /v2/apps/:guid/copy_bits`: copies the bits of another app.
fn copy(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let source = body.get("source_app_guid").and_then(Value::as_str);
    let source = source.ok_or_else(|| {
        let detail = "The app copy is invalid: missing source_app_guid";
        CcError::new(400, 160_002, "CF-AppBitsCopyInvalid", detail)
    })?;
    let source = APPS.look_up(context.world, source)?;
    uploadable(context, source)?;
    let guid = known(context, &APPS)?;
    uploadable(context, guid)?;
    let original = context.world.latest_package(source);
    let Some(original) = original.map(|package| (package.base.guid, package.kind.clone())) else {
        return Err(CcError::unknown());
    };
    let (original, kind) = original;
    let metadata = MetadataPatch::default();
    let package = context.world.add_package(guid, kind, metadata)?;
    let job = context.start_job("package.upload", Some(package), None);
    let ready_at = context.row::<Job>(job)?.ready_at;
    let upload = context.row::<Package>(original)?.upload.clone();
    context.world.packages.update(package, |package| {
        package.upload = upload.map(|upload| Upload {
            copied: true,
            ready_at,
            ..upload
        });
    });
    let kind = "audit.app.copy-bits";
    let world = &mut *context.world;
    world.record(source, kind, json!({"destination_guid": guid}));
    world.record(guid, kind, json!({"source_guid": source}));
    Ok(Response::created(&jobs::present_queued(context.world, job)))
}

/// `GET /v2/apps/:guid/download`: the bits of the newest package.
fn download(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = APPS.readable(context)?;
    let package = context.world.latest_package(guid);
    let upload = package.and_then(|package| package.upload.as_ref());
    let upload = upload.ok_or_else(|| {
        let detail = format!("The app package could not be found: {guid}");
        CcError::new(404, 150_002, "CF-AppPackageNotFound", detail)
    })?;
    context.bits(&upload.sha256)
}

/// `GET /v2/apps/:guid/droplet/download`: the current droplet.
fn download_droplet(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = APPS.readable(context)?;
    let app: &App = context.row(guid)?;
    let droplet = app.droplet.and_then(|it| context.world.droplets.get(it));
    let droplet = droplet.ok_or_else(|| {
        let detail = format!("Droplet not found for app with guid {guid}");
        CcError::new(404, 10010, "CF-ResourceNotFound", detail)
    })?;
    context.bits(&droplet.sha256)
}

/// `PUT /v2/apps/:guid/droplet/upload`: a droplet that becomes the current one.
fn upload_droplet(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = known(context, &APPS)?;
    writable(context, guid)?;
    let Some((_, bits)) = context.request.form.file("droplet") else {
        let detail = "The droplet upload is invalid: missing :droplet_path";
        let title = "CF-DropletUploadInvalid";
        return Err(CcError::new(400, 380_002, title, detail));
    };
    let space = context.row::<App>(guid)?.space;
    let droplet = context.world.await_droplet(guid, space, Map::new());
    let job = context.start_job("droplet.upload", Some(droplet), None);
    receive_droplet(context, droplet, bits, job)?;
    context.world.use_when_ready(droplet);
    Ok(Response::created(&jobs::present_queued(context.world, job)))
}

fn invalid(reason: &str) -> CcError {
    let detail = format!("The app upload is invalid: {reason}");
    CcError::new(400, 160_001, "CF-AppBitsUploadInvalid", detail)
}

fn matches(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = serde_json::from_slice(context.request.body).map_err(|_| CcError::unparsable())?;
    let Value::Array(files) = body else {
        return Err(CcError::unprocessable("must be an array."));
    };
    let known = |file: &Map<String, Value>| {
        let text = |name: &str| file.get(name).and_then(Value::as_str);
        let size = file.get("size").and_then(Value::as_u64);
        let sha1 = text("sha1").unwrap_or_default();
        context
            .world
            .matches_resource(sha1, size.unwrap_or_default(), text("mode"))
    };
    let found = files
        .into_iter()
        .filter(|file| file.as_object().is_some_and(known));
    Ok(Response::ok(&found.collect()))
}
