//! `/v2/stacks`

use serde_json::{Value, json};

use super::list::{Filters, Query};
use super::{Errors, resource};
use crate::call::{Call, View};
use crate::error::CcError;
use crate::http::Response;
use crate::router::Route;
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

fn index(call: &mut Call<'_>) -> Result<Response, CcError> {
    let query = Query::read(call, FILTERS)?;
    Ok(query.answer(call, &query.selection(), |_| true, present))
}

fn show(call: &mut Call<'_>) -> Result<Response, CcError> {
    let guid = ERRORS.find::<Stack>(call)?;
    call.ok(guid, present)
}
