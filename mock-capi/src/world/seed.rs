//! Putting things into the world that no client has created: what tests and seed
//! files start from. Limits of quotas do not count for it.

use serde_json::Map;

use super::{
    App, CowStr, Destination, Domain, Guid, Lifecycle, NewDroplet, NewRoute, Org, Package,
    PackageKind, Process, Route, RouteRefusal, Row, Space, Upload, World, sha256,
};
use crate::world::metadata::MetadataPatch;
use crate::world::settings::{Dialect, Settings};

/// What a seeded app's bits are.
const BITS: &[u8] = b"mock-capi: a seeded app";

impl World {
    /// The organization of a name, made if there is none yet.
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
            quota,
            default_segment: None,
        })
    }

    /// The space of a name in an organization, made if there is none yet.
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

    /// The app of a name in a space, made if there is none yet: staged, stopped,
    /// with one instance.
    pub(crate) fn seed_app(&mut self, space: Guid, name: &str, dialect: Dialect) -> Guid {
        if let Some(app) = self.find_app(space, name) {
            return app.base.guid;
        }
        let lifecycle = Lifecycle::Buildpack {
            buildpacks: Vec::new(),
            stack: Settings::default_stack(dialect).into(),
        };
        let none = MetadataPatch::default();
        let app = self.create_app(space, name.into(), lifecycle.clone(), Map::new(), none);
        // The app is there.
        let _ = self.create_process(app, "web");
        let package = self.seed_package(app, space);
        let new = NewDroplet {
            lifecycle,
            error: None,
        };
        if let Some(droplet) = self.stage(package, new) {
            let now = self.now();
            self.touch(droplet, |droplet: &mut super::Droplet| {
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
        })
    }

    /// Gives an app's web process so many instances.
    pub(crate) fn seed_instances(&mut self, app: Guid, instances: u32) {
        let web = self.process(app, "web").map(|web| (web.guid(), web.scale));
        if let Some((web, mut scale)) = web {
            scale.instances = instances;
            self.resize(web, scale);
        }
    }

    /// Starts an app, all of whose instances then run already.
    pub(crate) fn seed_started(&mut self, app: Guid) {
        self.touch(app, |app: &mut App| app.started = true);
        self.begin_all(app, false);
        let start = self.timings.longest_start();
        let processes: Vec<Guid> = self.processes_of(app).iter().map(|p| p.guid()).collect();
        for process in processes {
            self.change_process(process, |process: &mut Process| {
                for (_, started) in &mut process.starts {
                    *started = started.minus(start);
                }
            });
        }
    }

    /// Lets a route of a domain lead to an app's web process.
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
