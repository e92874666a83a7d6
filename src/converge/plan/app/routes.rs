//! Plans the routes of an app and their destinations.

use super::AppContext;
use crate::capi::model::Destination;
use crate::converge::observe::App;
use crate::converge::plan::step::ResourceRef;
use crate::converge::plan::{Change, Step};
use crate::manifest::entry::EntryRoute;

impl AppContext<'_> {
    /// Whether a manifest maps routes to a destination. The default port of an app with a
    /// Docker image comes from the image.
    fn is_default(&self, destination: &Destination) -> bool {
        match self.entry.docker() {
            Some(_) => destination.process_type == "web",
            None => destination.is_default(),
        }
    }

    pub(super) fn has_route(&self, route: &EntryRoute) -> bool {
        let found = self.space.routes.get(route.route.as_str());
        found.is_some_and(|found| {
            let mut destinations = found.destinations.iter();
            destinations.any(|it| self.app.is_some_and(|app| app.guid == it.app))
        })
    }

    pub(super) fn is_routed(&self) -> bool {
        let mut routes = self.space.observed.routes.iter();
        let app = self.app.map(|app| app.guid.as_str());
        routes.any(|route| {
            route
                .destinations
                .iter()
                .any(|it| Some(it.app.as_str()) == app)
        })
    }

    /// Steps that make the web processes of exactly the desired apps the destinations of
    /// the app's routes.
    pub(super) fn destinations(&self, changes: &mut Vec<Change>, app: &App) -> Vec<Step> {
        let mut steps = Vec::new();
        if !self.space.knows_destinations {
            return steps;
        }
        if self.entry.has_no_route() && self.is_routed() {
            changes.push(Change::new("routes", "some", "none"));
        }
        for wanted in self.entry.entry_routes() {
            let Some(route) = self.space.routes.get(wanted.route.as_str()) else {
                continue;
            };
            let others = self.space.others_of(&wanted.route);
            // If several apps share a route, the plan of the first one has the step.
            if others.first().is_some_and(|first| *first != app.guid) {
                continue;
            }
            let is_wanted = |guid: &str| guid == app.guid || others.contains(&guid);
            let mut destinations = route.destinations.iter();
            let elsewhere = destinations.any(|it| !is_wanted(&it.app));
            let mut destinations = route.destinations.iter();
            let otherwise = destinations.any(|it| is_wanted(&it.app) && !self.is_default(it));
            let old = match (elsewhere, otherwise) {
                (false, false) => continue,
                (true, _) => "also another app",
                (false, true) => "another port or process",
            };
            let property = format!("destinations of route {}", wanted.route);
            changes.push(Change::new(property, old, "the web process"));
            let mut apps: Vec<String> = others.iter().map(|guid| (*guid).to_owned()).collect();
            if apps.is_empty() {
                apps.push(app.guid.clone());
            }
            steps.push(Step::SetDestinations {
                route: route.guid.clone(),
                apps,
                protocol: wanted.protocol.clone(),
            });
        }
        steps
    }

    pub(super) fn route_steps(&self, route: &EntryRoute) -> Vec<Step> {
        match self.space.routes.get(route.route.as_str()) {
            None => vec![
                Step::CreateRoute {
                    route: route.route.clone(),
                },
                Step::MapRoute {
                    route: ResourceRef::New,
                },
            ],
            Some(route) => vec![Step::MapRoute {
                route: ResourceRef::Existing(route.guid.clone()),
            }],
        }
    }
}
