//! `/v3/service_plans` and their visibility

use serde_json::{Map, Value, json};

use super::service_offerings::{
    check_open, included_brokers, is_for_places, is_of_broker, is_shown, marketplace_page,
    read_available, writable,
};
use super::{organizations, pick, service_offerings, spaces};
use crate::api::context::{RequestContext, View, to_one};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::list::{ListQuery, ListSpec};
use crate::api::message::Message;
use crate::api::router::Route;
use crate::api::state::Present;
use crate::world::{
    Field, Guid, Org, Registered, Row, ServiceInstance, ServiceOffering, ServicePlan, Space,
    Visibility, ruby,
};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v3/service_plans", index).open(),
    Route::get("/v3/service_plans/:guid", show).open(),
    Route::patch("/v3/service_plans/:guid", update).by_anyone(),
    Route::delete("/v3/service_plans/:guid", delete).by_anyone(),
    Route::get("/v3/service_plans/:guid/visibility", show_visibility),
    Route::patch("/v3/service_plans/:guid/visibility", replace_visibility).by_anyone(),
    Route::post("/v3/service_plans/:guid/visibility", extend_visibility).by_anyone(),
    Route::delete(
        "/v3/service_plans/:guid/visibility/:organization_guid",
        delete_visibility,
    )
    .by_anyone(),
];

const LIST: ListSpec = ListSpec {
    order_by: &["name"],
    include: &["space.organization", "service_offering"],
    fields: &[("service_offering.service_broker", &["guid", "name"])],
    ..ListSpec::of(&[
        "available",
        "fields",
        "broker_catalog_ids",
        "names",
        "organization_guids",
        "service_broker_guids",
        "service_broker_names",
        "service_instance_guids",
        "service_offering_guids",
        "service_offering_names",
        "space_guids",
        "include",
        "label_selector",
    ])
};

impl Present for ServicePlan {
    fn present(&self, view: &View<'_>) -> Value {
        present(self, view)
    }
}

pub(crate) fn present(plan: &ServicePlan, view: &View<'_>) -> Value {
    let (guid, catalog, world) = (plan.base.guid, &plan.catalog, view.world);
    let path = format!("/v3/service_plans/{guid}");
    let metadata = json!(catalog.metadata.clone().unwrap_or_default());
    let schema = |path: &str| {
        let schema = catalog.schemas.pointer(path);
        json!({"parameters": schema.cloned().unwrap_or_else(|| json!({}))})
    };
    let mut relationships = json!({"service_offering": to_one(Some(plan.offering))});
    let mut links = json!({
        "self": view.link(&path),
        "service_offering": view.link(&format!("/v3/service_offerings/{}", plan.offering)),
        "visibility": view.link(&format!("{path}/visibility")),
    });
    if let Some(space) = world.broker_of(plan).and_then(|broker| broker.space) {
        relationships["space"] = to_one(Some(space));
        links["space"] = view.link(&format!("/v3/spaces/{space}"));
    }
    json!({
        "guid": guid,
        "created_at": plan.base.created,
        "updated_at": plan.base.updated,
        "name": catalog.name,
        "visibility_type": world.visibility(plan).name(),
        "available": plan.available,
        "free": catalog.free,
        "costs": costs(&metadata),
        "description": catalog.description,
        "maintenance_info": catalog.maintenance_info.clone().unwrap_or_default(),
        "broker_catalog": {
            "id": catalog.id,
            "metadata": metadata,
            "maximum_polling_duration": catalog.maximum_polling_duration,
            "features": {
                "bindable": world.is_bindable(plan),
                "plan_updateable": world.is_plan_updateable(plan),
            },
        },
        "schemas": {
            "service_instance": {
                "create": schema("/service_instance/create/parameters"),
                "update": schema("/service_instance/update/parameters"),
            },
            "service_binding": {"create": schema("/service_binding/create/parameters")},
        },
        "relationships": relationships,
        "metadata": plan.base.metadata.present(),
        "links": links,
    })
}

/// The costs in the metadata of a plan, in the API's format.
fn costs(metadata: &Value) -> Value {
    let Some(Value::Array(costs)) = metadata.get("costs") else {
        return json!([]);
    };
    let mut presented = Vec::new();
    for cost in costs {
        let unit = cost.get("unit").and_then(Value::as_str);
        let amounts = cost.get("amount").and_then(Value::as_object);
        let (Some(unit), Some(amounts)) = (unit.filter(|it| !it.is_empty()), amounts) else {
            return json!([]);
        };
        let sound =
            |(currency, amount): (&String, &Value)| !currency.is_empty() && amount.is_number();
        if amounts.is_empty() || !amounts.iter().all(sound) {
            return json!([]);
        }
        for (currency, amount) in amounts {
            presented.push(json!({
                "currency": currency.to_uppercase(),
                "amount": amount.as_f64(),
                "unit": unit,
            }));
        }
    }
    json!(presented)
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    check_open(context)?;
    let query = ListQuery::read(context, &LIST)?;
    let available = read_available(&query)?;
    let world = &*context.world;
    let of_instances = query.guids("service_instance_guids").map(|guids| {
        let instances = guids
            .iter()
            .filter_map(|guid| world.service_instances.get(*guid));
        instances
            .filter_map(ServiceInstance::plan)
            .collect::<Vec<Guid>>()
    });
    let keep = |plan: &ServicePlan| {
        let offering = world.offering_of(plan);
        is_shown(context, plan)
            && available.is_none_or(|available| plan.available == available)
            && query.admits("names", &plan.catalog.name)
            && query.admits("broker_catalog_ids", &plan.catalog.id)
            && query.admits(
                "service_offering_names",
                offering.map_or("", |it| &it.catalog.name),
            )
            && is_of_broker(&query, world.broker_of(plan))
            && of_instances
                .as_ref()
                .is_none_or(|plans| plans.contains(&plan.base.guid))
            && is_for_places(&query, world, plan)
    };
    let selection = query.by_guids(query.selection(), "service_offering_guids", Field::Offering);
    let page = marketplace_page(context, &query, &selection, keep);
    let mut answer = query.answer(context, &page, present);
    include(&query, &context.view(), &mut answer.rest, &page.rows);
    Ok(answer.into())
}

fn include(query: &ListQuery, view: &View<'_>, answer: &mut Value, plans: &[&ServicePlan]) {
    if query.includes("space.organization") {
        let brokers = plans.iter().filter_map(|plan| view.world.broker_of(plan));
        let of_brokers: Vec<Guid> = brokers.filter_map(|broker| broker.space).collect();
        let found = of_brokers
            .iter()
            .filter_map(|space| view.world.spaces.get(*space));
        let orgs: Vec<Guid> = found.map(|space| space.org).collect();
        answer["included"]["spaces"] = view.included(of_brokers.into_iter(), spaces::present);
        answer["included"]["organizations"] =
            view.included(orgs.into_iter(), organizations::present);
    }
    let offerings = || plans.iter().map(|plan| plan.offering);
    if query.includes("service_offering") {
        answer["included"]["service_offerings"] =
            view.included(offerings(), service_offerings::present);
    }
    if let Some(fields) = query.fields("service_offering.service_broker") {
        let found = offerings().filter_map(|guid| view.world.service_offerings.get(guid));
        let brokers: Vec<Guid> = found
            .map(|offering: &ServiceOffering| offering.broker)
            .collect();
        answer["included"]["service_brokers"] =
            included_brokers(view, brokers.into_iter(), &fields);
    }
}

/// The plan that the path names, if the caller can see it.
fn shown<'c>(context: &'c RequestContext<'_>) -> Result<&'c ServicePlan, CcError> {
    let plan: Option<&ServicePlan> = context.world.look_up(context.capture("guid"));
    let plan = plan.filter(|plan| is_shown(context, plan));
    plan.ok_or_else(|| CcError::not_found(ServicePlan::KIND))
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    check_open(context)?;
    let spec = ListSpec {
        include: LIST.include,
        fields: LIST.fields,
        ..ListSpec::of_one(&["fields", "include"])
    };
    let query = ListQuery::read(context, &spec)?;
    let plan = shown(context)?;
    let view = context.view();
    let mut answer = present(plan, &view);
    include(&query, &view, &mut answer, &[plan]);
    Ok(Response::ok(&answer))
}

fn update(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = writable::<ServicePlan>(context)?;
    let patch = context.metadata_patch()?;
    context.update_metadata(guid, patch, present)
}

fn delete(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = writable::<ServicePlan>(context)?;
    if context.world.has_instances_of_plan(guid) {
        return Err(CcError::unprocessable(
            "Please delete the service_instances associations for your service_plans.",
        ));
    }
    if let Some(plan) = context.world.service_plans.remove(guid) {
        let (name, data) = (plan.catalog.name, json!({"request": {}}));
        context.world.record_named(
            "audit.service_plan.delete",
            "service_plan",
            guid,
            &name,
            data,
        );
    }
    Ok(Response::empty(204))
}

fn present_visibility(plan: &ServicePlan, view: &View<'_>, with_orgs: bool) -> Value {
    let visibility = view.world.visibility(plan);
    let mut presented = json!({"type": visibility.name()});
    match visibility {
        Visibility::Space(space) => {
            let name = view
                .world
                .spaces
                .get(space)
                .map(|space: &Space| &space.name);
            presented["space"] = json!({"guid": space, "name": name});
        }
        Visibility::Organization if with_orgs => {
            let orgs = view.visible_orgs(plan.orgs());
            presented["organizations"] = view.included(
                orgs,
                |org: &Org, _| json!({"guid": org.base.guid, "name": org.name}),
            );
        }
        _ => {}
    }
    presented
}

fn show_visibility(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let plan = shown(context)?;
    Ok(Response::ok(&present_visibility(
        plan,
        &context.view(),
        true,
    )))
}

fn replace_visibility(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    set_visibility(context, false)
}

fn extend_visibility(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    set_visibility(context, true)
}

fn set_visibility(context: &mut RequestContext<'_>, extend: bool) -> Result<Response, CcError> {
    shown(context)?;
    let guid = writable::<ServicePlan>(context)?;
    let body = context.request.object()?;
    let (kind, orgs) = read_visibility(&body)?;
    let plan = context.row::<ServicePlan>(guid)?;
    if matches!(context.world.visibility(plan), Visibility::Space(_)) {
        return Err(CcError::unprocessable(
            "cannot update plans with visibility type 'space'",
        ));
    }
    let keeps = kind == "organization" && extend;
    let mut visible_to: Vec<Guid> = plan.orgs().filter(|_| keeps).collect();
    if kind == "organization" {
        for text in orgs {
            let org: Option<&Org> = context.world.look_up(text);
            let org = org.map(Row::guid).ok_or_else(|| {
                CcError::new(
                    400,
                    1002,
                    "CF-InvalidRelation",
                    format!("Could not find Organization with guid: {text}"),
                )
            })?;
            if !visible_to.contains(&org) {
                visible_to.push(org);
            }
        }
    }
    context.world.update_row(guid, |plan: &mut ServicePlan| {
        plan.public = kind == "public";
        plan.visibilities.retain(|_| keeps);
    });
    for org in visible_to {
        let plan = context.row::<ServicePlan>(guid)?;
        if !plan.is_visible_to(org) {
            context.world.show_plan_to(guid, org);
        }
    }
    context.world.record_named(
        "audit.service_plan_visibility.update",
        "service_plan_visibility",
        guid,
        "",
        json!({"request": body}),
    );
    context.ok(guid, |plan, view| present_visibility(plan, view, !extend))
}

fn read_visibility(body: &Map<String, Value>) -> Result<(&str, Vec<&str>), CcError> {
    const KINDS: [&str; 3] = ["public", "admin", "organization"];
    let mut message = Message::new(body, &["type", "organizations"]);
    let kind = message
        .check("type")
        .one_of(&KINDS, "must be one of 'public', 'admin', 'organization'")
        .text()
        .unwrap_or_default();
    let orgs = message.get("organizations");
    let mut guids = Vec::new();
    match orgs {
        Some(orgs) if kind != "organization" && !ruby::is_blank(orgs) => {
            message.error("Organizations must be blank");
        }
        Some(_) if kind != "organization" => {}
        Some(Value::Array(orgs)) if !orgs.is_empty() => {
            let found: Option<Vec<&str>> = orgs
                .iter()
                .map(|org| org.get("guid").and_then(Value::as_str))
                .collect();
            match found {
                Some(found) => guids = found,
                None => message.error(
                    "Organizations organizations list must be structured like this: \"organizations\": [{\"guid\": \"valid-guid\"}]",
                ),
            }
        }
        orgs if kind == "organization" => {
            if !orgs.is_some_and(Value::is_array) {
                message.error("Organizations must be an array");
            }
            message.error("Organizations can't be blank");
        }
        _ => {}
    }
    let errors = message.into_errors();
    if errors.is_empty() {
        Ok((kind, guids))
    } else {
        Err(CcError::bad_request(&errors.join(", ")))
    }
}

fn delete_visibility(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    shown(context)?;
    let guid = writable::<ServicePlan>(context)?;
    let plan = context.row::<ServicePlan>(guid)?;
    if context.world.visibility(plan) != Visibility::Organization {
        return Err(CcError::unprocessable(
            "Cannot delete visibilities from non-org-restricted plans",
        ));
    }
    let org: Option<&Org> = context.world.look_up(context.capture("organization_guid"));
    let org = org
        .ok_or_else(|| CcError::not_found("Organization"))?
        .guid();
    if !plan.is_visible_to(org) {
        return Err(CcError::not_found("Service plan visibility"));
    }
    context.world.update_row(guid, |plan: &mut ServicePlan| {
        plan.visibilities.retain(|it| it.org != org);
    });
    context.world.record_named(
        "audit.service_plan_visibility.delete",
        "service_plan_visibility",
        guid,
        "",
        json!({"request": {}}),
    );
    Ok(Response::empty(204))
}

/// The selected fields of plans.
pub(super) fn included_fields(
    view: &View<'_>,
    plans: impl Iterator<Item = Guid>,
    fields: &[String],
) -> Value {
    view.included(plans, |plan: &ServicePlan, _| {
        let relationships = json!({"service_offering": to_one(Some(plan.offering))});
        pick(
            fields,
            json!({
                "guid": plan.base.guid,
                "name": plan.catalog.name,
                "relationships": relationships,
            }),
        )
    })
}
