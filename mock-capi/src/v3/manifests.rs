//! Apps as manifests: `GET /v3/apps/:guid/manifest`,
//! `POST /v3/spaces/:guid/manifest_diff`

use serde_json::{Map, Value, json};

use crate::call::{Call, View};
use crate::error::CcError;
use crate::http::Response;
use crate::router::Route;
use crate::world::{App, Field, HealthCheck, Lifecycle, Process, Selection};

use super::manifest_diff::{self, normalize_app};
use super::{apps, spaces};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v3/apps/:guid/manifest", show),
    Route::post("/v3/spaces/:guid/manifest_diff", diff),
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
        Lifecycle::Buildpack { buildpacks, stack } => {
            if !buildpacks.is_empty() {
                manifest.insert("buildpacks".into(), json!(buildpacks));
            }
            manifest.insert("stack".into(), json!(stack));
        }
        Lifecycle::Docker => {
            let droplet = app.droplet.and_then(|guid| view.world.droplets.get(guid));
            if let Some(image) = droplet.and_then(|droplet| droplet.image.as_ref()) {
                manifest.insert("docker".into(), json!({"image": image}));
            }
        }
    }
    manifest.insert("features".into(), features());
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
    manifest
}

fn features() -> Value {
    json!({
        "ssh": true,
        "revisions": true,
        "service-binding-k8s": false,
        "file-based-vcap-services": false,
    })
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
            if !route.options.is_empty() {
                entry["options"] = json!(route.options);
            }
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
            bytes => json!(manifest_diff::human_bytes(bytes.unsigned_abs())),
        },
    });
    let Value::Object(fields) = &mut manifest else {
        return manifest;
    };
    if let Some(command) = &process.command {
        fields.insert("command".into(), json!(command));
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

fn show(call: &mut Call<'_>) -> Result<Response, CcError> {
    let guid = apps::find(call)?;
    let manifest = call.present(
        guid,
        |app, view| json!({"applications": [present(app, view)]}),
    )?;
    let yaml = serde_saphyr::to_string(&manifest).map_err(|_| CcError::unparsable())?;
    Ok(Response::text("application/x-yaml", format!("---\n{yaml}")))
}

fn diff(call: &mut Call<'_>) -> Result<Response, CcError> {
    let applications = read_manifest(call)?;
    let space = spaces::find(call)?;
    let view = call.view();
    let mut changes = Vec::new();
    for (index, mut wanted) in applications.into_iter().enumerate() {
        normalize_app(&mut wanted);
        let name = wanted
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let existing = view
            .world
            .find_app(space, name)
            .map(|app| present(app, &view));
        changes.extend(manifest_diff::diff_app(index, &wanted, existing));
    }
    Ok(Response::created(&json!({"diff": changes})))
}

/// The `applications` of a manifest in a request's body.
fn read_manifest(call: &Call<'_>) -> Result<Vec<Map<String, Value>>, CcError> {
    let content_type = call.request.header("content-type").unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if !["application/x-yaml", "text/yaml", "application/yaml"].contains(&media_type) {
        return Err(CcError::bad_request("Content-Type must be yaml"));
    }
    if call.request.body.len() > MAX_MANIFEST_BYTES {
        return Err(CcError::bad_request(
            "Manifest size is too large. The maximum supported size is 1MB.",
        ));
    }
    let text = std::str::from_utf8(call.request.body).map_err(|_| CcError::unparsable())?;
    let manifest: Value = parse(text)?;
    let manifest = manifest.as_object().ok_or_else(CcError::unparsable)?;
    if manifest.get("version").is_some_and(|version| *version != 1) {
        return Err(CcError::unprocessable(
            "Unsupported manifest schema version. Currently supported versions: [1].",
        ));
    }
    let applications = manifest.get("applications").and_then(Value::as_array);
    let applications = applications
        .filter(|list| !list.is_empty())
        .ok_or_else(|| {
            CcError::unprocessable("Cannot parse manifest with no 'applications' field.")
        })?;
    check_applications(applications)
}

fn parse(text: &str) -> Result<Value, CcError> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! { max_aliases: 0 },
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        if matches!(
            error.without_snippet(),
            serde_saphyr::Error::Budget {
                breach: serde_saphyr::budget::BudgetBreach::Aliases { .. },
                ..
            }
        ) {
            CcError::bad_request("Manifest does not support Anchors and Aliases")
        } else {
            CcError::unparsable()
        }
    })
}

fn check_applications(applications: &[Value]) -> Result<Vec<Map<String, Value>>, CcError> {
    let mut read = Vec::new();
    let mut errors = Vec::new();
    for (index, application) in applications.iter().enumerate() {
        let fields = application.as_object();
        let name = fields
            .and_then(|fields| fields.get("name"))
            .and_then(Value::as_str);
        match (fields, name) {
            (Some(fields), Some(name)) if !name.is_empty() => {
                let wrong = manifest_diff::app_errors(fields);
                errors.extend(
                    wrong
                        .iter()
                        .map(|e| format!("For application '{name}': {e}")),
                );
                read.push(fields.clone());
            }
            _ => errors.push(format!(
                "For application at index {index}: Name must not be empty"
            )),
        }
    }
    if errors.is_empty() {
        Ok(read)
    } else {
        Err(CcError::all_unprocessable(errors))
    }
}
