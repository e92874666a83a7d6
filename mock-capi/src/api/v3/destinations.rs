//! `/v3/routes/:guid/destinations`

use serde_json::{Map, Value, json};

use crate::api::context::{RequestContext, View};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::list::{ListQuery, ListSpec};
use crate::api::message::Message;
use crate::api::router;
use crate::world::{
    App, DEFAULT_PORT, Destination, Guid, MANAGE_APPS, MAX_DESTINATIONS, NewDestination,
    ROUTER_GROUP_TYPE, Route, UNMAP_ROUTE, World,
};

use super::routes;

pub(crate) const ROUTES: &[router::Route] = &[
    router::Route::get("/v3/routes/:guid/destinations", index),
    router::Route::post("/v3/routes/:guid/destinations", insert).by(MANAGE_APPS),
    router::Route::patch("/v3/routes/:guid/destinations", replace).by(MANAGE_APPS),
    router::Route::patch("/v3/routes/:guid/destinations/:destination", update).by(MANAGE_APPS),
    router::Route::delete("/v3/routes/:guid/destinations/:destination", delete).by(MANAGE_APPS),
];

const FILTERS: ListSpec = ListSpec::of_one(&["guids", "app_guids"]);

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
        "updated_at": destination.updated,
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

/// A single destination.
fn present_one(route: Guid, destination: &Destination, view: &View<'_>) -> Value {
    let path = format!("/v3/routes/{route}");
    let mut presented = present(destination);
    presented["links"] = json!({
        "destinations": view.link(&format!("{path}/destinations")),
        "route": view.link(&path),
    });
    presented
}

fn presented(context: &RequestContext<'_>, guid: Guid) -> Result<Response, CcError> {
    let list = context.present(guid, present_list)?;
    Ok(Response::ok(&list))
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let query = ListQuery::read_or(context, &FILTERS, CcError::unprocessable)?;
    let guid = routes::find(context)?;
    let mut list = context.present(guid, present_list)?;
    if let Some(destinations) = list["destinations"].as_array_mut() {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        destinations.retain(|destination| {
            query.admits("guids", &text(&destination["guid"]))
                && query.admits("app_guids", &text(&destination["app"]["guid"]))
        });
    }
    Ok(Response::ok(&list))
}

fn insert(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = routes::find(context)?;
    let new = read(context, guid, false)?;
    context.world.add_destinations(guid, new)?;
    presented(context, guid)
}

fn replace(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = routes::find(context)?;
    let new = read(context, guid, true)?;
    let mut protocols = new.iter().map(|destination| &destination.protocol);
    if protocols.any(|protocol| context.world.protocol_mismatch(guid, protocol).is_some()) {
        return Err(CcError::unknown());
    }
    context.world.put_destinations(guid, new);
    presented(context, guid)
}

/// Changes the protocol of a destination.
fn update(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = routes::find(context)?;
    let body = context.request.object()?;
    let mut message = Message::new(&body, &["protocol"]);
    let protocol = body.get("protocol").map(read_protocol).transpose();
    if let Err(reason) = protocol {
        message.error(format!("Destination {reason}"));
    }
    message.finish()?;
    let protocol = protocol.ok().flatten();
    let mut destination = find(context, guid)?.clone();
    let is_tcp = context.world.default_protocol(guid) == ROUTER_GROUP_TYPE;
    if protocol.is_some_and(|protocol| is_tcp != (protocol == ROUTER_GROUP_TYPE)) {
        return Err(CcError::unprocessable(match is_tcp {
            true => "Destination protocol must be 'tcp' if the parent route's protocol is 'tcp'",
            false => {
                "Destination protocol must be 'http1' or 'http2' if the parent route's protocol is 'http'"
            }
        }));
    }
    if let Some(protocol) = protocol {
        destination.protocol = protocol.into();
    }
    destination.updated = context.world.now();
    let changed = destination.clone();
    context.world.routes.update(guid, |route| {
        let mut destinations = route.destinations.iter_mut();
        if let Some(old) = destinations.find(|other| other.guid == changed.guid) {
            *old = changed;
        }
    });
    Ok(Response::ok(&present_one(
        guid,
        &destination,
        &context.view(),
    )))
}

/// The destination of a route that the path names.
fn find<'c>(context: &'c RequestContext<'_>, route: Guid) -> Result<&'c Destination, CcError> {
    let guid = Guid::parse(context.capture("destination"));
    let route = context.row::<Route>(route)?;
    let mut destinations = route.destinations.iter();
    let found = destinations.find(|other| Some(other.guid) == guid);
    found.ok_or_else(|| {
        CcError::unprocessable(
            "Unable to unmap route from destination. Ensure the route has a destination with this guid.",
        )
    })
}

fn delete(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = routes::find(context)?;
    let destination = find(context, guid)?.clone();
    if destination.weight.is_some() {
        return Err(CcError::unprocessable(
            "Weighted destinations cannot be deleted individually.",
        ));
    }
    context
        .world
        .record_mapping(UNMAP_ROUTE, guid, &destination);
    context.world.update_row(guid, |route: &mut Route| {
        route
            .destinations
            .retain(|other| other.guid != destination.guid);
    });
    Ok(Response::empty(204))
}

fn read(
    context: &mut RequestContext<'_>,
    route: Guid,
    replacing: bool,
) -> Result<Vec<Destination>, CcError> {
    let body = context.request.object()?;
    let asked = read_destinations(&body, replacing)?;
    check_apps(context, route, &asked)?;
    let destinations: Vec<Destination> = asked
        .into_iter()
        .filter_map(|asked| asked.into_destination(context.world, route))
        .collect();
    let duplicate = destinations.iter().enumerate().any(|(index, destination)| {
        destinations[..index]
            .iter()
            .any(|other| other.has_same_target(destination))
    });
    if duplicate {
        return Err(CcError::unprocessable(
            "Destinations cannot contain duplicate entries",
        ));
    }
    Ok(destinations)
}

/// A destination in a request.
struct DestinationRequest {
    app: String,
    process: Option<String>,
    port: Option<u16>,
    weight: Option<u8>,
    protocol: Option<&'static str>,
}

impl DestinationRequest {
    /// `None` if the GUID is malformed, which [`check_apps`] refuses.
    fn into_destination(self, world: &mut World, route: Guid) -> Option<Destination> {
        let app = Guid::parse(&self.app)?;
        let new = NewDestination {
            process: self.process,
            port: self.port,
            weight: self.weight,
            protocol: self.protocol,
        };
        Some(world.new_destination(route, app, new))
    }
}

fn check_apps(
    context: &RequestContext<'_>,
    route: Guid,
    asked: &[DestinationRequest],
) -> Result<(), CcError> {
    let world = &*context.world;
    let app = |asked: &DestinationRequest| world.look_up::<App>(&asked.app);
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
    let hidden: Vec<&str> = asked
        .iter()
        .filter(|asked| context.visible::<App>(&asked.app).is_none())
        .map(|asked| asked.app.as_str())
        .collect();
    if !hidden.is_empty() {
        let hidden = hidden.join("\", \"");
        let detail = format!("App(s) with guid(s) \"{hidden}\" you do not have access.");
        return Err(CcError::unprocessable(detail));
    }
    let route = world.routes.get(route);
    let usable = |app: &App| route.is_some_and(|route| route.is_usable_in(app.space));
    if !asked.iter().filter_map(app).all(usable) {
        return Err(CcError::unprocessable(
            "Routes destinations must be in either the route's space or the route's shared spaces",
        ));
    }
    Ok(())
}

fn read_destinations(
    body: &Map<String, Value>,
    replacing: bool,
) -> Result<Vec<DestinationRequest>, CcError> {
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
    if message.is_valid() {
        check_weights(&mut message, &asked);
    }
    message.finish()?;
    Ok(asked)
}

fn read_destination(
    destination: &Value,
    replacing: bool,
) -> Result<DestinationRequest, &'static str> {
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
    Ok(DestinationRequest {
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
        protocol: given("protocol").map(read_protocol).transpose()?,
    })
}

fn read_protocol(protocol: &Value) -> Result<&'static str, &'static str> {
    let mut known = ["http1", "http2", ROUTER_GROUP_TYPE].into_iter();
    let found = known.find(|known| protocol == known);
    found.ok_or("protocol must be 'http1', 'http2' or 'tcp'.")
}

fn read_process(process: Option<&Value>) -> Result<Option<String>, &'static str> {
    match process {
        None | Some(Value::Null) => Ok(None),
        Some(process) => process
            .as_object()
            .filter(|process| process.len() == 1)
            .and_then(|process| process.get("type"))
            .and_then(Value::as_str)
            .filter(|kind| !kind.is_empty())
            .map(|kind| Some(kind.to_owned()))
            .ok_or("process must have the structure {\"type\": \"process_type\"}"),
    }
}

fn check_weights(message: &mut Message<'_>, asked: &[DestinationRequest]) {
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
