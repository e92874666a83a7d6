//! The v2 API, one file a resource: that of April 2017, and as much of it as
//! clients of today's v3 API still ask for.

mod app_bits;
mod app_changes;
mod app_instances;
mod app_routes;
mod apps;
mod attributes;
pub(crate) mod info;
mod jobs;
mod list;
mod organizations;
mod private_domains;
mod quota_definitions;
mod routes;
mod security_groups;
mod services;
mod shared_domains;
mod spaces;
mod stacks;

use serde_json::{Value, json};

use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::router::Route;
use crate::api::v3::apps::name_errors;
use crate::world::{Base, Guid, Kind, Row, World};

/// All of its operations that the mock knows.
pub(crate) const ROUTES: &[&[Route]] = &[
    info::ROUTES,
    organizations::ROUTES,
    spaces::ROUTES,
    quota_definitions::ROUTES,
    security_groups::ROUTES,
    shared_domains::ROUTES,
    private_domains::ROUTES,
    stacks::ROUTES,
    services::ROUTES,
    routes::ROUTES,
    apps::ROUTES,
    app_changes::ROUTES,
    app_bits::ROUTES,
    app_instances::ROUTES,
    app_routes::ROUTES,
    jobs::ROUTES,
];

/// The errors of a kind of resource: codes, titles and texts.
struct Errors {
    /// `(code, title, text)` where a GUID names nothing; the GUID follows.
    not_found: (u32, &'static str, &'static str),
    /// `(code, title, text)` where a name is taken; the name follows.
    name_taken: (u32, &'static str, &'static str),
}

impl Errors {
    fn taken(&self, name: &str) -> CcError {
        let (code, title, text) = self.name_taken;
        CcError::new(400, code, title, format!("{text}: {name}"))
    }

    fn not_found(&self, guid: &str) -> CcError {
        let (code, title, text) = self.not_found;
        CcError::new(404, code, title, format!("{text}: {guid}"))
    }

    /// The row that `:guid` of the path names.
    fn find<R: Row>(&self, context: &RequestContext<'_>) -> Result<Guid, CcError> {
        let found = context.guid_of::<R>("guid");
        found.map_err(|_| self.not_found(context.capture("guid")))
    }
}

/// A resource: its metadata, and its entity.
fn resource(base: &Base, collection: &str, entity: Value) -> Value {
    json!({
        "metadata": {
            "guid": base.guid,
            "url": format!("/v2/{collection}/{}", base.guid),
            "created_at": base.created,
            "updated_at": base.updated,
        },
        "entity": entity,
    })
}

/// A relation to something that is not there.
fn invalid_relation(model: &str, guid: &str) -> CcError {
    let detail = format!("Could not find VCAP::CloudController::{model} with guid: {guid}");
    CcError::new(400, 1002, "CF-InvalidRelation", detail)
}

/// Refuses a name that nothing may have, in the words of `invalid`.
fn check_name(name: &str, invalid: impl FnOnce(&str) -> CcError) -> Result<(), CcError> {
    match name_errors(name).as_slice() {
        [] => Ok(()),
        errors => Err(invalid(&errors.join(", "))),
    }
}

/// The row that a text of the body is the GUID of; the code of the Cloud
/// Controller calls what it is a `model`.
fn related<'w, R: Row>(world: &'w World, model: &str, guid: &str) -> Result<&'w R, CcError> {
    let row = world.look_up(guid);
    row.ok_or_else(|| invalid_relation(model, guid))
}

/// Deletes now, or with `async=true` in a job.
fn delete(context: &mut RequestContext<'_>, operation: &str, kind: Kind, guid: Guid) -> Response {
    if context.request.query("async") != Some("true") {
        context.world.delete(kind, guid);
        return Response::empty(204);
    }
    let job = context.start_job(operation, Some(guid), Some(kind));
    Response::json(202, &jobs::present_queued(context.world, job))
}

/// Whether a deletion shall take what belongs to the resource with it.
fn is_recursive(context: &RequestContext<'_>) -> bool {
    context.request.query("recursive") == Some("true")
}

fn association_not_empty(association: &str, of: &str) -> CcError {
    let detail = format!("Please delete the {association} associations for your {of}.");
    CcError::new(400, 10006, "CF-AssociationNotEmpty", detail)
}

fn not_staged() -> CcError {
    CcError::new(400, 170_002, "CF-NotStaged", "App has not finished staging")
}

/// A quota that an app exceeds, as v2 words it; the rest is an invalid app.
fn quota_exceeded(refusal: CcError) -> CcError {
    const MORE_MEMORY: &str = "app requested more memory than available";
    let Some(cause) = refusal.causes.first() else {
        return refusal;
    };
    let errors: Vec<&str> = cause.detail.split(", ").collect();
    let known = [
        (
            "memory space_quota_exceeded",
            310_003,
            "CF-SpaceQuotaMemoryLimitExceeded",
            format!("You have exceeded your space's memory limit: {MORE_MEMORY}"),
        ),
        (
            "memory space_instance_memory_limit_exceeded",
            310_004,
            "CF-SpaceQuotaInstanceMemoryLimitExceeded",
            "You have exceeded the instance memory limit for your space's quota.".into(),
        ),
        (
            "memory quota_exceeded",
            100_005,
            "CF-AppMemoryQuotaExceeded",
            format!("You have exceeded your organization's memory limit: {MORE_MEMORY}"),
        ),
        (
            "memory instance_memory_limit_exceeded",
            100_007,
            "CF-QuotaInstanceMemoryLimitExceeded",
            "You have exceeded the instance memory limit for your organization's quota.".into(),
        ),
        (
            "app_instance_limit space_app_instance_limit_exceeded",
            310_008,
            "CF-SpaceQuotaInstanceLimitExceeded",
            "You have exceeded the instance limit for your space's quota.".into(),
        ),
        (
            "app_instance_limit app_instance_limit_exceeded",
            100_008,
            "CF-QuotaInstanceLimitExceeded",
            "You have exceeded the instance limit for your organization's quota.".into(),
        ),
    ];
    let exceeded = known.into_iter().find(|(error, ..)| errors.contains(error));
    let (code, title, detail) = match exceeded {
        Some((_, code, title, detail)) => (code, title, detail),
        None => (
            100_001,
            "CF-AppInvalid",
            format!("The app is invalid: {}", cause.detail),
        ),
    };
    CcError::new(400, code, title, detail)
}
