//! Route mappings: `/v2/route_mappings`, and below apps and routes

use serde_json::{Value, json};

use super::apps::{APPS, web_app};
use super::collection::{self, Collection, Relation, by_guid};
use super::entity::Entity;
use super::filter::Filter;
use super::routes::HTTP_ROUTES;
use super::schema::{self, Attribute};
use super::source::{Listing, Order, Source};
use super::{authorize, invalid_relation, known, post, put, related_request, remove};
use crate::api::context::{RequestContext, View};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::router;
use crate::world::{
    AccessScope, App, Destination, Field, Guid, Key, Lifecycle, NewDestination, READ_SPACE, Route,
    Row, Selection, UNMAP_ROUTE, WRITE_SPACE, World,
};

pub(crate) const ROUTES: &[router::Route] = &[
    put("/v2/apps/:guid/routes/:other", map_to_app),
    remove("/v2/apps/:guid/routes/:other", unmap_from_app),
    put("/v2/routes/:guid/apps/:other", map_to_route),
    remove("/v2/routes/:guid/apps/:other", unmap_from_route),
    router::Route::get("/v2/route_mappings", collection::index),
    post("/v2/route_mappings", create),
    router::Route::get("/v2/route_mappings/:guid", collection::show),
    put("/v2/route_mappings/:guid", update),
    remove("/v2/route_mappings/:guid", destroy),
];

/// The default port of a mapping.
const DEFAULT_PORT: u16 = 8080;

pub(super) static ROUTE_MAPPINGS: Collection = Collection {
    path: "/v2/route_mappings",
    source: Source::scan(|world, selection| {
        let routes = world.routes.select(selection).into_iter();
        routes.flat_map(mappings).collect()
    })
    .of_kind(Route::MAPPED)
    .in_order(mappings_in_order)
    .visible(|world, access| Some(access.keys_by_space(world, READ_SPACE, &[Field::MappedIn]))),
    get: |world, guid| {
        let (route, destination) = find(world, guid)?;
        let is_mapping = destination.is_mapping();
        is_mapping.then_some(Entity::Mapping(route, destination))
    },
    parse: by_guid,
    relations: &[
        Relation::one("app", &APPS, |world, guid| {
            let (_, destination) = find(world, guid)?;
            web_app(world, world.apps.get(destination.app)?)
        }),
        Relation::one("route", &HTTP_ROUTES, |world, guid| {
            find(world, guid).map(|(route, _)| Entity::Route(route))
        }),
    ],
    filters: &[
        Filter::guid("app_guid", |_, mapping| match mapping {
            Entity::Mapping(_, destination) => vec![destination.app.to_string()],
            _ => Vec::new(),
        })
        .indexed(Field::App),
        Filter::guid("route_guid", |_, mapping| match mapping {
            Entity::Mapping(route, _) => vec![route.guid().to_string()],
            _ => Vec::new(),
        })
        .indexed(Field::Guid),
    ],
    order_by: &[],
    not_found: (
        210_007,
        "CF-RouteMappingNotFound",
        "The route mapping could not be found",
    ),
};

const ATTRIBUTES: &[Attribute] = &[
    Attribute::integer("app_port"),
    Attribute::text("app_guid").required(),
    Attribute::text("route_guid").required(),
];

/// The mappings of a route to web processes.
fn mappings(route: &Route) -> impl Iterator<Item = Entity<'_>> {
    let mapped = route.destinations.iter().filter(|it| it.is_mapping());
    mapped.map(move |destination| Entity::Mapping(route, destination))
}

/// The mappings in order. The keys count each mapping of a route.
fn mappings_in_order<'w>(
    world: &'w World,
    keys: Option<&[Key]>,
    order: Order,
) -> Option<Listing<'w>> {
    let (total, routes) = order.rows(world, &world.routes, keys)?;
    let in_order = move |route: &'w Route| {
        let mut of_route: Vec<Entity<'w>> = mappings(route).collect();
        if order.descending {
            of_route.reverse();
        }
        of_route
    };
    Some((total, Box::new(routes.flat_map(in_order))))
}

pub(super) fn mappings_of_route(world: &World, guid: Guid) -> Vec<Entity<'_>> {
    let route = world.routes.get(guid).into_iter();
    route.flat_map(mappings).collect()
}

pub(super) fn mappings_of_app(world: &World, app: Guid) -> Vec<Entity<'_>> {
    let routes = world.routes.select(&Selection::by(Field::App, app));
    let mappings = routes.into_iter().flat_map(mappings);
    let of_app = mappings.filter(|mapping| match mapping {
        Entity::Mapping(_, destination) => destination.app == app,
        _ => false,
    });
    of_app.collect()
}

fn find(world: &World, guid: Guid) -> Option<(&Route, &Destination)> {
    let of = Selection::all().any(vec![Key::Guid(Field::Destination, guid)]);
    let route = world.routes.select(&of).into_iter().next()?;
    let mut destinations = route.destinations.iter();
    let found = destinations.find(|destination| destination.guid == guid)?;
    Some((route, found))
}

pub(super) fn attributes(route: &Route, destination: &Destination, view: &View<'_>) -> Value {
    let app = view.world.apps.get(destination.app);
    // Docker images define their ports.
    let of_image = app.is_some_and(|app| app.lifecycle == Lifecycle::Docker);
    let default = (!of_image).then_some(DEFAULT_PORT);
    json!({
        "app_port": destination.port.or(default),
        "app_guid": destination.app,
        "route_guid": route.guid(),
    })
}

/// The app and the route in the path of a mapping.
fn other(context: &RequestContext<'_>, collection: &Collection) -> Result<Guid, CcError> {
    collection.look_up(context.world, context.capture("other"))
}

fn authorize_app(context: &RequestContext<'_>, app: Guid) -> Result<(), CcError> {
    let space = context.row::<App>(app)?.space;
    authorize(context, WRITE_SPACE, AccessScope::Space(space))
}

fn authorize_route(context: &RequestContext<'_>, route: Guid) -> Result<(), CcError> {
    let space = context.row::<Route>(route)?.space;
    authorize(context, WRITE_SPACE, AccessScope::Space(space))
}

fn map_to_app(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let app = known(context, &APPS)?;
    authorize_app(context, app)?;
    let route = other(context, &HTTP_ROUTES)?;
    if !in_same_space(context, app, route) {
        return Err(invalid_relation(
            "The app cannot be mapped to this route because the route is not in this space. \
             Apps must be mapped to routes in the same space.",
        ));
    }
    map(context, app, route, None)?;
    record_app(context, app, "add", route);
    APPS.changed(context, app)
}

fn unmap_from_app(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let app = known(context, &APPS)?;
    authorize_app(context, app)?;
    let route = other(context, &HTTP_ROUTES)?;
    unmap(context, app, route);
    record_app(context, app, "remove", route);
    Ok(Response::empty(204))
}

/// Records that the routes of an app changed.
fn record_app(context: &mut RequestContext<'_>, app: Guid, verb: &str, route: Guid) {
    let request = related_request("route", verb, "routes", &route.to_string());
    if let Value::Object(request) = request {
        context.world.record_app_update(app, request);
    }
}

/// Records that the apps of a route changed.
fn record_route(context: &mut RequestContext<'_>, route: Guid, verb: &str, app: Guid) {
    let request = related_request("app", verb, "apps", &app.to_string());
    let data = json!({"request": request});
    context
        .world
        .record_route(route, "audit.route.update", data);
}

fn map_to_route(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let route = known(context, &HTTP_ROUTES)?;
    authorize_route(context, route)?;
    let app = other(context, &APPS)?;
    if !in_same_space(context, app, route) {
        return Err(invalid_relation(
            "The requested app relation is invalid: the app and route must belong to the same space",
        ));
    }
    map(context, app, route, None)?;
    record_route(context, route, "add", app);
    HTTP_ROUTES.changed(context, route)
}

fn unmap_from_route(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let route = known(context, &HTTP_ROUTES)?;
    authorize_route(context, route)?;
    let app = other(context, &APPS)?;
    unmap(context, app, route);
    record_route(context, route, "remove", app);
    Ok(Response::empty(204))
}

fn in_same_space(context: &RequestContext<'_>, app: Guid, route: Guid) -> bool {
    let of_app = context.world.apps.get(app).map(|app| app.space);
    let of_route = context.world.routes.get(route).map(|route| route.space);
    of_app == of_route
}

/// The mapping of a route to a port of an app's web process.
fn mapping(
    context: &RequestContext<'_>,
    app: Guid,
    route: Guid,
    port: Option<u16>,
) -> Option<Guid> {
    let route = context.world.routes.get(route)?;
    let mut destinations = route.destinations.iter();
    let found = destinations.find(|destination| {
        destination.app == app
            && destination.process == "web"
            && destination.port.unwrap_or(DEFAULT_PORT) == port.unwrap_or(DEFAULT_PORT)
    });
    found.map(|destination| destination.guid)
}

/// Maps a route to an app's web process. An existing mapping is kept.
fn map(
    context: &mut RequestContext<'_>,
    app: Guid,
    route: Guid,
    port: Option<u16>,
) -> Result<Guid, CcError> {
    let process = context.world.process(app, "web");
    let first = process.and_then(|process| process.v2.ports.first().copied());
    let port = port.or(first);
    if let Some(known) = mapping(context, app, route, port) {
        return Ok(known);
    }
    let mut destination = context
        .world
        .new_destination(route, app, NewDestination::default());
    destination.port = port.or(destination.port);
    let guid = destination.guid;
    context.world.add_destinations(route, vec![destination])?;
    Ok(guid)
}

fn unmap(context: &mut RequestContext<'_>, app: Guid, route: Guid) {
    let first = context.world.routes.get(route).and_then(|route| {
        let mut destinations = route.destinations.iter();
        let found = destinations.find(|it| it.app == app && it.process == "web");
        found.map(|destination| destination.guid)
    });
    if let Some(guid) = first {
        remove_mapping(context.world, route, guid);
    }
}

fn remove_mapping(world: &mut World, route: Guid, guid: Guid) {
    let mut removed = None;
    world.update_row(route, |route: &mut Route| {
        let destinations = &mut route.destinations;
        let index = destinations.iter().position(|it| it.guid == guid);
        removed = index.map(|index| destinations.remove(index));
    });
    if let Some(destination) = removed {
        world.record_mapping(UNMAP_ROUTE, route, &destination);
    }
}

fn create(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let attributes = schema::of_new(&body, ATTRIBUTES)?;
    let (app_guid, route_guid) = (
        attributes.text("app_guid").unwrap_or_default(),
        attributes.text("route_guid").unwrap_or_default(),
    );
    let route = HTTP_ROUTES.look_up(context.world, route_guid)?;
    let app = APPS.look_up(context.world, app_guid)?;
    let space = context.row::<App>(app)?.space;
    context.require(WRITE_SPACE, AccessScope::Space(space))?;
    if !in_same_space(context, app, route) {
        return Err(invalid_relation(
            "the app and route must belong to the same space",
        ));
    }
    let asked = attributes.integer("app_port");
    let process = context.world.process(app, "web");
    let open = process.map(|process| process.v2.ports.clone());
    let open = open.unwrap_or_default();
    let port = asked.map(u16::try_from).transpose().unwrap_or(Some(0));
    let is_open = |port: u16| match open.as_slice() {
        [] => port == DEFAULT_PORT,
        open => open.contains(&port),
    };
    let of_image = context.row::<App>(app)?.lifecycle == Lifecycle::Docker;
    if port.is_some_and(|port| !of_image && !is_open(port)) {
        let detail = "Routes can only be mapped to ports already enabled for the application.";
        return Err(CcError::new(
            400,
            60023,
            "CF-RoutePortNotEnabledOnApp",
            detail,
        ));
    }
    let port = port.or(open.first().copied());
    if mapping(context, app, route, port).is_some() {
        let at = port.map_or(String::new(), |port| format!("port {port} of "));
        let detail = format!(
            "The route mapping is taken: Route {route_guid} is mapped to {at}app {app_guid}"
        );
        return Err(CcError::new(400, 210_006, "CF-RouteMappingTaken", detail));
    }
    let guid = map(context, app, route, port)?;
    let answer = ROUTE_MAPPINGS.created(context, guid)?;
    let warning = (asked.is_none() && !open.is_empty()).then(|| {
        let port = port.unwrap_or(DEFAULT_PORT);
        format!("Route has been mapped to app port {port}.")
    });
    Ok(answer.with_warnings(warning))
}

/// Mappings cannot be changed.
fn update(_context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    Err(CcError::unknown_request())
}

fn destroy(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = known(context, &ROUTE_MAPPINGS)?;
    let found = find(context.world, guid).map(|(route, _)| (route.guid(), route.space));
    let (route, space) = found.ok_or_else(CcError::unknown_request)?;
    context.require(WRITE_SPACE, AccessScope::Space(space))?;
    remove_mapping(context.world, route, guid);
    Ok(Response::empty(204))
}
