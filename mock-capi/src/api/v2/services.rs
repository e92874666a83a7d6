//! Service instances of both kinds, their bindings and keys.

use serde_json::{Value, json};

use super::apps::{APPS, web_app};
use super::collection::{self, Collection, Relation, by_guid, row};
use super::entity::Entity;
use super::filter::{Filter, in_spaces_of};
use super::list::Query;
use super::managed_instances::{
    create_managed, delete_managed, instance_parameters, update_managed,
};
use super::marketplace::SERVICE_PLANS;
use super::routes::HTTP_ROUTES;
use super::schema::{Attribute, Preset};
use super::service_attributes::summarize_place;
use super::service_changes::{
    binding_parameters, create_binding, create_instance, delete_binding, delete_binding_of_app,
    delete_instance, update_instance,
};
use super::service_keys::{create_key, delete_key, key_parameters, show_key};
use super::service_routes::{bind_route, route_parameters, unbind_route};
use super::source::Source;
use super::spaces::SPACES;
use super::{known, post, put, remove};
use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::router::Route;
use crate::world::{
    AccessScope, Field, Guid, READ_SECRETS, READ_SPACE, READ_V2_SPACE, Row, Selection,
    ServiceBinding, ServiceInstance, WRITE_SPACE, World,
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
    put(
        "/v2/user_provided_service_instances/:guid/routes/:other",
        bind_route,
    ),
    remove(
        "/v2/user_provided_service_instances/:guid/routes/:other",
        unbind_route,
    ),
    Route::get("/v2/managed_service_instances", index_managed),
    Route::get("/v2/managed_service_instances/:guid", show_managed),
    Route::get("/v2/service_instances", collection::index),
    post("/v2/service_instances", create_managed),
    Route::get("/v2/service_instances/:guid", show_instance),
    put("/v2/service_instances/:guid", update_managed),
    remove("/v2/service_instances/:guid", delete_managed),
    Route::get(
        "/v2/service_instances/:guid/service_bindings",
        collection::related,
    ),
    Route::get(
        "/v2/service_instances/:guid/service_keys",
        collection::related,
    ),
    Route::get("/v2/service_instances/:guid/routes", collection::related),
    put("/v2/service_instances/:guid/routes/:other", bind_route),
    remove("/v2/service_instances/:guid/routes/:other", unbind_route),
    Route::get(
        "/v2/service_instances/:guid/routes/:other/parameters",
        route_parameters,
    ),
    Route::get("/v2/service_instances/:guid/permissions", permissions),
    Route::get(
        "/v2/service_instances/:guid/parameters",
        instance_parameters,
    ),
    Route::get("/v2/service_instances/:guid/shared_from", shared_from),
    Route::get("/v2/service_instances/:guid/shared_to", shared_to),
    Route::get("/v2/service_bindings", collection::index),
    post("/v2/service_bindings", create_binding),
    Route::get("/v2/service_bindings/:guid", collection::show),
    remove("/v2/service_bindings/:guid", delete_binding),
    remove(
        "/v2/apps/:guid/service_bindings/:other",
        delete_binding_of_app,
    ),
    Route::get("/v2/service_bindings/:guid/parameters", binding_parameters),
    Route::get("/v2/service_keys", collection::index),
    post("/v2/service_keys", create_key),
    Route::get("/v2/service_keys/:guid", show_key),
    remove("/v2/service_keys/:guid", delete_key),
    Route::get("/v2/service_keys/:guid/parameters", key_parameters),
];

fn show_instance(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let answer = collection::show_of(context, &SERVICE_INSTANCES)?;
    let guid = SERVICE_INSTANCES.readable(context)?;
    context.world.record_instance(guid, "show", Value::Null);
    Ok(answer)
}

/// The former list of managed instances.
fn index_managed(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let query = Query::read(context, &SERVICE_INSTANCES, true)?;
    let instances = context.world.service_instances.select(&Selection::all());
    let managed = instances.into_iter().filter(|it| it.managed.is_some());
    let managed = managed.map(Entity::from).collect();
    let path = "/v2/managed_service_instances";
    let answer = query.answer(context, &SERVICE_INSTANCES, managed, path);
    Ok(answer.with_warnings(Some("Endpoint deprecated".into())))
}

/// The former path of an instance.
fn show_managed(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let answer = show_instance(context)?;
    Ok(answer.with_warnings(Some("Endpoint deprecated".into())))
}

fn space_of(world: &World, guid: Guid) -> Option<Entity<'_>> {
    let instance = world.service_instances.get(guid)?;
    world.spaces.get(instance.space).map(Entity::from)
}

pub(super) fn bindings_of(world: &World, guid: Guid) -> Vec<Entity<'_>> {
    let of_instance = Selection::by(Field::ServiceInstance, guid);
    SERVICE_BINDINGS.source.matching(world, &of_instance)
}

fn keys_of(world: &World, guid: Guid) -> Vec<Entity<'_>> {
    let of_instance = Selection::by(Field::ServiceInstance, guid);
    SERVICE_KEYS.source.matching(world, &of_instance)
}

fn routes_of(world: &World, guid: Guid) -> Vec<Entity<'_>> {
    let bindings = world.route_bindings_of_instance(guid).into_iter();
    let routes = bindings.filter_map(|binding| world.routes.get(binding.route));
    routes.map(Entity::from).collect()
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

pub(super) static SERVICE_INSTANCES: Collection = Collection {
    path: "/v2/service_instances",
    source: Source::of::<ServiceInstance>()
        .of_kind(ServiceInstance::MANAGED)
        .visible(|world, access| {
            let fields = [Field::ManagedIn, Field::SharedWith];
            Some(access.keys_by_space(world, READ_V2_SPACE, &fields))
        }),
    get: row::<ServiceInstance>,
    parse: by_guid,
    relations: &[
        Relation::one("space", &SPACES, space_of),
        Relation::one("service_plan", &SERVICE_PLANS, |world, guid| {
            let plan = world.service_instances.get(guid)?.plan()?;
            world.service_plans.get(plan).map(Entity::from)
        }),
        Relation::many("service_bindings", &SERVICE_BINDINGS, bindings_of),
        Relation::many("service_keys", &SERVICE_KEYS, keys_of),
        Relation::many("routes", &HTTP_ROUTES, routes_of),
    ],
    filters: &[
        Filter::EXACT_NAME,
        SPACE_GUID,
        Filter::guid("service_plan_guid", |_, instance| match instance {
            Entity::Instance(instance) => instance.plan().iter().map(Guid::to_string).collect(),
            _ => Vec::new(),
        })
        .indexed(Field::Plan),
        Filter::guid("service_binding_guid", |world, instance| {
            let bindings = bindings_of(world, instance.guid());
            bindings.into_iter().map(Entity::id).collect()
        }),
        Filter::text("gateway_name", |_, _| Vec::new()),
        ORGANIZATION_GUID,
        Filter::guid("service_key_guid", |world, instance| {
            let keys = keys_of(world, instance.guid());
            keys.into_iter().map(Entity::id).collect()
        }),
    ],
    order_by: &[],
    not_found: INSTANCE_NOT_FOUND,
};

pub(super) static USER_PROVIDED: Collection = Collection {
    path: "/v2/user_provided_service_instances",
    source: Source::of::<ServiceInstance>()
        .of_kind(ServiceInstance::USER_PROVIDED)
        .visible(|world, access| {
            Some(access.keys_by_space(world, READ_V2_SPACE, &[Field::ProvidedIn]))
        }),
    get: |world, guid| {
        let instance = world.service_instances.get(guid)?;
        instance.managed.is_none().then(|| Entity::from(instance))
    },
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
        .of_kind(ServiceBinding::OF_APP)
        .visible(|world, access| Some(access.keys_by_space(world, READ_SPACE, &[Field::BoundIn]))),
    get: |world, guid| {
        let binding = world.service_bindings.get(guid)?;
        binding.app.is_some().then(|| Entity::from(binding))
    },
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

pub(super) static SERVICE_KEYS: Collection = Collection {
    path: "/v2/service_keys",
    source: Source::of::<ServiceBinding>()
        .of_kind(ServiceBinding::KEY)
        .visible(|world, access| Some(access.keys_by_space(world, READ_SECRETS, &[Field::KeyIn]))),
    get: |world, guid| {
        let key = world.service_bindings.get(guid)?;
        key.app.is_none().then_some(Entity::Key(key))
    },
    parse: by_guid,
    relations: &[Relation::one(
        "service_instance",
        &SERVICE_INSTANCES,
        |world, guid| {
            let key = world.service_bindings.get(guid)?;
            world.service_instances.get(key.instance).map(Entity::from)
        },
    )],
    filters: &[
        Filter::EXACT_NAME,
        Filter::guid("service_instance_guid", |_, key| match key {
            Entity::Key(key) => vec![key.instance.to_string()],
            _ => Vec::new(),
        })
        .indexed(Field::ServiceInstance),
    ],
    order_by: &[],
    not_found: (
        360_003,
        "CF-ServiceKeyNotFound",
        "The service key could not be found",
    ),
};

pub(super) const INSTANCE: &[Attribute] = &[
    Attribute::text("name").required(),
    Attribute::object("credentials").preset(Preset::NoFields),
    Attribute::text("syslog_drain_url").preset(Preset::Text("")),
    Attribute::text("route_service_url").preset(Preset::Text("")),
    Attribute::texts("tags").preset(Preset::NoItems),
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

/// The space of a shared instance.
fn shared_from(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = SERVICE_INSTANCES.readable(context)?;
    let instance: &ServiceInstance = context.row(guid)?;
    if instance.shared_with.is_empty() {
        return Ok(Response::empty(204));
    }
    let place = summarize_place(context.world, instance.space);
    Ok(Response::ok(&place))
}

/// The spaces with which an instance is shared, up to one page.
fn shared_to(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = SERVICE_INSTANCES.readable(context)?;
    let world = &*context.world;
    let instance: &ServiceInstance = context.row(guid)?;
    let places = instance.shared_with.iter().map(|space| {
        let in_space = world.service_bindings.iter().filter(|binding| {
            let app = binding.app.and_then(|app| world.apps.get(app));
            binding.instance == guid && app.is_some_and(|app| app.space == *space)
        });
        let mut place = summarize_place(world, *space);
        place["bound_app_count"] = json!(in_space.count());
        place
    });
    let places: Vec<Value> = places.collect();
    Ok(Response::ok(&json!({
        "total_results": places.len(),
        "total_pages": 1,
        "prev_url": null,
        "next_url": null,
        "resources": places,
    })))
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
