//! `/v3/packages`

use serde_json::{Value, json};

use crate::api::context::{RequestContext, View, to_one};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::list::{ListQuery, ListSpec};
use crate::api::message::Message;
use crate::api::router::Route;
use crate::api::shared::packages::{NO_APP, create_package, list, present_data, upload_bits};
use crate::api::state::Present;
use crate::world::{App, Guid, Kind, Package, PackageKind, READ_SECRETS, Upload, WRITE_SPACE};

use super::apps;

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

pub(crate) fn find(context: &RequestContext<'_>) -> Result<Guid, CcError> {
    context.guid_of::<Package>("guid")
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    list(context, &LIST, None, present)
}

/// `GET /v3/apps/:guid/packages`
pub(crate) fn index_of_app(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    // The query is validated before the app is looked up.
    ListQuery::read(context, &LIST)?;
    let app = apps::find(context)?;
    list(context, &LIST, Some(app), present)
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

fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    context.show("guid", present)
}

fn update(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find(context)?;
    let body = context.request.object()?;
    let mut message = Message::new(&body, &["username", "password", "metadata"]);
    let username = message.column("username");
    let password = message.get("password");
    let patch = message.metadata();
    message.finish()?;
    let username = username?;
    let package: &Package = context.row(guid)?;
    let is_docker = matches!(package.kind, PackageKind::Docker { .. });
    if !is_docker && (username.is_some() || password.is_some()) {
        return Err(CcError::unprocessable(
            "Cannot update Docker credentials for a buildpack app.",
        ));
    }
    context.world.update_row(guid, |package: &mut Package| {
        if let (PackageKind::Docker { username: own, .. }, Some(new)) =
            (&mut package.kind, username)
        {
            *own = Some(new);
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
    let uploaded = source.upload.as_ref();
    let uploaded = uploaded.filter(|_| source.is_ready(context.world.now()));
    let upload = match kind {
        PackageKind::Docker { .. } => None,
        PackageKind::Bits => Some(Upload {
            copied: true,
            ready_at,
            ..uploaded.cloned().unwrap_or_else(|| Upload::missing(from))
        }),
    };
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
