//! Routes with a route service.

use serde_json::Value;

use super::managed_bindings::{
    await_binding, await_unbinding, check_bindable, read_binding_parameters,
};
use super::routes::HTTP_ROUTES;
use super::service_attributes::instance_path;
use super::services::{SERVICE_INSTANCES, USER_PROVIDED};
use super::{authorize, invalid_relation, known};
use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::world::{
    AccessScope, BindingRef, Guid, Route, RouteBinding, Row, ServiceInstance, WRITE_SPACE,
    WaitingClient,
};

/// Route bindings are always created and deleted synchronously.
const CLIENT: WaitingClient = WaitingClient {
    accepts_incomplete: false,
};

/// The instance and the route that the path names, if the caller may change them.
fn writable(context: &RequestContext<'_>) -> Result<(Guid, Guid), CcError> {
    let instance = known(context, &SERVICE_INSTANCES)?;
    let space = context.row::<ServiceInstance>(instance)?.space;
    let route = HTTP_ROUTES.look_up(context.world, context.capture("other"))?;
    authorize(context, WRITE_SPACE, AccessScope::Space(space))?;
    Ok((instance, route))
}

/// Checks that a route can be bound to an instance.
fn check(context: &RequestContext<'_>, instance: Guid, route: Guid) -> Result<(), CcError> {
    let world = &*context.world;
    let refuse = |code, title: &str, detail: &str| Err(CcError::new(400, code, title, detail));
    let bound = world.route_binding_of(route).map(|bound| bound.instance);
    if bound == Some(instance) {
        return refuse(
            130_008,
            "CF-ServiceInstanceAlreadyBoundToSameRoute",
            "The route and service instance are already bound.",
        );
    }
    let (found, route): (&ServiceInstance, &Route) = (context.row(instance)?, context.row(route)?);
    if !world.is_route_service(found) {
        return refuse(
            130_006,
            "CF-ServiceDoesNotSupportRoutes",
            "This service does not support route binding.",
        );
    }
    if bound.is_some() {
        return refuse(
            130_007,
            "CF-RouteAlreadyBoundToServiceInstance",
            "A route may only be bound to a single service instance",
        );
    }
    if found.space != route.space {
        return refuse(
            60_017,
            "CF-ServiceInstanceRouteBindingSpaceMismatch",
            "The service instance and the route are in different spaces.",
        );
    }
    check_bindable(context, instance)
}

pub(super) fn bind_route(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object().unwrap_or_default();
    let (instance, route) = writable(context)?;
    check(context, instance, route)?;
    let found: &ServiceInstance = context.row(instance)?;
    let (path, managed) = (instance_path(found), found.managed.is_some());
    let route_service_url = found.route_service_url.clone().filter(|_| !managed);
    let space = context.row::<Route>(route)?.space;
    let base = context.world.base();
    let guid = context.world.add(RouteBinding {
        base,
        route,
        space,
        instance,
        route_service_url,
        operation: None,
    });
    let binding = BindingRef::Route(guid);
    if managed {
        let job = ("service_route_bindings.create", binding);
        return await_binding(context, job, path, (&body, Value::Null), CLIENT);
    }
    context
        .world
        .record_v2_binding(binding, "create", Value::Null);
    USER_PROVIDED.changed(context, instance)
}

/// The binding of a route to an instance.
fn bound(context: &RequestContext<'_>, instance: Guid, route: Guid) -> Result<Guid, CcError> {
    let found = context.world.route_binding_of(route);
    let found = found.filter(|binding| binding.instance == instance);
    found.map(Row::guid).ok_or_else(|| {
        let detail = format!("Route {route} is not bound to service instance {instance}.");
        invalid_relation(detail)
    })
}

pub(super) fn unbind_route(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let (instance, route) = writable(context)?;
    let binding = BindingRef::Route(bound(context, instance, route)?);
    let path = instance_path(context.row(instance)?);
    let job = ("service_route_bindings.delete", binding);
    await_unbinding(context, job, path, CLIENT)
}

/// `GET /v2/service_instances/:guid/routes/:other/parameters`
pub(super) fn route_parameters(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let instance = SERVICE_INSTANCES.readable(context)?;
    let route = HTTP_ROUTES.look_up(context.world, context.capture("other"))?;
    let guid = bound(context, instance, route)?;
    read_binding_parameters(
        context,
        BindingRef::Route(guid),
        (
            90_007,
            "CF-ServiceFetchBindingParametersNotSupported",
            "This service does not support fetching service binding parameters.",
        ),
    )
}
