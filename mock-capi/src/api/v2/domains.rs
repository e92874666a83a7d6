//! `/v2/domains`, `/v2/shared_domains` and `/v2/private_domains`

use serde_json::{Value, json};

use super::collection::{self, Collection, Relation, by_guid, row, rows_by};
use super::entity::Entity;
use super::filter::Filter;
use super::organizations::ORGANIZATIONS;
use super::schema::{self, Attribute};
use super::source::{Source, rows};
use super::spaces::SPACES;
use super::{
    association_not_empty, authorize, delete, is_recursive, known, post, put, related_row, remove,
};
use crate::api::context::{RequestContext, View};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::router::Route;
use crate::world::settings::Dialect;
use crate::world::{
    ADMINS, AccessScope, Domain, Field, Guid, Key, Kind, MANAGE_ORG, Org, ROUTER_GROUP_TYPE, Row,
    Selection, Space, V2_SPACE_MEMBERS, World, is_in_host,
};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v2/domains", index),
    Route::get("/v2/domains/:guid", show),
    Route::get("/v2/domains/:guid/spaces", collection::related),
    remove("/v2/domains/:guid", destroy),
    Route::get("/v2/shared_domains", collection::index),
    post("/v2/shared_domains", create_shared),
    Route::get("/v2/shared_domains/:guid", collection::show),
    put("/v2/shared_domains/:guid", update_shared),
    remove("/v2/shared_domains/:guid", destroy),
    Route::get("/v2/private_domains", collection::index),
    post("/v2/private_domains", create_private),
    Route::get("/v2/private_domains/:guid", collection::show),
    put("/v2/private_domains/:guid", update_private),
    remove("/v2/private_domains/:guid", destroy),
    Route::get(
        "/v2/private_domains/:guid/shared_organizations",
        collection::related,
    ),
];

const OWNER: Filter = Filter::guid("owning_organization_guid", |_, domain| match domain {
    Entity::Domain(domain) => domain.org.iter().map(Guid::to_string).collect(),
    _ => Vec::new(),
});

const NOT_FOUND: (u32, &str, &str) = (
    130_002,
    "CF-DomainNotFound",
    "The domain could not be found",
);

fn owner_of(world: &World, guid: Guid) -> Option<Entity<'_>> {
    let owner = world.domains.get(guid)?.org?;
    world.orgs.get(owner).map(Entity::from)
}

pub(super) static DOMAINS: Collection = Collection {
    path: "/v2/domains",
    source: Source::of::<Domain>()
        .visible(|world, access| Some(Domain::keys_for(world, access, V2_SPACE_MEMBERS))),
    get: row::<Domain>,
    parse: by_guid,
    relations: &[
        Relation::one("owning_organization", &ORGANIZATIONS, owner_of),
        Relation::many("spaces", &SPACES, |world, guid| {
            let owner = world.domains.get(guid).and_then(|domain| domain.org);
            owner.map_or_else(Vec::new, |owner| rows_by::<Space>(world, Field::Org, owner))
        }),
    ],
    filters: &[Filter::NAME, OWNER],
    order_by: &[],
    not_found: NOT_FOUND,
};

pub(super) static SHARED_DOMAINS: Collection = Collection {
    path: "/v2/shared_domains",
    source: Source::of::<Domain>().of_kind(Domain::SHARED).public(),
    get: |world, guid| found(world, guid, false),
    parse: by_guid,
    relations: &[],
    filters: &[Filter::NAME],
    order_by: &[],
    not_found: NOT_FOUND,
};

pub(super) static PRIVATE_DOMAINS: Collection = Collection {
    path: "/v2/private_domains",
    source: Source::of::<Domain>()
        .of_kind(Domain::PRIVATE)
        .visible(|world, access| Some(access.keys_of_private_domains(world, V2_SPACE_MEMBERS))),
    get: |world, guid| found(world, guid, true),
    parse: by_guid,
    relations: &[
        Relation::one("owning_organization", &ORGANIZATIONS, owner_of),
        Relation::link("shared_organizations", &ORGANIZATIONS, |world, guid| {
            let shared_with = world.domains.get(guid).map(|domain| &domain.shared_with);
            let orgs = shared_with.into_iter().flatten().copied();
            rows::<Org>(world, &Selection::all().any_guid(Field::Guid, orgs))
        }),
    ],
    filters: &[Filter::NAME],
    order_by: &[],
    not_found: NOT_FOUND,
};

fn found<'w>(world: &'w World, guid: Guid, private: bool) -> Option<Entity<'w>> {
    let domain: &Domain = world.get(guid)?;
    (domain.org.is_some() == private).then_some(Entity::Domain(domain))
}

const SHARED: &[Attribute] = &[
    Attribute::text("name").required(),
    Attribute::boolean("internal"),
    Attribute::text("router_group_guid"),
];
const PRIVATE: &[Attribute] = &[
    Attribute::text("name").required(),
    Attribute::text("owning_organization_guid").required(),
];

pub(super) fn url(domain: &Domain) -> String {
    let kind = match domain.org {
        Some(_) => "private_domains",
        None => "shared_domains",
    };
    format!("/v2/{kind}/{}", domain.guid())
}

pub(super) fn attributes(domain: &Domain, view: &View<'_>) -> Value {
    if let Some(owner) = domain.org {
        return json!({
            "name": domain.name,
            "owning_organization_guid": owner,
        });
    }
    let group = view.world.router_group(domain);
    let mut attributes = json!({
        "name": domain.name,
        "router_group_guid": domain.router_group,
        "router_group_type": group.map(|_| ROUTER_GROUP_TYPE),
    });
    // In 2017, there were no internal domains.
    if view.dialect == Dialect::V3 {
        attributes["internal"] = json!(domain.internal);
    }
    attributes
}

/// A domain in the summaries of apps.
pub(super) fn summarize(domain: &Domain, view: &View<'_>) -> Value {
    let mut summary = attributes(domain, view);
    summary["guid"] = json!(domain.guid());
    summary
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    collection::index(context).map(deprecated)
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    collection::show(context).map(deprecated)
}

fn deprecated(answer: Response) -> Response {
    answer.with_warnings(Some("Endpoint deprecated".into()))
}

fn invalid(reason: &str) -> CcError {
    let detail = format!("The domain is invalid: {reason}");
    CcError::new(400, 130_001, "CF-DomainInvalid", detail)
}

/// Checks the name of a new domain as the Cloud Controller's model does.
fn validate(world: &World, name: &str, owner: Option<Guid>) -> Result<(), CcError> {
    const MAX_NAME: usize = 253;
    if world.name_taken::<Domain>(name, None) {
        let detail = format!("The domain name is taken: {name}");
        return Err(CcError::new(400, 130_003, "CF-DomainNameTaken", detail));
    }
    let mut errors: Vec<String> = Vec::new();
    if name.trim().is_empty() {
        errors.push("name presence".into());
    }
    if !is_domain_name(name) {
        errors.push(
            "name can contain multiple subdomains, each having only alphanumeric characters and \
             hyphens of up to 63 characters, see RFC 1035."
                .into(),
        );
    }
    if !(3..=MAX_NAME).contains(&name.len()) {
        errors.push(format!("name must be no more than {MAX_NAME} characters"));
    }
    let reserved = |by: &str| {
        format!(
            "name The domain name \"{name}\" cannot be created because \"{by}\" is already reserved by"
        )
    };
    if let Some(other) = overlapping(world, name, owner) {
        errors.push(format!("{} another domain", reserved(other)));
    }
    if let Some(route) = reserving_route(world, name) {
        errors.push(format!("{} a route", reserved(&route)));
    }
    match errors.as_slice() {
        [] => Ok(()),
        errors => Err(invalid(&errors.join(", "))),
    }
}

/// Whether a name has two or more labels of letters, digits and hyphens.
fn is_domain_name(name: &str) -> bool {
    let is_label = |label: &str| {
        let inside = label.chars().all(|c| is_in_host(c) && c != '_');
        let hyphened = label.starts_with('-') || label.ends_with('-');
        (1..=63).contains(&label.len()) && inside && !hyphened
    };
    name.contains('.') && name.split('.').all(is_label)
}

/// A name and its parent domains, except for the top level.
fn intermediate(name: &str) -> impl Iterator<Item = &str> {
    let above = std::iter::successors(Some(name), |name| Some(name.split_once('.')?.1));
    above.filter(|name| name.contains('.'))
}

/// The domain of another organization that contains a name.
fn overlapping<'w>(world: &'w World, name: &str, owner: Option<Guid>) -> Option<&'w str> {
    let mut domains = intermediate(name).filter_map(|name| world.named::<Domain>(name));
    let found = domains.find(|domain| domain.org.is_some() && domain.org != owner);
    found.map(|domain| domain.name.as_str())
}

/// The address of a route that equals a name or contains it.
fn reserving_route(world: &World, name: &str) -> Option<String> {
    let mut names = intermediate(name);
    let found = names.find(|name| {
        name.split_once('.').is_some_and(|(host, domain)| {
            let domain = world.named::<Domain>(domain);
            domain.is_some_and(|domain| !world.routes_at(domain, host).is_empty())
        })
    });
    found.map(str::to_owned)
}

fn create_shared(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let attributes = schema::of_new(&body, SHARED)?;
    let name = attributes.text("name").unwrap_or_default().trim();
    let router_group = match attributes.text("router_group_guid") {
        Some(guid) => Some(find_router_group(context.world, guid)?),
        None if attributes.has("router_group_guid") => {
            return Err(routing_api_disabled());
        }
        None => None,
    };
    validate(context.world, name, None)?;
    authorize(context, ADMINS, AccessScope::Deleted)?;
    let guid = add(context.world, name, None, attributes.boolean("internal"));
    context.world.domains.update(guid, |domain| {
        domain.router_group = router_group;
    });
    SHARED_DOMAINS.created(context, guid)
}

pub(super) fn routing_api_disabled() -> CcError {
    let detail = "Routing API is disabled";
    CcError::new(403, 370_003, "CF-RoutingApiDisabled", detail)
}

fn find_router_group(world: &World, text: &str) -> Result<Guid, CcError> {
    if world.router_groups.is_empty() {
        return Err(routing_api_disabled());
    }
    let guid = Guid::parse(text);
    let mut groups = world.router_groups.iter().map(|group| group.guid);
    groups.find(|group| guid == Some(*group)).ok_or_else(|| {
        let detail = format!("The domain is invalid: router group guid '{text}' not found");
        CcError::new(400, 130_001, "CF-DomainInvalid", detail)
    })
}

fn add(world: &mut World, name: &str, org: Option<Guid>, internal: Option<bool>) -> Guid {
    let base = world.base();
    world.add(Domain {
        base,
        name: name.into(),
        org,
        internal: internal.unwrap_or_default(),
        router_group: None,
        route_policies_scope: None,
        shared_with: Vec::new(),
    })
}

/// Shared domains cannot be changed.
fn update_shared(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    schema::of_change(&context.request.object()?, &[])?;
    let guid = known(context, &SHARED_DOMAINS)?;
    authorize(context, ADMINS, AccessScope::Deleted)?;
    SHARED_DOMAINS.changed(context, guid)
}

fn create_private(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let attributes = schema::of_new(&body, PRIVATE)?;
    let name = attributes.text("name").unwrap_or_default().trim();
    let owner = attributes
        .text("owning_organization_guid")
        .unwrap_or_default();
    let owner = related_row::<Org>(context.world, "Organization", owner)?;
    let owner_name = owner.name.clone();
    let owner = owner.guid();
    validate(context.world, name, Some(owner))?;
    if !allows_domain(context.world, owner) {
        let detail = format!(
            "The number of private domains exceeds the quota for organization: {owner_name}"
        );
        let title = "CF-TotalPrivateDomainsExceeded";
        return Err(CcError::new(400, 130_005, title, detail));
    }
    authorize(context, MANAGE_ORG, AccessScope::Org(owner))?;
    context.require_flag("private_domain_creation")?;
    let guid = add(context.world, name, Some(owner), None);
    PRIVATE_DOMAINS.created(context, guid)
}

/// Whether the quota of an organization allows an additional domain.
fn allows_domain(world: &World, owner: Guid) -> bool {
    let org = world.orgs.get(owner);
    let quota = org.and_then(|org| world.quotas.get(org.quota));
    let limit = quota.and_then(|quota| quota.limits.domains);
    let owned = world.domains.count(&Key::Guid(Field::Org, owner));
    limit.is_none_or(|limit| u64::try_from(owned).is_ok_and(|owned| owned < limit))
}

fn update_private(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let attributes = schema::of_change(&body, PRIVATE)?;
    let guid = known(context, &PRIVATE_DOMAINS)?;
    let owner = context.row::<Domain>(guid)?.org;
    authorize(
        context,
        MANAGE_ORG,
        owner.map_or(AccessScope::Deleted, AccessScope::Org),
    )?;
    if let Some(other) = attributes.text("owning_organization_guid") {
        let other = related_row::<Org>(context.world, "Organization", other)?.guid();
        if owner != Some(other) {
            return Err(invalid("the owning organization cannot be changed"));
        }
    }
    if let Some(name) = attributes.text("name") {
        let name = name.trim();
        if context.row::<Domain>(guid)?.name != name {
            validate(context.world, name, owner)?;
        }
        context
            .world
            .update_row(guid, |domain: &mut Domain| domain.name = name.into());
    }
    PRIVATE_DOMAINS.changed(context, guid)
}

fn destroy(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let text = context.capture("guid");
    let domain: &Domain = context
        .world
        .look_up(text)
        .ok_or_else(|| DOMAINS.not_found(text))?;
    let guid = domain.guid();
    match domain.org {
        Some(owner) => authorize(context, MANAGE_ORG, AccessScope::Org(owner))?,
        None => authorize(context, ADMINS, AccessScope::Deleted)?,
    }
    let used = context.world.routes.count(&Key::Guid(Field::Domain, guid)) > 0;
    if used && !is_recursive(context) {
        return Err(association_not_empty("routes", "domains"));
    }
    Ok(delete(context, "domain.delete", Kind::Domain, guid))
}
