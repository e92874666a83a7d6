//! `/v3/sidecars`, and the sidecars of an app or a process

use serde_json::{Map, Value, json};

use crate::api::context::{RequestContext, View, to_one};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::list::{ListQuery, ListSpec};
use crate::api::message::{MAX_INT, Message, check_integer};
use crate::api::router::Route;
use crate::api::shared::{byte_sizes, processes};
use crate::api::state::Present;
use crate::world::{Field, Guid, NewSidecar, Process, Sidecar, WRITE_SPACE, ruby};

use super::apps;

/// The longest type of a process, in characters.
const MAX_TYPE: usize = 255;

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v3/apps/:guid/sidecars", index_of_app),
    Route::post("/v3/apps/:guid/sidecars", create).by(WRITE_SPACE),
    Route::get("/v3/processes/:process/sidecars", index_of_process),
    Route::get("/v3/sidecars/:sidecar", show),
    Route::patch("/v3/sidecars/:sidecar", update).by(WRITE_SPACE),
    Route::delete("/v3/sidecars/:sidecar", delete).by(WRITE_SPACE),
];

const LIST: ListSpec = ListSpec::of(&[]);
const FIELDS: &[&str] = &["name", "command", "process_types", "memory_in_mb"];

impl Present for Sidecar {
    fn present(&self, view: &View<'_>) -> Value {
        present(self, view)
    }
}

pub(crate) fn present(sidecar: &Sidecar, _view: &View<'_>) -> Value {
    json!({
        "guid": sidecar.base.guid,
        "name": sidecar.name,
        "command": sidecar.command,
        "process_types": sidecar.process_types,
        "memory_in_mb": sidecar.memory_mb,
        "origin": "user",
        "relationships": {"app": to_one(Some(sidecar.app))},
        "created_at": sidecar.base.created,
        "updated_at": sidecar.base.updated,
    })
}

/// A sidecar as an entry of a manifest's `sidecars`.
pub(crate) fn present_manifest(sidecar: &Sidecar) -> Value {
    let mut manifest = json!({
        "name": sidecar.name,
        "process_types": sidecar.process_types,
        "command": sidecar.command,
    });
    if let Some(memory) = sidecar.memory_mb {
        manifest["memory"] = json!(format!("{memory}M"));
    }
    manifest
}

fn index_of_app(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    // The query is validated before the app is looked up.
    ListQuery::read(context, &LIST)?;
    let app = apps::find(context)?;
    list(context, app, |_| true)
}

fn index_of_process(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let Process { app, kind, .. } = processes::find(context)?;
    list(context, *app, |sidecar| {
        sidecar.process_types.contains(kind)
    })
}

fn list(
    context: &RequestContext<'_>,
    app: Guid,
    keep: impl Fn(&Sidecar) -> bool,
) -> Result<Response, CcError> {
    let query = ListQuery::read(context, &LIST)?;
    let selection = query.selection().any_guid(Field::App, [app]);
    query.respond(context, &selection, keep, present)
}

fn create(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let app = apps::find(context)?;
    let body = context.request.object()?;
    let new = read(&body, true)?;
    let created = context.world.create_sidecar(app, new);
    context.created(created.map_err(CcError::unprocessable)?, present)
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    context.show("sidecar", present)
}

fn update(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = context.guid_of::<Sidecar>("sidecar")?;
    let body = context.request.object()?;
    let new = read(&body, false)?;
    let updated = context.world.update_sidecar(guid, new);
    updated.map_err(CcError::unprocessable)?;
    context.ok(guid, present)
}

fn delete(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = context.guid_of::<Sidecar>("sidecar")?;
    context.world.sidecars.remove(guid);
    Ok(Response::empty(204))
}

fn read(body: &Map<String, Value>, whole: bool) -> Result<NewSidecar, CcError> {
    let mut message = Message::new(body, FIELDS);
    let memory = body.get("memory_in_mb").map(|value| {
        if value.is_null() {
            return Ok(None);
        }
        let size = check_integer(value, i64::MIN..=MAX_INT)?;
        positive(size).map(Some)
    });
    let new = read_fields(&mut message, whole, memory);
    message.finish()?;
    Ok(new)
}

/// Reads a sidecar of a manifest, and returns its errors.
pub(crate) fn read_manifest(sidecar: &Map<String, Value>) -> (NewSidecar, Vec<String>) {
    let mut message = Message::of_any(sidecar);
    let memory = message.get("memory").map(read_memory);
    let new = read_fields(&mut message, true, memory);
    (new, message.into_errors())
}

/// The memory of a sidecar in a manifest. A number without a unit is in megabytes.
fn read_memory(value: &Value) -> Result<Option<u32>, String> {
    let size = match byte_sizes::megabytes(value) {
        Ok(None) => return Ok(None),
        Ok(Some(size)) => size,
        Err(_) => check_integer(value, i64::MIN..=i64::MAX)?,
    };
    positive(size).map(Some)
}

fn positive(size: i64) -> Result<u32, String> {
    let size = u32::try_from(size).ok().filter(|size| *size > 0);
    size.ok_or_else(|| "must be greater than 0".into())
}

/// Reads a sidecar. If it is `whole`, all fields except for the memory are required.
fn read_fields(
    message: &mut Message<'_>,
    whole: bool,
    memory: Option<Result<Option<u32>, String>>,
) -> NewSidecar {
    let mut text = |key: &str| {
        if !whole && !message.has(key) {
            return None;
        }
        let text = message.check(key).present().string().text();
        text.map(str::to_owned)
    };
    let (name, command) = (text("name"), text("command"));
    let has_types = whole || message.has("process_types");
    let process_types = has_types.then(|| read_process_types(message));
    let memory_mb = memory.and_then(|memory| {
        let memory = memory.map_err(|reason| message.error(format!("Memory in mb {reason}")));
        memory.ok()
    });
    NewSidecar {
        name,
        command,
        process_types,
        memory_mb,
    }
}

/// The types of processes that a sidecar belongs to, sorted.
fn read_process_types(message: &mut Message<'_>) -> Vec<String> {
    let given = message.get("process_types").unwrap_or(&Value::Null);
    let types = given.as_array();
    if types.is_none() {
        message.error("Process types must be an array");
    }
    if ruby::length(given) == 0 {
        message.error("Process types must have at least 1 process_type");
    }
    let types = types.into_iter().flatten();
    let names = types.map(|kind| kind.as_str().unwrap_or_default().to_owned());
    let mut names: Vec<String> = names.collect();
    if names.iter().any(String::is_empty) {
        message.error("type presence");
    }
    if names.iter().any(|name| name.chars().count() > MAX_TYPE) {
        message.error(format!(
            "Process type is too long (maximum is {MAX_TYPE} characters)"
        ));
    }
    names.sort();
    names
}
