//! `/v3/jobs`

use serde_json::{Value, json};

use crate::api::context::{RequestContext, View};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::router::Route;
use crate::api::state::Present;
use crate::world::{Job, World};

pub(crate) const ROUTES: &[Route] = &[Route::get("/v3/jobs/:guid", show)];

impl Present for Job {
    fn present(&self, view: &View<'_>) -> Value {
        present(self, view)
    }
}

pub(crate) fn present(job: &Job, view: &View<'_>) -> Value {
    let state = job.state(view.at);
    let errors = match &job.failure {
        Some(failure) if state == "FAILED" => CcError::from(failure.clone()).errors(),
        _ => json!([]),
    };
    let warnings = job.warnings.iter().map(|text| json!({"detail": text}));
    let warnings: Value = warnings.collect();
    let mut links = json!({"self": view.link(&format!("/v3/jobs/{}", job.base.guid))});
    if let Some((kind, id)) = resource(job, view.world) {
        let path = kind.trim_end_matches('s');
        links[kind] = view.link(&format!("/v3/{path}s/{id}"));
    }
    json!({
        "guid": job.base.guid,
        "created_at": job.base.created,
        "updated_at": job.base.updated.max(view.at.min(job.ready_at)),
        "operation": job.operation,
        "state": state,
        "errors": errors,
        "warnings": warnings,
        "links": links,
    })
}

/// The type of the job's resource, and its GUID as responses show it. `None` once the
/// resource no longer exists.
fn resource<'j>(job: &'j Job, world: &World) -> Option<(&'j str, String)> {
    let (kind, rest) = job.operation.split_once('.')?;
    let guid = job.of?;
    // The operations of some jobs use the plural.
    let kind = match (kind, rest) {
        ("service_broker", "delete") | ("service_instance", "delete") => kind,
        ("service_broker", _) => "service_brokers",
        ("service_instance", _) => "service_instances",
        ("service_bindings" | "service_keys", _) => "service_credential_binding",
        ("service_route_bindings", _) => "service_route_binding",
        _ => kind,
    };
    let exists = match kind {
        "app" => world.apps.get(guid).is_some(),
        "buildpack" => world.buildpacks.get(guid).is_some(),
        "domain" => world.domains.get(guid).is_some(),
        "droplet" => world.droplets.get(guid).is_some(),
        "organization" => world.orgs.get(guid).is_some(),
        "organization_quota" => world.quotas.get(guid).is_some(),
        "package" => world.packages.get(guid).is_some(),
        "role" => world.roles.get(guid).is_some(),
        "route" => world.routes.get(guid).is_some(),
        "service_broker" | "service_brokers" => world.service_brokers.get(guid).is_some(),
        "service_instance" | "service_instances" => world.service_instances.get(guid).is_some(),
        "service_credential_binding" => world.service_bindings.get(guid).is_some(),
        "service_route_binding" => world.route_bindings.get(guid).is_some(),
        "security_group" => world.security_groups.get(guid).is_some(),
        "space" => world.spaces.get(guid).is_some(),
        "space_quota" => world.space_quotas.get(guid).is_some(),
        "user" => return Some((kind, world.users.get(guid)?.id.clone())),
        _ => false,
    };
    exists.then(|| (kind, guid.to_string()))
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    context.show("guid", present)
}
