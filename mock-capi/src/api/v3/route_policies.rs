//! `/v3/route_policies`: which apps, spaces and organizations may send requests to
//! the routes of a domain that enforces policies.

use serde_json::{Value, json};

use crate::api::context::{RequestContext, View, to_one};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::list::{ListQuery, ListSpec};
use crate::api::message::Message;
use crate::api::router;
use crate::api::state::Present;
use crate::world::{
    AccessScope, Domain, Field, Guid, Route, RoutePolicy, RoutePolicySource, Selection, Target,
    WRITE_SPACE,
};

use super::{apps, organizations, routes, spaces};

pub(crate) const ROUTES: &[router::Route] = &[
    router::Route::get("/v3/route_policies", index),
    router::Route::post("/v3/route_policies", create).by(WRITE_SPACE),
    router::Route::get("/v3/route_policies/:guid", show),
    router::Route::patch("/v3/route_policies/:guid", update).by(WRITE_SPACE),
    router::Route::delete("/v3/route_policies/:guid", delete).by(WRITE_SPACE),
];

const LIST: ListSpec = ListSpec {
    include: &["source", "route"],
    ..ListSpec::of(&[
        "guids",
        "route_guids",
        "space_guids",
        "sources",
        "source_guids",
        "include",
        "label_selector",
    ])
};

impl Present for RoutePolicy {
    fn present(&self, view: &View<'_>) -> Value {
        present(self, view)
    }
}

pub(crate) fn present(policy: &RoutePolicy, view: &View<'_>) -> Value {
    let (app, space, org) = match policy.source {
        RoutePolicySource::Any => (None, None, None),
        RoutePolicySource::App(guid) => (Some(guid), None, None),
        RoutePolicySource::Space(guid) => (None, Some(guid), None),
        RoutePolicySource::Org(guid) => (None, None, Some(guid)),
    };
    let mut links = json!({
        "self": view.link(&format!("/v3/route_policies/{}", policy.base.guid)),
        "route": view.link(&format!("/v3/routes/{}", policy.route)),
    });
    for (name, kind, guid) in [
        ("app", "apps", app),
        ("space", "spaces", space),
        ("organization", "organizations", org),
    ] {
        if let Some(guid) = guid {
            links[name] = view.link(&format!("/v3/{kind}/{guid}"));
        }
    }
    json!({
        "guid": policy.base.guid,
        "created_at": policy.base.created,
        "updated_at": policy.base.updated,
        "source": policy.source.to_string(),
        "metadata": policy.base.metadata.present(),
        "relationships": {
            "route": to_one(Some(policy.route)),
            "app": to_one(app),
            "space": to_one(space),
            "organization": to_one(org),
        },
        "links": links,
    })
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let query = ListQuery::read(context, &LIST)?;
    let sources = query.values("sources").unwrap_or_default();
    let unknown = sources
        .iter()
        .filter(|text| RoutePolicySource::parse(text).is_none());
    let unknown: Vec<&str> = unknown.map(String::as_str).collect();
    if !unknown.is_empty() {
        return Err(CcError::bad_query(format!(
            "Sources contains invalid source format: {}",
            unknown.join(", ")
        )));
    }
    let selection = query.by_guids(query.selection(), "route_guids", Field::Route);
    let spaces = query.guids("space_guids");
    let guids = query.guids("source_guids");
    let keep = |policy: &RoutePolicy| {
        let space = context
            .world
            .routes
            .get(policy.route)
            .map(|route| route.space);
        let source = policy.source.guid();
        spaces
            .as_ref()
            .is_none_or(|spaces| space.is_some_and(|space| spaces.contains(&space)))
            && guids
                .as_ref()
                .is_none_or(|guids| source.is_some_and(|source| guids.contains(&source)))
            && query.admits("sources", &policy.source.to_string())
    };
    let page = query.page_by_query(context.world, &selection, keep);
    let mut answer = query.answer(context, &page, present);
    include(&query, &context.view(), &mut answer.rest, &page.rows);
    Ok(answer.into())
}

/// Adds the sources and routes of policies that the caller can see.
fn include(query: &ListQuery, view: &View<'_>, answer: &mut Value, policies: &[&RoutePolicy]) {
    if query.includes("route") {
        let routes = policies.iter().map(|policy| policy.route);
        answer["included"]["routes"] = view.included(routes, routes::present);
    }
    if query.includes("source") {
        let sources = || policies.iter().map(|policy| policy.source);
        let of = |pick: fn(RoutePolicySource) -> Option<Guid>| sources().filter_map(pick);
        let apps = of(|source| match source {
            RoutePolicySource::App(guid) => Some(guid),
            _ => None,
        });
        let sees = |app: &Guid| {
            view.access
                .sees(view.world, view.world.access_scope_of_app(*app))
        };
        answer["included"]["apps"] = view.included(apps.filter(sees), apps::present);
        let of_spaces = of(|source| match source {
            RoutePolicySource::Space(guid) => Some(guid),
            _ => None,
        });
        answer["included"]["spaces"] =
            view.included(view.visible_spaces(of_spaces), spaces::present);
        let orgs = of(|source| match source {
            RoutePolicySource::Org(guid) => Some(guid),
            _ => None,
        });
        answer["included"]["organizations"] =
            view.included(view.visible_orgs(orgs), organizations::present);
    }
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let spec = ListSpec {
        include: LIST.include,
        ..ListSpec::of_one(&["include"])
    };
    let query = ListQuery::read_or(context, &spec, CcError::unprocessable)?;
    let policy: &RoutePolicy = context.named("guid")?;
    let view = context.view();
    let mut answer = present(policy, &view);
    include(&query, &view, &mut answer, &[policy]);
    Ok(Response::ok(&answer))
}

fn create(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    const FORMAT: &str =
        "must be in format 'cf:app:<uuid>', 'cf:space:<uuid>', 'cf:org:<uuid>', or 'cf:any'";
    let body = context.request.object()?;
    let mut message = Message::of_any(&body);
    let metadata = message.metadata();
    message.refuse_unknown(&["source", "relationships", "metadata"]);
    let route = message.relationships(&["route"], |inner| inner.related("route"));
    let text = message.check("source").present().string().text();
    let source = text.and_then(RoutePolicySource::parse);
    if text.is_some() && source.is_none() {
        message.error(format!("Source {FORMAT}"));
    }
    message.finish()?;
    let route: &Route = context.row_of(route.flatten().unwrap_or_default())?;
    context.authorize(AccessScope::Space(route.space))?;
    let (route, space) = (route.base.guid, route.space);
    let source = source.ok_or_else(CcError::unknown)?;
    check(context, route, source)?;
    let base = context.world.base_with(metadata);
    let guid = context.world.add(RoutePolicy {
        base,
        route,
        space,
        source,
    });
    let request = json!({"source": text, "route_guid": route});
    record(
        context,
        guid,
        "audit.route_policy.create",
        json!({"request": request}),
    );
    context.created(guid, present)
}

/// Records an event of a policy.
fn record(context: &mut RequestContext<'_>, guid: Guid, kind: &'static str, data: Value) {
    let world = &mut *context.world;
    let Some(policy) = world.route_policies.get(guid) else {
        return;
    };
    let target = Target {
        space: world.routes.get(policy.route).map(|route| route.space),
        ..Target::of("route_policy", guid, &policy.source.to_string())
    };
    world.record_target(kind, target, data);
}

/// Checks that a route may have a policy for a source in addition to its existing
/// policies.
fn check(
    context: &RequestContext<'_>,
    route: Guid,
    source: RoutePolicySource,
) -> Result<(), CcError> {
    let refused = |text: String| Err(CcError::unprocessable(text));
    let domain: &Domain = context.row(context.row::<Route>(route)?.domain)?;
    if domain.internal {
        return refused("Cannot create route policies for routes on internal domains. Internal routes use container-to-container networking and bypass GoRouter.".into());
    }
    let Some(scope) = &domain.route_policies_scope else {
        return refused(format!(
            "Cannot create route policies for route '{route}': the route's domain does not have enforce_route_policies enabled."
        ));
    };
    if scope == "space" && matches!(source, RoutePolicySource::Org(_)) {
        return refused(format!(
            "Source '{source}' is not allowed: domain's route_policies_scope is 'space'."
        ));
    }
    let of_route = Selection::by(Field::Route, route);
    let others = context.world.route_policies.select(&of_route);
    if others.iter().any(|other| other.source == source) {
        return refused(format!(
            "A route policy with source '{source}' already exists for this route."
        ));
    }
    let is_any = |policy: &&RoutePolicy| policy.source == RoutePolicySource::Any;
    if source == RoutePolicySource::Any && !others.is_empty() {
        return refused(
            "source 'cf:any' cannot coexist with other route policies on the same route".into(),
        );
    }
    if others.iter().any(is_any) {
        return refused(
            "source cannot coexist with the existing 'cf:any' policy on this route".into(),
        );
    }
    Ok(())
}

fn update(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = context.guid_of::<RoutePolicy>("guid")?;
    let patch = context.metadata_patch()?;
    let data = json!({"request": context.request_body()});
    record(context, guid, "audit.route_policy.update", data);
    context.update_metadata(guid, patch, present)
}

fn delete(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = context.guid_of::<RoutePolicy>("guid")?;
    record(context, guid, "audit.route_policy.delete", json!({}));
    context.world.route_policies.remove(guid);
    Ok(Response::empty(204))
}
