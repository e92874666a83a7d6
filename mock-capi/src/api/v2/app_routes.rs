//! Which routes lead to which apps, from either side.

use super::{apps, routes};
use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::router;
use crate::api::v3::destinations;
use crate::world::{App, Field, Guid, Route, Row};

pub(crate) const ROUTES: &[router::Route] = &[
    router::Route::get("/v2/apps/:guid/routes", index_of_app),
    router::Route::put("/v2/apps/:guid/routes/:other", map_to_app),
    router::Route::delete("/v2/apps/:guid/routes/:other", unmap_from_app),
    router::Route::get("/v2/routes/:guid/apps", index_of_route),
    router::Route::put("/v2/routes/:guid/apps/:other", map_to_route),
    router::Route::delete("/v2/routes/:guid/apps/:other", unmap_from_route),
];

/// The row that `:other` names.
fn other<R: Row>(context: &RequestContext<'_>, errors: &super::Errors) -> Result<Guid, CcError> {
    let found = context.guid_of::<R>("other");
    found.map_err(|_| errors.not_found(context.capture("other")))
}

fn index_of_app(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let app = apps::find(context)?;
    routes::list(context, Some((Field::App, app)))
}

fn map_to_app(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let app = apps::find(context)?;
    let route = other::<Route>(context, &routes::ERRORS)?;
    map(context, app, route)?;
    Ok(Response::created(&apps::shown(context, app)))
}

fn unmap_from_app(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let app = apps::find(context)?;
    let route = other::<Route>(context, &routes::ERRORS)?;
    unmap(context, app, route);
    Ok(Response::empty(204))
}

/// Apps that a route leads to.
fn index_of_route(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let route: &Route = context.row(routes::find(context)?)?;
    let apps = route.destinations.iter().map(|destination| destination.app);
    apps::list(context, Some((Field::Guid, apps.collect())))
}

fn map_to_route(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let route = routes::find(context)?;
    let app = other::<App>(context, &apps::ERRORS)?;
    map(context, app, route)?;
    context.created(route, routes::present)
}

fn unmap_from_route(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let route = routes::find(context)?;
    let app = other::<App>(context, &apps::ERRORS)?;
    unmap(context, app, route);
    Ok(Response::empty(204))
}

/// Lets a route lead to an app's web process; that it does so already is fine.
fn map(context: &mut RequestContext<'_>, app: Guid, route: Guid) -> Result<(), CcError> {
    let of_app = context.world.apps.get(app).map(|app| app.space);
    let of_route = context.world.routes.get(route).map(|route| route.space);
    if of_app != of_route {
        let detail = "The app cannot be mapped to this route because the route is not in this space. \
             Apps must be mapped to routes in the same space.";
        return Err(CcError::new(400, 1002, "CF-InvalidRelation", detail));
    }
    let destination = destinations::to_web(context.world, app, None);
    destinations::add(context.world, route, vec![destination])
}

fn unmap(context: &mut RequestContext<'_>, app: Guid, route: Guid) {
    context.world.touch(route, |route: &mut Route| {
        route
            .destinations
            .retain(|destination| destination.app != app || destination.process != "web");
    });
}
