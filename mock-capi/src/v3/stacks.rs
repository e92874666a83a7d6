//! `/v3/stacks`

use serde_json::{Value, json};

use crate::call::{Call, View};
use crate::error::CcError;
use crate::http::Response;
use crate::list::{ListQuery, ListSpec};
use crate::router::Route;
use crate::world::{Field, Stack};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v3/stacks", index),
    Route::get("/v3/stacks/:guid", show),
];

const LIST: ListSpec = ListSpec {
    order_by: &["name"],
    ..ListSpec::of(&["names", "default", "label_selector"])
};

pub(crate) fn present(stack: &Stack, view: &View<'_>) -> Value {
    json!({
        "guid": stack.base.guid,
        "created_at": stack.base.created,
        "updated_at": stack.base.updated,
        "name": stack.name,
        "description": stack.description,
        "state": "ACTIVE",
        "state_reason": null,
        "run_rootfs_image": stack.name,
        "build_rootfs_image": stack.name,
        "default": stack.name == view.world.default_stack,
        "metadata": stack.base.metadata.present(),
        "links": {"self": view.link(&format!("/v3/stacks/{}", stack.base.guid))},
    })
}

fn index(call: &mut Call<'_>) -> Result<Response, CcError> {
    let query = ListQuery::read(call, &LIST)?;
    if !["true", "false"].contains(&query.value("default").unwrap_or("true")) {
        return Err(CcError::bad_query("Default must be 'true' or 'false'"));
    }
    let selection = query.by_texts(query.selection(), "names", Field::Name);
    let default = call.world.default_stack;
    let keep = |stack: &Stack| query.admits("default", &(stack.name == default).to_string());
    query.respond(call, &selection, keep, present)
}

fn show(call: &mut Call<'_>) -> Result<Response, CcError> {
    call.show("guid", present)
}
