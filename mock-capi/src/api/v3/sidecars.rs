//! `/v3/sidecars`, and the sidecars of an app or a process

use serde_json::{Map, Value, json};

use crate::api::context::{RequestContext, View, to_one};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::list::{ListQuery, ListSpec};
use crate::api::message::Message;
use crate::api::router::Route;
use crate::api::shared::processes;
use crate::api::state::Present;
use crate::world::{Field, Guid, NewSidecar, Process, Sidecar, WRITE_SPACE, ruby};

use super::apps;
use super::manifest_message::{check_number, sidecar_memory};

/// The longest type of a process.
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
        let size = check_number(value, (i64::MIN, i64::from(i32::MAX)))?;
        let size = u32::try_from(size).ok().filter(|size| *size > 0);
        size.map(Some)
            .ok_or_else(|| "must be greater than 0".into())
    });
    let (new, errors) = read_fields(body, whole, memory);
    for error in errors {
        message.error(error);
    }
    message.finish()?;
    Ok(new)
}

/// Reads a sidecar of a manifest, and what is wrong with it.
pub(crate) fn read_manifest(sidecar: &Map<String, Value>) -> (NewSidecar, Vec<String>) {
    let memory = sidecar.get("memory").filter(|value| !value.is_null());
    read_fields(sidecar, true, memory.map(sidecar_memory))
}

/// Reads a sidecar; a whole one cannot do without any of its fields.
fn read_fields(
    fields: &Map<String, Value>,
    whole: bool,
    memory: Option<Result<Option<u32>, String>>,
) -> (NewSidecar, Vec<String>) {
    let mut errors = Vec::new();
    let wanted = |key: &str| whole || fields.contains_key(key);
    let mut text = |key: &str, label: &str| {
        let value = fields.get(key).unwrap_or(&Value::Null);
        if !wanted(key) {
            return None;
        }
        if ruby::is_blank(value) {
            errors.push(format!("{label} can't be blank"));
        }
        if !value.is_string() {
            errors.push(format!("{label} must be a string"));
        }
        value.as_str().map(str::to_owned)
    };
    let name = text("name", "Name");
    let command = text("command", "Command");
    let mut process_types = None;
    if wanted("process_types") {
        let given = fields.get("process_types").unwrap_or(&Value::Null);
        let types = given.as_array();
        if types.is_none() {
            errors.push("Process types must be an array".into());
        }
        let types = types.map_or(&[][..], Vec::as_slice);
        if ruby::length(given) == 0 {
            errors.push("Process types must have at least 1 process_type".into());
        }
        let names = types.iter().map(|kind| kind.as_str().unwrap_or_default());
        let names: Vec<String> = names.map(str::to_owned).collect();
        if names.iter().any(String::is_empty) {
            errors.push("type presence".into());
        }
        if names.iter().any(|name| name.chars().count() > MAX_TYPE) {
            errors.push(format!(
                "Process type is too long (maximum is {MAX_TYPE} characters)"
            ));
        }
        let mut names = names;
        names.sort();
        process_types = Some(names);
    }
    let memory_mb = match memory {
        None => None,
        Some(Ok(memory)) => Some(memory),
        Some(Err(reason)) => {
            errors.push(format!("Memory in mb {reason}"));
            None
        }
    };
    let new = NewSidecar {
        name,
        command,
        process_types,
        memory_mb,
    };
    (new, errors)
}
