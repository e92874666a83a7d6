//! Manifests of apps: `GET /v3/apps/:guid/manifest`, `POST
//! /v3/spaces/:guid/manifest_diff`

pub(crate) mod application;
pub(super) mod apply;
mod diff;
mod processes;
mod routes;
mod staging;

use serde_json::{Map, Value, json};

use crate::api::context::{RequestContext, View};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::router::Route;
use crate::api::shared::byte_sizes;
use crate::api::shared::lifecycle::check_flag;
use crate::api::yaml::{self, Yaml};
use crate::world::{
    App, Field, HealthCheck, Lifecycle, PackageKind, Process, READ_SECRETS, Selection, WRITE_SPACE,
};

use super::{app_features, apps, sidecars, spaces};
use application::AppManifest;
use staging::DisabledLifecycles;

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v3/apps/:guid/manifest", show).by(READ_SECRETS),
    Route::post("/v3/spaces/:guid/manifest_diff", show_diff).by(WRITE_SPACE),
];

const MAX_MANIFEST_BYTES: usize = 1024 * 1024;

/// An app as an entry of a manifest's `applications`.
pub(crate) fn present(app: &App, view: &View<'_>) -> Map<String, Value> {
    let mut manifest = Map::new();
    manifest.insert("name".into(), json!(app.name));
    if !app.environment.is_empty() {
        manifest.insert("env".into(), json!(app.environment));
    }
    manifest.insert("lifecycle".into(), json!(app.lifecycle.kind()));
    match &app.lifecycle {
        Lifecycle::Buildpack {
            buildpacks, stack, ..
        } => {
            if !buildpacks.is_empty() {
                manifest.insert("buildpacks".into(), json!(buildpacks));
            }
            manifest.insert("stack".into(), json!(stack));
        }
        Lifecycle::Docker => {
            if let Some(docker) = present_docker(app, view) {
                manifest.insert("docker".into(), docker);
            }
        }
    }
    manifest.insert(
        "features".into(),
        app_features::present_manifest(app.features),
    );
    let services = present_services(app, view);
    if !services.is_empty() {
        manifest.insert("services".into(), json!(services));
    }
    let routes = present_routes(app, view);
    if !routes.is_empty() {
        manifest.insert("routes".into(), json!(routes));
    }
    if let Some(metadata) = app.base.metadata.present_non_empty() {
        manifest.insert("metadata".into(), metadata);
    }
    let mut processes = view.world.processes_of(app.base.guid);
    processes.sort_by(|a, b| a.kind.cmp(&b.kind));
    if !processes.is_empty() {
        let processes = processes.into_iter().map(present_process);
        manifest.insert("processes".into(), processes.collect());
    }
    let mut sidecars = view.world.sidecars_of(app.base.guid);
    sidecars.sort_by(|a, b| a.name.cmp(&b.name));
    if !sidecars.is_empty() {
        let sidecars = sidecars.into_iter().map(sidecars::present_manifest);
        manifest.insert("sidecars".into(), sidecars.collect());
    }
    manifest
}

/// The image of the current droplet's package. `None` for a copied droplet, which has no
/// package.
fn present_docker(app: &App, view: &View<'_>) -> Option<Value> {
    let droplet = view.world.droplets.get(app.droplet?)?;
    let package = view.world.packages.get(droplet.package?)?;
    let PackageKind::Docker { image, username } = &package.kind else {
        return None;
    };
    let mut docker = json!({"image": image});
    if let Some(username) = username {
        docker["username"] = json!(username);
    }
    Some(docker)
}

/// The names of the services to which an app is bound.
fn present_services<'w>(app: &App, view: &View<'w>) -> Vec<&'w str> {
    let bindings = view.world.bindings_of(app.base.guid).into_iter();
    let instances =
        bindings.filter_map(|binding| view.world.service_instances.get(binding.instance));
    let mut names: Vec<&str> = instances.map(|instance| instance.name.as_str()).collect();
    names.sort_by_key(|name| name.to_lowercase());
    names
}

fn present_routes(app: &App, view: &View<'_>) -> Vec<Value> {
    let routes = view
        .world
        .routes
        .select(&Selection::by(Field::App, app.base.guid));
    let mut presented: Vec<(String, Value)> = Vec::new();
    for route in routes {
        let url = view.world.route_url(route);
        let mapped = route.destinations.iter().filter(|d| d.app == app.base.guid);
        for destination in mapped {
            let mut entry = json!({"route": url, "protocol": destination.protocol});
            entry["options"] = json!(route.options);
            presented.push((url.to_lowercase(), entry));
        }
    }
    presented.sort_by(|a, b| a.0.cmp(&b.0));
    presented.into_iter().map(|(_, route)| route).collect()
}

fn present_process(process: &Process) -> Value {
    let mut manifest = json!({
        "type": process.kind,
        "instances": process.scale.instances,
        "memory": format!("{}M", process.scale.memory_mb),
        "disk_quota": format!("{}M", process.scale.disk_mb),
        "log-rate-limit-per-second": match process.scale.log_rate {
            -1 => json!(-1),
            bytes => json!(byte_sizes::human(bytes)),
        },
    });
    let Value::Object(fields) = &mut manifest else {
        return manifest;
    };
    if let Some(command) = &process.command {
        fields.insert("command".into(), json!(command));
    }
    if let Some(user) = &process.user {
        fields.insert("user".into(), json!(user));
    }
    present_check(fields, "health-check", &process.health_check);
    present_check(fields, "readiness-health-check", &process.readiness_check);
    if let Some(timeout) = process.health_check.timeout {
        fields.insert("timeout".into(), json!(timeout));
    }
    manifest
}

fn present_check(fields: &mut Map<String, Value>, prefix: &str, check: &HealthCheck) {
    let entries = [
        ("type", json!(check.kind)),
        ("http-endpoint", json!(check.endpoint)),
        ("invocation-timeout", json!(check.invocation_timeout)),
        ("interval", json!(check.interval)),
    ];
    for (name, value) in entries {
        if !value.is_null() {
            fields.insert(format!("{prefix}-{name}"), value);
        }
    }
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = apps::find(context)?;
    let manifest = context.present(
        guid,
        |app, view| json!({"applications": [present(app, view)]}),
    )?;
    Ok(Response::text("application/x-yaml", yaml::emit(&manifest)))
}

fn show_diff(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let applications = read(context)?.applications;
    let space = spaces::find(context)?;
    let view = context.view();
    let mut changes = Vec::new();
    for (index, mut wanted) in applications.into_iter().enumerate() {
        diff::normalize_app(&mut wanted);
        let name = wanted.get("name").and_then(Value::as_str);
        let existing = view.world.find_app(space, name.unwrap_or_default());
        let existing = existing.map(|app| present(app, &view));
        changes.extend(diff::diff_app(index, wanted, existing));
    }
    Ok(Response::created(&json!({"diff": changes})))
}

/// The manifest in a request: its `applications`, unchanged and parsed.
#[derive(Debug)]
pub(crate) struct ManifestBody {
    pub(crate) applications: Vec<Map<String, Value>>,
    pub(crate) manifests: Vec<AppManifest>,
}

/// Reads the manifest in a request. An invalid manifest is refused with 422 and all
/// errors.
pub(crate) fn read(context: &RequestContext<'_>) -> Result<ManifestBody, CcError> {
    let media_type = context.request.media_type().unwrap_or_default();
    if !["application/x-yaml", "text/yaml"].contains(&media_type.as_str()) {
        // Rails parses bodies of the types that it knows first.
        context.request.object()?;
        return Err(CcError::bad_request("Content-Type must be yaml"));
    }
    if context.request.body.len() > MAX_MANIFEST_BYTES {
        return Err(CcError::bad_request(
            "Manifest size is too large. The maximum supported size is 1MB.",
        ));
    }
    let text = std::str::from_utf8(context.request.body).map_err(|_| CcError::unparsable())?;
    let manifest = yaml::parse(text)?;
    if !matches!(manifest, Yaml::Map(_)) {
        return Err(CcError::unparsable());
    }
    let version = manifest.get("version");
    let is_falsy = |value: &Yaml| matches!(value, Yaml::Null | Yaml::Bool(false));
    if version.is_some_and(|version| !is_falsy(version) && version.to_json() != 1) {
        return Err(CcError::unprocessable(
            "Unsupported manifest schema version. Currently supported versions: [1].",
        ));
    }
    let applications = manifest.get("applications").and_then(Yaml::list);
    let applications = applications
        .filter(|list| !list.is_empty())
        .ok_or_else(|| {
            CcError::unprocessable("Cannot parse manifest with no 'applications' field.")
        })?;
    let no_docker = check_flag(context, &Lifecycle::Docker).err();
    let no_docker = no_docker.map(|refusal| refusal.details());
    let no_cnb = context.require_flag("diego_cnb").err();
    let no_cnb = no_cnb.map(|refusal| refusal.details());
    let refused = DisabledLifecycles {
        docker: no_docker.as_deref(),
        cnb: no_cnb.as_deref(),
    };
    let mut manifests = Vec::new();
    let mut errors = Vec::new();
    let options = super::route_options::option_rules(context.world);
    for (index, application) in applications.iter().enumerate() {
        match AppManifest::read(index, application, refused, &options) {
            Ok(manifest) => manifests.push(manifest),
            Err(wrong) => errors.extend(wrong),
        }
    }
    if !errors.is_empty() {
        return Err(CcError::all_unprocessable(errors));
    }
    let applications = applications.iter().map(Yaml::to_json);
    let applications = applications.filter_map(|application| match application {
        Value::Object(application) => Some(application),
        _ => None,
    });
    Ok(ManifestBody {
        applications: applications.collect(),
        manifests,
    })
}
