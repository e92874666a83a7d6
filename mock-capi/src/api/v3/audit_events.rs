//! `/v3/audit_events`

use serde_json::{Value, json};

use crate::api::context::{RequestContext, View};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::list::{ListQuery, ListSpec};
use crate::api::router::Route;
use crate::api::state::Present;
use crate::world::{Event, Field};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v3/audit_events", index),
    Route::get("/v3/audit_events/:guid", show),
];

const LIST: ListSpec =
    ListSpec::of(&["types", "target_guids", "space_guids", "organization_guids"]);

impl Present for Event {
    fn present(&self, view: &View<'_>) -> Value {
        present(self, view)
    }
}

pub(crate) fn present(event: &Event, view: &View<'_>) -> Value {
    let Event { base, actor, .. } = event;
    json!({
        "guid": base.guid,
        "created_at": base.created,
        "updated_at": base.updated,
        "type": event.kind,
        "actor": {"guid": actor.id, "type": actor.kind, "name": actor.name},
        "target": {
            "guid": event.target_id(),
            "type": event.target_kind,
            "name": event.target_name,
        },
        "data": event.data,
        "space": event.space.map(|space| json!({"guid": space})),
        "organization": event.org.map(|org| json!({"guid": org})),
        "links": {"self": view.link(&format!("/v3/audit_events/{}", base.guid))},
    })
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let query = ListQuery::read(context, &LIST)?;
    let mut selection = query.selection();
    if let Some(targets) = query.values("target_guids") {
        selection = selection.any(Event::keys_of_targets(&targets));
    }
    let selection = query.by_guids(selection, "space_guids", Field::Space);
    let selection = query.by_guids(selection, "organization_guids", Field::Org);
    let selection = query.by_texts(selection, "types", Field::Type);
    let others = query.values("target_guids[not]").unwrap_or_default();
    let now = context.world.now();
    let keep = |event: &Event| {
        event.base.created <= now && (others.is_empty() || !others.contains(&event.target_id()))
    };
    query.respond_by_query(context, &selection, keep, present)
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    context.show("guid", present)
}
