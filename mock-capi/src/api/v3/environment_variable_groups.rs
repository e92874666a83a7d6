//! `/v3/environment_variable_groups`: variables for all running apps, and for staging all
//! apps.

use serde_json::{Value, json};

use crate::api::context::{RequestContext, View};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::router::Route;
use crate::api::state::Present;
use crate::world::{EnvironmentGroup, Guid, Registered, Row, merge_environment};

use super::environment;

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v3/environment_variable_groups/:name", show),
    Route::patch("/v3/environment_variable_groups/:name", update).by_admins(),
];

impl Present for EnvironmentGroup {
    fn present(&self, view: &View<'_>) -> Value {
        present(self, view)
    }
}

pub(crate) fn present(group: &EnvironmentGroup, view: &View<'_>) -> Value {
    let path = format!("/v3/environment_variable_groups/{}", group.name);
    json!({
        "updated_at": group.base.updated,
        "name": group.name,
        "var": group.variables,
        "links": {"self": view.link(&path)},
    })
}

fn find(context: &RequestContext<'_>) -> Result<Guid, CcError> {
    let group = context
        .world
        .named::<EnvironmentGroup>(context.capture("name"));
    group
        .map(Row::guid)
        .ok_or_else(|| CcError::not_found(EnvironmentGroup::KIND))
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    context.ok(find(context)?, present)
}

fn update(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let variables = match body.is_empty() {
        true => serde_json::Map::new(),
        false => environment::read(&body)?,
    };
    context.require_admin()?;
    let guid = find(context)?;
    context
        .world
        .update_row(guid, |group: &mut EnvironmentGroup| {
            merge_environment(&mut group.variables, variables);
        });
    context.ok(guid, present)
}
