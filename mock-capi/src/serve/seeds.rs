//! Creates resources before a test and reads them afterwards, without requests.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::serve::controller::CloudController;
use crate::world::{App, Field, Guid, Key, Org, RouteRefusal, Row, Selection, Space, World};

/// Creates resources without requests.
impl CloudController {
    /// Returns the organization with this name, and creates it if it does not exist.
    ///
    /// ```
    /// use mock_capi::MockCapi;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mock = MockCapi::start().await?;
    /// mock.org("o").space("s").app("a").instances(2).route("a")?.started();
    ///
    /// let app = mock.app("a").ok_or("no app")?;
    /// assert_eq!((app.instances, app.running), (2, 2));
    /// assert_eq!(app.routes, ["a.apps.mock.test"]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn org(&self, name: &str) -> OrgSeed<'_> {
        let guid = self.change(|world| world.seed_org(name));
        OrgSeed { fake: self, guid }
    }

    /// The oldest app with this name, in any space. `None` if no app has it.
    pub fn app(&self, name: &str) -> Option<AppState> {
        self.core().read(|world| {
            let named = Selection::all().any(vec![Key::text(App::NAME, name)]);
            let mut named = world.apps.select(&named).into_iter();
            let app = named.find(|app| app.name == name)?;
            Some(AppState::of(world, app))
        })
    }

    /// All apps, oldest first.
    pub fn apps(&self) -> Vec<AppState> {
        self.core().read(|world| {
            let apps = world.apps.iter();
            apps.map(|app| AppState::of(world, app)).collect()
        })
    }

    /// All organizations with their spaces, oldest first. Unlike [`org`](Self::org), this
    /// creates nothing.
    ///
    /// ```
    /// use mock_capi::MockCapi;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mock = MockCapi::start().await?;
    /// mock.org("o").space("s");
    /// let orgs = mock.orgs();
    /// assert_eq!((orgs[0].name.as_str(), orgs[0].spaces.len()), ("o", 1));
    /// assert_eq!(orgs[0].spaces[0].name, "s");
    /// # Ok(())
    /// # }
    /// ```
    pub fn orgs(&self) -> Vec<OrgState> {
        self.core().read(|world| {
            let orgs = world.orgs.iter();
            orgs.map(|org| OrgState::of(world, org)).collect()
        })
    }

    fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        self.core().change(change)
    }
}

/// An existing organization, returned by [`CloudController::org`].
#[derive(Clone, Copy, Debug)]
pub struct OrgSeed<'m> {
    fake: &'m CloudController,
    guid: Guid,
}

impl<'m> OrgSeed<'m> {
    /// The organization's GUID.
    pub fn guid(&self) -> String {
        self.guid.to_string()
    }

    /// Returns the space with this name, and creates it if it does not exist.
    pub fn space(&self, name: &str) -> SpaceSeed<'m> {
        let guid = self.fake.change(|world| world.seed_space(self.guid, name));
        SpaceSeed {
            fake: self.fake,
            guid,
        }
    }
}

/// An existing space, returned by [`OrgSeed::space`].
#[derive(Clone, Copy, Debug)]
pub struct SpaceSeed<'m> {
    fake: &'m CloudController,
    guid: Guid,
}

impl<'m> SpaceSeed<'m> {
    /// The space's GUID.
    pub fn guid(&self) -> String {
        self.guid.to_string()
    }

    /// Returns the app with this name. If it does not exist, it is created stopped, with
    /// a package, a staged droplet and one instance.
    pub fn app(&self, name: &str) -> AppSeed<'m> {
        let dialect = self.fake.core().dialect();
        let seed = |world: &mut World| world.seed_app(self.guid, name, dialect);
        let guid = self.fake.change(seed);
        AppSeed {
            fake: self.fake,
            guid,
        }
    }
}

/// An existing app, returned by [`SpaceSeed::app`].
#[derive(Clone, Copy, Debug)]
pub struct AppSeed<'m> {
    fake: &'m CloudController,
    guid: Guid,
}

/// The reason why an app cannot have a route.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the app cannot have a route with the host '{host}': {reason}")]
pub struct RouteError {
    host: String,
    reason: String,
}

impl AppSeed<'_> {
    /// The app's GUID.
    pub fn guid(&self) -> String {
        self.guid.to_string()
    }

    /// Sets the number of instances of the web process.
    #[must_use = "a seeded app is stopped until `started` is called"]
    pub fn instances(self, instances: u32) -> Self {
        let guid = self.guid;
        self.fake
            .change(|world| world.seed_sizes(guid, Some(instances), None, None));
        self
    }

    /// Sets an environment variable.
    #[must_use = "a seeded app is stopped until `started` is called"]
    pub fn env(self, name: &str, value: &str) -> Self {
        self.fake.change(|world| {
            world.update_row(self.guid, |app: &mut App| {
                app.environment.insert(name.into(), value.into());
            });
        });
        self
    }

    /// Maps a route with this host on the default domain to the app.
    ///
    /// # Errors
    ///
    /// [`RouteError`] if the host is invalid, or belongs to another space.
    pub fn route(self, host: &str) -> Result<Self, RouteError> {
        let mapped = self.fake.change(|world| {
            let space = world.get(self.guid).map(|app: &App| app.space);
            let org = space.and_then(|space| Some(world.spaces.get(space)?.org));
            let domain = org.and_then(|org| world.default_domain(org));
            let domain = domain.ok_or(RouteRefusal::NoDomain)?.base.guid;
            world.seed_route(self.guid, domain, host, "")
        });
        mapped.map(|_| self).map_err(|refusal| RouteError {
            host: host.into(),
            reason: refusal.to_string(),
        })
    }

    /// The current state of the app. `None` if it was deleted.
    pub fn state(&self) -> Option<AppState> {
        let read = |world: &World| world.get(self.guid).map(|app| AppState::of(world, app));
        self.fake.core().read(read)
    }

    /// Starts the app. All instances run immediately.
    pub fn started(self) -> Self {
        self.fake.change(|world| world.seed_started(self.guid));
        self
    }
}

/// The current state of an organization.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OrgState {
    /// The organization's GUID.
    pub guid: String,
    /// The organization's name.
    pub name: String,
    /// Its spaces, oldest first.
    pub spaces: Vec<SpaceState>,
}

/// The current state of a space.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpaceState {
    /// The space's GUID.
    pub guid: String,
    /// The space's name.
    pub name: String,
    /// The names of its apps, oldest first.
    pub apps: Vec<String>,
}

impl OrgState {
    fn of(world: &World, org: &Org) -> Self {
        let spaces = world.spaces.select(&Selection::by(Field::Org, org.guid()));
        let spaces = spaces.into_iter().map(|space| {
            let apps = world
                .apps
                .select(&Selection::by(Field::Space, space.guid()));
            SpaceState {
                guid: space.guid().to_string(),
                name: space.name.clone(),
                apps: apps.iter().map(|app| app.name.clone()).collect(),
            }
        });
        Self {
            guid: org.guid().to_string(),
            name: org.name.clone(),
            spaces: spaces.collect(),
        }
    }
}

/// The current state of an app.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct AppState {
    /// The app's GUID.
    pub guid: String,
    /// The app's name.
    pub name: String,
    /// The name of its space.
    pub space: String,
    /// The name of its organization.
    pub org: String,
    /// Whether the app should run.
    pub started: bool,
    /// The desired number of instances of its web process.
    pub instances: u32,
    /// The number of instances that are `RUNNING`.
    pub running: u32,
    /// The memory of each instance, in MiB.
    pub memory_mb: u32,
    /// The GUID of its current droplet, if any.
    pub droplet: Option<String>,
    /// The environment variables.
    pub environment: BTreeMap<String, Value>,
    /// The addresses of its routes, such as `a.apps.mock.test/path`, in order.
    pub routes: Vec<String>,
}

impl AppState {
    fn of(world: &World, app: &App) -> Self {
        let guid = app.guid();
        let space: Option<&Space> = world.get(app.space);
        let org = space.and_then(|space| world.orgs.get(space.org));
        let web = world.process(guid, "web");
        let instances = web.map(|web| world.instances(web)).unwrap_or_default();
        let running = instances.iter().filter(|it| it.name == "RUNNING").count();
        let routes = world.routes.select(&Selection::by(Field::App, guid));
        let mut routes: Vec<String> = routes.iter().map(|it| world.route_url(it)).collect();
        routes.sort();
        let environment = app.environment.iter();
        Self {
            guid: guid.to_string(),
            name: app.name.clone(),
            space: space.map(|space| space.name.clone()).unwrap_or_default(),
            org: org.map(|org| org.name.clone()).unwrap_or_default(),
            started: app.started,
            instances: web.map_or(0, |web| web.scale.instances),
            running: u32::try_from(running).unwrap_or(u32::MAX),
            memory_mb: web.map_or(0, |web| web.scale.memory_mb),
            droplet: app.droplet.map(|droplet| droplet.to_string()),
            environment: environment.map(|(k, v)| (k.clone(), v.clone())).collect(),
            routes,
        }
    }
}
