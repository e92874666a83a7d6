//! `/v3/stacks`

use serde_json::{Value, json};

use crate::api::context::{RequestContext, View};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::list::{ListQuery, ListSpec};
use crate::api::message::Message;
use crate::api::router::Route;
use crate::api::state::Present;
use crate::world::{App, Field, Lifecycle, Row, Selection, Stack, StackState, World};

use super::apps;

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v3/stacks", index),
    Route::post("/v3/stacks", create),
    Route::get("/v3/stacks/:guid", show),
    Route::patch("/v3/stacks/:guid", update),
    Route::delete("/v3/stacks/:guid", delete),
    Route::get("/v3/stacks/:guid/apps", apps::index_of_stack),
];

const LIST: ListSpec = ListSpec {
    order_by: &["name"],
    ..ListSpec::of(&["names", "default", "label_selector"])
};

const MAX_NAME: usize = 250;
const MAX_REASON: usize = 5000;

impl Present for Stack {
    fn present(&self, view: &View<'_>) -> Value {
        present(self, view)
    }
}

pub(crate) fn present(stack: &Stack, view: &View<'_>) -> Value {
    json!({
        "guid": stack.base.guid,
        "created_at": stack.base.created,
        "updated_at": stack.base.updated,
        "name": stack.name,
        "description": stack.description,
        "state": stack.state.name(),
        "state_reason": stack.state_reason,
        "run_rootfs_image": stack.name,
        "build_rootfs_image": stack.name,
        "default": stack.name == view.world.default_stack,
        "metadata": stack.base.metadata.present(),
        "links": {"self": view.link(&format!("/v3/stacks/{}", stack.base.guid))},
    })
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let query = ListQuery::read(context, &LIST)?;
    if !["true", "false"].contains(&query.value("default").unwrap_or("true")) {
        return Err(CcError::bad_query("Default must be 'true' or 'false'"));
    }
    let selection = query.by_texts(query.selection(), "names", Stack::NAME);
    let default = context.world.default_stack;
    let keep = |stack: &Stack| query.admits("default", &(stack.name == default).to_string());
    query.respond_by_query(context, &selection, keep, present)
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    context.show("guid", present)
}

fn create(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    const FIELDS: [&str; 5] = ["name", "description", "state", "state_reason", "metadata"];
    let mut body = context.request.object()?;
    // Unlike in all other requests, unknown fields are ignored.
    body.retain(|key, _| FIELDS.contains(&key.as_str()));
    let mut message = Message::new(&body, &FIELDS);
    message.check("name").present().length(0..=MAX_NAME);
    message.check("description").length(0..=MAX_NAME);
    let state = read_state(&mut message).unwrap_or(StackState::Active);
    message
        .check("state_reason")
        .allow_null()
        .length(0..=MAX_REASON);
    let patch = message.metadata();
    let name = message.column("name");
    let description = message.column("description");
    let reason = message.column("state_reason");
    message.finish()?;
    let name = name?.unwrap_or_default();
    let name = name.trim();
    let (description, state_reason) = (description?, reason?);
    if context.world.name_taken::<Stack>(name, None) {
        return Err(CcError::unprocessable("Name must be unique"));
    }
    let base = context.world.base_with(patch);
    let guid = context.world.add(Stack {
        base,
        name: name.into(),
        description,
        state,
        state_reason,
    });
    let data = json!({"request": context.request_body()});
    context
        .world
        .record_named("audit.stack.create", "stack", guid, name, data);
    context.created(guid, present)
}

fn update(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let stack: &Stack = context.named("guid")?;
    let (guid, name) = (stack.guid(), stack.name.clone());
    let body = context.request.object()?;
    let mut message = Message::new(&body, &["state", "state_reason", "metadata"]);
    let state = read_state(&mut message);
    message
        .check("state_reason")
        .allow_null()
        .length(0..=MAX_REASON);
    let reason = message.column("state_reason");
    let reason = message.has("state_reason").then_some(reason);
    let patch = message.metadata_update(&stack.base.metadata);
    message.finish()?;
    let reason = reason.transpose()?;
    context.world.update_row(guid, |stack: &mut Stack| {
        stack.state = state.unwrap_or(stack.state);
        if let Some(reason) = reason {
            stack.state_reason = reason;
        }
        stack.base.metadata.apply(patch);
    });
    let data = json!({"request": context.request_body()});
    context
        .world
        .record_named("audit.stack.update", "stack", guid, &name, data);
    let of_default = state.is_some() && name == context.world.default_stack;
    let warning = of_default.then(|| {
        format!(
            "Changing state on the default stack '{name}' may affect new application deployments."
        )
    });
    let mut stack = present(context.row(guid)?, &context.view());
    if let Some(reason) = body.get("state_reason").filter(|it| it.is_array()) {
        // The response repeats the request, although the column stores something else.
        stack["state_reason"] = reason.clone();
    }
    Ok(Response::ok(&stack).with_warnings(warning))
}

fn delete(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let stack: &Stack = context.named("guid")?;
    let (guid, name) = (stack.guid(), &stack.name);
    if context
        .world
        .apps
        .iter()
        .any(|app| app.lifecycle.stack() == name)
    {
        return Err(CcError::unprocessable(format!(
            "Cannot delete stack '{name}' because apps are currently using the stack."
        )));
    }
    let name = name.clone();
    context.world.stacks.remove(guid);
    context
        .world
        .record_named("audit.stack.delete", "stack", guid, &name, json!({}));
    Ok(Response::empty(204))
}

fn read_state(message: &mut Message<'_>) -> Option<StackState> {
    if !message.has("state") {
        return None;
    }
    if message.get("state") == Some(&json!([])) {
        // Rails accepts an empty list as one of the states, and the model then refuses
        // it.
        message.error("state includes");
        return None;
    }
    let name = message.get("state").and_then(Value::as_str);
    let state = StackState::ALL.into_iter();
    let state = state.clone().find(|state| Some(state.name()) == name);
    if state.is_none() {
        let names = StackState::ALL.map(StackState::name).join(", ");
        message.error(format!("State must be one of {names}"));
    }
    state
}

/// Checks that an app may be staged with a lifecycle, and returns a warning or an error.
/// Apps that were staged before may use more stacks.
pub(crate) fn check(
    world: &World,
    lifecycle: &Lifecycle,
    restaging: bool,
) -> Result<Option<String>, String> {
    let Some(stack) = world.named::<Stack>(lifecycle.stack()) else {
        return Ok(None);
    };
    let state = stack.state.name();
    let says = |text: String| match stack.state_reason.as_deref() {
        None | Some("") => text,
        Some(reason) => format!("{text} {reason}"),
    };
    let name = &stack.name;
    match stack.state {
        StackState::Active => Ok(None),
        StackState::Restricted if !restaging => Err(()),
        StackState::Disabled => Err(()),
        StackState::Restricted | StackState::Deprecated => Ok(Some(says(format!(
            "WARNING: The stack '{name}' is '{state}' and will be removed in the future."
        )))),
    }
    .map_err(|()| {
        says(format!(
            "ERROR: Staging failed. The stack '{name}' is '{state}' and cannot be used for staging."
        ))
    })
}

/// Checks that an existing app may be staged with a lifecycle.
pub(crate) fn check_app(
    world: &World,
    app: &App,
    lifecycle: &Lifecycle,
) -> Result<Option<String>, String> {
    let built = Selection::by(Field::App, app.guid());
    let restaging = !world.builds.select(&built).is_empty();
    check(world, lifecycle, restaging)
}
