//! `/v3/environment_variable_groups`: variables that all apps run or are staged
//! with.

use serde_json::{Value, json};

use crate::call::{Call, View};
use crate::error::CcError;
use crate::http::Response;
use crate::router::Route;
use crate::world::{EnvironmentGroup, Guid, Row};

use super::environment;

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v3/environment_variable_groups/:name", show),
    Route::patch("/v3/environment_variable_groups/:name", update).by_admins(),
];

pub(crate) fn present(group: &EnvironmentGroup, view: &View<'_>) -> Value {
    let path = format!("/v3/environment_variable_groups/{}", group.name);
    json!({
        "updated_at": group.base.updated,
        "name": group.name,
        "var": group.variables,
        "links": {"self": view.link(&path)},
    })
}

fn find(call: &Call<'_>) -> Result<Guid, CcError> {
    let group = call.world.named::<EnvironmentGroup>(call.capture("name"));
    group
        .map(Row::guid)
        .ok_or_else(|| CcError::not_found(EnvironmentGroup::KIND))
}

fn show(call: &mut Call<'_>) -> Result<Response, CcError> {
    call.ok(find(call)?, present)
}

fn update(call: &mut Call<'_>) -> Result<Response, CcError> {
    let body = call.request.object()?;
    let variables = match body.is_empty() {
        true => serde_json::Map::new(),
        false => environment::read(&body)?,
    };
    call.require_admin()?;
    let guid = find(call)?;
    call.world.touch(guid, |group: &mut EnvironmentGroup| {
        environment::merge(&mut group.variables, variables);
    });
    call.ok(guid, present)
}
