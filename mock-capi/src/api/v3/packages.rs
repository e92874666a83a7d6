//! `/v3/packages`

use serde_json::{Map, Value, json};

use crate::api::context::{RequestContext, View, to_one};
use crate::api::error::CcError;
use crate::api::http::{Request, Response};
use crate::api::list::{ListQuery, ListSpec};
use crate::api::message::Message;
use crate::api::router::Route;
use crate::api::state::Present;
use crate::world::clock::Timestamp;
use crate::world::metadata::MetadataPatch;
use crate::world::{
    App, Bits, Field, Guid, Kind, Lifecycle, Package, PackageKind, READ_SECRETS, Resource, Upload,
    WRITE_SPACE, World,
};

use super::{apps, resources};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v3/packages", index),
    Route::post("/v3/packages", create).by(WRITE_SPACE),
    Route::get("/v3/packages/:guid", show),
    Route::patch("/v3/packages/:guid", update).by(WRITE_SPACE),
    Route::delete("/v3/packages/:guid", delete).by(WRITE_SPACE),
    Route::get("/v3/packages/:guid/download", download).by(READ_SECRETS),
    Route::post("/v3/packages/:guid/upload", upload)
        .by(WRITE_SPACE)
        .flagged("app_bits_upload"),
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

const NO_APP: &str = "App is invalid. Ensure it exists and you have access to it.";

impl Present for Package {
    fn present(&self, view: &View<'_>) -> Value {
        present(self, view)
    }
}

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

pub(crate) fn find(context: &RequestContext<'_>) -> Result<Guid, CcError> {
    context.guid_of::<Package>("guid")
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    list(context, &LIST, None, present)
}

/// `GET /v3/apps/:guid/packages`
pub(crate) fn index_of_app(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let app = apps::find(context)?;
    list(context, &LIST, Some(app), present)
}

/// Packages; of one app, if that is given.
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

fn create(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let Some(source) = context.request.query("source_guid").map(str::to_owned) else {
        let guid = create_package(context)?;
        return context.created(guid, present);
    };
    let guid = copy(context, &source)?;
    let package = context.present_pending(guid, present)?;
    Ok(Response::created(&package))
}

/// Adds the package that the body asks for.
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
    let (app, space) = (app.base.guid, app.space);
    let guid = add(context.world, app, space, kind, patch);
    let data = json!({"package_guid": guid, "request": body});
    context.world.record(app, "audit.app.package.create", data);
    Ok(guid)
}

/// Adds a package to an app.
pub(crate) fn add(
    world: &mut World,
    app: Guid,
    space: Guid,
    kind: PackageKind,
    metadata: MetadataPatch,
) -> Guid {
    let base = world.base_with(metadata);
    let guid = world.add(Package {
        base,
        app,
        space,
        kind,
        upload: None,
        expired: false,
    });
    world.log_api(app, format!("Adding app package for app with guid {app}"));
    guid
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
    let data = message.nested("data", &["image", "username", "password"], |inner| {
        let given = inner.check("image").string();
        let given = given.present_or("required");
        image = given.text().unwrap_or_default().into();
        username = inner.column("username").unwrap_or_default();
    });
    if data.is_none() && message.get("data").is_none() {
        message.error("Data Image must be a string");
        message.error("Data Image required");
    }
    PackageKind::Docker { image, username }
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    context.show("guid", present)
}

fn update(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find(context)?;
    let body = context.request.object()?;
    let mut message = Message::new(&body, &["username", "password", "metadata"]);
    let username = message.optional_text("username", 0..=usize::MAX);
    let password = message.optional_text("password", 0..=usize::MAX);
    let patch = message.metadata();
    message.finish()?;
    let package: &Package = context.row(guid)?;
    let is_docker = matches!(package.kind, PackageKind::Docker { .. });
    if !is_docker && (username.is_some() || password.is_some()) {
        return Err(CcError::unprocessable(
            "Cannot update Docker credentials for a buildpack app.",
        ));
    }
    context.world.touch(guid, |package: &mut Package| {
        if let (PackageKind::Docker { username: own, .. }, Some(new)) =
            (&mut package.kind, username)
        {
            *own = Some(new.to_owned());
        }
        package.base.metadata.apply(patch);
    });
    context.ok(guid, present)
}

fn delete(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find(context)?;
    let app = context.row::<Package>(guid)?.app;
    let text = format!("Deleting app package for app with guid {app}");
    context.world.log_api(app, text);
    let data = json!({"package_guid": guid});
    context.world.record(app, "audit.app.package.delete", data);
    Ok(context.delete_in_job("package.delete", Kind::Package, guid))
}

fn upload(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = upload_bits(context)?;
    let package = context.present_pending(guid, present)?;
    Ok(Response::ok(&package))
}

fn download(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find(context)?;
    let package: &Package = context.row(guid)?;
    let PackageKind::Bits = package.kind else {
        return Err(CcError::unprocessable("Package type must be bits."));
    };
    let ready = package.state(context.world.now()) == "READY";
    let upload = package.upload.as_ref().filter(|_| ready);
    let upload =
        upload.ok_or_else(|| CcError::unprocessable("Package has no bits to download."))?;
    let (app, answer) = (package.app, context.bits(&upload.sha256)?);
    let text = format!("Downloading app package for app with guid {app}");
    context.world.log_api(app, text);
    let data = json!({"package_guid": guid});
    context
        .world
        .record(app, "audit.app.package.download", data);
    Ok(answer)
}

/// Takes the files that the body has or names.
pub(crate) fn upload_bits(context: &mut RequestContext<'_>) -> Result<Guid, CcError> {
    let (bits, resources) = read_upload(context.request)?;
    let guid = find(context)?;
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
    let ready_at = context.world.ready_after(|timings| timings.job);
    receive(context.world, guid, bits, &resources, (ready_at, None));
    Ok(guid)
}

/// Gives a package its bits, which are processed, or fail, at some moment.
pub(crate) fn receive(
    world: &mut World,
    guid: Guid,
    bits: Option<&Bits>,
    resources: &[Resource],
    (ready_at, failure): (Timestamp, Option<String>),
) {
    if let Some(app) = world.packages.get(guid).map(|package| package.app) {
        let text = format!("Uploading app package for app with guid {app}");
        world.log_api(app, text);
        let data = json!({"package_guid": guid});
        world.record(app, "audit.app.package.upload", data);
    }
    let contents = world.unpack(bits, resources);
    world.touch(guid, |package: &mut Package| {
        package.upload = Some(Upload {
            sha256: contents.sha256,
            files: contents.files,
            copied: false,
            error: failure.or(contents.error),
            ready_at,
        });
    });
    if let Some(app) = world.packages.get(guid).map(|package| package.app) {
        world.expire_packages_at(ready_at, app);
    }
}

/// The bits in a multipart body, and the resources that it names.
fn read_upload<'r>(request: &Request<'r>) -> Result<(Option<&'r Bits>, Vec<Resource>), CcError> {
    let resources = request.form.text("resources");
    let resources = resources.filter(|resources| !resources.is_empty());
    let resources = resources.map(resources::read_uploaded).transpose()?;
    let bits = request.form.bits("bits").filter(|bits| !bits.is_empty());
    let resources = resources.unwrap_or_default();
    if bits.is_none() && resources.is_empty() {
        return Err(CcError::unprocessable(
            "Upload must include either resources or bits",
        ));
    }
    Ok((bits, resources))
}

/// `POST /v3/packages?source_guid=...`
fn copy(context: &mut RequestContext<'_>, source: &str) -> Result<Guid, CcError> {
    let body = context.request.object()?;
    let app = ["app", "data", "guid"]
        .iter()
        .try_fold(body.get("relationships"), |value, key| {
            Some(value?.get(key))
        })
        .flatten()
        .and_then(Value::as_str);
    let app: &App = context.related(app, NO_APP)?;
    let source: &Package = context.related(
        Some(source),
        "Source package is invalid. Ensure it exists and you have access to it.",
    )?;
    let (app, space) = (app.base.guid, app.space);
    if source.app == app {
        return Err(CcError::unprocessable(
            "Source and destination app cannot be the same",
        ));
    }
    let from = source.base.guid;
    let kind = match &source.kind {
        PackageKind::Bits => PackageKind::Bits,
        // Credentials are not copied.
        PackageKind::Docker { image, .. } => PackageKind::Docker {
            image: image.clone(),
            username: None,
        },
    };
    let ready_at = context.world.ready_after(|timings| timings.copy);
    let source = context.row::<Package>(from)?;
    let upload = source.upload.as_ref().map(|upload| Upload {
        copied: true,
        ready_at,
        ..upload.clone()
    });
    let base = context.world.base();
    let guid = context.world.add(Package {
        base,
        app,
        space,
        kind,
        upload,
        expired: false,
    });
    context.world.expire_packages_at(ready_at, app);
    let text =
        format!("Adding app package for app with guid {app} copied from package with guid {from}");
    context.world.log_api(app, text);
    let data = json!({"package_guid": guid, "request": {"source_package_guid": from}});
    context.world.record(app, "audit.app.package.create", data);
    Ok(guid)
}
