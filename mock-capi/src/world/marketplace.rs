//! The marketplace: service brokers, offerings and plans.

use crate::world::access::READ_BROKERS;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::access::{Access, AccessScope, SPACE_MEMBERS};
use super::{Base, Field, Guid, Key, Row, Selection, ServiceInstance, World};
use crate::world::clock::Timestamp;

/// A registered service broker.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ServiceBroker {
    pub(crate) base: Base,
    pub(crate) name: String,
    /// The URL without `/v2/catalog`.
    pub(crate) url: String,
    pub(crate) username: String,
    pub(crate) password: String,
    /// The space of a space-scoped broker.
    pub(crate) space: Option<Guid>,
    pub(crate) state: BrokerState,
}

/// The progress of the synchronization of a broker's catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum BrokerState {
    Synchronizing,
    SynchronizationFailed,
    Available,
    DeleteInProgress,
}

impl BrokerState {
    pub(crate) fn is_transitional(self) -> bool {
        matches!(self, Self::Synchronizing | Self::DeleteInProgress)
    }
}

/// A service offering of a broker.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ServiceOffering {
    pub(crate) base: Base,
    pub(crate) broker: Guid,
    pub(crate) available: bool,
    pub(crate) catalog: CatalogOffering,
}

/// A service offering as the catalog describes it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct CatalogOffering {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) bindable: bool,
    pub(crate) plan_updateable: bool,
    pub(crate) bindings_retrievable: bool,
    pub(crate) instances_retrievable: bool,
    pub(crate) allow_context_updates: bool,
    pub(crate) tags: Vec<String>,
    pub(crate) requires: Vec<String>,
    pub(crate) metadata: Option<Map<String, Value>>,
}

impl CatalogOffering {
    pub(crate) fn requires(&self, what: &str) -> bool {
        self.requires.iter().any(|required| required == what)
    }

    pub(crate) fn is_shareable(&self) -> bool {
        let metadata = self.metadata.as_ref();
        metadata.is_some_and(|it| it.get("shareable") == Some(&Value::Bool(true)))
    }
}

/// A plan of an offering.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ServicePlan {
    pub(crate) base: Base,
    pub(crate) offering: Guid,
    pub(crate) available: bool,
    /// Whether the plan is visible to everyone.
    pub(crate) public: bool,
    /// The organizations to which a plan is visible if it is not public.
    #[serde(default)]
    pub(crate) visibilities: Vec<PlanVisibility>,
    pub(crate) catalog: CatalogPlan,
}

/// An organization to which a plan is visible. In v2, this is a resource.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PlanVisibility {
    pub(crate) guid: Guid,
    pub(crate) org: Guid,
    pub(crate) created: Timestamp,
    pub(crate) updated: Timestamp,
}

impl ServicePlan {
    /// The type of plans that are visible to everyone.
    pub(crate) const PUBLIC: &str = "public";

    /// The organizations to which the plan is visible, unless it is public.
    pub(crate) fn orgs(&self) -> impl Iterator<Item = Guid> {
        self.visibilities.iter().map(|visibility| visibility.org)
    }

    pub(crate) fn is_visible_to(&self, org: Guid) -> bool {
        self.orgs().any(|other| other == org)
    }
}

/// A plan as the catalog describes it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct CatalogPlan {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) free: bool,
    /// `None` if the offering determines this.
    pub(crate) bindable: Option<bool>,
    pub(crate) plan_updateable: Option<bool>,
    pub(crate) metadata: Option<Map<String, Value>>,
    /// In seconds.
    pub(crate) maximum_polling_duration: Option<u64>,
    pub(crate) maintenance_info: Option<Map<String, Value>>,
    pub(crate) schemas: Value,
}

/// An offering of a catalog with its plans.
pub(crate) type CatalogEntry = (CatalogOffering, Vec<CatalogPlan>);

/// The visibility of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Visibility {
    Public,
    Space(Guid),
    Organization,
    Admin,
}

impl Visibility {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Space(_) => "space",
            Self::Organization => "organization",
            Self::Admin => "admin",
        }
    }
}

impl World {
    pub(crate) fn offering_of(&self, plan: &ServicePlan) -> Option<&ServiceOffering> {
        self.service_offerings.get(plan.offering)
    }

    pub(crate) fn offering_of_instance(
        &self,
        instance: &ServiceInstance,
    ) -> Option<&ServiceOffering> {
        self.offering_of(self.service_plans.get(instance.plan()?)?)
    }

    pub(crate) fn broker_of(&self, plan: &ServicePlan) -> Option<&ServiceBroker> {
        self.service_brokers.get(self.offering_of(plan)?.broker)
    }

    pub(crate) fn plans_of(&self, offering: Guid) -> Vec<&ServicePlan> {
        let of_offering = Selection::by(Field::Offering, offering);
        self.service_plans.select(&of_offering)
    }

    pub(crate) fn offerings_of(&self, broker: Guid) -> Vec<&ServiceOffering> {
        let of_broker = Selection::by(Field::Broker, broker);
        self.service_offerings.select(&of_broker)
    }

    pub(crate) fn visibility(&self, plan: &ServicePlan) -> Visibility {
        let space = self.broker_of(plan).and_then(|broker| broker.space);
        match space {
            _ if plan.public => Visibility::Public,
            Some(space) => Visibility::Space(space),
            None if !plan.visibilities.is_empty() => Visibility::Organization,
            None => Visibility::Admin,
        }
    }

    /// Whether a plan is visible to a caller who is not an administrator.
    pub(super) fn sees_plan(&self, access: &Access, plan: &ServicePlan) -> bool {
        let mut orgs = plan.orgs();
        plan.public
            || orgs.any(|org| access.sees(self, AccessScope::Org(org)))
            || self.broker_of(plan).is_some_and(|broker| {
                broker.space.is_some_and(|space| {
                    access.allows(self, AccessScope::Space(space), SPACE_MEMBERS)
                })
            })
    }

    /// Makes a plan visible to an organization. Returns the GUID of the visibility.
    pub(crate) fn show_plan_to(&mut self, plan: Guid, org: Guid) -> Guid {
        let guid = self.next_guid();
        let visibility = PlanVisibility {
            guid,
            org,
            created: self.now,
            updated: self.now,
        };
        self.service_plans
            .update(plan, |plan| plan.visibilities.push(visibility));
        guid
    }

    /// The plan with a visibility, and the visibility.
    pub(crate) fn plan_visibility(&self, guid: Guid) -> Option<(&ServicePlan, &PlanVisibility)> {
        self.service_plans.iter().find_map(|plan| {
            let mut visibilities = plan.visibilities.iter();
            let found = visibilities.find(|visibility| visibility.guid == guid)?;
            Some((plan, found))
        })
    }

    /// Changes the plan and the organization of a visibility.
    pub(crate) fn move_plan_visibility(&mut self, guid: Guid, plan: Guid, org: Guid) {
        let updated = self.now;
        if let Some(visibility) = self.remove_plan_visibility(guid) {
            let moved = PlanVisibility {
                org,
                updated,
                ..visibility
            };
            self.service_plans
                .update(plan, |plan| plan.visibilities.push(moved));
        }
    }

    pub(crate) fn remove_plan_visibility(&mut self, guid: Guid) -> Option<PlanVisibility> {
        let (plan, _) = self.plan_visibility(guid)?;
        let plan = plan.guid();
        let removed = self.service_plans.update(plan, |plan| {
            let mut visibilities = plan.visibilities.iter();
            let at = visibilities.position(|visibility| visibility.guid == guid)?;
            Some(plan.visibilities.remove(at))
        });
        removed.flatten()
    }

    /// Whether a space may have instances of a plan.
    pub(crate) fn is_plan_visible_in(&self, plan: &ServicePlan, space: Guid) -> bool {
        let org = self.spaces.get(space).map(|space| space.org);
        let of_broker = self.broker_of(plan).and_then(|broker| broker.space);
        plan.available
            && (plan.public
                || of_broker == Some(space)
                || org.is_some_and(|org| plan.is_visible_to(org)))
    }

    pub(crate) fn is_bindable(&self, plan: &ServicePlan) -> bool {
        let of_offering = || self.offering_of(plan).is_some_and(|it| it.catalog.bindable);
        plan.catalog.bindable.unwrap_or_else(of_offering)
    }

    pub(crate) fn is_plan_updateable(&self, plan: &ServicePlan) -> bool {
        let of_offering = || {
            let offering = self.offering_of(plan);
            offering.is_some_and(|it| it.catalog.plan_updateable)
        };
        plan.catalog.plan_updateable.unwrap_or_else(of_offering)
    }

    /// The plans that are visible to an organization.
    pub(super) fn plans_visible_to(&self, org: Guid) -> Vec<Guid> {
        let shared = Selection::by(Field::SharedWith, org);
        let visible = self.service_plans.select(&shared).into_iter();
        visible.map(Row::guid).collect()
    }

    pub(crate) fn has_instances_of_plan(&self, plan: Guid) -> bool {
        let instances = Selection::by(Field::Plan, plan);
        !self.service_instances.select(&instances).is_empty()
    }

    pub(crate) fn has_instances_of_broker(&self, broker: Guid) -> bool {
        let offerings = self.offerings_of(broker).into_iter();
        let mut plans = offerings.flat_map(|offering| self.plans_of(offering.guid()));
        plans.any(|plan| self.has_instances_of_plan(plan.guid()))
    }
}

impl Row for ServiceBroker {
    const NAME: Field = Field::ExactName;

    fn keys(&self) -> Vec<Key> {
        let mut keys = vec![Key::text(Self::NAME, &self.name)];
        keys.extend(self.space.map(|space| Key::Guid(Field::Space, space)));
        keys
    }

    fn order_text(&self, _column: &str) -> &str {
        &self.name
    }

    fn access_scope(&self, _world: &World) -> AccessScope {
        self.space.map_or(AccessScope::Deleted, AccessScope::Space)
    }

    fn is_visible(&self, world: &World, access: &Access) -> bool {
        access.allows(world, self.access_scope(world), READ_BROKERS)
    }

    fn listed_by(world: &World, access: &Access) -> Option<Vec<Key>> {
        Some(access.keys_in_spaces(world, READ_BROKERS))
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

    fn access_scope(&self, world: &World) -> AccessScope {
        let broker = world.service_brokers.get(self.broker);
        broker.map_or(AccessScope::Deleted, |broker| broker.access_scope(world))
    }

    fn is_visible(&self, world: &World, access: &Access) -> bool {
        let mut plans = world.plans_of(self.guid()).into_iter();
        access.sees_everything() || plans.any(|plan| world.sees_plan(access, plan))
    }

    fn listed_by(world: &World, access: &Access) -> Option<Vec<Key>> {
        let plans = Selection::all().any(ServicePlan::listed_by(world, access)?);
        let plans = world.service_plans.select(&plans).into_iter();
        let mut offerings: Vec<Guid> = plans.map(|plan| plan.offering).collect();
        offerings.sort_unstable();
        offerings.dedup();
        let offerings = offerings.into_iter();
        Some(offerings.map(|it| Key::Guid(Field::Guid, it)).collect())
    }
}

impl Row for ServicePlan {
    fn keys(&self) -> Vec<Key> {
        let mut keys = vec![
            Key::text(Field::Name, &self.catalog.name),
            Key::Guid(Field::Offering, self.offering),
        ];
        keys.extend(self.public.then(|| Key::text(Field::Type, Self::PUBLIC)));
        keys.extend(self.orgs().map(|org| Key::Guid(Field::SharedWith, org)));
        keys
    }

    fn order_text(&self, _column: &str) -> &str {
        &self.catalog.name
    }

    fn access_scope(&self, world: &World) -> AccessScope {
        let broker = world.broker_of(self);
        broker.map_or(AccessScope::Deleted, |broker| broker.access_scope(world))
    }

    fn is_visible(&self, world: &World, access: &Access) -> bool {
        access.sees_everything() || world.sees_plan(access, self)
    }

    /// Members of a broker's space see its plans, too.
    fn listed_by(world: &World, access: &Access) -> Option<Vec<Key>> {
        let in_spaces = Selection::all().any(access.keys_in_spaces(world, SPACE_MEMBERS));
        let brokers = world.service_brokers.select(&in_spaces).into_iter();
        let offerings = brokers.flat_map(|broker| world.offerings_of(broker.guid()));
        let mut keys = access.keys_of_orgs(world, Field::SharedWith);
        keys.extend(offerings.map(|it| Key::Guid(Field::Offering, it.guid())));
        keys.push(Key::text(Field::Type, Self::PUBLIC));
        Some(keys)
    }
}
