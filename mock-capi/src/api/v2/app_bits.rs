//! `PUT /v2/apps/:guid/bits`, and `/v2/resource_match` that goes before it.

use serde_json::{Map, Value, json};

use super::{apps, jobs};
use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::multipart;
use crate::api::router::Route;
use crate::api::v3::{packages, resources};
use crate::world::metadata::MetadataPatch;
use crate::world::{App, Job, Lifecycle, PackageKind};

pub(crate) const ROUTES: &[Route] = &[
    Route::put("/v2/apps/:guid/bits", upload),
    Route::put("/v2/resource_match", matches),
];

fn upload(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = apps::find(context)?;
    let app: &App = context.row(guid)?;
    if app.lifecycle == Lifecycle::Docker {
        return Err(CcError::unprocessable("cannot upload bits to a docker app"));
    }
    let space = app.space;
    let metadata = MetadataPatch::default();
    let package = packages::add(context.world, guid, space, PackageKind::Bits, metadata);
    let content_type = context.request.header("content-type").unwrap_or_default();
    let parts = multipart::parts(content_type, context.request.body);
    let part = |name: &str| {
        let found = parts.iter().find(|part| part.name == name);
        found.map(|part| part.content)
    };
    let resources = part("resources").ok_or_else(|| invalid("missing :resources"))?;
    let resources =
        resources::read_uploaded(resources).map_err(|_| invalid("invalid :resources"))?;
    let bits = part("application").filter(|bits| !bits.is_empty());
    if context.request.query("async") != Some("true") {
        let now = context.world.now();
        packages::receive(context.world, package, bits, &resources, (now, None));
        return Ok(Response::created(&json!({})));
    }
    let job = context.start_job("package.upload", Some(package), None);
    let Job {
        ready_at, failure, ..
    } = context.row(job)?;
    let failure = failure
        .clone()
        .and_then(|failure| CcError::from(failure).staging_text());
    let outcome = (*ready_at, failure);
    packages::receive(context.world, package, bits, &resources, outcome);
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
