//! `/v3/tasks`, and the tasks of an app

use serde_json::{Map, Value, json};

use crate::api::context::{RequestContext, View, to_one};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::list::{ListQuery, ListSpec};
use crate::api::message::{MAX_INT, Message};
use crate::api::router::Route;
use crate::api::shared::processes::MAX_COMMAND;
use crate::api::state::Present;
use crate::world::{
    App, Droplet, Field, Guid, MANAGE_APPS, MAX_APP_DISK_MB, NewTask, Process, Registered, Row,
    Task, WRITE_SPACE, ruby,
};

use super::{apps, processes};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v3/tasks", index),
    Route::get("/v3/tasks/:guid", show),
    Route::patch("/v3/tasks/:guid", update).by(WRITE_SPACE),
    Route::post("/v3/tasks/:guid/actions/cancel", cancel).by(MANAGE_APPS),
    // Documented, but not every Cloud Controller has this route.
    Route::put("/v3/tasks/:guid/actions/cancel", cancel).by(MANAGE_APPS),
    // The path in older versions of the API.
    Route::put("/v3/tasks/:guid/cancel", cancel).by(MANAGE_APPS),
    Route::get("/v3/apps/:guid/tasks", index_of_app),
    Route::post("/v3/apps/:guid/tasks", create)
        .by(WRITE_SPACE)
        .flagged("task_creation"),
];

const LIST: ListSpec = ListSpec::of(&[
    "names",
    "states",
    "app_guids",
    "organization_guids",
    "space_guids",
    "app_guid",
    "sequence_ids",
    "label_selector",
]);

impl Present for Task {
    fn present(&self, view: &View<'_>) -> Value {
        present(self, view)
    }
}

pub(crate) fn present(task: &Task, view: &View<'_>) -> Value {
    let path = format!("/v3/tasks/{}", task.base.guid);
    let state = task.state(view.at);
    let failure = task.failure.as_ref().filter(|_| state == "FAILED");
    json!({
        "guid": task.base.guid,
        "created_at": task.base.created,
        "updated_at": task.base.updated,
        "sequence_id": task.sequence,
        "name": task.name,
        "command": task.command,
        "user": view.world.user_of(task.app, task.user.as_deref()),
        "state": state,
        "memory_in_mb": task.memory_mb,
        "disk_in_mb": task.disk_mb,
        "log_rate_limit_in_bytes_per_second": task.log_rate,
        "result": {"failure_reason": failure},
        "droplet_guid": task.droplet,
        "relationships": {"app": to_one(Some(task.app))},
        "metadata": task.base.metadata.present(),
        "links": {
            "self": view.link(&path),
            "app": view.link(&format!("/v3/apps/{}", task.app)),
            "cancel": view.action("POST", &format!("{path}/actions/cancel")),
            "droplet": view.link(&format!("/v3/droplets/{}", task.droplet)),
        },
    })
}

/// A task in the list of all apps' tasks, without its command.
fn present_without_command(task: &Task, view: &View<'_>) -> Value {
    let mut presented = present(task, view);
    if let Some(fields) = presented.as_object_mut() {
        fields.shift_remove("command");
    }
    presented
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    list(context, None, present_without_command)
}

fn index_of_app(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    // The query is validated before the app is looked up.
    ListQuery::read(context, &LIST)?;
    let app = apps::find(context)?;
    list(context, Some((Field::App, app)), present)
}

fn list(
    context: &RequestContext<'_>,
    nested: Option<(Field, Guid)>,
    present: fn(&Task, &View<'_>) -> Value,
) -> Result<Response, CcError> {
    let query = ListQuery::read(context, &LIST)?;
    if nested.is_none() {
        query.refuse(&["sequence_ids"])?;
    }
    let selection = query.by_owners(context.world, nested)?;
    let now = context.world.now();
    let keep = |task: &Task| {
        query.admits("names", &task.name)
            && query.admits("states", task.state(now))
            && query.admits("sequence_ids", &task.sequence.to_string())
    };
    query.respond_by_query(context, &selection, keep, present)
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    context.show("guid", present)
}

fn update(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let patch = context.metadata_patch()?;
    let guid = context.guid_of::<Task>("guid")?;
    context.update_metadata(guid, patch, present)
}

fn cancel(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let task: &Task = context.named("guid")?;
    let (guid, state) = (task.base.guid, task.state(context.world.now()));
    if ["SUCCEEDED", "FAILED"].contains(&state) {
        return Err(CcError::unprocessable(format!(
            "Task state is {state} and therefore cannot be canceled"
        )));
    }
    context.world.cancel_task(guid);
    record(context, guid, "audit.app.task.cancel")?;
    accepted(context, guid)
}

fn accepted(context: &RequestContext<'_>, guid: Guid) -> Result<Response, CcError> {
    let task = context.present_pending(guid, present)?;
    Ok(Response::json(202, &task))
}

/// The new task in a request.
struct TaskRequest<'b> {
    name: Option<String>,
    name_problems: Vec<&'static str>,
    /// `None` selects the detected command. The model refuses `Some(None)`.
    command: Option<Option<String>>,
    user: Option<&'b str>,
    droplet: Option<&'b str>,
    template: Option<&'b str>,
    memory_mb: Option<u32>,
    disk_mb: Option<u32>,
    log_rate: Option<i64>,
    metadata: crate::world::metadata::MetadataPatch,
}

fn create(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let asked = read_new(&body)?;
    let app: &App = context.named("guid")?;
    let (guid, space, current) = (app.base.guid, app.space, app.droplet);
    let droplet = match asked.droplet {
        Some(droplet) => {
            let droplet: &Droplet = context.row_of(droplet)?;
            if droplet.app != guid {
                return Err(CcError::not_found(Droplet::KIND));
            }
            droplet.guid()
        }
        None => current.ok_or_else(|| {
            CcError::unprocessable(
                "Task must have a droplet. Specify droplet or assign current droplet to app.",
            )
        })?,
    };
    if asked.disk_mb.is_some_and(|disk| disk > MAX_APP_DISK_MB) {
        return Err(CcError::unprocessable(format!(
            "Cannot request disk_in_mb greater than {MAX_APP_DISK_MB}"
        )));
    }
    let template = asked.template.map(|guid| find_template(context, guid));
    let template = template.transpose()?;
    let scale = template.map(|process| process.scale);
    let detected = || template.map(|process| processes::command(process, &context.view()));
    let command = asked.command.clone().unwrap_or_else(detected);
    let user = asked.user.map(str::to_owned);
    let user = user.or_else(|| template.and_then(|process| process.user.clone()));
    let mut problems = asked.name_problems;
    problems.extend(command_problems(command.as_deref()));
    let failure = context.fail_task(guid);
    let new = NewTask {
        app: guid,
        space,
        droplet,
        name: asked.name,
        command: command.unwrap_or_default(),
        user,
        memory_mb: asked
            .memory_mb
            .or(scale.map(|scale| scale.memory_mb))
            .unwrap_or(1024),
        disk_mb: asked
            .disk_mb
            .or(scale.map(|scale| scale.disk_mb))
            .unwrap_or(1024),
        log_rate: asked
            .log_rate
            .or(scale.map(|scale| scale.log_rate))
            .unwrap_or(-1),
        failure,
        metadata: asked.metadata,
    };
    let task = context.world.run_task(new, &problems)?;
    record(context, task, "audit.app.task.create")?;
    accepted(context, task)
}

/// The errors of the Cloud Controller's model for a name of any type.
fn name_problems(name: &Value) -> Vec<&'static str> {
    let text = ruby::text(name);
    let mut problems = Vec::new();
    if text.is_empty() || text.contains(char::is_control) {
        problems.push("name format");
    }
    if ruby::is_blank(name) {
        problems.push("name presence");
    }
    problems
}

fn command_problems(command: Option<&str>) -> Vec<&'static str> {
    const TOO_LONG: &str = "command must be shorter than 4097 characters";
    match command {
        None => vec!["command presence", "command is not present"],
        Some(command) if command.trim().is_empty() => vec!["command presence"],
        Some(command) if command.chars().count() > MAX_COMMAND => vec![TOO_LONG],
        Some(_) => Vec::new(),
    }
}

fn record(
    context: &mut RequestContext<'_>,
    guid: Guid,
    event: &'static str,
) -> Result<(), CcError> {
    let task: &Task = context.row(guid)?;
    let app = task.app;
    let data = json!({
        "task_guid": guid,
        "request": {
            "name": task.name,
            "memory_in_mb": task.memory_mb,
            "command": "[PRIVATE DATA HIDDEN]",
        },
    });
    context.world.record(app, event, data);
    Ok(())
}

fn find_template<'c>(context: &'c RequestContext<'_>, guid: &str) -> Result<&'c Process, CcError> {
    let process = context.world.look_up::<Process>(guid);
    process.ok_or_else(|| {
        let detail = format!("The process could not be found: {guid}");
        CcError::new(404, 350_003, "CF-ProcessNotFound", detail)
    })
}

fn read_new(body: &Map<String, Value>) -> Result<TaskRequest<'_>, CcError> {
    let allowed = [
        "name",
        "command",
        "disk_in_mb",
        "memory_in_mb",
        "log_rate_limit_in_bytes_per_second",
        "droplet_guid",
        "template",
        "user",
        "metadata",
    ];
    let mut message = Message::new(body, &allowed);
    let mut size = |key: &str| {
        let size = message.integer(key, 1..=MAX_INT);
        size.and_then(|size| u32::try_from(size).ok())
    };
    let (disk_mb, memory_mb) = (size("disk_in_mb"), size("memory_in_mb"));
    let log_rate = message.integer("log_rate_limit_in_bytes_per_second", i64::MIN..=i64::MAX);
    if log_rate.is_some_and(|rate| rate < -1) {
        message.error("Log rate limit in bytes per second must be greater than -2");
    }
    let droplet = message.check("droplet_guid").allow_null().guid().text();
    let process = message.get("template").and_then(|it| it.get("process"));
    let process = process.and_then(|process| process.get("guid"));
    if message.has("template") {
        message.check_value("template_process_guid", process).guid();
    }
    // Ruby treats false as absent.
    let is_present = |value: Option<&Value>| value.is_some_and(|value| *value != json!(false));
    if !is_present(message.get("command")) && !is_present(message.get("template")) {
        message.error("Command No command or template provided");
    }
    let user = message.check("user").allow_null().string();
    let user = user.length_or(1..=255, "must be between 1 and 255 characters");
    let user = user.text();
    let metadata = message.metadata();
    // A value that the model refuses is not written to the database.
    let given_command = message.get("command");
    let is_blank = given_command.is_some_and(ruby::is_blank);
    let command = match is_blank {
        true => Ok(Some(String::new())),
        false => message.column("command"),
    };
    let name = message.column("name");
    let given = message.has("name").then(|| message.get("name"));
    let name_problems = given.map(|name| name_problems(name.unwrap_or(&Value::Null)));
    let has_command = message.has("command");
    message.finish()?;
    Ok(TaskRequest {
        name: match &name_problems {
            Some(problems) if !problems.is_empty() => None,
            _ => name?,
        },
        name_problems: name_problems.unwrap_or_default(),
        command: has_command.then_some(command?),
        user,
        droplet,
        template: process.and_then(Value::as_str),
        memory_mb,
        disk_mb,
        log_rate,
        metadata,
    })
}
