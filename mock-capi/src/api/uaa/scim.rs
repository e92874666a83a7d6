//! Shared code for UAA's users, groups and clients: permissions, lists, and versions

use serde_json::{Value, json};

use super::filter::{Attributes, Filter, find_attribute};
use super::refusal::Refusal;
use super::token::Caller;
use crate::api::context::RequestContext;
use crate::api::http::Response;

pub(super) const SCHEMAS: [&str; 1] = ["urn:scim:schemas:core:1.0"];

/// The caller of a request that needs a token.
pub(super) fn caller<'c>(context: &'c RequestContext<'_>) -> Result<&'c Caller, Refusal> {
    let caller = context.caller.as_ref();
    let caller = caller.filter(|caller| !context.tokens.is_revoked(caller.claims()));
    caller.ok_or_else(|| match context.request.header("authorization") {
        None => Refusal::new(
            401,
            "unauthorized",
            "Full authentication is required to access this resource",
        ),
        Some(_) => Refusal::new(401, "invalid_token", "The token expired or is unknown"),
    })
}

/// Refuses a caller whose token has none of the scopes, which are separated by
/// spaces.
pub(super) fn require_scope(context: &RequestContext<'_>, scopes: &str) -> Result<(), Refusal> {
    let caller = caller(context)?;
    let allowed = scopes.split(' ').any(|scope| caller.has_scope(scope));
    if allowed {
        Ok(())
    } else {
        Err(Refusal::insufficient_scope(scopes))
    }
}

/// Refuses callers that are not this user and have none of the scopes.
pub(super) fn require_self_or_scope(
    context: &RequestContext<'_>,
    user: &str,
    scopes: &str,
) -> Result<(), Refusal> {
    if caller(context)?.id() == user {
        return Ok(());
    }
    require_scope(context, scopes)
}

/// The page of a list, by `filter`, `sortBy`, `sortOrder`, `startIndex`, `count` and
/// `attributes`.
pub(super) fn list<'w, R>(
    context: &'w RequestContext<'_>,
    rows: impl Iterator<Item = &'w R>,
    attributes: Attributes<R>,
    schemas: &[&str],
    present: impl Fn(&R) -> Value,
) -> Result<Response, Refusal> {
    const PER_PAGE: usize = 100;
    const MAX_PER_PAGE: usize = 500;
    let query = |name: &str| context.request.query(name);
    let filter = match query("filter") {
        None => None,
        Some(text) => Some(Filter::parse(text, attributes).ok_or_else(|| {
            let description = format!("Invalid filter expression: [{text}]");
            Refusal::scim(400, "scim", description)
        })?),
    };
    let mut found: Vec<&R> = rows
        .filter(|row| filter.as_ref().is_none_or(|filter| filter.matches(row)))
        .collect();
    // Rows are in the order of their creation.
    if let Some(name) = query("sortBy").filter(|name| !name.eq_ignore_ascii_case("created")) {
        let read = find_attribute(attributes, name);
        let read = read.ok_or_else(|| {
            Refusal::scim(400, "scim", format!("Invalid sort attribute: [{name}]"))
        })?;
        found.sort_by_cached_key(|row| read(row));
    }
    if query("sortOrder").is_some_and(|order| !order.eq_ignore_ascii_case("ascending")) {
        found.reverse();
    }
    let number = |name: &str, default: usize| match query(name) {
        None => Ok(default),
        Some(text) => text.parse().map_err(|_| {
            let description = format!("Invalid {name}: [{text}] is not a positive integer");
            Refusal::scim(400, "scim", description)
        }),
    };
    let start = number("startIndex", 1)?.max(1);
    let count = number("count", PER_PAGE)?.min(MAX_PER_PAGE);
    let page = found.iter().skip(start - 1).take(count);
    let resources = page.map(|row| select(present(row), query("attributes")));
    Ok(Response::ok(&json!({
        "resources": resources.collect::<Vec<_>>(),
        "startIndex": start,
        "itemsPerPage": count,
        "totalResults": found.len(),
        "schemas": schemas,
    })))
}

/// The keys of a resource that are in a comma-separated list.
fn select(mut resource: Value, attributes: Option<&str>) -> Value {
    if let (Some(attributes), Value::Object(keys)) = (attributes, &mut resource) {
        let wanted: Vec<&str> = attributes
            .split(',')
            .map(|name| name.trim().split('.').next().unwrap_or_default())
            .collect();
        keys.retain(|key, _| wanted.iter().any(|name| name.eq_ignore_ascii_case(key)));
    }
    resource
}

/// Refuses a change if the version in the `If-Match` header is not that of the resource.
pub(super) fn check_version(
    context: &RequestContext<'_>,
    what: &str,
    current: u32,
) -> Result<(), Refusal> {
    let Some(header) = context.request.header("if-match") else {
        let description = format!("Missing If-Match for {}", context.request.method);
        return Err(Refusal::scim(400, "scim", description));
    };
    let text = header.trim().trim_matches('"');
    if text == "*" {
        return Ok(());
    }
    let expected: u32 = text.parse().map_err(|_| {
        let description =
            format!("Invalid version match header (should be a version number): {header}");
        Refusal::scim(400, "scim", description)
    })?;
    if expected == current {
        return Ok(());
    }
    let description = format!(
        "Attempt to update {what} with wrong version: expected={current} but found={expected}"
    );
    Err(Refusal::scim(409, "scim_resource_conflict", description))
}

/// Adds the version of the resource to a response.
pub(super) fn with_version(response: Response, version: u32) -> Response {
    response.with_header("ETag", format!("\"{version}\""))
}
