//! `usage_summary` of the foundation, of organizations and of spaces

use serde_json::{Value, json};

use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::router::Route;
use crate::world::{Field, Guid, Selection, World};

use super::{organizations, spaces};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v3/info/usage_summary", of_all),
    Route::get("/v3/organizations/:guid/usage_summary", of_org),
    Route::get("/v3/spaces/:guid/usage_summary", of_space),
];

fn of_all(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    if !context.access.sees_everything() {
        return Err(CcError::unknown_request());
    }
    let spaces = context.world.spaces.iter().map(|space| space.base.guid);
    let summary = summary(context.world, spaces.collect(), |_| true);
    let links = json!({"self": context.view().link("/v3/info/usage_summary")});
    Ok(answer(summary, links))
}

fn of_org(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let org = organizations::find(context)?;
    let summary = summary(context.world, context.world.spaces_of(vec![org]), |owner| {
        owner == org
    });
    let path = format!("/v3/organizations/{org}");
    let view = context.view();
    let links = json!({
        "self": view.link(&format!("{path}/usage_summary")),
        "organization": view.link(&path),
    });
    Ok(answer(summary, links))
}

fn of_space(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let space = spaces::find(context)?;
    let org = context.world.spaces.get(space).map(|space| space.org);
    let summary = summary(context.world, vec![space], |owner| Some(owner) == org);
    let path = format!("/v3/spaces/{space}");
    let view = context.view();
    let links = json!({
        "self": view.link(&format!("{path}/usage_summary")),
        "space": view.link(&path),
    });
    Ok(answer(summary, links))
}

fn answer(summary: Value, links: Value) -> Response {
    Response::ok(&json!({"usage_summary": summary, "links": links}))
}

/// The usage of these spaces, and the number of domains. It does not count managed
/// services, their keys or reserved ports.
fn summary(world: &World, spaces: Vec<Guid>, owns: impl Fn(Guid) -> bool) -> Value {
    let in_spaces = Selection::all().any_guid(Field::Space, spaces);
    let mut processes = world.processes.select(&in_spaces);
    processes.retain(|process| process.started);
    let mut tasks = world.tasks.select(&in_spaces);
    tasks.retain(|task| task.state(world.now()) == "RUNNING");
    let instances = |instances: u32, size: u32| u64::from(instances) * u64::from(size);
    let started: u64 = processes.iter().map(|p| u64::from(p.scale.instances)).sum();
    let of_processes = processes
        .iter()
        .map(|process| instances(process.scale.instances, process.scale.memory_mb));
    let of_tasks = tasks.iter().map(|task| u64::from(task.memory_mb));
    let memory: u64 = of_processes.chain(of_tasks).sum();
    let domains = world.domains.iter().filter_map(|domain| domain.org);
    json!({
        "started_instances": started,
        "memory_in_mb": memory,
        "routes": world.routes.select(&in_spaces).len(),
        "service_instances": 0,
        "reserved_ports": 0,
        "domains": domains.filter(|owner| owns(*owner)).count(),
        "per_app_tasks": tasks.len(),
        "service_keys": 0,
    })
}
