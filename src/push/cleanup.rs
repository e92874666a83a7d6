//! Deletes the apps and routes that a failed push or clone has created. Resources that
//! existed before, or that someone else uses, are kept.

use std::collections::HashSet;

use super::lowercase;
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::{App, Route};
use crate::capi::transport::Replay;
use crate::events::Event;
use crate::manifest::Manifest;
use crate::manifest::entry::route_text;

/// The state before a run, so that new routes can be recognized.
pub(crate) struct Cleanup<'a> {
    client: &'a Client,
    /// The command that creates the apps, such as `push`, for messages.
    creator: &'static str,
    /// The space's GUID.
    space: &'a str,
    /// The names of the apps that the run creates.
    new_apps: Vec<String>,
    /// The routes in the manifest, in the form of [`Route::url`].
    named: HashSet<String>,
    /// The GUIDs of the routes that existed before.
    routes_before: HashSet<String>,
}

impl<'a> Cleanup<'a> {
    /// Reads the routes of the space, if the manifest may create any.
    pub(crate) async fn prepare(
        client: &'a Client,
        creator: &'static str,
        space: &'a str,
        manifest: &Manifest,
        new_apps: &[&str],
    ) -> Result<Self, Error> {
        let named = named_routes(manifest);
        let routes = match new_apps.is_empty() && named.is_empty() {
            true => Vec::new(),
            false => client.routes_of_spaces(&[space]).await?,
        };
        Ok(Self {
            client,
            creator,
            space,
            new_apps: new_apps.iter().map(|name| (*name).to_owned()).collect(),
            named,
            routes_before: routes.into_iter().map(|route| route.guid).collect(),
        })
    }

    /// Applies a manifest. If the Cloud Controller refuses it, deletes the apps and routes
    /// that it created.
    pub(crate) async fn apply(&self, what: &str, manifest: &Manifest) -> Result<(), Error> {
        for part in manifest.parts() {
            // The request is not retried if it may have been accepted, because two jobs
            // would race.
            let replay = Replay::Unsafe;
            let applied = self
                .client
                .apply_manifest(what, self.space, &part.yaml, replay);
            if let Err(error) = applied.await {
                // Unless the refusal is definite, the manifest may have been applied.
                if error.is_refused_work() {
                    self.delete_all().await;
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// Deletes the apps that the run created, with their routes, and the routes of the
    /// manifest without a destination.
    async fn delete_all(&self) {
        let names: Vec<&str> = self.new_apps.iter().map(String::as_str).collect();
        match self.client.apps_named(self.space, &names).await {
            Ok(apps) => {
                for app in &apps {
                    self.delete_app(app, None).await;
                }
            }
            Err(error) => {
                let text = format!("new apps and routes may remain: {error}");
                return self.warn(text);
            }
        }
        if let Err(error) = self.delete_unmapped_routes().await {
            self.warn(format!("new routes may remain: {error}"));
        }
    }

    /// Deletes an app that the run created, with the routes that lead only to it. An app
    /// that has been started, or has a package other than `package`, is in use and is
    /// kept.
    pub(crate) async fn delete_app(&self, app: &App, package: Option<&str>) {
        let (name, creator) = (&app.name, self.creator);
        self.warn(match self.try_delete_app(app, package).await {
            Ok(true) => format!("{name} was created by this {creator} and was deleted again"),
            Ok(false) => format!("{name} is in use now and was kept"),
            Err(error) => {
                format!("{name} was created by this {creator} and could not be deleted: {error}")
            }
        });
    }

    pub(crate) fn is_new(&self, app: &App) -> bool {
        let name = lowercase(&app.name);
        self.new_apps.iter().any(|it| lowercase(it) == name)
    }

    async fn try_delete_app(&self, app: &App, package: Option<&str>) -> Result<bool, Error> {
        let now = self.client.app(&app.guid).await?;
        let packages = self.client.packages_of_app(&app.guid).await?;
        let mut packages = packages.iter().map(|it| it.guid.as_str());
        if now.is_started || !packages.all(|it| Some(it) == package) {
            return Ok(false);
        }
        let routes = self.client.routes_of_app(&app.guid).await?;
        for route in routes.iter().filter(|route| self.is_only_of(route, app)) {
            self.delete_route(route).await?;
        }
        let what = format!("deleting {}", app.name);
        self.client.delete_app(&what, &app.guid).await?;
        Ok(true)
    }

    /// Deletes new routes of the manifest that were never mapped.
    async fn delete_unmapped_routes(&self) -> Result<(), Error> {
        if self.named.is_empty() {
            return Ok(());
        }
        let routes = self.client.routes_of_spaces(&[self.space]).await?;
        for route in routes.iter().filter(|route| self.is_unmapped(route)) {
            self.delete_route(route).await?;
        }
        Ok(())
    }

    async fn delete_route(&self, route: &Route) -> Result<(), Error> {
        self.client
            .delete_route("deleting a route", &route.guid)
            .await
    }

    fn is_only_of(&self, route: &Route, app: &App) -> bool {
        let mut destinations = route.destinations.iter();
        !self.routes_before.contains(&route.guid) && destinations.all(|it| it.app == app.guid)
    }

    fn is_unmapped(&self, route: &Route) -> bool {
        !self.routes_before.contains(&route.guid)
            && self.named.contains(&route.url)
            && route.destinations.is_empty()
    }

    fn warn(&self, text: String) {
        self.client.events().emit(Event::Warning(text));
    }
}

fn named_routes(manifest: &Manifest) -> HashSet<String> {
    let apps = manifest.applications().iter();
    let routes = apps.filter_map(|app| app.get("routes")?.as_list());
    let routes = routes
        .flatten()
        .filter_map(|route| route.as_map()?.get("route")?.as_text());
    routes.map(route_text).collect()
}
