//! `POST /v3/spaces/:guid/actions/apply_manifest`
//!
//! The request is refused if any of its applications is invalid. Missing apps are created
//! at once, and a job applies the rest, app by app. As in the Cloud Controller, a failed
//! job is not rolled back.

use serde_json::{Map, Value, json};

use crate::api::context::RequestContext;
use crate::api::error::{CcError, validate};
use crate::api::http::Response;
use crate::api::router::Route;
use crate::api::shared::new_app::name_errors;
use crate::api::shared::{lifecycle, processes};
use crate::api::v3::managed_instances::bind_in_job;
use crate::api::v3::{app_features, route_names, route_options, routes, spaces};
use crate::api::yaml;
use crate::world::metadata::MetadataPatch;
use crate::world::{
    App, BindingRef, Domain, Field, Guid, Lifecycle, NewBinding, NewDestination, NewRoute, Row,
    Scale, Selection, ServiceInstance, WRITE_SPACE, audited, is_in_host,
};

use super::application::{AppManifest, WantedService};
use super::processes::ScalePatch;
use super::routes::{WantedRoute, WantedRoutes};
use super::staging::WantedLifecycle;

pub(crate) const ROUTES: &[Route] =
    &[Route::post("/v3/spaces/:guid/actions/apply_manifest", apply).by(WRITE_SPACE)];

const OPERATION: &str = "space.apply_manifest";

fn apply(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = super::read(context)?;
    let (manifests, applications) = (body.manifests, body.applications);
    let space = spaces::find(context)?;
    let mut apps = Vec::new();
    for (manifest, application) in manifests.into_iter().zip(applications) {
        let app = find_or_create(context, space, &manifest)
            .and_then(|app| check_kind(context, app, &manifest.lifecycle).map(|()| app))
            .map_err(|error| error.prefixed(&for_application(&manifest.name)))?;
        record(context, app, application);
        apps.push((app, manifest));
    }
    let failure = context.faults.job(OPERATION);
    let outcome = match failure {
        Some(failure) => Err(failure.into()),
        None => {
            context.world.applies_manifest = true;
            let outcome = apply_all(context, apps);
            context.world.applies_manifest = false;
            outcome
        }
    };
    Ok(context.job_with(OPERATION, space, outcome))
}

/// Records an application that is applied to an app, without its variables.
fn record(context: &mut RequestContext<'_>, app: Guid, mut application: Map<String, Value>) {
    if let Some(environment) = application.get_mut("env") {
        *environment = json!("[PRIVATE DATA HIDDEN]");
    }
    let manifest = yaml::emit(&json!({"applications": [application]}));
    let data = json!({"request": {"manifest": manifest}});
    context.world.record(app, "audit.app.apply_manifest", data);
}

fn for_application(name: &str) -> String {
    format!("For application '{name}': ")
}

fn find_or_create(
    context: &mut RequestContext<'_>,
    space: Guid,
    manifest: &AppManifest,
) -> Result<Guid, CcError> {
    if let Some(app) = context.world.find_app(space, &manifest.name) {
        return Ok(app.guid());
    }
    validate(&name_errors(&manifest.name))?;
    let wanted = &manifest.lifecycle;
    let lifecycle = if wanted.docker {
        Lifecycle::Docker
    } else {
        let buildpacks = wanted.buildpacks.clone().unwrap_or_default();
        if let Some(name) = buildpacks
            .iter()
            .find(|name| !wanted.cnb && !lifecycle::is_buildpack(context.world, name, None))
        {
            let detail = format!("Specified unknown buildpack name: \"{name}\"");
            return Err(CcError::unprocessable(detail));
        }
        let stack = wanted.stack.clone();
        Lifecycle::Buildpack {
            buildpacks,
            stack: stack.unwrap_or_else(|| context.world.default_stack.into()),
            cnb: wanted.cnb,
        }
    };
    let (name, metadata) = (manifest.name.clone(), manifest.metadata.clone());
    let mut request = manifest.app_fields.clone();
    request.insert("name".into(), json!(name));
    request.insert(
        "relationships".into(),
        json!({"space": {"data": {"guid": space}}}),
    );
    let guid = context
        .world
        .create_app(space, name, lifecycle, None, metadata);
    context.world.create_process(guid, "web");
    context
        .world
        .record(guid, "audit.app.create", json!({"request": request}));
    Ok(guid)
}

/// Checks that an application has the lifecycle of the existing app.
fn check_kind(
    context: &RequestContext<'_>,
    app: Guid,
    wanted: &WantedLifecycle,
) -> Result<(), CcError> {
    let refused = match (&context.row::<App>(app)?.lifecycle, wanted.buildpack_key) {
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

fn apply_all(
    context: &mut RequestContext<'_>,
    apps: Vec<(Guid, AppManifest)>,
) -> Result<(), CcError> {
    for (app, manifest) in apps {
        let prefix = for_application(&manifest.name);
        apply_to(context, app, manifest).map_err(|error| error.prefixed(&prefix))?;
    }
    Ok(())
}

fn apply_to(
    context: &mut RequestContext<'_>,
    app: Guid,
    manifest: AppManifest,
) -> Result<(), CcError> {
    app_features::switch(context, app, &manifest.features)?;
    for (kind, update) in manifest.updates {
        if manifest.non_text_types.contains(&kind) {
            // The Cloud Controller's database compares the column with text only.
            return Err(CcError::unknown());
        }
        if let Some(process) = find_or_create_process(context, app, &kind) {
            processes::check_not_deploying(context, process, "update")?;
            context.world.update_process(process, update.patch)?;
            let request = json!({"request": audited(update.request)});
            context
                .world
                .record_process(process, "audit.app.process.update", &request);
        }
    }
    for (kind, patch) in manifest.scales {
        scale(context, app, &kind, patch)?;
    }
    for sidecar in manifest.sidecars {
        let name = sidecar.name.as_deref().unwrap_or_default();
        let existing = context.world.find_sidecar(app, name).map(Row::guid);
        match existing {
            Some(existing) => context.world.update_sidecar(existing, sidecar),
            None => context.world.create_sidecar(app, sidecar).map(|_| ()),
        }
        .map_err(CcError::unprocessable)?;
    }
    set_lifecycle(context, app, manifest.lifecycle)?;
    context.world.update_row(app, |app: &mut App| {
        app.base.metadata.apply(manifest.metadata)
    });
    let request = json!({"request": manifest.app_fields});
    context.world.record(app, "audit.app.update", request);
    set_routes(context, app, manifest.routes)?;
    let request = audited(Map::from_iter([(
        "environment_variables".to_owned(),
        json!(manifest.environment),
    )]));
    // An environment that was never set must stay unset.
    if !manifest.environment.is_empty() {
        context.world.set_environment(app, manifest.environment);
    }
    context
        .world
        .record(app, "audit.app.update", json!({"request": request}));
    for service in manifest.services {
        bind(context, app, service)?;
    }
    Ok(())
}

/// Binds an app to a service of its space, unless it is already bound.
fn bind(
    context: &mut RequestContext<'_>,
    app: Guid,
    service: WantedService,
) -> Result<(), CcError> {
    let space = context.row::<App>(app)?.space;
    let name = service.name;
    let instance = context.world.find_usable_service_instance(space, &name);
    let instance = instance
        .map(Row::guid)
        .ok_or_else(|| CcError::not_found(&format!("Service instance '{name}'")))?;
    let bindings = context.world.bindings_of(app);
    if bindings.iter().any(|binding| binding.instance == instance) {
        return Ok(());
    }
    let binding_name = service.binding_name;
    let bound = context.world.bind(NewBinding {
        app,
        instance,
        name: binding_name.clone(),
        metadata: MetadataPatch::default(),
        limit: context.settings.bindings_per_app,
        multiple: false,
    });
    let guid = bound
        .map_err(|reason| CcError::unprocessable(format!("For service '{name}': {reason}")))?;
    let binding = BindingRef::Credential(guid);
    let request = json!({
        "type": "app",
        "name": binding_name,
        "parameters": service.parameters.clone().unwrap_or_default(),
        "relationships": {
            "app": {"data": {"guid": app}},
            "service_instance": {"data": {"guid": instance}},
        },
    });
    if context.row::<ServiceInstance>(instance)?.managed.is_some() {
        let parameters = service.parameters.map(Value::Object);
        bind_in_job(
            context,
            binding,
            "service_bindings.create",
            parameters,
            request,
        );
        return Ok(());
    }
    context.world.record_bound(binding, request);
    Ok(())
}

fn find_or_create_process(context: &mut RequestContext<'_>, app: Guid, kind: &str) -> Option<Guid> {
    let existing = context.world.process(app, kind).map(Row::guid);
    existing.or_else(|| context.world.create_process(app, kind))
}

fn scale(
    context: &mut RequestContext<'_>,
    app: Guid,
    kind: &str,
    patch: ScalePatch,
) -> Result<(), CcError> {
    let Some(process) = context.world.process(app, kind) else {
        return Ok(());
    };
    let (guid, current) = (process.guid(), process.scale);
    processes::check_not_deploying(context, guid, "scale")?;
    let scale = Scale {
        instances: patch.instances.unwrap_or(current.instances),
        memory_mb: patch.memory_mb.unwrap_or(current.memory_mb),
        disk_mb: patch.disk_mb.unwrap_or(current.disk_mb),
        log_rate: patch.log_rate.unwrap_or(current.log_rate),
    };
    context.world.scale(guid, scale)?;
    let request = json!({"request": patch.request()});
    context
        .world
        .record_process(guid, "audit.app.process.scale", &request);
    Ok(())
}

fn set_lifecycle(
    context: &mut RequestContext<'_>,
    app: Guid,
    wanted: WantedLifecycle,
) -> Result<(), CcError> {
    let Lifecycle::Buildpack {
        buildpacks,
        stack,
        cnb,
    } = &context.row::<App>(app)?.lifecycle
    else {
        return Ok(());
    };
    let cnb = *cnb;
    let named = wanted.buildpacks.as_deref().unwrap_or_default();
    let asked = wanted.stack.as_deref();
    let asked = asked.unwrap_or(context.world.default_stack);
    let errors = lifecycle::problems(context.world, named, asked, cnb);
    let stack = wanted.stack.unwrap_or_else(|| stack.clone());
    validate(&errors)?;
    let buildpacks = wanted.buildpacks.unwrap_or_else(|| buildpacks.clone());
    context.world.update_row(app, |app: &mut App| {
        app.lifecycle = Lifecycle::Buildpack {
            buildpacks,
            stack,
            cnb,
        };
    });
    Ok(())
}

fn set_routes(
    context: &mut RequestContext<'_>,
    app: Guid,
    wanted: WantedRoutes,
) -> Result<(), CcError> {
    let mapped = Selection::by(Field::App, app);
    if wanted.none {
        return {
            context.world.unmap_routes(app);
            Ok(())
        };
    }
    if let Some(named) = wanted.named {
        return map_routes(context, app, named);
    }
    if !(wanted.random || wanted.default) || !context.world.routes.select(&mapped).is_empty() {
        return Ok(());
    }
    let name = context.row::<App>(app)?.name.clone();
    let host = if wanted.random {
        format!("{name}-{}", route_names::random(context.world))
    } else {
        check_host(&name)?;
        name
    };
    let domain = default_domain(context, app)?;
    let route = WantedRoute::named(format!("{host}.{domain}"));
    map_routes(context, app, vec![route])
}

/// The longest host of a route, in characters.
const MAX_HOST: usize = 63;

/// Checks that an app's name can be the host of its default route.
fn check_host(name: &str) -> Result<(), CcError> {
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

fn default_domain(context: &RequestContext<'_>, app: Guid) -> Result<String, CcError> {
    let space = context.row::<App>(app)?.space;
    let org = context.world.org_of(space);
    let domain = org.and_then(|org| context.world.default_domain(org.guid()));
    let domain = domain.ok_or_else(|| CcError::unprocessable("No default domains available"))?;
    Ok(domain.name.clone())
}

/// Maps routes to an app's web process, if all of them can be mapped.
fn map_routes(
    context: &mut RequestContext<'_>,
    app: Guid,
    wanted: Vec<WantedRoute>,
) -> Result<(), CcError> {
    let mut found = Vec::new();
    for wanted in wanted {
        let route = find_or_create_route(context, app, &wanted)?;
        found.push((route, wanted.protocol));
    }
    for (route, protocol) in found {
        let new = NewDestination {
            protocol,
            ..NewDestination::default()
        };
        let destination = context.world.new_destination(route, app, new);
        let protocol_of = &destination.protocol;
        if context
            .world
            .protocol_mismatch(route, protocol_of)
            .is_some()
        {
            return Err(CcError::unknown());
        }
        let current = context.world.routes.get(route).and_then(|route| {
            let mut destinations = route.destinations.iter();
            destinations.find(|destination| destination.app == app)
        });
        match current {
            // The Cloud Controller's job has no message for errors of destinations.
            None => {
                let added = context.world.add_destinations(route, vec![destination]);
                added.map_err(|_| CcError::unknown())?;
            }
            Some(current) if protocol.is_some_and(|wanted| wanted != current.protocol) => {
                context.world.put_destinations(route, vec![destination]);
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn find_or_create_route(
    context: &mut RequestContext<'_>,
    app: Guid,
    wanted: &WantedRoute,
) -> Result<Guid, CcError> {
    let space = context.row::<App>(app)?.space;
    let address = &wanted.address;
    let candidates = address.candidates().into_iter();
    let found = candidates
        .filter_map(|(host, name)| Some((host, context.world.named::<Domain>(name)?)))
        .next();
    let Some((host, domain)) = found else {
        let detail = format!("No domains exist for route {}", wanted.text);
        return Err(CcError::unprocessable(detail));
    };
    let existing = context
        .world
        .find_route(domain, host, &address.path, address.port);
    if let Some(route) = existing {
        if !route.is_usable_in(space) {
            return Err(CcError::unprocessable(
                "Routes cannot be mapped to destinations in different spaces",
            ));
        }
        let guid = route.guid();
        route_options::set_options(context.world, guid, &wanted.options)
            .map_err(|error| error.prefixed(&format!("For route '{}': ", wanted.text)))?;
        return Ok(guid);
    }
    context.require_flag_of_all("route_creation")?;
    if host == "*" && domain.org.is_none() {
        return Err(CcError::not_authorized());
    }
    if host.chars().count() > MAX_HOST {
        return Err(CcError::unprocessable(format!(
            "For route '{}': host must be no more than {MAX_HOST} characters",
            wanted.text
        )));
    }
    let new = NewRoute {
        space,
        domain: domain.guid(),
        host: host.into(),
        path: address.path.clone(),
        port: Some(address.port.unwrap_or_default()),
        options: wanted.options.clone(),
        metadata: MetadataPatch::default(),
    };
    let request = json!({
        "host": new.host,
        "path": new.path,
        "port": address.port,
        "options": new.options,
    });
    let guid = routes::add(context.world, new).map_err(|reason| {
        CcError::unprocessable(format!("For route '{}': {reason}", wanted.text))
    })?;
    let data = json!({"request": request});
    context.world.record_route(guid, "audit.route.create", data);
    Ok(guid)
}
