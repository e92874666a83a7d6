//! Deletes resources together with everything that belongs to them.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{BindingRef, Field, Guid, Row, Selection, Table, UNMAP_ROUTE, World};

/// Kinds of resources that jobs delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    User,
    Role,
    Org,
    Space,
    Quota,
    SpaceQuota,
    ServiceInstance,
    ServiceBroker,
    SecurityGroup,
    App,
    Package,
    Droplet,
    Buildpack,
    Domain,
    Route,
    /// The routes of a space without destinations.
    UnmappedRoutes,
}

impl World {
    pub(crate) fn delete(&mut self, kind: Kind, guid: Guid) {
        match kind {
            Kind::User => self.delete_user(guid),
            Kind::Role => {
                self.record_role(guid, false, json!({}));
                drop(self.roles.remove(guid));
            }
            Kind::Org => self.delete_org(guid),
            Kind::Space => self.delete_space(guid),
            Kind::App => self.delete_app(guid),
            Kind::Quota => drop(self.quotas.remove(guid)),
            Kind::SpaceQuota => drop(self.space_quotas.remove(guid)),
            Kind::ServiceInstance => self.delete_service_instance(guid),
            Kind::ServiceBroker => self.delete_service_broker(guid),
            Kind::SecurityGroup => drop(self.security_groups.remove(guid)),
            Kind::Package => drop(self.packages.remove(guid)),
            Kind::Buildpack => self.delete_buildpack(guid),
            Kind::Droplet => drop(self.droplets.remove(guid)),
            Kind::Domain => self.delete_domain(guid),
            Kind::UnmappedRoutes => self.delete_unmapped_routes(guid),
            Kind::Route => {
                remove_all(&mut self.route_policies, Field::Route, guid);
                remove_all(&mut self.route_bindings, Field::Route, guid);
                drop(self.routes.remove(guid));
            }
        }
    }

    fn delete_user(&mut self, guid: Guid) {
        remove_all(&mut self.roles, Field::User, guid);
        self.users.remove(guid);
    }

    fn delete_org(&mut self, guid: Guid) {
        for space in self
            .spaces
            .guids_newest_first(&Selection::by(Field::Org, guid))
        {
            let request = json!({"recursive": true});
            self.record_space(space, "audit.space.delete-request", request);
            self.delete_space(space);
        }
        remove_all(&mut self.roles, Field::Org, guid);
        let entitling = Selection::by(Field::SharedWith, guid);
        for segment in self.isolation_segments.guids_newest_first(&entitling) {
            self.isolation_segments.update(segment, |segment| {
                segment.orgs.retain(|&org| org != guid);
            });
        }
        for domain in self
            .domains
            .guids_newest_first(&Selection::by(Field::SharedWith, guid))
        {
            self.unshare_domain(domain, guid);
        }
        for domain in self
            .domains
            .guids_newest_first(&Selection::by(Field::Org, guid))
        {
            self.delete_domain(domain);
        }
        for plan in self.plans_visible_to(guid) {
            self.service_plans
                .update(plan, |plan| plan.visibilities.retain(|it| it.org != guid));
        }
        remove_all(&mut self.space_quotas, Field::Org, guid);
        self.orgs.remove(guid);
        self.usage.remove(&guid);
    }

    fn delete_space(&mut self, guid: Guid) {
        for app in self
            .apps
            .guids_newest_first(&Selection::by(Field::Space, guid))
        {
            self.delete_app(app);
        }
        remove_all(&mut self.roles, Field::Space, guid);
        for route in self
            .routes
            .guids_newest_first(&Selection::by(Field::Space, guid))
        {
            self.delete(Kind::Route, route);
        }
        for route in self
            .routes
            .guids_newest_first(&Selection::by(Field::SharedWith, guid))
        {
            self.routes.update(route, |route| {
                route.shared_with.retain(|&other| other != guid);
            });
        }
        self.delete_services_of(guid);
        self.unbind(Field::RunningSpace, guid);
        self.unbind(Field::StagingSpace, guid);
        self.spaces.remove(guid);
        self.usage.remove(&guid);
    }

    fn delete_domain(&mut self, guid: Guid) {
        remove_all(&mut self.routes, Field::Domain, guid);
        self.domains.remove(guid);
    }

    pub(crate) fn unshare_domain(&mut self, domain: Guid, org: Guid) {
        self.domains.update(domain, |domain| {
            domain.shared_with.retain(|&other| other != org);
        });
    }

    fn delete_unmapped_routes(&mut self, space: Guid) {
        let of_space = Selection::by(Field::Space, space);
        for guid in self.routes.guids_newest_first(&of_space) {
            let route = self.routes.get(guid);
            if route.is_some_and(|route| route.destinations.is_empty()) {
                self.routes.remove(guid);
            }
        }
    }

    fn delete_service_instance(&mut self, guid: Guid) {
        for binding in self.all_bindings_of(guid) {
            self.unbind_service(binding);
        }
        self.record_service_usage(guid, "DELETED");
        self.record_instance(guid, "delete", Value::Null);
        self.service_instances.remove(guid);
    }

    /// Deletes the brokers and instances of a space, and removes the space from
    /// shared instances.
    fn delete_services_of(&mut self, space: Guid) {
        let of_space = Selection::by(Field::Space, space);
        let mut instances = self.service_instances.guids_newest_first(&of_space);
        instances.reverse();
        for instance in instances {
            self.delete_service_instance(instance);
        }
        for broker in self.service_brokers.guids_newest_first(&of_space) {
            self.delete_service_broker(broker);
        }
        let shared = Selection::by(Field::SharedWith, space);
        for instance in self.service_instances.guids_newest_first(&shared) {
            self.service_instances.update(instance, |instance| {
                instance.shared_with.retain(|&other| other != space);
            });
        }
    }

    fn unbind(&mut self, field: Field, space: Guid) {
        let bound = Selection::by(field, space);
        for group in self.security_groups.guids_newest_first(&bound) {
            self.security_groups.update(group, |group| {
                group.running_spaces.retain(|&other| other != space);
                group.staging_spaces.retain(|&other| other != space);
            });
        }
    }

    fn delete_app(&mut self, guid: Guid) {
        let of_app = Selection::by(Field::App, guid);
        for package in self.packages.guids_newest_first(&of_app) {
            let data = json!({"package_guid": package});
            self.record(guid, "audit.app.package.delete", data);
            self.packages.remove(package);
        }
        for droplet in self.droplets.guids_newest_first(&of_app) {
            let found = self.droplets.get(droplet);
            if found.is_some_and(|found| found.is_shown(self.now)) {
                let data = json!({"droplet_guid": droplet});
                self.record(guid, "audit.app.droplet.delete", data);
            }
            self.droplets.remove(droplet);
        }
        self.unmap_routes(guid);
        for process in self.processes.guids_newest_first(&of_app) {
            self.record_process(process, "audit.app.process.delete", &Value::Null);
            self.remove_process(process);
        }
        remove_all(&mut self.tasks, Field::App, guid);
        remove_all(&mut self.deployments, Field::App, guid);
        remove_all(&mut self.revisions, Field::App, guid);
        remove_all(&mut self.sidecars, Field::App, guid);
        let bindings = self.bindings_of(guid).into_iter();
        let bindings: Vec<Guid> = bindings.map(Row::guid).collect();
        for binding in bindings {
            self.unbind_service(BindingRef::Credential(binding));
        }
        remove_all(&mut self.builds, Field::App, guid);
        self.logs.remove(&guid);
        self.apps.remove(guid);
        self.plan_policy_cleanup();
    }

    /// Removes an app's destinations from all routes.
    pub(crate) fn unmap_routes(&mut self, app: Guid) {
        let of_app = Selection::by(Field::App, app);
        for route in self.routes.guids_newest_first(&of_app) {
            let mut unmapped = Vec::new();
            self.routes.update(route, |route| {
                let all = std::mem::take(&mut route.destinations);
                let (own, others) = all.into_iter().partition(|it| it.app == app);
                (unmapped, route.destinations) = (own, others);
            });
            for destination in &unmapped {
                self.record_mapping(UNMAP_ROUTE, route, destination);
            }
        }
    }
}

fn remove_all<R: Row>(table: &mut Table<R>, field: Field, guid: Guid) {
    for row in table.guids_newest_first(&Selection::by(field, guid)) {
        table.remove(row);
    }
}
