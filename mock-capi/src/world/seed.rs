//! Creates resources without requests, for tests and seed files. Quotas do not limit
//! them.

use serde_json::Map;

use super::{
    Account, App, CowStr, Destination, Domain, Droplet, Guid, Lifecycle, NewDroplet, NewRoute, Org,
    Package, PackageKind, RoleType, Route, RouteRefusal, Row, SecurityGroup, Space, UAA_ORIGIN,
    Upload, World, sha256,
};
use crate::world::metadata::MetadataPatch;
use crate::world::settings::{Dialect, Settings};

/// The bits of seeded apps.
const BITS: &[u8] = b"mock-capi: a seeded app";

impl World {
    /// Returns the organization with this name, and creates it if it does not exist.
    pub(crate) fn seed_org(&mut self, name: &str) -> Guid {
        if let Some(org) = self.named::<Org>(name) {
            return org.base.guid;
        }
        let base = self.base();
        // Without a quota, nothing is limited.
        let quota = self.default_quota().map(|quota| quota.base.guid);
        let quota = quota.unwrap_or(base.guid);
        self.add(Org {
            base,
            name: name.into(),
            suspended: false,
            billing_enabled: false,
            quota,
            default_segment: None,
        })
    }

    /// Returns the space with this name in an organization, and creates it if it does not
    /// exist.
    pub(crate) fn seed_space(&mut self, org: Guid, name: &str) -> Guid {
        if let Some(space) = self.find_space(org, name) {
            return space.base.guid;
        }
        let base = self.base();
        self.add(Space {
            base,
            name: name.into(),
            org,
            suspended: false,
            segment: None,
            allows_ssh: true,
            quota: None,
        })
    }

    /// Returns the app with this name in a space. If it does not exist, it is created
    /// stopped, with a staged droplet and one instance.
    pub(crate) fn seed_app(&mut self, space: Guid, name: &str, dialect: Dialect) -> Guid {
        let lifecycle = Lifecycle::Buildpack {
            buildpacks: Vec::new(),
            stack: Settings::default_stack(dialect).into(),
            cnb: false,
        };
        self.seed_staged_app(space, name, lifecycle)
    }

    /// Like [`seed_app`](Self::seed_app), with a lifecycle for bits.
    pub(crate) fn seed_staged_app(
        &mut self,
        space: Guid,
        name: &str,
        lifecycle: Lifecycle,
    ) -> Guid {
        if let Some(app) = self.find_app(space, name) {
            return app.base.guid;
        }
        let app = self.seed_unstaged_app(space, name, lifecycle.clone());
        let package = self.seed_package(app, space);
        self.seed_droplet(app, package, lifecycle);
        app
    }

    /// Like [`seed_app`](Self::seed_app), with a Docker image.
    pub(crate) fn seed_docker_app(
        &mut self,
        space: Guid,
        name: &str,
        image: &str,
        username: Option<&str>,
    ) -> Guid {
        if let Some(app) = self.find_app(space, name) {
            return app.base.guid;
        }
        let app = self.seed_unstaged_app(space, name, Lifecycle::Docker);
        let base = self.base();
        let package = self.add(Package {
            base,
            app,
            space,
            kind: PackageKind::Docker {
                image: image.to_owned(),
                username: username.map(str::to_owned),
            },
            upload: None,
            expired: false,
        });
        self.seed_droplet(app, package, Lifecycle::Docker);
        app
    }

    fn seed_unstaged_app(&mut self, space: Guid, name: &str, lifecycle: Lifecycle) -> Guid {
        let none = MetadataPatch::default();
        let app = self.create_app(space, name.into(), lifecycle, None, none);
        // The app exists.
        let _ = self.create_process(app, "web");
        app
    }

    /// Gives an app a droplet that was staged from a package.
    fn seed_droplet(&mut self, app: Guid, package: Guid, lifecycle: Lifecycle) {
        let new = NewDroplet {
            lifecycle,
            error: None,
        };
        if let Some(droplet) = self.stage(package, new) {
            let now = self.now();
            self.update_row(droplet, |droplet: &mut Droplet| {
                droplet.ready_at = now;
            });
            self.assign_droplet(app, droplet);
        }
    }

    fn seed_package(&mut self, app: Guid, space: Guid) -> Guid {
        let (base, checksum, now) = (self.base(), sha256(BITS), self.now());
        self.blobs.keep(&checksum, BITS);
        self.add(Package {
            base,
            app,
            space,
            kind: PackageKind::Bits,
            upload: Some(Upload {
                sha256: checksum,
                files: [].into(),
                copied: false,
                error: None,
                ready_at: now,
            }),
            expired: false,
        })
    }

    /// Starts an app. All its instances run immediately.
    pub(crate) fn seed_started(&mut self, app: Guid) {
        self.update_row(app, |app: &mut App| app.started = true);
        self.begin_all(app, false);
        let start = self.timings.longest_start();
        let processes: Vec<Guid> = self.processes_of(app).iter().map(|p| p.guid()).collect();
        for process in processes {
            self.start_earlier(process, start);
        }
    }

    /// Maps a route in a domain to an app's web process.
    pub(crate) fn seed_route(
        &mut self,
        app: Guid,
        domain: Guid,
        host: &str,
        path: &str,
    ) -> Result<Guid, RouteRefusal> {
        let space = self.get(app).map(|app: &App| app.space);
        let space = space.ok_or(RouteRefusal::NoSpace)?;
        let there = self.get(domain).and_then(|domain: &Domain| {
            let route = self.find_route(domain, host, path, None)?;
            (route.space == space).then_some(route.base.guid)
        });
        let route = match there {
            Some(route) => route,
            None => self.create_route(NewRoute {
                space,
                domain,
                host: host.into(),
                path: path.into(),
                port: Some(0),
                options: Map::new(),
                metadata: MetadataPatch::default(),
            })?,
        };
        let (guid, now) = (self.next_guid(), self.now());
        self.update_row(route, |route: &mut Route| {
            if route.destinations.iter().all(|known| known.app != app) {
                route.destinations.push(Destination {
                    guid,
                    app,
                    process: "web".into(),
                    weight: None,
                    port: None,
                    protocol: CowStr::Borrowed("http1"),
                    created: now,
                    updated: now,
                });
            }
        });
        Ok(route)
    }
}

/// The resources of a seed file other than orgs, spaces and apps.
impl World {
    /// Sets the sizes of an app's web process.
    pub(crate) fn seed_sizes(
        &mut self,
        app: Guid,
        instances: Option<u32>,
        memory: Option<u32>,
        disk: Option<u32>,
    ) {
        let web = self.process(app, "web").map(|web| (web.guid(), web.scale));
        if let Some((web, mut scale)) = web {
            scale.instances = instances.unwrap_or(scale.instances);
            scale.memory_mb = memory.unwrap_or(scale.memory_mb);
            scale.disk_mb = disk.unwrap_or(scale.disk_mb);
            self.resize(web, scale);
        }
    }

    /// Binds a space to the security group with this name. `None` if the group does not
    /// exist.
    pub(crate) fn seed_running_group(&mut self, space: Guid, name: &str) -> Option<()> {
        let group = self.named::<SecurityGroup>(name)?.guid();
        self.update_row(group, |group: &mut SecurityGroup| {
            if !group.running_spaces.contains(&space) {
                group.running_spaces.push(space);
            }
        });
        Some(())
    }

    /// Adds a user, who can log in if there is a password.
    pub(crate) fn seed_account(&mut self, name: &str, password: Option<&str>, admin: bool) -> Guid {
        let guid = self.find_or_add_account(name, UAA_ORIGIN);
        self.set_admin(guid, admin);
        if let Some(password) = password {
            self.update_row(guid, |account: &mut Account| {
                account.password = Some(password.to_owned());
            });
        }
        guid
    }

    /// Assigns a role in an organization or one of its spaces.
    pub(crate) fn seed_role_in(
        &mut self,
        account: Guid,
        kind: RoleType,
        org: Guid,
        space: Option<Guid>,
    ) {
        let user = self.find_or_add_user(&account.to_string());
        if space.is_some() {
            // Members of a space must be members of its organization.
            self.assign(RoleType::OrgUser, user, org, None);
        }
        self.assign(kind, user, org, space);
    }
}
