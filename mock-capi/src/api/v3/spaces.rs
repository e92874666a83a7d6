//! `/v3/spaces`

use serde_json::{Value, json};

use crate::api::context::{RequestContext, View, to_one};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::list::{ListQuery, ListSpec};
use crate::api::message::{Message, UNNAMED};
use crate::api::router::Route;
use crate::api::state::Present;
use crate::world::{
    AccessScope, Field, Guid, Kind, MANAGE_APPS, MANAGE_ORG, Org, Row, Space, UPDATE_SPACE, World,
};

use super::{organizations, users};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v3/spaces", index),
    Route::post("/v3/spaces", create).by(MANAGE_ORG),
    Route::get("/v3/spaces/:guid", show),
    Route::patch("/v3/spaces/:guid", update).by(UPDATE_SPACE),
    Route::delete("/v3/spaces/:guid", delete).by(MANAGE_ORG),
    Route::delete("/v3/spaces/:guid/routes", delete_unmapped_routes).by(MANAGE_APPS),
    Route::get("/v3/spaces/:guid/users", users::index_of_space),
];

const LIST: ListSpec = ListSpec {
    order_by: &["name"],
    include: &["org", "organization"],
    ..ListSpec::of(&["names", "organization_guids", "include", "label_selector"])
};

const MAX_NAME: usize = 255;

impl Present for Space {
    fn present(&self, view: &View<'_>) -> Value {
        present(self, view)
    }
}

pub(crate) fn present(space: &Space, view: &View<'_>) -> Value {
    let path = format!("/v3/spaces/{}", space.base.guid);
    let mut links = json!({
        "self": view.link(&path),
        "organization": view.link(&format!("/v3/organizations/{}", space.org)),
        "features": view.link(&format!("{path}/features")),
        "apply_manifest": view.action("POST", &format!("{path}/actions/apply_manifest")),
    });
    if let Some(quota) = space.quota {
        links["quota"] = view.link(&format!("/v3/space_quotas/{quota}"));
    }
    json!({
        "guid": space.base.guid,
        "created_at": space.base.created,
        "updated_at": space.base.updated,
        "name": space.name,
        "suspended": space.suspended,
        "relationships": {
            "organization": to_one(Some(space.org)),
            "quota": to_one(space.quota),
        },
        "metadata": space.base.metadata.present(),
        "links": links,
    })
}

pub(crate) fn find(context: &RequestContext<'_>) -> Result<Guid, CcError> {
    context.guid_of::<Space>("guid")
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let query = ListQuery::read(context, &LIST)?;
    let selection = query.by_texts(query.selection(), "names", Field::Name);
    let selection = query.by_guids(selection, "organization_guids", Field::Org);
    let page = query.page_by_query(context.world, &selection, |_: &Space| true);
    let mut answer = query.answer(context, &page, present);
    include(&query, &context.view(), &mut answer.rest, &page.rows);
    Ok(answer.into())
}

/// Adds `included` organizations.
fn include(query: &ListQuery, view: &View<'_>, answer: &mut Value, spaces: &[&Space]) {
    if query.includes("org") || query.includes("organization") {
        let orgs = spaces.iter().map(|space| space.org);
        answer["included"]["organizations"] = view.included(orgs, organizations::present);
    }
}

fn create(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let mut message = Message::new(&body, &["name", "relationships", "suspended", "metadata"]);
    let org = message.relationships(&["organization"], |inner| inner.related("organization"));
    if message.is_blank("name") {
        message.error("Name can't be blank");
    }
    let name = message.printable_name(0..=MAX_NAME).unwrap_or_default();
    let suspended = message.boolean("suspended").unwrap_or_default();
    let patch = message.metadata();
    message.finish()?;
    let org: &Org = context.related(
        org.flatten(),
        "Invalid organization. Ensure the organization exists and you have access to it.",
    )?;
    let org = org.base.guid;
    if is_taken(context.world, org, name, None) {
        return Err(CcError::unprocessable(
            "Name must be unique per organization",
        ));
    }
    let base = context.world.base_with(patch);
    let guid = context.world.add(Space {
        base,
        name: name.into(),
        org,
        suspended,
        segment: None,
        allows_ssh: true,
        quota: None,
    });
    let request = context.request_body();
    context
        .world
        .record_space(guid, "audit.space.create", request);
    context.created(guid, present)
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let space: &Space = context.named("guid")?;
    let spec = ListSpec {
        include: LIST.include,
        ..ListSpec::of_one(&["include"])
    };
    let query = ListQuery::read(context, &spec)?;
    let view = context.view();
    let mut answer = present(space, &view);
    include(&query, &view, &mut answer, &[space]);
    Ok(Response::ok(&answer))
}

fn update(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find(context)?;
    let body = context.request.object()?;
    let mut message = Message::new(&body, &["name", "suspended", "metadata"]);
    let name = message.printable_name(1..=MAX_NAME);
    let unnamed = message.has("name") && name.is_none_or(str::is_empty);
    let message_suspends = message.has("suspended");
    let suspended = message.boolean("suspended");
    let patch = message.metadata();
    message.finish()?;
    if message_suspends {
        context.require(MANAGE_ORG, AccessScope::Space(guid))?;
    }
    if unnamed {
        return Err(CcError::unprocessable(UNNAMED));
    }
    let org = context.world.org_of(guid);
    if let (Some(org), Some(name)) = (org, name)
        && is_taken(context.world, org.guid(), name, Some(guid))
    {
        let org = &org.name;
        return Err(CcError::unprocessable(format!(
            "Organization '{org}' already contains a space with name '{name}'."
        )));
    }
    context.world.update_row(guid, |space: &mut Space| {
        space.name = name.map_or_else(|| std::mem::take(&mut space.name), str::to_owned);
        space.suspended = suspended.unwrap_or(space.suspended);
        space.base.metadata.apply(patch);
    });
    let request = context.request_body();
    context
        .world
        .record_space(guid, "audit.space.update", request);
    context.ok(guid, present)
}

fn delete(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find(context)?;
    let request = json!({"recursive": true});
    context
        .world
        .record_space(guid, "audit.space.delete-request", request);
    Ok(context.delete_in_job("space.delete", Kind::Space, guid))
}

/// `DELETE /v3/spaces/:guid/routes?unmapped=true`
fn delete_unmapped_routes(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let help = "Use 'unmapped=true' parameter to delete all unmapped routes.";
    let names = context.request.query.iter().map(|(name, _)| name.as_str());
    let unknown: Vec<&str> = names.filter(|name| *name != "unmapped").collect();
    let unknown = match unknown.as_slice() {
        [] => None,
        unknown => Some(format!("Unknown field(s): '{}'", unknown.join("', '"))),
    };
    let refusal = match context.request.query("unmapped") {
        Some("true") => None,
        Some("false") => Some(format!(
            "Mass delete not supported for mapped routes. {help}"
        )),
        Some("") => Some("Unmapped can't be blank, Unmapped must be a boolean".into()),
        Some(_) => Some("Unmapped must be a boolean".into()),
        None => Some(format!(
            "Unmapped can't be blank, Mass delete not supported for routes. {help}, Unmapped must be a boolean"
        )),
    };
    let wrong: Vec<String> = unknown.into_iter().chain(refusal).collect();
    if !wrong.is_empty() {
        return Err(CcError::unprocessable(wrong.join(", ")));
    }
    let guid = find(context)?;
    Ok(context.delete_in_job("space.delete_unmapped_routes", Kind::UnmappedRoutes, guid))
}

/// Whether an organization has a space with this name other than `own`.
fn is_taken(world: &World, org: Guid, name: &str, own: Option<Guid>) -> bool {
    let holder = world.find_space(org, name);
    holder.is_some_and(|holder| Some(holder.guid()) != own)
}
