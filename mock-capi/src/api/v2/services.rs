//! User-provided services and their bindings. Lists of brokers' resources are empty.

use serde_json::{Value, json};

use super::apps::{APPS, keys_of_spaces, web_app};
use super::collection::{self, Collection, Relation, by_guid, row, rows_by};
use super::entity::Entity;
use super::list::{Filter, in_spaces_of};
use super::routes::HTTP_ROUTES;
use super::schema::Attribute;
use super::service_changes::{
    create_binding, create_instance, delete_binding, delete_binding_of_app, delete_instance,
    update_instance,
};
use super::source::{Listing, Order, Source, rows};
use super::spaces::SPACES;
use super::{known, post, put, remove};
use crate::api::context::{RequestContext, View};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::router::Route;
use crate::world::{
    AccessScope, Field, Guid, Key, READ_SECRETS, Row, Selection, ServiceBinding, ServiceInstance,
    WRITE_SPACE, World,
};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v2/user_provided_service_instances", collection::index),
    post("/v2/user_provided_service_instances", create_instance),
    Route::get(
        "/v2/user_provided_service_instances/:guid",
        collection::show,
    ),
    put("/v2/user_provided_service_instances/:guid", update_instance),
    remove("/v2/user_provided_service_instances/:guid", delete_instance),
    Route::get(
        "/v2/user_provided_service_instances/:guid/service_bindings",
        collection::related,
    ),
    Route::get(
        "/v2/user_provided_service_instances/:guid/routes",
        collection::related,
    ),
    Route::get("/v2/service_instances", index_managed),
    Route::get("/v2/service_instances/:guid", collection::show),
    remove("/v2/service_instances/:guid", delete_instance),
    Route::get(
        "/v2/service_instances/:guid/service_bindings",
        collection::related,
    ),
    Route::get(
        "/v2/service_instances/:guid/service_keys",
        collection::related,
    ),
    Route::get("/v2/service_instances/:guid/routes", collection::related),
    Route::get("/v2/service_instances/:guid/permissions", permissions),
    Route::get("/v2/service_bindings", collection::index),
    post("/v2/service_bindings", create_binding),
    Route::get("/v2/service_bindings/:guid", collection::show),
    remove("/v2/service_bindings/:guid", delete_binding),
    remove(
        "/v2/apps/:guid/service_bindings/:other",
        delete_binding_of_app,
    ),
    Route::get("/v2/services", collection::index),
    Route::get("/v2/services/:guid", collection::show),
    Route::get("/v2/service_plans", collection::index),
    Route::get("/v2/service_plans/:guid", collection::show),
    Route::get("/v2/service_brokers", collection::index),
    Route::get("/v2/service_brokers/:guid", collection::show),
    Route::get("/v2/service_keys", collection::index),
    Route::get("/v2/service_keys/:guid", collection::show),
    Route::get("/v2/service_plan_visibilities", collection::index),
    Route::get("/v2/service_plan_visibilities/:guid", collection::show),
    Route::get("/v2/organizations/:guid/services", index_offerings_of_org),
    Route::get("/v2/spaces/:guid/services", index_offerings_of_space),
];

fn space_of(world: &World, guid: Guid) -> Option<Entity<'_>> {
    let instance = world.service_instances.get(guid)?;
    world.spaces.get(instance.space).map(Entity::from)
}

fn bindings_of(world: &World, guid: Guid) -> Vec<Entity<'_>> {
    rows_by::<ServiceBinding>(world, Field::ServiceInstance, guid)
}

fn routes_of(world: &World, guid: Guid) -> Vec<Entity<'_>> {
    let bindings = world.route_bindings_of_instance(guid).into_iter();
    let routes = bindings.filter_map(|binding| world.routes.get(binding.route));
    routes.map(Entity::from).collect()
}

/// User-provided instances.
pub(super) fn provided<'w>(world: &'w World, selection: &Selection) -> Vec<Entity<'w>> {
    let mut instances = rows::<ServiceInstance>(world, selection);
    instances.retain(|instance| match instance {
        Entity::Instance(instance) => instance.managed.is_none(),
        _ => false,
    });
    instances
}

/// Bindings of apps, without keys.
fn app_bindings<'w>(world: &'w World, selection: &Selection) -> Vec<Entity<'w>> {
    let mut bindings = rows::<ServiceBinding>(world, selection);
    bindings.retain(|binding| match binding {
        Entity::Binding(binding) => binding.app.is_some(),
        _ => false,
    });
    bindings
}

/// User-provided instances, of which those without keys are indexed.
fn provided_in_order<'w>(
    world: &'w World,
    keys: Option<&[Key]>,
    order: Order,
) -> Option<Listing<'w>> {
    let provided = [Key::text(Field::Type, ServiceInstance::USER_PROVIDED)];
    let keys = keys.is_none().then_some(&provided[..])?;
    let (total, instances) = order.rows(world, &world.service_instances, Some(keys))?;
    Some((total, Box::new(instances.map(Entity::from))))
}

/// Bindings of apps, of which those without keys are indexed.
fn app_bindings_in_order<'w>(
    world: &'w World,
    keys: Option<&[Key]>,
    order: Order,
) -> Option<Listing<'w>> {
    let of_apps = [Key::text(Field::Type, ServiceBinding::OF_APP)];
    let keys = keys.is_none().then_some(&of_apps[..])?;
    let (total, bindings) = order.rows(world, &world.service_bindings, Some(keys))?;
    Some((total, Box::new(bindings.map(Entity::from))))
}

const SPACE_GUID: Filter = Filter::guid("space_guid", |_, instance| match instance {
    Entity::Instance(instance) => vec![instance.space.to_string()],
    _ => Vec::new(),
})
.indexed(Field::Space);
const ORGANIZATION_GUID: Filter =
    Filter::guid("organization_guid", |world, instance| match instance {
        Entity::Instance(instance) => {
            let org = world.org_of(instance.space);
            org.map(|org| org.guid().to_string()).into_iter().collect()
        }
        _ => Vec::new(),
    })
    .found_by(in_spaces_of);

const INSTANCE_NOT_FOUND: (u32, &str, &str) = (
    60004,
    "CF-ServiceInstanceNotFound",
    "The service instance could not be found",
);

/// A collection of resources that only brokers have.
macro_rules! of_brokers {
    ($($name:ident: $path:literal, [$($filter:literal),*], $code:literal, $title:literal, $text:literal;)*) => {
        $(pub(super) static $name: Collection = Collection {
            path: $path,
            source: Source::scan(|_, _| Vec::new()),
            get: |_, _| None,
            parse: by_guid,
            relations: &[],
            filters: &[$(Filter::text($filter, |_, _| Vec::new())),*],
            order_by: &[],
            not_found: ($code, $title, $text),
        };)*
    };
}

of_brokers! {
    SERVICES: "/v2/services",
        ["active", "label", "provider", "service_broker_guid", "unique_id"],
        120_003, "CF-ServiceNotFound", "The service could not be found";
    SERVICE_PLANS: "/v2/service_plans",
        ["active", "service_guid", "service_instance_guid", "service_broker_guid", "unique_id"],
        110_003, "CF-ServicePlanNotFound", "The service plan could not be found";
    SERVICE_BROKERS: "/v2/service_brokers",
        ["name", "space_guid"],
        270_004, "CF-ServiceBrokerNotFound", "The service broker was not found";
    SERVICE_KEYS: "/v2/service_keys",
        ["name", "service_instance_guid"],
        360_003, "CF-ServiceKeyNotFound", "The service key could not be found";
    SERVICE_PLAN_VISIBILITIES: "/v2/service_plan_visibilities",
        ["organization_guid", "service_plan_guid"],
        260_003, "CF-ServicePlanVisibilityNotFound", "The service plan visibility could not be found";
}

pub(super) static SERVICE_INSTANCES: Collection = Collection {
    path: "/v2/service_instances",
    source: Source::of::<ServiceInstance>().visible(keys_of_spaces),
    get: row::<ServiceInstance>,
    parse: by_guid,
    relations: &[
        Relation::one("space", &SPACES, space_of),
        Relation::one("service_plan", &SERVICE_PLANS, |_, _| None),
        Relation::many("service_bindings", &SERVICE_BINDINGS, bindings_of),
        Relation::many("service_keys", &SERVICE_KEYS, |_, _| Vec::new()),
        Relation::many("routes", &HTTP_ROUTES, routes_of),
    ],
    filters: &[
        Filter::EXACT_NAME,
        SPACE_GUID,
        Filter::guid("service_plan_guid", |_, _| Vec::new()),
        Filter::guid("service_binding_guid", |world, instance| {
            let bindings =
                rows_by::<ServiceBinding>(world, Field::ServiceInstance, instance.guid());
            bindings.into_iter().map(Entity::id).collect()
        }),
        Filter::text("gateway_name", |_, _| Vec::new()),
        ORGANIZATION_GUID,
        Filter::guid("service_key_guid", |_, _| Vec::new()),
    ],
    order_by: &[],
    not_found: INSTANCE_NOT_FOUND,
};

pub(super) static USER_PROVIDED: Collection = Collection {
    path: "/v2/user_provided_service_instances",
    source: Source::of::<ServiceInstance>()
        .select(provided)
        .in_order(provided_in_order)
        .visible(|_, _| None),
    get: row::<ServiceInstance>,
    parse: by_guid,
    relations: &[
        Relation::one("space", &SPACES, space_of),
        Relation::many("service_bindings", &SERVICE_BINDINGS, bindings_of),
        Relation::many("routes", &HTTP_ROUTES, routes_of),
    ],
    filters: &[Filter::EXACT_NAME, SPACE_GUID, ORGANIZATION_GUID],
    order_by: &[],
    not_found: (
        340_001,
        "CF-UserProvidedServiceInstanceNotFound",
        "The service instance could not be found",
    ),
};

pub(super) static SERVICE_BINDINGS: Collection = Collection {
    path: "/v2/service_bindings",
    source: Source::of::<ServiceBinding>()
        .select(app_bindings)
        .in_order(app_bindings_in_order),
    get: row::<ServiceBinding>,
    parse: by_guid,
    relations: &[
        Relation::one("app", &APPS, |world, guid| {
            let binding = world.service_bindings.get(guid)?;
            web_app(world, world.apps.get(binding.app?)?)
        }),
        Relation::one("service_instance", &SERVICE_INSTANCES, |world, guid| {
            let binding = world.service_bindings.get(guid)?;
            world
                .service_instances
                .get(binding.instance)
                .map(Entity::from)
        }),
    ],
    filters: &[
        Filter::guid("app_guid", |_, binding| match binding {
            Entity::Binding(binding) => binding.app.iter().map(Guid::to_string).collect(),
            _ => Vec::new(),
        })
        .indexed(Field::App),
        Filter::EXACT_NAME,
        Filter::guid("service_instance_guid", |_, binding| match binding {
            Entity::Binding(binding) => vec![binding.instance.to_string()],
            _ => Vec::new(),
        })
        .indexed(Field::ServiceInstance),
    ],
    order_by: &[],
    not_found: (
        90004,
        "CF-ServiceBindingNotFound",
        "The service binding could not be found",
    ),
};

pub(super) const INSTANCE: &[Attribute] = &[
    Attribute::text("name").required(),
    Attribute::object("credentials"),
    Attribute::text("syslog_drain_url"),
    Attribute::text("route_service_url"),
    Attribute::texts("tags"),
    Attribute::text("space_guid").required(),
    Attribute::texts("service_binding_guids"),
    Attribute::texts("route_guids"),
];
pub(super) const BINDING: &[Attribute] = &[
    Attribute::object("parameters"),
    Attribute::text("name"),
    Attribute::text("app_guid").required(),
    Attribute::text("service_instance_guid").required(),
];

/// Secrets, if the caller may read them.
fn secrets(value: Value, access_scope: AccessScope, view: &View<'_>) -> Value {
    match view.access.allows(view.world, access_scope, READ_SECRETS) {
        true => value,
        false => json!({"redacted_message": "[PRIVATE DATA HIDDEN]"}),
    }
}

fn credentials_of(instance: &ServiceInstance) -> Value {
    json!(instance.credentials.clone().unwrap_or_default())
}

pub(super) fn instance_attributes(instance: &ServiceInstance, view: &View<'_>) -> Value {
    let access_scope = AccessScope::Space(instance.space);
    json!({
        "name": instance.name,
        "credentials": secrets(credentials_of(instance), access_scope, view),
        "space_guid": instance.space,
        "type": "user_provided_service_instance",
        "syslog_drain_url": instance.syslog_drain_url,
        "route_service_url": instance.route_service_url,
        "tags": instance.tags,
    })
}

pub(super) fn binding_attributes(binding: &ServiceBinding, view: &View<'_>) -> Value {
    let instance = view.world.service_instances.get(binding.instance);
    let path = format!("/v2/service_bindings/{}", binding.base.guid);
    let credentials = instance.map(credentials_of);
    let access_scope = binding.access_scope(view.world);
    json!({
        "app_guid": binding.app,
        "service_instance_guid": binding.instance,
        "credentials": secrets(credentials.unwrap_or_default(), access_scope, view),
        "binding_options": {},
        "gateway_data": null,
        "gateway_name": "",
        "syslog_drain_url": instance.and_then(|instance| instance.syslog_drain_url.as_ref()),
        "volume_mounts": [],
        "name": binding.name,
        "last_operation": {
            "type": "create",
            "state": "succeeded",
            "description": "",
            "updated_at": binding.base.created,
            "created_at": binding.base.created,
        },
        "service_binding_parameters_url": format!("{path}/parameters"),
    })
}

/// The instances in the summary of a space.
pub(super) fn summarize_of_space(world: &World, space: Guid) -> Value {
    let instances = Selection::by(Field::Space, space);
    let instances = world.service_instances.select(&instances).into_iter();
    let summary = |instance| {
        let mut summary = summarize(world, instance);
        summary["shared_to"] = json!([]);
        summary
    };
    instances.map(summary).collect()
}

/// An instance in summaries.
pub(super) fn summarize(world: &World, instance: &ServiceInstance) -> Value {
    let bindings = Key::Guid(Field::ServiceInstance, instance.base.guid);
    json!({
        "guid": instance.base.guid,
        "name": instance.name,
        "bound_app_count": world.service_bindings.count(&bindings),
        "type": "user_provided_service_instance",
    })
}

/// Managed instances; user-provided ones have another list.
fn index_managed(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let query = super::list::Query::read(context, &SERVICE_INSTANCES, true)?;
    let path = SERVICE_INSTANCES.path;
    Ok(query.answer(context, &SERVICE_INSTANCES, Vec::new(), path))
}

fn index_offerings(context: &RequestContext<'_>) -> Result<Response, CcError> {
    let query = super::list::Query::read(context, &SERVICES, false)?;
    let path = context.request.path.trim_end_matches('/');
    Ok(query.answer(context, &SERVICES, Vec::new(), path))
}

fn index_offerings_of_org(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    super::organizations::ORGANIZATIONS.readable(context)?;
    index_offerings(context)
}

fn index_offerings_of_space(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    SPACES.readable(context)?;
    index_offerings(context)
}

/// The caller's permissions for an instance.
fn permissions(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = known(context, &SERVICE_INSTANCES)?;
    let access_scope = AccessScope::Space(context.row::<ServiceInstance>(guid)?.space);
    let (access, world) = (&context.access, &*context.world);
    Ok(Response::ok(&json!({
        "manage": access.allows(world, access_scope, WRITE_SPACE),
        "read": access.sees(world, access_scope),
    })))
}
