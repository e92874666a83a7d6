//! `/v3/organization_quotas`

use serde_json::{Value, json};

use crate::call::{Call, View, to_many};
use crate::error::CcError;
use crate::http::Response;
use crate::list::{ListQuery, ListSpec};
use crate::message::{Message, to_many_body};
use crate::router::Route;
use crate::world::{Field, Guid, Key, Kind, Limits, Org, Quota, Row, Selection, World};

use super::quota_limits;

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

/// The organizations that a quota applies to.
pub(crate) fn orgs_of(world: &World, quota: Guid) -> Vec<Guid> {
    let orgs = world.orgs.select(&Selection::by(Field::Quota, quota));
    orgs.into_iter().map(Row::guid).collect()
}

fn find(call: &Call<'_>) -> Result<Guid, CcError> {
    call.guid_of::<Quota>("guid")
}

fn index(call: &mut Call<'_>) -> Result<Response, CcError> {
    let query = ListQuery::read(call, &LIST)?;
    let selection = query.by_texts(query.selection(), "names", Field::Name);
    let applied: Option<Vec<Guid>> = query.guids("organization_guids").map(|orgs| {
        let orgs = orgs.into_iter().filter_map(|org| call.world.orgs.get(org));
        orgs.map(|org| org.quota).collect()
    });
    let applies = |quota: &Quota| {
        let guid = quota.base.guid;
        let asked = applied.as_ref().is_none_or(|quotas| quotas.contains(&guid));
        asked && is_listed(call, guid)
    };
    query.respond(call, &selection, applies, present)
}

/// Lists have the quotas of the organizations that the caller sees; each quota
/// can be looked at by itself.
fn is_listed(call: &Call<'_>, quota: Guid) -> bool {
    let orgs = || orgs_of(call.world, quota);
    call.access.is_everything() || call.view().visible_orgs(orgs()).next().is_some()
}

fn create(call: &mut Call<'_>) -> Result<Response, CcError> {
    let body = call.request.object()?;
    let fields: Vec<&str> = FIELDS.iter().copied().chain(["relationships"]).collect();
    let mut message = Message::new(&body, &fields);
    let name = message
        .text("name", quota_limits::MAX_NAME)
        .unwrap_or_default();
    let limits = quota_limits::read(&mut message, Limits::of_new_quota());
    let orgs = match message.has("relationships") {
        true => message.relationships(&["organizations"], |inner| {
            inner.related_many("organizations")
        }),
        false => None,
    };
    let orgs = orgs.unwrap_or_default();
    message.finish()?;
    check_ports(&limits)?;
    check_name(call, name, None)?;
    let orgs = known_orgs(
        call.world,
        &orgs,
        "do not exist, or you do not have access to them.",
    )?;
    let base = call.world.base();
    let guid = call.world.add(Quota {
        base,
        name: name.into(),
        limits,
    });
    set_quota(call, &orgs, guid);
    call.created(guid, present)
}

fn show(call: &mut Call<'_>) -> Result<Response, CcError> {
    call.show("guid", present)
}

fn update(call: &mut Call<'_>) -> Result<Response, CcError> {
    let guid = find(call)?;
    let body = call.request.object()?;
    let limits = call
        .world
        .quotas
        .get(guid)
        .map(|quota| quota.limits.clone());
    let mut message = Message::new(&body, FIELDS);
    let name = quota_limits::read_name(&mut message);
    let limits = limits.map(|limits| quota_limits::read(&mut message, limits));
    message.finish()?;
    limits.iter().try_for_each(check_ports)?;
    if let Some(name) = name {
        check_name(call, name, Some(guid))?;
    }
    call.world.touch(guid, |quota: &mut Quota| {
        quota.name = name.map_or_else(|| std::mem::take(&mut quota.name), str::to_owned);
        if let Some(limits) = limits {
            quota.limits = limits;
        }
    });
    call.ok(guid, present)
}

fn delete(call: &mut Call<'_>) -> Result<Response, CcError> {
    let guid = find(call)?;
    if call.world.orgs.count(&Key::Guid(Field::Quota, guid)) > 0 {
        return Err(CcError::unprocessable(
            "This quota is applied to one or more organizations. Apply different quotas to those organizations before deleting.",
        ));
    }
    Ok(call.delete_in_job("organization_quota.delete", Kind::Quota, guid))
}

fn apply(call: &mut Call<'_>) -> Result<Response, CcError> {
    let body = call.request.object()?;
    let orgs = to_many_body(&body)?;
    let guid = find(call)?;
    let orgs = known_orgs(call.world, &orgs, "do not exist")?;
    set_quota(call, &orgs, guid);
    let mut relationship = to_many(orgs_of(call.world, guid));
    let path = format!("/v3/organization_quotas/{guid}/relationships/organizations");
    relationship["links"] = json!({"self": call.view().link(&path)});
    Ok(Response::ok(&relationship))
}

fn set_quota(call: &mut Call<'_>, orgs: &[Guid], quota: Guid) {
    for org in orgs {
        call.world.touch(*org, |org: &mut Org| org.quota = quota);
    }
}

fn check_ports(limits: &Limits) -> Result<(), CcError> {
    match quota_limits::reserves_too_much(limits) {
        true => Err(CcError::unprocessable(
            "Total reserved ports must be -1, 0, or a positive integer, and must be less than or equal to total routes.",
        )),
        false => Ok(()),
    }
}

fn check_name(call: &Call<'_>, name: &str, own: Option<Guid>) -> Result<(), CcError> {
    if call.world.name_taken::<Quota>(name, own) {
        let taken = format!("Organization Quota '{name}' already exists.");
        return Err(CcError::unprocessable(taken));
    }
    Ok(())
}

fn known_orgs(world: &World, guids: &[&str], complaint: &str) -> Result<Vec<Guid>, CcError> {
    let known = world.look_up_all(guids, |_: &Org| true);
    known.map_err(|unknown| {
        CcError::unprocessable(format!("Organizations with guids {unknown:?} {complaint}"))
    })
}
