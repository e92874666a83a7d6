//! Seeds: resources that no client has created, from tests and seed files. Quotas do
//! not limit them.

use serde_json::{Map, Value};

use super::{
    Account, App, CowStr, Destination, Domain, Droplet, Guid, Lifecycle, Limits, NewDroplet,
    NewRoute, Org, Package, PackageKind, Quota, RoleType, Route, RouteRefusal, Row, SecurityGroup,
    Space, UAA_ORIGIN, Upload, World, sha256,
};
use crate::world::metadata::MetadataPatch;
use crate::world::settings::{Dialect, Settings};

/// The bits of seeded apps.
const BITS: &[u8] = b"mock-capi: a seeded app";

impl World {
    /// The organization of a name, which is created if it does not exist.
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

    /// The space of a name in an organization, which is created if it does not
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

    /// The app of a name in a space, which is created if it does not exist: staged,
    /// stopped, with one instance.
    pub(crate) fn seed_app(&mut self, space: Guid, name: &str, dialect: Dialect) -> Guid {
        if let Some(app) = self.find_app(space, name) {
            return app.base.guid;
        }
        let lifecycle = Lifecycle::Buildpack {
            buildpacks: Vec::new(),
            stack: Settings::default_stack(dialect).into(),
            cnb: false,
        };
        let none = MetadataPatch::default();
        let app = self.create_app(space, name.into(), lifecycle.clone(), Map::new(), none);
        // The app exists.
        let _ = self.create_process(app, "web");
        let package = self.seed_package(app, space);
        let new = NewDroplet {
            lifecycle,
            error: None,
        };
        if let Some(droplet) = self.stage(package, new) {
            let now = self.now();
            self.touch(droplet, |droplet: &mut Droplet| {
                droplet.ready_at = now;
            });
            self.assign_droplet(app, droplet);
        }
        app
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

    /// Starts an app, all of whose instances run at once.
    pub(crate) fn seed_started(&mut self, app: Guid) {
        self.touch(app, |app: &mut App| app.started = true);
        self.begin_all(app, false);
        let start = self.timings.longest_start();
        let processes: Vec<Guid> = self.processes_of(app).iter().map(|p| p.guid()).collect();
        for process in processes {
            self.start_earlier(process, start);
        }
    }

    /// Maps a route of a domain to an app's web process.
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
            let route = self.find_route(domain, host, path)?;
            (route.space == space).then_some(route.base.guid)
        });
        let route = match there {
            Some(route) => route,
            None => self.create_route(NewRoute {
                space,
                domain,
                host: host.into(),
                path: path.into(),
                port: None,
                options: Map::new(),
                metadata: MetadataPatch::default(),
            })?,
        };
        let (guid, now) = (self.next_guid(), self.now());
        self.touch(route, |route: &mut Route| {
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

/// What a seed file describes besides orgs, spaces and apps.
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

    /// Adds a quota.
    pub(crate) fn seed_quota(&mut self, name: &str, limits: Limits) {
        match self.named::<Quota>(name).map(Row::guid) {
            Some(guid) => self.touch(guid, |quota: &mut Quota| quota.limits = limits),
            None => {
                let base = self.base();
                let name = name.into();
                self.add(Quota { base, name, limits });
            }
        }
    }

    /// Sets the quota of an organization by name; `None` if the quota does not
    /// exist.
    pub(crate) fn seed_org_quota(&mut self, org: Guid, name: &str) -> Option<()> {
        let quota = self.named::<Quota>(name)?.guid();
        self.touch(org, |org: &mut Org| org.quota = quota);
        Some(())
    }

    /// Adds a security group.
    pub(crate) fn seed_security_group(
        &mut self,
        name: &str,
        rules: Vec<Value>,
        running_default: bool,
        staging_default: bool,
    ) {
        let known = self.named::<SecurityGroup>(name).map(Row::guid);
        let guid = known.unwrap_or_else(|| {
            let base = self.base();
            self.add(SecurityGroup {
                base,
                name: name.into(),
                rules: Vec::new(),
                running_default,
                staging_default,
                running_spaces: Vec::new(),
                staging_spaces: Vec::new(),
            })
        });
        self.touch(guid, |group: &mut SecurityGroup| {
            group.rules = rules;
            group.running_default = running_default;
            group.staging_default = staging_default;
        });
    }

    /// Binds a space to the security group of a name; `None` if it does not exist.
    pub(crate) fn seed_running_group(&mut self, space: Guid, name: &str) -> Option<()> {
        let group = self.named::<SecurityGroup>(name)?.guid();
        self.touch(group, |group: &mut SecurityGroup| {
            if !group.running_spaces.contains(&space) {
                group.running_spaces.push(space);
            }
        });
        Some(())
    }

    /// The host and the domain of a route's name: the longest matching domain.
    pub(crate) fn seed_domain_of(&self, name: &str) -> Option<(String, Guid)> {
        let domains = self.domains.iter().filter_map(|domain| {
            let host = name.strip_suffix(domain.name.as_str())?;
            let host = match host.strip_suffix('.') {
                Some(host) => host,
                None if host.is_empty() => host,
                None => return None,
            };
            Some((host, domain))
        });
        let (host, domain) = domains.max_by_key(|(_, domain)| domain.name.len())?;
        Some((host.to_owned(), domain.base.guid))
    }

    /// Adds a user, who can log in if there is a password.
    pub(crate) fn seed_account(&mut self, name: &str, password: Option<&str>, admin: bool) -> Guid {
        let guid = self.know_account(name, UAA_ORIGIN);
        self.set_admin(guid, admin);
        if let Some(password) = password {
            self.touch(guid, |account: &mut Account| {
                account.password = Some(password.to_owned());
            });
        }
        guid
    }

    /// Assigns a role in an organization or one of its spaces; `None` if the place
    /// does not exist.
    pub(crate) fn seed_role(
        &mut self,
        account: Guid,
        kind: RoleType,
        org: &str,
        space: Option<&str>,
    ) -> Option<()> {
        let org = self.named::<Org>(org)?.guid();
        let space = match space {
            Some(name) => Some(self.find_space(org, name)?.guid()),
            None => None,
        };
        let user = self.know_user(&account.to_string());
        if space.is_some() {
            // Members of a space must be members of its organization.
            self.assign(RoleType::OrgUser, user, org, None);
        }
        self.assign(kind, user, org, space);
        Some(())
    }
}
