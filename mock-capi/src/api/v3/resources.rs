//! `/v3/resource_matches`

use serde_json::{Map, Value, json};

use crate::api::context::RequestContext;
use crate::api::error::{CcError, validate};
use crate::api::http::Response;
use crate::api::router::Route;

pub(crate) const ROUTES: &[Route] = &[Route::post("/v3/resource_matches", matches)
    .by_anyone()
    .flagged("app_bits_upload")];

const MAX_RESOURCES: usize = 5000;
const SHA1_LENGTH: usize = 40;

/// The groups of sizes by which the Cloud Controller looks files up. Matches are in the
/// order of these groups.
const SIZE_GROUPS: [u64; 5] = [
    1024,
    100 * 1024,
    1024 * 1024,
    100 * 1024 * 1024,
    1024 * 1024 * 1024,
];

fn matches(context: &mut RequestContext<'_>) -> Result<Response, CcError> {
    let body = context.request.object()?;
    let resources = read_resources(body.get("resources"))?;
    let known = |resource: &&&Map<String, Value>| {
        let sha1 = resource["checksum"]["value"].as_str().unwrap_or_default();
        let size = resource["size_in_bytes"].as_u64().unwrap_or_default();
        let mode = resource.get("mode").and_then(Value::as_str);
        context.world.matches_resource(sha1, size, mode)
    };
    let found: Vec<&&Map<String, Value>> = resources.iter().filter(known).collect();
    let mut groups: Vec<(usize, Vec<Value>)> = Vec::new();
    for resource in found {
        let group = group_of(resource);
        let presented = json!({
            "checksum": {"value": resource["checksum"]["value"]},
            "size_in_bytes": resource["size_in_bytes"],
            "path": resource.get("path"),
            "mode": resource.get("mode"),
        });
        match groups.iter_mut().find(|(other, _)| *other == group) {
            Some((_, members)) => members.push(presented),
            None => groups.push((group, vec![presented])),
        }
    }
    let resources = groups.into_iter().flat_map(|(_, members)| members);
    let resources: Vec<Value> = resources.collect();
    Ok(Response::created(&json!({"resources": resources})))
}

fn group_of(resource: &Map<String, Value>) -> usize {
    let size = resource["size_in_bytes"].as_u64().unwrap_or_default();
    SIZE_GROUPS.partition_point(|limit| *limit <= size)
}

fn read_resources(value: Option<&Value>) -> Result<Vec<&Map<String, Value>>, CcError> {
    let value = value.unwrap_or(&Value::Null);
    let mut errors = Vec::new();
    if !value.is_array() {
        errors.push("Resources must be an array".to_owned());
    }
    // Values other than lists also have a length.
    let length = match value {
        Value::Array(items) => items.len(),
        Value::Object(fields) => fields.len(),
        Value::String(text) => text.chars().count(),
        Value::Null => 0,
        scalar => scalar.to_string().len(),
    };
    if length < 1 {
        errors.push("Resources must have at least 1 resource".into());
    }
    if length > MAX_RESOURCES {
        errors.push(format!(
            "Resources array can have at most {MAX_RESOURCES} resources"
        ));
    }
    let mut resources = Vec::new();
    for item in value.as_array().into_iter().flatten() {
        for problem in problems(item) {
            let error = format!("Resources array contains at least one resource with {problem}");
            if !errors.contains(&error) {
                errors.push(error);
            }
        }
        resources.extend(item.as_object());
    }
    validate(&errors)?;
    Ok(resources)
}

/// The errors of a resource.
fn problems(resource: &Value) -> Vec<&'static str> {
    let mut problems = Vec::new();
    match resource.get("checksum") {
        Some(Value::Object(checksum)) => match checksum.get("value") {
            Some(Value::String(sha1)) if sha1.chars().count() == SHA1_LENGTH => {}
            Some(Value::String(_)) => problems.push("a non-SHA1 checksum value"),
            _ => problems.push("a non-string checksum value"),
        },
        _ => problems.push("a non-object checksum"),
    }
    match resource.get("size_in_bytes") {
        Some(Value::Number(size)) if size.is_u64() => {}
        Some(Value::Number(size)) if size.is_i64() => problems.push("a negative size_in_bytes"),
        _ => problems.push("a non-integer size_in_bytes"),
    }
    let octal = |mode: &str| !mode.is_empty() && mode.chars().all(|c| ('0'..='7').contains(&c));
    match resource.get("mode") {
        None | Some(Value::Null) => {}
        Some(Value::String(mode)) if octal(mode) => {}
        Some(Value::String(_)) => problems.push("an incorrect mode"),
        Some(_) => problems.push("a non-string mode"),
    }
    problems
}
