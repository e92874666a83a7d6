//! Service brokers, their services and plans, and the visibility of plans.

use serde_json::{Map, Value, json};

use super::collection::{self, Collection, Relation, by_guid, row, rows_by};
use super::entity::Entity;
use super::filter::Filter;
use super::list::Query;
use super::organizations::ORGANIZATIONS;
use super::schema::{self, Attribute};
use super::services::SERVICE_INSTANCES;
use super::source::Source;
use super::spaces::SPACES;
use super::{association_not_empty, authorize, known, post, put, related_row, remove};
use crate::api::context::{RequestContext, View};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::router::Route;
use crate::world::{
    ADMINS, AccessScope, FeatureFlag, Field, Guid, Org, PlanVisibility, Row, Selection,
    ServiceBroker, ServiceInstance, ServiceOffering, ServicePlan, Target, Visibility, World,
};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v2/services", index).open(),
    Route::get("/v2/services/:guid", collection::show),
    remove("/v2/services/:guid", delete_service),
    Route::get("/v2/services/:guid/service_plans", collection::related),
    Route::get("/v2/service_plans", index).open(),
    Route::get("/v2/service_plans/:guid", collection::show),
    put("/v2/service_plans/:guid", update_plan),
    remove("/v2/service_plans/:guid", delete_plan),
    Route::get(
        "/v2/service_plans/:guid/service_instances",
        collection::related,
    ),
    Route::get("/v2/service_plan_visibilities", collection::index),
    post("/v2/service_plan_visibilities", create_visibility),
    Route::get("/v2/service_plan_visibilities/:guid", collection::show),
    put("/v2/service_plan_visibilities/:guid", update_visibility),
    remove("/v2/service_plan_visibilities/:guid", delete_visibility),
    Route::get("/v2/organizations/:guid/services", index_services_of_org),
    Route::get("/v2/spaces/:guid/services", index_services_of_space),
];

/// Lists what the marketplace offers. Without a token, these are public plans and their
/// services, unless a feature flag hides them.
fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    const HIDDEN: &str = "hide_marketplace_from_unauthenticated_users";
    if context.caller.is_none() {
        if context.request.header("authorization").is_some() {
            return Err(CcError::invalid_auth_token());
        }
        let flag = context.world.named::<FeatureFlag>(HIDDEN);
        if flag.is_some_and(|flag| flag.enabled) {
            return Err(CcError::not_authenticated());
        }
        // Nobody has this GUID, so no roles apply.
        context.access = context.world.access_of(Guid::NIL);
    }
    collection::index(context)
}

/// The values of a filter of services.
fn of_service(entity: Entity<'_>, value: impl Fn(&ServiceOffering) -> String) -> Vec<String> {
    match entity {
        Entity::Service(service) => vec![value(service)],
        _ => Vec::new(),
    }
}

/// The values of a filter of plans.
fn of_plan(entity: Entity<'_>, value: impl Fn(&ServicePlan) -> String) -> Vec<String> {
    match entity {
        Entity::Plan(plan) => vec![value(plan)],
        _ => Vec::new(),
    }
}

pub(super) static SERVICES: Collection = Collection {
    path: "/v2/services",
    source: Source::of::<ServiceOffering>(),
    get: row::<ServiceOffering>,
    parse: by_guid,
    relations: &[Relation::many(
        "service_plans",
        &SERVICE_PLANS,
        |world, guid| rows_by::<ServicePlan>(world, Field::Offering, guid),
    )],
    filters: &[
        Filter::flag("active", |_, service| {
            of_service(service, |service| service.available.to_string())
        }),
        Filter::text("label", |_, service| {
            of_service(service, |service| service.catalog.name.clone())
        }),
        Filter::text("provider", |_, _| Vec::new()),
        Filter::guid("service_broker_guid", |_, service| {
            of_service(service, |service| service.broker.to_string())
        })
        .indexed(Field::Broker),
        Filter::text("unique_id", |_, service| {
            of_service(service, |service| service.catalog.id.clone())
        }),
    ],
    order_by: &[],
    not_found: (
        120_003,
        "CF-ServiceNotFound",
        "The service could not be found",
    ),
};

pub(super) static SERVICE_PLANS: Collection = Collection {
    path: "/v2/service_plans",
    source: Source::of::<ServicePlan>(),
    get: row::<ServicePlan>,
    parse: by_guid,
    relations: &[
        Relation::one("service", &SERVICES, |world, guid| {
            let plan = world.service_plans.get(guid)?;
            world.offering_of(plan).map(Entity::from)
        }),
        Relation::many("service_instances", &SERVICE_INSTANCES, |world, guid| {
            rows_by::<ServiceInstance>(world, Field::Plan, guid)
        }),
    ],
    filters: &[
        Filter::flag("active", |_, plan| {
            of_plan(plan, |plan| plan.available.to_string())
        }),
        Filter::guid("service_guid", |_, plan| {
            of_plan(plan, |plan| plan.offering.to_string())
        })
        .indexed(Field::Offering),
        Filter::guid("service_instance_guid", |world, plan| {
            let instances = rows_by::<ServiceInstance>(world, Field::Plan, plan.guid());
            instances.into_iter().map(Entity::id).collect()
        }),
        Filter::guid("service_broker_guid", |world, plan| match plan {
            Entity::Plan(plan) => {
                let broker = world.broker_of(plan).map(Row::guid);
                broker.iter().map(Guid::to_string).collect()
            }
            _ => Vec::new(),
        }),
        Filter::text("unique_id", |_, plan| {
            of_plan(plan, |plan| plan.catalog.id.clone())
        }),
    ],
    order_by: &[],
    not_found: (
        110_003,
        "CF-ServicePlanNotFound",
        "The service plan could not be found",
    ),
};

pub(super) static SERVICE_BROKERS: Collection = Collection {
    path: "/v2/service_brokers",
    source: Source::of::<ServiceBroker>(),
    get: row::<ServiceBroker>,
    parse: by_guid,
    relations: &[],
    filters: &[
        Filter::EXACT_NAME,
        Filter::guid("space_guid", |_, broker| match broker {
            Entity::Broker(broker) => broker.space.iter().map(Guid::to_string).collect(),
            _ => Vec::new(),
        })
        .indexed(Field::Space),
    ],
    order_by: &[],
    not_found: (
        270_004,
        "CF-ServiceBrokerNotFound",
        "The service broker was not found",
    ),
};

fn visibilities<'w>(world: &'w World, _selection: &Selection) -> Vec<Entity<'w>> {
    let plans = world.service_plans.iter();
    let all = plans.flat_map(|plan| {
        let visibilities = plan.visibilities.iter();
        visibilities.map(move |visibility| (plan, visibility))
    });
    let mut all: Vec<_> = all.collect();
    all.sort_by_key(|(_, visibility)| visibility.created);
    let entities = all.into_iter();
    entities
        .map(|(plan, visibility)| Entity::Visibility(plan, visibility))
        .collect()
}

pub(super) static SERVICE_PLAN_VISIBILITIES: Collection = Collection {
    path: "/v2/service_plan_visibilities",
    source: Source::scan(visibilities),
    get: |world, guid| {
        let (plan, visibility) = world.plan_visibility(guid)?;
        Some(Entity::Visibility(plan, visibility))
    },
    parse: by_guid,
    relations: &[
        Relation::one("service_plan", &SERVICE_PLANS, |world, guid| {
            let (plan, _) = world.plan_visibility(guid)?;
            Some(Entity::from(plan))
        }),
        Relation::one("organization", &ORGANIZATIONS, |world, guid| {
            let (_, visibility) = world.plan_visibility(guid)?;
            world.orgs.get(visibility.org).map(Entity::from)
        }),
    ],
    filters: &[
        Filter::guid("organization_guid", |_, entity| match entity {
            Entity::Visibility(_, visibility) => vec![visibility.org.to_string()],
            _ => Vec::new(),
        }),
        Filter::guid("service_plan_guid", |_, entity| match entity {
            Entity::Visibility(plan, _) => vec![plan.guid().to_string()],
            _ => Vec::new(),
        }),
    ],
    order_by: &[],
    not_found: (
        260_003,
        "CF-ServicePlanVisibilityNotFound",
        "The service plan visibility could not be found",
    ),
};

/// The metadata of a catalog, which v2 presents as text.
fn extra(metadata: Option<&Map<String, Value>>) -> Value {
    metadata.map_or(Value::Null, |metadata| {
        json!(Value::Object(metadata.clone()).to_string())
    })
}

pub(super) fn broker_attributes(broker: &ServiceBroker) -> Value {
    json!({
        "name": broker.name,
        "broker_url": broker.url,
        "auth_username": broker.username,
        "space_guid": broker.space,
    })
}

pub(super) fn service_attributes(service: &ServiceOffering, view: &View<'_>) -> Value {
    let catalog = &service.catalog;
    let broker = view.world.service_brokers.get(service.broker);
    json!({
        "label": catalog.name,
        "provider": null,
        "url": null,
        "description": catalog.description,
        "long_description": null,
        "version": null,
        "info_url": null,
        "active": service.available,
        "bindable": catalog.bindable,
        "unique_id": catalog.id,
        "extra": extra(catalog.metadata.as_ref()),
        "tags": catalog.tags,
        "requires": catalog.requires,
        "documentation_url": null,
        "service_broker_guid": service.broker,
        "service_broker_name": broker.map(|broker| &broker.name),
        "plan_updateable": catalog.plan_updateable,
        "bindings_retrievable": catalog.bindings_retrievable,
        "instances_retrievable": catalog.instances_retrievable,
        "allow_context_updates": catalog.allow_context_updates,
    })
}

pub(super) fn plan_attributes(plan: &ServicePlan, view: &View<'_>) -> Value {
    let catalog = &plan.catalog;
    let schema = |path: &str| {
        let schema = catalog.schemas.pointer(path);
        json!({"parameters": schema.cloned().unwrap_or_else(|| json!({}))})
    };
    json!({
        "name": catalog.name,
        "free": catalog.free,
        "description": catalog.description,
        "service_guid": plan.offering,
        "extra": extra(catalog.metadata.as_ref()),
        "unique_id": catalog.id,
        "public": plan.public,
        "bindable": view.world.is_bindable(plan),
        "plan_updateable": catalog.plan_updateable,
        "active": plan.available,
        "maximum_polling_duration": catalog.maximum_polling_duration,
        "maintenance_info": catalog.maintenance_info.clone().unwrap_or_default(),
        "schemas": {
            "service_instance": {
                "create": schema("/service_instance/create/parameters"),
                "update": schema("/service_instance/update/parameters"),
            },
            "service_binding": {"create": schema("/service_binding/create/parameters")},
        },
    })
}

pub(super) fn visibility_attributes(plan: &ServicePlan, visibility: &PlanVisibility) -> Value {
    json!({
        "service_plan_guid": plan.base.guid,
        "organization_guid": visibility.org,
    })
}

/// Services with a plan that can be used in an organization or a space.
fn index_services(
    context: &RequestContext<'_>,
    is_usable: impl Fn(&ServicePlan) -> bool,
) -> Result<Response, CcError> {
    let query = Query::read(context, &SERVICES, false)?;
    let world = &*context.world;
    let services = world.service_offerings.iter().filter(|service| {
        let plans = world.plans_of(service.guid());
        plans.into_iter().any(&is_usable)
    });
    let services = services.map(Entity::from).collect();
    let path = context.request.path.trim_end_matches('/');
    Ok(query.answer(context, &SERVICES, services, path))
}

fn index_services_of_org(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let org = ORGANIZATIONS.readable(context)?;
    index_services(context, |plan| {
        plan.available && (plan.public || plan.is_visible_to(org))
    })
}

fn index_services_of_space(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let space = SPACES.readable(context)?;
    let world = &*context.world;
    index_services(context, |plan| world.is_plan_visible_in(plan, space))
}

/// Deletes a service that has no plans or, with `purge`, a service with all its
/// instances.
fn delete_service(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = known(context, &SERVICES)?;
    authorize(context, ADMINS, AccessScope::Global)?;
    let name = context.row::<ServiceOffering>(guid)?.catalog.name.clone();
    let request = if context.request.query("purge") == Some("true") {
        context.world.purge_offering(guid);
        json!({"purge": true})
    } else if context.world.plans_of(guid).is_empty() {
        context.world.service_offerings.remove(guid);
        json!({})
    } else {
        return Err(association_not_empty("service_plans", "services"));
    };
    let data = json!({"request": request});
    context
        .world
        .record_named("audit.service.delete", "service", guid, &name, data);
    Ok(Response::empty(204))
}

/// Sets whether a plan is visible to everyone. Other attributes are ignored.
fn update_plan(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    const PLAN: &[Attribute] = &[
        Attribute::text("name"),
        Attribute::boolean("free"),
        Attribute::text("description"),
        Attribute::text("extra"),
        Attribute::text("unique_id"),
        Attribute::text("service_guid"),
        Attribute::boolean("public"),
    ];
    let body = context.request.object()?;
    schema::of_change(&body, PLAN)?;
    let guid = known(context, &SERVICE_PLANS)?;
    authorize(context, ADMINS, AccessScope::Global)?;
    let public = body.get("public").and_then(Value::as_bool);
    context.world.update_row(guid, |plan: &mut ServicePlan| {
        plan.public = public.unwrap_or(plan.public);
    });
    SERVICE_PLANS.changed(context, guid)
}

fn delete_plan(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = known(context, &SERVICE_PLANS)?;
    authorize(context, ADMINS, AccessScope::Global)?;
    if context.world.has_instances_of_plan(guid) {
        return Err(association_not_empty("service_instances", "service_plans"));
    }
    context.world.service_plans.remove(guid);
    Ok(Response::empty(204))
}

const VISIBILITY: &[Attribute] = &[
    Attribute::text("service_plan_guid").required(),
    Attribute::text("organization_guid").required(),
];

/// Checks that a plan can be made visible to an organization.
fn check_visibility(world: &World, plan: &ServicePlan, org: Guid) -> Result<(), CcError> {
    let refuse = |code, title: &str, detail: &str| Err(CcError::new(400, code, title, detail));
    match world.visibility(plan) {
        Visibility::Public => refuse(
            260_001,
            "CF-ServicePlanVisibilityInvalid",
            "Service Plan Visibility is invalid: service_plan is publicly available",
        ),
        Visibility::Space(_) => refuse(
            260_001,
            "CF-ServicePlanVisibilityInvalid",
            "Service Plan Visibility is invalid: service_plan is from a private broker",
        ),
        _ if plan.is_visible_to(org) => refuse(
            260_002,
            "CF-ServicePlanVisibilityAlreadyExists",
            "This combination of ServicePlan and Organization is already taken: organization_id and service_plan_id unique",
        ),
        _ => Ok(()),
    }
}

fn create_visibility(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let attributes = schema::of_new(&body, VISIBILITY)?;
    let text = |name: &str| attributes.text(name).unwrap_or_default();
    let world = &*context.world;
    let plan: &ServicePlan = related_row(world, "ServicePlan", text("service_plan_guid"))?;
    let org = related_row::<Org>(world, "Organization", text("organization_guid"))?.guid();
    check_visibility(world, plan, org)?;
    let plan = plan.guid();
    authorize(context, ADMINS, AccessScope::Global)?;
    let guid = context.world.show_plan_to(plan, org);
    record(context, "audit.service_plan_visibility.create", guid, org);
    SERVICE_PLAN_VISIBILITIES.created(context, guid)
}

fn record(context: &mut RequestContext<'_>, kind: &'static str, guid: Guid, org: Guid) {
    let data = json!({"request": context.request_body()});
    let target = Target {
        org: Some(org),
        ..Target::of("service_plan_visibility", guid, "")
    };
    context.world.record_target(kind, target, data);
}

fn update_visibility(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let attributes = schema::of_change(&body, VISIBILITY)?;
    let guid = known(context, &SERVICE_PLAN_VISIBILITIES)?;
    authorize(context, ADMINS, AccessScope::Global)?;
    let world = &*context.world;
    let (plan, visibility) = world
        .plan_visibility(guid)
        .ok_or_else(CcError::unknown_request)?;
    let plan = match attributes.text("service_plan_guid") {
        Some(other) => related_row(world, "ServicePlan", other)?,
        None => plan,
    };
    let org = match attributes.text("organization_guid") {
        Some(other) => related_row::<Org>(world, "Organization", other)?.guid(),
        None => visibility.org,
    };
    check_visibility(world, plan, org)?;
    let plan = plan.guid();
    context.world.move_plan_visibility(guid, plan, org);
    record(context, "audit.service_plan_visibility.update", guid, org);
    SERVICE_PLAN_VISIBILITIES.changed(context, guid)
}

fn delete_visibility(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = known(context, &SERVICE_PLAN_VISIBILITIES)?;
    authorize(context, ADMINS, AccessScope::Global)?;
    if let Some(visibility) = context.world.remove_plan_visibility(guid) {
        let org = visibility.org;
        record(context, "audit.service_plan_visibility.delete", guid, org);
    }
    Ok(Response::empty(204))
}
