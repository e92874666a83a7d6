//! Reads responses of brokers, and refuses invalid ones.

use serde_json::{Map, Value, json};

use crate::api::error::CcError;

/// The outcome of a request to a broker.
#[derive(Clone, Debug)]
pub(crate) enum BrokerReply {
    Response {
        status: u16,
        /// The reason phrase, such as `Not Found`.
        reason: String,
        /// In seconds.
        retry_after: Option<u64>,
        body: String,
    },
    Unreachable,
    TimedOut,
    /// The request failed for another reason.
    Failed(String),
}

/// The reason why a response is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(super) struct BrokerError {
    pub(super) kind: BrokerErrorKind,
    pub(super) message: String,
    /// Whether the broker may have created the resource despite the error.
    pub(super) leaves_orphan: bool,
    status: u16,
    /// The broker's status, if it responded.
    response_status: Option<u16>,
    /// The broker's status and reason phrase.
    pub(super) answered: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BrokerErrorKind {
    Unreachable,
    TimedOut,
    Request,
    AuthenticationFailed,
    ApiTimeout,
    Rejected,
    BadResponse,
    Malformed,
    Conflict,
    AsyncRequired,
    Concurrency,
    MaintenanceInfoConflict,
    AppRequired,
    InvalidSyslogDrain,
    InvalidVolumeMounts,
}

impl BrokerErrorKind {
    /// The title of the error, and its status.
    fn title(self) -> (&'static str, u16) {
        match self {
            Self::Unreachable => ("ServiceBrokerApiUnreachable", 502),
            Self::TimedOut => ("HttpClientTimeout", 504),
            Self::Request => ("HttpRequestError", 500),
            Self::AuthenticationFailed => ("ServiceBrokerApiAuthenticationFailed", 502),
            Self::ApiTimeout => ("ServiceBrokerApiTimeout", 504),
            Self::Rejected => ("ServiceBrokerRequestRejected", 502),
            Self::BadResponse => ("ServiceBrokerBadResponse", 502),
            Self::Malformed => ("ServiceBrokerResponseMalformed", 502),
            Self::Conflict => ("ServiceBrokerConflict", 409),
            Self::AsyncRequired => ("AsyncRequired", 400),
            Self::Concurrency => ("ConcurrencyError", 422),
            Self::MaintenanceInfoConflict => ("MaintenanceInfoConflict", 422),
            Self::AppRequired => ("AppRequired", 400),
            Self::InvalidSyslogDrain => ("ServiceBrokerInvalidSyslogDrainUrl", 502),
            Self::InvalidVolumeMounts => ("ServiceBrokerInvalidVolumeMounts", 502),
        }
    }
}

impl BrokerError {
    fn new(kind: BrokerErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            leaves_orphan: kind == BrokerErrorKind::TimedOut,
            status: kind.title().1,
            response_status: None,
            answered: String::new(),
        }
    }

    /// The error for clients and failed jobs.
    pub(super) fn for_client(&self) -> CcError {
        let title = format!("CF-{}", self.kind.title().0);
        let mut error = CcError::new(self.status, 10001, title, self.message.clone());
        let status = self.response_status.map(|status| json!({"status": status}));
        for cause in &mut error.causes {
            cause.broker_request = status.clone().or_else(|| Some(json!({})));
        }
        error
    }
}

/// The kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BrokerOperation<'a> {
    Catalog,
    Provision,
    Update,
    Deprovision,
    /// A binding. Contains the offering's `requires`.
    Bind(&'a [String]),
    Unbind,
}

/// A successful response.
#[derive(Clone, Debug, Default)]
pub(super) struct Accepted {
    pub(super) body: Map<String, Value>,
    /// Whether the broker is still working.
    pub(super) pending: bool,
}

/// The progress of a broker's work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Pending,
    Succeeded,
    Failed,
    /// The resource no longer exists at the broker.
    Gone,
}

/// The response that is being read.
struct BrokerResponse<'a> {
    status: u16,
    reason: &'a str,
    body: &'a str,
}

impl<'a> BrokerResponse<'a> {
    fn of(reply: &'a BrokerReply) -> Result<Self, BrokerError> {
        match reply {
            BrokerReply::Response {
                status,
                reason,
                body,
                ..
            } => Ok(Self {
                status: *status,
                reason,
                body,
            }),
            BrokerReply::Unreachable => Err(BrokerError::new(
                BrokerErrorKind::Unreachable,
                "The service broker could not be reached",
            )),
            BrokerReply::TimedOut => Err(BrokerError::new(
                BrokerErrorKind::TimedOut,
                "The request to the service broker timed out",
            )),
            BrokerReply::Failed(reason) => {
                Err(BrokerError::new(BrokerErrorKind::Request, reason.clone()))
            }
        }
    }

    fn parsed(&self) -> Option<Value> {
        serde_json::from_str(self.body).ok()
    }

    /// The broker's description of the error.
    fn description(&self) -> Option<String> {
        let parsed = self.parsed()?;
        let description = parsed.as_object()?.get("description")?;
        Some(crate::world::ruby::text(description))
    }

    fn refuse(&self, kind: BrokerErrorKind, message: impl Into<String>) -> BrokerError {
        let leaves_orphan = match kind {
            BrokerErrorKind::BadResponse
            | BrokerErrorKind::InvalidSyslogDrain
            | BrokerErrorKind::InvalidVolumeMounts => true,
            BrokerErrorKind::Malformed => self.status != 200,
            _ => false,
        };
        BrokerError {
            leaves_orphan,
            response_status: Some(self.status),
            answered: format!("{} {}", self.status, self.reason),
            ..BrokerError::new(kind, message)
        }
    }

    fn bad(&self) -> BrokerError {
        let own = self.description();
        let message = own.map_or_else(
            || self.bad_text(),
            |description| format!("Service broker error: {description}"),
        );
        self.refuse(BrokerErrorKind::BadResponse, shortened(message))
    }

    fn bad_text(&self) -> String {
        format!(
            "The service broker returned an invalid response. Status Code: {} {}, Body: {}",
            self.status, self.reason, self.body
        )
    }

    /// The error for an invalid response, without the broker's description.
    fn bad_without_description(&self) -> BrokerError {
        self.refuse(BrokerErrorKind::BadResponse, shortened(self.bad_text()))
    }

    fn rejected(&self) -> BrokerError {
        let message = self.description().map_or_else(
            || {
                format!(
                    "The service broker rejected the request. Status Code: {} {}, Body: {}",
                    self.status, self.reason, self.body
                )
            },
            |description| format!("Service broker error: {description}"),
        );
        self.refuse(BrokerErrorKind::Rejected, message)
    }

    fn conflict(&self) -> BrokerError {
        let message = self.description().map_or_else(
            || "Resource conflict".into(),
            |description| format!("Service broker error: {description}"),
        );
        self.refuse(BrokerErrorKind::Conflict, shortened(message))
    }

    fn malformed(&self, what: &str) -> BrokerError {
        let message = format!("The service broker returned an invalid response: {what}");
        self.refuse(BrokerErrorKind::Malformed, message)
    }

    fn object(&self) -> Result<Map<String, Value>, BrokerError> {
        match self.parsed() {
            Some(Value::Object(object)) => Ok(object),
            _ => Err(self.malformed(&format!(
                "expected valid JSON object in body, broker returned '{}'",
                self.body
            ))),
        }
    }

    /// Checks statuses whose meaning does not depend on the request.
    fn common(&self) -> Result<(), BrokerError> {
        match self.status {
            401 => Err(self.refuse(
                BrokerErrorKind::AuthenticationFailed,
                "Authentication with the service broker failed. Double-check that the username and password are correct.",
            )),
            408 => Err(self.refuse(
                BrokerErrorKind::ApiTimeout,
                "The request to the service broker timed out",
            )),
            409 | 410 | 422 => Ok(()),
            400..=499 => Err(self.rejected()),
            500..=599 => Err(self.bad()),
            _ => Ok(()),
        }
    }

    /// The error for a 422 with the field `error`.
    fn named_error(&self, ask: BrokerOperation<'_>) -> BrokerError {
        let parsed = self.parsed();
        let name = parsed.as_ref().and_then(|it| it.get("error")?.as_str());
        match (name, ask) {
            (Some("AsyncRequired"), _) if ask != BrokerOperation::Catalog => self.refuse(
                BrokerErrorKind::AsyncRequired,
                "This service plan requires client support for asynchronous service operations.",
            ),
            (
                Some("ConcurrencyError"),
                BrokerOperation::Provision | BrokerOperation::Bind(_) | BrokerOperation::Unbind | BrokerOperation::Deprovision,
            ) => self.refuse(
                BrokerErrorKind::Concurrency,
                "The service broker could not perform this operation in parallel with other running operations",
            ),
            (Some("MaintenanceInfoConflict"), BrokerOperation::Provision | BrokerOperation::Update) => {
                let own = self.description().filter(|it| !it.trim().is_empty());
                let message = own.map_or_else(
                    || "The service broker did not provide a reason for this conflict, please ensure the catalog is up to date and you are providing a version supported by this service plan".into(),
                    |description| format!("Service broker error: {description}"),
                );
                self.refuse(BrokerErrorKind::MaintenanceInfoConflict, message)
            }
            (Some("RequiresApp"), BrokerOperation::Bind(_)) => self.refuse(
                BrokerErrorKind::AppRequired,
                "This service supports generation of credentials through binding an application only.",
            ),
            (_, BrokerOperation::Update) => self.rejected(),
            _ => self.bad(),
        }
    }

    /// Checks the types of fields.
    fn check_types(
        &self,
        body: &Map<String, Value>,
        fields: &[(&str, &[&str])],
    ) -> Result<(), BrokerError> {
        let mut wrong = String::new();
        for (field, types) in fields {
            let Some(value) = body.get(*field) else {
                continue;
            };
            let actual = json_type(value);
            if types.contains(&actual) {
                continue;
            }
            let expected = match types {
                [one] => format!("the following type: {one}"),
                several => format!("one or more of the following types: {}", several.join(", ")),
            };
            wrong +=
                &format!("\nThe property '#/{field}' of type {actual} did not match {expected}");
        }
        match wrong.is_empty() {
            true => Ok(()),
            false => Err(self.malformed(&wrong)),
        }
    }
}

fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Shortens very long messages.
fn shortened(message: String) -> String {
    const MAX: usize = 1 << 14;
    const KEPT: usize = 1 << 13;
    if message.len() <= MAX {
        return message;
    }
    let kept = message.floor_char_boundary(KEPT);
    format!(
        "{}...This message has been truncated due to size. To read the full message, check the broker's logs",
        &message[..kept]
    )
}

/// Reads the response to a request that changes something, or to a request for the
/// catalog.
pub(super) fn read(ask: BrokerOperation<'_>, reply: &BrokerReply) -> Result<Accepted, BrokerError> {
    const OPERATION: (&str, &[&str]) = ("operation", &["string"]);
    const DASHBOARD: (&str, &[&str]) = ("dashboard_url", &["string", "null"]);
    const METADATA: (&str, &[&str]) = ("metadata", &["object"]);
    let answer = BrokerResponse::of(reply)?;
    answer.common()?;
    let done = |body| Accepted {
        body,
        pending: false,
    };
    let pending = |body| Accepted {
        body,
        pending: true,
    };
    match (ask, answer.status) {
        (BrokerOperation::Catalog, 200) => answer.object().map(done),
        (BrokerOperation::Catalog, 201 | 202) => answer.object().and_then(|_| Err(answer.bad())),
        (BrokerOperation::Provision, 200 | 201) | (BrokerOperation::Update, 200) => {
            let body = answer.object()?;
            answer.check_types(&body, &[DASHBOARD, OPERATION, METADATA])?;
            Ok(done(body))
        }
        (BrokerOperation::Provision | BrokerOperation::Update, 202) => {
            let body = answer.object()?;
            answer.check_types(&body, &[DASHBOARD, OPERATION, METADATA])?;
            Ok(pending(body))
        }
        (BrokerOperation::Deprovision | BrokerOperation::Unbind, 200) => answer.object().map(done),
        (BrokerOperation::Bind(requires), 200 | 201) => {
            let body = answer.object()?;
            check_binding(&answer, &body, requires)?;
            Ok(done(body))
        }
        (
            BrokerOperation::Deprovision | BrokerOperation::Unbind | BrokerOperation::Bind(_),
            202,
        ) => {
            let body = answer.object()?;
            answer.check_types(&body, &[OPERATION])?;
            Ok(pending(body))
        }
        (BrokerOperation::Deprovision | BrokerOperation::Unbind, 410) => Ok(done(Map::new())),
        (BrokerOperation::Deprovision | BrokerOperation::Unbind | BrokerOperation::Update, 201) => {
            Err(answer.bad_without_description())
        }
        (BrokerOperation::Provision | BrokerOperation::Bind(_), 409) => Err(answer.conflict()),
        (_, 422) if ask != BrokerOperation::Catalog => Err(answer.named_error(ask)),
        _ => Err(answer.bad()),
    }
}

/// Refuses parts of a binding that its offering does not list in `requires`.
fn check_binding(
    answer: &BrokerResponse<'_>,
    body: &Map<String, Value>,
    requires: &[String],
) -> Result<(), BrokerError> {
    let requires = |what: &str| requires.iter().any(|required| required == what);
    let given = |key: &str| body.get(key).filter(|value| !value.is_null());
    if given("credentials").is_some_and(|it| !it.is_object()) {
        return Err(answer.malformed("expected credentials to be a valid JSON object"));
    }
    if given("syslog_drain_url").is_some() && !requires("syslog_drain") {
        return Err(answer.refuse(
            BrokerErrorKind::InvalidSyslogDrain,
            "The service is attempting to stream logs from your application, but is not registered as a logging service. Please contact the service provider.",
        ));
    }
    if let Some(url) = given("route_service_url") {
        let url = url.as_str().and_then(|url| url::Url::parse(url).ok());
        if !url.is_some_and(|url| url.scheme() == "https" && url.host_str().is_some()) {
            return Err(answer.bad());
        }
    }
    let Some(mounts) = given("volume_mounts") else {
        return Ok(());
    };
    let refuse = |what: &str| {
        let message = format!("The service broker returned an invalid response: {what}");
        Err(answer.refuse(BrokerErrorKind::InvalidVolumeMounts, message))
    };
    if !requires("volume_mount") {
        return refuse(
            "The service is attempting to supply volume mounts from your application, but is not registered as a volume mount service. Please contact the service provider.",
        );
    }
    let list = mounts
        .as_array()
        .filter(|it| it.iter().all(Value::is_object));
    let Some(list) = list else {
        return refuse(&format!(
            "expected \"volume_mounts\" key to contain an array of JSON objects in body, broker returned '{}'",
            answer.body
        ));
    };
    for mount in list {
        let keys = ["device_type", "device", "mode", "container_dir", "driver"];
        let sound = |key: &&str| match (*key, mount.get(*key)) {
            ("device", Some(device)) => device.is_object(),
            (_, Some(Value::String(text))) => !text.is_empty(),
            _ => false,
        };
        if let Some(key) = keys.iter().find(|key| !sound(key)) {
            return refuse(&format!("missing required field '{key}'"));
        }
    }
    Ok(())
}

/// Reads the progress of an operation, and its description.
pub(super) fn read_progress(
    reply: &BrokerReply,
) -> Result<(Progress, Option<String>), BrokerError> {
    let answer = BrokerResponse::of(reply)?;
    match answer.status {
        200 => {
            let body = answer.object()?;
            let state = body.get("state").and_then(Value::as_str);
            let progress = match state {
                Some("in progress") => Progress::Pending,
                Some("succeeded") => Progress::Succeeded,
                Some("failed") => Progress::Failed,
                _ => {
                    let state = state.unwrap_or_default();
                    let what =
                        format!("expected state was 'succeeded', broker returned '{state}'.");
                    return Err(answer.malformed(&what));
                }
            };
            Ok((progress, answer.description()))
        }
        400 => {
            let description = answer.description();
            Ok((
                Progress::Failed,
                description.or_else(|| Some("Bad request".into())),
            ))
        }
        410 => Ok((Progress::Gone, None)),
        _ => {
            answer.common()?;
            Err(answer.bad())
        }
    }
}

/// Reads the parameters of an instance or a binding.
pub(super) fn read_parameters(reply: &BrokerReply) -> Result<Map<String, Value>, BrokerError> {
    let answer = BrokerResponse::of(reply)?;
    answer.common()?;
    if answer.status != 200 {
        return Err(answer.bad());
    }
    let body = answer.object()?;
    answer.check_types(&body, &[("parameters", &["object"])])?;
    Ok(body)
}
