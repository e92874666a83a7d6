//! The `lifecycle` of apps, builds and droplets.

use serde_json::{Map, Value, json};

use crate::api::error::CcError;
use crate::api::message::Message;
use crate::world::{Buildpack, Lifecycle, Stack, World};

/// Cloud native buildpacks, which there are none of.
const CNB: &str = "cnb";

/// Refuses what would be built by cloud native buildpacks.
pub(crate) fn refuse_cnb(body: &Map<String, Value>) -> Result<(), CcError> {
    let lifecycle = body.get("lifecycle");
    match lifecycle.and_then(|lifecycle| lifecycle.get("type")) {
        Some(kind) if kind == CNB => Err(CcError::feature_disabled("diego_cnb")),
        _ => Ok(()),
    }
}

/// Presents a lifecycle with its data.
pub(crate) fn present(lifecycle: &Lifecycle) -> Value {
    let data = match lifecycle {
        Lifecycle::Buildpack { buildpacks, stack } => {
            let buildpacks: Vec<String> = buildpacks.iter().map(|it| shown(it)).collect();
            json!({"buildpacks": buildpacks, "stack": stack})
        }
        Lifecycle::Docker => json!({}),
    };
    json!({"type": lifecycle.kind(), "data": data})
}

/// A buildpack's name or address, without the credentials in that.
pub(crate) fn shown(buildpack: &str) -> String {
    const REDACTED: &str = "***";
    match url::Url::parse(buildpack) {
        Ok(mut url) if !url.username().is_empty() => {
            // An address with a user has room for both.
            let _ = url.set_username(REDACTED);
            let _ = url.set_password(Some(REDACTED));
            url.into()
        }
        _ => buildpack.into(),
    }
}

/// Reads a request's `lifecycle`; what it does not say is as in `current`.
pub(crate) fn read(message: &mut Message<'_>, current: &Lifecycle, world: &World) -> Lifecycle {
    if !message.has("lifecycle") {
        return current.clone();
    }
    let Some(lifecycle) = message.get("lifecycle").and_then(Value::as_object) else {
        message.error("Lifecycle data must be an object");
        return current.clone();
    };
    let kind = match lifecycle.get("type") {
        None | Some(Value::Null) => current.kind(),
        Some(Value::String(kind)) => kind,
        Some(_) => {
            message.error("Lifecycle type must be a string");
            return current.clone();
        }
    };
    let Some(data) = lifecycle.get("data").and_then(Value::as_object) else {
        message.error("Lifecycle data must be an object");
        return current.clone();
    };
    match kind {
        "docker" => read_docker(message, data),
        "buildpack" => read_buildpack(message, data, current, world),
        CNB => current.clone(),
        _ => {
            message.error("Lifecycle type is not included in the list: buildpack, docker, cnb");
            current.clone()
        }
    }
}

fn read_docker(message: &mut Message<'_>, data: &Map<String, Value>) -> Lifecycle {
    if !data.is_empty() {
        let keys: Vec<&str> = data.keys().map(String::as_str).collect();
        message.error(format!(
            "Lifecycle Unknown field(s): '{}'",
            keys.join("', '")
        ));
    }
    Lifecycle::Docker
}

fn read_buildpack(
    message: &mut Message<'_>,
    data: &Map<String, Value>,
    current: &Lifecycle,
    world: &World,
) -> Lifecycle {
    let (current_buildpacks, current_stack) = match current {
        Lifecycle::Buildpack { buildpacks, stack } => (buildpacks.clone(), stack.clone()),
        Lifecycle::Docker => (Vec::new(), String::new()),
    };
    // `buildpack` is how 2017 named the only one.
    let known = ["buildpacks", "buildpack", "stack", "credentials"];
    let unknown: Vec<&str> = data
        .keys()
        .map(String::as_str)
        .filter(|key| !known.contains(key))
        .collect();
    if !unknown.is_empty() {
        message.error(format!(
            "Lifecycle Unknown field(s): '{}'",
            unknown.join("', '")
        ));
    }
    let buildpacks = match data.get("buildpacks").or_else(|| data.get("buildpack")) {
        None => current_buildpacks,
        Some(Value::Null) => Vec::new(),
        Some(Value::String(buildpack)) if !data.contains_key("buildpacks") => {
            check_buildpacks(message, &[json!(buildpack)], world)
        }
        Some(Value::Array(buildpacks)) => check_buildpacks(message, buildpacks, world),
        Some(_) => {
            message.error("Lifecycle Buildpacks must be an array");
            Vec::new()
        }
    };
    let stack = match data.get("stack") {
        None | Some(Value::Null) => current_stack,
        Some(Value::String(stack)) => {
            if let Some(error) = stack_error(world, stack) {
                message.error(error);
            }
            stack.clone()
        }
        Some(_) => {
            message.error("Lifecycle Stack must be a string");
            current_stack
        }
    };
    Lifecycle::Buildpack { buildpacks, stack }
}

fn check_buildpacks(message: &mut Message<'_>, buildpacks: &[Value], world: &World) -> Vec<String> {
    let mut names = Vec::new();
    for buildpack in buildpacks {
        match buildpack.as_str() {
            None => message.error("Lifecycle Buildpacks can only contain strings"),
            Some(name) => {
                if let Some(error) = buildpack_error(world, name) {
                    message.error(error);
                }
                names.push(name.to_owned());
            }
        }
    }
    names
}

/// What is wrong with the name of a stack.
pub(crate) fn stack_error(world: &World, stack: &str) -> Option<&'static str> {
    let is_there = world.named::<Stack>(stack).is_some();
    (!is_there).then_some("Stack must be an existing stack")
}

/// What is wrong with the name or address of a buildpack.
pub(crate) fn buildpack_error(world: &World, name: &str) -> Option<String> {
    let error =
        || format!("Buildpack \"{name}\" must be an existing admin buildpack or a valid git URI");
    (!is_buildpack(world, name)).then(error)
}

/// Whether a text names a buildpack or is the address of one.
pub(crate) fn is_buildpack(world: &World, name: &str) -> bool {
    world.named::<Buildpack>(name).is_some() || name.contains("://") || is_ssh(name)
}

/// `git@host:path.git`
fn is_ssh(address: &str) -> bool {
    let path = address
        .strip_prefix("git@")
        .and_then(|rest| rest.split_once(':'));
    path.is_some_and(|(host, path)| {
        !host.is_empty()
            && path
                .strip_suffix(".git")
                .is_some_and(|path| !path.is_empty())
    })
}
