//! `/v3/organization_quotas`

use serde_json::{Value, json};

use crate::api::context::{RequestContext, View, to_many};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::list::{ListQuery, ListSpec};
use crate::api::message::{Message, to_many_body};
use crate::api::router::Route;
use crate::api::shared::quota_limits;
use crate::api::state::Present;
use crate::world::{Field, Guid, Key, Kind, Limits, Org, Quota, Row, Selection, Target, World};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v3/organization_quotas", index),
    Route::post("/v3/organization_quotas", create),
    Route::get("/v3/organization_quotas/:guid", show),
    Route::patch("/v3/organization_quotas/:guid", update).by_admins(),
    Route::delete("/v3/organization_quotas/:guid", delete).by_admins(),
    Route::post(
        "/v3/organization_quotas/:guid/relationships/organizations",
        apply,
    )
    .by_admins(),
];

const LIST: ListSpec = ListSpec::of(&["names", "organization_guids"]);
const FIELDS: &[&str] = &["name", "apps", "services", "routes", "domains"];

impl Present for Quota {
    fn present(&self, view: &View<'_>) -> Value {
        present(self, view)
    }
}

pub(crate) fn present(quota: &Quota, view: &View<'_>) -> Value {
    let mut presented = json!({
        "guid": quota.base.guid,
        "created_at": quota.base.created,
        "updated_at": quota.base.updated,
        "name": quota.name,
    });
    for (section, limits) in quota_limits::present(&quota.limits) {
        presented[section] = limits;
    }
    presented["domains"] = json!({"total_domains": quota.limits.domains});
    presented["relationships"] =
        json!({"organizations": to_many(view.visible_orgs(orgs_of(view.world, quota.base.guid)))});
    presented["links"] =
        json!({"self": view.link(&format!("/v3/organization_quotas/{}", quota.base.guid))});
    presented
}

/// The organizations of a quota.
pub(crate) fn orgs_of(world: &World, quota: Guid) -> Vec<Guid> {
    let orgs = world.orgs.select(&Selection::by(Field::Quota, quota));
    orgs.into_iter().map(Row::guid).collect()
}

fn find(context: &RequestContext<'_>) -> Result<Guid, CcError> {
    context.guid_of::<Quota>("guid")
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let query = ListQuery::read(context, &LIST)?;
    let selection = query.by_texts(query.selection(), "names", Field::Name);
    let applied: Option<Vec<Guid>> = query.guids("organization_guids").map(|orgs| {
        let orgs = orgs
            .into_iter()
            .filter_map(|org| context.world.orgs.get(org));
        orgs.map(|org| org.quota).collect()
    });
    let applies = |quota: &Quota| {
        let guid = quota.base.guid;
        applied.as_ref().is_none_or(|quotas| quotas.contains(&guid))
    };
    query.respond_by_query(context, &selection, applies, present)
}

fn create(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let fields: Vec<&str> = FIELDS.iter().copied().chain(["relationships"]).collect();
    let mut message = Message::new(&body, &fields);
    let name = quota_limits::read_name(&mut message).unwrap_or_default();
    let limits = quota_limits::read(&mut message, Limits::of_new_quota());
    let orgs = match message.has("relationships") {
        true => message.relationships_of_any(|inner| inner.related_many("organizations")),
        false => None,
    };
    message.check("name").present();
    let orgs = orgs.unwrap_or_default();
    message.finish()?;
    quota_limits::check_model(Some(name), &body, ports_error(&limits))?;
    check_name(context, name, None)?;
    let orgs = known_orgs(
        context.world,
        &orgs,
        "do not exist, or you do not have access to them.",
    )?;
    let base = context.world.base();
    let guid = context.world.add(Quota {
        base,
        name: name.into(),
        limits,
    });
    set_quota(context, &orgs, guid);
    record(context, guid, "audit.organization_quota.create");
    context.created(guid, present)
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    context.show("guid", present)
}

fn update(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find(context)?;
    let body = context.request.object()?;
    let limits = context
        .world
        .quotas
        .get(guid)
        .map(|quota| quota.limits.clone());
    let mut message = Message::new(&body, FIELDS);
    let name = quota_limits::read_name(&mut message);
    let limits = limits.map(|limits| quota_limits::read(&mut message, limits));
    message.finish()?;
    if quota_limits::limits_log_rate(&body) {
        refuse_unlimited(context.world, guid)?;
    }
    let ports = limits.as_ref().and_then(ports_error);
    quota_limits::check_model(name, &body, ports)?;
    if let Some(name) = name {
        check_name(context, name, Some(guid))?;
    }
    context.world.update_row(guid, |quota: &mut Quota| {
        quota.name = name.map_or_else(|| std::mem::take(&mut quota.name), str::to_owned);
        if let Some(limits) = limits {
            quota.limits = limits;
        }
    });
    record(context, guid, "audit.organization_quota.update");
    context.ok(guid, present)
}

fn delete(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find(context)?;
    if context.world.orgs.count(&Key::Guid(Field::Quota, guid)) > 0 {
        return Err(CcError::unprocessable(
            "This quota is applied to one or more organizations. Apply different quotas to those organizations before deleting.",
        ));
    }
    record(context, guid, "audit.organization_quota.delete");
    Ok(context.delete_in_job("organization_quota.delete", Kind::Quota, guid))
}

/// Records an event of a quota.
fn record(context: &mut RequestContext<'_>, guid: Guid, kind: &'static str) {
    let name = context.world.quotas.get(guid);
    let name = name.map_or_else(String::new, |quota| quota.name.clone());
    let data = match kind {
        "audit.organization_quota.delete" => json!({}),
        _ => json!({"request": context.request_body()}),
    };
    context
        .world
        .record_named(kind, "organization_quota", guid, &name, data);
}

/// Records that an organization got a quota that existed before.
fn record_applied(context: &mut RequestContext<'_>, quota: Guid, org: Guid) {
    let world = &mut *context.world;
    let (Some(found), Some(applied)) = (world.quotas.get(quota), world.orgs.get(org)) else {
        return;
    };
    let target = Target {
        org: Some(org),
        ..Target::of("organization_quota", quota, &found.name)
    };
    let data = json!({"organization_guid": org, "organization_name": applied.name});
    world.record_target("audit.organization_quota.apply", target, data);
}

fn apply(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let orgs = to_many_body(&body)?;
    let guid = find(context)?;
    let orgs = known_orgs(context.world, &orgs, "do not exist")?;
    let limits = &context.row::<Quota>(guid)?.limits;
    let spaces = context.world.spaces_of(orgs.clone());
    quota_limits::refuse_to_limit(context.world, limits, "org", &spaces)?;
    set_quota(context, &orgs, guid);
    for org in orgs {
        record_applied(context, guid, org);
    }
    let mut relationship = to_many(orgs_of(context.world, guid));
    let path = format!("/v3/organization_quotas/{guid}/relationships/organizations");
    relationship["links"] = json!({"self": context.view().link(&path)});
    Ok(Response::ok(&relationship))
}

fn set_quota(context: &mut RequestContext<'_>, orgs: &[Guid], quota: Guid) {
    for org in orgs {
        context
            .world
            .update_row(*org, |org: &mut Org| org.quota = quota);
    }
}

/// Refuses a quota with a log rate limit if apps of its organizations have no such limit.
fn refuse_unlimited(world: &World, quota: Guid) -> Result<(), CcError> {
    let orgs = orgs_of(world, quota);
    let names = orgs.into_iter().filter_map(|org| {
        let org = world.orgs.get(org)?;
        let spaces = world.spaces_of(vec![org.base.guid]);
        let unlimited = world.has_unlimited_log_rate(&spaces);
        unlimited.then_some(org.name.as_str())
    });
    quota_limits::refuse_unlimited("org", names.collect())
}

/// The reason why this number of ports cannot be reserved.
fn ports_error(limits: &Limits) -> Option<&'static str> {
    quota_limits::reserves_too_much(limits).then_some(
        "Total reserved ports must be -1, 0, or a positive integer, and must be less than or equal to total routes.",
    )
}

fn check_name(context: &RequestContext<'_>, name: &str, own: Option<Guid>) -> Result<(), CcError> {
    if context.world.name_taken::<Quota>(name, own) {
        let taken = format!("Organization Quota '{name}' already exists.");
        return Err(CcError::unprocessable(taken));
    }
    Ok(())
}

fn known_orgs(world: &World, guids: &[&str], problem: &str) -> Result<Vec<Guid>, CcError> {
    let known = world.look_up_all(guids, |_: &Org| true);
    known.map_err(|unknown| {
        CcError::unprocessable(format!("Organizations with guids {unknown:?} {problem}"))
    })
}
