//! `/v3/droplets`

use serde_json::{Value, json};

use crate::api::context::{RequestContext, View, to_one};
use crate::api::error::CcError;
use crate::api::http::{Request, Response};
use crate::api::list::{ListQuery, ListSpec};
use crate::api::message::Message;
use crate::api::router::Route;
use crate::api::shared::droplets::{checksum, copy_droplet, list, receive_droplet};
use crate::api::shared::lifecycle;
use crate::api::state::Present;
use crate::world::settings::Dialect;
use crate::world::{
    App, Bits, DOWNLOAD_DROPLETS, Droplet, Field, Guid, Kind, Lifecycle, Origin, Registered,
    WRITE_SPACE,
};

use super::apps;

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v3/droplets", index),
    Route::post("/v3/droplets", create).by(WRITE_SPACE),
    Route::get("/v3/droplets/:guid", show),
    Route::patch("/v3/droplets/:guid", update).by(WRITE_SPACE),
    Route::delete("/v3/droplets/:guid", delete).by(WRITE_SPACE),
    Route::get("/v3/droplets/:guid/download", download).by(DOWNLOAD_DROPLETS),
    Route::post("/v3/droplets/:guid/upload", upload).by(WRITE_SPACE),
    Route::get("/v3/packages/:guid/droplets", index_of_package),
];

const LIST: ListSpec = ListSpec::of(&[
    "app_guid",
    "app_guids",
    "current",
    "organization_guids",
    "package_guid",
    "space_guids",
    "states",
    "label_selector",
]);

impl Present for Droplet {
    fn present(&self, view: &View<'_>) -> Value {
        present(self, view)
    }

    /// Today's API does not show droplets that are being staged.
    fn is_shown(&self, view: &View<'_>, dialect: Dialect) -> bool {
        dialect != Dialect::V3 || is_visible(self, view)
    }
}

pub(crate) fn present(droplet: &Droplet, view: &View<'_>) -> Value {
    let state = droplet.state(view.at);
    let (buildpacks, stack) = match &droplet.lifecycle {
        Lifecycle::Buildpack {
            buildpacks, stack, ..
        } => {
            let stack = (!stack.is_empty()).then_some(stack);
            (json!(present_buildpacks(buildpacks)), json!(stack))
        }
        Lifecycle::Docker => (Value::Null, Value::Null),
    };
    json!({
        "guid": droplet.base.guid,
        "created_at": droplet.base.created,
        "updated_at": droplet.base.updated,
        "state": state,
        "error": droplet.error.as_ref().filter(|_| state == "FAILED"),
        "lifecycle": {"type": droplet.lifecycle.kind(), "data": {}},
        "checksum": checksum(droplet, view),
        "buildpacks": buildpacks,
        "stack": stack,
        "image": droplet.image,
        "execution_metadata": view.secret(json!("")),
        "process_types": view.secrets(json!(droplet.process_types)),
        "relationships": {"app": to_one(Some(droplet.app))},
        "metadata": droplet.base.metadata.present(),
        "links": links(droplet, state, view),
    })
}

fn links(droplet: &Droplet, state: &str, view: &View<'_>) -> Value {
    let path = format!("/v3/droplets/{}", droplet.base.guid);
    let app = format!("/v3/apps/{}", droplet.app);
    let assign = format!("{app}/relationships/current_droplet");
    let mut links = json!({
        "self": view.link(&path),
        "app": view.link(&app),
        "assign_current_droplet": view.action("PATCH", &assign),
    });
    if let Some(package) = droplet.package {
        links["package"] = view.link(&format!("/v3/packages/{package}"));
    }
    if state == "AWAITING_UPLOAD" {
        links["upload"] = view.action("POST", &format!("{path}/upload"));
    }
    if state == "STAGED" && droplet.lifecycle != Lifecycle::Docker {
        links["download"] = view.link(&format!("{path}/download"));
    }
    links
}

fn present_buildpacks(buildpacks: &[String]) -> Vec<Value> {
    let present = |name: &String| {
        json!({
            "name": lifecycle::shown(name),
            "detect_output": null,
            "buildpack_name": lifecycle::shown(name).trim_end_matches("_buildpack"),
            "version": "1.0.0",
        })
    };
    buildpacks.iter().map(present).collect()
}

/// Whether today's Cloud Controller has the droplet. It adds a build's droplet only when
/// the build succeeds.
pub(crate) fn is_visible(droplet: &Droplet, view: &View<'_>) -> bool {
    droplet.is_shown(view.at)
}

pub(crate) fn find(context: &RequestContext<'_>) -> Result<Guid, CcError> {
    let droplet: &Droplet = context.named("guid")?;
    if is_visible(droplet, &context.view()) {
        Ok(droplet.base.guid)
    } else {
        Err(CcError::not_found(Droplet::KIND))
    }
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    visible(context, None)
}

/// `GET /v3/apps/:guid/droplets`
pub(crate) fn index_of_app(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    // The query is validated before the app is looked up.
    ListQuery::read(context, &LIST)?;
    let app = apps::find(context)?;
    visible(context, Some((Field::App, app)))
}

fn index_of_package(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let package = super::packages::find(context)?;
    visible(context, Some((Field::Package, package)))
}

fn visible(
    context: &RequestContext<'_>,
    nested: Option<(Field, Guid)>,
) -> Result<Response, CcError> {
    let query = ListQuery::read(context, &LIST)?;
    match (nested, query.value("current")) {
        (_, None) => {}
        (Some((Field::App, _)), Some("true")) => {}
        (Some((Field::App, _)), Some(_)) => {
            return Err(CcError::bad_query("Current only accepts the value 'true'"));
        }
        _ => query.refuse(&["current"])?,
    }
    let view = context.view();
    let current_only = query.value("current").is_some();
    let keep = |droplet: &Droplet| {
        let is_current = || {
            let app = view.world.apps.get(droplet.app);
            app.is_some_and(|app| app.droplet == Some(droplet.base.guid))
        };
        is_visible(droplet, &view) && (!current_only || is_current())
    };
    list(context, &query, nested, keep, present)
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    context.ok(find(context)?, present)
}

fn create(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    if context.request.query("source_guid").is_some() {
        return copy(context);
    }
    let body = context.request.object()?;
    let mut message = Message::new(&body, &["relationships", "process_types"]);
    let app = message.relationships(&["app"], |inner| inner.related("app"));
    let types = message.object("process_types").cloned();
    if let Some(types) = &types {
        if types.keys().any(String::is_empty) {
            message.error("Process types key must not be empty");
        }
        if !types.values().all(Value::is_string) {
            message.error("Process types value must be a string");
        }
    }
    message.finish()?;
    let guid = app.flatten().unwrap_or_default();
    let app: &App = context.related(
        Some(guid),
        format!("App with guid \"{guid}\" does not exist, or you do not have access to it."),
    )?;
    if app.lifecycle == Lifecycle::Docker {
        return Err(CcError::unprocessable(
            "Droplet creation is not available for apps with docker lifecycles.",
        ));
    }
    let (app, space) = (app.base.guid, app.space);
    let default = || serde_json::Map::from_iter([("web".to_owned(), json!(""))]);
    let types = types.unwrap_or_else(default);
    let droplet = context.world.await_droplet(app, space, types);
    let text = format!("Creating droplet for app with guid {app}");
    context.world.log_api(app, text);
    let data = json!({"droplet_guid": droplet});
    context.world.record(app, "audit.app.droplet.create", data);
    context.created(droplet, present)
}

fn upload(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let bits = read_bits(context.request)?;
    let guid = find(context)?;
    let droplet: &Droplet = context.row(guid)?;
    if droplet.origin != Origin::Awaited {
        return Err(CcError::unprocessable(
            "Droplet may be uploaded only once. Create a new droplet to upload bits.",
        ));
    }
    let app = droplet.app;
    let text = format!("Uploading droplet for app with guid {app}");
    context.world.log_api(app, text);
    let data = json!({"droplet_guid": guid});
    context.world.record(app, "audit.app.droplet.upload", data);
    let job = context.start_job("droplet.upload", Some(guid), None);
    receive_droplet(context, guid, bits, job)?;
    let droplet = context.present_pending(guid, present)?;
    let location = context.url(&format!("/v3/jobs/{job}"));
    Ok(Response::json(202, &droplet).with_header("Location", location))
}

fn download(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find(context)?;
    let droplet: &Droplet = context.row(guid)?;
    if droplet.lifecycle == Lifecycle::Docker {
        return Err(CcError::unprocessable(
            "Cannot download droplets with 'docker' lifecycle.",
        ));
    }
    if !droplet.is_staged(context.world.now()) {
        return Err(CcError::unprocessable(
            "Only staged droplets can be downloaded.",
        ));
    }
    let (app, answer) = (droplet.app, context.bits(&droplet.sha256)?);
    let text = format!("Downloading droplet for app with guid {app}");
    context.world.log_api(app, text);
    let data = json!({"droplet_guid": guid});
    context
        .world
        .record(app, "audit.app.droplet.download", data);
    Ok(answer)
}

/// The droplet in a multipart body.
fn read_bits<'r>(request: &Request<'r>) -> Result<&'r Bits, CcError> {
    let invalid = |reason: String| {
        CcError::unprocessable(format!("Uploaded droplet file is invalid: {reason}"))
    };
    let unknown = request.form.unknown_fields(&["bits"]);
    let Some((name, bits)) = request.form.file("bits") else {
        let missing = "A droplet tgz file must be uploaded as 'bits'".to_owned();
        let errors: Vec<String> = unknown.into_iter().chain([missing]).collect();
        return Err(invalid(errors.join(", ")));
    };
    let mut errors = Vec::from_iter(unknown);
    if !name.ends_with(".tgz") && !name.ends_with(".tar.gz") {
        errors.push(format!("{name} is not a tgz"));
    }
    if bits.is_empty() {
        errors.push(format!("{name} cannot be empty"));
    }
    if errors.is_empty() {
        Ok(bits)
    } else {
        Err(invalid(errors.join(", ")))
    }
}

/// `POST /v3/droplets?source_guid=...`
fn copy(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let mut message = Message::new(&body, &["relationships"]);
    let app = body
        .get("relationships")
        .and_then(|relationships| relationships.get("app"));
    if !app.is_some_and(Value::is_object) {
        message.error("App must be an object");
    }
    let app = app
        .and_then(|app| app.get("data"))
        .and_then(|data| data.get("guid"));
    let app = message.check_value("app_guid", app).guid().text();
    message.finish()?;
    let source = context.request.query("source_guid").unwrap_or_default();
    let guid = copy_droplet(context, source, app.unwrap_or_default())?;
    let is_docker = context.row::<Droplet>(guid)?.lifecycle == Lifecycle::Docker;
    let droplet = match is_docker {
        true => context.present(guid, present)?,
        false => context.present_pending(guid, present)?,
    };
    Ok(Response::created(&droplet))
}

fn update(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find(context)?;
    let body = context.request.object()?;
    let sets_image = body.contains_key("image");
    if sets_image {
        context.require_admin()?;
    }
    let mut message = Message::of_any(&body);
    let image = message.optional_text("image", 0..=usize::MAX);
    message.refuse_unknown(&["image", "metadata"]);
    let patch = message.metadata();
    message.finish()?;
    let droplet: &Droplet = context.row(guid)?;
    let is_docker = droplet.lifecycle == Lifecycle::Docker;
    if sets_image && !(is_docker && droplet.is_staged(context.world.now())) {
        // The Cloud Controller does not report the error of its action.
        return Err(CcError::unknown());
    }
    context.world.update_row(guid, |droplet: &mut Droplet| {
        if sets_image {
            droplet.image = image.map(str::to_owned);
        }
        droplet.base.metadata.apply(patch);
    });
    context.ok(guid, present)
}

fn delete(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find(context)?;
    let droplet = context.world.droplets.get(guid);
    let app = droplet.and_then(|droplet| context.world.apps.get(droplet.app));
    if let Some(app) = app.filter(|app| app.droplet == Some(guid)) {
        let app = app.base.guid;
        return Err(CcError::unprocessable(format!(
            "The droplet is currently used by app with guid \"{app}\"."
        )));
    }
    let app = context.row::<Droplet>(guid)?.app;
    let text = format!("Deleting droplet for app with guid {app}");
    context.world.log_api(app, text);
    let data = json!({"droplet_guid": guid});
    context.world.record(app, "audit.app.droplet.delete", data);
    Ok(context.delete_in_job("droplet.delete", Kind::Droplet, guid))
}
