//! `/v2/stacks`

use serde_json::{Value, json};

use super::list::{Filters, Query};
use super::{Errors, resource};
use crate::api::context::{RequestContext, View};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::router::Route;
use crate::world::{Field, Stack};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v2/stacks", index),
    Route::get("/v2/stacks/:guid", show),
];

const FILTERS: Filters = &[("name", Field::Name)];

const ERRORS: Errors = Errors {
    not_found: (250_003, "CF-StackNotFound", "The stack could not be found"),
    name_taken: (250_002, "CF-StackNameTaken", "The stack name is taken"),
};

fn present(stack: &Stack, _view: &View<'_>) -> Value {
    let entity = json!({"name": stack.name, "description": stack.description});
    resource(&stack.base, "stacks", entity)
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let query = Query::read(context, FILTERS)?;
    Ok(query.answer(context, &query.selection(), |_| true, present))
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = ERRORS.find::<Stack>(context)?;
    context.ok(guid, present)
}
