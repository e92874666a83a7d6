//! Lists of packages, and requests that create them and upload their bits.

use serde_json::{Map, Value, json};

use crate::api::context::{RequestContext, View};
use crate::api::error::{CcError, validate};
use crate::api::http::{Request, Response};
use crate::api::list::{ListQuery, ListSpec};
use crate::api::message::Message;
use crate::world::metadata::MetadataPatch;
use crate::world::{App, Bits, Field, Guid, Lifecycle, Package, PackageKind, Resource};

pub(crate) const NO_APP: &str = "App is invalid. Ensure it exists and you have access to it.";

pub(crate) fn present_data(package: &Package, view: &View<'_>) -> Value {
    match &package.kind {
        PackageKind::Bits => {
            let upload = package.upload.as_ref();
            let done = upload.filter(|upload| view.at >= upload.ready_at);
            let error = done.and_then(|upload| upload.error.as_ref());
            let value = done.filter(|_| error.is_none() && !package.expired);
            let value = value.map(|upload| &upload.sha256);
            json!({"error": error, "checksum": {"type": "sha256", "value": value}})
        }
        PackageKind::Docker { image, username } => json!({
            "image": image,
            "username": username,
            "password": username.as_ref().map(|_| "***"),
        }),
    }
}

/// Responds with packages, optionally of one app.
pub(crate) fn list(
    context: &RequestContext<'_>,
    spec: &ListSpec,
    app: Option<Guid>,
    present: fn(&Package, &View<'_>) -> Value,
) -> Result<Response, CcError> {
    let query = ListQuery::read(context, spec)?;
    let selection = query.by_owners(context.world, app.map(|app| (Field::App, app)))?;
    let now = context.world.now();
    let keep = |package: &Package| {
        query.admits("states", package.state(now)) && query.admits("types", package.kind())
    };
    query.respond_by_query(context, &selection, keep, present)
}

/// Creates the package that the body describes.
pub(crate) fn create_package(context: &mut RequestContext<'_>) -> Result<Guid, CcError> {
    let body = context.request.object()?;
    let NewPackage {
        app,
        kind,
        metadata: patch,
    } = read_new(&body)?;
    let app: &App = context.related(Some(&app), NO_APP)?;
    match (&kind, &app.lifecycle) {
        (PackageKind::Bits, Lifecycle::Docker) => {
            return Err(CcError::unprocessable(
                "Cannot create bits package for a Docker app.",
            ));
        }
        (PackageKind::Docker { .. }, Lifecycle::Buildpack { .. }) => {
            return Err(CcError::unprocessable(
                "Cannot create Docker package for a buildpack app.",
            ));
        }
        _ => {}
    }
    let app = app.base.guid;
    let guid = context.world.add_package(app, kind, patch)?;
    let data = json!({"package_guid": guid, "request": body});
    context.world.record(app, "audit.app.package.create", data);
    Ok(guid)
}

struct NewPackage {
    app: String,
    kind: PackageKind,
    metadata: MetadataPatch,
}

fn read_new(body: &Map<String, Value>) -> Result<NewPackage, CcError> {
    let mut message = Message::new(body, &["relationships", "type", "data", "metadata"]);
    let kind = match message.get("type").and_then(Value::as_str) {
        Some("bits") => {
            let empty = |data: &Value| data.as_object().is_some_and(Map::is_empty);
            if message.get("data").is_some_and(|data| !empty(data)) {
                message.error("Data Data must be empty if provided for bits packages");
            }
            PackageKind::Bits
        }
        Some("docker") => read_docker(&mut message),
        _ => PackageKind::Docker {
            image: String::new(),
            username: None,
        },
    };
    let app = message.relationships(&["app"], |inner| inner.related("app"));
    let kinds = ["bits", "docker"];
    message
        .check("type")
        .one_of(&kinds, "must be one of 'bits, docker'");
    let metadata = message.metadata();
    message.finish()?;
    Ok(NewPackage {
        app: app.flatten().unwrap_or_default().into(),
        kind,
        metadata,
    })
}

fn read_docker(message: &mut Message<'_>) -> PackageKind {
    let mut image = String::new();
    let mut username = None;
    let given = message.get("data");
    let empty = Map::new();
    let data = match given {
        None => Some(&empty),
        Some(data) => data.as_object(),
    };
    let Some(data) = data else {
        message.error("Data must be an object");
        return PackageKind::Docker { image, username };
    };
    let mut inner = Message::of_any(data);
    let name = inner.check("image").string().present_or("required").text();
    name.unwrap_or_default().clone_into(&mut image);
    username = inner.column("username").unwrap_or_default();
    inner.refuse_unknown(&["image", "username", "password"]);
    message.absorb_as("Data", inner);
    PackageKind::Docker { image, username }
}

/// Stores the files that the body contains or names.
pub(crate) fn upload_bits(context: &mut RequestContext<'_>) -> Result<Guid, CcError> {
    let (bits, resources) = read_upload(context.request)?;
    let guid = context.guid_of::<Package>("guid")?;
    let package: &Package = context.row(guid)?;
    if !matches!(package.kind, PackageKind::Bits) {
        return Err(CcError::unprocessable("Package type must be bits."));
    }
    if package.upload.is_some() {
        return Err(CcError::new(
            400,
            150_004,
            "CF-PackageBitsAlreadyUploaded",
            "Bits may be uploaded only once. Create a new package to upload different bits.",
        ));
    }
    let app = package.app;
    let text = format!("Uploading app package for app with guid {app}");
    context.world.log_api(app, text);
    let data = json!({"package_guid": guid});
    context.world.record(app, "audit.app.package.upload", data);
    let ready_at = context.world.ready_after(|timings| timings.job);
    let outcome = (ready_at, None);
    context.world.receive_bits(guid, bits, &resources, outcome);
    Ok(guid)
}

/// The bits in a multipart body, and the resources that it names.
fn read_upload<'r>(request: &Request<'r>) -> Result<(Option<&'r Bits>, Vec<Resource>), CcError> {
    let resources = request.form.text("resources");
    let resources = resources.filter(|resources| !resources.is_empty());
    let resources = resources.map(read_resources).transpose()?;
    let bits = request.form.bits("bits").filter(|bits| !bits.is_empty());
    let resources = resources.unwrap_or_default();
    let unknown = request.form.unknown_fields(&["bits", "resources"]);
    let missing = (bits.is_none() && resources.is_empty())
        .then(|| "Upload must include either resources or bits".to_owned());
    let errors: Vec<String> = unknown.into_iter().chain(missing).collect();
    validate(&errors)?;
    Ok((bits, resources))
}

/// The error for bits that are not a valid package. The Cloud Controller has codes for
/// some reasons. The others are unknown errors.
pub(crate) fn invalid_bits(reason: &str) -> CcError {
    const CODES: [(&str, u32, &str); 4] = [
        (
            "The app upload is invalid",
            160_001,
            "CF-AppBitsUploadInvalid",
        ),
        (
            "The app package is invalid",
            150_001,
            "CF-AppPackageInvalid",
        ),
        (
            "The resource file mode is invalid",
            160_003,
            "CF-AppResourcesFileModeInvalid",
        ),
        (
            "The resource file path is invalid",
            160_004,
            "CF-AppResourcesFilePathInvalid",
        ),
    ];
    let mut codes = CODES.into_iter();
    match codes.find(|(start, ..)| reason.starts_with(start)) {
        Some((_, code, title)) => CcError::new(400, code, title, reason),
        None => CcError::unknown(),
    }
}

/// Reads the `resources` of an upload: JSON, with today's field names or those of
/// v2.
pub(crate) fn read_resources(json: &[u8]) -> Result<Vec<Resource>, CcError> {
    let unreadable = || CcError::unprocessable("Resources must be valid JSON.");
    let values: Vec<Map<String, Value>> = serde_json::from_slice(json).map_err(|_| unreadable())?;
    let resources = values.iter().map(read_one).collect::<Option<_>>();
    resources.ok_or_else(unreadable)
}

fn read_one(resource: &Map<String, Value>) -> Option<Resource> {
    let text = |value: Option<&Value>| match value {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(other) => Some(other.to_string()),
    };
    let of_today = resource.contains_key("checksum") && resource.contains_key("size_in_bytes");
    let (path, sha1) = if of_today {
        let checksum = resource["checksum"].as_object()?;
        (resource.get("path"), checksum.get("value"))
    } else {
        (resource.get("fn"), resource.get("sha1"))
    };
    Some(Resource {
        path: text(path),
        sha1: text(sha1).unwrap_or_default(),
        mode: text(resource.get("mode")),
    })
}
