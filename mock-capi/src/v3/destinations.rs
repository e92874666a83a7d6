//! `/v3/routes/:guid/destinations`

use serde_json::{Map, Value, json};

use crate::call::{Call, View};
use crate::error::CcError;
use crate::http::Response;
use crate::message::Message;
use crate::router;
use crate::world::{Destination, Guid, Lifecycle, MANAGE_APPS, Route, World};

use super::routes;

/// The events of apps that routes lead to from now on, or no more.
const MAP: &str = "audit.app.map-route";
const UNMAP: &str = "audit.app.unmap-route";

pub(crate) const ROUTES: &[router::Route] = &[
    router::Route::get("/v3/routes/:guid/destinations", index),
    router::Route::post("/v3/routes/:guid/destinations", insert).by(MANAGE_APPS),
    router::Route::patch("/v3/routes/:guid/destinations", replace).by(MANAGE_APPS),
    router::Route::delete("/v3/routes/:guid/destinations/:destination", delete).by(MANAGE_APPS),
];

const MAX_DESTINATIONS: usize = 100;
const DEFAULT_PORT: u16 = 8080;

/// The destinations of a route, sorted by GUID.
pub(crate) fn present_all(route: &Route) -> Value {
    let mut destinations: Vec<&Destination> = route.destinations.iter().collect();
    destinations.sort_by_key(|destination| destination.guid);
    destinations.into_iter().map(present).collect()
}

fn present(destination: &Destination) -> Value {
    json!({
        "guid": destination.guid,
        "app": {
            "guid": destination.app,
            "process": {"type": destination.process},
        },
        "weight": destination.weight,
        "port": destination.port.unwrap_or(DEFAULT_PORT),
        "protocol": destination.protocol,
        "created_at": destination.created,
        "updated_at": destination.created,
    })
}

fn present_list(route: &Route, view: &View<'_>) -> Value {
    let path = format!("/v3/routes/{}", route.base.guid);
    json!({
        "destinations": present_all(route),
        "links": {
            "self": view.link(&format!("{path}/destinations")),
            "route": view.link(&path),
        },
    })
}

fn presented(call: &Call<'_>, guid: Guid) -> Result<Response, CcError> {
    let list = call.present(guid, present_list)?;
    Ok(Response::ok(&list))
}

fn index(call: &mut Call<'_>) -> Result<Response, CcError> {
    presented(call, routes::find(call)?)
}

fn insert(call: &mut Call<'_>) -> Result<Response, CcError> {
    let guid = routes::find(call)?;
    let new = read(call, guid, false)?;
    add(call.world, guid, new)?;
    presented(call, guid)
}

/// Adds destinations to a route; those that it has stay as they are.
pub(crate) fn add(world: &mut World, guid: Guid, new: Vec<Destination>) -> Result<(), CcError> {
    let existing = world.routes.get(guid);
    let existing = existing.map_or(&[][..], |route| &route.destinations);
    if existing.len() + new.len() > MAX_DESTINATIONS {
        return Err(CcError::unprocessable(
            "Routes can be mapped to at most 100 destinations.",
        ));
    }
    if existing
        .iter()
        .any(|destination| destination.weight.is_some())
    {
        return Err(CcError::unprocessable(
            "Destinations cannot be inserted when there are weighted destinations already configured.",
        ));
    }
    let mut mapped = Vec::new();
    world.touch(guid, |route: &mut Route| {
        for destination in new {
            if !route
                .destinations
                .iter()
                .any(|other| same_target(other, &destination))
            {
                // Most routes have one.
                route.destinations.reserve_exact(1);
                mapped.push(destination.clone());
                route.destinations.push(destination);
            }
        }
    });
    for destination in mapped {
        world.record_mapping(MAP, guid, &destination);
    }
    Ok(())
}

fn replace(call: &mut Call<'_>) -> Result<Response, CcError> {
    let guid = routes::find(call)?;
    let new = read(call, guid, true)?;
    put(call.world, guid, new);
    presented(call, guid)
}

/// Gives a route these destinations instead of those that it has.
pub(crate) fn put(world: &mut World, guid: Guid, new: Vec<Destination>) {
    let before = destinations_of(world, guid);
    world.touch(guid, |route: &mut Route| {
        let old = std::mem::take(&mut route.destinations);
        for destination in new {
            // What stays the same keeps its GUID.
            let kept = old.iter().find(|other| {
                same_target(other, &destination)
                    && (other.weight, &other.protocol)
                        == (destination.weight, &destination.protocol)
            });
            route
                .destinations
                .push(kept.cloned().unwrap_or(destination));
        }
    });
    let after = destinations_of(world, guid);
    for destination in without(&after, &before) {
        world.record_mapping(MAP, guid, destination);
    }
    for destination in without(&before, &after) {
        world.record_mapping(UNMAP, guid, destination);
    }
}

fn destinations_of(world: &World, route: Guid) -> Vec<Destination> {
    let route = world.routes.get(route);
    route.map_or_else(Vec::new, |route| route.destinations.clone())
}

/// Those destinations that are not among others.
fn without<'d>(
    destinations: &'d [Destination],
    others: &[Destination],
) -> impl Iterator<Item = &'d Destination> {
    destinations
        .iter()
        .filter(|one| others.iter().all(|other| other.guid != one.guid))
}

/// The destination that leads to an app's web process.
pub(crate) fn to_web(world: &mut World, app: Guid, protocol: Option<&'static str>) -> Destination {
    let asked = Asked {
        app: app.to_string(),
        protocol,
        ..Asked::default()
    };
    asked.into_destination(world)
}

fn delete(call: &mut Call<'_>) -> Result<Response, CcError> {
    let guid = routes::find(call)?;
    let destination = Guid::parse(call.capture("destination"));
    let route = call.world.routes.get(guid);
    let found = route.and_then(|route| {
        let mut destinations = route.destinations.iter();
        destinations.find(|other| Some(other.guid) == destination)
    });
    match found {
        None => {
            return Err(CcError::unprocessable(
                "Unable to unmap route from destination. Ensure the route has a destination with this guid.",
            ));
        }
        Some(found) if found.weight.is_some() => {
            return Err(CcError::unprocessable(
                "Weighted destinations cannot be deleted individually.",
            ));
        }
        Some(found) => {
            let found = found.clone();
            call.world.record_mapping(UNMAP, guid, &found);
        }
    }
    call.world.touch(guid, |route: &mut Route| {
        route
            .destinations
            .retain(|other| Some(other.guid) != destination);
    });
    Ok(Response::empty(204))
}

/// Whether two destinations lead to the same place.
pub(crate) fn same_target(a: &Destination, b: &Destination) -> bool {
    (a.app, &a.process, a.port) == (b.app, &b.process, b.port)
}

fn read(call: &mut Call<'_>, route: Guid, replacing: bool) -> Result<Vec<Destination>, CcError> {
    let body = call.request.object()?;
    let asked = read_destinations(&body, replacing)?;
    check_apps(call.world, route, &asked)?;
    let destinations: Vec<Destination> = asked
        .into_iter()
        .map(|asked| asked.into_destination(call.world))
        .collect();
    let duplicate = destinations.iter().enumerate().any(|(index, destination)| {
        destinations[..index]
            .iter()
            .any(|other| same_target(other, destination))
    });
    if duplicate {
        return Err(CcError::unprocessable(
            "Destinations cannot contain duplicate entries",
        ));
    }
    Ok(destinations)
}

/// A destination that a request asks for.
#[derive(Default)]
struct Asked {
    app: String,
    process: Option<String>,
    port: Option<u16>,
    weight: Option<u8>,
    protocol: Option<&'static str>,
}

impl Asked {
    fn into_destination(self, world: &mut World) -> Destination {
        let guid = world.next_guid();
        let app = Guid::parse(&self.app).and_then(|app| world.apps.get(app));
        let docker = app.is_some_and(|app| app.lifecycle == Lifecycle::Docker);
        Destination {
            guid,
            app: app.map_or(guid, |app| app.base.guid),
            process: self.process.unwrap_or_else(|| "web".into()),
            weight: self.weight,
            port: self.port.or((!docker).then_some(DEFAULT_PORT)),
            protocol: self.protocol.unwrap_or("http1").into(),
            created: world.now(),
        }
    }
}

fn check_apps(world: &World, route: Guid, asked: &[Asked]) -> Result<(), CcError> {
    let app = |asked: &Asked| Guid::parse(&asked.app).and_then(|app| world.apps.get(app));
    let missing: Vec<&str> = asked
        .iter()
        .filter(|asked| app(asked).is_none())
        .map(|asked| asked.app.as_str())
        .collect();
    if !missing.is_empty() {
        let missing = missing.join("\", \"");
        let detail = format!("App(s) with guid(s) \"{missing}\" do not exist.");
        return Err(CcError::unprocessable(detail));
    }
    let space = world.routes.get(route).map(|route| route.space);
    if asked
        .iter()
        .any(|asked| app(asked).map(|app| app.space) != space)
    {
        return Err(CcError::unprocessable(
            "Routes destinations must be in either the route's space or the route's shared spaces",
        ));
    }
    Ok(())
}

fn read_destinations(body: &Map<String, Value>, replacing: bool) -> Result<Vec<Asked>, CcError> {
    let mut message = Message::new(body, &["destinations"]);
    let minimum = usize::from(!replacing);
    let Some(Value::Array(destinations)) = message.get("destinations").filter(|list| {
        list.as_array()
            .is_some_and(|l| (minimum..=MAX_DESTINATIONS).contains(&l.len()))
    }) else {
        message.error(format!(
            "Destinations must be an array containing between {minimum} and {MAX_DESTINATIONS} destination objects."
        ));
        message.finish()?;
        return Ok(Vec::new());
    };
    let mut asked = Vec::new();
    for (index, destination) in destinations.iter().enumerate() {
        match read_destination(destination, replacing) {
            Ok(destination) => asked.push(destination),
            Err(reason) => message.error(format!("Destinations[{index}]: {reason}")),
        }
    }
    check_weights(&mut message, &asked);
    message.finish()?;
    Ok(asked)
}

fn read_destination(destination: &Value, replacing: bool) -> Result<Asked, &'static str> {
    let fields = destination.as_object().ok_or("must be an object.")?;
    let app = fields.get("app").ok_or("must have an \"app\".")?;
    let known = ["app", "weight", "port", "protocol"];
    if fields.keys().any(|key| !known.contains(&key.as_str())) {
        return Err("must have only \"app\" and optionally \"weight\", \"port\" or \"protocol\".");
    }
    let guid = app
        .get("guid")
        .and_then(Value::as_str)
        .filter(|guid| !guid.is_empty());
    let given = |key: &str| fields.get(key).filter(|value| !value.is_null());
    let number = |value: &Value, min: u64, max: u64| {
        value.as_u64().filter(|number| (min..=max).contains(number))
    };
    Ok(Asked {
        app: guid
            .ok_or("app must have the structure {\"guid\": \"app_guid\"}")?
            .into(),
        process: read_process(app.get("process"))?,
        weight: match given("weight") {
            None => None,
            Some(_) if !replacing => {
                return Err(
                    "weighted destinations can only be used when replacing all destinations.",
                );
            }
            Some(weight) => number(weight, 1, 100)
                .and_then(|weight| u8::try_from(weight).ok())
                .map(Some)
                .ok_or("weight must be a positive integer between 1 and 100.")?,
        },
        port: match given("port") {
            None => None,
            Some(port) => number(port, 1024, 65_535)
                .and_then(|port| u16::try_from(port).ok())
                .map(Some)
                .ok_or("port must be a positive integer between 1024 and 65535 inclusive.")?,
        },
        protocol: match given("protocol").map(Value::as_str) {
            None => None,
            Some(Some("http1")) => Some("http1"),
            Some(Some("http2")) => Some("http2"),
            Some(_) => return Err("protocol must be 'http1', 'http2' or 'tcp'."),
        },
    })
}

fn read_process(process: Option<&Value>) -> Result<Option<String>, &'static str> {
    match process {
        None | Some(Value::Null) => Ok(None),
        Some(process) => process
            .get("type")
            .and_then(Value::as_str)
            .filter(|kind| !kind.is_empty())
            .map(|kind| Some(kind.to_owned()))
            .ok_or("process must have the structure {\"type\": \"process_type\"}"),
    }
}

fn check_weights(message: &mut Message<'_>, asked: &[Asked]) {
    let weights: Vec<u32> = asked
        .iter()
        .filter_map(|asked| asked.weight.map(u32::from))
        .collect();
    if weights.is_empty() {
        return;
    }
    if weights.len() < asked.len() {
        message.error("Destinations cannot contain both weighted and unweighted destinations.");
    } else if weights.iter().sum::<u32>() != 100 {
        message.error("Destinations must have weights that sum to 100.");
    }
}
