//! `/v3/isolation_segments`. Organizations are entitled to segments. A space chooses one
//! of them, and an organization chooses a default for its spaces.

use serde_json::{Map, Value, json};

use crate::api::context::{RequestContext, View, to_many, to_one};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::list::{ListQuery, ListSpec};
use crate::api::message::Message;
use crate::api::router::Route;
use crate::api::state::Present;
use crate::world::{
    Field, Guid, IsolationSegment, Key, MANAGE_ORG, Org, Row, SHARED_SEGMENT, Selection, Space,
    World, ruby,
};

use super::{organizations, spaces};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v3/isolation_segments", index),
    Route::post("/v3/isolation_segments", create),
    Route::get("/v3/isolation_segments/:guid", show),
    Route::patch("/v3/isolation_segments/:guid", update).by_admins(),
    Route::delete("/v3/isolation_segments/:guid", delete).by_admins(),
    Route::get("/v3/isolation_segments/:guid/organizations", index_of_orgs),
    Route::get(
        "/v3/isolation_segments/:guid/relationships/organizations",
        show_orgs,
    ),
    Route::post(
        "/v3/isolation_segments/:guid/relationships/organizations",
        entitle,
    )
    .by_admins(),
    Route::delete(
        "/v3/isolation_segments/:guid/relationships/organizations/:org",
        revoke,
    )
    .by_admins(),
    Route::get(
        "/v3/isolation_segments/:guid/relationships/spaces",
        show_spaces,
    ),
    Route::get(
        "/v3/organizations/:guid/relationships/default_isolation_segment",
        show_default,
    ),
    Route::patch(
        "/v3/organizations/:guid/relationships/default_isolation_segment",
        set_default,
    )
    .by(MANAGE_ORG),
    Route::get("/v3/spaces/:guid/relationships/isolation_segment", show_own),
    Route::patch("/v3/spaces/:guid/relationships/isolation_segment", set_own).by(MANAGE_ORG),
];

const LIST: ListSpec = ListSpec {
    order_by: &["name"],
    ..ListSpec::of(&["names", "organization_guids", "label_selector"])
};

impl Present for IsolationSegment {
    fn present(&self, view: &View<'_>) -> Value {
        present(self, view)
    }
}

pub(crate) fn present(segment: &IsolationSegment, view: &View<'_>) -> Value {
    let path = format!("/v3/isolation_segments/{}", segment.base.guid);
    json!({
        "guid": segment.base.guid,
        "created_at": segment.base.created,
        "updated_at": segment.base.updated,
        "name": segment.name,
        "metadata": segment.base.metadata.present(),
        "links": {
            "self": view.link(&path),
            "organizations": view.link(&format!("{path}/organizations")),
        },
    })
}

fn find(context: &RequestContext<'_>) -> Result<Guid, CcError> {
    context.guid_of::<IsolationSegment>("guid")
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let query = ListQuery::read(context, &LIST)?;
    let selection = query.by_texts(query.selection(), "names", Field::Name);
    let selection = query.by_guids(selection, "organization_guids", Field::SharedWith);
    query.respond_by_query(context, &selection, |_| true, present)
}

fn index_of_orgs(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    // The query is validated before the segment is looked up.
    ListQuery::read(context, &organizations::LIST)?;
    let segment: &IsolationSegment = context.named("guid")?;
    organizations::list(context, Some(&segment.orgs))
}

/// The name of a segment in a request.
fn read_name<'b>(message: &mut Message<'b>, required: bool) -> Option<&'b str> {
    let name = message.check("name").allow_null().string().text();
    if required {
        message.check("name").present();
    }
    name
}

fn check_name(world: &World, name: &str, own: Option<Guid>) -> Result<(), CcError> {
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(CcError::unprocessable(
            "Isolation Segment names can only contain non-blank unicode characters",
        ));
    }
    if world.name_taken::<IsolationSegment>(name, own) {
        return Err(CcError::unprocessable(
            "Isolation Segment names are case insensitive and must be unique",
        ));
    }
    Ok(())
}

fn create(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let mut message = Message::new(&body, &["name", "metadata"]);
    let patch = message.metadata();
    let name = read_name(&mut message, true).unwrap_or_default();
    message.finish()?;
    check_name(context.world, name, None)?;
    let base = context.world.base_with(patch);
    let guid = context.world.add(IsolationSegment {
        base,
        name: name.into(),
        orgs: Vec::new(),
    });
    context.created(guid, present)
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    context.show("guid", present)
}

fn update(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find(context)?;
    let body = context.request.object()?;
    let mut message = Message::new(&body, &["name", "metadata"]);
    let patch = message.metadata();
    let name = read_name(&mut message, false);
    let renames = message.has("name");
    message.finish()?;
    if guid == SHARED_SEGMENT {
        return Err(CcError::unprocessable(
            "Cannot update the shared Isolation Segment",
        ));
    }
    let in_use = Key::Guid(Field::IsolationSegment, guid);
    if context.world.orgs.count(&in_use) + context.world.spaces.count(&in_use) > 0 {
        return Err(CcError::unprocessable(
            "Cannot update Isolation Segments that are assigned as the default for an Organization or Space.",
        ));
    }
    if renames {
        check_name(context.world, name.unwrap_or_default(), Some(guid))?;
    }
    context
        .world
        .update_row(guid, |segment: &mut IsolationSegment| {
            segment.name = name.map_or_else(|| std::mem::take(&mut segment.name), str::to_owned);
            segment.base.metadata.apply(patch);
        });
    context.ok(guid, present)
}

fn delete(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let segment: &IsolationSegment = context.named("guid")?;
    let guid = segment.base.guid;
    if guid == SHARED_SEGMENT {
        return Err(CcError::unprocessable(
            "Cannot delete the shared Isolation Segment",
        ));
    }
    if !segment.orgs.is_empty() {
        return Err(CcError::unprocessable(
            "Revoke the Organization entitlements for your Isolation Segment.",
        ));
    }
    context.world.isolation_segments.remove(guid);
    Ok(Response::empty(204))
}

/// The entitled organizations that the caller can see.
fn present_orgs(segment: &IsolationSegment, view: &View<'_>) -> Value {
    let path = format!("/v3/isolation_segments/{}", segment.base.guid);
    let mut relationship = to_many(view.visible_orgs(segment.orgs.iter().copied()));
    relationship["links"] = json!({
        "self": view.link(&format!("{path}/relationships/organizations")),
        "related": view.link(&format!("{path}/organizations")),
    });
    relationship
}

fn show_orgs(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    context.show("guid", present_orgs)
}

fn show_spaces(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find(context)?;
    let chosen = Selection::by(Field::IsolationSegment, guid);
    let spaces = context.world.spaces.select(&chosen);
    let view = context.view();
    let mut relationship = to_many(view.visible_spaces(spaces.into_iter().map(Row::guid)));
    let path = format!("/v3/isolation_segments/{guid}/relationships/spaces");
    relationship["links"] = json!({"self": view.link(&path)});
    Ok(Response::ok(&relationship))
}

/// The organizations in a request. The errors differ from those of other relationships.
fn read_orgs(body: &Map<String, Value>) -> Result<Vec<&str>, CcError> {
    let mut message = Message::new(body, &["data"]);
    let data = message.get("data").and_then(Value::as_array);
    message.check("data").present();
    if data.is_none() {
        message.error("Data must be an array");
    }
    let mut guids = Vec::new();
    for item in data.into_iter().flatten() {
        let guid = item.get("guid").unwrap_or(&Value::Null);
        match guid.as_str() {
            Some(guid) => guids.push(guid),
            None => message.error(format!("Data {} not a string", ruby::text(guid))),
        }
    }
    message.finish()?;
    Ok(guids)
}

fn entitle(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find(context)?;
    let body = context.request.object()?;
    let texts = read_orgs(&body)?;
    let orgs = context.world.look_up_all(&texts, |_: &Org| true);
    let orgs = orgs.map_err(|unknown| {
        let unknown: Vec<String> = unknown.iter().map(|text| format!("'{text}'")).collect();
        CcError::unprocessable(format!(
            "Unable to entitle organizations [{}] for the isolation segment. Ensure the organizations exist.",
            unknown.join(", ")
        ))
    })?;
    for org in &orgs {
        context.world.orgs.update(*org, |org| {
            if guid == SHARED_SEGMENT {
                org.default_segment.get_or_insert(guid);
            }
        });
    }
    context
        .world
        .update_row(guid, |segment: &mut IsolationSegment| {
            super::security_groups::add_missing(&mut segment.orgs, &orgs);
        });
    context.ok(guid, present_orgs)
}

fn revoke(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find(context)?;
    let org = context.world.look_up::<Org>(context.capture("org"));
    let org = org.ok_or_else(|| CcError::not_found("Org"))?;
    if org.default_segment == Some(guid) {
        return Err(CcError::unprocessable(
            "Cannot remove the entitlement while this Isolation Segment is assigned as the Default Isolation Segment for the Organization.",
        ));
    }
    let org = org.base.guid;
    let chosen = Selection::by(Field::IsolationSegment, guid).any_guid(Field::Org, [org]);
    let spaces = context.world.spaces.select(&chosen);
    if !spaces.is_empty() {
        let names: Vec<String> = spaces.iter().map(|s| format!("'{}'", s.name)).collect();
        let names = names.join(", ");
        return Err(CcError::unprocessable(format!(
            "Cannot remove the entitlement while this Isolation Segment is assigned to any Spaces. Currently assigned to: {names}"
        )));
    }
    context
        .world
        .update_row(guid, |segment: &mut IsolationSegment| {
            segment.orgs.retain(|other| *other != org);
        });
    Ok(Response::empty(204))
}

/// The segment of an organization or a space.
fn present_choice(view: &View<'_>, path: &str, segment: Option<Guid>) -> Value {
    let mut relationship = to_one(segment);
    relationship["links"] = json!({"self": view.link(path)});
    if let Some(segment) = segment {
        let path = format!("/v3/isolation_segments/{segment}");
        relationship["links"]["related"] = view.link(&path);
    }
    relationship
}

fn present_default(org: &Org, view: &View<'_>) -> Value {
    let guid = org.base.guid;
    let path = format!("/v3/organizations/{guid}/relationships/default_isolation_segment");
    present_choice(view, &path, org.default_segment)
}

fn present_own(space: &Space, view: &View<'_>) -> Value {
    let guid = space.base.guid;
    let path = format!("/v3/spaces/{guid}/relationships/isolation_segment");
    present_choice(view, &path, space.segment)
}

fn show_default(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    context.show("guid", present_default)
}

fn show_own(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    context.show("guid", present_own)
}

/// The segment that a request chooses. Errors contain `place`, which describes the
/// organization that must be entitled to the segment.
fn read_choice(
    context: &RequestContext<'_>,
    org: Guid,
    place: &str,
) -> Result<Option<Guid>, CcError> {
    let body = context.request.object()?;
    let mut message = Message::new(&body, &["data"]);
    let text = message.data_guid();
    message.finish()?;
    let Some(text) = text else {
        return Ok(None);
    };
    let segment = context.world.look_up::<IsolationSegment>(text);
    match segment.filter(|segment| segment.orgs.contains(&org)) {
        Some(segment) => Ok(Some(segment.base.guid)),
        None => Err(CcError::unprocessable(format!(
            "Unable to assign isolation segment with guid '{text}'. Ensure it has been entitled to the organization{place}."
        ))),
    }
}

fn set_default(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = organizations::find(context)?;
    let segment = read_choice(context, guid, "")?;
    if context.request.object()?.contains_key("data") {
        context
            .world
            .update_row(guid, |org: &mut Org| org.default_segment = segment);
    }
    context.ok(guid, present_default)
}

fn set_own(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = spaces::find(context)?;
    let org = context.row::<Space>(guid)?.org;
    let segment = read_choice(context, org, " that this space belongs to")?;
    context
        .world
        .update_row(guid, |space: &mut Space| space.segment = segment);
    let request = context.request_body();
    context
        .world
        .record_space(guid, "audit.space.update", request);
    context.ok(guid, present_own)
}
