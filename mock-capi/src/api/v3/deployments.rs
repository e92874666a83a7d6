//! `/v3/deployments`

use serde_json::{Map, Value, json};

use crate::api::context::{RequestContext, View, to_one};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::list::{ListQuery, ListSpec};
use crate::api::message::{MAX_INT, Message};
use crate::api::router::Route;
use crate::api::state::Present;
use crate::world::metadata::MetadataPatch;
use crate::world::{
    App, Deployment, DeploymentOptions, DeploymentState, Droplet, Field, Guid, MANAGE_APPS,
    NewDeployment, Registered, Revision, Row, WRITE_SPACE, ruby,
};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v3/deployments", index),
    Route::post("/v3/deployments", create).by_anyone(),
    Route::get("/v3/deployments/:guid", show),
    Route::patch("/v3/deployments/:guid", update).by(WRITE_SPACE),
    Route::post("/v3/deployments/:guid/actions/cancel", cancel).by(MANAGE_APPS),
    Route::post("/v3/deployments/:guid/actions/continue", resume).by(MANAGE_APPS),
];

const LIST: ListSpec = ListSpec::of(&[
    "app_guids",
    "states",
    "status_reasons",
    "status_values",
    "label_selector",
]);

/// The fields of `options`.
const OPTIONS: &[&str] = &[
    "canary",
    "max_in_flight",
    "web_instances",
    "memory_in_mb",
    "disk_in_mb",
    "log_rate_limit_in_bytes_per_second",
];

impl Present for Deployment {
    fn present(&self, view: &View<'_>) -> Value {
        present(self, view)
    }
}

pub(crate) fn present(deployment: &Deployment, view: &View<'_>) -> Value {
    let path = format!("/v3/deployments/{}", deployment.base.guid);
    let mut links = json!({
        "self": view.link(&path),
        "app": view.link(&format!("/v3/apps/{}", deployment.app)),
    });
    if deployment.is_active() {
        links["cancel"] = view.action("POST", &format!("{path}/actions/cancel"));
    }
    if deployment.state == DeploymentState::Paused {
        links["continue"] = view.action("POST", &format!("{path}/actions/continue"));
    }
    let process = deployment.process.into_iter();
    let processes = process.map(|guid| json!({"guid": guid, "type": "web"}));
    json!({
        "guid": deployment.base.guid,
        "created_at": deployment.base.created,
        "updated_at": deployment.base.updated,
        "status": present_status(deployment),
        "strategy": if deployment.options.canary { "canary" } else { "rolling" },
        "options": present_options(&deployment.options),
        "droplet": {"guid": deployment.droplet},
        "previous_droplet": {"guid": deployment.previous_droplet},
        "new_processes": processes.collect::<Vec<_>>(),
        "revision": present_revision(deployment, view),
        "relationships": {"app": to_one(Some(deployment.app))},
        "metadata": deployment.base.metadata.present(),
        "links": links,
    })
}

fn present_revision(deployment: &Deployment, view: &View<'_>) -> Value {
    let revision = deployment.revision;
    let shown = revision.filter(|_| view.world.has_revisions(deployment.app));
    json!(shown.map(|(guid, version)| json!({"guid": guid, "version": version})))
}

fn present_status(deployment: &Deployment) -> Value {
    let mut status = json!({
        "value": deployment.status_value(),
        "reason": deployment.reason,
        "details": {
            "last_successful_healthcheck": deployment.healthy_at,
            "last_status_change": deployment.changed_at,
        },
    });
    if let Some(error) = &deployment.error {
        status["details"]["error"] = json!(error);
    }
    if let Some(current) = deployment.canary_step {
        let steps = deployment.options.canary_steps.as_ref();
        let total = steps.map_or(1, Vec::len);
        status["canary"] = json!({"steps": {"current": current, "total": total}});
    }
    status
}

fn present_options(options: &DeploymentOptions) -> Value {
    let mut presented = json!({"max_in_flight": options.max_in_flight});
    let sizes = [
        ("web_instances", options.web_instances.map(i64::from)),
        ("memory_in_mb", options.memory_mb.map(i64::from)),
        ("disk_in_mb", options.disk_mb.map(i64::from)),
        ("log_rate_limit_in_bytes_per_second", options.log_rate),
    ];
    for (name, size) in sizes {
        if let Some(size) = size {
            presented[name] = json!(size);
        }
    }
    if let Some(steps) = &options.canary_steps {
        let steps = steps
            .iter()
            .map(|weight| json!({"instance_weight": weight}));
        presented["canary"] = json!({"steps": steps.collect::<Vec<_>>()});
    }
    presented
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let query = ListQuery::read(context, &LIST)?;
    let selection = query.by_guids(query.selection(), "app_guids", Field::App);
    let keep = |deployment: &Deployment| {
        query.admits("states", deployment.state.name())
            && query.admits("status_reasons", &deployment.reason)
            && query.admits("status_values", deployment.status_value())
    };
    query.respond_by_query(context, &selection, keep, present)
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    context.show("guid", present)
}

fn update(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = context.guid_of::<Deployment>("guid")?;
    let patch = context.metadata_patch()?;
    context.update_metadata(guid, patch, present)
}

/// The deployment in a request.
struct DeploymentRequest<'b> {
    app: Option<&'b str>,
    droplet: Option<&'b str>,
    revision: Option<&'b str>,
    options: DeploymentOptions,
    metadata: MetadataPatch,
}

fn create(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    if context.settings.deployments_disabled {
        return Err(CcError::new(
            403,
            390_014,
            "CF-DeploymentsDisabled",
            "Deployments cannot be created due to manifest property \
             'temporary_disable_deployments'",
        ));
    }
    let body = context.request.object()?;
    let asked = read_new(&body)?;
    let app: &App = context.manageable(
        asked.app,
        "Unable to use app. Ensure that the app exists and you have access to it.",
    )?;
    let guid = app.base.guid;
    if asked.revision.is_some() && !context.world.has_revisions(guid) {
        return Err(CcError::unprocessable(
            "Cannot create deployment from a revision for an app without revisions enabled",
        ));
    }
    let checked = context.world.check_deployment_quota(guid, &asked.options);
    checked.map_err(|error| name_quota(context, guid, error.into()))?;
    let rollback = asked
        .revision
        .map(|revision| find_revision(context, revision));
    let rollback = rollback.transpose()?;
    let droplet = droplet_of(context, app, &asked, rollback)?;
    let rollback = rollback.map(Row::guid);
    let crashing = context.crashes(guid);
    let deployed = context.world.deploy(NewDeployment {
        app: guid,
        droplet,
        rollback,
        options: asked.options,
        metadata: asked.metadata,
        crashing,
    });
    let deployment = deployed.map_err(|error| name_quota(context, guid, error.into()))?;
    context.world.log_api(
        guid,
        format!("Creating deployment for app with guid {guid}"),
    );
    let row: &Deployment = context.row(deployment)?;
    let data = json!({
        "deployment_guid": deployment,
        "droplet_guid": row.droplet,
        "type": rollback.map(|_| "rollback"),
        "revision_guid": row.revision.map(|(guid, _)| guid),
        "request": body,
        "strategy": if row.options.canary { "canary" } else { "rolling" },
    });
    context
        .world
        .record(guid, "audit.app.deployment.create", data);
    context.created(deployment, present)
}

/// The revision of a rollback.
fn find_revision<'c>(context: &'c RequestContext<'_>, guid: &str) -> Result<&'c Revision, CcError> {
    let revision = context.world.look_up::<Revision>(guid);
    let revision = revision.ok_or_else(|| CcError::unprocessable("The revision does not exist"))?;
    if context
        .world
        .droplets
        .get(revision.deployed.droplet)
        .is_none()
    {
        return Err(CcError::unprocessable(
            "Unable to deploy this revision, the droplet for this revision no longer exists.",
        ));
    }
    Ok(revision)
}

/// The droplet to deploy: the requested one, or the app's.
fn droplet_of(
    context: &RequestContext<'_>,
    app: &App,
    asked: &DeploymentRequest<'_>,
    rollback: Option<&Revision>,
) -> Result<Guid, CcError> {
    let guid = match (asked.droplet, rollback) {
        (_, Some(revision)) => Some(revision.deployed.droplet),
        (Some(droplet), None) => Guid::parse(droplet),
        (None, None) => Some(app.droplet.ok_or_else(|| {
            CcError::unprocessable(
                "Invalid droplet. Please specify a droplet in the request or set a current \
                 droplet for the app.",
            )
        })?),
    };
    let droplet: &Droplet = guid
        .and_then(|droplet| context.world.droplets.get(droplet))
        .filter(|droplet| droplet.app == app.base.guid)
        .ok_or_else(unassignable)?;
    if !droplet.is_staged(context.world.now()) {
        return Err(CcError::unprocessable("droplet must be in staged state"));
    }
    Ok(droplet.guid())
}

fn unassignable() -> CcError {
    CcError::unprocessable(
        "Unable to assign current droplet. Ensure the droplet exists and belongs to this app.",
    )
}

/// Adds the name of the space or the organization to the error of a quota.
fn name_quota(context: &RequestContext<'_>, app: Guid, error: CcError) -> CcError {
    const REASON: &str = "quota may not be large enough to support rolling deployments or your \
                          configured max-in-flight.";
    let app = context.world.apps.get(app);
    let space = app.and_then(|app| context.world.spaces.get(app.space));
    let org = space.and_then(|space| context.world.orgs.get(space.org));
    let (Some(space), Some(org), Some(cause)) = (space, org, error.causes.first()) else {
        return error;
    };
    let detail = &cause.detail;
    let mentions = |texts: [&str; 2]| texts.iter().any(|text| detail.contains(text));
    if mentions(["space_quota_exceeded", "space_app_instance_limit_exceeded"]) {
        let space = &space.name;
        let detail = format!("{detail} for space {space}. This space's {REASON}");
        CcError::unprocessable(detail)
    } else if mentions(["quota_exceeded", "app_instance_limit_exceeded"]) {
        let org = &org.name;
        let detail = format!("{detail} for organization {org}. This organization's {REASON}");
        CcError::unprocessable(detail)
    } else {
        error
    }
}

fn read_new(body: &Map<String, Value>) -> Result<DeploymentRequest<'_>, CcError> {
    let allowed = [
        "relationships",
        "droplet",
        "revision",
        "strategy",
        "options",
        "metadata",
    ];
    let mut message = Message::new(body, &allowed);
    let strategy = message.get("strategy");
    let canary = match strategy.map(|strategy| (strategy, strategy.as_str())) {
        None | Some((_, Some("rolling"))) => false,
        Some((_, Some("canary"))) => true,
        Some((other, text)) => {
            let other = text.map_or_else(|| ruby::text(other), str::to_owned);
            message.error(format!(
                "Strategy '{other}' is not a supported deployment strategy"
            ));
            false
        }
    };
    let guid_in = |path: &[&str]| {
        let mut value = message.get(path.first()?)?;
        for key in &path[1..] {
            value = value.get(key)?;
        }
        value.as_str()
    };
    let app = guid_in(&["relationships", "app", "data", "guid"]);
    let droplet = guid_in(&["droplet", "guid"]).or_else(|| {
        // Any other value identifies no droplet.
        let guid = message.get("droplet")?.get("guid")?;
        (!guid.is_null()).then_some("")
    });
    let present = |key: &str| match message.get(key) {
        Some(Value::Object(object)) => !object.is_empty(),
        value => value.is_some(),
    };
    let revision = guid_in(&["revision", "guid"]);
    if present("revision") && present("droplet") {
        message.error("Droplet Cannot set both fields 'droplet' and 'revision'");
    }
    let options = read_options(&mut message, canary);
    let metadata = message.metadata();
    message.finish()?;
    Ok(DeploymentRequest {
        app,
        droplet,
        revision,
        options,
        metadata,
    })
}

fn read_options(message: &mut Message<'_>, canary: bool) -> DeploymentOptions {
    let mut options = DeploymentOptions {
        canary,
        max_in_flight: 1,
        web_instances: None,
        memory_mb: None,
        disk_mb: None,
        log_rate: None,
        canary_steps: None,
    };
    let Some(given) = message.object("options") else {
        return options;
    };
    let keys: Vec<&str> = given.keys().map(String::as_str).collect();
    let unsupported = |key: &&str| !OPTIONS.contains(key);
    let unknown: Vec<&str> = keys.iter().copied().filter(unsupported).collect();
    if !unknown.is_empty() {
        let unknown = unknown.join(", ");
        message.error(format!("Options has unsupported key(s): {unknown}"));
    }
    let mut inner = Message::new(given, &keys);
    let mut size = |key: &str, min: i64| {
        let size = inner.integer(key, min..=MAX_INT);
        size.and_then(|size| u32::try_from(size).ok())
    };
    options.web_instances = size("web_instances", 0);
    options.memory_mb = size("memory_in_mb", 1);
    options.disk_mb = size("disk_in_mb", 1);
    options.log_rate = inner.integer("log_rate_limit_in_bytes_per_second", -1..=i64::MAX);
    match inner.get("max_in_flight").map(Value::as_u64) {
        None => {}
        Some(Some(count)) if count > 0 => {
            options.max_in_flight = u32::try_from(count).unwrap_or(u32::MAX);
        }
        Some(_) => inner.error("Max in flight must be an integer greater than 0"),
    }
    options.canary_steps = read_canary(&mut inner, canary);
    message.absorb(inner);
    options
}

/// The weights of `options.canary.steps`.
fn read_canary(options: &mut Message<'_>, canary: bool) -> Option<Vec<u8>> {
    const WEIGHT: &str = "Options canary steps instance weight";
    let Some(given) = options.get("canary")?.as_object() else {
        options.error("Options canary must be an object");
        return None;
    };
    if !canary {
        options.error("Options canary are only valid for Canary deployments");
        return None;
    }
    let steps = given.get("steps").filter(|steps| !steps.is_null())?;
    let objects = steps
        .as_array()
        .and_then(|steps| steps.iter().map(Value::as_object).collect());
    let Some(steps): Option<Vec<&Map<String, Value>>> = objects else {
        options.error("Options canary steps must be an array of objects");
        return None;
    };
    for step in &steps {
        let keys = step.keys().map(String::as_str);
        let unknown: Vec<&str> = keys.filter(|key| *key != "instance_weight").collect();
        if !unknown.is_empty() {
            let unknown = unknown.join(", ");
            options.error(format!(
                "Options canary steps has unsupported key(s): {unknown}"
            ));
        }
    }
    if steps
        .iter()
        .any(|step| !step.contains_key("instance_weight"))
    {
        options.error("Options canary steps missing key: \"instance_weight\"");
    }
    let weight = |step: &&Map<String, Value>| {
        let weight = u8::try_from(step.get("instance_weight")?.as_u64()?).ok();
        weight.filter(|weight| (1..=100).contains(weight))
    };
    let Some(weights): Option<Vec<u8>> = steps.iter().map(weight).collect() else {
        options.error(format!(
            "{WEIGHT} must be an Integer between 1-100 (inclusive)"
        ));
        return None;
    };
    if !weights.is_sorted() {
        options.error(format!("{WEIGHT} must be sorted in ascending order"));
    }
    Some(weights)
}

/// The deployment, if the caller may cancel or continue it. Others get a 404.
fn find_manageable<'c>(context: &'c RequestContext<'_>) -> Result<&'c Deployment, CcError> {
    let deployment: &Deployment = context.row_of(context.capture("guid"))?;
    let access_scope = deployment.access_scope(context.world);
    if !context
        .access
        .allows(context.world, access_scope, MANAGE_APPS)
    {
        return Err(CcError::not_found(Deployment::KIND));
    }
    context.authorize(access_scope)?;
    Ok(deployment)
}

fn cancel(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let deployment = find_manageable(context)?;
    let (guid, app, droplet) = (
        deployment.base.guid,
        deployment.app,
        deployment.previous_droplet,
    );
    if !deployment.is_active() {
        return Err(wrong_status("cancel", deployment));
    }
    let droplet = droplet.filter(|droplet| context.world.droplets.get(*droplet).is_some());
    let droplet = droplet.ok_or_else(unassignable)?;
    context.world.assign_droplet(app, droplet);
    context.world.cancel_deployment(guid);
    let text = format!("Cancelling deployment for app with guid {app}");
    context.world.log_api(app, text);
    let data = json!({"deployment_guid": guid, "droplet_guid": droplet});
    context
        .world
        .record(app, "audit.app.deployment.cancel", data);
    Ok(Response::empty(200))
}

/// `POST /v3/deployments/:guid/actions/continue`
fn resume(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let deployment = find_manageable(context)?;
    let (guid, app, droplet) = (deployment.base.guid, deployment.app, deployment.droplet);
    if deployment.state != DeploymentState::Paused {
        return Err(wrong_status("continue", deployment));
    }
    context.world.continue_deployment(guid);
    let text = format!("Continuing deployment for app with guid {app}");
    context.world.log_api(app, text);
    let data = json!({"deployment_guid": guid, "droplet_guid": droplet});
    context
        .world
        .record(app, "audit.app.deployment.continue", data);
    Ok(Response::empty(200))
}

fn wrong_status(verb: &str, deployment: &Deployment) -> CcError {
    let (value, reason) = (deployment.status_value(), &deployment.reason);
    CcError::unprocessable(format!(
        "Cannot {verb} a deployment with status: {value} and reason: {reason}"
    ))
}
