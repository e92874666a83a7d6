//! `/v3/service_instances`: user-provided instances, and everything that applies to both
//! kinds of instances

use serde_json::{Map, Value, json};

use super::service_instance_requests::{
    ServiceInstanceRequest, check_name, model_problems, read, read_managed, read_provided,
    read_tags, without_credentials,
};
use crate::api::context::{RequestContext, View, to_one};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::list::{ListQuery, ListSpec};
use crate::api::message::Message;
use crate::api::router::Route;
use crate::api::state::Present;
use crate::world::clock::Timestamp;
use crate::world::{
    AccessScope, Field, Guid, Kind, Managed, Operation, Org, READ_SECRETS, Registered, Row,
    Selection, ServiceInstance, Space, WRITE_SPACE,
};

use super::managed_instances::{self, NewInstance};
use super::{pick, service_offerings, service_plans};

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

/// The query parameters of a single instance.
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

pub(super) const PROVIDED: &str = "user-provided";
const NO_SPACE: &str = "Invalid space. Ensure that the space exists and you have access to it.";
pub(super) const FIELDS: [&str; 6] = [
    "name",
    "tags",
    "credentials",
    "syslog_drain_url",
    "route_service_url",
    "metadata",
];

impl Present for ServiceInstance {
    fn present(&self, view: &View<'_>) -> Value {
        present(self, view)
    }
}

pub(crate) fn present(instance: &ServiceInstance, view: &View<'_>) -> Value {
    let guid = instance.base.guid;
    let path = format!("/v3/service_instances/{guid}");
    let bindings = |kind: &str| view.link(&format!("/v3/{kind}?service_instance_guids={guid}"));
    let mut presented = json!({
        "guid": guid,
        "created_at": instance.base.created,
        "updated_at": instance.base.updated,
        "name": instance.name,
        "tags": instance.tags,
        "last_operation": present_last_operation(instance),
        "relationships": {"space": to_one(Some(instance.space))},
        "metadata": instance.base.metadata.present(),
        "links": {
            "self": view.link(&path),
            "space": view.link(&format!("/v3/spaces/{}", instance.space)),
            "service_credential_bindings": bindings("service_credential_bindings"),
            "service_route_bindings": bindings("service_route_bindings"),
        },
    });
    let links = match &instance.managed {
        None => {
            presented["type"] = json!(PROVIDED);
            presented["syslog_drain_url"] = json!(instance.syslog_drain_url);
            presented["route_service_url"] = json!(instance.route_service_url);
            vec![("credentials", format!("{path}/credentials"))]
        }
        Some(managed) => {
            present_managed(managed, view, &mut presented);
            vec![
                (
                    "service_plan",
                    format!("/v3/service_plans/{}", managed.plan),
                ),
                ("parameters", format!("{path}/parameters")),
                (
                    "shared_spaces",
                    format!("{path}/relationships/shared_spaces"),
                ),
            ]
        }
    };
    for (name, path) in links {
        presented["links"][name] = view.link(&path);
    }
    presented
}

fn present_managed(managed: &Managed, view: &View<'_>, presented: &mut Value) {
    let plan = view.world.service_plans.get(managed.plan);
    let of_plan = plan.and_then(|plan| plan.catalog.maintenance_info.as_ref());
    let own = managed.maintenance_info.as_ref();
    let version =
        |info: Option<&Map<String, Value>>| info.and_then(|it| it.get("version").cloned());
    presented["type"] = json!("managed");
    presented["maintenance_info"] = json!(own.cloned().unwrap_or_default());
    presented["upgrade_available"] = json!(version(own) != version(of_plan));
    presented["dashboard_url"] = json!(managed.dashboard_url);
    presented["relationships"]["service_plan"] = to_one(Some(managed.plan));
    if let Some(metadata) = &managed.broker_metadata {
        presented["broker_provided_metadata"] = metadata.clone();
    }
}

/// The last operation of an instance. User-provided instances are created and
/// changed at once.
fn present_last_operation(instance: &ServiceInstance) -> Value {
    if let Some(managed) = &instance.managed {
        let operation = &managed.operation;
        return json!({
            "type": operation.kind,
            "state": operation.state.name(),
            "description": operation.description,
            "updated_at": operation.at,
            "created_at": operation.at,
        });
    }
    let kind = match instance.changed {
        Some(_) => "update",
        None => "create",
    };
    let at = instance.changed.unwrap_or(instance.base.created);
    json!({
        "type": kind,
        "state": "succeeded",
        "description": "Operation succeeded",
        "updated_at": at,
        "created_at": at,
    })
}

/// The last operation of a binding. A binding without a broker was created at once.
pub(super) fn present_operation(operation: Option<&Operation>, made: Timestamp) -> Value {
    let at = operation.map_or(made, |operation| operation.at);
    json!({
        "type": operation.map_or("create", |operation| &operation.kind),
        "state": operation.map_or("succeeded", |operation| operation.state.name()),
        "description": operation.and_then(|operation| operation.description.as_ref()),
        "created_at": at,
        "updated_at": at,
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
    let mut selection = query.by_texts(query.selection(), "names", ServiceInstance::NAME);
    selection = query.by_guids(selection, "service_plan_guids", Field::Plan);
    let world = &*context.world;
    let spaces = query.guids("space_guids");
    let orgs = query.guids("organization_guids");
    let orgs = orgs.map(|orgs| world.spaces_of(orgs));
    let in_any = |instance: &ServiceInstance, spaces: &Option<Vec<Guid>>| {
        let of_instance = || {
            [instance.space]
                .into_iter()
                .chain(instance.shared_with.clone())
        };
        spaces
            .as_ref()
            .is_none_or(|spaces| of_instance().any(|space| spaces.contains(&space)))
    };
    let keep = |instance: &ServiceInstance| {
        let plan = instance
            .plan()
            .and_then(|plan| world.service_plans.get(plan));
        let of_plan = match plan {
            Some(plan) => query.admits("service_plan_names", &plan.catalog.name),
            None => query.value("service_plan_names").is_none(),
        };
        of_plan
            && kind.is_none_or(|kind| (kind == PROVIDED) == instance.managed.is_none())
            && in_any(instance, &spaces)
            && in_any(instance, &orgs)
    };
    let page = query.page_by_query(world, &selection, keep);
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

/// Adds the selected fields of spaces and organizations, and of plans, offerings and
/// brokers, which only managed instances have.
fn include(query: &ListQuery, view: &View<'_>, answer: &mut Value, rows: &[&ServiceInstance]) {
    include_spaces(query, view, answer, rows.iter().map(|row| row.space));
    let plans: Vec<Guid> = rows.iter().filter_map(|row| row.plan()).collect();
    if plans.is_empty() {
        return;
    }
    let found = plans
        .iter()
        .filter_map(|plan| view.world.service_plans.get(*plan));
    let offerings: Vec<Guid> = found.map(|plan| plan.offering).collect();
    let found = offerings
        .iter()
        .filter_map(|it| view.world.service_offerings.get(*it));
    let brokers: Vec<Guid> = found.map(|offering| offering.broker).collect();
    if let Some(fields) = query.fields("service_plan") {
        answer["included"]["service_plans"] =
            service_plans::included_fields(view, plans.into_iter(), &fields);
    }
    if let Some(fields) = query.fields("service_plan.service_offering") {
        answer["included"]["service_offerings"] =
            service_offerings::included_fields(view, offerings.into_iter(), &fields);
    }
    if let Some(fields) = query.fields("service_plan.service_offering.service_broker") {
        answer["included"]["service_brokers"] =
            service_offerings::included_brokers(view, brokers.into_iter(), &fields);
    }
}

/// Adds the selected fields of spaces and their organizations.
pub(super) fn include_spaces(
    query: &ListQuery,
    view: &View<'_>,
    answer: &mut Value,
    spaces: impl IntoIterator<Item = Guid>,
) {
    let spaces = Selection::all().any_guid(Field::Guid, spaces);
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

/// The caller's permissions for an existing instance, which the caller need not see.
fn permissions(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = context.capture("guid");
    let instance = context.world.look_up::<ServiceInstance>(guid);
    let instance = instance.ok_or_else(|| CcError::not_found(ServiceInstance::KIND))?;
    let access_scope = instance.access_scope(context.world);
    Ok(Response::ok(&json!({
        "manage": context.access.allows(context.world, access_scope, WRITE_SPACE),
        "read": instance.is_visible(context.world, &context.access),
    })))
}

fn show_credentials(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let instance: &ServiceInstance = context.row_of(context.capture("guid"))?;
    if instance.managed.is_some() {
        return Err(CcError::not_found(ServiceInstance::KIND));
    }
    context.authorize(AccessScope::Space(instance.space))?;
    let guid = instance.base.guid;
    let credentials = instance.credentials.clone().unwrap_or_default();
    context.world.record_instance(guid, "show", Value::Null);
    Ok(Response::ok(&Value::Object(credentials)))
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
    let tags = read_tags(&mut message);
    message.finish()?;
    let managed = body.get("type").is_some_and(|kind| kind == "managed");
    let plan = match managed {
        true => read_managed(&body)?,
        false => None,
    };
    let asked = match managed {
        true => ServiceInstanceRequest::default(),
        false => read_provided(&body)?,
    };
    let space: &Space = context.related(space.flatten(), NO_SPACE)?;
    let space = space.base.guid;
    if body.get("type").is_some_and(Value::is_array) {
        // The Cloud Controller then creates neither kind of instance.
        return Ok(Response::empty(204));
    }
    if managed {
        let new = NewInstance {
            name,
            space,
            plan,
            tags: tags.unwrap_or_default(),
            parameters: body.get("parameters").filter(|it| !it.is_null()).cloned(),
            metadata,
        };
        return managed_instances::create(context, new, &body);
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
        managed: None,
        shared_with: Vec::new(),
    });
    let request = without_credentials(&body);
    context.world.record_instance(guid, "create", request);
    context.created(guid, present)
}

fn update(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let (guid, space) = {
        let instance = writable(context)?;
        if instance.managed.is_some() {
            let guid = instance.base.guid;
            return managed_instances::update(context, guid);
        }
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
    let metadata = message.metadata_update(current);
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
    context
        .world
        .update_row(guid, |instance: &mut ServiceInstance| {
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
    let request = without_credentials(&body);
    context.world.record_instance(guid, "update", request);
    let mut instance = context.present(guid, present)?;
    for url in ["syslog_drain_url", "route_service_url"] {
        if body.get(url) == Some(&json!([])) {
            // The response repeats the request, although the column stores something
            // else.
            instance[url] = json!([]);
        }
    }
    Ok(Response::ok(&instance))
}

/// The instance that the path names, if the caller may change it. Members of spaces with
/// which it is shared may not.
fn writable<'c>(context: &'c RequestContext<'_>) -> Result<&'c ServiceInstance, CcError> {
    context.named("guid")
}

/// Deletes an instance. User-provided instances are deleted at once, with their bindings.
fn delete(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let instance = writable(context)?;
    let (guid, managed) = (instance.base.guid, instance.managed.is_some());
    let purges = context.request.query("purge") == Some("true");
    if purges {
        let plan = instance
            .plan()
            .and_then(|plan| context.world.service_plans.get(plan));
        let access_scope = plan.map(|plan| plan.access_scope(context.world));
        let allowed = access_scope.is_none_or(|access_scope| {
            context
                .access
                .allows(context.world, access_scope, WRITE_SPACE)
        });
        if !allowed {
            return Err(CcError::not_authorized());
        }
        context.world.purge_service_instance(guid);
        return Ok(Response::empty(204));
    }
    if managed {
        return managed_instances::delete(context, guid);
    }
    context.world.delete(Kind::ServiceInstance, guid);
    Ok(Response::empty(204))
}
