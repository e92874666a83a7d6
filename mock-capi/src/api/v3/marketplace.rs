//! What managed services would come from. There are no brokers, so nobody
//! offers anything and no route is bound to a service; the lists say so.

use serde_json::json;

use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::list::{ListQuery, ListSpec};
use crate::api::router::Route;

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v3/service_brokers", |context| {
        index(context, &BROKERS, &[])
    }),
    Route::get("/v3/service_offerings", |context| {
        index(context, &OFFERINGS, INCLUDED_IN_OFFERINGS)
    }),
    Route::get("/v3/service_plans", |context| {
        index(context, &PLANS, INCLUDED_IN_PLANS)
    }),
    Route::get("/v3/service_route_bindings", |context| {
        index(context, &ROUTE_BINDINGS, INCLUDED_IN_ROUTE_BINDINGS)
    }),
    Route::get("/v3/service_brokers/:guid", |_| none("Service broker")).never_found(),
    Route::patch("/v3/service_brokers/:guid", |_| none("Service broker")).never_found(),
    Route::delete("/v3/service_brokers/:guid", |_| none("Service broker")).never_found(),
    Route::get("/v3/service_offerings/:guid", |_| none("Service offering")).never_found(),
    Route::patch("/v3/service_offerings/:guid", |_| none("Service offering")).never_found(),
    Route::delete("/v3/service_offerings/:guid", |_| none("Service offering")).never_found(),
    Route::get("/v3/service_plans/:guid", |_| none("Service plan")).never_found(),
    Route::patch("/v3/service_plans/:guid", |_| none("Service plan")).never_found(),
    Route::delete("/v3/service_plans/:guid", |_| none("Service plan")).never_found(),
    Route::get("/v3/service_plans/:guid/visibility", |_| {
        none("Service plan")
    })
    .never_found(),
    Route::post("/v3/service_plans/:guid/visibility", |_| {
        none("Service plan")
    })
    .never_found(),
    Route::patch("/v3/service_plans/:guid/visibility", |_| {
        none("Service plan")
    })
    .never_found(),
    Route::get("/v3/service_route_bindings/:guid", |_| {
        none("Service route binding")
    })
    .never_found(),
    Route::patch("/v3/service_route_bindings/:guid", |_| {
        none("Service route binding")
    })
    .never_found(),
    Route::delete("/v3/service_route_bindings/:guid", |_| {
        none("Service route binding")
    })
    .never_found(),
    Route::get("/v3/service_route_bindings/:guid/parameters", |_| {
        none("Service route binding")
    })
    .never_found(),
    Route::get("/v3/service_usage_events/:guid", |_| {
        none("Service usage event")
    })
    .never_found(),
    Route::delete(
        "/v3/service_plans/:guid/visibility/:organization_guid",
        |_| none("Service plan"),
    )
    .never_found(),
];

/// Of what nobody offers, there is none of that GUID.
fn none(kind: &str) -> Result<Response, CcError> {
    Err(CcError::not_found(kind))
}

const BROKERS: ListSpec = ListSpec {
    order_by: &["name"],
    ..ListSpec::of(&["space_guids", "names", "label_selector"])
};

const OFFERINGS: ListSpec = ListSpec {
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

const PLANS: ListSpec = ListSpec {
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

const ROUTE_BINDINGS: ListSpec = ListSpec {
    include: &["route", "service_instance"],
    ..ListSpec::of(&[
        "service_instance_guids",
        "service_instance_names",
        "route_guids",
        "include",
        "label_selector",
    ])
};

/// What is included if it is asked for, by `include` or by `fields`.
type Included = &'static [(&'static str, &'static str)];

const INCLUDED_IN_OFFERINGS: Included = &[("service_broker", "service_brokers")];

const INCLUDED_IN_PLANS: Included = &[
    ("space.organization", "spaces"),
    ("space.organization", "organizations"),
    ("service_offering", "service_offerings"),
    ("service_offering.service_broker", "service_brokers"),
];

const INCLUDED_IN_ROUTE_BINDINGS: Included = &[
    ("route", "routes"),
    ("service_instance", "service_instances"),
];

fn index(
    context: &RequestContext<'_>,
    spec: &ListSpec,
    included: Included,
) -> Result<Response, CcError> {
    let query = ListQuery::read(context, spec)?;
    let available = query.value("available");
    if available.is_some_and(|value| !["true", "false"].contains(&value)) {
        return Err(CcError::bad_query("Available must be 'true' or 'false'"));
    }
    let mut answer = query.answer_all(context, Vec::new());
    for (asked, resources) in included {
        if query.includes(asked) || query.fields(asked).is_some() {
            answer.rest["included"][*resources] = json!([]);
        }
    }
    Ok(answer.into())
}
