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
    Base, Field, Guid, Kind, Org, READ_SECRETS, Row, Selection, ServiceInstance, Space, WRITE_SPACE,
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

fn show_credentials(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let instance: &ServiceInstance = context.named("guid")?;
    Ok(Response::ok(&json!(instance.credentials)))
}

/// What a request says of an instance; `None` is left alone.
struct ServiceInstanceRequest {
    tags: Option<Vec<String>>,
    credentials: Option<Map<String, Value>>,
    syslog_drain_url: Option<Option<String>>,
    route_service_url: Option<Option<String>>,
}

fn create(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let managed = body.get("type").is_some_and(|kind| kind == "managed");
    let own: &[&str] = if managed {
        &["name", "tags", "metadata", "parameters", "maintenance_info"]
    } else {
        &FIELDS
    };
    let fields: Vec<&str> = own
        .iter()
        .copied()
        .chain(["type", "relationships"])
        .collect();
    let mut message = Message::new(&body, &fields);
    let related: &[&str] = if managed {
        &["space", "service_plan"]
    } else {
        &["space"]
    };
    let space = message.relationships(related, |inner| {
        if managed {
            inner.related("service_plan");
        }
        inner.related("space")
    });
    if !managed && message.get("type").is_none_or(|kind| kind != PROVIDED) {
        message.error("Type must be one of 'managed', 'user-provided'");
    }
    let name = read_name(&mut message);
    let asked = read(&mut message);
    let metadata = message.metadata();
    message.finish()?;
    let space: &Space = context.related(space.flatten(), NO_SPACE)?;
    let space = space.base.guid;
    if managed {
        return Err(CcError::unprocessable(NO_PLAN));
    }
    check_name(context, space, &name, None)?;
    let base = context.world.base_with(metadata);
    let guid = context.world.add(ServiceInstance {
        base,
        name,
        space,
        tags: asked.tags.unwrap_or_default(),
        credentials: asked.credentials.unwrap_or_default(),
        syslog_drain_url: asked.syslog_drain_url.flatten(),
        route_service_url: asked.route_service_url.flatten(),
        changed: None,
    });
    context.created(guid, present)
}

fn read_name(message: &mut Message<'_>) -> String {
    let name = message.get("name");
    if name.is_none_or(|name| !name.is_string()) {
        message.error("Name must be a string");
    }
    let text = name.and_then(Value::as_str).unwrap_or_default();
    if name.is_none_or(Value::is_string) && text.trim().is_empty() {
        message.error("Name can't be blank");
    }
    text.to_owned()
}

fn read(message: &mut Message<'_>) -> ServiceInstanceRequest {
    ServiceInstanceRequest {
        tags: read_tags(message),
        credentials: message.has("credentials").then(|| {
            let credentials = message.object("credentials");
            credentials.cloned().unwrap_or_default()
        }),
        syslog_drain_url: read_url(message, "syslog_drain_url", "Syslog drain url"),
        route_service_url: read_url(message, "route_service_url", "Route service url"),
    }
}

fn read_tags(message: &mut Message<'_>) -> Option<Vec<String>> {
    match message.get("tags") {
        None => message.has("tags").then(Vec::new),
        Some(Value::Array(tags)) => {
            let texts: Option<Vec<String>> = tags
                .iter()
                .map(|tag| tag.as_str().map(str::to_owned))
                .collect();
            if texts.is_none() {
                message.error("Tags must be a list of strings");
            }
            texts
        }
        Some(_) => {
            message.error("Tags must be an array");
            None
        }
    }
}

fn read_url(message: &mut Message<'_>, key: &str, label: &str) -> Option<Option<String>> {
    let value = message.get(key);
    let text = value
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty());
    let blank = value.is_none_or(|value| value == "");
    if !blank && text.is_none_or(|text| url::Url::parse(text).is_err()) {
        message.error(format!("{label} must be a valid URI"));
    }
    if key == "route_service_url" && text.is_some_and(|text| !text.starts_with("https:")) {
        message.error(format!("{label} must be https"));
    }
    message.has(key).then(|| text.map(str::to_owned))
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
    let name = message.optional_text("name", 0..=255);
    let asked = read(&mut message);
    let metadata = message.metadata();
    message.finish()?;
    let name = name.filter(|name| !name.is_empty());
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
