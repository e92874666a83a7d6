//! A summary of the world for the page. Its cost does not depend on the number of apps.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::api::error::CcError;
use crate::api::http::Request;
use crate::world::{App, Field, Guid, Key, Org, Registered, Row, Selection, Space, World};

/// The default of `?limit=`, the number of listed rows.
const LISTED: usize = 100;

/// The number of resources, and the organizations, each followed by its spaces.
/// `?filter=` selects organizations and spaces by a part of their names or of their apps'
/// names, and `?state=` by the state of their apps or instances.
pub(crate) fn of_world(world: &World, request: &Request<'_>) -> Result<Value, CcError> {
    let limit = limit(request)?;
    let filter = Filter::of(request);
    let mut rows = world.orgs.iter().flat_map(|org| rows(world, org, &filter));
    let listed: Vec<Value> = rows.by_ref().take(limit).collect();
    Ok(json!({
        "now": world.now(),
        "counts": counts(world),
        "rows": listed,
        "more": rows.next().is_some(),
    }))
}

/// The apps of the space `?space=` with their states, filtered like the spaces.
pub(crate) fn of_space(world: &World, request: &Request<'_>) -> Result<Value, CcError> {
    let limit = limit(request)?;
    let filter = Filter::of(request);
    let space = request.query("space").and_then(Guid::parse);
    let space: Option<&Space> = space.and_then(|guid| world.get(guid));
    let space = space.ok_or_else(|| CcError::not_found(Space::KIND))?;
    let apps = filter.apps(world, space);
    let listed = apps.iter().take(limit).map(|app| present_app(world, app));
    Ok(json!({
        "apps": listed.collect::<Vec<_>>(),
        "more": apps.len() > limit,
    }))
}

fn limit(request: &Request<'_>) -> Result<usize, CcError> {
    Ok(request.number("limit")?.unwrap_or(LISTED))
}

/// The number of resources of each kind, and of instances.
fn counts(world: &World) -> Value {
    let counts = world.counts().into_iter();
    let mut counts: Map<String, Value> = counts
        .map(|(list, count)| (list.to_owned(), json!(count)))
        .collect();
    let instances = world.orgs.iter();
    let instances = instances.map(|org| world.started_instances(org.guid()));
    counts.insert("instances".into(), json!(instances.sum::<u64>()));
    Value::Object(counts)
}

/// An organization and its spaces, if the filter selects them.
fn rows<'w>(world: &'w World, org: &'w Org, filter: &'w Filter) -> impl Iterator<Item = Value> {
    let spaces = world.spaces.select(&Selection::by(Field::Org, org.guid()));
    let spaces = spaces.into_iter();
    let mut spaces = spaces
        .filter_map(|space| present_space(world, space, filter))
        .peekable();
    let is_named = filter.state.is_none() && filter.admits(&org.name);
    let listed = spaces.peek().is_some() || is_named;
    let own = json!({"kind": "organization", "guid": org.base.guid, "name": org.name});
    listed.then_some(own).into_iter().chain(spaces)
}

fn present_space(world: &World, space: &Space, filter: &Filter) -> Option<Value> {
    let guid = space.guid();
    let by_space = Key::Guid(Field::Space, guid);
    let apps = match filter.state.is_none() && filter.admits_names_of(world, space) {
        true => world.apps.count(&by_space),
        false => Some(filter.apps(world, space).len()).filter(|&found| found > 0)?,
    };
    Some(json!({
        "kind": "space",
        "guid": guid,
        "name": space.name,
        "apps": apps,
        "instances": world.started_instances(guid),
        "routes": world.routes.count(&by_space),
    }))
}

fn present_app(world: &World, app: &App) -> Value {
    let by_app = Selection::by(Field::App, app.guid());
    let now = world.now();
    let processes = world.processes.select(&by_app).into_iter().map(|process| {
        let instances = world.instances(process);
        json!({
            "type": process.kind,
            "instances": tally(instances.iter().map(|instance| instance.name)),
        })
    });
    let packages = world.packages.select(&by_app);
    let droplets = world.droplets.select(&by_app);
    let routes = world.routes.select(&by_app);
    let urls = routes.iter().map(|route| world.route_url(route));
    json!({
        "guid": app.base.guid,
        "name": app.name,
        "state": app.state(),
        "processes": processes.collect::<Vec<_>>(),
        "packages": tally(packages.iter().map(|package| package.state(now))),
        "droplets": tally(droplets.iter().map(|droplet| droplet.state(now))),
        "routes": urls.collect::<Vec<_>>(),
    })
}

/// The number of resources in each state.
fn tally(states: impl Iterator<Item = &'static str>) -> Value {
    let mut counts = BTreeMap::new();
    for state in states {
        *counts.entry(state).or_insert(0) += 1;
    }
    json!(counts)
}

/// Selects apps by a part of their names, in lower case, and by a state.
#[derive(Debug)]
struct Filter {
    name: String,
    /// The state of the app, or of one of its instances.
    state: Option<String>,
}

impl Filter {
    fn of(request: &Request<'_>) -> Self {
        let state = request.query("state").filter(|state| !state.is_empty());
        Self {
            name: request.query("filter").unwrap_or_default().to_lowercase(),
            state: state.map(str::to_owned),
        }
    }

    fn admits(&self, name: &str) -> bool {
        self.name.is_empty() || name.to_lowercase().contains(&self.name)
    }

    /// Whether the name of a space or of its organization selects all of its apps.
    fn admits_names_of(&self, world: &World, space: &Space) -> bool {
        let org = world.orgs.get(space.org);
        self.admits(&space.name) || org.is_some_and(|org| self.admits(&org.name))
    }

    /// The selected apps of a space.
    fn apps<'w>(&self, world: &'w World, space: &Space) -> Vec<&'w App> {
        let by_space = Selection::by(Field::Space, space.guid());
        let mut apps = world.apps.select(&by_space);
        if !self.admits_names_of(world, space) {
            apps.retain(|app| self.admits(&app.name));
        }
        if let Some(state) = &self.state {
            apps.retain(|app| has_state(world, app, state));
        }
        apps
    }
}

fn has_state(world: &World, app: &App, state: &str) -> bool {
    let by_app = Selection::by(Field::App, app.guid());
    let mut instances = world.processes.select(&by_app).into_iter();
    app.state() == state
        || instances.any(|process| {
            let mut instances = world.instances(process).into_iter();
            instances.any(|instance| instance.name == state)
        })
}
