//! `/v3/service_offerings`

use serde_json::{Value, json};

use crate::api::context::{RequestContext, View, to_one};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::list::{ListQuery, ListSpec, Page};
use crate::api::router::Route;
use crate::api::state::Present;
use crate::world::{
    AccessScope, FeatureFlag, Guid, Registered, Row, Selection, ServiceBroker, ServiceOffering,
    ServicePlan, WRITE_SPACE, World,
};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v3/service_offerings", index).open(),
    Route::get("/v3/service_offerings/:guid", show).open(),
    Route::patch("/v3/service_offerings/:guid", update).by_anyone(),
    Route::delete("/v3/service_offerings/:guid", delete).by_anyone(),
];

const LIST: ListSpec = ListSpec {
    order_by: &["name"],
    fields: &[("service_broker", &["guid", "name"])],
    ..ListSpec::of(&[
        "available",
        "fields",
        "broker_catalog_ids",
        "service_broker_guids",
        "service_broker_names",
        "names",
        "space_guids",
        "organization_guids",
        "label_selector",
    ])
};

impl Present for ServiceOffering {
    fn present(&self, view: &View<'_>) -> Value {
        present(self, view)
    }
}

pub(crate) fn present(offering: &ServiceOffering, view: &View<'_>) -> Value {
    let (guid, catalog) = (offering.base.guid, &offering.catalog);
    let metadata = json!(catalog.metadata.clone().unwrap_or_default());
    let plans = format!("/v3/service_plans?service_offering_guids={guid}");
    json!({
        "guid": guid,
        "created_at": offering.base.created,
        "updated_at": offering.base.updated,
        "name": catalog.name,
        "description": catalog.description,
        "available": offering.available,
        "tags": catalog.tags,
        "requires": catalog.requires,
        "shareable": catalog.is_shareable(),
        "documentation_url": metadata.get("documentationUrl").unwrap_or(&json!("")),
        "broker_catalog": {
            "id": catalog.id,
            "metadata": metadata,
            "features": {
                "plan_updateable": catalog.plan_updateable,
                "bindable": catalog.bindable,
                "instances_retrievable": catalog.instances_retrievable,
                "bindings_retrievable": catalog.bindings_retrievable,
                "allow_context_updates": catalog.allow_context_updates,
            },
        },
        "relationships": {"service_broker": to_one(Some(offering.broker))},
        "metadata": offering.base.metadata.present(),
        "links": {
            "self": view.link(&format!("/v3/service_offerings/{guid}")),
            "service_plans": view.link(&plans),
            "service_broker": view.link(&format!("/v3/service_brokers/{}", offering.broker)),
        },
    })
}

/// Refuses callers without a token if the marketplace is hidden from them.
pub(super) fn check_open(context: &RequestContext<'_>) -> Result<(), CcError> {
    let hidden = context
        .world
        .named::<FeatureFlag>("hide_marketplace_from_unauthenticated_users");
    match context.caller {
        None if hidden.is_some_and(|flag| flag.enabled) => Err(CcError::not_authenticated()),
        _ => Ok(()),
    }
}

/// Whether a plan is shown in the marketplace. Callers without a token see only public
/// plans.
pub(super) fn is_shown(context: &RequestContext<'_>, plan: &ServicePlan) -> bool {
    plan.public || context.caller.is_some() && plan.is_visible(context.world, &context.access)
}

fn is_offered(context: &RequestContext<'_>, offering: &ServiceOffering) -> bool {
    let mut plans = context.world.plans_of(offering.base.guid).into_iter();
    let everything = context.caller.is_some() && context.access.sees_everything();
    everything || plans.any(|plan| is_shown(context, plan))
}

/// The value of the filter `available`, if the query has it.
pub(super) fn read_available(query: &ListQuery) -> Result<Option<bool>, CcError> {
    match query.value("available") {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(_) => Err(CcError::bad_query("Available must be 'true' or 'false'")),
    }
}

/// Whether a plan is available in the spaces and organizations of a query.
pub(super) fn is_for_places(query: &ListQuery, world: &World, plan: &ServicePlan) -> bool {
    let of_broker = world.broker_of(plan).and_then(|broker| broker.space);
    let in_spaces = query.guids("space_guids").is_none_or(|spaces| {
        plan.public
            || of_broker.is_some_and(|space| spaces.contains(&space))
            || spaces.iter().any(|space| {
                let org = world.spaces.get(*space).map(|space| space.org);
                org.is_some_and(|org| plan.is_visible_to(org))
            })
    });
    let in_orgs = query.guids("organization_guids").is_none_or(|orgs| {
        let of_broker = of_broker.and_then(|space| world.spaces.get(space));
        plan.public
            || of_broker.is_some_and(|space| orgs.contains(&space.org))
            || plan.orgs().any(|org| orgs.contains(&org))
    });
    in_spaces && in_orgs
}

/// Whether a query selects the broker.
pub(super) fn is_of_broker(query: &ListQuery, broker: Option<&ServiceBroker>) -> bool {
    let guid = broker.map(|broker| broker.base.guid);
    let guids = query.guids("service_broker_guids");
    guids.is_none_or(|guids| guid.is_some_and(|guid| guids.contains(&guid)))
        && query.admits(
            "service_broker_names",
            broker.map_or("", |broker| &broker.name),
        )
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    check_open(context)?;
    let query = ListQuery::read(context, &LIST)?;
    let available = read_available(&query)?;
    let world = &*context.world;
    let keep = |offering: &ServiceOffering| {
        let mut plans = world.plans_of(offering.base.guid).into_iter();
        let places = query.has("space_guids") || query.has("organization_guids");
        is_offered(context, offering)
            && available.is_none_or(|available| offering.available == available)
            && query.admits("names", &offering.catalog.name)
            && query.admits("broker_catalog_ids", &offering.catalog.id)
            && is_of_broker(&query, world.service_brokers.get(offering.broker))
            && (!places || plans.any(|plan| is_for_places(&query, world, plan)))
    };
    let page = marketplace_page(context, &query, &query.selection(), keep);
    let mut answer = query.answer(context, &page, present);
    let brokers = page.rows.iter().map(|offering| offering.broker);
    if let Some(fields) = query.fields("service_broker") {
        answer.rest["included"]["service_brokers"] =
            included_brokers(&context.view(), brokers, &fields);
    }
    Ok(answer.into())
}

/// A page of the marketplace. Without a token, only `keep` selects the resources.
pub(super) fn marketplace_page<'w, R: Row>(
    context: &'w RequestContext<'_>,
    query: &ListQuery,
    selection: &Selection,
    keep: impl Fn(&R) -> bool,
) -> Page<'w, R> {
    match context.caller {
        Some(_) => query.page_by_query(context.world, selection, keep),
        None => query.page(context.world, selection, keep),
    }
}

/// The selected fields of brokers.
pub(super) fn included_brokers(
    view: &View<'_>,
    brokers: impl Iterator<Item = Guid>,
    fields: &[String],
) -> Value {
    view.included(brokers, |broker: &ServiceBroker, _| {
        super::pick(
            fields,
            json!({"guid": broker.base.guid, "name": broker.name}),
        )
    })
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    check_open(context)?;
    let missing = || CcError::not_found(ServiceOffering::KIND);
    let offering: Option<&ServiceOffering> = context.world.look_up(context.capture("guid"));
    let offering = offering.ok_or_else(missing)?;
    if !is_offered(context, offering) {
        return Err(missing());
    }
    let spec = ListSpec {
        fields: LIST.fields,
        ..ListSpec::of_one(&["fields"])
    };
    let query = ListQuery::read(context, &spec)?;
    let view = context.view();
    let mut answer = present(offering, &view);
    if let Some(fields) = query.fields("service_broker") {
        answer["included"]["service_brokers"] =
            included_brokers(&view, std::iter::once(offering.broker), &fields);
    }
    Ok(Response::ok(&answer))
}

/// The resource that the path names, if the caller may change its broker's offerings.
/// Callers who can only see it get a 403.
pub(super) fn writable<R: Row>(context: &RequestContext<'_>) -> Result<Guid, CcError> {
    let row: Option<&R> = context.world.look_up(context.capture("guid"));
    let row = row.ok_or_else(|| CcError::not_found(R::KIND))?;
    let access_scope = row.access_scope(context.world);
    if context
        .access
        .allows(context.world, access_scope, WRITE_SPACE)
    {
        if let AccessScope::Space(_) = access_scope {
            context.require(WRITE_SPACE, access_scope)?;
        }
        return Ok(row.guid());
    }
    match row.is_visible(context.world, &context.access) {
        true => Err(CcError::not_authorized()),
        false => Err(CcError::not_found(R::KIND)),
    }
}

fn update(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = writable::<ServiceOffering>(context)?;
    let patch = context.metadata_patch()?;
    context.update_metadata(guid, patch, present)
}

fn delete(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let query = ListQuery::read(context, &ListSpec::of_one(&["purge"]))?;
    let purge = query.value("purge");
    if purge.is_some_and(|value| !["true", "false"].contains(&value)) {
        return Err(CcError::bad_query("Purge must be 'true' or 'false'"));
    }
    let purge = purge == Some("true");
    let guid = writable::<ServiceOffering>(context)?;
    let name = context.row::<ServiceOffering>(guid)?.catalog.name.clone();
    let request = match purge {
        true => {
            context.world.purge_offering(guid);
            json!({"purge": true})
        }
        false if !context.world.plans_of(guid).is_empty() => {
            return Err(CcError::unprocessable(
                "Please delete the service_plans associations for your services.",
            ));
        }
        false => {
            context.world.service_offerings.remove(guid);
            json!({})
        }
    };
    let data = json!({"request": request});
    context
        .world
        .record_named("audit.service.delete", "service", guid, &name, data);
    Ok(Response::empty(204))
}

/// The selected fields of offerings.
pub(super) fn included_fields(
    view: &View<'_>,
    offerings: impl Iterator<Item = Guid>,
    fields: &[String],
) -> Value {
    view.included(offerings, |offering: &ServiceOffering, _| {
        let catalog = &offering.catalog;
        let metadata = catalog.metadata.as_ref();
        let relationships = json!({"service_broker": to_one(Some(offering.broker))});
        super::pick(
            fields,
            json!({
                "name": catalog.name,
                "guid": offering.base.guid,
                "description": catalog.description,
                "tags": catalog.tags,
                "documentation_url": metadata.and_then(|it| it.get("documentationUrl")),
                "relationships": relationships,
            }),
        )
    })
}
