//! `/v3/routes`

use serde_json::{Map, Value, json};

use super::route_options::{check_options, merge_options, read_options, set_options};
use crate::api::context::{RequestContext, View, to_one};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::list::{ListQuery, ListSpec};
use crate::api::message::Message;
use crate::api::router;
use crate::api::state::Present;
use crate::world::metadata::MetadataPatch;
use crate::world::{
    AccessScope, Domain, Field, Guid, Key, Kind, MANAGE_APPS, NewRoute, Route, RouteRefusal,
    Selection, World, is_in_host,
};

use super::{apps, destinations, domains};

pub(crate) const ROUTES: &[router::Route] = &[
    router::Route::get("/v3/routes", index),
    router::Route::post("/v3/routes", create)
        .by(MANAGE_APPS)
        .flagged("route_creation"),
    router::Route::get("/v3/routes/:guid", show),
    router::Route::patch("/v3/routes/:guid", update).by(MANAGE_APPS),
    router::Route::delete("/v3/routes/:guid", delete).by(MANAGE_APPS),
    router::Route::get("/v3/domains/:guid/route_reservations", check_reservation),
];

const LIST: ListSpec = ListSpec {
    include: &["domain", "space", "space.organization", "route_policies"],
    checks_labels: false,
    ..ListSpec::of(&[
        "hosts",
        "space_guids",
        "organization_guids",
        "domain_guids",
        "paths",
        "app_guids",
        "include",
        "label_selector",
        "ports",
        "service_instance_guids",
    ])
};

impl Present for Route {
    fn present(&self, view: &View<'_>) -> Value {
        present(self, view)
    }
}

pub(crate) fn present(route: &Route, view: &View<'_>) -> Value {
    let path = format!("/v3/routes/{}", route.base.guid);
    json!({
        "guid": route.base.guid,
        "created_at": route.base.created,
        "updated_at": route.base.updated,
        "protocol": view.world.protocol_of_route(route),
        "host": route.host,
        "path": route.path,
        "port": route.port,
        "url": view.world.route_url(route),
        "destinations": destinations::present_all(route),
        "options": route.options,
        "metadata": route.base.metadata.present(),
        "relationships": {
            "space": to_one(Some(route.space)),
            "domain": to_one(Some(route.domain)),
        },
        "links": {
            "self": view.link(&path),
            "space": view.link(&format!("/v3/spaces/{}", route.space)),
            "destinations": view.link(&format!("{path}/destinations")),
            "domain": view.link(&format!("/v3/domains/{}", route.domain)),
        },
    })
}

pub(crate) fn find(context: &RequestContext<'_>) -> Result<Guid, CcError> {
    context.guid_of::<Route>("guid")
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    list(context, None)
}

/// `GET /v3/apps/:guid/routes`
pub(crate) fn index_of_app(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    // The query is validated before the app is looked up.
    ListQuery::read(context, &LIST)?;
    let app = apps::find(context)?;
    list(context, Some(app))
}

fn list(context: &RequestContext<'_>, app: Option<Guid>) -> Result<Response, CcError> {
    let mut query = ListQuery::read(context, &LIST)?;
    let mut selection = query.by_texts(query.selection(), "hosts", Field::Host);
    selection = query.by_guids(selection, "domain_guids", Field::Domain);
    selection = query.by_guids(selection, "app_guids", Field::App);
    if let Some(spaces) = query.guids("space_guids") {
        let fields = [Field::Space, Field::SharedWith].into_iter();
        let keys =
            fields.flat_map(|field| spaces.iter().map(move |space| Key::Guid(field, *space)));
        selection = selection.any(keys.collect());
    }
    if let Some(orgs) = query.guids("organization_guids") {
        selection = selection.any_guid(Field::Space, context.world.spaces_of(orgs));
    }
    if let Some(app) = app {
        selection = selection.any_guid(Field::App, [app]);
        query = query.with_implied("app_guids", app.to_string());
    }
    let paths = query.values("paths");
    let is_at_path = |route: &Route| {
        let paths = paths.as_ref();
        paths.is_none_or(|paths| {
            paths
                .iter()
                .any(|path| path.eq_ignore_ascii_case(&route.path))
        })
    };
    let page = query.page_by_query(context.world, &selection, |route: &Route| {
        is_at_path(route)
            && query.admits("ports", &route.port.unwrap_or_default().to_string())
            && query.value("service_instance_guids").is_none()
    });
    let mut answer = query.answer(context, &page, present);
    include(&query, &context.view(), &mut answer.rest, &page.rows);
    Ok(answer.into())
}

/// Whether a domain has a route with the requested host, path and port.
fn check_reservation(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let domain = context.guid_of::<Domain>("guid")?;
    let asked = |name: &str| {
        let values = context.request.query(name).unwrap_or_default().split(',');
        values.map(str::trim_start).collect::<Vec<&str>>()
    };
    let hosts = asked("host").into_iter();
    let hosts = hosts.map(|host| Key::text(Field::Host, host)).collect();
    let selection = Selection::by(Field::Domain, domain).any(hosts);
    let port = context.request.query("port").unwrap_or("0");
    let matches = |route: &&Route| {
        asked("path")
            .iter()
            .any(|path| route.path.eq_ignore_ascii_case(path))
            && route.port.unwrap_or_default().to_string() == port
    };
    let found = context.world.routes.select(&selection);
    Ok(Response::ok(
        &json!({"matching_route": found.iter().any(matches)}),
    ))
}

fn include(query: &ListQuery, view: &View<'_>, answer: &mut Value, routes: &[&Route]) {
    if query.includes("domain") {
        let domains = routes.iter().map(|route| route.domain);
        answer["included"]["domains"] = view.included(domains, domains::present);
    }
    apps::include(query, view, answer, routes.iter().map(|route| route.space));
}

fn create(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let new = read_new(&body, context.world)?;
    if context.world.domains.get(new.domain).is_none() {
        return Err(CcError::unprocessable(NO_DOMAIN));
    }
    context.authorize(AccessScope::Space(new.space))?;
    let domain = context.world.domains.get(new.domain);
    let shared = domain.is_some_and(|domain| domain.org.is_none());
    if shared && new.host == "*" && !context.access.is_everything() {
        return Err(CcError::unprocessable(
            "You do not have sufficient permissions to create a route with a wildcard host on a domain not scoped to an organization.",
        ));
    }
    let guid = add(context.world, new).map_err(CcError::unprocessable)?;
    let data = json!({"request": context.request_body()});
    context.world.record_route(guid, "audit.route.create", data);
    context.created(guid, present)
}

/// Adds a route. The error is the reason for a refusal.
pub(crate) fn add(world: &mut World, new: NewRoute) -> Result<Guid, String> {
    let (host, path) = (new.host.clone(), new.path.clone());
    let (space, domain) = (new.space, new.domain);
    let created = world.create_route(new);
    created.map_err(|refusal| refusal_text(world, refusal, space, domain, &host, &path))
}

/// Malformed GUIDs identify no resource.
fn guid_or_none(text: Option<&str>, missing: &str) -> Result<Guid, CcError> {
    let guid = text.and_then(Guid::parse);
    guid.ok_or_else(|| CcError::unprocessable(missing))
}

const NO_SPACE: &str = "Invalid space. Ensure that the space exists and you have access to it.";
const NO_DOMAIN: &str = "Invalid domain. Ensure that the domain exists and you have access to it.";

fn read_new(body: &Map<String, Value>, world: &World) -> Result<NewRoute, CcError> {
    let allowed = [
        "host",
        "path",
        "port",
        "relationships",
        "options",
        "metadata",
    ];
    let mut message = Message::of_any(body);
    let metadata = message.metadata();
    let host = message.check("host").allow_null().string().length(0..=63);
    let host = host.matches(
        |text| text == "*" || text.chars().all(is_in_host),
        "must be either \"*\" or contain only alphanumeric characters, \"_\", or \"-\"",
    );
    let host = host.text().unwrap_or_default();
    let path = message.check("path").allow_null().string().length(0..=128);
    let begins = |text: &str| text.is_empty() || text.starts_with('/');
    let path = path.matches(begins, "must begin with /");
    let path = path.matches(|text| !text.contains('?'), "cannot contain ?");
    let path = path.matches(|text| text != "/", "cannot be exactly /");
    let path = path.text().unwrap_or_default();
    let port = message.integer("port", 0..=65_535);
    message.check("relationships").present();
    message.refuse_unknown(&allowed);
    let related = message.relationships(&["space", "domain"], |inner| {
        (inner.related("space"), inner.related("domain"))
    });
    let asked = read_options(&mut message, world);
    message.finish()?;
    let mut options = Map::new();
    merge_options(&mut options, asked.into_iter().flatten());
    check_options(&options)?;
    let (space, domain) = related.unwrap_or_default();
    let space = guid_or_none(space, NO_SPACE)?;
    if world.spaces.get(space).is_none() {
        return Err(CcError::unprocessable(NO_SPACE));
    }
    Ok(NewRoute {
        space,
        domain: guid_or_none(domain, NO_DOMAIN)?,
        host: host.into(),
        path: path.into(),
        port: match body.contains_key("port") {
            true => Some(port.and_then(|port| u16::try_from(port).ok()).unwrap_or(0)),
            false => None,
        },
        options,
        metadata,
    })
}

fn refusal_text(
    world: &World,
    refusal: RouteRefusal,
    space: Guid,
    domain: Guid,
    host: &str,
    path: &str,
) -> String {
    let domain = world.domains.get(domain).map_or("", |domain| &domain.name);
    let org = world.org_of(space).map_or("", |org| &org.name);
    match refusal {
        RouteRefusal::NoSpace => NO_SPACE.into(),
        RouteRefusal::NoDomain => NO_DOMAIN.into(),
        RouteRefusal::DomainNotUsable => {
            format!("Invalid domain. Domain '{domain}' is not available in organization '{org}'.")
        }
        RouteRefusal::SpaceQuotaExceeded => {
            let space = world.spaces.get(space).map_or("", |space| &space.name);
            format!("Routes quota exceeded for space '{space}'.")
        }
        RouteRefusal::QuotaExceeded => format!("Routes quota exceeded for organization '{org}'."),
        RouteRefusal::DomainExists => format!("Route conflicts with domain '{host}.{domain}'."),
        RouteRefusal::WildcardUnsupported => {
            "Wildcard hosts are not supported for internal domains.".into()
        }
        RouteRefusal::PathUnsupported => "Paths are not supported for internal domains.".into(),
        RouteRefusal::HostInvalid => "Host format is invalid.".into(),
        RouteRefusal::PathInvalid => "Path is invalid.".into(),
        RouteRefusal::PortQuotaExceeded => {
            format!("Reserved route ports quota exceeded for organization '{org}'.")
        }
        RouteRefusal::PathTooLong => "Path exceeds 128 characters.".into(),
        RouteRefusal::PathSingleSlash => "Path cannot be a single '/'.".into(),
        RouteRefusal::HostMissing => {
            "Missing host. Routes in shared domains must have a host defined.".into()
        }
        RouteRefusal::HostTooLong => {
            "Host combined with domain name must be no more than 253 characters.".into()
        }
        RouteRefusal::SpacePortQuotaExceeded => {
            let space = world.spaces.get(space).map_or("", |space| &space.name);
            format!("Reserved route ports quota exceeded for space '{space}'.")
        }
        RouteRefusal::TcpHostUnsupported => "Hosts are not supported for TCP routes.".into(),
        RouteRefusal::TcpPathUnsupported => "Paths are not supported for TCP routes.".into(),
        RouteRefusal::PortMissing => "Routes with protocol 'tcp' must specify a port.".into(),
        RouteRefusal::PortsExhausted => "There are no more ports available for this domain.".into(),
        RouteRefusal::PortUnavailable(port) => format!(
            "Port '{port}' is not available. Try a different port or use a different domain."
        ),
        RouteRefusal::PortTaken(port) => {
            format!("Route already exists with port '{port}' for domain '{domain}'.")
        }
        RouteRefusal::PortUnsupported => "Routes with protocol 'http' do not support ports.".into(),
        // The Cloud Controller has no better message.
        RouteRefusal::TakenElsewhere => {
            "domain_id and host host_and_domain_taken_different_space".into()
        }
        RouteRefusal::Taken => {
            let host = match host {
                "" => String::new(),
                host => format!(" host '{host}'"),
            };
            let path = match path {
                "" => String::new(),
                path => format!(" path '{path}'"),
            };
            match (host.as_str(), path.as_str()) {
                ("", "") => format!("Route already exists for domain '{domain}'."),
                ("", path) => format!("Route already exists with{path} for domain '{domain}'."),
                (host, "") => format!("Route already exists with{host} for domain '{domain}'."),
                (host, path) => {
                    format!("Route already exists with{host} and{path} for domain '{domain}'.")
                }
            }
        }
    }
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let spec = ListSpec {
        include: LIST.include,
        ..ListSpec::of_one(&["guid", "include"])
    };
    let query = ListQuery::read_or(context, &spec, CcError::unprocessable)?;
    let route: &Route = context.named("guid")?;
    let view = context.view();
    let mut answer = present(route, &view);
    include(&query, &view, &mut answer, &[route]);
    Ok(Response::ok(&answer))
}

fn update(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find(context)?;
    let body = context.request.object()?;
    let mut message = Message::of_any(&body);
    let options = read_options(&mut message, context.world);
    message.refuse_unknown(&["options", "metadata"]);
    let current = &context.row::<Route>(guid)?.base.metadata;
    let patch: MetadataPatch = message.metadata_update(current);
    message.finish()?;
    if let Some(options) = options {
        set_options(context.world, guid, options)?;
    }
    context.world.update_row(guid, |route: &mut Route| {
        route.base.metadata.apply(patch);
    });
    context.ok(guid, present)
}

fn delete(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = find(context)?;
    let data = json!({"request": {"recursive": true}});
    context
        .world
        .record_route(guid, "audit.route.delete-request", data);
    Ok(context.delete_in_job("route.delete", Kind::Route, guid))
}
