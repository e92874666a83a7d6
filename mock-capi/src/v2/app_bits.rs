//! `PUT /v2/apps/:guid/bits`, and `/v2/resource_match` that goes before it.

use serde_json::{Map, Value, json};

use super::{apps, jobs};
use crate::call::Call;
use crate::error::CcError;
use crate::http::Response;
use crate::metadata::MetadataPatch;
use crate::multipart;
use crate::router::Route;
use crate::v3::{packages, resources};
use crate::world::{App, Job, Lifecycle, PackageKind};

pub(crate) const ROUTES: &[Route] = &[
    Route::put("/v2/apps/:guid/bits", upload),
    Route::put("/v2/resource_match", matches),
];

fn upload(call: &mut Call<'_>) -> Result<Response, CcError> {
    let guid = apps::find(call)?;
    let app: &App = call.row(guid)?;
    if app.lifecycle == Lifecycle::Docker {
        return Err(CcError::unprocessable("cannot upload bits to a docker app"));
    }
    let space = app.space;
    let metadata = MetadataPatch::default();
    let package = packages::add(call.world, guid, space, PackageKind::Bits, metadata);
    let content_type = call.request.header("content-type").unwrap_or_default();
    let parts = multipart::parts(content_type, call.request.body);
    let part = |name: &str| {
        let found = parts.iter().find(|part| part.name == name);
        found.map(|part| part.content)
    };
    let resources = part("resources").ok_or_else(|| invalid("missing :resources"))?;
    let resources =
        resources::read_uploaded(resources).map_err(|_| invalid("invalid :resources"))?;
    let bits = part("application").filter(|bits| !bits.is_empty());
    if call.request.query("async") != Some("true") {
        let now = call.world.now();
        packages::receive(call.world, package, bits, &resources, (now, None));
        return Ok(Response::created(&json!({})));
    }
    let job = call.start_job("package.upload", Some(package), None);
    let Job {
        ready_at, failure, ..
    } = call.row(job)?;
    let failure = failure.as_ref().and_then(CcError::staging_text);
    let outcome = (*ready_at, failure);
    packages::receive(call.world, package, bits, &resources, outcome);
    Ok(Response::created(&jobs::present_queued(call.world, job)))
}

fn invalid(reason: &str) -> CcError {
    let detail = format!("The app upload is invalid: {reason}");
    CcError::new(400, 160_001, "CF-AppBitsUploadInvalid", detail)
}

fn matches(call: &mut Call<'_>) -> Result<Response, CcError> {
    let body = serde_json::from_slice(call.request.body).map_err(|_| CcError::unparsable())?;
    let Value::Array(files) = body else {
        return Err(CcError::unprocessable("must be an array."));
    };
    let known = |file: &Map<String, Value>| {
        let text = |name: &str| file.get(name).and_then(Value::as_str);
        let size = file.get("size").and_then(Value::as_u64);
        let sha1 = text("sha1").unwrap_or_default();
        call.world
            .matches_resource(sha1, size.unwrap_or_default(), text("mode"))
    };
    let found = files
        .into_iter()
        .filter(|file| file.as_object().is_some_and(known));
    Ok(Response::ok(&found.collect()))
}
