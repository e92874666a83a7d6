//! User-provided services and their bindings. Lists of brokers' resources are empty.

use serde_json::{Value, json};

use super::apps::{APPS, web_app};
use super::attributes::{Attribute, Attributes};
use super::collection::{self, Collection, Relation, by_guid, row, rows, rows_by};
use super::entity::Entity;
use super::list::Filter;
use super::routes::HTTP_ROUTES;
use super::spaces::SPACES;
use super::{
    association_not_empty, authorize, delete, is_recursive, known, post, put, related_row, remove,
};
use crate::api::context::{RequestContext, View};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::router::Route;
use crate::world::metadata::MetadataPatch;
use crate::world::{
    App, BindingRef, Field, Guid, Home, Key, Kind, NewBinding, READ_SECRETS, Row, Selection,
    ServiceBinding, ServiceInstance, Space, WRITE_SPACE, World,
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
fn provided<'w>(world: &'w World, selection: &Selection) -> Vec<Entity<'w>> {
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
    });

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
            select: |_, _: &Selection| Vec::new(),
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
    select: rows::<ServiceInstance>,
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
        Filter::NAME,
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
    select: provided,
    get: row::<ServiceInstance>,
    parse: by_guid,
    relations: &[
        Relation::one("space", &SPACES, space_of),
        Relation::many("service_bindings", &SERVICE_BINDINGS, bindings_of),
        Relation::many("routes", &HTTP_ROUTES, routes_of),
    ],
    filters: &[Filter::NAME, SPACE_GUID, ORGANIZATION_GUID],
    order_by: &[],
    not_found: (
        340_001,
        "CF-UserProvidedServiceInstanceNotFound",
        "The service instance could not be found",
    ),
};

pub(super) static SERVICE_BINDINGS: Collection = Collection {
    path: "/v2/service_bindings",
    select: app_bindings,
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
        Filter::NAME,
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

const INSTANCE: &[Attribute] = &[
    Attribute::text("name").required(),
    Attribute::object("credentials"),
    Attribute::text("syslog_drain_url"),
    Attribute::text("route_service_url"),
    Attribute::texts("tags"),
    Attribute::text("space_guid").required(),
    Attribute::texts("service_binding_guids"),
    Attribute::texts("route_guids"),
];
const BINDING: &[Attribute] = &[
    Attribute::object("parameters"),
    Attribute::text("name"),
    Attribute::text("app_guid").required(),
    Attribute::text("service_instance_guid").required(),
];

/// Secrets, if the caller may read them.
fn secrets(value: Value, home: Home, view: &View<'_>) -> Value {
    match view.access.allows(view.world, home, READ_SECRETS) {
        true => value,
        false => json!({"redacted_message": "[PRIVATE DATA HIDDEN]"}),
    }
}

fn credentials_of(instance: &ServiceInstance) -> Value {
    json!(instance.credentials.clone().unwrap_or_default())
}

pub(super) fn instance_attributes(instance: &ServiceInstance, view: &View<'_>) -> Value {
    let home = Home::Space(instance.space);
    json!({
        "name": instance.name,
        "credentials": secrets(credentials_of(instance), home, view),
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
    let home = binding.home(view.world);
    json!({
        "app_guid": binding.app,
        "service_instance_guid": binding.instance,
        "credentials": secrets(credentials.unwrap_or_default(), home, view),
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
    let home = Home::Space(context.row::<ServiceInstance>(guid)?.space);
    let (access, world) = (&context.access, &*context.world);
    Ok(Response::ok(&json!({
        "manage": access.allows(world, home, WRITE_SPACE),
        "read": access.sees(world, home),
    })))
}

fn instance_invalid(reason: &str) -> CcError {
    let detail = format!("The service instance is invalid: {reason}");
    CcError::new(400, 60003, "CF-ServiceInstanceInvalid", detail)
}

/// Checks attributes in the space of the instance as the model does.
fn validate(
    context: &RequestContext<'_>,
    attributes: &Attributes,
    space: Guid,
    own: Option<Guid>,
) -> Result<(), CcError> {
    const MAX_NAME: usize = 255;
    const MAX_DRAIN: usize = 10_000;
    const MAX_TAGS: usize = 2048;
    let name = attributes.text("name");
    if let Some(name) = name {
        let holder = context.world.find_service_instance(space, name.trim());
        if holder.is_some_and(|holder| Some(holder.guid()) != own) {
            let detail = format!("The service instance name is taken: {name}");
            return Err(CcError::new(
                400,
                60002,
                "CF-ServiceInstanceNameTaken",
                detail,
            ));
        }
    }
    let url = attributes.text("route_service_url").unwrap_or_default();
    let complaint = match url::Url::parse(url) {
        _ if url.is_empty() => None,
        Ok(url) if url.host_str().is_none_or(|host| host.starts_with('.')) => {
            Some("route_service_url is invalid.")
        }
        Ok(url) if url.scheme() == "https" => None,
        Ok(_) => Some("Scheme for route_service_url must be https."),
        Err(_) => Some("route_service_url is invalid."),
    };
    if let Some(complaint) = complaint {
        let detail = format!("The route service URL is invalid: {complaint}");
        let title = "CF-ServiceInstanceRouteServiceURLInvalid";
        return Err(CcError::new(400, 60019, title, detail));
    }
    let tags = attributes.texts("tags").unwrap_or_default();
    let length: usize = tags.iter().map(|tag| tag.chars().count()).sum();
    if length > MAX_TAGS {
        let detail = format!(
            "Combined length of tags for service {} must be {MAX_TAGS} characters or less.",
            name.unwrap_or_default()
        );
        return Err(CcError::new(
            400,
            60015,
            "CF-ServiceInstanceTagsTooLong",
            detail,
        ));
    }
    if name.is_some_and(|name| name.chars().count() > MAX_NAME) {
        let detail = "You have requested an invalid service instance name. Names are limited to 255 characters.";
        return Err(CcError::new(
            400,
            60009,
            "CF-ServiceInstanceNameTooLong",
            detail,
        ));
    }
    let drain = attributes.text("syslog_drain_url").unwrap_or_default();
    if drain.chars().count() > MAX_DRAIN {
        return Err(instance_invalid("syslog_drain_url max_length"));
    }
    match name {
        Some(name) if name.trim().is_empty() => Err(instance_invalid("name presence")),
        _ => Ok(()),
    }
}

fn create_instance(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let attributes = Attributes::of_new(context, INSTANCE)?;
    let space = attributes.required("space_guid");
    let space = related_row::<Space>(context.world, "Space", space)?.guid();
    validate(context, &attributes, space, None)?;
    if !context.access.is_everything() {
        context.require_flag("service_instance_creation")?;
    }
    authorize(context, WRITE_SPACE, Home::Space(space))?;
    let url = |name: &str| attributes.text(name).unwrap_or_default().trim().to_owned();
    let tags = attributes.texts("tags").unwrap_or_default();
    let base = context.world.base();
    let guid = context.world.add_service_instance(ServiceInstance {
        base,
        name: attributes.required("name").trim().into(),
        space,
        tags: tags.into_iter().map(str::to_owned).collect(),
        credentials: Some(
            attributes
                .object("credentials")
                .cloned()
                .unwrap_or_default(),
        ),
        syslog_drain_url: Some(url("syslog_drain_url")),
        route_service_url: Some(url("route_service_url")),
        changed: None,
        managed: None,
        shared_with: Vec::new(),
    });
    let request = redacted(context);
    context.world.record_instance(guid, "create", request);
    USER_PROVIDED.created(context, guid)
}

/// The request without its secrets, for events.
fn redacted(context: &RequestContext<'_>) -> Value {
    let mut request = context.request_body();
    if let Some(credentials) = request.get_mut("credentials") {
        *credentials = json!("[REDACTED]");
    }
    request
}

/// The instance that the path names, if the caller may change it.
fn writable_instance(context: &RequestContext<'_>) -> Result<Guid, CcError> {
    let guid = known(context, &USER_PROVIDED)?;
    let space = context.row::<ServiceInstance>(guid)?.space;
    authorize(context, WRITE_SPACE, Home::Space(space))?;
    Ok(guid)
}

fn update_instance(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let attributes = Attributes::of_change(context, INSTANCE)?;
    let guid = writable_instance(context)?;
    let space = context.row::<ServiceInstance>(guid)?.space;
    let other = attributes.text("space_guid");
    if other.is_some_and(|other| other != space.to_string()) {
        return Err(instance_invalid("cannot change space for service instance"));
    }
    validate(context, &attributes, space, Some(guid))?;
    let url = |name: &str| attributes.text(name).map(|url| url.trim().to_owned());
    let name = &context.row::<ServiceInstance>(guid)?.name;
    let renamed = attributes
        .text("name")
        .is_some_and(|other| other.trim() != name);
    context.world.touch(guid, |instance: &mut ServiceInstance| {
        if let Some(name) = attributes.text("name") {
            instance.name = name.trim().into();
        }
        if let Some(credentials) = attributes.object("credentials") {
            instance.credentials = Some(credentials.clone());
        }
        if let Some(tags) = attributes.texts("tags") {
            instance.tags = tags.into_iter().map(str::to_owned).collect();
        }
        if let Some(drain) = url("syslog_drain_url") {
            instance.syslog_drain_url = Some(drain);
        }
        if let Some(service) = url("route_service_url") {
            instance.route_service_url = Some(service);
        }
    });
    if renamed {
        context.world.record_service_usage(guid, "UPDATED");
    }
    let request = redacted(context);
    context.world.record_instance(guid, "update", request);
    USER_PROVIDED.changed(context, guid)
}

fn delete_instance(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = writable_instance(context)?;
    let bound = Key::Guid(Field::ServiceInstance, guid);
    if context.world.service_bindings.count(&bound) > 0 && !is_recursive(context) {
        return Err(association_not_empty(
            "service_bindings",
            "service_instances",
        ));
    }
    let operation = "service_instance.delete";
    Ok(delete(context, operation, Kind::ServiceInstance, guid))
}

fn create_binding(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let attributes = Attributes::of_new(context, BINDING)?;
    let app = APPS.look_up(context.world, attributes.required("app_guid"))?;
    let instance = attributes.required("service_instance_guid");
    let instance = SERVICE_INSTANCES.look_up(context.world, instance)?;
    let space = context.row::<App>(app)?.space;
    context.require(WRITE_SPACE, Home::Space(space))?;
    let name = attributes.text("name").map(str::to_owned);
    let bound = context.world.bind(NewBinding {
        app,
        instance,
        name,
        metadata: MetadataPatch::default(),
        limit: 1,
        multiple: false,
    });
    let title = "CF-ServiceBindingAppServiceTaken";
    let guid = bound.map_err(|reason| CcError::new(400, 90003, title, reason))?;
    let binding = BindingRef::Credential(guid);
    let request = context.request_body();
    context.world.record_bound(binding, request, false);
    let answer = SERVICE_BINDINGS.created(context, guid)?;
    let parameters = attributes.object("parameters");
    let warning = parameters
        .filter(|parameters| !parameters.is_empty())
        .map(|_| {
            "Configuration parameters are ignored for bindings to user-provided service instances."
                .to_owned()
        });
    Ok(answer.with_warnings(warning))
}

fn delete_binding(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = known(context, &SERVICE_BINDINGS)?;
    let home = context.row::<ServiceBinding>(guid)?.home(context.world);
    context.require(WRITE_SPACE, home)?;
    context.world.unbind_service(BindingRef::Credential(guid));
    Ok(Response::empty(204))
}

fn delete_binding_of_app(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let app = known(context, &APPS)?;
    super::apps::writable(context, app)?;
    let other = context.capture("other");
    let guid = SERVICE_BINDINGS.look_up(context.world, other)?;
    context.world.unbind_service(BindingRef::Credential(guid));
    Ok(Response::empty(204).with_warnings(Some("Endpoint deprecated".into())))
}
