//! Reads the source and the existing clones before the first clone is created.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{CloneError, Cloner};
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::{
    App, CLONE_ANNOTATION, Destination, Droplet, MANAGED_BY_LABEL, MANAGED_BY_VALUE,
    PREFIX_ANNOTATION, Route,
};
use crate::manifest::Manifest;
use crate::manifest::clones::{CloneEntry, MetadataChange};
use crate::manifest::entry::route_text;
use crate::push::lowercase;

/// The maximum length of a route's host.
const MAX_HOST: usize = 63;

/// The state that a run needs before it creates the first clone.
#[derive(Debug)]
pub(super) struct ClonePlan {
    /// The GUID of the target space.
    pub(super) space: String,
    /// The GUID of the source.
    pub(super) source: String,
    /// The source's droplet, if it has one.
    pub(super) droplet: Option<Droplet>,
    /// The source's TCP routes. Each clone gets other TCP routes, on free ports of the
    /// same domains.
    pub(super) tcp_routes: Vec<TcpRoute>,
    /// The manifest of all clones.
    pub(super) manifest: Manifest,
    /// The clones, at least one.
    pub(super) clones: Vec<NewClone>,
}

/// A clone, before the run.
#[derive(Debug, Clone)]
pub(super) struct NewClone {
    pub(super) name: String,
    /// The unfinished clone of an interrupted run.
    pub(super) leftover: Option<App>,
    /// The copy of the source's droplet from an interrupted run, if it is or will be
    /// staged.
    pub(super) copy: Option<String>,
    /// The destinations of its routes, by URL, if a manifest would set other
    /// destinations. The app of a destination is the source.
    pub(super) destinations: BTreeMap<String, Vec<Destination>>,
}

/// A TCP route of the source.
#[derive(Debug)]
pub(super) struct TcpRoute {
    /// The GUID of its domain.
    pub(super) domain: String,
    /// The destinations in the source app.
    pub(super) destinations: Vec<Destination>,
}

impl TcpRoute {
    /// The destinations of a clone's route.
    pub(super) fn of_clone(&self, clone: &App) -> Vec<Destination> {
        let destinations = self.destinations.iter();
        let to_clone = destinations.map(|destination| Destination {
            app: clone.guid.clone(),
            ..destination.clone()
        });
        to_clone.collect()
    }
}

/// The source of the clones.
struct Source {
    app: App,
    droplet: Option<Droplet>,
    manifest: Manifest,
    routes: Vec<Route>,
}

/// The routes of a source whose domain and path clones can use.
struct HostRoutes<'s> {
    routes: Vec<&'s Route>,
}

impl Cloner {
    /// Reads the source and the target space. Deletes only copies of droplets from an
    /// interrupted run that no clone can use.
    pub(super) async fn prepare(&self, names: Vec<String>) -> Result<ClonePlan, CloneError> {
        let client = &self.client;
        let source_space = self.space.find(client).await?;
        let space = match &self.target {
            Some(target) => target.find(client).await?,
            None => source_space.clone(),
        };
        let source = self.source(&source_space).await?;
        let leftovers = self.leftovers(&space, &source.app, &names).await?;
        let routes = HostRoutes::of(&source.routes);
        let clones = self.entries(&names, &routes)?;
        check_routes(client, &space, &routes, &clones, &leftovers).await?;
        let manifest = source.manifest.of_clones(
            &clones,
            &[
                // A clone does not belong to the group that the source was converged
                // with.
                MetadataChange::LeaveOut {
                    part: "labels",
                    key: MANAGED_BY_LABEL,
                    value: Some(MANAGED_BY_VALUE),
                },
                MetadataChange::LeaveOut {
                    part: "annotations",
                    key: PREFIX_ANNOTATION,
                    value: None,
                },
                MetadataChange::Annotate {
                    key: CLONE_ANNOTATION,
                    value: &source.app.guid,
                },
            ],
        );
        let mut copies = self.copies(&leftovers, source.droplet.as_ref()).await?;
        let destinations = clones.iter();
        let destinations = destinations.map(|clone| routes.destinations(&source.app, clone));
        let destinations: Vec<_> = destinations.collect();
        let clones = names.into_iter().zip(destinations);
        let clones = clones.map(|(name, destinations)| {
            let leftover = leftovers.get(&lowercase(&name)).cloned();
            let guid = leftover.as_ref().map(|app| app.guid.as_str());
            NewClone {
                copy: guid.and_then(|guid| copies.remove(guid)),
                leftover,
                name,
                destinations,
            }
        });
        Ok(ClonePlan {
            space,
            clones: clones.collect(),
            tcp_routes: tcp_routes(&source),
            source: source.app.guid,
            droplet: source.droplet,
            manifest,
        })
    }

    async fn source(&self, space: &str) -> Result<Source, CloneError> {
        let client = &self.client;
        let found = client.apps_named(space, &[&self.app]).await?;
        let mut app = found.into_iter().next().ok_or_else(|| {
            let what = format!("finding app {}", self.app);
            Error::impossible(what, "not found, or not visible to the user")
        })?;
        if app.current_droplet.is_none() {
            app.current_droplet = client.current_droplet(&app.guid).await?;
        }
        let droplet = match &app.current_droplet {
            Some(droplet) => {
                let found = client.droplets(std::slice::from_ref(droplet)).await?;
                found.into_iter().next()
            }
            None => None,
        };
        if droplet.is_none() && self.starts {
            return Err(CloneError::NoDroplet {
                app: app.name.clone(),
            });
        }
        let text = client.app_manifest(&app.guid).await?;
        let mut manifest =
            Manifest::parse_of_cloud_controller(&text, &format!("of the app {}", app.name))?;
        if app.is_docker() {
            let image = image_of(client, &app, droplet.as_ref()).await?;
            manifest = manifest.with_image(&image);
        }
        let routes = match self.routes {
            true => client.routes_of_app(&app.guid).await?,
            false => Vec::new(),
        };
        Ok(Source {
            app,
            droplet,
            manifest,
            routes,
        })
    }

    /// The unfinished clones of an interrupted run, by their names in lower case.
    async fn leftovers(
        &self,
        space: &str,
        source: &App,
        names: &[String],
    ) -> Result<HashMap<String, App>, CloneError> {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let found = self.client.apps_named(space, &names).await?;
        let is_ours = |app: &App| app.clone_of.as_deref() == Some(source.guid.as_str());
        let (ours, others): (Vec<App>, Vec<App>) = found.into_iter().partition(is_ours);
        if !others.is_empty() {
            let names = others.into_iter().map(|app| app.name);
            let names: BTreeSet<String> = names.collect();
            return Err(CloneError::Exists {
                names: names.into_iter().collect(),
            });
        }
        let ours = ours.into_iter().map(|app| (lowercase(&app.name), app));
        Ok(ours.collect())
    }

    fn entries<'n>(
        &self,
        names: &'n [String],
        routes: &HostRoutes<'_>,
    ) -> Result<Vec<CloneEntry<'n>>, CloneError> {
        let entry = |name: &'n String| {
            Ok(CloneEntry {
                name,
                routes: routes.of_clone(name)?,
                services: self.services,
                instances: self.instances,
            })
        };
        names.iter().map(entry).collect()
    }

    /// The copies of the source's droplet from an interrupted run, by the app's GUID.
    /// Other droplets of these apps are deleted, unless the apps run with them.
    async fn copies(
        &self,
        leftovers: &HashMap<String, App>,
        source: Option<&Droplet>,
    ) -> Result<HashMap<String, String>, Error> {
        let mut copies: HashMap<String, String> = HashMap::new();
        let apps: HashMap<&str, &App> = leftovers
            .values()
            .map(|app| (app.guid.as_str(), app))
            .collect();
        let mut guids: Vec<&str> = apps.keys().copied().collect();
        guids.sort_unstable();
        if guids.is_empty() {
            return Ok(copies);
        }
        let is_current = |droplet: &Droplet| {
            let app = apps.get(droplet.app.as_str());
            app.is_some_and(|app| app.current_droplet.as_ref() == Some(&droplet.guid))
        };
        let mut droplets = self.client.droplets_of_apps(&guids).await?;
        droplets.sort_by_key(|droplet| !is_current(droplet));
        for droplet in droplets {
            let is_usable = source.is_some_and(|source| is_copy(&droplet, source));
            if is_usable && !copies.contains_key(&droplet.app) {
                copies.insert(droplet.app, droplet.guid);
            } else if !is_current(&droplet) {
                let what = "deleting a droplet of an earlier run";
                self.client.delete_droplet(what, &droplet.guid).await?;
            }
        }
        Ok(copies)
    }
}

/// The image of an app. The Cloud Controller shows it in the manifest only if the current
/// droplet was staged from a package, and therefore not for a copy.
async fn image_of(
    client: &Client,
    app: &App,
    droplet: Option<&Droplet>,
) -> Result<String, CloneError> {
    if let Some(image) = droplet.and_then(|droplet| droplet.image.clone()) {
        return Ok(image);
    }
    let mut packages = client.image_packages(&[&app.guid]).await?.into_iter();
    let image = packages.next().and_then(|package| package.image);
    let image = image.ok_or_else(|| CloneError::NoDroplet {
        app: app.name.clone(),
    })?;
    Ok(image.name)
}

/// Whether a droplet is, or will be, a copy of another one.
fn is_copy(droplet: &Droplet, source: &Droplet) -> bool {
    use crate::capi::model::ResourceState::{Expired, Failed};
    match droplet.state {
        Failed | Expired => false,
        _ if source.image.is_some() => droplet.image == source.image,
        // A copy in progress has no checksum.
        _ => droplet.checksum.is_none() || droplet.checksum == source.checksum,
    }
}

impl<'s> HostRoutes<'s> {
    fn of(routes: &'s [Route]) -> Self {
        let routes = routes.iter().filter(|route| route.port.is_none());
        Self {
            routes: routes.collect(),
        }
    }

    /// The destinations of a clone's routes, if a manifest would set other destinations.
    fn destinations(
        &self,
        source: &App,
        clone: &CloneEntry<'_>,
    ) -> BTreeMap<String, Vec<Destination>> {
        let mut all: BTreeMap<String, Vec<Destination>> = BTreeMap::new();
        for route in &self.routes {
            let Some(url) = clone.routes.get(&route_text(&route.url)) else {
                continue;
            };
            let destinations = all.entry(url.clone()).or_default();
            let of_source = route.destinations.iter().filter(|it| it.app == source.guid);
            for destination in of_source {
                if !destinations.contains(destination) {
                    destinations.push(destination.clone());
                }
            }
        }
        all.retain(|_, destinations| !destinations.iter().all(Destination::is_default));
        all
    }

    /// The routes of a clone, by the corresponding routes of the source.
    fn of_clone(&self, name: &str) -> Result<BTreeMap<String, String>, CloneError> {
        if self.routes.is_empty() {
            return Ok(BTreeMap::new());
        }
        let host = lowercase(name);
        let is_host = !host.is_empty()
            && host.len() <= MAX_HOST
            && host
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        if !is_host {
            return Err(CloneError::Host {
                name: name.to_owned(),
            });
        }
        let routes = self.routes.iter().map(|route| {
            let new = format!("{host}.{}{}", domain_of(route), route.path);
            (route_text(&route.url), new)
        });
        Ok(routes.collect())
    }
}

/// The routes of a source that have a port.
fn tcp_routes(source: &Source) -> Vec<TcpRoute> {
    let routes = source.routes.iter().filter(|route| route.port.is_some());
    let routes = routes.map(|route| {
        let destinations = route.destinations.iter();
        let of_source = destinations.filter(|it| it.app == source.app.guid);
        TcpRoute {
            domain: route.domain.clone(),
            destinations: of_source.cloned().collect(),
        }
    });
    routes.collect()
}

/// The name of a route's domain.
fn domain_of(route: &Route) -> &str {
    let name = route.url.split('/').next().unwrap_or_default();
    match route.host.as_str() {
        "" => name,
        host => name
            .strip_prefix(host)
            .and_then(|rest| rest.strip_prefix('.'))
            .unwrap_or(name),
    }
}

/// Checks that each route of the clones is new, has no destination, or leads to an
/// unfinished clone.
async fn check_routes(
    client: &Client,
    space: &str,
    of_source: &HostRoutes<'_>,
    clones: &[CloneEntry<'_>],
    leftovers: &HashMap<String, App>,
) -> Result<(), CloneError> {
    let routes = of_source.routes.iter();
    let domains: BTreeSet<&str> = routes.map(|route| route.domain.as_str()).collect();
    let domains: Vec<&str> = domains.into_iter().collect();
    let wanted = clones.iter().flat_map(|clone| clone.routes.values());
    let wanted: HashSet<&str> = wanted.map(String::as_str).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let hosts: Vec<String> = clones.iter().map(|clone| lowercase(clone.name)).collect();
    let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
    let ours: HashSet<&str> = leftovers.values().map(|app| app.guid.as_str()).collect();
    let is_taken = |route: &Route| {
        let mut destinations = route.destinations.iter();
        let is_of_others = destinations.any(|it| !ours.contains(it.app.as_str()));
        route.space != space || is_of_others
    };
    let found = client.routes_with_hosts(&domains, &hosts).await?;
    let found = found.iter().map(|route| (route_text(&route.url), route));
    let taken = found.filter(|(url, route)| wanted.contains(url.as_str()) && is_taken(route));
    let taken: BTreeSet<String> = taken.map(|(url, _)| url).collect();
    match taken.is_empty() {
        true => Ok(()),
        false => Err(CloneError::RouteTaken {
            routes: taken.into_iter().collect(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("web", "web.apps.example.com/api", "apps.example.com")]
    #[case("", "apps.example.com/api", "apps.example.com")]
    #[case("*", "*.apps.example.com", "apps.example.com")]
    fn the_domain_of_a_route_follows_its_host(
        #[case] host: &str,
        #[case] url: &str,
        #[case] expected: &str,
    ) {
        let route = Route {
            host: host.to_owned(),
            url: url.to_owned(),
            ..Route::default()
        };
        assert_eq!(domain_of(&route), expected);
    }
}
