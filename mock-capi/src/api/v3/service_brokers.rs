//! `/v3/service_brokers`

use serde_json::{Map, Value, json};

use crate::api::context::{RequestContext, View, to_one};
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::list::{ListQuery, ListSpec};
use crate::api::message::Message;
use crate::api::router::Route;
use crate::api::state::Present;
use crate::world::metadata::MetadataPatch;
use crate::world::{
    AccessScope, BrokerChange, BrokerState, Field, Guid, Kind, Registered, ServiceBroker, Space,
    Step, WRITE_SPACE, ruby,
};

pub(crate) const ROUTES: &[Route] = &[
    Route::get("/v3/service_brokers", index),
    Route::post("/v3/service_brokers", create).by_anyone(),
    Route::get("/v3/service_brokers/:guid", show),
    Route::patch("/v3/service_brokers/:guid", update).by_anyone(),
    Route::delete("/v3/service_brokers/:guid", delete).by_anyone(),
];

const LIST: ListSpec = ListSpec {
    order_by: &["name"],
    ..ListSpec::of(&["space_guids", "names", "label_selector"])
};

const HIDDEN: &str = "[PRIVATE DATA HIDDEN]";

impl Present for ServiceBroker {
    fn present(&self, view: &View<'_>) -> Value {
        present(self, view)
    }
}

pub(crate) fn present(broker: &ServiceBroker, view: &View<'_>) -> Value {
    let guid = broker.base.guid;
    let mut relationships = json!({});
    let offerings = format!("/v3/service_offerings?service_broker_guids={guid}");
    let mut links = json!({
        "self": view.link(&format!("/v3/service_brokers/{guid}")),
        "service_offerings": view.link(&offerings),
    });
    if let Some(space) = broker.space {
        relationships["space"] = to_one(Some(space));
        links["space"] = view.link(&format!("/v3/spaces/{space}"));
    }
    json!({
        "guid": guid,
        "created_at": broker.base.created,
        "updated_at": broker.base.updated,
        "name": broker.name,
        "url": broker.url,
        "relationships": relationships,
        "metadata": broker.base.metadata.present(),
        "links": links,
    })
}

fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let query = ListQuery::read(context, &LIST)?;
    let selection = query.by_guids(query.selection(), "space_guids", Field::Space);
    let keep = |broker: &ServiceBroker| query.admits("names", &broker.name);
    query.respond_by_query(context, &selection, keep, present)
}

fn show(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    context.show("guid", present)
}

/// The fields of a request about a broker.
struct BrokerRequest {
    change: BrokerChange,
    metadata: MetadataPatch,
}

/// Reads the fields of a broker. A new broker needs all of them.
fn read(message: &mut Message<'_>, body: &Map<String, Value>, is_new: bool) -> BrokerRequest {
    let metadata = message.metadata();
    let asked = |key: &str| is_new || body.get(key).is_some_and(|value| !value.is_null());
    if asked("name") {
        message.check("name").string();
    }
    if body.get("name") == Some(&json!("")) {
        message.error("Name must not be empty string");
    }
    if asked("url") {
        message.check("url").string();
        check_url(message, body.get("url").unwrap_or(&Value::Null));
    }
    let login = asked("authentication")
        .then(|| read_login(message))
        .flatten();
    let text = |key: &str| {
        let text = body.get(key).and_then(Value::as_str);
        text.map(str::to_owned)
    };
    BrokerRequest {
        change: BrokerChange {
            name: text("name"),
            url: text("url"),
            login,
            metadata: body.get("metadata").cloned(),
        },
        metadata,
    }
}

fn check_url(message: &mut Message<'_>, url: &Value) {
    let text = ruby::text(url);
    match url::Url::parse(&text) {
        Ok(url) if ["http", "https"].contains(&url.scheme()) => {
            if !url.username().is_empty() {
                message.error("Url must not contain authentication");
            }
        }
        _ => message.error(format!("Url '{text}' must be a valid url")),
    }
}

/// The username and the password of `authentication`.
fn read_login(message: &mut Message<'_>) -> Option<(String, String)> {
    let Some(Value::Object(given)) = message.get("authentication") else {
        message.error("Authentication must be an object");
        return None;
    };
    let credentials = given.get("credentials");
    let known = ["type", "credentials"];
    let unknown: Vec<&str> = given
        .keys()
        .map(String::as_str)
        .filter(|key| !known.contains(key))
        .collect();
    let list = |wrong: bool, text: String| match wrong {
        true => vec![text],
        false => Vec::new(),
    };
    let wrong = [
        list(
            !unknown.is_empty(),
            format!("Unknown field(s): '{}'", unknown.join("', '")),
        ),
        list(
            given.get("type") != Some(&json!("basic")),
            "authentication.type must be one of [\"basic\"]".into(),
        ),
        list(
            !credentials.is_some_and(Value::is_object),
            "must be an object".into(),
        ),
    ];
    if wrong.iter().any(|wrong| !wrong.is_empty()) {
        for wrong in wrong {
            message.error(format!("Authentication {wrong:?}"));
        }
    }
    let credentials = credentials.and_then(Value::as_object)?;
    let mut inner = Message::new(credentials, &["username", "password"]);
    let username = inner.check("username").string().present().text();
    let password = inner.check("password").string().present().text();
    let errors = inner.into_errors();
    if !errors.is_empty() {
        let is_of = |name: &str, label: &str| {
            let wrong = errors.iter().any(|error| error.starts_with(label));
            wrong.then(|| name.to_owned())
        };
        let fields = [
            ("base", "Unknown"),
            ("username", "Username"),
            ("password", "Password"),
        ];
        let fields: Vec<String> = fields
            .iter()
            .filter_map(|(name, label)| is_of(name, label))
            .collect();
        message.error(format!(
            "Authentication Field(s) {fields:?} must be valid: {errors:?}"
        ));
    }
    Some((username?.to_owned(), password?.to_owned()))
}

fn create(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    const NO_SPACE: &str = "Invalid space. Ensure that the space exists and you have access to it.";
    let body = context.request.object()?;
    let mut message = Message::of_any(&body);
    let BrokerRequest { change, metadata } = read(&mut message, &body, true);
    let space = match message.has("relationships") {
        true => message.relationships(&["space"], |inner| inner.related("space")),
        false => None,
    };
    message.refuse_unknown(&["name", "url", "authentication", "relationships", "metadata"]);
    message.finish()?;
    let space = match space.flatten() {
        Some(space) => {
            context.require_flag("space_scoped_private_broker_creation")?;
            let space: Option<&Space> = context.visible(space);
            let space = space.ok_or_else(|| CcError::unprocessable(NO_SPACE))?;
            context.require(WRITE_SPACE, AccessScope::Space(space.base.guid))?;
            Some(space.base.guid)
        }
        None => {
            context.require_admin()?;
            None
        }
    };
    let (username, password) = change.login.unwrap_or_default();
    let name = change.name.unwrap_or_default();
    if is_taken(context, &name, None) {
        return Err(CcError::unprocessable("Name must be unique"));
    }
    let base = context.world.base_with(metadata);
    let guid = context.world.add(ServiceBroker {
        base,
        name,
        url: change.url.unwrap_or_default(),
        username,
        password,
        space,
        state: BrokerState::Synchronizing,
    });
    let request = without_password(&body);
    context
        .world
        .record_broker("audit.service_broker.create", guid, &request);
    let steps = vec![Step::ReadCatalog(guid)];
    Ok(context.work_in_job("service_broker.catalog.synchronize", guid, steps, request))
}

/// Whether another broker has this name. Names are case-sensitive.
fn is_taken(context: &RequestContext<'_>, name: &str, own: Option<Guid>) -> bool {
    let mut brokers = context.world.service_brokers.iter();
    brokers.any(|broker| broker.name == name && Some(broker.base.guid) != own)
}

/// A request without the password, for events.
fn without_password(body: &Map<String, Value>) -> Value {
    let mut request = Value::Object(body.clone());
    if let Some(password) = request.pointer_mut("/authentication/credentials/password") {
        *password = json!(HIDDEN);
    }
    request
}

/// The broker that the path names, if the caller may change it.
fn writable(context: &RequestContext<'_>) -> Result<(Guid, BrokerState), CcError> {
    let missing = || CcError::not_found(ServiceBroker::KIND);
    let broker: Option<&ServiceBroker> = context.world.look_up(context.capture("guid"));
    let broker = broker.ok_or_else(missing)?;
    match broker.space {
        Some(space) => {
            let access_scope = AccessScope::Space(space);
            if !context.access.sees(context.world, access_scope) {
                return Err(missing());
            }
            context.require(WRITE_SPACE, access_scope)?;
        }
        None if !context.access.is_everything() => return Err(missing()),
        None => {}
    }
    Ok((broker.base.guid, broker.state))
}

fn update(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let mut message = Message::of_any(&body);
    let BrokerRequest { change, metadata } = read(&mut message, &body, false);
    message.refuse_unknown(&["name", "url", "authentication", "metadata"]);
    message.finish()?;
    let (guid, state) = writable(context)?;
    if !["name", "url", "authentication"]
        .iter()
        .any(|key| body.contains_key(*key))
    {
        return context.update_metadata(guid, metadata, present);
    }
    if let Some(name) = &change.name
        && is_taken(context, name, Some(guid))
    {
        return Err(CcError::unprocessable("Name must be unique"));
    }
    if state.is_transitional() {
        return Err(CcError::unprocessable(
            "Cannot update a broker when other operation is already in progress",
        ));
    }
    set_state(context, guid, BrokerState::Synchronizing);
    let request = without_password(&body);
    context
        .world
        .record_broker("audit.service_broker.update", guid, &request);
    let steps = vec![Step::UpdateBroker(guid, change, state)];
    Ok(context.work_in_job("service_broker.update", guid, steps, request))
}

fn set_state(context: &mut RequestContext<'_>, broker: Guid, state: BrokerState) {
    context
        .world
        .service_brokers
        .update(broker, |broker| broker.state = state);
}

fn delete(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let (guid, _) = writable(context)?;
    if context.world.has_instances_of_broker(guid) {
        let name = &context.row::<ServiceBroker>(guid)?.name;
        let detail =
            format!("Can not remove brokers that have associated service instances: {name}");
        return Err(CcError::new(
            422,
            270_010,
            "CF-ServiceBrokerNotRemovable",
            detail,
        ));
    }
    set_state(context, guid, BrokerState::DeleteInProgress);
    Ok(context.delete_in_job("service_broker.delete", Kind::ServiceBroker, guid))
}
