//! `/v3/packages`

use serde_json::{Map, Value, json};

use crate::call::{Call, View, to_one};
use crate::error::CcError;
use crate::http::Response;
use crate::list::{ListQuery, ListSpec};
use crate::message::Message;
use crate::metadata::MetadataPatch;
use crate::multipart;
use crate::router::Route;
use crate::world::{Field, Guid, Kind, Lifecycle, Package, PackageKind, Upload, sha256};

use super::apps;

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v3/packages", index),
    Route::post("/v3/packages", create),
    Route::get("/v3/packages/:guid", show),
    Route::patch("/v3/packages/:guid", update),
    Route::delete("/v3/packages/:guid", delete),
    Route::post("/v3/packages/:guid/upload", upload),
];

const LIST: ListSpec = ListSpec::of(&[
    "states",
    "types",
    "app_guids",
    "app_guid",
    "space_guids",
    "organization_guids",
    "label_selector",
]);

pub(crate) fn present(package: &Package, view: &View<'_>) -> Value {
    let path = format!("/v3/packages/{}", package.base.guid);
    let mut links = json!({"self": view.link(&path)});
    if matches!(package.kind, PackageKind::Bits) {
        links["upload"] = view.action("POST", &format!("{path}/upload"));
        links["download"] = view.link(&format!("{path}/download"));
    }
    links["app"] = view.link(&format!("/v3/apps/{}", package.app));
    json!({
        "guid": package.base.guid,
        "created_at": package.base.created,
        "updated_at": package.base.updated,
        "type": package.kind(),
        "data": present_data(package, view),
        "state": package.state(view.at),
        "relationships": {"app": to_one(Some(package.app))},
        "metadata": package.base.metadata.present(),
        "links": links,
    })
}

pub(crate) fn present_data(package: &Package, view: &View<'_>) -> Value {
    match &package.kind {
        PackageKind::Bits => {
            let upload = package.upload.as_ref();
            let value = upload.filter(|upload| view.at >= upload.ready_at);
            let value = value.map(|upload| &upload.sha256);
            json!({"error": null, "checksum": {"type": "sha256", "value": value}})
        }
        PackageKind::Docker { image, username } => json!({
            "image": image,
            "username": username,
            "password": username.as_ref().map(|_| "***"),
        }),
    }
}

pub(crate) fn find(call: &Call<'_>) -> Result<Guid, CcError> {
    call.guid_of::<Package>("guid")
}

fn index(call: &mut Call<'_>) -> Result<Response, CcError> {
    list(call, &LIST, None, present)
}

/// `GET /v3/apps/:guid/packages`
pub(crate) fn index_of_app(call: &mut Call<'_>) -> Result<Response, CcError> {
    let app = apps::find(call)?;
    list(call, &LIST, Some(app), present)
}

/// Packages; of one app, if that is given.
pub(crate) fn list(
    call: &Call<'_>,
    spec: &ListSpec,
    app: Option<Guid>,
    present: fn(&Package, &View<'_>) -> Value,
) -> Result<Response, CcError> {
    let query = ListQuery::read(call, spec)?;
    let selection = query.by_owners(call.world, app.map(|app| (Field::App, app)))?;
    let now = call.world.now();
    let keep = |package: &Package| {
        query.admits("states", package.state(now)) && query.admits("types", package.kind())
    };
    query.respond(call, &selection, keep, present)
}

fn create(call: &mut Call<'_>) -> Result<Response, CcError> {
    let guid = create_package(call)?;
    call.created(guid, present)
}

/// Adds the package that the body asks for.
pub(crate) fn create_package(call: &mut Call<'_>) -> Result<Guid, CcError> {
    let body = call.request.object()?;
    let NewPackage {
        app,
        kind,
        metadata: patch,
    } = read_new(&body)?;
    let app = Guid::parse(&app)
        .and_then(|app| call.world.apps.get(app))
        .ok_or_else(|| {
            CcError::unprocessable("App is invalid. Ensure it exists and you have access to it.")
        })?;
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
    let (app, space) = (app.base.guid, app.space);
    let base = call.world.base_with(patch);
    let guid = call.world.add(Package {
        base,
        app,
        space,
        kind,
        upload: None,
    });
    let text = format!("Adding app package for app with guid {app}");
    call.world.log_api(app, text);
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
                message.error("Data must be empty if provided for bits packages");
            }
            PackageKind::Bits
        }
        Some("docker") => read_docker(&mut message),
        _ => {
            message.error("Type must be one of 'bits, docker'");
            PackageKind::Bits
        }
    };
    let app = message.relationships(&["app"], |inner| inner.related("app"));
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
    let data = message.nested("data", &["image", "username", "password"], |inner| {
        match inner
            .optional_text("image", 0..=usize::MAX)
            .filter(|image| !image.is_empty())
        {
            Some(text) => image = text.into(),
            None => inner.error("Image required"),
        }
        username = inner
            .optional_text("username", 0..=usize::MAX)
            .map(str::to_owned);
    });
    if data.is_none() && message.get("data").is_none() {
        message.error("Data Image required");
    }
    PackageKind::Docker { image, username }
}

fn show(call: &mut Call<'_>) -> Result<Response, CcError> {
    call.show("guid", present)
}

fn update(call: &mut Call<'_>) -> Result<Response, CcError> {
    let guid = find(call)?;
    let body = call.request.object()?;
    let mut message = Message::new(&body, &["username", "password", "metadata"]);
    let patch = message.metadata();
    message.finish()?;
    call.world.touch(guid, |package: &mut Package| {
        package.base.metadata.apply(patch)
    });
    call.ok(guid, present)
}

fn delete(call: &mut Call<'_>) -> Result<Response, CcError> {
    let guid = find(call)?;
    Ok(call.delete_in_job("package.delete", Kind::Package, guid))
}

fn upload(call: &mut Call<'_>) -> Result<Response, CcError> {
    let guid = upload_bits(call)?;
    let package = call.present_pending(guid, present)?;
    Ok(Response::ok(&package))
}

/// Takes the bits that the body has: their checksum is kept, they are not.
pub(crate) fn upload_bits(call: &mut Call<'_>) -> Result<Guid, CcError> {
    let bits = read_bits(call)?;
    let guid = find(call)?;
    let package: &Package = call.row(guid)?;
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
    call.world.log_api(app, text);
    let now = call.world.now();
    let ready_at = now.plus(call.world.timings.job);
    call.world.touch(guid, |package: &mut Package| {
        package.upload = Some(Upload {
            sha256: bits,
            ready_at,
        });
    });
    Ok(guid)
}

/// The checksum of the bits in a multipart body; of the matched resources where
/// there are only such.
fn read_bits(call: &Call<'_>) -> Result<String, CcError> {
    let content_type = call.request.header("content-type").unwrap_or_default();
    let parts = multipart::parts(content_type, call.request.body);
    let part = |name: &str| {
        let found = parts.iter().find(|part| part.name == name);
        found
            .map(|part| part.content)
            .filter(|content| !content.is_empty())
    };
    let resources = part("resources");
    let parsed: Option<Vec<Value>> = match resources {
        None => None,
        Some(json) => Some(
            serde_json::from_slice(json)
                .map_err(|_| CcError::unprocessable("Resources must be valid JSON."))?,
        ),
    };
    let matched = parsed.is_some_and(|resources| !resources.is_empty());
    match (part("bits"), resources) {
        (Some(bits), _) => Ok(sha256(bits)),
        (None, Some(resources)) if matched => Ok(sha256(resources)),
        _ => Err(CcError::unprocessable(
            "Upload must include either resources or bits",
        )),
    }
}
