//! Deleting resources with all that belongs to them.

use serde::{Deserialize, Serialize};

use super::{Field, Guid, Row, Selection, Table, World};

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
    SecurityGroup,
    App,
    Package,
    Droplet,
    Buildpack,
    Domain,
    Route,
    /// The routes of a space that no app is mapped to.
    UnmappedRoutes,
}

impl World {
    pub(crate) fn delete(&mut self, kind: Kind, guid: Guid) {
        match kind {
            Kind::User => self.delete_user(guid),
            Kind::Role => drop(self.roles.remove(guid)),
            Kind::Org => self.delete_org(guid),
            Kind::Space => self.delete_space(guid),
            Kind::App => self.delete_app(guid),
            Kind::Quota => drop(self.quotas.remove(guid)),
            Kind::SpaceQuota => drop(self.space_quotas.remove(guid)),
            Kind::ServiceInstance => self.delete_service_instance(guid),
            Kind::SecurityGroup => drop(self.security_groups.remove(guid)),
            Kind::Package => drop(self.packages.remove(guid)),
            Kind::Buildpack => self.delete_buildpack(guid),
            Kind::Droplet => drop(self.droplets.remove(guid)),
            Kind::Domain => self.delete_domain(guid),
            Kind::UnmappedRoutes => self.delete_unmapped_routes(guid),
            Kind::Route => {
                remove_all(&mut self.route_policies, Field::Route, guid);
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
            self.delete_space(space);
        }
        remove_all(&mut self.roles, Field::Org, guid);
        let entitling = Selection::by(Field::Org, guid);
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
        remove_all(&mut self.routes, Field::Space, guid);
        for route in self
            .routes
            .guids_newest_first(&Selection::by(Field::SharedWith, guid))
        {
            self.routes.update(route, |route| {
                route.shared_with.retain(|&other| other != guid);
            });
        }
        self.record_service_removals(guid);
        remove_all(&mut self.service_instances, Field::Space, guid);
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
        self.record_service_usage(guid, "DELETED");
        remove_all(&mut self.service_bindings, Field::ServiceInstance, guid);
        self.service_instances.remove(guid);
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
        for process in self.processes.guids_newest_first(&of_app) {
            self.remove_process(process);
        }
        remove_all(&mut self.tasks, Field::App, guid);
        remove_all(&mut self.deployments, Field::App, guid);
        remove_all(&mut self.revisions, Field::App, guid);
        remove_all(&mut self.sidecars, Field::App, guid);
        remove_all(&mut self.service_bindings, Field::App, guid);
        remove_all(&mut self.builds, Field::App, guid);
        remove_all(&mut self.packages, Field::App, guid);
        remove_all(&mut self.droplets, Field::App, guid);
        self.unmap_routes(guid);
        self.logs.remove(&guid);
        self.apps.remove(guid);
        self.plan_policy_cleanup();
    }

    /// Takes an app's destinations from all routes.
    pub(crate) fn unmap_routes(&mut self, app: Guid) {
        let of_app = Selection::by(Field::App, app);
        for route in self.routes.guids_newest_first(&of_app) {
            self.routes.update(route, |route| {
                route
                    .destinations
                    .retain(|destination| destination.app != app);
            });
        }
    }
}

fn remove_all<R: Row>(table: &mut Table<R>, field: Field, guid: Guid) {
    for row in table.guids_newest_first(&Selection::by(field, guid)) {
        table.remove(row);
    }
}
