//! `/v2/routes`

use serde_json::{Map, Value, json};

use super::attributes::Attributes;
use super::list::{Filters, Query};
use super::{Errors, delete, invalid_relation, related, resource};
use crate::api::context::{RequestContext, View};
use crate::api::error::CcError;
use crate::api::fixtures::CREATE_ROUTE;
use crate::api::http::Response;
use crate::api::router;
use crate::world::metadata::MetadataPatch;
use crate::world::{
    Domain, Field, Guid, Kind, NewRoute, Route, RouteRefusal, Row, Space, World, is_in_host,
};

pub(crate) const ROUTES: &[router::Route] = &[
    router::Route::get("/v2/routes", index),
    router::Route::post("/v2/routes", create),
    router::Route::get("/v2/routes/:guid", show),
    router::Route::delete("/v2/routes/:guid", destroy),
];

const FILTERS: Filters = &[
    ("host", Field::Host),
    ("domain_guid", Field::Domain),
    ("space_guid", Field::Space),
    ("organization_guid", Field::Org),
    ("path", Field::Path),
];

pub(super) const ERRORS: Errors = Errors {
    not_found: (210_002, "CF-RouteNotFound", "The route could not be found"),
    name_taken: (210_003, "CF-RouteHostTaken", "The host is taken"),
};

pub(super) fn present(route: &Route, view: &View<'_>) -> Value {
    let path = format!("/v2/routes/{}", route.base.guid);
    let domain = view.world.domains.get(route.domain);
    let domains = match domain.and_then(|domain| domain.org) {
        Some(_) => "private_domains",
        None => "shared_domains",
    };
    let entity = json!({
        "host": route.host,
        "path": route.path,
        "domain_guid": route.domain,
        "space_guid": route.space,
        "service_instance_guid": null,
        "port": route.port,
        "domain_url": format!("/v2/{domains}/{}", route.domain),
        "space_url": format!("/v2/spaces/{}", route.space),
        "apps_url": format!("{path}/apps"),
        "route_mappings_url": format!("{path}/route_mappings"),
    });
    CREATE_ROUTE.fill(resource(&route.base, "routes", entity))
}

/// A route as summaries have it.
pub(super) fn summarize(world: &World, route: &Route) -> Value {
    let domain = world.domains.get(route.domain);
    json!({
        "guid": route.base.guid,
        "host": route.host,
        "port": route.port,
        "path": route.path,
        "domain": {
            "guid": route.domain,
            "name": domain.map(|domain| &domain.name),
        },
    })
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    list(context, None)
}

/// Routes; those of one app or space, if that is given.
pub(super) fn list(
    context: &RequestContext<'_>,
    nested: Option<(Field, Guid)>,
) -> Result<Response, CcError> {
    let query = Query::read(context, FILTERS)?;
    let mut selection = query.selection();
    if let Some(orgs) = query.orgs() {
        selection = selection.any_guid(Field::Space, context.world.spaces_of(orgs));
    }
    if let Some((field, guid)) = nested {
        selection = selection.any_guid(field, [guid]);
    }
    let paths = query.values(Field::Path);
    let keep = |route: &Route| paths.is_none_or(|paths| paths.contains(&route.path));
    Ok(query.answer(context, &selection, keep, present))
}

fn create(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let mut attributes = Attributes::new(&body);
    let domain_guid = attributes.text("domain_guid").unwrap_or_default();
    let space_guid = attributes.text("space_guid").unwrap_or_default();
    let host = attributes.optional_text("host").unwrap_or_default();
    let path = attributes.optional_text("path").unwrap_or_default();
    let port = attributes.optional_integer("port");
    attributes.finish()?;
    check_host_and_path(host, path)?;
    let port = port.map(u16::try_from).transpose();
    let port = port.map_err(|_| invalid("port port_unsupported"))?;
    let domain = related::<Domain>(context.world, "Domain", domain_guid)?.guid();
    let space = related::<Space>(context.world, "Space", space_guid)?.guid();
    let new = NewRoute {
        space,
        domain,
        host: host.into(),
        path: path.into(),
        port,
        options: Map::new(),
        metadata: MetadataPatch::default(),
    };
    let route = context.world.create_route(new);
    let guid = route.map_err(|refusal| match refusal {
        RouteRefusal::NoDomain => invalid_relation("Domain", domain_guid),
        RouteRefusal::NoSpace => invalid_relation("Space", space_guid),
        RouteRefusal::SpaceQuotaExceeded => CcError::new(
            400,
            310_005,
            "CF-SpaceQuotaTotalRoutesExceeded",
            "You have exceeded the total routes for your space's quota.",
        ),
        RouteRefusal::QuotaExceeded => CcError::new(
            400,
            310_006,
            "CF-OrgQuotaTotalRoutesExceeded",
            "You have exceeded the total routes for your organization's quota.",
        ),
        RouteRefusal::TakenElsewhere => ERRORS.taken(host),
        RouteRefusal::Taken if path.is_empty() => ERRORS.taken(host),
        RouteRefusal::Taken => CcError::new(
            400,
            210_004,
            "CF-RoutePathTaken",
            format!("The path is taken: {path}"),
        ),
        RouteRefusal::DomainNotUsable => invalid("domain invalid_relation"),
        RouteRefusal::DomainExists => invalid("host domain_conflict"),
        RouteRefusal::WildcardUnsupported => {
            invalid("host wildcard_host_not_supported_for_internal_domain")
        }
        RouteRefusal::PathUnsupported => invalid("path path_not_supported_for_internal_domain"),
        RouteRefusal::HostInvalid => invalid("host format"),
        RouteRefusal::PathTooLong | RouteRefusal::PathInvalid | RouteRefusal::PathSingleSlash => {
            CcError::new(
                400,
                130_004,
                "CF-PathInvalid",
                format!("The path is invalid: {path}"),
            )
        }
        RouteRefusal::HostMissing => invalid("host is required for shared-domains"),
        RouteRefusal::HostTooLong => {
            invalid("host combined with domain name must be no more than 253 characters")
        }
        RouteRefusal::PortUnsupported => invalid("port port_unsupported"),
        RouteRefusal::PortQuotaExceeded => {
            invalid("organization total_reserved_route_ports_exceeded")
        }
    })?;
    context.created(guid, present)
}

fn invalid(reason: &str) -> CcError {
    let detail = format!("The route is invalid: {reason}");
    CcError::new(400, 210_001, "CF-RouteInvalid", detail)
}

fn check_host_and_path(host: &str, path: &str) -> Result<(), CcError> {
    if host != "*" && !host.chars().all(is_in_host) {
        return Err(invalid("host format"));
    }
    if host.len() > 63 {
        return Err(invalid("host must be no more than 63 characters"));
    }
    let valid_path = path.is_empty() || path.starts_with('/') && path != "/" && !path.contains('?');
    if !valid_path || path.len() > 128 {
        let detail = format!("The path is invalid: {path}");
        return Err(CcError::new(400, 130_004, "CF-PathInvalid", detail));
    }
    Ok(())
}

pub(super) fn find(context: &RequestContext<'_>) -> Result<Guid, CcError> {
    ERRORS.find::<Route>(context)
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    context.ok(find(context)?, present)
}

fn destroy(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find(context)?;
    Ok(delete(context, "route.delete", Kind::Route, guid))
}
