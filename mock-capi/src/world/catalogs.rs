//! Synchronizes the offerings and plans of brokers with their catalogs, and removes them.

use serde_json::Value;

use super::marketplace::{
    BrokerState, CatalogEntry, CatalogOffering, CatalogPlan, ServiceBroker, ServiceOffering,
    ServicePlan,
};
use super::{Field, Guid, Row, Selection, World};

impl World {
    /// Synchronizes a broker's catalog. Returns the removed plans that still have
    /// instances, by the names of their offerings.
    pub(crate) fn take_catalog(
        &mut self,
        broker: Guid,
        catalog: Vec<CatalogEntry>,
    ) -> Vec<(String, String)> {
        let ids = |world: &Self| -> Vec<(Guid, String)> {
            let offerings = world.offerings_of(broker).into_iter();
            offerings
                .map(|it| (it.guid(), it.catalog.id.clone()))
                .collect()
        };
        let known = ids(self);
        let mut kept_offerings = Vec::new();
        let mut kept_plans = Vec::new();
        for (offering, plans) in catalog {
            let found = known.iter().find(|(_, id)| *id == offering.id);
            let guid = found.map(|(guid, _)| *guid);
            let guid = self.put_offering(broker, guid, offering, !plans.is_empty());
            kept_offerings.push(guid);
            for plan in plans {
                kept_plans.push(self.put_plan(guid, plan));
            }
        }
        let mut inactive = Vec::new();
        for (offering, _) in known {
            self.retire_plans(offering, &kept_plans, &mut inactive);
            if kept_offerings.contains(&offering) {
                continue;
            }
            if self.plans_of(offering).is_empty() {
                self.remove_offering(offering);
            } else {
                self.update_row(offering, |it: &mut ServiceOffering| it.available = false);
            }
        }
        inactive.sort();
        inactive
    }

    fn retire_plans(
        &mut self,
        offering: Guid,
        kept: &[Guid],
        inactive: &mut Vec<(String, String)>,
    ) {
        let name = self.service_offerings.get(offering);
        let name = name.map_or_else(String::new, |it| it.catalog.name.clone());
        let plans: Vec<(Guid, String)> = self
            .plans_of(offering)
            .iter()
            .map(|plan| (plan.guid(), plan.catalog.name.clone()))
            .filter(|(guid, _)| !kept.contains(guid))
            .collect();
        for (plan, plan_name) in plans {
            if self.has_instances_of_plan(plan) {
                self.update_row(plan, |plan: &mut ServicePlan| plan.available = false);
                inactive.push((name.clone(), plan_name));
            } else {
                self.remove_plan(plan);
            }
        }
    }

    fn put_offering(
        &mut self,
        broker: Guid,
        known: Option<Guid>,
        catalog: CatalogOffering,
        available: bool,
    ) -> Guid {
        if let Some(guid) = known {
            let same = self
                .service_offerings
                .get(guid)
                .is_some_and(|it| it.catalog == catalog && it.available == available);
            if !same {
                self.update_row(guid, |offering: &mut ServiceOffering| {
                    offering.catalog = catalog;
                    offering.available = available;
                });
            }
            self.record_offering("audit.service.update", guid);
            return guid;
        }
        let base = self.base();
        let guid = self.add(ServiceOffering {
            base,
            broker,
            available,
            catalog,
        });
        self.record_offering("audit.service.create", guid);
        guid
    }

    fn put_plan(&mut self, offering: Guid, catalog: CatalogPlan) -> Guid {
        let plans = self.plans_of(offering).into_iter();
        let known = plans.map(|plan| (plan.guid(), &plan.catalog, plan.available));
        let mut known = known.filter(|(_, it, _)| it.id == catalog.id);
        if let Some((guid, current, available)) = known.next() {
            if *current != catalog || !available {
                self.update_row(guid, |plan: &mut ServicePlan| {
                    plan.catalog = catalog;
                    plan.available = true;
                });
            }
            self.record_plan("audit.service_plan.update", guid);
            return guid;
        }
        let base = self.base();
        let guid = self.add(ServicePlan {
            base,
            offering,
            available: true,
            public: false,
            visibilities: Vec::new(),
            catalog,
        });
        self.record_plan("audit.service_plan.create", guid);
        guid
    }

    fn remove_plan(&mut self, plan: Guid) {
        self.record_plan("audit.service_plan.delete", plan);
        self.service_plans.remove(plan);
    }

    fn remove_offering(&mut self, offering: Guid) {
        self.record_offering("audit.service.delete", offering);
        self.service_offerings.remove(offering);
    }

    /// Adds a broker whose plans are visible to everyone, or updates the URL of an
    /// existing broker.
    pub(crate) fn register_broker(&mut self, name: &str, url: String, catalog: Vec<CatalogEntry>) {
        let known = self.named::<ServiceBroker>(name).map(Row::guid);
        let guid = match known {
            Some(guid) => {
                self.update_row(guid, |broker: &mut ServiceBroker| broker.url = url);
                guid
            }
            None => {
                let base = self.base();
                self.add(ServiceBroker {
                    base,
                    name: name.into(),
                    url,
                    username: "mock".into(),
                    password: "mock".into(),
                    space: None,
                    state: BrokerState::Available,
                })
            }
        };
        self.take_catalog(guid, catalog);
        let offerings: Vec<Guid> = self.offerings_of(guid).iter().map(|it| it.guid()).collect();
        for offering in offerings {
            let plans: Vec<Guid> = self.plans_of(offering).iter().map(|it| it.guid()).collect();
            for plan in plans {
                self.service_plans.update(plan, |plan| plan.public = true);
            }
        }
    }

    /// Removes a broker without instances, together with its offerings.
    pub(super) fn delete_service_broker(&mut self, broker: Guid) {
        let offerings: Vec<Guid> = self
            .offerings_of(broker)
            .iter()
            .map(|it| it.guid())
            .collect();
        for offering in offerings {
            let plans: Vec<Guid> = self.plans_of(offering).iter().map(|it| it.guid()).collect();
            for plan in plans {
                self.remove_plan(plan);
            }
            self.remove_offering(offering);
        }
        self.record_broker("audit.service_broker.delete", broker, &Value::Null);
        self.service_brokers.remove(broker);
    }

    /// Removes an offering with its plans and instances, without requests to its broker.
    pub(crate) fn purge_offering(&mut self, offering: Guid) {
        let plans: Vec<Guid> = self.plans_of(offering).iter().map(|it| it.guid()).collect();
        for plan in plans {
            let instances = Selection::by(Field::Plan, plan);
            for instance in self.service_instances.guids_newest_first(&instances) {
                self.purge_service_instance(instance);
            }
            self.service_plans.remove(plan);
        }
        self.service_offerings.remove(offering);
    }
}
