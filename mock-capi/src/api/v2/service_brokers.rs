//! Requests that register, change and remove service brokers.

use serde_json::{Map, Value, json};

use super::collection;
use super::marketplace::SERVICE_BROKERS;
use super::schema::{self, Attribute};
use super::{authorize, known, post, put, remove};
use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::router::Route;
use crate::world::{
    ADMINS, AccessScope, BrokerChange, BrokerState, Guid, Kind, Row, ServiceBroker, Space, Step,
    WRITE_SPACE, WaitingClient,
};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v2/service_brokers", collection::index),
    post("/v2/service_brokers", create),
    Route::get("/v2/service_brokers/:guid", collection::show),
    put("/v2/service_brokers/:guid", update),
    remove("/v2/service_brokers/:guid", delete),
];

const BROKER: &[Attribute] = &[
    Attribute::text("name").required(),
    Attribute::text("broker_url").required(),
    Attribute::text("auth_username").required(),
    Attribute::text("auth_password").required(),
    Attribute::text("space_guid"),
];

/// The response is sent after the broker's catalog was read.
const CLIENT: WaitingClient = WaitingClient {
    accepts_incomplete: false,
};

/// Checks a URL and a name as the Cloud Controller's model does.
fn validate(
    context: &RequestContext<'_>,
    name: Option<&str>,
    url: Option<&str>,
    own: Option<Guid>,
) -> Result<(), CcError> {
    let is_http = |url: &str| match url::Url::parse(url) {
        Ok(url) => ["http", "https"].contains(&url.scheme()),
        Err(_) => false,
    };
    if let Some(url) = url.filter(|url| !is_http(url)) {
        let detail = format!("{url} is not a valid URL");
        return Err(CcError::new(
            400,
            270_011,
            "CF-ServiceBrokerUrlInvalid",
            detail,
        ));
    }
    let mut brokers = context.world.service_brokers.iter();
    let is_taken =
        |broker: &ServiceBroker| Some(broker.name.as_str()) == name && Some(broker.guid()) != own;
    match brokers.any(is_taken) {
        true => Err(CcError::new(
            400,
            270_002,
            "CF-ServiceBrokerNameTaken",
            "The service broker name is taken",
        )),
        false => Ok(()),
    }
}

/// The request without the password, for events.
fn redacted(mut request: Map<String, Value>) -> Value {
    if let Some(password) = request.get_mut("auth_password") {
        *password = json!("[REDACTED]");
    }
    Value::Object(request)
}

fn create(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let attributes = schema::of_new(&body, BROKER)?;
    let space = match attributes.text("space_guid") {
        None => {
            authorize(context, ADMINS, AccessScope::Global)?;
            None
        }
        Some(space) => {
            context.require_flag("space_scoped_private_broker_creation")?;
            let space: Option<&Space> = context.world.look_up(space);
            let space = space.ok_or_else(|| CcError::not_found("Space"))?.guid();
            authorize(context, WRITE_SPACE, AccessScope::Space(space))?;
            Some(space)
        }
    };
    let text = |name: &str| attributes.text(name).unwrap_or_default().to_owned();
    let (name, url) = (text("name"), text("broker_url"));
    validate(context, Some(&name), Some(&url), None)?;
    let base = context.world.base();
    let guid = context.world.add(ServiceBroker {
        base,
        name,
        url,
        username: text("auth_username"),
        password: text("auth_password"),
        space,
        state: BrokerState::Synchronizing,
    });
    let path = format!("{}/{guid}", SERVICE_BROKERS.path);
    let operation = "service_broker.catalog.synchronize";
    let steps = vec![Step::ReadCatalog(guid)];
    let (target, request) = (
        (guid, path.clone()),
        redacted(schema::audited_new(&body, BROKER)),
    );
    let awaited = context.await_work(operation, steps, target, Value::Null, CLIENT);
    if awaited.is_err() {
        context.world.service_brokers.remove(guid);
    }
    awaited?;
    let kind = "audit.service_broker.create";
    context.world.record_broker(kind, guid, &request);
    Ok(Response::created(&json!({})).with_header("Location", path))
}

/// The broker that the path names, if the caller may change it.
fn writable(context: &RequestContext<'_>) -> Result<Guid, CcError> {
    let guid = known(context, &SERVICE_BROKERS)?;
    match context.row::<ServiceBroker>(guid)?.space {
        None => authorize(context, ADMINS, AccessScope::Global)?,
        Some(space) => authorize(context, WRITE_SPACE, AccessScope::Space(space))?,
    }
    Ok(guid)
}

fn update(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = writable(context)?;
    let body = context.request.object()?;
    let attributes = schema::of_change(&body, BROKER)?;
    let text = |name: &str| attributes.text(name).map(str::to_owned);
    let (name, url) = (text("name"), text("broker_url"));
    validate(context, name.as_deref(), url.as_deref(), Some(guid))?;
    let broker: &ServiceBroker = context.row(guid)?;
    let (username, password) = (text("auth_username"), text("auth_password"));
    let login = (username.is_some() || password.is_some()).then(|| {
        (
            username.unwrap_or_else(|| broker.username.clone()),
            password.unwrap_or_else(|| broker.password.clone()),
        )
    });
    let state = broker.state;
    let change = BrokerChange {
        name,
        url,
        login,
        metadata: None,
    };
    let steps = vec![Step::UpdateBroker(guid, change, state)];
    let target = (guid, format!("{}/{guid}", SERVICE_BROKERS.path));
    let request = redacted(schema::audited_change(&body, BROKER));
    context.await_work("service_broker.update", steps, target, Value::Null, CLIENT)?;
    let kind = "audit.service_broker.update";
    context.world.record_broker(kind, guid, &request);
    Ok(Response::ok(&json!({})))
}

fn delete(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let guid = writable(context)?;
    if context.world.has_instances_of_broker(guid) {
        let name = &context.row::<ServiceBroker>(guid)?.name;
        let detail =
            format!("Can not remove brokers that have associated service instances: {name}");
        return Err(CcError::new(
            400,
            270_010,
            "CF-ServiceBrokerNotRemovable",
            detail,
        ));
    }
    context.world.delete(Kind::ServiceBroker, guid);
    Ok(Response::empty(204))
}
