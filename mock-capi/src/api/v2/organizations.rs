//! `/v2/organizations`

use serde_json::{Value, json};

use super::collection::{self, Collection, Relation, by_guid, row, rows_by};
use super::domains::{DOMAINS, PRIVATE_DOMAINS};
use super::entity::Entity;
use super::events::APP_EVENTS;
use super::filter::Filter;
use super::quota_definitions::QUOTA_DEFINITIONS;
use super::schema::{self, Attribute, Preset};
use super::source::Source;
use super::space_quota_definitions::SPACE_QUOTA_DEFINITIONS;
use super::spaces::SPACES;
use super::users::{USERS, users_with};
use super::{
    assign_all, association_not_empty, authorize, delete, is_recursive, known, name_error, post,
    put, related_row, roles,
};
use crate::api::context::{RequestContext, View};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::message::Fields;
use crate::api::router::Route;
use crate::world::{
    ADMINS, AccessScope, Domain, FeatureFlag, Field, Guid, IsolationSegment, Key, Kind, MANAGE_ORG,
    Org, Quota, RoleType, Row, Selection, Space, World,
};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v2/organizations", collection::index),
    post("/v2/organizations", create),
    Route::get("/v2/organizations/:guid", collection::show),
    put("/v2/organizations/:guid", update),
    super::remove("/v2/organizations/:guid", destroy),
    Route::get("/v2/organizations/:guid/summary", summary),
    Route::get("/v2/organizations/:guid/memory_usage", memory_usage),
    Route::get("/v2/organizations/:guid/instance_usage", instance_usage),
    Route::get("/v2/organizations/:guid/spaces", collection::related),
    Route::get("/v2/organizations/:guid/domains", domains),
    Route::get(
        "/v2/organizations/:guid/private_domains",
        collection::related,
    ),
    put(
        "/v2/organizations/:guid/private_domains/:other",
        share_domain,
    ),
    super::remove(
        "/v2/organizations/:guid/private_domains/:other",
        unshare_domain,
    ),
    Route::get("/v2/organizations/:guid/users", collection::related),
    Route::get("/v2/organizations/:guid/managers", collection::related),
    Route::get(
        "/v2/organizations/:guid/billing_managers",
        collection::related,
    ),
    Route::get("/v2/organizations/:guid/auditors", collection::related),
    Route::get("/v2/organizations/:guid/app_events", collection::related),
    Route::get(
        "/v2/organizations/:guid/space_quota_definitions",
        collection::related,
    ),
    super::remove("/v2/organizations/:guid/domains/:other", moved_domain).open(),
    super::remove(
        "/v2/organizations/:guid/default_isolation_segment",
        unset_default_segment,
    ),
];

pub(super) static ORGANIZATIONS: Collection = Collection {
    path: "/v2/organizations",
    source: Source::of::<Org>(),
    get: row::<Org>,
    parse: by_guid,
    relations: &[
        Relation::one("quota_definition", &QUOTA_DEFINITIONS, |world, guid| {
            let quota = world.orgs.get(guid)?.quota;
            world.quotas.get(quota).map(Entity::from)
        }),
        Relation::many("spaces", &SPACES, |world, guid| {
            rows_by::<Space>(world, Field::Org, guid)
        }),
        Relation::many("domains", &DOMAINS, |world, guid| {
            domains_of(world, guid, |domain| domain.is_usable_by(guid))
        }),
        Relation::many("private_domains", &PRIVATE_DOMAINS, |world, guid| {
            domains_of(world, guid, |domain| domain.org.is_some())
        })
        // Only domains that other organizations share are inlined.
        .inlining(|world, guid| rows_by::<Domain>(world, Field::SharedWith, guid)),
        Relation::many("users", &USERS, |world, guid| {
            users_with(world, RoleType::OrgUser, guid)
        }),
        Relation::many("managers", &USERS, |world, guid| {
            users_with(world, RoleType::OrgManager, guid)
        }),
        Relation::many("billing_managers", &USERS, |world, guid| {
            users_with(world, RoleType::OrgBillingManager, guid)
        }),
        Relation::many("auditors", &USERS, |world, guid| {
            users_with(world, RoleType::OrgAuditor, guid)
        }),
        Relation::link("app_events", &APP_EVENTS, |_, _| Vec::new()),
        Relation::many(
            "space_quota_definitions",
            &SPACE_QUOTA_DEFINITIONS,
            |world, guid| rows_by::<crate::world::SpaceQuota>(world, Field::Org, guid),
        ),
    ],
    filters: &[
        Filter::NAME,
        Filter::guid("space_guid", |world, org| {
            let spaces = rows_by::<Space>(world, Field::Org, org.guid());
            spaces.into_iter().map(Entity::id).collect()
        }),
        Filter::guid("user_guid", |world, org| {
            ids_of(users_with(world, RoleType::OrgUser, org.guid()))
        }),
        Filter::guid("manager_guid", |world, org| {
            ids_of(users_with(world, RoleType::OrgManager, org.guid()))
        }),
        Filter::guid("billing_manager_guid", |world, org| {
            ids_of(users_with(world, RoleType::OrgBillingManager, org.guid()))
        }),
        Filter::guid("auditor_guid", |world, org| {
            ids_of(users_with(world, RoleType::OrgAuditor, org.guid()))
        }),
        Filter::text("status", |_, org| match org {
            Entity::Org(org) => vec![status(org).into()],
            _ => Vec::new(),
        }),
    ],
    order_by: &["id", "name"],
    not_found: (
        30003,
        "CF-OrganizationNotFound",
        "The organization could not be found",
    ),
};

const NEW: &[Attribute] = &[
    Attribute::text("name").required(),
    Attribute::boolean("billing_enabled").preset(Preset::Boolean(false)),
    Attribute::text("status").preset(Preset::Text("active")),
    Attribute::text("quota_definition_guid"),
    Attribute::texts("user_guids"),
    Attribute::texts("manager_guids"),
    Attribute::texts("billing_manager_guids"),
    Attribute::texts("auditor_guids"),
];
const CHANGE: &[Attribute] = &[
    Attribute::text("name"),
    Attribute::boolean("billing_enabled"),
    Attribute::text("status"),
    Attribute::text("default_isolation_segment_guid"),
    Attribute::text("quota_definition_guid"),
    Attribute::texts("user_guids"),
    Attribute::texts("manager_guids"),
    Attribute::texts("billing_manager_guids"),
    Attribute::texts("auditor_guids"),
];

/// The roles for lists of users in a request.
const ROLES: [(&str, RoleType); 4] = [
    ("user_guids", RoleType::OrgUser),
    ("manager_guids", RoleType::OrgManager),
    ("billing_manager_guids", RoleType::OrgBillingManager),
    ("auditor_guids", RoleType::OrgAuditor),
];

pub(super) fn ids_of(entities: Vec<Entity<'_>>) -> Vec<String> {
    entities.into_iter().map(Entity::id).collect()
}

fn domains_of<'w>(world: &'w World, org: Guid, keep: impl Fn(&Domain) -> bool) -> Vec<Entity<'w>> {
    let domains = world.domains.iter();
    let kept = domains.filter(|domain| domain.is_usable_by(org) && keep(domain));
    kept.map(Entity::from).collect()
}

fn status(org: &Org) -> &'static str {
    if org.suspended { "suspended" } else { "active" }
}

pub(super) fn attributes(org: &Org, view: &View<'_>) -> Value {
    let guid = org.guid();
    let mut attributes = json!({
        "name": org.name,
        "billing_enabled": org.billing_enabled,
        "quota_definition_guid": org.quota,
        "status": status(org),
        "default_isolation_segment_guid": org.default_segment,
    });
    let entitled = Key::Guid(Field::SharedWith, guid);
    if view.world.isolation_segments.count(&entitled) > 0 {
        let url = format!("/v3/isolation_segments?organization_guids={guid}");
        attributes["isolation_segment_url"] = json!(url);
    }
    attributes
}

fn taken(name: &str) -> CcError {
    let detail = format!("The organization name is taken: {name}");
    CcError::new(400, 30002, "CF-OrganizationNameTaken", detail)
}

fn invalid(reason: &str) -> CcError {
    let detail = format!("The organization info is invalid: {reason}");
    CcError::new(400, 30001, "CF-OrganizationInvalid", detail)
}

/// Checks attributes as the Cloud Controller's model does.
fn validate(
    context: &RequestContext<'_>,
    attributes: Fields<'_>,
    own: Option<Guid>,
) -> Result<(), CcError> {
    let mut errors = Vec::new();
    errors.extend(attributes.text("name").and_then(name_error));
    let status = attributes.text("status");
    if status.is_some_and(|status| !["active", "suspended"].contains(&status)) {
        errors.push("status includes".into());
    }
    if !errors.is_empty() {
        return Err(invalid(&errors.join(", ")));
    }
    match attributes.text("name") {
        Some(name) if context.world.name_taken::<Org>(name, own) => Err(taken(name)),
        _ => Ok(()),
    }
}

fn create(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let attributes = schema::of_new(&body, NEW)?;
    let suspended = attributes.text("status") == Some("suspended");
    let quota = match attributes.text("quota_definition_guid") {
        Some(guid) => related_row::<Quota>(context.world, "QuotaDefinition", guid)?.guid(),
        None => context
            .world
            .default_quota()
            .map(Row::guid)
            .ok_or_else(|| invalid("Quota Definition could not be found: default"))?,
    };
    validate(context, attributes, None)?;
    let flag = context.world.named::<FeatureFlag>("user_org_creation");
    let anyone = flag.is_some_and(|flag| flag.enabled) && !suspended;
    if !anyone {
        authorize(context, ADMINS, AccessScope::Deleted)?;
    }
    let base = context.world.base();
    let guid = context.world.add(Org {
        base,
        name: attributes.text("name").unwrap_or_default().trim().into(),
        suspended,
        billing_enabled: attributes.boolean("billing_enabled").unwrap_or_default(),
        quota,
        default_segment: None,
    });
    let request = Value::Object(schema::audited_new(&body, NEW));
    context
        .world
        .record_org(guid, "audit.organization.create", request.clone());
    assign_all(context, attributes, &ROLES, (guid, None), &request)?;
    if !context.access.is_everything() {
        let id = context.caller()?.id().to_owned();
        let user = context.world.find_or_add_user(&id);
        for kind in [RoleType::OrgUser, RoleType::OrgManager] {
            roles::assign_listed(context.world, kind, user, (guid, None), &request)?;
        }
    }
    ORGANIZATIONS.created(context, guid)
}

fn update(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let attributes = schema::of_change(&body, CHANGE)?;
    let guid = known(context, &ORGANIZATIONS)?;
    let segment = attributes.text("default_isolation_segment_guid");
    let segment = segment.map(|segment| {
        let found = context.world.look_up::<IsolationSegment>(segment);
        found.ok_or_else(|| {
            let detail = "Could not find Isolation Segment to set as the default.";
            CcError::new(404, 10010, "CF-ResourceNotFound", detail)
        })
    });
    let segment = segment.transpose()?;
    authorize(context, MANAGE_ORG, AccessScope::Org(guid))?;
    let reserved = ["quota_definition_guid", "billing_enabled"];
    let suspended = attributes
        .text("status")
        .map(|status| status == "suspended");
    if reserved.iter().any(|name| attributes.has(name)) || suspended == Some(true) {
        authorize(context, ADMINS, AccessScope::Deleted)?;
    }
    if let Some(segment) = segment.filter(|segment| !segment.orgs.contains(&guid)) {
        let detail = format!(
            "Could not find Isolation Segment with guid: {}",
            segment.guid()
        );
        return Err(CcError::new(400, 1002, "CF-InvalidRelation", detail));
    }
    let segment = segment.map(Row::guid);
    let quota = attributes.text("quota_definition_guid");
    let quota = quota.map(|quota| related_row::<Quota>(context.world, "QuotaDefinition", quota));
    let quota = quota.transpose()?.map(Row::guid);
    validate(context, attributes, Some(guid))?;
    context.world.update_row(guid, |org: &mut Org| {
        if let Some(name) = attributes.text("name") {
            org.name = name.trim().into();
        }
        org.suspended = suspended.unwrap_or(org.suspended);
        org.quota = quota.unwrap_or(org.quota);
        org.default_segment = segment.or(org.default_segment);
        if let Some(enabled) = attributes.boolean("billing_enabled") {
            org.billing_enabled = enabled;
        }
    });
    let request = Value::Object(schema::audited_change(&body, CHANGE));
    assign_all(context, attributes, &ROLES, (guid, None), &request)?;
    context
        .world
        .record_org(guid, "audit.organization.update", request);
    ORGANIZATIONS.changed(context, guid)
}

fn destroy(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = known(context, &ORGANIZATIONS)?;
    authorize(context, ADMINS, AccessScope::Deleted)?;
    if !is_recursive(context) {
        let of_org = Key::Guid(Field::Org, guid);
        let world = &*context.world;
        let owned = [
            (world.domains.count(&of_org), "owned_private_domains"),
            (world.space_quotas.count(&of_org), "space_quota_definitions"),
        ];
        let owned = owned.iter().filter(|(count, _)| *count > 0);
        let owned: Vec<&str> = owned.map(|(_, association)| *association).collect();
        if !owned.is_empty() {
            return Err(association_not_empty(&owned.join(", "), "organizations"));
        }
        if world.spaces.count(&of_org) > 0 {
            return Err(association_not_empty("spaces", "organizations"));
        }
    }
    let request = json!({"recursive": is_recursive(context)});
    context
        .world
        .record_org(guid, "audit.organization.delete-request", request);
    Ok(delete(context, "organization.delete", Kind::Org, guid))
}

fn summary(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = ORGANIZATIONS.readable(context)?;
    let (world, view) = (&*context.world, context.view());
    let spaces = rows_by::<Space>(world, Field::Org, guid).into_iter();
    let spaces: Vec<Value> = spaces
        .filter(|space| space.is_visible(&view))
        .map(|space| summarize_space(world, space))
        .collect();
    let org: &Org = context.row(guid)?;
    Ok(Response::ok(&json!({
        "guid": guid,
        "name": org.name,
        "status": status(org),
        "spaces": spaces,
        // The Cloud Controller adds this by mistake.
        "mode": "compat",
    })))
}

fn summarize_space(world: &World, space: Entity<'_>) -> Value {
    let of_space = Selection::by(Field::Space, space.guid());
    let processes = world.processes.select(&of_space).into_iter();
    let web: Vec<_> = processes.filter(|process| process.kind == "web").collect();
    let started = web.iter().filter(|process| process.started);
    let memory = |production| -> u64 {
        let counted = started.clone();
        counted
            .filter(|process| process.v2.production == production)
            .map(|it| u64::from(it.scale.instances) * u64::from(it.scale.memory_mb))
            .sum()
    };
    json!({
        "guid": space.id(),
        "name": space.name(),
        "service_count": world.service_instances.select(&of_space).len(),
        "app_count": web.len(),
        "mem_dev_total": memory(false),
        "mem_prod_total": memory(true),
    })
}

fn memory_usage(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = ORGANIZATIONS.readable(context)?;
    let spaces = context.world.spaces_of(vec![guid]);
    let in_spaces = Selection::all().any_guid(Field::Space, spaces);
    let world = &*context.world;
    let processes = world.processes.select(&in_spaces).into_iter();
    let of_processes: u64 = processes
        .filter(|process| process.started)
        .map(|it| u64::from(it.scale.instances) * u64::from(it.scale.memory_mb))
        .sum();
    let tasks = world.tasks.select(&in_spaces).into_iter();
    let of_tasks: u64 = tasks
        .filter(|task| task.state(world.now()) == "RUNNING")
        .map(|task| u64::from(task.memory_mb))
        .sum();
    let memory = of_processes + of_tasks;
    Ok(Response::ok(&json!({"memory_usage_in_mb": memory})))
}

fn instance_usage(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = ORGANIZATIONS.readable(context)?;
    let spaces = context.world.spaces_of(vec![guid]);
    let in_spaces = Selection::all().any_guid(Field::Space, spaces);
    let processes = context.world.processes.select(&in_spaces).into_iter();
    let instances: u64 = processes
        .filter(|process| process.started)
        .map(|process| u64::from(process.scale.instances))
        .sum();
    Ok(Response::ok(&json!({"instance_usage": instances})))
}

fn domains(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let answer = collection::related(context)?;
    Ok(answer.with_warnings(Some("Endpoint deprecated".into())))
}

/// Domains are deleted at another path.
fn moved_domain(_context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    const ELSEWHERE: &str = "/v2/private_domains/:domain_guid";
    let body = format!("Use DELETE {ELSEWHERE}");
    let mut answer = Response::text("text/html;charset=utf-8", body);
    answer.status = 301;
    let answer = answer.with_header("Location", ELSEWHERE);
    Ok(answer.with_warnings(Some("Endpoint removed".into())))
}

fn other_domain(context: &RequestContext<'_>) -> Result<Guid, CcError> {
    PRIVATE_DOMAINS.look_up(context.world, context.capture("other"))
}

fn share_domain(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = known(context, &ORGANIZATIONS)?;
    authorize(context, MANAGE_ORG, AccessScope::Org(guid))?;
    let domain = other_domain(context)?;
    let owner = context.row::<Domain>(domain)?.org;
    authorize(
        context,
        MANAGE_ORG,
        owner.map_or(AccessScope::Deleted, AccessScope::Org),
    )?;
    if owner != Some(guid) {
        context.world.update_row(domain, |domain: &mut Domain| {
            if !domain.shared_with.contains(&guid) {
                domain.shared_with.push(guid);
            }
        });
    }
    ORGANIZATIONS.changed(context, guid)
}

fn unshare_domain(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = known(context, &ORGANIZATIONS)?;
    authorize(context, MANAGE_ORG, AccessScope::Org(guid))?;
    let text = context.capture("other");
    let domain: &Domain = super::found_by_guid(context.world, "PrivateDomain", text)?;
    let domain = domain.guid();
    context.world.unshare_domain(domain, guid);
    Ok(Response::empty(204))
}

fn unset_default_segment(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = known(context, &ORGANIZATIONS)?;
    authorize(context, MANAGE_ORG, AccessScope::Org(guid))?;
    context
        .world
        .update_row(guid, |org: &mut Org| org.default_segment = None);
    let presented = ORGANIZATIONS.present(context, guid)?;
    Ok(Response::ok(&presented))
}
