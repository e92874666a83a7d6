//! The fields of requests about service instances, and their validation.

use serde_json::{Map, Value, json};

use super::service_instances::{FIELDS, PROVIDED};
use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::api::message::Message;
use crate::world::{Guid, Row, ruby};

/// The fields of a request about an instance. `None` leaves a field unchanged.
#[derive(Default)]
pub(super) struct ServiceInstanceRequest {
    pub(super) tags: Option<Vec<String>>,
    pub(super) credentials: Option<Option<Map<String, Value>>>,
    pub(super) syslog_drain_url: Option<Option<String>>,
    pub(super) route_service_url: Option<Option<String>>,
}

/// The plan of a managed instance.
pub(super) fn read_managed(body: &Map<String, Value>) -> Result<Option<&str>, CcError> {
    let mut message = Message::of_any(body);
    let plan = message.relationships(&["space", "service_plan"], |inner| {
        inner.related("space");
        inner.related("service_plan")
    });
    message.refuse_unknown(&[
        "name",
        "tags",
        "metadata",
        "parameters",
        "type",
        "relationships",
    ]);
    message.object("parameters");
    message.finish()?;
    Ok(plan.flatten())
}

/// The fields of a user-provided instance, or of an instance whose `type` is a list:
/// Rails accepts a list of known types.
pub(super) fn read_provided(body: &Map<String, Value>) -> Result<ServiceInstanceRequest, CcError> {
    let mut message = Message::of_any(body);
    // Two message classes of the Cloud Controller check these, one of which inherits
    // from the other.
    let space = |message: &mut Message<'_>| {
        message.relationships(&["space"], |inner| {
            inner.related("space");
        });
    };
    space(&mut message);
    let fields = FIELDS.iter().copied().chain(["type", "relationships"]);
    message.refuse_unknown(&fields.collect::<Vec<_>>());
    space(&mut message);
    message
        .check("type")
        .one_of(&[PROVIDED], "must be 'user-provided'");
    let asked = read(&mut message);
    message.finish()?;
    asked
}

/// Reads the fields of a user-provided instance, except for the name.
pub(super) fn read(message: &mut Message<'_>) -> Result<ServiceInstanceRequest, CcError> {
    let tags = read_tags(message);
    let credentials = message.get("credentials").filter(|it| !ruby::is_blank(it));
    let credentials = match credentials.map(Value::as_object) {
        Some(None) => {
            message.error("Credentials must be an object");
            None
        }
        credentials => credentials.flatten(),
    };
    let credentials = credentials.cloned();
    check_url(message, "syslog_drain_url", "Syslog drain url");
    check_url(message, "route_service_url", "Route service url");
    let route_service_url = message.get("route_service_url").and_then(Value::as_str);
    let route_service_url = route_service_url.filter(|url| !url.trim().is_empty());
    if route_service_url.is_some_and(|url| !url.starts_with("https:")) {
        message.error("Route service url must be https");
    }
    let syslog_drain_url = message.column("syslog_drain_url");
    let route_service_url = message.column("route_service_url");
    Ok(ServiceInstanceRequest {
        tags,
        credentials: message.has("credentials").then_some(credentials),
        syslog_drain_url: message
            .has("syslog_drain_url")
            .then_some(syslog_drain_url)
            .transpose()?,
        route_service_url: message
            .has("route_service_url")
            .then_some(route_service_url)
            .transpose()?,
    })
}

/// Reads tags. Null removes all tags.
pub(super) fn read_tags(message: &mut Message<'_>) -> Option<Vec<String>> {
    let given = message.get("tags").filter(|tags| !ruby::is_blank(tags));
    let tags = given.and_then(Value::as_array);
    if given.is_some() && tags.is_none() {
        message.error("Tags must be an array");
    }
    if tags.is_some_and(|tags| !tags.iter().all(Value::is_string)) {
        message.error("Tags must be a list of strings");
    }
    let texts = tags.into_iter().flatten().filter_map(Value::as_str);
    message
        .has("tags")
        .then(|| texts.map(str::to_owned).collect())
}

pub(super) fn check_url(message: &mut Message<'_>, key: &str, label: &str) {
    let value = message.get(key).filter(|value| !ruby::is_blank(value));
    let is_url = |value: &Value| value.as_str().is_some_and(|it| url::Url::parse(it).is_ok());
    if !value.is_none_or(is_url) {
        message.error(format!("{label} must be a valid URI"));
    }
}

/// The errors of the Cloud Controller's model.
pub(super) fn model_problems(
    name: Option<&Value>,
    tags: Option<&[String]>,
    syslog_drain_url: Option<&str>,
) -> Result<(), CcError> {
    const MAX_NAME: usize = 255;
    const MAX_TAGS: usize = 2048;
    const MAX_DRAIN: usize = 10_000;
    let mut problems = Vec::new();
    if name.is_some_and(ruby::is_blank) {
        problems.push("name presence");
    }
    if name.is_some_and(Value::is_null) {
        problems.push("name is not present");
    }
    if name.is_some_and(|name| ruby::length(name) > MAX_NAME) {
        problems.push("name max_length");
    }
    if syslog_drain_url.is_some_and(|url| url.chars().count() > MAX_DRAIN) {
        problems.push("syslog_drain_url max_length");
    }
    let length = |tags: &[String]| tags.iter().map(|tag| tag.chars().count()).sum::<usize>();
    if tags.is_some_and(|tags| length(tags) > MAX_TAGS) {
        problems.push("tags too_long");
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(CcError::unprocessable(problems.join(", ")))
}

pub(super) fn check_name(
    context: &RequestContext<'_>,
    space: Guid,
    name: &str,
    own: Option<Guid>,
) -> Result<(), CcError> {
    let holder = context
        .world
        .find_service_instance(space, name)
        .map(Row::guid);
    if holder.is_some() && holder != own {
        return Err(CcError::unprocessable(format!(
            "The service instance name is taken: {name}."
        )));
    }
    Ok(())
}

/// A request without credentials, for events.
pub(super) fn without_credentials(body: &Map<String, Value>) -> Value {
    let mut request = body.clone();
    if request.contains_key("credentials") {
        request.insert("credentials".into(), json!("[REDACTED]"));
    }
    Value::Object(request)
}
