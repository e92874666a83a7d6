//! `/v3/domains`, and the domains of an organization

use serde_json::{Value, json};

use crate::api::context::{RequestContext, View, to_many, to_one};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::list::{ListQuery, ListSpec};
use crate::api::message::Message;
use crate::api::router::Route;
use crate::api::routing;
use crate::api::state::Present;
use crate::world::metadata::MetadataPatch;
use crate::world::{
    AccessScope, Domain, Field, Guid, Key, Kind, MANAGE_ORG, Org, Registered, Row, Selection, World,
};

use super::organizations;

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v3/domains", index),
    Route::post("/v3/domains", create).by_anyone(),
    Route::get("/v3/domains/:guid", show),
    Route::patch("/v3/domains/:guid", update).by(MANAGE_ORG),
    Route::delete("/v3/domains/:guid", delete).by(MANAGE_ORG),
    Route::post(
        "/v3/domains/:guid/relationships/shared_organizations",
        share,
    )
    .by(MANAGE_ORG),
    Route::delete(
        "/v3/domains/:guid/relationships/shared_organizations/:org",
        unshare,
    )
    .by_anyone(),
];

const LIST: ListSpec = ListSpec::of(&["names", "guids", "organization_guids", "label_selector"]);

const MIN_NAME: usize = 3;
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

impl Present for Domain {
    fn present(&self, view: &View<'_>) -> Value {
        present(self, view)
    }
}

pub(crate) fn present(domain: &Domain, view: &View<'_>) -> Value {
    let path = format!("/v3/domains/{}", domain.base.guid);
    let mut links = json!({
        "self": view.link(&path),
        "route_reservations": view.link(&format!("{path}/route_reservations")),
    });
    if let Some(org) = domain.org {
        links["organization"] = view.link(&format!("/v3/organizations/{org}"));
        links["shared_organizations"] =
            view.link(&format!("{path}/relationships/shared_organizations"));
    }
    if let Some(group) = view.world.router_group(domain) {
        let path = format!("{}/{}", routing::ROUTER_GROUPS, group.guid);
        links["router_group"] = view.link(&path);
    }
    let mut presented = json!({
        "guid": domain.base.guid,
        "created_at": domain.base.created,
        "updated_at": domain.base.updated,
        "name": domain.name,
        "internal": domain.internal,
        "router_group": domain.router_group.map(|guid| json!({"guid": guid})),
        "supported_protocols": [view.world.protocol_of_domain(domain)],
        "relationships": {
            "organization": to_one(domain.org),
            "shared_organizations": present_shared(domain, view),
        },
        "metadata": domain.base.metadata.present(),
        "links": links,
    });
    if let Some(scope) = &domain.route_policies_scope {
        presented["enforce_route_policies"] = json!(true);
        presented["route_policies_scope"] = json!(scope);
    }
    presented
}

fn present_shared(domain: &Domain, view: &View<'_>) -> Value {
    to_many(view.visible_orgs(domain.shared_with.iter().copied()))
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    list(context, None)
}

/// `GET /v3/organizations/:guid/domains`
pub(crate) fn index_of_org(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let org = organizations::find(context)?;
    list(context, Some(org))
}

/// `GET /v3/organizations/:guid/domains/default`
pub(crate) fn default_of_org(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let org = organizations::find(context)?;
    let domain = context.world.default_domain(org);
    let domain = domain.ok_or_else(|| CcError::not_found(Domain::KIND))?;
    Ok(Response::ok(&present(domain, &context.view())))
}

fn list(context: &RequestContext<'_>, usable_by: Option<Guid>) -> Result<Response, CcError> {
    let query = ListQuery::read(context, &LIST)?;
    let selection = query.by_texts(query.selection(), "names", Field::Name);
    let selection = query.by_guids(selection, "organization_guids", Field::Org);
    let usable = |domain: &Domain| usable_by.is_none_or(|org| domain.is_usable_by(org));
    match usable_by {
        None => query.respond_by_query(context, &selection, usable, present),
        Some(_) => query.respond(context, &selection, usable, present),
    }
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    context.show("guid", present)
}

/// The new domain in a request.
struct NewDomain<'b> {
    name: &'b str,
    internal: bool,
    /// The owning organization, and the organizations with which the domain is shared.
    /// `None` for a shared domain.
    orgs: Option<(&'b str, Vec<&'b str>)>,
    router_group: Option<&'b str>,
    route_policies_scope: Option<&'b str>,
    metadata: MetadataPatch,
}

fn create(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let mut message = Message::new(
        &body,
        &[
            "name",
            "internal",
            "relationships",
            "router_group",
            "enforce_route_policies",
            "route_policies_scope",
            "metadata",
        ],
    );
    let new = read_new(&mut message);
    message.finish()?;
    let (org, shared_with) = match &new.orgs {
        None => {
            context.require_admin()?;
            (None, Vec::new())
        }
        Some((owner, others)) => {
            let owner = find_owner(context, owner)?;
            (Some(owner), find_others(context, others, owner)?)
        }
    };
    let router_group = match new.router_group {
        Some(guid) => Some(find_router_group(context, guid)?),
        None => None,
    };
    check_name(context.world, new.name, org)?;
    let base = context.world.base_with(new.metadata);
    let guid = context.world.add(Domain {
        base,
        name: new.name.into(),
        org,
        internal: new.internal,
        router_group,
        shared_with,
        route_policies_scope: new.route_policies_scope.map(str::to_owned),
    });
    context.created(guid, present)
}

fn read_new<'b>(message: &mut Message<'b>) -> NewDomain<'b> {
    let metadata = message.metadata();
    let private = message.has("relationships");
    let orgs = private.then(|| read_orgs(message)).flatten();
    let name = read_name(message);
    let router_group = read_router_group(message);
    let internal = message.get("internal") == Some(&json!(true));
    let enforces = message.get("enforce_route_policies") == Some(&json!(true));
    for (wrong, reason) in [
        (
            internal && private,
            "Cannot associate an internal domain with an organization",
        ),
        (
            internal && message.has("router_group"),
            "Internal domains cannot be associated to a router group.",
        ),
        (
            internal && enforces,
            "Internal domains cannot have route policy enforcement. Internal routes bypass GoRouter.",
        ),
        (
            message.has("router_group") && enforces,
            "Domains with a router group cannot have route policy enforcement. TCP routes do not support mTLS policy enforcement.",
        ),
        (
            private && message.has("router_group"),
            "Domains scoped to an organization cannot be associated to a router group.",
        ),
    ] {
        if wrong {
            message.error(reason);
        }
    }
    message.boolean("internal");
    message.boolean("enforce_route_policies");
    let scope = message.check("route_policies_scope").allow_null();
    let scope = scope.one_of_texts(
        &["any", "org", "space"],
        "must be one of 'any', 'org', 'space'",
    );
    let scope = scope.text();
    if enforces && message.is_blank("route_policies_scope") {
        message.error("Route policies scope is required when enforce_route_policies is true");
    }
    NewDomain {
        name,
        internal,
        orgs,
        router_group,
        route_policies_scope: scope.filter(|_| enforces),
        metadata,
    }
}

fn read_orgs<'b>(message: &mut Message<'b>) -> Option<(&'b str, Vec<&'b str>)> {
    message.relationships(&["organization", "shared_organizations"], |inner| {
        let owner = match inner.get("organization") {
            Some(_) => inner.related_or_missing("organization"),
            None => None,
        };
        let others = inner.related_many("shared_organizations");
        if inner.has("shared_organizations") && !inner.has("organization") {
            inner.error("cannot contain shared_organizations without an owning organization.");
        }
        (owner.unwrap_or_default(), others)
    })
}

fn read_name<'b>(message: &mut Message<'b>) -> &'b str {
    let name = message.check("name").present().string();
    let name = name.length(MIN_NAME..=MAX_NAME);
    let name = name.matches(is_domain_name, "does not comply with RFC 1035 standards");
    let name = name.matches(|text| text.contains('.'), "must contain at least one \".\"");
    let is_short = |label: &str| label.chars().count() <= MAX_LABEL;
    let name = name.matches(
        |text| text.split('.').all(is_short),
        "subdomains must each be at most 63 characters",
    );
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    let name = name.matches(
        |text| text.chars().all(allowed),
        "must consist of alphanumeric characters and hyphens",
    );
    name.text().unwrap_or_default()
}

/// Whether a name consists of letters, digits and hyphens, as in RFC 1035.
fn is_domain_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let inside = label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let hyphened = label.starts_with('-') || label.ends_with('-');
        (1..=MAX_LABEL).contains(&label.len()) && inside && !hyphened
    };
    text.contains('.') && text.split('.').all(is_label)
}

/// The GUID of the router group in a request.
fn read_router_group<'b>(message: &mut Message<'b>) -> Option<&'b str> {
    message.nested("router_group", &["guid"], |inner| {
        let guid = inner.get("guid").and_then(Value::as_str);
        if guid.is_none() {
            inner.error("guid must be a string");
        }
        guid.unwrap_or_default()
    })
}

/// The router group with a GUID. Router groups need the Routing API, which a foundation
/// may not have.
fn find_router_group(context: &RequestContext<'_>, text: &str) -> Result<Guid, CcError> {
    let groups = &context.world.router_groups;
    if groups.is_empty() {
        let detail = "The Routing API is disabled.";
        return Err(CcError::new(503, 10015, "CF-ServiceUnavailable", detail));
    }
    let guid = Guid::parse(text);
    let mut groups = groups.iter().map(|group| group.guid);
    let found = groups.find(|group| guid == Some(*group));
    found.ok_or_else(|| {
        CcError::unprocessable(format!("Router group with guid '{text}' not found."))
    })
}

/// The owning organization of a new private domain.
fn find_owner(context: &RequestContext<'_>, text: &str) -> Result<Guid, CcError> {
    let org = context.world.look_up::<Org>(text).map(Row::guid);
    let org = org.ok_or_else(|| no_org(text))?;
    context.require(MANAGE_ORG, AccessScope::Org(org))?;
    context.require_flag("private_domain_creation")?;
    Ok(org)
}

fn no_org(guid: &str) -> CcError {
    CcError::unprocessable(format!(
        "Organization with guid '{guid}' does not exist or you do not have access to it."
    ))
}

/// The organizations with which a domain of `owner` is to be shared.
fn find_others(
    context: &RequestContext<'_>,
    texts: &[&str],
    owner: Guid,
) -> Result<Vec<Guid>, CcError> {
    let mut orgs: Vec<&Org> = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        // The Cloud Controller compares the number of GUIDs with that of organizations,
        // so it reports a repeated GUID as missing.
        let text = if texts[..index].contains(text) {
            ""
        } else {
            text
        };
        let org = context.world.look_up::<Org>(text);
        let org = org.ok_or_else(|| {
            CcError::unprocessable(format!(
                "Organization with guid '{text}' does not exist, or you do not have access to it."
            ))
        })?;
        orgs.push(org);
    }
    for org in &orgs {
        let (guid, name) = (org.guid(), &org.name);
        let access_scope = AccessScope::Org(guid);
        let problem = if !context.access.sees(context.world, access_scope) {
            format!(
                "Organization with guid '{guid}' either does not exist, or you do not have access to it."
            )
        } else if !context
            .access
            .allows(context.world, access_scope, MANAGE_ORG)
        {
            format!(
                "You do not have sufficient permissions for organization '{name}' to share domain."
            )
        } else if context.require(MANAGE_ORG, access_scope).is_err() {
            format!("Organization '{name}' is suspended.")
        } else {
            continue;
        };
        return Err(CcError::unprocessable(problem));
    }
    let orgs: Vec<Guid> = orgs.into_iter().map(Row::guid).collect();
    if orgs.contains(&owner) {
        return Err(CcError::unprocessable(
            "Domain cannot be shared with owning organization.",
        ));
    }
    Ok(orgs)
}

/// Refuses names that are in use or reserved by another organization.
fn check_name(world: &World, name: &str, org: Option<Guid>) -> Result<(), CcError> {
    if world.name_taken::<Domain>(name, None) {
        return Err(CcError::unprocessable(format!(
            "The domain name \"{name}\" is already in use"
        )));
    }
    if let Some(org) = org.and_then(|org| world.orgs.get(org)) {
        check_quota(world, org)?;
    }
    let others = |domain: &&Domain| domain.org.is_some() && domain.org != org;
    let above = parents(name).find_map(|parent| world.named::<Domain>(parent).filter(others));
    let below = org.and_then(|_| {
        let suffix = format!(".{}", name.to_lowercase());
        let mut domains = world.domains.iter();
        domains.find(|domain| {
            (domain.org.is_none() || domain.org != org)
                && domain.name.to_lowercase().ends_with(&suffix)
        })
    });
    let route = parents(name)
        .chain([name])
        .find(|name| is_route(world, name));
    let domains = [above, below].into_iter().flatten();
    let domains = domains.map(|domain| (domain.name.as_str(), "another domain"));
    let claims: Vec<String> = domains
        .chain(route.map(|route| (route, "a route")))
        .map(|(claimed, by)| {
            format!(
                "The domain name \"{name}\" cannot be created because \"{claimed}\" is already reserved by {by}"
            )
        })
        .collect();
    if claims.is_empty() {
        return Ok(());
    }
    Err(CcError::unprocessable(claims.join(", ")))
}

fn check_quota(world: &World, org: &Org) -> Result<(), CcError> {
    let quota = world.quotas.get(org.quota);
    let limit = quota.and_then(|quota| quota.limits.domains);
    let owned = world.domains.count(&Key::Guid(Field::Org, org.guid()));
    if limit.is_some_and(|limit| u64::try_from(owned).unwrap_or(u64::MAX) >= limit) {
        return Err(CcError::unprocessable(format!(
            "The number of private domains exceeds the quota for organization \"{}\"",
            org.name
        )));
    }
    Ok(())
}

/// The parent domains of a name, such as `b.c` for `a.b.c`, shortest first.
fn parents(name: &str) -> impl Iterator<Item = &str> {
    let dots = name.rmatch_indices('.').skip(1);
    dots.map(|(at, _)| &name[at + 1..])
}

/// Whether a route has the name as its host and domain.
fn is_route(world: &World, name: &str) -> bool {
    let Some((host, domain)) = name.split_once('.') else {
        return false;
    };
    let domain = world.named::<Domain>(domain);
    domain.is_some_and(|domain| !world.routes_at(domain, host).is_empty())
}

fn update(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = context.guid_of::<Domain>("guid")?;
    let patch = context.metadata_patch()?;
    context.update_metadata(guid, patch, present)
}

fn delete(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let domain: &Domain = context.named("guid")?;
    let guid = domain.guid();
    if !domain.shared_with.is_empty() {
        return Err(CcError::unprocessable(
            "This domain is shared with other organizations. Unshare before deleting.",
        ));
    }
    Ok(context.delete_in_job("domain.delete", Kind::Domain, guid))
}

fn share(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let domain: &Domain = context.named("guid")?;
    let (guid, owner) = (domain.guid(), domain.org);
    let body = context.request.object()?;
    let texts = read_data(body.get("data")).ok_or_else(|| {
        CcError::unprocessable(
            "Data must have the structure \"data\": [{\"guid\": shared_org_guid_1}, {\"guid\": shared_org_guid_2}]",
        )
    })?;
    let Some(owner) = owner else {
        return Err(CcError::unprocessable(
            "Domains cannot be shared with other organizations unless they are scoped to an organization.",
        ));
    };
    let orgs = find_others(context, &texts, owner)?;
    context.world.update_row(guid, |domain: &mut Domain| {
        super::security_groups::add_missing(&mut domain.shared_with, &orgs);
    });
    context.ok(guid, present_shared)
}

/// The GUIDs of a body that is a valid to-many relationship.
fn read_data(data: Option<&Value>) -> Option<Vec<&str>> {
    let data = data?.as_array()?.iter();
    data.map(|item| {
        item.get("guid")?
            .as_str()
            .filter(|guid| (1..=200).contains(&guid.len()))
    })
    .collect()
}

/// Ends the sharing of a domain with an organization. A manager of either organization
/// may do it.
fn unshare(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let domain: &Domain = context.named("guid")?;
    let (guid, owner) = (domain.guid(), domain.org);
    let text = context.capture("org");
    let org = context.world.look_up::<Org>(text);
    let org = org.ok_or_else(|| no_org(text))?;
    let access_scope = AccessScope::Org(org.guid());
    let by_owner = context.require(
        MANAGE_ORG,
        owner.map_or(AccessScope::Deleted, AccessScope::Org),
    );
    by_owner.or_else(|refusal| {
        let refused = context.require(MANAGE_ORG, access_scope);
        // The error about a suspended organization takes precedence over missing
        // permissions.
        refused.map_err(|other| {
            if refusal == CcError::not_authorized() {
                other
            } else {
                refusal
            }
        })
    })?;
    if !context.access.sees(context.world, access_scope) {
        return Err(no_org(text));
    }
    if !domain.shared_with.contains(&org.guid()) {
        return Err(CcError::unprocessable(format!(
            "Unable to unshare domain from organization with name '{}'. Ensure the domain is shared to this organization.",
            org.name
        )));
    }
    let org = org.guid();
    let spaces = context.world.spaces_of(vec![org]);
    let routes = Selection::by(Field::Domain, guid).any_guid(Field::Space, spaces);
    if !context.world.routes.select(&routes).is_empty() {
        return Err(CcError::unprocessable(
            "This domain has associated routes in this organization. Delete the routes before unsharing.",
        ));
    }
    context.world.unshare_domain(guid, org);
    Ok(Response::empty(204))
}
