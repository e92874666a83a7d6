//! `POST /v3/spaces/:guid/actions/apply_manifest`
//!
//! The request is refused as a whole if any application in it is not valid.
//! Apps that do not exist are created at once; the rest is the work of a job,
//! app by app. As in the Cloud Controller, what the job did before something
//! was refused stays done.

use serde_json::json;

use crate::call::Call;
use crate::error::CcError;
use crate::http::Response;
use crate::metadata::MetadataPatch;
use crate::router::Route;
use crate::world::{
    App, Domain, Field, Guid, Lifecycle, NewRoute, Row, Scale, Selection, WRITE_SPACE, is_in_host,
};

use super::manifest_message::{AppManifest, ScalePatch, WantedLifecycle, WantedService};
use super::manifest_routes::{WantedRoute, WantedRoutes};
use super::{
    app_features, destinations, environment, lifecycle, manifests, route_names, routes, spaces,
};

pub(crate) const ROUTES: &[Route] =
    &[Route::post("/v3/spaces/:guid/actions/apply_manifest", apply).by(WRITE_SPACE)];

const OPERATION: &str = "space.apply_manifest";

fn apply(call: &mut Call<'_>) -> Result<Response, CcError> {
    let manifests = manifests::read(call)?.manifests;
    let space = spaces::find(call)?;
    let mut apps = Vec::new();
    for manifest in manifests {
        let app = find_or_create(call, space, &manifest)
            .and_then(|app| check_kind(call, app, &manifest.lifecycle).map(|()| app))
            .map_err(|error| error.prefixed(&for_application(&manifest.name)))?;
        apps.push((app, manifest));
    }
    let failure = call.faults.job(OPERATION);
    let outcome = match failure {
        Some(failure) => Err(failure),
        None => apply_all(call, apps),
    };
    Ok(call.job_with(OPERATION, space, outcome))
}

fn for_application(name: &str) -> String {
    format!("For application '{name}': ")
}

fn find_or_create(
    call: &mut Call<'_>,
    space: Guid,
    manifest: &AppManifest,
) -> Result<Guid, CcError> {
    if let Some(app) = call.world.find_app(space, &manifest.name) {
        return Ok(app.guid());
    }
    super::apps::refuse_any(&super::apps::name_errors(&manifest.name))?;
    let wanted = &manifest.lifecycle;
    let lifecycle = if wanted.docker {
        Lifecycle::Docker
    } else {
        let buildpacks = wanted.buildpacks.clone().unwrap_or_default();
        if let Some(name) = buildpacks
            .iter()
            .find(|name| !lifecycle::is_buildpack(call.world, name))
        {
            let detail = format!("Specified unknown buildpack name: \"{name}\"");
            return Err(CcError::unprocessable(detail));
        }
        let stack = wanted.stack.clone();
        Lifecycle::Buildpack {
            buildpacks,
            stack: stack.unwrap_or_else(|| call.world.default_stack.into()),
        }
    };
    let (name, metadata) = (manifest.name.clone(), manifest.metadata.clone());
    let environment = serde_json::Map::new();
    let guid = call
        .world
        .create_app(space, name, lifecycle, environment, metadata);
    call.world.create_process(guid, "web");
    let data = json!({"request": {"name": manifest.name}, "manifest_triggered": true});
    call.world.record(guid, "audit.app.create", data);
    Ok(guid)
}

/// Whether a manifest fits the kind of app that there is.
fn check_kind(call: &Call<'_>, app: Guid, wanted: &WantedLifecycle) -> Result<(), CcError> {
    let refused = match (&call.row::<App>(app)?.lifecycle, wanted.buildpack_key) {
        (Lifecycle::Docker, Some(key)) => {
            format!("{key} cannot be configured for a docker lifecycle app.")
        }
        (Lifecycle::Buildpack { .. }, _) if wanted.docker => {
            "Docker cannot be configured for a buildpack lifecycle app.".into()
        }
        _ => return Ok(()),
    };
    Err(CcError::unprocessable(refused))
}

fn apply_all(call: &mut Call<'_>, apps: Vec<(Guid, AppManifest)>) -> Result<(), CcError> {
    for (app, manifest) in apps {
        let prefix = for_application(&manifest.name);
        apply_to(call, app, manifest).map_err(|error| error.prefixed(&prefix))?;
    }
    Ok(())
}

fn apply_to(call: &mut Call<'_>, app: Guid, manifest: AppManifest) -> Result<(), CcError> {
    app_features::switch(call, app, &manifest.features)?;
    for (kind, patch) in manifest.updates {
        if let Some(process) = find_or_create_process(call, app, &kind) {
            call.world.update_process(process, patch)?;
        }
    }
    for (kind, patch) in manifest.scales {
        scale(call, app, &kind, patch)?;
    }
    for sidecar in manifest.sidecars {
        let name = sidecar.name.as_deref().unwrap_or_default();
        let existing = call.world.find_sidecar(app, name).map(Row::guid);
        match existing {
            Some(existing) => call.world.update_sidecar(existing, sidecar),
            None => call.world.create_sidecar(app, sidecar).map(|_| ()),
        }
        .map_err(CcError::unprocessable)?;
    }
    set_lifecycle(call, app, manifest.lifecycle)?;
    call.world.touch(app, |app: &mut App| {
        app.base.metadata.apply(manifest.metadata)
    });
    set_routes(call, app, manifest.routes)?;
    environment::set(call.world, app, manifest.environment);
    for service in manifest.services {
        bind(call, app, service)?;
    }
    Ok(())
}

/// Binds an app to a service of its space, unless it is bound already.
fn bind(call: &mut Call<'_>, app: Guid, service: WantedService) -> Result<(), CcError> {
    let space = call.row::<App>(app)?.space;
    let name = service.name;
    let instance = call.world.find_service_instance(space, &name);
    let instance = instance
        .map(Row::guid)
        .ok_or_else(|| CcError::not_found(&format!("Service instance '{name}'")))?;
    let bindings = call.world.bindings_of(app);
    if bindings.iter().any(|binding| binding.instance == instance) {
        return Ok(());
    }
    let metadata = MetadataPatch::default();
    let bound = call
        .world
        .bind(app, instance, service.binding_name, metadata);
    bound
        .map(|_| ())
        .map_err(|reason| CcError::unprocessable(format!("For service '{name}': {reason}")))
}

fn find_or_create_process(call: &mut Call<'_>, app: Guid, kind: &str) -> Option<Guid> {
    let existing = call.world.process(app, kind).map(Row::guid);
    existing.or_else(|| call.world.create_process(app, kind))
}

fn scale(call: &mut Call<'_>, app: Guid, kind: &str, patch: ScalePatch) -> Result<(), CcError> {
    let Some(process) = call.world.process(app, kind) else {
        return Ok(());
    };
    let (guid, current) = (process.guid(), process.scale);
    let scale = Scale {
        instances: patch.instances.unwrap_or(current.instances),
        memory_mb: patch.memory_mb.unwrap_or(current.memory_mb),
        disk_mb: patch.disk_mb.unwrap_or(current.disk_mb),
        log_rate: patch.log_rate.unwrap_or(current.log_rate),
    };
    call.world.scale(guid, scale)
}

fn set_lifecycle(call: &mut Call<'_>, app: Guid, wanted: WantedLifecycle) -> Result<(), CcError> {
    let Lifecycle::Buildpack { buildpacks, stack } = &call.row::<App>(app)?.lifecycle else {
        return Ok(());
    };
    let mut errors = Vec::new();
    let named = wanted.buildpacks.iter().flatten();
    errors.extend(named.filter_map(|name| lifecycle::buildpack_error(call.world, name)));
    let stack_error = wanted.stack.as_deref();
    let stack_error = stack_error.and_then(|stack| lifecycle::stack_error(call.world, stack));
    errors.extend(stack_error.map(str::to_owned));
    let stack = wanted.stack.unwrap_or_else(|| stack.clone());
    super::apps::refuse_any(&errors)?;
    let buildpacks = wanted.buildpacks.unwrap_or_else(|| buildpacks.clone());
    call.world.touch(app, |app: &mut App| {
        app.lifecycle = Lifecycle::Buildpack { buildpacks, stack };
    });
    Ok(())
}

fn set_routes(call: &mut Call<'_>, app: Guid, wanted: WantedRoutes) -> Result<(), CcError> {
    let mapped = Selection::by(Field::App, app);
    if wanted.none {
        return {
            call.world.unmap_routes(app);
            Ok(())
        };
    }
    if let Some(named) = wanted.named {
        return map_routes(call, app, named);
    }
    if !(wanted.random || wanted.default) || !call.world.routes.select(&mapped).is_empty() {
        return Ok(());
    }
    let name = call.row::<App>(app)?.name.clone();
    let host = if wanted.random {
        format!("{name}-{}", route_names::random(call.world))
    } else {
        check_host(&name)?;
        name
    };
    let domain = default_domain(call, app)?;
    let route = WantedRoute::named(format!("{host}.{domain}"));
    map_routes(call, app, vec![route])
}

/// Whether an app's name can be the host of its default route.
fn check_host(name: &str) -> Result<(), CcError> {
    const MAX_HOST: usize = 63;
    let reason = if name.chars().count() > MAX_HOST {
        "Host cannot exceed 63 characters"
    } else if !name.chars().all(is_in_host) {
        "Host must be either \"*\" or contain only alphanumeric characters, \"_\", or \"-\""
    } else {
        return Ok(());
    };
    Err(CcError::unprocessable(format!(
        "Failed to create default route from app name: {reason}"
    )))
}

fn default_domain(call: &Call<'_>, app: Guid) -> Result<String, CcError> {
    let space = call.row::<App>(app)?.space;
    let org = call.world.org_of(space);
    let domain = org.and_then(|org| call.world.default_domain(org.guid()));
    let domain = domain.ok_or_else(|| CcError::unprocessable("No default domains available"))?;
    Ok(domain.name.clone())
}

/// Maps routes to an app's web process, but only if all of them can be.
fn map_routes(call: &mut Call<'_>, app: Guid, wanted: Vec<WantedRoute>) -> Result<(), CcError> {
    let mut found = Vec::new();
    for wanted in wanted {
        let route = find_or_create_route(call, app, &wanted)?;
        found.push((route, wanted.protocol));
    }
    for (route, protocol) in found {
        let destination = destinations::to_web(call.world, app, protocol);
        if protocol == Some("tcp") {
            return Err(CcError::unknown());
        }
        let current = call.world.routes.get(route).and_then(|route| {
            let mut destinations = route.destinations.iter();
            destinations.find(|destination| destination.app == app)
        });
        match current {
            // Whatever is wrong with the destinations is no error that a job
            // of the Cloud Controller has a text for.
            None => destinations::add(call.world, route, vec![destination])
                .map_err(|_| CcError::unknown())?,
            Some(current) if protocol.is_some_and(|wanted| wanted != current.protocol) => {
                destinations::put(call.world, route, vec![destination]);
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn find_or_create_route(
    call: &mut Call<'_>,
    app: Guid,
    wanted: &WantedRoute,
) -> Result<Guid, CcError> {
    let space = call.row::<App>(app)?.space;
    let address = &wanted.address;
    let candidates = address.candidates().into_iter();
    let found = candidates
        .filter_map(|(host, name)| Some((host, call.world.named::<Domain>(name)?)))
        .next();
    let Some((host, domain)) = found else {
        let detail = format!("No domains exist for route {}", wanted.text);
        return Err(CcError::unprocessable(detail));
    };
    let existing = call.world.find_route(domain, host, &address.path);
    if let Some(route) = existing.filter(|route| route.port == address.port) {
        if !route.is_usable_in(space) {
            return Err(CcError::unprocessable(
                "Routes cannot be mapped to destinations in different spaces",
            ));
        }
        let guid = route.guid();
        routes::set_options(call.world, guid, &wanted.options);
        return Ok(guid);
    }
    call.require_flag_of_all("route_creation")?;
    if host == "*" && domain.org.is_none() {
        return Err(CcError::not_authorized());
    }
    let new = NewRoute {
        space,
        domain: domain.guid(),
        host: host.into(),
        path: address.path.clone(),
        port: address.port,
        options: wanted.options.clone(),
        metadata: MetadataPatch::default(),
    };
    routes::add(call.world, new)
        .map_err(|reason| CcError::unprocessable(format!("For route '{}': {reason}", wanted.text)))
}
