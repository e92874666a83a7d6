//! `/v2/stacks`

use serde_json::{Value, json};

use super::collection::{self, Collection, by_guid, row};
use super::filter::Filter;
use super::schema::{self, Attribute};
use super::source::Source;
use super::{association_not_empty, authorize, known, post, remove};
use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::router::Route;
use crate::world::{ADMINS, AccessScope, Stack, StackState};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v2/stacks", collection::index),
    post("/v2/stacks", create),
    Route::get("/v2/stacks/:guid", collection::show),
    remove("/v2/stacks/:guid", destroy),
];

pub(super) static STACKS: Collection = Collection {
    path: "/v2/stacks",
    source: Source::of::<Stack>(),
    get: row::<Stack>,
    parse: by_guid,
    relations: &[],
    filters: &[Filter::EXACT_NAME],
    order_by: &[],
    not_found: (250_003, "CF-StackNotFound", "The stack could not be found"),
};

const ATTRIBUTES: &[Attribute] = &[
    Attribute::text("name").required(),
    Attribute::text("description"),
];

pub(super) fn attributes(stack: &Stack) -> Value {
    json!({
        "name": stack.name,
        "description": stack.description,
        "build_rootfs_image": stack.name,
        "run_rootfs_image": stack.name,
    })
}

fn create(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let attributes = schema::of_new(&body, ATTRIBUTES)?;
    let name = attributes.text("name").unwrap_or_default().trim();
    if name.is_empty() {
        let detail = "The stack is invalid: name presence";
        return Err(CcError::new(400, 250_001, "CF-StackInvalid", detail));
    }
    if context.world.name_taken::<Stack>(name, None) {
        let detail = format!("The stack name is taken: {name}");
        return Err(CcError::new(400, 250_002, "CF-StackNameTaken", detail));
    }
    authorize(context, ADMINS, AccessScope::Deleted)?;
    let base = context.world.base();
    let guid = context.world.add(Stack {
        base,
        name: name.into(),
        description: attributes.text("description").map(str::to_owned),
        state: StackState::Active,
        state_reason: None,
    });
    STACKS.created(context, guid)
}

fn destroy(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = known(context, &STACKS)?;
    authorize(context, ADMINS, AccessScope::Deleted)?;
    let name = &context.row::<Stack>(guid)?.name;
    let mut apps = context.world.apps.iter();
    if apps.any(|app| app.lifecycle.stack() == name) {
        return Err(association_not_empty("app", "stack"));
    }
    context.world.stacks.remove(guid);
    Ok(Response::empty(204))
}
