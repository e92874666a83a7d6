//! `/v3/builds`

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::api::context::{RequestContext, View, to_one};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::list::{ListQuery, ListSpec};
use crate::api::message::{MAX_INT, Message};
use crate::api::router::Route;
use crate::api::shared::lifecycle::{self, Purpose};
use crate::api::shared::staging::{NewBuild, stage};
use crate::api::state::Present;
use crate::world::{
    App, Build, Droplet, Field, Guid, Lifecycle, Package, WRITE_SPACE, World, ruby,
};

use super::{apps, stacks};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v3/builds", index),
    Route::post("/v3/builds", create).by_anyone(),
    Route::get("/v3/builds/:guid", show),
    Route::patch("/v3/builds/:guid", update).by(WRITE_SPACE),
];

const LIST: ListSpec = ListSpec::of(&["app_guids", "package_guids", "states", "label_selector"]);
const LIST_OF_APP: ListSpec = ListSpec::of(&["states", "label_selector"]);

impl Present for Build {
    fn present(&self, view: &View<'_>) -> Value {
        present(self, view)
    }
}

pub(crate) fn present(build: &Build, view: &View<'_>) -> Value {
    let state = build.state(view.at);
    let done = state != "STAGING";
    let droplet = view.world.droplets.get(build.droplet);
    let droplet = droplet.filter(|droplet| droplet.is_shown(view.at));
    let droplet = droplet.map(|droplet| droplet.base.guid);
    let mut links = json!({
        "self": view.link(&format!("/v3/builds/{}", build.base.guid)),
        "app": view.link(&format!("/v3/apps/{}", build.app)),
    });
    if let Some(droplet) = &droplet {
        links["droplet"] = view.link(&format!("/v3/droplets/{droplet}"));
    }
    let (created_by, creator) = &build.created_by;
    json!({
        "guid": build.base.guid,
        "created_at": build.base.created,
        "updated_at": if done { build.ready_at } else { build.base.updated },
        "state": state,
        "staging_memory_in_mb": build.memory_mb,
        "staging_disk_in_mb": build.disk_mb,
        "staging_log_rate_limit_bytes_per_second": build.log_rate,
        "error": build.error.as_ref().filter(|_| done),
        "lifecycle": lifecycle::present(&build.lifecycle),
        "package": {"guid": build.package},
        "droplet": droplet.map(|guid| json!({"guid": guid})),
        "created_by": {"guid": created_by, "name": creator, "email": creator},
        "relationships": {"app": to_one(Some(build.app))},
        "metadata": build.base.metadata.present(),
        "links": links,
    })
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    list(context, &LIST, None)
}

/// `GET /v3/apps/:guid/builds`
pub(crate) fn index_of_app(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    // The query is validated before the app is looked up.
    ListQuery::read(context, &LIST_OF_APP)?;
    let app = apps::find(context)?;
    list(context, &LIST_OF_APP, Some(app))
}

fn list(
    context: &RequestContext<'_>,
    spec: &ListSpec,
    app: Option<Guid>,
) -> Result<Response, CcError> {
    let query = ListQuery::read(context, spec)?;
    let mut selection = query.by_guids(query.selection(), "app_guids", Field::App);
    selection = query.by_guids(selection, "package_guids", Field::Package);
    if let Some(app) = app {
        selection = selection.any_guid(Field::App, [app]);
    }
    let now = context.world.now();
    let keep = |build: &Build| query.admits("states", build.state(now));
    query.respond_by_query(context, &selection, keep, present)
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    context.show("guid", present)
}

fn update(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = context.guid_of::<Build>("guid")?;
    let body = context.request.object()?;
    if body.contains_key("state") {
        context.require_admin()?;
    }
    let mut message = Message::new(&body, &["state", "error", "lifecycle", "metadata"]);
    let outcome = read_outcome(&mut message);
    let patch = message.metadata();
    message.finish()?;
    context
        .world
        .update_row(guid, |build: &mut Build| build.base.metadata.apply(patch));
    if let Some(outcome) = outcome {
        end(context.world, guid, &outcome);
    }
    context.ok(guid, present)
}

/// The result of a stager: data about the droplet, or an error.
type Outcome = Result<Map<String, Value>, String>;

fn read_outcome(message: &mut Message<'_>) -> Option<Outcome> {
    let state = message.has("state").then(|| message.get("state"))?;
    let state = state.and_then(Value::as_str).unwrap_or_default();
    let data = message.object("lifecycle").and_then(|it| it.get("data"));
    let outcome = match state {
        "FAILED" => Some(Err(String::new())),
        "STAGED" => data.and_then(Value::as_object).cloned().map(Ok),
        _ => {
            message.error(format!("State '{state}' is not a valid state"));
            None
        }
    };
    if state == "STAGED" && outcome.is_none() {
        message.error("Lifecycle 'STAGED' builds require lifecycle data");
    }
    let error = message.optional_text("error", 0..=usize::MAX);
    outcome.map(|outcome| outcome.map_err(|_| error.unwrap_or_default().to_owned()))
}

/// Ends the staging of a build. The stager's result replaces the simulated one.
fn end(world: &mut World, guid: Guid, outcome: &Outcome) {
    let now = world.now();
    let error = outcome.as_ref().err();
    let error = error.map(|error| format!("StagerError - Stager error: {error}"));
    let Some(build) = world.get::<Build>(guid) else {
        return;
    };
    let (app, droplet) = (build.app, build.droplet);
    world.update_row(guid, |build: &mut Build| {
        build.ready_at = now;
        build.error.clone_from(&error);
    });
    let is_staged = world.droplets.get(droplet);
    let is_staged = is_staged.is_some_and(|droplet| droplet.is_shown(now));
    if is_staged && outcome.is_err() {
        // A droplet that was staged before the failure is kept.
        return;
    }
    world.update_row(droplet, |droplet: &mut Droplet| {
        droplet.ready_at = now;
        droplet.error = error;
        let Ok(data) = outcome else {
            return;
        };
        let image = data.get("image").and_then(Value::as_str);
        droplet.image = image.map(str::to_owned);
        let types = data.get("processTypes").and_then(Value::as_object);
        droplet.process_types = Arc::new(types.cloned().unwrap_or_default());
    });
    if outcome.is_ok() {
        world.assign_droplet(app, droplet);
    }
}

fn create(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.untouched_object()?;
    let new = read_new(context, &body)?;
    let app: &App = context.row(new.app)?;
    let warning = stacks::check_app(context.world, app, &new.lifecycle);
    let warning =
        warning.map_err(|reason| CcError::new(422, 250_004, "CF-StackValidationFailed", reason))?;
    let guid = stage(context, new)?;
    let build = context.present_pending(guid, present)?;
    Ok(Response::created(&build).with_warnings(warning))
}

fn read_new(context: &RequestContext<'_>, body: &Map<String, Value>) -> Result<NewBuild, CcError> {
    let allowed = [
        "staging_memory_in_mb",
        "staging_disk_in_mb",
        "staging_log_rate_limit_bytes_per_second",
        "environment_variables",
        "lifecycle",
        "package",
        "metadata",
    ];
    let mut message = Message::of_any(body);
    let disk = message.integer("staging_disk_in_mb", 1..=MAX_INT);
    let memory = message.integer("staging_memory_in_mb", 1..=MAX_INT);
    let log_rate = message.integer("staging_log_rate_limit_bytes_per_second", -1..=i64::MAX);
    message.refuse_unknown(&allowed);
    let guid = message
        .get("package")
        .and_then(|package| package.get("guid"))
        .unwrap_or(&Value::Null);
    if ruby::is_blank(guid) {
        message.error("Package guid can't be blank");
    }
    if !guid.is_string() {
        message.error("Package guid must be a string");
    }
    let guid = guid.as_str();
    if !guid.is_some_and(|guid| (1..=200).contains(&guid.chars().count())) {
        message.error("Package guid must be between 1 and 200 characters");
    }
    let package = guid.and_then(|guid| context.world.look_up::<Package>(guid));
    let app = package.and_then(|package| context.world.apps.get(package.app));
    let default = app.map_or(Lifecycle::Docker, |app| app.lifecycle.clone());
    let asked = lifecycle::read(&mut message, &default, context.world, Purpose::Build);
    let metadata = message.metadata();
    message.finish()?;
    if asked.lifecycle.kind() == "cnb" {
        lifecycle::check_flag(context, &asked.lifecycle)?;
    }
    let package: &Package = context.manageable(
        guid,
        "Unable to use package. Ensure that the package exists and you have access to it.",
    )?;
    asked.check()?;
    let lifecycle = match (asked.lifecycle, app.map(|app| &app.lifecycle)) {
        // Parts of a lifecycle that a build of bits does not use are dropped.
        (Lifecycle::Docker, Some(Lifecycle::Buildpack { .. })) => Lifecycle::Buildpack {
            buildpacks: Vec::new(),
            stack: String::new(),
            cnb: false,
        },
        (lifecycle, _) => lifecycle,
    };
    let web = context
        .world
        .process(package.app, "web")
        .map(|process| process.scale);
    let size = |asked: Option<i64>, of_web: Option<u32>| {
        let asked = asked.and_then(|size| u32::try_from(size).ok());
        asked.or(of_web).unwrap_or(1024)
    };
    Ok(NewBuild {
        package: package.base.guid,
        app: package.app,
        lifecycle,
        memory_mb: size(memory, web.map(|scale| scale.memory_mb)),
        disk_mb: size(disk, web.map(|scale| scale.disk_mb)),
        log_rate: log_rate.or(web.map(|scale| scale.log_rate)).unwrap_or(-1),
        metadata,
    })
}
