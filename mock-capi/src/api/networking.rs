//! The policy server's external API for policies between apps. Its two versions
//! differ in the format of ports.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::api::http::Response;
use crate::api::router::Route;
use crate::api::uaa::token::Caller;
use crate::world::{App, NetworkPolicies, NetworkPolicy, RoleType};

/// These routes are open because the policy server checks the token itself, after the
/// version.
pub(crate) const ROUTES: &[Route] = &[
    Route::get("/networking/:version/external/policies", index).open(),
    Route::post("/networking/:version/external/policies", create).open(),
    Route::post("/networking/:version/external/policies/delete", delete).open(),
    Route::post("/networking/:version/external/policies/cleanup", cleanup).open(),
];

/// In 2017, only version 0 existed, and the Cloud Controller did not link to it.
pub(crate) const ROUTES_2017: &[Route] = &[
    Route::get("/networking/v0/external/policies", index).open(),
    Route::post("/networking/v0/external/policies", create).open(),
    Route::post("/networking/v0/external/policies/delete", delete).open(),
    Route::post("/networking/v0/external/policies/cleanup", cleanup).open(),
];

/// The maximum number of policies with the same source app. Network administrators have
/// no limit.
const MAX_POLICIES_PER_APP_SOURCE: usize = 150;

const MAX_PORT: i64 = 65535;

#[derive(Clone, Copy)]
enum Version {
    /// One port.
    V0,
    /// A range of ports.
    V1,
}

/// An error response.
struct Refusal {
    status: u16,
    error: String,
}

impl Refusal {
    fn bad_request(error: &str) -> Self {
        Self {
            status: 400,
            error: format!("mapper: {error}"),
        }
    }

    fn unauthorized(error: &str) -> Self {
        Self {
            status: 401,
            error: error.into(),
        }
    }

    fn forbidden(error: impl Into<String>) -> Self {
        Self {
            status: 403,
            error: error.into(),
        }
    }

    fn respond(&self) -> Response {
        // Like the policy server, this does not escape quotes in the message.
        let body = format!("{{\"error\": \"{}\"}}", self.error);
        let response = Response {
            status: self.status,
            ..text(body)
        };
        if self.status == 401 {
            return response.with_header("WWW-Authenticate", "Bearer");
        }
        response
    }
}

/// The policy server sends no content type.
fn text(body: String) -> Response {
    Response::text("text/plain; charset=utf-8", body)
}

type Handler = fn(&mut RequestContext<'_>, &Caller, Version) -> Result<Value, Refusal>;

fn index(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    Ok(answer(context, list_policies))
}

fn create(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    Ok(answer(context, create_policies))
}

fn delete(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    Ok(answer(context, delete_policies))
}

fn cleanup(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    Ok(answer(context, clean_policies))
}

/// Handles a request whose version exists and whose caller has permission.
fn answer(context: &mut RequestContext<'_>, handler: Handler) -> Response {
    let result = read_version(context).and_then(|version| {
        let caller = authenticate(context)?;
        handler(context, &caller, version)
    });
    match result {
        Ok(body) => text(body.to_string()),
        Err(refusal) => refusal.respond(),
    }
}

fn read_version(context: &RequestContext<'_>) -> Result<Version, Refusal> {
    let version = context.request.path.split('/').nth(2);
    match version.unwrap_or_default() {
        "v0" => Ok(Version::V0),
        "v1" => Ok(Version::V1),
        other => Err(Refusal {
            status: 406,
            error: format!("api version '{other}' not supported"),
        }),
    }
}

fn authenticate(context: &RequestContext<'_>) -> Result<Caller, Refusal> {
    if context.request.header("authorization").is_none() {
        return Err(Refusal::unauthorized("missing authorization header"));
    }
    context
        .caller
        .clone()
        .ok_or_else(|| Refusal::unauthorized("failed to verify token with uaa"))
}

/// All policies, for `/_mock/state`.
pub(crate) fn present_all(policies: &NetworkPolicies) -> Value {
    let policies = policies.iter();
    policies
        .filter_map(|policy| present(policy, Version::V1))
        .collect()
}

/// A policy, unless the version cannot express it.
fn present(policy: &NetworkPolicy, version: Version) -> Option<Value> {
    let mut destination = json!({"id": policy.destination, "protocol": policy.protocol});
    match version {
        Version::V0 if policy.start_port != policy.end_port => return None,
        Version::V0 => destination["port"] = json!(policy.start_port),
        Version::V1 => {
            destination["ports"] = json!({"start": policy.start_port, "end": policy.end_port});
        }
    }
    Some(json!({"source": {"id": policy.source}, "destination": destination}))
}

fn present_list<'p>(policies: impl Iterator<Item = &'p NetworkPolicy>, version: Version) -> Value {
    let policies: Vec<Value> = policies
        .filter_map(|policy| present(policy, version))
        .collect();
    json!({"total_policies": policies.len(), "policies": policies})
}

/// `id` filters by both ends of a policy, `source_id` and `dest_id` by one end.
fn list_policies(
    context: &mut RequestContext<'_>,
    caller: &Caller,
    version: Version,
) -> Result<Value, Refusal> {
    let among = |name: &str| {
        let text = context.request.query(name)?;
        Some(text.split(',').collect::<HashSet<&str>>())
    };
    let has =
        |ids: &Option<HashSet<&str>>, id: &str| ids.as_ref().is_none_or(|ids| ids.contains(id));
    let (either, source, destination) = (among("id"), among("source_id"), among("dest_id"));
    let asked = |policy: &&NetworkPolicy| match &either {
        Some(ids) => policy.apps().into_iter().any(|app| ids.contains(app)),
        None => has(&source, &policy.source) && has(&destination, &policy.destination),
    };
    let seen = |policy: &&NetworkPolicy| {
        let mut apps = policy.apps().into_iter();
        caller.is_admin() || apps.all(|app| develops(context, caller, app) == Some(true))
    };
    let policies = context.world.network_policies.iter();
    Ok(present_list(policies.filter(asked).filter(seen), version))
}

fn create_policies(
    context: &mut RequestContext<'_>,
    caller: &Caller,
    version: Version,
) -> Result<Value, Refusal> {
    let policies = read_accessible(context, caller, version)?;
    if !caller.is_admin() && exceeds_quota(context, &policies) {
        return Err(Refusal::forbidden("policy quota exceeded"));
    }
    context.world.add_network_policies(policies);
    Ok(json!({}))
}

fn delete_policies(
    context: &mut RequestContext<'_>,
    caller: &Caller,
    version: Version,
) -> Result<Value, Refusal> {
    for policy in read_accessible(context, caller, version)? {
        context.world.network_policies.remove(&policy);
    }
    Ok(json!({}))
}

fn clean_policies(
    context: &mut RequestContext<'_>,
    caller: &Caller,
    _: Version,
) -> Result<Value, Refusal> {
    if !caller.is_admin() {
        let scopes = caller.scopes().join(" ");
        return Err(Refusal::forbidden(format!(
            "provided scopes [{scopes}] do not include allowed scopes [network.admin]"
        )));
    }
    let cleaned = context.world.clean_network_policies();
    Ok(present_list(cleaned.iter(), Version::V1))
}

/// Whether the caller is a developer in the space of an app. `None` if the app does not
/// exist.
fn develops(context: &RequestContext<'_>, caller: &Caller, app: &str) -> Option<bool> {
    let app: &App = context.world.look_up(app)?;
    let org = context.world.org_of(app.space)?.base.guid;
    let user = context.world.find_user(caller.id());
    Some(user.is_some_and(|user| {
        let developer = RoleType::SpaceDeveloper;
        context
            .world
            .has_role(developer, user.base.guid, org, Some(app.space))
    }))
}

/// The policies of a request, if the caller may change them.
fn read_accessible(
    context: &RequestContext<'_>,
    caller: &Caller,
    version: Version,
) -> Result<Vec<NetworkPolicy>, Refusal> {
    let policies = read_policies(context.request.body, version);
    let policies = policies.map_err(|error| Refusal::bad_request(&error))?;
    let may = |policy: &NetworkPolicy| {
        let mut apps = policy.apps().into_iter();
        caller.is_admin() || apps.all(|app| develops(context, caller, app) != Some(false))
    };
    if policies.iter().all(may) {
        return Ok(policies);
    }
    Err(Refusal::forbidden(
        "one or more applications cannot be found or accessed",
    ))
}

fn exceeds_quota(context: &RequestContext<'_>, added: &[NetworkPolicy]) -> bool {
    let there = &context.world.network_policies;
    let sources: HashSet<&str> = added.iter().map(|policy| policy.source.as_str()).collect();
    sources.into_iter().any(|source| {
        let of_source = |policy: &&NetworkPolicy| policy.source == source;
        let count = there.iter().filter(of_source).count() + added.iter().filter(of_source).count();
        count > MAX_POLICIES_PER_APP_SOURCE
    })
}

/// Reads `{"policies": [...]}`. The error is the reason.
fn read_policies(body: &[u8], version: Version) -> Result<Vec<NetworkPolicy>, String> {
    let payload = parse(body).map_err(unreadable)?;
    let policies = match &payload["policies"] {
        Value::Array(policies) => policies.iter().map(|policy| read_policy(policy, version)),
        Value::Null => return Err("validate policies: missing policies".into()),
        other => {
            return Err(unreadable(mismatch(
                other,
                "PoliciesPayload.policies",
                "[]api.Policy",
            )));
        }
    };
    let policies = policies
        .collect::<Result<Vec<_>, _>>()
        .map_err(unreadable)?;
    if policies.is_empty() {
        return Err("validate policies: missing policies".into());
    }
    for policy in &policies {
        check(policy, version).map_err(|reason| format!("validate policies: {reason}"))?;
    }
    Ok(policies.into_iter().map(|read| read.policy).collect())
}

fn unreadable(reason: String) -> String {
    format!("unmarshal json: {reason}")
}

/// Parses JSON, with the policy server's errors.
fn parse(body: &[u8]) -> Result<Value, String> {
    let parsed: Result<Value, serde_json::Error> = serde_json::from_slice(body);
    match parsed {
        Ok(payload @ (Value::Object(_) | Value::Null)) => Ok(payload),
        Ok(other) => Err(format!(
            "json: cannot unmarshal {} into Go value of type api.PoliciesPayload",
            kind_of(&other)
        )),
        Err(error) if error.is_eof() => Err("unexpected end of JSON input".into()),
        Err(error) => {
            let text = String::from_utf8_lossy(body);
            let line = text.lines().nth(error.line().saturating_sub(1));
            let found = line.and_then(|line| line.chars().nth(error.column().saturating_sub(1)));
            let found = found.unwrap_or('\n');
            Err(format!(
                "invalid character {found:?} looking for beginning of value"
            ))
        }
    }
}

/// A policy as sent, which is not validated yet.
struct ReadPolicy {
    policy: NetworkPolicy,
    tagged: bool,
}

fn read_policy(value: &Value, version: Version) -> Result<ReadPolicy, String> {
    let (source, destination) = (&value["source"], &value["destination"]);
    let tags = [
        read_text(source, "tag", "Source.policies.source.tag")?,
        read_text(destination, "tag", "Destination.policies.destination.tag")?,
    ];
    let (start_port, end_port) = match version {
        Version::V0 => {
            let port = read_port(destination, "port", "Destination.policies.destination.port")?;
            (port, port)
        }
        Version::V1 => {
            let ports = &destination["ports"];
            (
                read_port(ports, "start", "Ports.policies.destination.ports.start")?,
                read_port(ports, "end", "Ports.policies.destination.ports.end")?,
            )
        }
    };
    let policy = NetworkPolicy {
        source: read_text(source, "id", "Source.policies.source.id")?,
        destination: read_text(destination, "id", "Destination.policies.destination.id")?,
        protocol: read_text(
            destination,
            "protocol",
            "Destination.policies.destination.protocol",
        )?,
        start_port,
        end_port,
    };
    Ok(ReadPolicy {
        policy,
        tagged: tags.iter().any(|tag| !tag.is_empty()),
    })
}

/// A string, which is empty if it is absent.
fn read_text(value: &Value, name: &str, place: &str) -> Result<String, String> {
    match &value[name] {
        Value::Null => Ok(String::new()),
        Value::String(text) => Ok(text.clone()),
        other => Err(mismatch(other, place, "string")),
    }
}

/// A port, which is 0 if it is absent.
fn read_port(value: &Value, name: &str, place: &str) -> Result<i64, String> {
    match &value[name] {
        Value::Null => Ok(0),
        Value::Number(number) => number.as_i64().ok_or_else(|| {
            format!(
                "json: cannot unmarshal number {number} into Go struct field {place} of type int"
            )
        }),
        other => Err(mismatch(other, place, "int")),
    }
}

fn mismatch(value: &Value, place: &str, expected: &str) -> String {
    let kind = kind_of(value);
    format!("json: cannot unmarshal {kind} into Go struct field {place} of type {expected}")
}

/// The name of a JSON type in Go.
fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn check(read: &ReadPolicy, version: Version) -> Result<(), String> {
    let policy = &read.policy;
    if policy.source.is_empty() {
        return Err("missing source id".into());
    }
    if policy.destination.is_empty() {
        return Err("missing destination id".into());
    }
    if !["udp", "tcp"].contains(&policy.protocol.as_str()) {
        return Err("invalid destination protocol, specify either udp or tcp".into());
    }
    check_ports(policy.start_port, policy.end_port, version)?;
    if read.tagged {
        return Err("tags may not be specified".into());
    }
    Ok(())
}

fn check_ports(start: i64, end: i64, version: Version) -> Result<(), String> {
    match version {
        Version::V0 if start < 0 => Err(format!("invalid port {start}, must be in range 1-65535")),
        Version::V0 if start == 0 => Err("missing port".into()),
        Version::V0 => Ok(()),
        Version::V1 if start > end => Err(format!(
            "invalid port range {start}-{end}, start must be less than or equal to end"
        )),
        Version::V1 if start < 0 => Err(format!(
            "invalid start port {start}, must be in range 1-65535"
        )),
        Version::V1 if start == 0 => Err("missing start port".into()),
        Version::V1 if end > MAX_PORT => {
            Err(format!("invalid end port {end}, must be in range 1-65535"))
        }
        Version::V1 => Ok(()),
    }
}
