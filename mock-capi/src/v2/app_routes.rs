//! Which routes lead to which apps, from either side.

use super::{apps, routes};
use crate::call::Call;
use crate::error::CcError;
use crate::http::Response;
use crate::router;
use crate::v3::destinations;
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
fn other<R: Row>(call: &Call<'_>, errors: &super::Errors) -> Result<Guid, CcError> {
    let found = call.guid_of::<R>("other");
    found.map_err(|_| errors.not_found(call.capture("other")))
}

fn index_of_app(call: &mut Call<'_>) -> Result<Response, CcError> {
    let app = apps::find(call)?;
    routes::list(call, Some((Field::App, app)))
}

fn map_to_app(call: &mut Call<'_>) -> Result<Response, CcError> {
    let app = apps::find(call)?;
    let route = other::<Route>(call, &routes::ERRORS)?;
    map(call, app, route)?;
    Ok(Response::created(&apps::shown(call, app)))
}

fn unmap_from_app(call: &mut Call<'_>) -> Result<Response, CcError> {
    let app = apps::find(call)?;
    let route = other::<Route>(call, &routes::ERRORS)?;
    unmap(call, app, route);
    Ok(Response::empty(204))
}

/// Apps that a route leads to.
fn index_of_route(call: &mut Call<'_>) -> Result<Response, CcError> {
    let route: &Route = call.row(routes::find(call)?)?;
    let apps = route.destinations.iter().map(|destination| destination.app);
    apps::list(call, Some((Field::Guid, apps.collect())))
}

fn map_to_route(call: &mut Call<'_>) -> Result<Response, CcError> {
    let route = routes::find(call)?;
    let app = other::<App>(call, &apps::ERRORS)?;
    map(call, app, route)?;
    call.created(route, routes::present)
}

fn unmap_from_route(call: &mut Call<'_>) -> Result<Response, CcError> {
    let route = routes::find(call)?;
    let app = other::<App>(call, &apps::ERRORS)?;
    unmap(call, app, route);
    Ok(Response::empty(204))
}

/// Lets a route lead to an app's web process; that it does so already is fine.
fn map(call: &mut Call<'_>, app: Guid, route: Guid) -> Result<(), CcError> {
    let of_app = call.world.apps.get(app).map(|app| app.space);
    let of_route = call.world.routes.get(route).map(|route| route.space);
    if of_app != of_route {
        let detail = "The app cannot be mapped to this route because the route is not in this space. \
             Apps must be mapped to routes in the same space.";
        return Err(CcError::new(400, 1002, "CF-InvalidRelation", detail));
    }
    let destination = destinations::to_web(call.world, app, None);
    destinations::add(call.world, route, vec![destination])
}

fn unmap(call: &mut Call<'_>, app: Guid, route: Guid) {
    call.world.touch(route, |route: &mut Route| {
        route
            .destinations
            .retain(|destination| destination.app != app || destination.process != "web");
    });
}
