//! `/v3/organizations`

use serde_json::{Value, json};

use crate::api::context::{RequestContext, View, to_one};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::list::{ListQuery, ListSpec};
use crate::api::message::{Message, UNNAMED};
use crate::api::router::Route;
use crate::api::state::Present;
use crate::world::{
    FeatureFlag, Field, Guid, IsolationSegment, Kind, MANAGE_ORG, Org, RoleType, Selection,
};

use super::{domains, users};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v3/organizations", index),
    Route::post("/v3/organizations", create).by_anyone(),
    Route::get("/v3/organizations/:guid", show),
    Route::patch("/v3/organizations/:guid", update).by(MANAGE_ORG),
    Route::delete("/v3/organizations/:guid", delete),
    Route::get("/v3/organizations/:guid/domains", domains::index_of_org),
    Route::get(
        "/v3/organizations/:guid/domains/default",
        domains::default_of_org,
    ),
    Route::get("/v3/organizations/:guid/users", users::index_of_org),
];

pub(super) const LIST: ListSpec = ListSpec {
    order_by: &["name"],
    ..ListSpec::of(&["names", "isolation_segment_guid", "label_selector"])
};

const MAX_NAME: usize = 255;

impl Present for Org {
    fn present(&self, view: &View<'_>) -> Value {
        present(self, view)
    }
}

pub(crate) fn present(org: &Org, view: &View<'_>) -> Value {
    let path = format!("/v3/organizations/{}", org.base.guid);
    json!({
        "guid": org.base.guid,
        "created_at": org.base.created,
        "updated_at": org.base.updated,
        "name": org.name,
        "suspended": org.suspended,
        "relationships": {"quota": to_one(Some(org.quota))},
        "metadata": org.base.metadata.present(),
        "links": {
            "self": view.link(&path),
            "domains": view.link(&format!("{path}/domains")),
            "default_domain": view.link(&format!("{path}/domains/default")),
            "quota": view.link(&format!("/v3/organization_quotas/{}", org.quota)),
        },
    })
}

pub(crate) fn find(context: &RequestContext<'_>) -> Result<Guid, CcError> {
    context.guid_of::<Org>("guid")
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    list(context, None)
}

/// Responds with the organizations that the caller can see, or only with those in
/// `among`.
pub(crate) fn list(
    context: &RequestContext<'_>,
    among: Option<&[Guid]>,
) -> Result<Response, CcError> {
    let query = ListQuery::read(context, &LIST)?;
    let segment = query.value("isolation_segment_guid");
    let segment: Option<&IsolationSegment> =
        segment.map(|guid| context.row_of(guid)).transpose()?;
    let selection = query.by_texts(query.selection(), "names", Field::Name);
    let selection = match among {
        Some(among) => selection.any_guid(Field::Guid, among.iter().copied()),
        None => selection,
    };
    let keep = |org: &Org| segment.is_none_or(|segment| segment.orgs.contains(&org.base.guid));
    query.respond_by_query(context, &selection, keep, present)
}

fn create(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let anyone = context.world.named::<FeatureFlag>("user_org_creation");
    if !anyone.is_some_and(|flag| flag.enabled) {
        context.require_admin()?;
    }
    let body = context.request.object()?;
    let mut message = Message::new(&body, &["name", "suspended", "metadata"]);
    let name = message.printable_name(1..=MAX_NAME).unwrap_or_default();
    let suspended = message.boolean("suspended").unwrap_or_default();
    if message.is_blank("name") {
        message.error("Name can't be blank");
    }
    let patch = message.metadata();
    message.finish()?;
    if suspended {
        context.require_admin()?;
    }
    if context.world.name_taken::<Org>(name, None) {
        let taken = format!("Organization '{name}' already exists.");
        return Err(CcError::unprocessable(taken));
    }
    let quota = context.world.default_quota().map(|quota| quota.base.guid);
    let quota = quota.ok_or_else(|| CcError::unprocessable("quota_definition invalid"))?;
    let base = context.world.base_with(patch);
    let guid = context.world.add(Org {
        base,
        name: name.into(),
        suspended,
        billing_enabled: false,
        quota,
        default_segment: None,
    });
    let request = context.request_body();
    context
        .world
        .record_org(guid, "audit.organization.create", request);
    if !context.access.is_everything() {
        let id = context.caller()?.id().to_owned();
        let user = context.world.find_or_add_user(&id);
        for kind in [RoleType::OrgUser, RoleType::OrgManager] {
            context.world.assign(kind, user, guid, None);
        }
    }
    context.created(guid, present)
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    context.show("guid", present)
}

fn update(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find(context)?;
    let body = context.request.object()?;
    let mut message = Message::new(&body, &["name", "suspended", "metadata"]);
    let name = message.printable_name(1..=MAX_NAME);
    let unnamed = message.has("name") && name.is_none_or(str::is_empty);
    let suspended = message.boolean("suspended");
    let patch = message.metadata();
    message.finish()?;
    if suspended == Some(true) {
        context.require_admin()?;
    }
    if unnamed {
        return Err(CcError::unprocessable(UNNAMED));
    }
    if let Some(name) = name.filter(|name| context.world.name_taken::<Org>(name, Some(guid))) {
        let taken = format!("Organization name '{name}' is already taken.");
        return Err(CcError::unprocessable(taken));
    }
    context.world.update_row(guid, |org: &mut Org| {
        org.name = name.map_or_else(|| std::mem::take(&mut org.name), str::to_owned);
        org.suspended = suspended.unwrap_or(org.suspended);
        org.base.metadata.apply(patch);
    });
    let request = context.request_body();
    context
        .world
        .record_org(guid, "audit.organization.update", request);
    context.ok(guid, present)
}

fn delete(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    const JOB: &str = "organization.delete";
    let org: &Org = context.named("guid")?;
    let guid = org.base.guid;
    let owned = Selection::by(Field::Org, guid);
    let mut shared = context.world.domains.select(&owned);
    shared.retain(|domain| !domain.shared_with.is_empty());
    if shared.is_empty() {
        let request = json!({"recursive": true});
        context
            .world
            .record_org(guid, "audit.organization.delete-request", request);
        return Ok(context.delete_in_job(JOB, Kind::Org, guid));
    }
    let reasons: Vec<String> = shared
        .iter()
        .map(|domain| {
            format!(
                "Domain '{}' is shared with other organizations. Unshare before deleting.",
                domain.name
            )
        })
        .collect();
    let detail = format!(
        "Deletion of organization {} failed because one or more resources within could not be deleted.\n\n{}",
        org.name,
        reasons.join("\n\n")
    );
    let failure = CcError::new(502, 290_010, "CF-OrganizationDeletionFailed", detail);
    Ok(context.job_with(JOB, guid, Err(failure)))
}
