//! `/v3/apps`

use std::collections::HashSet;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::api::context::{RequestContext, View};
use crate::api::error::{CcError, validate};
use crate::api::http::Response;
use crate::api::list::{ListQuery, ListSpec};
use crate::api::message::{Message, UNNAMED};
use crate::api::router::Route;
use crate::api::shared::current_droplet::{
    droplet_of, present_droplet_relationship, read_assigned_droplet, refuse_removal,
};
use crate::api::shared::lifecycle::{self, Purpose, check_flag};
use crate::api::shared::new_app::{MAX_NAME, name_errors, read_new};
use crate::api::state::Present;
use crate::world::clock::Timestamp;
use crate::world::metadata::Metadata;
use crate::world::{
    App, Field, Guid, Kind, MANAGE_APPS, READ_SECRETS, Row, Selection, Stack, WRITE_SPACE, audited,
};

use super::{builds, droplets, organizations, packages, routes, spaces, stacks};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v3/apps", index),
    Route::post("/v3/apps", create).by(WRITE_SPACE),
    Route::get("/v3/apps/:guid", show),
    Route::patch("/v3/apps/:guid", update).by(WRITE_SPACE),
    Route::delete("/v3/apps/:guid", delete).by(WRITE_SPACE),
    Route::post("/v3/apps/:guid/actions/start", start).by(MANAGE_APPS),
    Route::post("/v3/apps/:guid/actions/stop", stop).by(MANAGE_APPS),
    Route::post("/v3/apps/:guid/actions/restart", restart).by(MANAGE_APPS),
    Route::post(
        "/v3/apps/:guid/actions/clear_buildpack_cache",
        clear_buildpack_cache,
    )
    .by(MANAGE_APPS),
    Route::get("/v3/apps/:guid/permissions", permissions),
    Route::get(
        "/v3/apps/:guid/relationships/current_droplet",
        current_droplet_relationship,
    ),
    Route::patch(
        "/v3/apps/:guid/relationships/current_droplet",
        assign_droplet,
    )
    .by(MANAGE_APPS),
    Route::get("/v3/apps/:guid/droplets/current", current_droplet),
    Route::get("/v3/apps/:guid/routes", routes::index_of_app),
    Route::get("/v3/apps/:guid/packages", packages::index_of_app),
    Route::get("/v3/apps/:guid/droplets", droplets::index_of_app),
    Route::get("/v3/apps/:guid/builds", builds::index_of_app),
];

const LIST: ListSpec = ListSpec {
    order_by: &["name", "state"],
    include: &["space", "org", "space.organization"],
    ..ListSpec::of(&[
        "names",
        "organization_guids",
        "space_guids",
        "stacks",
        "include",
        "lifecycle_type",
        "label_selector",
    ])
};

const NO_SPACE: &str = "Invalid space. Ensure that the space exists and you have access to it.";

/// The fields of a request that creates an app.
const FIELDS: &[&str] = &[
    "name",
    "environment_variables",
    "relationships",
    "lifecycle",
    "metadata",
];

impl Present for App {
    fn present(&self, view: &View<'_>) -> Value {
        present(self, view)
    }
}

pub(crate) fn present(app: &App, view: &View<'_>) -> Value {
    json!(AppJson::new(app, view))
}

/// An app as JSON text, written without an intermediate value: lists of many apps are the
/// slowest responses.
fn present_text(app: &App, view: &View<'_>) -> Option<Box<RawValue>> {
    // Serialization cannot fail, because all keys are strings.
    serde_json::value::to_raw_value(&AppJson::new(app, view)).ok()
}

#[derive(Serialize)]
struct AppJson<'a> {
    guid: Guid,
    created_at: Timestamp,
    updated_at: Timestamp,
    name: &'a str,
    state: &'static str,
    lifecycle: Value,
    relationships: Relationships,
    metadata: &'a Metadata,
    links: Links,
}

#[derive(Serialize)]
struct Relationships {
    space: Related,
    current_droplet: Related,
}

/// A relationship in the Cloud Controller's format, which is an object even without
/// a droplet.
#[derive(Serialize)]
struct Related {
    data: Reference,
}

#[derive(Serialize)]
struct Reference {
    guid: Option<Guid>,
}

impl Related {
    fn to(guid: Option<Guid>) -> Self {
        let data = Reference { guid };
        Self { data }
    }
}

impl<'a> AppJson<'a> {
    fn new(app: &'a App, view: &View<'a>) -> Self {
        Self {
            guid: app.base.guid,
            created_at: app.base.created,
            updated_at: app.base.updated,
            name: &app.name,
            state: app.state(),
            lifecycle: lifecycle::present(&app.lifecycle),
            relationships: Relationships {
                space: Related::to(Some(app.space)),
                current_droplet: Related::to(app.droplet),
            },
            metadata: &app.base.metadata,
            links: Links {
                url: view.url(&format!("/v3/apps/{}", app.base.guid)),
                space: view.url(&format!("/v3/spaces/{}", app.space)),
            },
        }
    }
}

#[derive(Serialize)]
struct Link<'l> {
    href: &'l str,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'static str>,
}

struct Links {
    /// The URL of the app.
    url: String,
    space: String,
}

impl Serialize for Links {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// Names of links, and their paths below the app's URL.
        const BELOW: &[(&str, &str)] = &[
            ("self", ""),
            ("environment_variables", "/environment_variables"),
            ("processes", "/processes"),
            ("packages", "/packages"),
            ("current_droplet", "/droplets/current"),
            ("droplets", "/droplets"),
            ("tasks", "/tasks"),
            ("revisions", "/revisions"),
            ("deployed_revisions", "/revisions/deployed"),
            ("features", "/features"),
        ];
        const ACTIONS: &[(&str, &str)] = &[
            ("start", "/actions/start"),
            ("stop", "/actions/stop"),
            ("clear_buildpack_cache", "/actions/clear_buildpack_cache"),
        ];
        let mut links = serializer.serialize_map(None)?;
        let mut href = self.url.clone();
        let own = href.len();
        for (table, method) in [(BELOW, None), (ACTIONS, Some("POST"))] {
            for (name, path) in table {
                href.truncate(own);
                href.push_str(path);
                links.serialize_entry(
                    name,
                    &Link {
                        href: &href,
                        method,
                    },
                )?;
            }
        }
        let space = Link {
            href: &self.space,
            method: None,
        };
        links.serialize_entry("space", &space)?;
        links.end()
    }
}

pub(crate) fn find(context: &RequestContext<'_>) -> Result<Guid, CcError> {
    context.guid_of::<App>("guid")
}

fn read_list(context: &RequestContext<'_>) -> Result<(ListQuery, Selection), CcError> {
    let query = ListQuery::read(context, &LIST)?;
    if let Some(kind) = query.value("lifecycle_type")
        && !["buildpack", "docker", "cnb"].contains(&kind)
    {
        let detail = format!("Invalid lifecycle_type: '{kind}'");
        return Err(CcError::bad_query(detail));
    }
    let selection = query.by_texts(query.selection(), "names", Field::Name);
    let selection = query.by_spaces(context.world, selection);
    Ok((query, selection))
}

/// `GET /v3/stacks/:guid/apps`
pub(crate) fn index_of_stack(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let stack: &Stack = context.named("guid")?;
    let (query, selection) = read_list(context)?;
    let keep = |app: &App| {
        let lifecycle = &app.lifecycle;
        lifecycle.stack() == stack.name && query.admits("lifecycle_type", lifecycle.kind())
    };
    query.respond(context, &selection, keep, present_text)
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let (query, selection) = read_list(context)?;
    let page = query.page_by_query(context.world, &selection, |app: &App| {
        let lifecycle = &app.lifecycle;
        query.admits("stacks", lifecycle.stack())
            && query.admits("lifecycle_type", lifecycle.kind())
    });
    let mut answer = query.answer(context, &page, present_text);
    include(
        &query,
        &context.view(),
        &mut answer.rest,
        page.rows.iter().map(|app| app.space),
    );
    Ok(answer.into())
}

/// Adds `included` spaces and organizations.
pub(crate) fn include(
    query: &ListQuery,
    view: &View<'_>,
    answer: &mut Value,
    spaces: impl Iterator<Item = Guid>,
) {
    let spaces: HashSet<Guid> = spaces.collect();
    let with_orgs = query.includes("space.organization");
    if query.includes("space") || with_orgs {
        let spaces = spaces.iter().copied();
        answer["included"]["spaces"] = view.included(spaces, spaces::present);
    }
    if query.includes("org") || with_orgs {
        let orgs = spaces.iter().filter_map(|space| view.world.org_of(*space));
        answer["included"]["organizations"] =
            view.included(orgs.map(Row::guid), organizations::present);
    }
}

fn create(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let new = read_new(context, FIELDS, NO_SPACE)?;
    if context.world.find_app(new.space, &new.name).is_some() {
        let taken = format!("App with the name '{}' already exists.", new.name);
        return Err(CcError::not_unique(taken));
    }
    let warning = stacks::check(context.world, &new.lifecycle, false);
    let warning = warning.map_err(CcError::unprocessable)?;
    let guid = new.create(context.world);
    context.world.create_process(guid, "web");
    let request = audited(context.request.object()?);
    context
        .world
        .record(guid, "audit.app.create", json!({"request": request}));
    let response = context.created(guid, present)?;
    Ok(response.with_warnings(warning))
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    // `include` is validated as in lists, before the app is looked up.
    let spec = ListSpec {
        include: LIST.include,
        ..ListSpec::of_one(&["include"])
    };
    let query = ListQuery::read(context, &spec)?;
    let app: &App = context.named("guid")?;
    let view = context.view();
    let mut answer = present(app, &view);
    include(&query, &view, &mut answer, [app.space].into_iter());
    Ok(Response::ok(&answer))
}

fn update(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find(context)?;
    let body = context.request.object()?;
    let mut message = Message::new(&body, &["name", "lifecycle", "metadata"]);
    let name = message.optional_text("name", 0..=MAX_NAME).map(str::trim);
    let unnamed = message.has("name") && message.get("name").is_none();
    let App {
        space,
        lifecycle: current,
        ..
    } = context.row(guid)?;
    let asked = lifecycle::read(&mut message, current, context.world, Purpose::App);
    let patch = message.metadata_update(&context.row::<App>(guid)?.base.metadata);
    message.finish()?;
    if asked.lifecycle.kind() == "cnb" {
        check_flag(context, &asked.lifecycle)?;
    }
    if unnamed {
        return Err(CcError::unprocessable(UNNAMED));
    }
    if asked.lifecycle.kind() != current.kind() {
        let (from, to) = (current.kind(), asked.lifecycle.kind());
        let detail = format!("Lifecycle type cannot be changed from {from} to {to}");
        return Err(CcError::unprocessable(detail));
    }
    if let Some(name) = name {
        validate(&name_errors(name))?;
        let holder = context.world.find_app(*space, name).map(Row::guid);
        if holder.is_some_and(|holder| holder != guid) {
            let taken = format!("App with the name '{name}' already exists.");
            return Err(CcError::not_unique(taken));
        }
    }
    asked.check()?;
    let data = body.get("lifecycle").and_then(|it| it.get("data"));
    let asked_stack = data.and_then(|data| data.get("stack")).cloned();
    let checked = match asked_stack {
        Some(Value::String(_)) => {
            stacks::check_app(context.world, context.row(guid)?, &asked.lifecycle)
        }
        _ => Ok(None),
    };
    let warning = checked.map_err(CcError::unprocessable)?;
    context.world.update_row(guid, |app: &mut App| {
        app.name = name.map_or_else(|| std::mem::take(&mut app.name), str::to_owned);
        app.lifecycle = asked.lifecycle;
        app.base.metadata.apply(patch);
    });
    context.world.record_app_update(guid, body);
    let mut app = present(context.row(guid)?, &context.view());
    if asked_stack == Some(Value::Null) {
        // The response repeats the request, and does not have the default stack yet.
        app["lifecycle"]["data"]["stack"] = Value::Null;
    }
    Ok(Response::ok(&app).with_warnings(warning))
}

fn delete(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find(context)?;
    if context.row::<App>(guid)?.started {
        let data = json!({
            "delete_triggered": true,
            "reason": "stopped as part of app deletion",
        });
        context.world.record(guid, "audit.app.stop", data);
    }
    context
        .world
        .record(guid, "audit.app.delete-request", json!({}));
    Ok(context.delete_in_job("app.delete", Kind::App, guid))
}

fn start(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find_startable(context)?;
    context.start_app(guid)?;
    context
        .world
        .log_api(guid, format!("Starting app with guid {guid}"));
    context.world.record(guid, "audit.app.start", json!({}));
    context.ok(guid, present)
}

fn stop(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find(context)?;
    context.world.stop_app(guid);
    context
        .world
        .log_api(guid, format!("Stopping app with guid {guid}"));
    context.world.record(guid, "audit.app.stop", json!({}));
    context.ok(guid, present)
}

fn restart(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find_startable(context)?;
    context.world.check_restart(guid)?;
    context.world.stop_app(guid);
    context.start_app(guid)?;
    context
        .world
        .log_api(guid, format!("Restarted app with guid {guid}"));
    context.world.record(guid, "audit.app.restart", json!({}));
    context.ok(guid, present)
}

/// There is no cache, so the job does nothing.
fn clear_buildpack_cache(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find(context)?;
    let text = format!("Enqueued job to delete app buildpack cache with app guid {guid}");
    context.world.log_api(guid, text);
    Ok(context.do_in_job("app.clear_buildpack_cache", Some(guid)))
}

/// The permissions of a caller who can see the app.
fn permissions(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let access_scope = context.world.access_scope_of_app(find(context)?);
    Ok(Response::ok(&json!({
        "read_basic_data": true,
        "read_sensitive_data": context.access.allows(context.world, access_scope, READ_SECRETS),
    })))
}

/// The app that the path names, which needs a droplet. A missing droplet is reported
/// before missing permissions.
fn find_startable(context: &RequestContext<'_>) -> Result<Guid, CcError> {
    let app: &App = context.row_of(context.capture("guid"))?;
    if app.droplet.is_none() {
        return Err(CcError::unprocessable(
            "Assign a droplet before starting this app.",
        ));
    }
    context.authorize(app.access_scope(context.world))?;
    check_flag(context, &app.lifecycle)?;
    Ok(app.base.guid)
}

/// `GET /v3/apps/:guid/relationships/current_droplet`
fn current_droplet_relationship(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let app = find(context)?;
    let droplet = droplet_of(context, app)?;
    Ok(Response::ok(&present_droplet_relationship(
        context, app, droplet,
    )))
}

/// `GET /v3/apps/:guid/droplets/current`
fn current_droplet(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let droplet = droplet_of(context, find(context)?)?;
    // The Cloud Controller does not hide the metadata of the execution here.
    let droplet = droplets::present(context.row(droplet)?, &context.view());
    Ok(Response::ok(&droplet))
}

fn assign_droplet(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    refuse_removal(context)?;
    let app = find(context)?;
    if context.world.is_deploying(app) {
        return Err(CcError::unprocessable(
            "Unable to assign current droplet while the app has a deployment in progress. \
             Wait for the deployment to complete or cancel it.",
        ));
    }
    let droplet = read_assigned_droplet(context, app, |_| None)?;
    context.world.assign_droplet(app, droplet);
    Ok(Response::ok(&present_droplet_relationship(
        context, app, droplet,
    )))
}
