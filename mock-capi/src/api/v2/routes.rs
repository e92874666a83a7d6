//! `/v2/routes`

use serde_json::{Map, Value, json};

use super::apps::{APPS, web_app};
use super::collection::{self, Collection, Relation, by_guid, row};
use super::domains::DOMAINS;
use super::entity::Entity;
use super::filter::{Filter, in_spaces_of};
use super::route_mappings::{ROUTE_MAPPINGS, mappings_of_route};
use super::schema::{self, Attribute, Preset};
use super::services::SERVICE_INSTANCES;
use super::source::Source;
use super::spaces::SPACES;
use super::{
    authorize, delete, invalid_relation, is_recursive, known, post, put, related_row, remove,
};
use crate::api::context::{RequestContext, View};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::message::Fields;
use crate::api::router;
use crate::world::metadata::MetadataPatch;
use crate::world::{
    AccessScope, Domain, Field, Guid, Kind, NewRoute, READ_ROUTES, Route, RouteRefusal, Row, Space,
    WRITE_SPACE, World, is_in_host,
};

pub(crate) const ROUTES: &[router::Route] = &[
    router::Route::get("/v2/routes", collection::index),
    post("/v2/routes", create),
    router::Route::get("/v2/routes/:guid", collection::show),
    put("/v2/routes/:guid", update),
    remove("/v2/routes/:guid", destroy),
    router::Route::get("/v2/routes/:guid/apps", collection::related),
    router::Route::get("/v2/routes/:guid/route_mappings", collection::related),
    router::Route::get("/v2/routes/reserved/domain/:domain", is_reserved),
    router::Route::get("/v2/routes/reserved/domain/:domain/host/:host", is_reserved),
];

pub(super) static HTTP_ROUTES: Collection = Collection {
    path: "/v2/routes",
    source: Source::of::<Route>()
        .visible(|world, access| Some(access.keys_in_spaces(world, READ_ROUTES))),
    get: row::<Route>,
    parse: by_guid,
    relations: &[
        Relation::one("domain", &DOMAINS, |world, guid| {
            let route = world.routes.get(guid)?;
            world.domains.get(route.domain).map(Entity::from)
        }),
        Relation::one("space", &SPACES, |world, guid| {
            let route = world.routes.get(guid)?;
            world.spaces.get(route.space).map(Entity::from)
        }),
        Relation::one("service_instance", &SERVICE_INSTANCES, |world, guid| {
            let binding = world.route_binding_of(guid)?;
            world
                .service_instances
                .get(binding.instance)
                .map(Entity::from)
        }),
        Relation::many("apps", &APPS, apps_of),
        Relation::link("route_mappings", &ROUTE_MAPPINGS, mappings_of_route),
    ],
    filters: &[
        Filter::text("host", |_, route| text(route, |route| route.host.clone()))
            .without_case()
            .indexed(Field::Host),
        Filter::guid("domain_guid", |_, route| {
            text(route, |route| route.domain.to_string())
        })
        .indexed(Field::Domain),
        Filter::guid("organization_guid", |world, route| match route {
            Entity::Route(route) => {
                let org = world.org_of(route.space);
                org.map(|org| org.guid().to_string()).into_iter().collect()
            }
            _ => Vec::new(),
        })
        .found_by(in_spaces_of),
        Filter::text("path", |_, route| text(route, |route| route.path.clone())).without_case(),
        Filter::number("port", |_, route| {
            text(route, |route| route.port.unwrap_or_default().to_string())
        }),
    ],
    order_by: &[],
    not_found: (210_002, "CF-RouteNotFound", "The route could not be found"),
};

const ATTRIBUTES: &[Attribute] = &[
    Attribute::text("host").preset(Preset::Text("")),
    Attribute::text("path"),
    Attribute::integer("port"),
    Attribute::text("domain_guid").required(),
    Attribute::text("space_guid").required(),
];

fn text(route: Entity<'_>, text: impl Fn(&Route) -> String) -> Vec<String> {
    match route {
        Entity::Route(route) => vec![text(route)],
        _ => Vec::new(),
    }
}

/// The apps that a route is mapped to.
fn apps_of(world: &World, guid: Guid) -> Vec<Entity<'_>> {
    let route = world.routes.get(guid);
    let destinations = route.into_iter().flat_map(|route| &route.destinations);
    let apps = destinations.map(|destination| destination.app);
    let apps = crate::world::Selection::all().any_guid(Field::Guid, apps);
    let apps = world.apps.select(&apps).into_iter();
    apps.filter_map(|app| web_app(world, app)).collect()
}

pub(super) fn attributes(route: &Route, view: &View<'_>) -> Value {
    let binding = view.world.route_binding_of(route.base.guid);
    json!({
        "host": route.host,
        "path": route.path,
        "domain_guid": route.domain,
        "space_guid": route.space,
        "service_instance_guid": binding.map(|binding| binding.instance),
        "port": route.port,
    })
}

/// A route in summaries.
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

fn taken(host: &str) -> CcError {
    let detail = format!("The host is taken: {host}");
    CcError::new(400, 210_003, "CF-RouteHostTaken", detail)
}

fn invalid(reason: &str) -> CcError {
    let detail = format!("The route is invalid: {reason}");
    CcError::new(400, 210_001, "CF-RouteInvalid", detail)
}

fn path_invalid(reason: &str) -> CcError {
    let detail = format!("The path is invalid: {reason}");
    CcError::new(400, 130_004, "CF-PathInvalid", detail)
}

fn create(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let attributes = schema::of_new(&body, ATTRIBUTES)?;
    let generates_port = match context.request.query("generate_port") {
        None | Some("false") => false,
        Some("true") if context.world.router_groups.is_empty() => {
            return Err(super::domains::routing_api_disabled());
        }
        Some("true") => true,
        Some(_) => return Err(CcError::invalid_request()),
    };
    let domain = attributes.text("domain_guid").unwrap_or_default();
    let domain = related_row::<Domain>(context.world, "Domain", domain)?.guid();
    let space = attributes.text("space_guid").unwrap_or_default();
    let space = related_row::<Space>(context.world, "Space", space)?;
    refuse_foreign_domain(context.world, domain, space.org)?;
    let space = space.guid();
    let (host, path) = (
        attributes.text("host").unwrap_or_default(),
        attributes.text("path").unwrap_or_default(),
    );
    validate(context.world, domain, host, path)?;
    let port = match read_port(attributes)? {
        _ if generates_port => None,
        port => Some(port.unwrap_or_default()),
    };
    let new = NewRoute {
        space,
        domain,
        host: host.into(),
        path: path.into(),
        port,
        options: Map::new(),
        metadata: MetadataPatch::default(),
    };
    let guid = context.world.create_route(new);
    let place = (domain, host, path);
    let guid = guid.map_err(|refusal| refused(context.world, refusal, place))?;
    if let Err(refusal) = authorize_creation(context, space, domain, host) {
        context.world.delete(Kind::Route, guid);
        return Err(refusal);
    }
    let data = json!({"request": schema::audited_new(&body, ATTRIBUTES)});
    context.world.record_route(guid, "audit.route.create", data);
    HTTP_ROUTES.created(context, guid)
}

/// Refuses domains that the organization of a space may not use.
fn refuse_foreign_domain(world: &World, domain: Guid, org: Guid) -> Result<(), CcError> {
    let domain = world.domains.get(domain);
    match domain.filter(|domain| !domain.is_usable_by(org)) {
        None => Ok(()),
        Some(domain) => {
            let detail = format!("Organization cannot use domain {}", domain.name);
            Err(invalid_relation(detail))
        }
    }
}

/// Refuses callers who may not write to the space, and wildcard hosts of shared
/// domains.
fn authorize_creation(
    context: &RequestContext<'_>,
    space: Guid,
    domain: Guid,
    host: &str,
) -> Result<(), CcError> {
    authorize_change(context, space, domain, host)?;
    match context.access.is_everything() {
        true => Ok(()),
        false => context.require_flag("route_creation"),
    }
}

fn authorize_change(
    context: &RequestContext<'_>,
    space: Guid,
    domain: Guid,
    host: &str,
) -> Result<(), CcError> {
    authorize(context, WRITE_SPACE, AccessScope::Space(space))?;
    let domain: &Domain = context.row(domain)?;
    if host == "*" && domain.org.is_none() && !context.access.is_everything() {
        return Err(CcError::not_authorized());
    }
    Ok(())
}

const PORT_UNAVAILABLE: &str = "The requested port is not available for reservation. \
     Try a different port or request a random one be generated for you.";

fn read_port(attributes: Fields<'_>) -> Result<Option<u16>, CcError> {
    let port = attributes.integer("port").filter(|port| *port != 0);
    let port = port.map(u16::try_from).transpose();
    port.map_err(|_| invalid(PORT_UNAVAILABLE))
}

/// Checks host and path in a domain as the Cloud Controller's model does.
fn validate(world: &World, domain: Guid, host: &str, path: &str) -> Result<(), CcError> {
    const MAX_HOST: usize = 63;
    const MAX_NAME: usize = 253;
    let domain = world.domains.get(domain);
    let mut errors: Vec<String> = Vec::new();
    if host != "*" && !host.chars().all(is_in_host) {
        errors.push("host format".into());
    }
    if host.len() > MAX_HOST {
        errors.push(format!("host must be no more than {MAX_HOST} characters"));
    }
    let name = domain.map_or(0, |domain| domain.name.len());
    if !host.is_empty() && host.len() + 1 + name > MAX_NAME {
        errors.push(format!(
            "host combined with domain name must be no more than {MAX_NAME} characters"
        ));
    }
    if domain.is_some_and(|domain| domain.org.is_none() && domain.router_group.is_none())
        && host.is_empty()
    {
        errors.push("host is required for shared-domains".into());
    }
    check_path(path)?;
    if domain.is_some_and(|domain| domain.internal) {
        if !path.is_empty() {
            return Err(invalid("Path is not supported for internal domains."));
        }
        if host == "*" {
            return Err(invalid(
                "Wild card host names are not supported for internal domains.",
            ));
        }
    }
    match errors.as_slice() {
        [] => Ok(()),
        errors => Err(invalid(&errors.join(", "))),
    }
}

fn check_path(path: &str) -> Result<(), CcError> {
    const MAX_PATH: usize = 128;
    if path.is_empty() {
        return Ok(());
    }
    if path == "/" {
        return Err(path_invalid("the path cannot be a single slash"));
    }
    if !path.starts_with('/') {
        return Err(path_invalid("the path must start with a \"/\""));
    }
    if path.contains('?') {
        return Err(path_invalid("illegal \"?\" character"));
    }
    if path.chars().count() > MAX_PATH {
        return Err(path_invalid("the path exceeds 128 characters"));
    }
    if path.contains(char::is_whitespace) {
        return Err(path_invalid(path));
    }
    Ok(())
}

/// The v2 error for a refused route.
fn refused(
    world: &World,
    refusal: RouteRefusal,
    (domain, host, path): (Guid, &str, &str),
) -> CcError {
    match refusal {
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
        RouteRefusal::TakenElsewhere => {
            invalid("Routes for this host and domain have been reserved for another space.")
        }
        RouteRefusal::Taken if path.is_empty() => taken(host),
        RouteRefusal::Taken => {
            let detail = format!("The path is taken: {path}");
            CcError::new(400, 210_004, "CF-RoutePathTaken", detail)
        }
        RouteRefusal::NoDomain | RouteRefusal::NoSpace | RouteRefusal::DomainNotUsable => {
            invalid("domain invalid_relation")
        }
        RouteRefusal::DomainExists => invalid("host domain_conflict"),
        RouteRefusal::HostInvalid => invalid("host format"),
        RouteRefusal::HostMissing => invalid("host is required for shared-domains"),
        RouteRefusal::HostTooLong => {
            invalid("host combined with domain name must be no more than 253 characters")
        }
        RouteRefusal::PathInvalid => path_invalid(path),
        RouteRefusal::PathTooLong => path_invalid("the path exceeds 128 characters"),
        RouteRefusal::PathSingleSlash => path_invalid("the path cannot be a single slash"),
        RouteRefusal::PathUnsupported => invalid("Path is not supported for internal domains."),
        RouteRefusal::WildcardUnsupported => {
            invalid("Wild card host names are not supported for internal domains.")
        }
        RouteRefusal::PortUnsupported => {
            invalid("Port is supported for domains of TCP router groups only.")
        }
        RouteRefusal::TcpHostUnsupported | RouteRefusal::TcpPathUnsupported => {
            invalid("Host and path are not supported, as domain belongs to a TCP router group.")
        }
        RouteRefusal::PortMissing => {
            invalid("For TCP routes you must specify a port or request a random one.")
        }
        RouteRefusal::PortsExhausted => {
            let domain = world.domains.get(domain);
            let group = domain.and_then(|domain| world.router_group(domain));
            let detail = format!(
                "There are no more ports available for router group: {}. Please contact your administrator for more information.",
                group.map_or("", |group| &group.name)
            );
            CcError::new(403, 21008, "CF-OutOfRouterGroupPorts", detail)
        }
        RouteRefusal::PortUnavailable(_) => invalid(PORT_UNAVAILABLE),
        RouteRefusal::PortTaken(port) => {
            let detail = format!(
                "The port is taken: Port {port} is not available on this domain's router group. Try a different port, request an random port, or use a domain of a different router group."
            );
            CcError::new(400, 210_005, "CF-RoutePortTaken", detail)
        }
        RouteRefusal::SpacePortQuotaExceeded => {
            invalid("space total_reserved_route_ports_exceeded")
        }
        RouteRefusal::PortQuotaExceeded => {
            invalid("organization total_reserved_route_ports_exceeded")
        }
    }
}

fn update(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let attributes = schema::of_change(&body, ATTRIBUTES)?;
    let guid = known(context, &HTTP_ROUTES)?;
    let route: &Route = context.row(guid)?;
    let (space, domain) = (route.space, route.domain);
    authorize_change(context, space, domain, &route.host)?;
    if let Some(other) = attributes.text("domain_guid") {
        let other = related_row::<Domain>(context.world, "Domain", other)?.guid();
        if other != domain {
            return Err(invalid("domain invalid_relation"));
        }
    }
    let to = match attributes.text("space_guid") {
        Some(other) => related_row::<Space>(context.world, "Space", other)?.guid(),
        None => space,
    };
    let host = attributes.text("host").unwrap_or(&route.host).to_owned();
    let path = attributes.text("path").unwrap_or(&route.path).to_owned();
    let port = read_port(attributes)?;
    if port.is_some() {
        let place = (domain, host.as_str(), path.as_str());
        return Err(refused(context.world, RouteRefusal::PortUnsupported, place));
    }
    if to != space {
        if !route.destinations.is_empty() {
            let detail = "The requested app relation is invalid: Route and apps not in same space";
            return Err(CcError::new(400, 1002, "CF-InvalidRelation", detail));
        }
        let org = context.row::<Space>(to)?.org;
        refuse_foreign_domain(context.world, domain, org)?;
    }
    validate(context.world, domain, &host, &path)?;
    let others = context.world.domains.get(domain);
    let others = others.map(|domain| {
        let at_host = context.world.routes_at(domain, &host);
        let others = at_host.into_iter().filter(|other| other.guid() != guid);
        let others: Vec<&Route> = others.collect();
        let same = others.iter().any(|it| it.path.eq_ignore_ascii_case(&path));
        let elsewhere = domain.org.is_none() && others.iter().any(|other| other.space != to);
        (same, elsewhere)
    });
    let refusal = match others {
        Some((true, _)) => Some(RouteRefusal::Taken),
        Some((_, true)) => Some(RouteRefusal::TakenElsewhere),
        _ => None,
    };
    if let Some(refusal) = refusal {
        let place = (domain, host.as_str(), path.as_str());
        return Err(refused(context.world, refusal, place));
    }
    authorize_change(context, to, domain, &host)?;
    context.world.move_route(guid, to);
    context.world.update_row(guid, |route: &mut Route| {
        route.host = host;
        route.path = path;
    });
    let data = json!({"request": schema::audited_change(&body, ATTRIBUTES)});
    context.world.record_route(guid, "audit.route.update", data);
    HTTP_ROUTES.changed(context, guid)
}

fn destroy(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = known(context, &HTTP_ROUTES)?;
    let route: &Route = context.row(guid)?;
    authorize_change(context, route.space, route.domain, &route.host)?;
    let data = json!({"request": {"recursive": is_recursive(context)}});
    context
        .world
        .record_route(guid, "audit.route.delete-request", data);
    Ok(delete(context, "route.delete", Kind::Route, guid))
}

/// Whether a route with the host and the path exists, even if the caller cannot see it.
fn is_reserved(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let world = &*context.world;
    let domain = world.look_up::<Domain>(context.capture("domain"));
    let host = match context.capture("host") {
        "" => context.request.query("host").unwrap_or_default(),
        host => host,
    };
    let path = context.request.query("path");
    let routes = domain.map(|domain| world.routes_at(domain, host));
    let mut routes = routes.into_iter().flatten();
    match routes.any(|route| path.is_none_or(|path| route.path.eq_ignore_ascii_case(path))) {
        true => Ok(Response::empty(204)),
        false => Err(CcError::unknown_request()),
    }
}
