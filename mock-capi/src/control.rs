//! The mock's own endpoints below `/_mock/`: they need no token and are not
//! counted.

use serde_json::{Value, json};

use crate::call::View;
use crate::error::CcError;
use crate::http::{Request, Response};
use crate::server::Core;
use crate::v3;
use crate::world::{Row, Table, World};

/// Answers a request to `/_mock/`; `None` if it is to somewhere else.
pub(crate) fn answer(core: &Core, request: &Request<'_>, base: &str) -> Option<Response> {
    let endpoint = request.path.strip_prefix("/_mock/")?;
    Some(match (request.method, endpoint) {
        ("GET", "stats") => Response::ok(&json!(core.stats())),
        ("GET", "state") => Response::ok(&core.state(base)),
        ("POST", "reset") => {
            core.reset();
            Response::empty(204)
        }
        _ => Response::json(404, &CcError::unknown_request().body()),
    })
}

/// All resources by kind, as today's v3 API presents them.
pub(crate) fn present_world(world: &World, base: &str) -> Value {
    let view = View::new(world, base);
    json!({
        "organizations": all(&view, &world.orgs, v3::organizations::present),
        "organization_quotas": all(&view, &world.quotas, v3::organization_quotas::present),
        "space_quotas": all(&view, &world.space_quotas, v3::space_quotas::present),
        "spaces": all(&view, &world.spaces, v3::spaces::present),
        "security_groups": all(&view, &world.security_groups, v3::security_groups::present),
        "domains": all(&view, &world.domains, v3::domains::present),
        "apps": all(&view, &world.apps, v3::apps::present),
        "processes": all(&view, &world.processes, v3::processes::present),
        "sidecars": all(&view, &world.sidecars, v3::sidecars::present),
        "service_instances": all(&view, &world.service_instances, v3::service_instances::present),
        "service_credential_bindings": all(
            &view,
            &world.service_bindings,
            v3::service_credential_bindings::present,
        ),
        "packages": all(&view, &world.packages, v3::packages::present),
        "builds": all(&view, &world.builds, v3::builds::present),
        "droplets": all(&view, &world.droplets, v3::droplets::present),
        "deployments": all(&view, &world.deployments, v3::deployments::present),
        "tasks": all(&view, &world.tasks, v3::tasks::present),
        "stacks": all(&view, &world.stacks, v3::stacks::present),
        "buildpacks": all(&view, &world.buildpacks, v3::buildpacks::present),
        "routes": all(&view, &world.routes, v3::routes::present),
        "jobs": all(&view, &world.jobs, v3::jobs::present),
    })
}

fn all<R: Row>(view: &View<'_>, table: &Table<R>, present: fn(&R, &View<'_>) -> Value) -> Value {
    table.iter().map(|row| present(row, view)).collect()
}
