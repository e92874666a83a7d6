//! `/v3/space_quotas`

use serde_json::{Value, json};

use crate::api::context::{RequestContext, View, to_many, to_one};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::list::{ListQuery, ListSpec};
use crate::api::message::{Message, to_many_body};
use crate::api::router::Route;
use crate::api::shared::quota_limits;
use crate::api::state::Present;
use crate::world::{
    AccessScope, Field, Guid, Key, Kind, Limits, MANAGE_ORG, Org, Row, Selection, Space,
    SpaceQuota, Target, World,
};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v3/space_quotas", index),
    Route::post("/v3/space_quotas", create).by(MANAGE_ORG),
    Route::get("/v3/space_quotas/:guid", show),
    Route::patch("/v3/space_quotas/:guid", update).by(MANAGE_ORG),
    Route::delete("/v3/space_quotas/:guid", delete).by(MANAGE_ORG),
    Route::post("/v3/space_quotas/:guid/relationships/spaces", apply).by(MANAGE_ORG),
    Route::delete("/v3/space_quotas/:guid/relationships/spaces/:space", remove).by(MANAGE_ORG),
];

const LIST: ListSpec = ListSpec::of(&["names", "organization_guids", "space_guids"]);

impl Present for SpaceQuota {
    fn present(&self, view: &View<'_>) -> Value {
        present(self, view)
    }
}

pub(crate) fn present(quota: &SpaceQuota, view: &View<'_>) -> Value {
    let guid = quota.base.guid;
    let mut presented = json!({
        "guid": guid,
        "created_at": quota.base.created,
        "updated_at": quota.base.updated,
        "name": quota.name,
    });
    for (section, limits) in quota_limits::present(&quota.limits) {
        presented[section] = limits;
    }
    presented["relationships"] = json!({
        "organization": to_one(Some(quota.org)),
        "spaces": to_many(view.visible_spaces(spaces_of(view.world, guid))),
    });
    presented["links"] = json!({
        "self": view.link(&format!("/v3/space_quotas/{guid}")),
        "organization": view.link(&format!("/v3/organizations/{}", quota.org)),
    });
    presented
}

/// The spaces of a quota.
fn spaces_of(world: &World, quota: Guid) -> Vec<Guid> {
    let spaces = world.spaces.select(&Selection::by(Field::Quota, quota));
    spaces.into_iter().map(Row::guid).collect()
}

fn find(context: &RequestContext<'_>) -> Result<(Guid, Guid), CcError> {
    let quota: &SpaceQuota = context.named("guid")?;
    Ok((quota.base.guid, quota.org))
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let query = ListQuery::read_or(context, &LIST, CcError::unprocessable)?;
    let selection = query.by_texts(query.selection(), "names", SpaceQuota::NAME);
    let selection = query.by_guids(selection, "organization_guids", Field::Org);
    let applied: Option<Vec<Guid>> = query.guids("space_guids").map(|spaces| {
        let spaces = spaces.into_iter();
        let spaces = spaces.filter_map(|space| context.world.spaces.get(space));
        spaces.filter_map(|space| space.quota).collect()
    });
    let applies = |quota: &SpaceQuota| match &applied {
        Some(applied) => applied.contains(&quota.base.guid),
        None => true,
    };
    query.respond_by_query(context, &selection, applies, present)
}

fn create(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let allowed = ["name", "apps", "services", "routes", "relationships"];
    let mut message = Message::new(&body, &allowed);
    let name = message.has("name").then(|| {
        let name = message.check("name").string().present();
        name.length(1..=quota_limits::MAX_NAME).text()
    });
    let name = name.flatten().unwrap_or_default();
    let limits = quota_limits::read(&mut message, Limits::of_new_quota());
    let related = message.relationships_of_any(|inner| {
        let org = inner.related_or_missing("organization");
        (org, inner.related_many("spaces"))
    });
    message.check("name").present();
    message.finish()?;
    let (org, spaces) = related.unwrap_or_default();
    let text = org.unwrap_or_default();
    let org = context
        .world
        .look_up::<Org>(text)
        .map(Row::guid)
        .ok_or_else(|| {
            CcError::unprocessable(format!(
                "Organization with guid '{text}' does not exist, or you do not have access to it."
            ))
        })?;
    context.authorize(AccessScope::Org(org))?;
    let ports = ports_error(context.world, org, &limits);
    quota_limits::check_model(Some(name), &body, ports)?;
    check_name(context, org, name, None)?;
    let spaces = known_spaces(
        context.world,
        &spaces,
        |space| space.org == org,
        " within the organization specified",
    )?;
    let base = context.world.base();
    let guid = context.world.add(SpaceQuota {
        base,
        name: name.into(),
        org,
        limits,
    });
    set(context, &spaces, Some(guid));
    record(context, guid, "audit.space_quota.create");
    context.created(guid, present)
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    context.show("guid", present)
}

fn update(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let (guid, org) = find(context)?;
    let body = context.request.object()?;
    let limits = context.row::<SpaceQuota>(guid)?.limits.clone();
    let allowed = ["name", "apps", "services", "routes", "domains"];
    let mut message = Message::new(&body, &allowed);
    let name = quota_limits::read_name(&mut message);
    let limits = quota_limits::read(&mut message, limits);
    message.finish()?;
    if quota_limits::limits_log_rate(&body) {
        let spaces = spaces_of(context.world, guid).into_iter();
        let unlimited = spaces.filter(|space| context.world.has_unlimited_log_rate(&[*space]));
        let spaces = unlimited.filter_map(|space| context.world.spaces.get(space));
        quota_limits::refuse_unlimited("space", spaces.map(|it| it.name.as_str()).collect())?;
    }
    let ports = ports_error(context.world, org, &limits);
    quota_limits::check_model(name, &body, ports)?;
    if let Some(name) = name {
        check_name(context, org, name, Some(guid))?;
    }
    context.world.update_row(guid, |quota: &mut SpaceQuota| {
        quota.name = name.map_or_else(|| std::mem::take(&mut quota.name), str::to_owned);
        quota.limits = limits;
    });
    record(context, guid, "audit.space_quota.update");
    context.ok(guid, present)
}

fn delete(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let (guid, _) = find(context)?;
    if context.world.spaces.count(&Key::Guid(Field::Quota, guid)) > 0 {
        return Err(CcError::unprocessable(
            "This quota is applied to one or more spaces. Remove this quota from all spaces before deleting.",
        ));
    }
    record(context, guid, "audit.space_quota.delete");
    Ok(context.delete_in_job("space_quota.delete", Kind::SpaceQuota, guid))
}

/// Records an event of a quota.
fn record(context: &mut RequestContext<'_>, guid: Guid, kind: &'static str) {
    let Some(quota) = context.world.space_quotas.get(guid) else {
        return;
    };
    let target = Target {
        org: Some(quota.org),
        ..Target::of("space_quota", guid, &quota.name)
    };
    let data = match kind {
        "audit.space_quota.delete" => json!({}),
        _ => json!({"request": context.request_body()}),
    };
    context.world.record_target(kind, target, data);
}

/// Records that a space got or lost a quota.
fn record_applied(context: &mut RequestContext<'_>, kind: &'static str, quota: Guid, space: Guid) {
    let world = &mut *context.world;
    let (Some(found), Some(applied)) = (world.space_quotas.get(quota), world.spaces.get(space))
    else {
        return;
    };
    let target = Target {
        space: Some(space),
        org: Some(found.org),
        ..Target::of("space_quota", quota, &found.name)
    };
    let data = json!({"space_guid": space, "space_name": applied.name});
    world.record_target(kind, target, data);
}

fn apply(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let (guid, org) = find(context)?;
    let body = context.request.object()?;
    let spaces = known_spaces(context.world, &to_many_body(&body)?, |_| true, "")?;
    let outside = |space: &Guid| {
        let space = context.world.spaces.get(*space);
        space.is_some_and(|space| space.org != org)
    };
    if spaces.iter().any(outside) {
        return Err(CcError::unprocessable(
            "Space quotas cannot be applied outside of their owning organization.",
        ));
    }
    let limits = &context.row::<SpaceQuota>(guid)?.limits;
    quota_limits::refuse_to_limit(context.world, limits, "space", &spaces)?;
    set(context, &spaces, Some(guid));
    for space in spaces {
        record_applied(context, "audit.space_quota.apply", guid, space);
    }
    let mut relationship = to_many(spaces_of(context.world, guid));
    let path = format!("/v3/space_quotas/{guid}/relationships/spaces");
    relationship["links"] = json!({"self": context.view().link(&path)});
    Ok(Response::ok(&relationship))
}

fn remove(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let (guid, _) = find(context)?;
    let text = context.capture("space");
    let space = context.world.look_up::<Space>(text);
    let Some(space) = space.filter(|space| space.quota == Some(guid)) else {
        return Err(CcError::unprocessable(format!(
            "Unable to remove quota from space with guid '{text}'. Ensure the space quota is applied to this space."
        )));
    };
    let space = space.guid();
    set(context, &[space], None);
    record_applied(context, "audit.space_quota.remove", guid, space);
    Ok(Response::empty(204))
}

fn set(context: &mut RequestContext<'_>, spaces: &[Guid], quota: Option<Guid>) {
    for space in spaces {
        context
            .world
            .update_row(*space, |space: &mut Space| space.quota = quota);
    }
}

/// The reason why this number of ports cannot be reserved.
fn ports_error(world: &World, org: Guid, limits: &Limits) -> Option<&'static str> {
    let org = world.orgs.get(org);
    let quota = org.and_then(|org| world.quotas.get(org.quota));
    let of_org = quota.and_then(|quota| quota.limits.reserved_ports);
    let is_too_much = quota_limits::reserves_too_much(limits)
        || quota_limits::exceeds(limits.reserved_ports, of_org);
    is_too_much.then_some(
            "Total reserved ports must be -1, 0, or a positive integer, must be less than or equal to total routes, and must be less than or equal to total reserved ports for the organization quota.",
        )
}

fn check_name(
    context: &RequestContext<'_>,
    org: Guid,
    name: &str,
    own: Option<Guid>,
) -> Result<(), CcError> {
    let named = Selection::by(Field::Org, org).any(vec![Key::text(SpaceQuota::NAME, name)]);
    let holders = context.world.space_quotas.select(&named);
    if holders.iter().any(|quota| Some(quota.guid()) != own) {
        let taken = format!("Space Quota '{name}' already exists.");
        return Err(CcError::unprocessable(taken));
    }
    Ok(())
}

/// The spaces with these GUIDs, if all exist and are allowed.
fn known_spaces(
    world: &World,
    guids: &[&str],
    right: impl Fn(&Space) -> bool,
    place: &str,
) -> Result<Vec<Guid>, CcError> {
    world.look_up_all(guids, right).map_err(|unknown| {
        CcError::unprocessable(format!(
            "Spaces with guids {unknown:?} do not exist{place}, or you do not have access to them."
        ))
    })
}
