//! Sharing of service instances with other spaces.

use serde_json::{Value, json};

use super::service_instances;
use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::list::{ListQuery, ListSpec};
use crate::api::message::to_many_body;
use crate::api::router::Route;
use crate::world::{
    AccessScope, BindingRef, Field, Guid, Managed, OperationState, Row, Selection, ServiceInstance,
    Space, Step, WRITE_SPACE, World,
};

pub(crate) const ROUTES: &[Route] = &[
    Route::get(
        "/v3/service_instances/:guid/relationships/shared_spaces",
        index,
    ),
    Route::post(
        "/v3/service_instances/:guid/relationships/shared_spaces",
        share,
    )
    .by(WRITE_SPACE),
    Route::delete(
        "/v3/service_instances/:guid/relationships/shared_spaces/:space_guid",
        unshare,
    )
    .by(WRITE_SPACE),
    Route::get(
        "/v3/service_instances/:guid/relationships/shared_spaces/usage_summary",
        usage_summary,
    ),
];

const SHOW: ListSpec = ListSpec {
    fields: &[
        ("space", &["name", "guid", "relationships.organization"]),
        ("space.organization", &["name", "guid"]),
    ],
    ..ListSpec::of_one(&["fields"])
};

fn path(instance: Guid) -> String {
    format!("/v3/service_instances/{instance}/relationships/shared_spaces")
}

fn present(context: &RequestContext<'_>, instance: Guid) -> Result<Value, CcError> {
    let shared = &context.row::<ServiceInstance>(instance)?.shared_with;
    let data: Vec<Value> = shared.iter().map(|guid| json!({"guid": guid})).collect();
    let links = json!({"self": context.view().link(&path(instance))});
    Ok(json!({"data": data, "links": links}))
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = context.guid_of::<ServiceInstance>("guid")?;
    let query = ListQuery::read(context, &SHOW)?;
    let mut answer = present(context, guid)?;
    let spaces = context.row::<ServiceInstance>(guid)?.shared_with.clone();
    service_instances::include_spaces(&query, &context.view(), &mut answer, spaces);
    Ok(Response::ok(&answer))
}

fn share(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    context.require_flag_of_all("service_instance_sharing")?;
    let guid = context.guid_of::<ServiceInstance>("guid")?;
    let body = context.request.object()?;
    let asked = to_many_body(&body)?;
    let spaces = targets(context, guid, &asked)?;
    check(context, guid, &spaces)?;
    context
        .world
        .update_row(guid, |instance: &mut ServiceInstance| {
            for space in &spaces {
                if !instance.shared_with.contains(space) {
                    instance.shared_with.push(*space);
                }
            }
        });
    let data = json!({"target_space_guids": spaces});
    context.world.record_instance_with(guid, "share", data);
    Ok(Response::ok(&present(context, guid)?))
}

/// The spaces in a request. The caller must be able to see them and to write to them.
fn targets(
    context: &RequestContext<'_>,
    instance: Guid,
    asked: &[&str],
) -> Result<Vec<Guid>, CcError> {
    let name = &context.row::<ServiceInstance>(instance)?.name;
    let (mut found, mut unreadable, mut unwriteable) = (Vec::new(), Vec::new(), Vec::new());
    for text in asked {
        let space: Option<&Space> = context.visible(text);
        match space {
            None => unreadable.push(format!("'{text}'")),
            Some(space) => {
                let guid = space.base.guid;
                if context
                    .require(WRITE_SPACE, AccessScope::Space(guid))
                    .is_err()
                {
                    unwriteable.push(format!("'{text}'"));
                }
                found.push(guid);
            }
        }
    }
    let refusals = [
        (
            unreadable,
            "Ensure the spaces exist and that you have access to them.",
        ),
        (
            unwriteable,
            "Write permission is required in order to share a service instance with a space.",
        ),
    ];
    let refusals: Vec<String> = refusals
        .into_iter()
        .filter(|(spaces, _)| !spaces.is_empty())
        .map(|(spaces, why)| {
            let spaces = spaces.join(", ");
            format!("Unable to share service instance {name} with spaces [{spaces}]. {why}")
        })
        .collect();
    match refusals.is_empty() {
        true => Ok(found),
        false => Err(CcError::unprocessable(refusals.join("\n"))),
    }
}

fn check(context: &RequestContext<'_>, guid: Guid, spaces: &[Guid]) -> Result<(), CcError> {
    let world = &*context.world;
    let instance = context.row::<ServiceInstance>(guid)?;
    let refuse = |text: String| Err(CcError::unprocessable(text));
    if world.is_route_service(instance) {
        return refuse("Route services cannot be shared.".into());
    }
    let Some(managed) = &instance.managed else {
        return refuse("User-provided services cannot be shared.".into());
    };
    let plan = world.service_plans.get(managed.plan);
    let offering = plan.and_then(|plan| world.offering_of(plan));
    let (Some(plan), Some(offering)) = (plan, offering) else {
        return Err(CcError::unknown());
    };
    let label = &offering.catalog.name;
    if !offering.catalog.is_shareable() {
        return refuse(format!(
            "The {label} service does not support service instance sharing."
        ));
    }
    if spaces.contains(&instance.space) {
        return refuse(format!(
            "Unable to share service instance '{}' with space '{}'. Service instances cannot be shared into the space where they were created.",
            instance.name, instance.space
        ));
    }
    if !plan.available {
        return refuse(format!(
            "The service instance could not be shared as the {} plan is inactive.",
            plan.catalog.name
        ));
    }
    for space in spaces {
        let space: &Space = context.row(*space)?;
        let guid = space.base.guid;
        if !world.is_plan_visible_in(plan, guid) {
            let org = world.orgs.get(space.org).map_or("", |org| &org.name);
            return refuse(format!(
                "Access to service {label} and plan {} is not enabled in {org}/{}.",
                plan.catalog.name, space.name
            ));
        }
        if world.find_service_instance(guid, &instance.name).is_some() {
            return refuse(format!(
                "A service instance called {} already exists in {}.",
                instance.name, space.name
            ));
        }
        if is_shared_name(world, guid, &instance.name) {
            return refuse(format!(
                "A service instance called {} has already been shared with {}.",
                instance.name, space.name
            ));
        }
    }
    check_state(instance, managed)
}

fn is_shared_name(world: &World, space: Guid, name: &str) -> bool {
    let shared = Selection::by(Field::SharedWith, space);
    let shared = world.service_instances.select(&shared);
    shared.iter().any(|other| other.name == name)
}

fn check_state(instance: &ServiceInstance, managed: &Managed) -> Result<(), CcError> {
    let operation = &managed.operation;
    if operation.is("create", OperationState::Failed) {
        let detail = format!("The service instance could not be found: {}", instance.name);
        return Err(CcError::new(
            404,
            60_004,
            "CF-ServiceInstanceNotFound",
            detail,
        ));
    }
    if operation.kind == "create" && operation.is_pending() {
        return Err(CcError::unprocessable(
            "Service instance is currently being created. It can be shared after its creation succeeded.",
        ));
    }
    if operation.is("delete", OperationState::InProgress) {
        return Err(CcError::unprocessable(
            "The service instance is getting deleted.",
        ));
    }
    Ok(())
}

/// Ends the sharing with a space, and deletes the bindings of the space's apps. Requests
/// to brokers are sent in the background, because this operation has no job.
fn unshare(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = context.guid_of::<ServiceInstance>("guid")?;
    let text = context.capture("space_guid").to_owned();
    let space: Option<&Space> = context.world.look_up(&text);
    let space = space.map(Row::guid).ok_or_else(|| {
        CcError::unprocessable(format!(
            "Unable to unshare service instance from space {text}. Ensure the space exists."
        ))
    })?;
    let bindings = context.world.bindings_of_instance(guid).into_iter();
    let in_space = bindings.filter(|binding| {
        let app = binding.app.and_then(|app| context.world.apps.get(app));
        app.is_some_and(|app| app.space == space)
    });
    let in_space: Vec<Guid> = in_space.map(Row::guid).collect();
    for binding in in_space {
        let steps = vec![Step::Unbind(BindingRef::Credential(binding))];
        context
            .world
            .start_work("service_bindings.delete", binding, steps, Value::Null);
    }
    context
        .world
        .update_row(guid, |instance: &mut ServiceInstance| {
            instance.shared_with.retain(|&other| other != space);
        });
    let data = json!({"target_space_guid": space});
    context.world.record_instance_with(guid, "unshare", data);
    Ok(Response::empty(204))
}

fn usage_summary(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let instance: &ServiceInstance = context.named("guid")?;
    let bindings = context.world.bindings_of_instance(instance.base.guid);
    let bound_in = |space: Guid| {
        let apps = bindings.iter().filter_map(|binding| binding.app);
        let apps = apps.filter_map(|app| context.world.apps.get(app));
        apps.filter(|app| app.space == space).count()
    };
    let summary = instance
        .shared_with
        .iter()
        .map(|space| json!({"space": {"guid": space}, "bound_app_count": bound_in(*space)}));
    let (view, path) = (context.view(), path(instance.base.guid));
    let of_instance = format!("/v3/service_instances/{}", instance.base.guid);
    Ok(Response::ok(&json!({
        "usage_summary": summary.collect::<Vec<_>>(),
        "links": {
            "self": view.link(&format!("{path}/usage_summary")),
            "shared_spaces": view.link(&path),
            "service_instance": view.link(&of_instance),
        },
    })))
}
