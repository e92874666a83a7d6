//! The keys, order and visibility of each kind of row.

use super::World;
use super::access::{
    AUDIT_ORG, Access, Home, MANAGE_ORG, READ_BROKERS, READ_EVENTS, READ_ROUTES, SPACE_MEMBERS,
};
use super::events::Event;
use super::guid::Guid;
use super::marketplace::{ServiceBroker, ServiceOffering, ServicePlan};
use super::model::{
    App, Build, Buildpack, Deployment, Domain, Droplet, EnvironmentGroup, FeatureFlag,
    IsolationSegment, Job, Org, Package, Process, Quota, Role, Route, RouteBinding, SecurityGroup,
    ServiceBinding, ServiceInstance, Sidecar, Space, SpaceQuota, Stack, Task, User,
};
use super::revisions::Revision;
use super::route_policies::RoutePolicy;
use super::table::{Field, Key, Row};
use super::usage_events::{AppUsageEvent, ServiceUsageEvent};

impl Row for User {
    fn keys(&self) -> Vec<Key> {
        vec![Key::exact(Field::User, self.id.as_str())]
    }

    fn is_visible(&self, world: &World, access: &Access) -> bool {
        access.sees_user(world, self)
    }
}

impl Row for FeatureFlag {
    fn keys(&self) -> Vec<Key> {
        vec![Key::text(Field::Name, &self.name)]
    }

    fn order_text(&self, _column: &str) -> &str {
        &self.name
    }
}

impl Row for EnvironmentGroup {
    fn keys(&self) -> Vec<Key> {
        vec![Key::text(Field::Name, &self.name)]
    }
}

impl Row for Role {
    fn keys(&self) -> Vec<Key> {
        let place = match self.space {
            Some(space) => Key::Guid(Field::Space, space),
            None => Key::Guid(Field::Org, self.org),
        };
        vec![
            place,
            Key::Guid(Field::User, self.user),
            Key::text(Field::Type, self.kind.name()),
        ]
    }

    fn home(&self, _world: &World) -> Home {
        self.space.map_or(Home::Org(self.org), Home::Space)
    }
}

impl Row for Org {
    const IS_ORDERED_BY_NAME: bool = true;

    fn keys(&self) -> Vec<Key> {
        let mut keys = vec![
            Key::text(Field::Name, &self.name),
            Key::Guid(Field::Quota, self.quota),
        ];
        let segment = self.default_segment;
        keys.extend(segment.map(|guid| Key::Guid(Field::IsolationSegment, guid)));
        keys
    }

    fn order_text(&self, _column: &str) -> &str {
        &self.name
    }

    fn home(&self, _world: &World) -> Home {
        Home::Org(self.guid())
    }
}

impl Row for Space {
    const IS_ORDERED_BY_NAME: bool = true;

    fn keys(&self) -> Vec<Key> {
        let mut keys = vec![
            Key::text(Field::Name, &self.name),
            Key::Guid(Field::Org, self.org),
        ];
        keys.extend(self.quota.map(|quota| Key::Guid(Field::Quota, quota)));
        let segment = self.segment;
        keys.extend(segment.map(|guid| Key::Guid(Field::IsolationSegment, guid)));
        keys
    }

    fn order_text(&self, _column: &str) -> &str {
        &self.name
    }

    fn home(&self, _world: &World) -> Home {
        Home::Space(self.guid())
    }
}

impl Row for IsolationSegment {
    fn keys(&self) -> Vec<Key> {
        let orgs = self.orgs.iter();
        let mut keys = vec![Key::text(Field::Name, &self.name)];
        keys.extend(orgs.map(|org| Key::Guid(Field::Org, *org)));
        keys
    }

    fn order_text(&self, _column: &str) -> &str {
        &self.name
    }

    fn is_visible(&self, world: &World, access: &Access) -> bool {
        let mut orgs = self.orgs.iter();
        access.is_everything() || orgs.any(|org| access.sees(world, Home::Org(*org)))
    }
}

impl Row for Quota {
    fn keys(&self) -> Vec<Key> {
        vec![Key::text(Field::Name, &self.name)]
    }
}

impl Row for SpaceQuota {
    fn keys(&self) -> Vec<Key> {
        vec![
            Key::text(Field::Name, &self.name),
            Key::Guid(Field::Org, self.org),
        ]
    }

    fn home(&self, _world: &World) -> Home {
        Home::Org(self.org)
    }

    /// Members of the spaces that have the quota see it too.
    fn is_visible(&self, world: &World, access: &Access) -> bool {
        access.allows(world, self.home(world), MANAGE_ORG)
            || world.allows_in_any_space(access, Field::Quota, self.guid(), SPACE_MEMBERS)
    }
}

impl Row for SecurityGroup {
    fn keys(&self) -> Vec<Key> {
        let keys_of = |field, spaces: &[Guid]| -> Vec<Key> {
            spaces
                .iter()
                .map(|&space| Key::Guid(field, space))
                .collect()
        };
        let mut keys = vec![Key::text(Field::Name, &self.name)];
        keys.extend(keys_of(Field::RunningSpace, &self.running_spaces));
        keys.extend(keys_of(Field::StagingSpace, &self.staging_spaces));
        keys
    }

    fn is_visible(&self, world: &World, access: &Access) -> bool {
        let mut spaces = self.running_spaces.iter().chain(&self.staging_spaces);
        access.is_everything()
            || self.running_default
            || self.staging_default
            || spaces.any(|space| access.sees(world, Home::Space(*space)))
    }
}

impl Row for Domain {
    fn keys(&self) -> Vec<Key> {
        let mut keys = vec![Key::text(Field::Name, &self.name)];
        keys.extend(self.org.map(|org| Key::Guid(Field::Org, org)));
        let shared_with = self.shared_with.iter();
        keys.extend(shared_with.map(|org| Key::Guid(Field::SharedWith, *org)));
        keys
    }

    fn home(&self, _world: &World) -> Home {
        self.org.map_or(Home::Everywhere, Home::Org)
    }

    fn is_visible(&self, world: &World, access: &Access) -> bool {
        let mut orgs = self.org.iter().chain(&self.shared_with);
        self.org.is_none() || orgs.any(|org| access.sees_domains_of(world, *org))
    }
}

impl Row for App {
    const IS_ORDERED_BY_NAME: bool = true;

    fn keys(&self) -> Vec<Key> {
        vec![
            Key::text(Field::Name, &self.name),
            Key::Guid(Field::Space, self.space),
        ]
    }

    fn order_text(&self, column: &str) -> &str {
        match column {
            "state" => self.state(),
            _ => &self.name,
        }
    }

    fn home(&self, _world: &World) -> Home {
        Home::Space(self.space)
    }
}

impl Row for Process {
    fn keys(&self) -> Vec<Key> {
        vec![
            Key::Guid(Field::App, self.app),
            Key::Guid(Field::Space, self.space),
            Key::text(Field::Type, &self.kind),
        ]
    }

    fn home(&self, _world: &World) -> Home {
        Home::Space(self.space)
    }
}

impl Row for Sidecar {
    fn keys(&self) -> Vec<Key> {
        vec![Key::Guid(Field::App, self.app)]
    }

    fn home(&self, world: &World) -> Home {
        world.home_of_app(self.app)
    }
}

impl Row for RoutePolicy {
    fn keys(&self) -> Vec<Key> {
        vec![Key::Guid(Field::Route, self.route)]
    }

    fn home(&self, world: &World) -> Home {
        let route = world.routes.get(self.route);
        route.map_or(Home::Nowhere, |route| Home::Space(route.space))
    }
}

impl Row for ServiceInstance {
    const IS_ORDERED_BY_NAME: bool = true;

    fn keys(&self) -> Vec<Key> {
        let mut keys = vec![
            Key::text(Field::Name, &self.name),
            Key::Guid(Field::Space, self.space),
        ];
        keys.extend(self.plan().map(|plan| Key::Guid(Field::Plan, plan)));
        let shared_with = self.shared_with.iter();
        keys.extend(shared_with.map(|space| Key::Guid(Field::SharedWith, *space)));
        keys
    }

    fn order_text(&self, _column: &str) -> &str {
        &self.name
    }

    fn home(&self, _world: &World) -> Home {
        Home::Space(self.space)
    }

    fn is_visible(&self, world: &World, access: &Access) -> bool {
        let mut spaces = std::iter::once(&self.space).chain(&self.shared_with);
        spaces.any(|space| access.sees(world, Home::Space(*space)))
    }
}

impl Row for ServiceBinding {
    fn keys(&self) -> Vec<Key> {
        let mut keys = vec![Key::Guid(Field::ServiceInstance, self.instance)];
        keys.extend(self.app.map(|app| Key::Guid(Field::App, app)));
        let name = self.name.as_deref();
        keys.extend(name.map(|name| Key::text(Field::Name, name)));
        keys
    }

    fn order_text(&self, _column: &str) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    fn home(&self, world: &World) -> Home {
        if let Some(app) = self.app {
            return world.home_of_app(app);
        }
        let instance = world.service_instances.get(self.instance);
        instance.map_or(Home::Nowhere, |instance| Home::Space(instance.space))
    }
}

impl Row for RouteBinding {
    fn keys(&self) -> Vec<Key> {
        vec![
            Key::Guid(Field::Route, self.route),
            Key::Guid(Field::ServiceInstance, self.instance),
        ]
    }

    fn home(&self, world: &World) -> Home {
        let route = world.routes.get(self.route);
        route.map_or(Home::Nowhere, |route| Home::Space(route.space))
    }
}

impl Row for ServiceBroker {
    fn keys(&self) -> Vec<Key> {
        let mut keys = vec![Key::text(Field::Name, &self.name)];
        keys.extend(self.space.map(|space| Key::Guid(Field::Space, space)));
        keys
    }

    fn order_text(&self, _column: &str) -> &str {
        &self.name
    }

    fn home(&self, _world: &World) -> Home {
        self.space.map_or(Home::Nowhere, Home::Space)
    }

    fn is_visible(&self, world: &World, access: &Access) -> bool {
        access.allows(world, self.home(world), READ_BROKERS)
    }
}

impl Row for ServiceOffering {
    fn keys(&self) -> Vec<Key> {
        vec![
            Key::text(Field::Name, &self.catalog.name),
            Key::Guid(Field::Broker, self.broker),
        ]
    }

    fn order_text(&self, _column: &str) -> &str {
        &self.catalog.name
    }

    fn home(&self, world: &World) -> Home {
        let broker = world.service_brokers.get(self.broker);
        broker.map_or(Home::Nowhere, |broker| broker.home(world))
    }

    fn is_visible(&self, world: &World, access: &Access) -> bool {
        let mut plans = world.plans_of(self.guid()).into_iter();
        access.is_everything() || plans.any(|plan| world.sees_plan(access, plan))
    }
}

impl Row for ServicePlan {
    fn keys(&self) -> Vec<Key> {
        vec![
            Key::text(Field::Name, &self.catalog.name),
            Key::Guid(Field::Offering, self.offering),
        ]
    }

    fn order_text(&self, _column: &str) -> &str {
        &self.catalog.name
    }

    fn home(&self, world: &World) -> Home {
        let broker = world.broker_of(self);
        broker.map_or(Home::Nowhere, |broker| broker.home(world))
    }

    fn is_visible(&self, world: &World, access: &Access) -> bool {
        access.is_everything() || world.sees_plan(access, self)
    }
}

impl Row for Package {
    fn keys(&self) -> Vec<Key> {
        vec![
            Key::Guid(Field::App, self.app),
            Key::Guid(Field::Space, self.space),
        ]
    }

    fn home(&self, _world: &World) -> Home {
        Home::Space(self.space)
    }
}

impl Row for Build {
    fn keys(&self) -> Vec<Key> {
        vec![
            Key::Guid(Field::App, self.app),
            Key::Guid(Field::Package, self.package),
        ]
    }

    fn home(&self, world: &World) -> Home {
        world.home_of_app(self.app)
    }
}

impl Row for Droplet {
    fn keys(&self) -> Vec<Key> {
        let mut keys = vec![
            Key::Guid(Field::App, self.app),
            Key::Guid(Field::Space, self.space),
        ];
        keys.extend(self.package.map(|guid| Key::Guid(Field::Package, guid)));
        keys
    }

    fn home(&self, _world: &World) -> Home {
        Home::Space(self.space)
    }
}

impl Row for Deployment {
    fn keys(&self) -> Vec<Key> {
        vec![Key::Guid(Field::App, self.app)]
    }

    fn home(&self, world: &World) -> Home {
        world.home_of_app(self.app)
    }
}

impl Row for Revision {
    fn keys(&self) -> Vec<Key> {
        vec![Key::Guid(Field::App, self.app)]
    }

    fn home(&self, world: &World) -> Home {
        world.home_of_app(self.app)
    }
}

impl Row for Event {
    fn is_visible(&self, world: &World, access: &Access) -> bool {
        let org = self.org.map_or(Home::Nowhere, Home::Org);
        access.allows(world, self.home(world), READ_EVENTS) || access.allows(world, org, AUDIT_ORG)
    }

    fn keys(&self) -> Vec<Key> {
        let mut keys = vec![
            Key::Guid(Field::Target, self.target),
            Key::text(Field::Type, &self.kind),
        ];
        keys.extend(self.space.map(|space| Key::Guid(Field::Space, space)));
        keys.extend(self.org.map(|org| Key::Guid(Field::Org, org)));
        keys
    }

    fn home(&self, _world: &World) -> Home {
        self.space.map_or(Home::Nowhere, Home::Space)
    }
}

impl Row for Task {
    fn keys(&self) -> Vec<Key> {
        vec![
            Key::Guid(Field::App, self.app),
            Key::Guid(Field::Space, self.space),
        ]
    }

    fn home(&self, _world: &World) -> Home {
        Home::Space(self.space)
    }
}

impl Row for Stack {
    fn keys(&self) -> Vec<Key> {
        vec![Key::text(Field::Name, &self.name)]
    }

    fn order_text(&self, _column: &str) -> &str {
        &self.name
    }
}

impl Row for Buildpack {
    fn keys(&self) -> Vec<Key> {
        vec![Key::text(Field::Name, &self.name)]
    }

    fn order_text(&self, column: &str) -> &str {
        match column {
            "lifecycle" => &self.lifecycle,
            _ => "",
        }
    }

    fn order_number(&self) -> u32 {
        self.position
    }
}

impl Row for Route {
    fn keys(&self) -> Vec<Key> {
        let mut keys = vec![
            Key::Guid(Field::Space, self.space),
            Key::Guid(Field::Domain, self.domain),
            Key::text(Field::Host, &self.host),
        ];
        let shared_with = self.shared_with.iter();
        keys.extend(shared_with.map(|space| Key::Guid(Field::SharedWith, *space)));
        for destination in &self.destinations {
            keys.push(Key::Guid(Field::App, destination.app));
            keys.push(Key::Guid(Field::Destination, destination.guid));
        }
        keys
    }

    fn home(&self, _world: &World) -> Home {
        Home::Space(self.space)
    }

    fn is_visible(&self, world: &World, access: &Access) -> bool {
        access.allows(world, self.home(world), READ_ROUTES)
    }

    fn is_listed(&self, world: &World, access: &Access) -> bool {
        let mut spaces = std::iter::once(&self.space).chain(&self.shared_with);
        spaces.any(|space| access.allows(world, Home::Space(*space), READ_ROUTES))
    }
}

impl Row for Job {
    fn keys(&self) -> Vec<Key> {
        Vec::new()
    }
}

impl Row for AppUsageEvent {
    fn keys(&self) -> Vec<Key> {
        Vec::new()
    }

    fn home(&self, _world: &World) -> Home {
        Home::Nowhere
    }
}

impl Row for ServiceUsageEvent {
    fn keys(&self) -> Vec<Key> {
        Vec::new()
    }

    fn home(&self, _world: &World) -> Home {
        Home::Nowhere
    }
}
