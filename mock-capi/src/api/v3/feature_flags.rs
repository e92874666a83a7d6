//! `/v3/feature_flags`

use serde_json::{Value, json};

use crate::api::context::{RequestContext, View};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::list::{ListQuery, ListSpec};
use crate::api::message::Message;
use crate::api::router::Route;
use crate::api::state::Present;
use crate::world::{FeatureFlag, Guid, Registered, Row};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v3/feature_flags", index),
    Route::get("/v3/feature_flags/:name", show),
    Route::patch("/v3/feature_flags/:name", update),
];

const LIST: ListSpec = ListSpec {
    order_by: &["name"],
    refuses_created_ats: true,
    counts_apart: true,
    ..ListSpec::of(&[])
};

impl Present for FeatureFlag {
    fn present(&self, view: &View<'_>) -> Value {
        present(self, view)
    }
}

pub(crate) fn present(flag: &FeatureFlag, view: &View<'_>) -> Value {
    json!({
        "name": flag.name,
        "enabled": flag.enabled,
        "updated_at": flag.changed.then_some(flag.base.updated),
        "custom_error_message": flag.error_message,
        "links": {"self": view.link(&format!("/v3/feature_flags/{}", flag.name))},
    })
}

fn find(context: &RequestContext<'_>) -> Result<Guid, CcError> {
    let flag = context.world.named::<FeatureFlag>(context.capture("name"));
    flag.map(Row::guid)
        .ok_or_else(|| CcError::not_found(FeatureFlag::KIND))
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let order = context.request.query("order_by").unwrap_or_default();
    if !["", "name", "+name", "-name"].contains(&order) {
        return Err(CcError::bad_query("Order by can only be: 'name'"));
    }
    let query = ListQuery::read(context, &LIST)?;
    // A flag that was never changed has no `updated_at`. Flags have no GUIDs in
    // responses.
    let keep = |flag: &FeatureFlag| flag.changed || !query.has("updated_ats");
    query.respond(context, &query.labelled(), keep, present)
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    context.ok(find(context)?, present)
}

fn update(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find(context)?;
    context.require_admin()?;
    let body = context.request.object()?;
    let mut message = Message::new(&body, &["custom_error_message", "enabled"]);
    let enabled = message.boolean("enabled");
    if message.has("enabled") && message.get("enabled").is_none() {
        message.error("Enabled must be a boolean");
    }
    let (says, text) = (
        message.has("custom_error_message"),
        message.optional_text("custom_error_message", 1..=250),
    );
    message.finish()?;
    context.world.update_row(guid, |flag: &mut FeatureFlag| {
        flag.enabled = enabled.unwrap_or(flag.enabled);
        if says {
            flag.error_message = text.map(str::to_owned);
        }
        flag.changed = true;
    });
    context.ok(guid, present)
}
