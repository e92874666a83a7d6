//! `/v3/service_instances`: those that users provide. There are no brokers, and
//! so no plans that a managed one could have.

use serde_json::{Map, Value, json};

use crate::api::context::{RequestContext, View, to_one};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::list::{ListQuery, ListSpec};
use crate::api::message::Message;
use crate::api::router::Route;
use crate::world::clock::Timestamp;
use crate::world::{
    Base, Field, Guid, Kind, Org, READ_SECRETS, Row, Selection, ServiceInstance, Space,
    WRITE_SPACE, ruby,
};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v3/service_instances", index),
    Route::post("/v3/service_instances", create)
        .by(WRITE_SPACE)
        .flagged("service_instance_creation"),
    Route::get("/v3/service_instances/:guid", show),
    Route::patch("/v3/service_instances/:guid", update).by(WRITE_SPACE),
    Route::delete("/v3/service_instances/:guid", delete).by(WRITE_SPACE),
    Route::get("/v3/service_instances/:guid/credentials", show_credentials).by(READ_SECRETS),
    Route::get("/v3/service_instances/:guid/permissions", permissions),
    Route::get(
        "/v3/service_instances/:guid/relationships/shared_spaces",
        shared_spaces,
    ),
];

const LIST: ListSpec = ListSpec {
    order_by: &["name"],
    fields: &[
        ("space", &["guid", "name", "relationships.organization"]),
        ("space.organization", &["name", "guid"]),
        (
            "service_plan",
            &["guid", "name", "relationships.service_offering"],
        ),
        (
            "service_plan.service_offering",
            &[
                "name",
                "guid",
                "description",
                "documentation_url",
                "tags",
                "relationships.service_broker",
            ],
        ),
        (
            "service_plan.service_offering.service_broker",
            &["name", "guid"],
        ),
    ],
    ..ListSpec::of(&[
        "type",
        "fields",
        "names",
        "space_guids",
        "organization_guids",
        "service_plan_guids",
        "service_plan_names",
        "label_selector",
    ])
};

/// What one instance is shown with.
const SHOW: ListSpec = ListSpec {
    fields: &[
        ("space", &["name", "guid"]),
        ("space.organization", &["name", "guid"]),
        ("service_plan", &["name", "guid"]),
        (
            "service_plan.service_offering",
            &["name", "guid", "description", "tags", "documentation_url"],
        ),
        (
            "service_plan.service_offering.service_broker",
            &["name", "guid"],
        ),
    ],
    ..ListSpec::of_one(&["fields"])
};

const PROVIDED: &str = "user-provided";
const NO_SPACE: &str = "Invalid space. Ensure that the space exists and you have access to it.";
const NO_PLAN: &str = "Invalid service plan. Ensure that the service plan exists, is available, and you have access to it.";
const FIELDS: [&str; 6] = [
    "name",
    "tags",
    "credentials",
    "syslog_drain_url",
    "route_service_url",
    "metadata",
];

pub(crate) fn present(instance: &ServiceInstance, view: &View<'_>) -> Value {
    let guid = instance.base.guid;
    let path = format!("/v3/service_instances/{guid}");
    let bindings = |kind: &str| view.link(&format!("/v3/{kind}?service_instance_guids={guid}"));
    json!({
        "guid": guid,
        "created_at": instance.base.created,
        "updated_at": instance.base.updated,
        "name": instance.name,
        "tags": instance.tags,
        "last_operation": present_operation(&instance.base, instance.changed),
        "type": PROVIDED,
        "syslog_drain_url": instance.syslog_drain_url,
        "route_service_url": instance.route_service_url,
        "relationships": {"space": to_one(Some(instance.space))},
        "metadata": instance.base.metadata.present(),
        "links": {
            "self": view.link(&path),
            "space": view.link(&format!("/v3/spaces/{}", instance.space)),
            "service_credential_bindings": bindings("service_credential_bindings"),
            "service_route_bindings": bindings("service_route_bindings"),
            "credentials": view.link(&format!("{path}/credentials")),
        },
    })
}

/// What was done last to an instance, at once: it was made, or changed then.
fn present_operation(base: &Base, changed: Option<Timestamp>) -> Value {
    let kind = if changed.is_some() {
        "update"
    } else {
        "create"
    };
    let at = changed.unwrap_or(base.created);
    json!({
        "type": kind,
        "state": "succeeded",
        "description": "Operation succeeded",
        "updated_at": at,
        "created_at": at,
    })
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let query = ListQuery::read(context, &LIST)?;
    let kind = query.value("type");
    if kind.is_some_and(|kind| !["managed", PROVIDED].contains(&kind)) {
        return Err(CcError::bad_query(
            "Type must be one of 'managed', 'user-provided'",
        ));
    }
    let selection = query.by_texts(query.selection(), "names", Field::Name);
    let selection = query.by_spaces(context.world, selection);
    let of_plan = ["service_plan_guids", "service_plan_names"];
    let planned = of_plan.iter().any(|name| query.value(name).is_some());
    let none = planned || kind == Some("managed");
    let page = query.page(context.world, &selection, |_: &ServiceInstance| !none);
    let mut answer = query.answer(context, &page, present);
    include(&query, &context.view(), &mut answer.rest, &page.rows);
    Ok(answer.into())
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let instance: &ServiceInstance = context.named("guid")?;
    let query = ListQuery::read(context, &SHOW)?;
    let view = context.view();
    let mut answer = present(instance, &view);
    include(&query, &view, &mut answer, &[instance]);
    Ok(Response::ok(&answer))
}

/// Adds the asked-for fields of spaces and organizations; plans and what is
/// above them, user-provided instances do not have.
fn include(query: &ListQuery, view: &View<'_>, answer: &mut Value, rows: &[&ServiceInstance]) {
    let spaces = Selection::all().any_guid(Field::Guid, rows.iter().map(|row| row.space));
    let spaces = view.world.spaces.select(&spaces);
    if let Some(fields) = query.fields("space") {
        let present = |space: &&Space| {
            let relationships = json!({"organization": to_one(Some(space.org))});
            pick(
                &fields,
                json!({"guid": space.base.guid, "name": space.name, "relationships": relationships}),
            )
        };
        answer["included"]["spaces"] = spaces.iter().map(present).collect();
    }
    if let Some(fields) = query.fields("space.organization") {
        let orgs = Selection::all().any_guid(Field::Guid, spaces.iter().map(|space| space.org));
        let orgs = view.world.orgs.select(&orgs).into_iter();
        let present = |org: &Org| pick(&fields, json!({"guid": org.base.guid, "name": org.name}));
        answer["included"]["organizations"] = orgs.map(present).collect();
    }
}

/// The asked-for fields of a resource.
fn pick(fields: &[String], mut resource: Value) -> Value {
    let asked = |key: &String| {
        fields
            .iter()
            .any(|field| field.split('.').next() == Some(key))
    };
    if let Some(resource) = resource.as_object_mut() {
        resource.retain(|key, _| asked(key));
    }
    resource
}

/// What the caller may do with a service that exists, seen or not.
fn permissions(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = context.capture("guid");
    let instance = context.world.look_up::<ServiceInstance>(guid);
    let instance = instance.ok_or_else(|| CcError::not_found(ServiceInstance::KIND))?;
    let home = instance.home(context.world);
    Ok(Response::ok(&json!({
        "manage": context.access.allows(context.world, home, WRITE_SPACE),
        "read": instance.is_visible(context.world, &context.access),
    })))
}

/// Services that users provide are not shared.
fn shared_spaces(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = context.guid_of::<ServiceInstance>("guid")?;
    let path = format!("/v3/service_instances/{guid}/relationships/shared_spaces");
    let links = json!({"self": context.view().link(&path)});
    Ok(Response::ok(&json!({"data": [], "links": links})))
}

fn show_credentials(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let instance: &ServiceInstance = context.named("guid")?;
    let credentials = instance.credentials.clone().unwrap_or_default();
    Ok(Response::ok(&Value::Object(credentials)))
}

/// What a request says of an instance; `None` is left alone.
#[derive(Default)]
struct ServiceInstanceRequest {
    tags: Option<Vec<String>>,
    credentials: Option<Option<Map<String, Value>>>,
    syslog_drain_url: Option<Option<String>>,
    route_service_url: Option<Option<String>>,
}

fn create(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let mut message = Message::of_any(&body);
    let metadata = message.metadata();
    let space = message.relationships_of_any(|inner| inner.related("space"));
    let kinds = ["managed", PROVIDED];
    message
        .check("type")
        .one_of(&kinds, "must be one of 'managed', 'user-provided'");
    let name = message.check("name").string().present().text();
    let name = name.unwrap_or_default().to_owned();
    read_tags(&mut message);
    message.finish()?;
    let managed = body.get("type").is_some_and(|kind| kind == "managed");
    let asked = match managed {
        true => read_managed(&body)?,
        false => read_provided(&body)?,
    };
    let space: &Space = context.related(space.flatten(), NO_SPACE)?;
    let space = space.base.guid;
    if managed {
        return Err(CcError::unprocessable(NO_PLAN));
    }
    check_name(context, space, &name, None)?;
    model_problems(
        body.get("name"),
        asked.tags.as_deref(),
        asked.syslog_drain_url.as_ref().and_then(Option::as_deref),
    )?;
    let base = context.world.base_with(metadata);
    let guid = context.world.add_service_instance(ServiceInstance {
        base,
        name,
        space,
        tags: asked.tags.unwrap_or_default(),
        credentials: asked.credentials.flatten(),
        syslog_drain_url: asked.syslog_drain_url.flatten(),
        route_service_url: asked.route_service_url.flatten(),
        changed: None,
    });
    context.created(guid, present)
}

fn read_managed(body: &Map<String, Value>) -> Result<ServiceInstanceRequest, CcError> {
    let mut message = Message::of_any(body);
    message.relationships(&["space", "service_plan"], |inner| {
        inner.related("space");
        inner.related("service_plan");
    });
    message.refuse_unknown(&[
        "name",
        "tags",
        "metadata",
        "parameters",
        "type",
        "relationships",
    ]);
    message.object("parameters");
    message.finish()?;
    Ok(ServiceInstanceRequest::default())
}

fn read_provided(body: &Map<String, Value>) -> Result<ServiceInstanceRequest, CcError> {
    let mut message = Message::of_any(body);
    // The message and the one that it is derived from both check these.
    let space = |message: &mut Message<'_>| {
        message.relationships(&["space"], |inner| {
            inner.related("space");
        });
    };
    space(&mut message);
    let fields = FIELDS.iter().copied().chain(["type", "relationships"]);
    message.refuse_unknown(&fields.collect::<Vec<_>>());
    space(&mut message);
    let asked = read(&mut message);
    message.finish()?;
    asked
}

/// Reads all but the name of a user-provided service.
fn read(message: &mut Message<'_>) -> Result<ServiceInstanceRequest, CcError> {
    let credentials = message.get("credentials").filter(|it| !ruby::is_blank(it));
    let credentials = match credentials.map(Value::as_object) {
        Some(None) => {
            message.error("Credentials must be an object");
            None
        }
        credentials => credentials.flatten(),
    };
    let credentials = credentials.cloned();
    check_url(message, "syslog_drain_url", "Syslog drain url");
    check_url(message, "route_service_url", "Route service url");
    let route_service_url = message.get("route_service_url").and_then(Value::as_str);
    let route_service_url = route_service_url.filter(|url| !url.trim().is_empty());
    if route_service_url.is_some_and(|url| !url.starts_with("https:")) {
        message.error("Route service url must be https");
    }
    let syslog_drain_url = message.column("syslog_drain_url");
    Ok(ServiceInstanceRequest {
        tags: read_tags(message),
        credentials: message.has("credentials").then_some(credentials),
        syslog_drain_url: message
            .has("syslog_drain_url")
            .then_some(syslog_drain_url)
            .transpose()?,
        route_service_url: message
            .has("route_service_url")
            .then(|| route_service_url.map(str::to_owned)),
    })
}

/// Null takes the tags away.
fn read_tags(message: &mut Message<'_>) -> Option<Vec<String>> {
    let given = message.get("tags").filter(|tags| !ruby::is_blank(tags));
    let tags = given.and_then(Value::as_array);
    if given.is_some() && tags.is_none() {
        message.error("Tags must be an array");
    }
    if tags.is_some_and(|tags| !tags.iter().all(Value::is_string)) {
        message.error("Tags must be a list of strings");
    }
    let texts = tags.into_iter().flatten().filter_map(Value::as_str);
    message
        .has("tags")
        .then(|| texts.map(str::to_owned).collect())
}

fn check_url(message: &mut Message<'_>, key: &str, label: &str) {
    let value = message.get(key).filter(|value| !ruby::is_blank(value));
    let is_url = |value: &Value| value.as_str().is_some_and(|it| url::Url::parse(it).is_ok());
    if !value.is_none_or(is_url) {
        message.error(format!("{label} must be a valid URI"));
    }
}

/// What the model says of a service.
fn model_problems(
    name: Option<&Value>,
    tags: Option<&[String]>,
    syslog_drain_url: Option<&str>,
) -> Result<(), CcError> {
    const MAX_NAME: usize = 255;
    const MAX_TAGS: usize = 2048;
    const MAX_DRAIN: usize = 10_000;
    let mut problems = Vec::new();
    if name.is_some_and(ruby::is_blank) {
        problems.push("name presence");
    }
    if name.is_some_and(Value::is_null) {
        problems.push("name is not present");
    }
    if name.is_some_and(|name| ruby::length(name) > MAX_NAME) {
        problems.push("name max_length");
    }
    if syslog_drain_url.is_some_and(|url| url.chars().count() > MAX_DRAIN) {
        problems.push("syslog_drain_url max_length");
    }
    let length = |tags: &[String]| tags.iter().map(|tag| tag.chars().count()).sum::<usize>();
    if tags.is_some_and(|tags| length(tags) > MAX_TAGS) {
        problems.push("tags too_long");
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(CcError::unprocessable(problems.join(", ")))
}

fn check_name(
    context: &RequestContext<'_>,
    space: Guid,
    name: &str,
    own: Option<Guid>,
) -> Result<(), CcError> {
    let holder = context
        .world
        .find_service_instance(space, name)
        .map(Row::guid);
    if holder.is_some() && holder != own {
        return Err(CcError::unprocessable(format!(
            "The service instance name is taken: {name}."
        )));
    }
    Ok(())
}

fn update(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let (guid, space) = {
        let instance: &ServiceInstance = context.named("guid")?;
        (instance.base.guid, instance.space)
    };
    let body = context.request.object()?;
    let mut message = Message::new(&body, &FIELDS);
    if !message.is_blank("name") {
        message.check("name").string();
    }
    let name = message.get("name").and_then(Value::as_str);
    let asked = read(&mut message);
    let current = &context.row::<ServiceInstance>(guid)?.base.metadata;
    let metadata = message.metadata_beside(current);
    message.finish()?;
    let asked = asked?;
    model_problems(
        body.get("name"),
        asked.tags.as_deref(),
        asked.syslog_drain_url.as_ref().and_then(Option::as_deref),
    )?;
    if let Some(name) = name {
        check_name(context, space, name, Some(guid))?;
    }
    let now = context.world.now();
    context.world.touch(guid, |instance: &mut ServiceInstance| {
        instance.changed = Some(now);
        if let Some(name) = name {
            instance.name = name.into();
        }
        if let Some(tags) = asked.tags {
            instance.tags = tags;
        }
        if let Some(credentials) = asked.credentials {
            instance.credentials = credentials;
        }
        if let Some(url) = asked.syslog_drain_url {
            instance.syslog_drain_url = url;
        }
        if let Some(url) = asked.route_service_url {
            instance.route_service_url = url;
        }
        instance.base.metadata.apply(metadata);
    });
    context.ok(guid, present)
}

/// What users provide is gone at once, with what was bound to it.
fn delete(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = context.guid_of::<ServiceInstance>("guid")?;
    context.world.delete(Kind::ServiceInstance, guid);
    Ok(Response::empty(204))
}
