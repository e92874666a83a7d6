//! The resources of v2 as one type, because lists and relations mix them.

use serde_json::{Value, json};

use super::{
    apps, buildpacks, domains, events, marketplace, organizations, quota_definitions,
    route_mappings, routes, security_groups, service_attributes, space_quota_definitions, spaces,
    stacks, usage_events, users,
};
use crate::api::context::View;
use crate::world::clock::Timestamp;
use crate::world::{
    AccessScope, App, AppUsageEvent, Buildpack, Destination, Domain, Event, Guid, Org,
    PlanVisibility, Process, Quota, READ_SECRETS, READ_V2_EVENTS, READ_V2_SPACE, Registered, Route,
    Row, SecurityGroup, ServiceBinding, ServiceBroker, ServiceInstance, ServiceOffering,
    ServicePlan, ServiceUsageEvent, Space, SpaceQuota, Stack, User,
};

/// A resource of v2.
#[derive(Clone, Copy, Debug)]
pub(super) enum Entity<'w> {
    /// An app with its web process, which are two resources in v3.
    App(&'w App, &'w Process),
    AppUsage(&'w AppUsageEvent),
    Binding(&'w ServiceBinding),
    Broker(&'w ServiceBroker),
    Buildpack(&'w Buildpack),
    Domain(&'w Domain),
    Event(&'w Event),
    Group(&'w SecurityGroup),
    Instance(&'w ServiceInstance),
    /// A service key, which is a kind of binding in v3.
    Key(&'w ServiceBinding),
    /// A route mapping, which is a destination of a route in v3.
    Mapping(&'w Route, &'w Destination),
    Org(&'w Org),
    Plan(&'w ServicePlan),
    Quota(&'w Quota),
    Route(&'w Route),
    /// A service offering of v3.
    Service(&'w ServiceOffering),
    ServiceUsage(&'w ServiceUsageEvent),
    Space(&'w Space),
    SpaceQuota(&'w SpaceQuota),
    Stack(&'w Stack),
    User(&'w User),
    Visibility(&'w ServicePlan, &'w PlanVisibility),
}

/// A row that is a resource of v2 by itself.
pub(super) trait V2Resource: Row + 'static {
    fn entity(&self) -> Entity<'_>;
}

impl<'w, R: V2Resource> From<&'w R> for Entity<'w> {
    fn from(row: &'w R) -> Self {
        row.entity()
    }
}

macro_rules! entity_of {
    ($($row:ty => $variant:ident),* $(,)?) => {
        $(impl V2Resource for $row {
            fn entity(&self) -> Entity<'_> {
                Entity::$variant(self)
            }
        })*
    };
}

entity_of! {
    AppUsageEvent => AppUsage,
    Buildpack => Buildpack,
    Domain => Domain,
    Event => Event,
    Org => Org,
    Quota => Quota,
    Route => Route,
    SecurityGroup => Group,
    ServiceBroker => Broker,
    ServiceInstance => Instance,
    ServiceOffering => Service,
    ServicePlan => Plan,
    ServiceUsageEvent => ServiceUsage,
    Space => Space,
    SpaceQuota => SpaceQuota,
    Stack => Stack,
    User => User,
}

impl V2Resource for ServiceBinding {
    fn entity(&self) -> Entity<'_> {
        match self.app {
            Some(_) => Entity::Binding(self),
            None => Entity::Key(self),
        }
    }
}

impl<'w> Entity<'w> {
    /// The GUID of the resource in the world.
    pub(super) fn guid(self) -> Guid {
        match self {
            Self::App(app, _) => app.guid(),
            Self::AppUsage(event) => event.guid(),
            Self::ServiceUsage(event) => event.guid(),
            Self::Binding(binding) | Self::Key(binding) => binding.guid(),
            Self::Broker(broker) => broker.guid(),
            Self::Buildpack(buildpack) => buildpack.guid(),
            Self::Domain(domain) => domain.guid(),
            Self::Event(event) => event.guid(),
            Self::Group(group) => group.guid(),
            Self::Instance(instance) => instance.guid(),
            Self::Mapping(_, destination) => destination.guid,
            Self::Org(org) => org.guid(),
            Self::Plan(plan) => plan.guid(),
            Self::Quota(quota) => quota.guid(),
            Self::Route(route) => route.guid(),
            Self::Service(service) => service.guid(),
            Self::Space(space) => space.guid(),
            Self::SpaceQuota(quota) => quota.guid(),
            Self::Stack(stack) => stack.guid(),
            Self::User(user) => user.guid(),
            Self::Visibility(_, visibility) => visibility.guid,
        }
    }

    /// The GUID in the API. A user's GUID may be any string.
    pub(super) fn id(self) -> String {
        match self {
            Self::User(user) => user.id.clone(),
            other => other.guid().to_string(),
        }
    }

    /// The times when the resource was created and updated.
    fn times(self) -> (Timestamp, Timestamp) {
        let base = match self {
            Self::App(_, process) => process.base(),
            Self::AppUsage(event) => event.base(),
            Self::ServiceUsage(event) => event.base(),
            Self::Binding(binding) | Self::Key(binding) => binding.base(),
            Self::Broker(broker) => broker.base(),
            Self::Buildpack(buildpack) => buildpack.base(),
            Self::Domain(domain) => domain.base(),
            Self::Event(event) => event.base(),
            Self::Group(group) => group.base(),
            Self::Instance(instance) => instance.base(),
            Self::Mapping(_, destination) => return (destination.created, destination.updated),
            Self::Org(org) => org.base(),
            Self::Plan(plan) => plan.base(),
            Self::Quota(quota) => quota.base(),
            Self::Route(route) => route.base(),
            Self::Service(service) => service.base(),
            Self::Space(space) => space.base(),
            Self::SpaceQuota(quota) => quota.base(),
            Self::Stack(stack) => stack.base(),
            Self::User(user) => user.base(),
            Self::Visibility(_, visibility) => return (visibility.created, visibility.updated),
        };
        (base.created, base.updated)
    }

    /// The path of the resource, where `collection` is the path of the
    /// collection that presents it.
    pub(super) fn path(self, collection: &str) -> String {
        match self {
            Self::Instance(instance) => service_attributes::instance_path(instance),
            _ => format!("{collection}/{}", self.id()),
        }
    }

    /// The URL in `metadata`. The URL of a domain depends on its kind.
    pub(super) fn url(self, collection: &str) -> String {
        match self {
            Self::Domain(domain) => domains::url(domain),
            _ => self.path(collection),
        }
    }

    pub(super) fn metadata(self, collection: &str) -> Value {
        let (created, updated) = self.times();
        let mut metadata = json!({
            "guid": self.id(),
            "url": self.url(collection),
            "created_at": created,
        });
        // Usage events are never updated.
        if !matches!(self, Self::AppUsage(_) | Self::ServiceUsage(_)) {
            metadata["updated_at"] = json!(updated);
        }
        metadata
    }

    /// The attributes of the resource without its relations.
    pub(super) fn attributes(self, view: &View<'_>) -> Value {
        match self {
            Self::App(app, process) => apps::attributes(app, process, view),
            Self::AppUsage(event) => usage_events::app_attributes(event),
            Self::ServiceUsage(event) => usage_events::service_attributes(event),
            Self::Binding(binding) => service_attributes::binding_attributes(binding, view),
            Self::Broker(broker) => marketplace::broker_attributes(broker),
            Self::Buildpack(buildpack) => buildpacks::attributes(buildpack, view),
            Self::Domain(domain) => domains::attributes(domain, view),
            Self::Event(event) => events::attributes(event),
            Self::Group(group) => security_groups::attributes(group),
            Self::Instance(instance) => service_attributes::instance_attributes(instance, view),
            Self::Key(key) => service_attributes::key_attributes(key, view),
            Self::Mapping(route, destination) => {
                route_mappings::attributes(route, destination, view)
            }
            Self::Org(org) => organizations::attributes(org, view),
            Self::Plan(plan) => marketplace::plan_attributes(plan, view),
            Self::Quota(quota) => quota_definitions::attributes(quota),
            Self::Route(route) => routes::attributes(route, view),
            Self::Service(service) => marketplace::service_attributes(service, view),
            Self::Space(space) => spaces::attributes(space),
            Self::SpaceQuota(quota) => space_quota_definitions::attributes(quota),
            Self::Stack(stack) => stacks::attributes(stack),
            Self::User(user) => users::attributes(user),
            Self::Visibility(plan, visibility) => {
                marketplace::visibility_attributes(plan, visibility)
            }
        }
    }

    /// Whether lists and relations contain the resource for the caller. v2 does not know
    /// the role of space supporters, so they can see less than in v3.
    pub(super) fn is_visible(self, view: &View<'w>) -> bool {
        let View { world, access, .. } = *view;
        let allows = |access_scope, roles| access.allows(world, access_scope, roles);
        match self {
            Self::App(app, _) => allows(AccessScope::Space(app.space), READ_V2_SPACE),
            Self::AppUsage(_) | Self::ServiceUsage(_) | Self::Visibility(..) => {
                access.sees_everything()
            }
            Self::Broker(broker) => broker.is_visible(world, access),
            Self::Binding(binding) => binding.is_visible(world, access),
            Self::Domain(domain) => {
                let mut orgs = domain.org.iter().chain(&domain.shared_with);
                domain.org.is_none() || orgs.any(|org| access.sees_v2_domains_of(world, *org))
            }
            Self::Event(event) => {
                let org = event.org.map_or(AccessScope::Deleted, AccessScope::Org);
                allows(event.access_scope(world), READ_V2_EVENTS) || allows(org, READ_V2_EVENTS)
            }
            Self::Group(group) => group.is_visible(world, access),
            Self::Instance(instance) => {
                let mut spaces = instance.shared_with.iter().chain([&instance.space]);
                spaces.any(|space| allows(AccessScope::Space(*space), READ_V2_SPACE))
            }
            Self::Key(key) => allows(key.access_scope(world), READ_SECRETS),
            Self::Mapping(route, _) => access.sees(world, AccessScope::Space(route.space)),
            Self::Org(org) => org.is_visible(world, access),
            Self::Plan(plan) => plan.is_visible(world, access),
            Self::Service(service) => service.is_visible(world, access),
            Self::Route(route) => route.is_visible(world, access),
            Self::Space(space) => space.is_visible(world, access),
            Self::SpaceQuota(quota) => quota.is_visible(world, access),
            Self::Buildpack(_) | Self::Quota(_) | Self::Stack(_) | Self::User(_) => true,
        }
    }

    /// Whether the caller may read the resource by its GUID.
    pub(super) fn is_readable(self, view: &View<'w>) -> bool {
        match self {
            Self::User(user) => view.access.is_of(user.guid()),
            other => other.is_visible(view),
        }
    }

    /// The value for `order-by`: the name, or nothing.
    pub(super) fn name(self) -> &'w str {
        match self {
            Self::App(app, _) => &app.name,
            Self::Buildpack(buildpack) => &buildpack.name,
            Self::Domain(domain) => &domain.name,
            Self::Group(group) => &group.name,
            Self::Broker(broker) => &broker.name,
            Self::Instance(instance) => &instance.name,
            Self::Plan(plan) => &plan.catalog.name,
            Self::Service(service) => &service.catalog.name,
            Self::Org(org) => &org.name,
            Self::Quota(quota) => &quota.name,
            Self::Space(space) => &space.name,
            Self::SpaceQuota(quota) => &quota.name,
            Self::Stack(stack) => &stack.name,
            Self::Binding(binding) | Self::Key(binding) => {
                binding.name.as_deref().unwrap_or_default()
            }
            Self::AppUsage(_)
            | Self::Event(_)
            | Self::Mapping(..)
            | Self::Route(_)
            | Self::ServiceUsage(_)
            | Self::User(_)
            | Self::Visibility(..) => "",
        }
    }
}
