//! The `lifecycle` of apps, builds and droplets.

use serde_json::{Map, Value, json};

use crate::api::context::RequestContext;
use crate::api::error::CcError;
use crate::api::message::Message;
use crate::world::{Buildpack, Lifecycle, Stack, World, ruby};

const BUILDPACK: &str = "buildpack";
/// Cloud Native Buildpacks.
const CNB: &str = "cnb";
const KINDS: [&str; 3] = [BUILDPACK, "docker", CNB];
/// The feature flag for apps with Docker images.
const DOCKER: &str = "diego_docker";
/// The maximum length of the name of a buildpack or a stack, in characters.
pub(crate) const MAX_TEXT: usize = 4096;
pub(crate) const TEXT_BOUNDS: &str = "must be between 1 and 4096 characters";

/// Presents a lifecycle with its data.
pub(crate) fn present(lifecycle: &Lifecycle) -> Value {
    let data = match lifecycle {
        Lifecycle::Buildpack {
            buildpacks, stack, ..
        } => {
            let buildpacks: Vec<String> = buildpacks.iter().map(|it| shown(it)).collect();
            let stack = Some(stack).filter(|stack| !stack.is_empty());
            json!({"buildpacks": buildpacks, "stack": stack})
        }
        Lifecycle::Docker => json!({}),
    };
    json!({"type": lifecycle.kind(), "data": data})
}

/// A buildpack's name or URL, without credentials.
pub(crate) fn shown(buildpack: &str) -> String {
    const REDACTED: &str = "***";
    match url::Url::parse(buildpack) {
        Ok(mut url) if !url.username().is_empty() => {
            // A URL with a user can also have a password.
            let _ = url.set_username(REDACTED);
            let _ = url.set_password(Some(REDACTED));
            url.into()
        }
        _ => buildpack.into(),
    }
}

/// Refuses lifecycles that feature flags disable.
pub(crate) fn check_flag(
    context: &RequestContext<'_>,
    lifecycle: &Lifecycle,
) -> Result<(), CcError> {
    match lifecycle {
        Lifecycle::Docker => context.require_flag(DOCKER),
        Lifecycle::Buildpack { cnb: true, .. } => context.require_flag("diego_cnb"),
        Lifecycle::Buildpack { .. } => Ok(()),
    }
}

/// The kind of request, on which the validation depends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    NewApp,
    App,
    Build,
}

/// The lifecycle in a request.
#[derive(Debug)]
pub(crate) struct LifecycleRequest {
    pub(crate) lifecycle: Lifecycle,
    /// Errors about buildpacks and stack, which are reported after the rest of the
    /// request was validated.
    problems: Vec<String>,
}

impl LifecycleRequest {
    pub(crate) fn check(&self) -> Result<(), CcError> {
        if self.problems.is_empty() {
            return Ok(());
        }
        Err(CcError::unprocessable(self.problems.join(", ")))
    }
}

/// Reads a request's `lifecycle`. Missing parts are taken from `current`.
pub(crate) fn read(
    message: &mut Message<'_>,
    current: &Lifecycle,
    world: &World,
    purpose: Purpose,
) -> LifecycleRequest {
    if !message.has("lifecycle") {
        // A build also checks its app's buildpacks.
        let problems = match (purpose, current) {
            (
                Purpose::Build,
                Lifecycle::Buildpack {
                    buildpacks,
                    stack,
                    cnb,
                },
            ) => problems(world, buildpacks, stack, *cnb),
            _ => Vec::new(),
        };
        return LifecycleRequest {
            lifecycle: current.clone(),
            problems,
        };
    }
    let given = message.get("lifecycle").and_then(Value::as_object);
    let part = |name: &str| given?.get(name).filter(|value| !value.is_null());
    let (kind, data) = (part("type"), part("data").and_then(Value::as_object));
    let is_present = kind.is_some_and(|kind| !ruby::is_blank(kind));
    if is_present || purpose != Purpose::NewApp {
        check_data(message, kind, data);
    }
    let is_text = kind.is_some_and(Value::is_string);
    if !is_text && (is_present || purpose == Purpose::Build) {
        message.error("Lifecycle type must be a string");
    }
    let Some(data) = data else {
        message.error("Lifecycle data must be an object");
        return LifecycleRequest {
            lifecycle: current.clone(),
            problems: Vec::new(),
        };
    };
    let kind = kind.and_then(Value::as_str).filter(|_| is_present);
    let kind = kind.unwrap_or(match purpose {
        Purpose::NewApp => BUILDPACK,
        Purpose::App | Purpose::Build => current.kind(),
    });
    if ![BUILDPACK, CNB].contains(&kind) {
        let lifecycle = match kind {
            "docker" => Lifecycle::Docker,
            _ => current.clone(),
        };
        return LifecycleRequest {
            lifecycle,
            problems: Vec::new(),
        };
    }
    requested(data, current, world, purpose, kind == CNB)
}

fn requested(
    data: &Map<String, Value>,
    current: &Lifecycle,
    world: &World,
    purpose: Purpose,
    cnb: bool,
) -> LifecycleRequest {
    let (own_buildpacks, own_stack) = match current {
        Lifecycle::Buildpack {
            buildpacks, stack, ..
        } => (buildpacks.clone(), stack.clone()),
        Lifecycle::Docker => (Vec::new(), world.default_stack.to_owned()),
    };
    let given = |name: &str| data.get(name).filter(|value| !value.is_null());
    let texts = |value: &Value| -> Vec<String> {
        let items = value.as_array().into_iter().flatten();
        items
            .filter_map(|it| it.as_str().map(str::to_owned))
            .collect()
    };
    // `buildpack` is the only buildpack in requests of 2017.
    let only = given("buildpack").and_then(Value::as_str);
    let asked = given("buildpacks")
        .map(texts)
        .or_else(|| only.map(|name| vec![name.to_owned()]));
    let default = || world.default_stack.to_owned();
    // Null gives an app the default stack.
    let stack = match given("stack").and_then(Value::as_str) {
        None if purpose == Purpose::App && data.contains_key("stack") => Some(default()),
        stack => stack.map(str::to_owned),
    };
    let keeps = purpose == Purpose::Build || !data.contains_key("buildpacks");
    let buildpacks = match asked.clone() {
        Some(asked) => asked,
        None if keeps => own_buildpacks,
        None => Vec::new(),
    };
    let problems = match purpose {
        // Without a stack, buildpacks are checked against the default stack.
        Purpose::NewApp | Purpose::App => problems(
            world,
            &asked.unwrap_or_default(),
            &stack.clone().unwrap_or_else(default),
            cnb,
        ),
        Purpose::Build => {
            let stack = stack.as_ref().unwrap_or(&own_stack);
            problems(world, &buildpacks, stack, cnb)
        }
    };
    LifecycleRequest {
        lifecycle: Lifecycle::Buildpack {
            buildpacks,
            stack: stack.unwrap_or(own_stack),
            cnb,
        },
        problems,
    }
}

/// Checks the type, and the data of that type.
fn check_data(message: &mut Message<'_>, kind: Option<&Value>, data: Option<&Map<String, Value>>) {
    let kind = kind.filter(|kind| **kind != Value::Bool(false));
    let known = match kind {
        None => Some(BUILDPACK),
        Some(kind) => KINDS.into_iter().find(|known| kind == known),
    };
    let Some(kind) = known else {
        let kinds = KINDS.join(", ");
        message.error(format!(
            "Lifecycle type is not included in the list: {kinds}"
        ));
        return;
    };
    let Some(data) = data else {
        return;
    };
    let allowed: &[&str] = match kind {
        "docker" => &[],
        _ => &["buildpacks", "buildpack", "stack", "credentials"],
    };
    let mut inner = Message::new(data, allowed);
    if kind != "docker" {
        read_stack(&mut inner);
        check_buildpacks(&mut inner);
        let credentials = inner.get("credentials");
        check_credentials(&mut inner, credentials);
    }
    message.absorb_as("Lifecycle", inner);
}

pub(crate) fn check_buildpacks(message: &mut Message<'_>) {
    let Some(buildpacks) = message.get("buildpacks") else {
        return;
    };
    let Some(buildpacks) = buildpacks.as_array() else {
        message.error("Buildpacks must be an array");
        return;
    };
    if !buildpacks.iter().all(Value::is_string) {
        message.error("Buildpacks can only contain strings");
    }
    let is_valid = |name: &str| !name.trim().is_empty() && name.chars().count() <= MAX_TEXT;
    let mut names = buildpacks.iter().filter_map(Value::as_str);
    if !names.all(is_valid) {
        message.error(format!("Buildpacks entries {TEXT_BOUNDS}"));
    }
}

pub(crate) fn check_credentials(message: &mut Message<'_>, credentials: Option<&Value>) {
    match credentials.map(Value::as_object) {
        Some(None) => message.error("Credentials must be an object"),
        Some(Some(all)) if !all.values().all(Value::is_object) => {
            message.error("Credentials credentials value must be a hash");
        }
        None | Some(Some(_)) => {}
    }
}

/// The name of a stack, which may be absent or null.
pub(crate) fn read_stack<'b>(message: &mut Message<'b>) -> Option<&'b str> {
    let stack = message.check("stack").allow_null().string();
    stack.length_or(1..=MAX_TEXT, TEXT_BOUNDS).text()
}

/// The errors about buildpacks and their stack. Cloud Native Buildpacks may come from any
/// registry.
pub(crate) fn problems(
    world: &World,
    buildpacks: &[String],
    stack: &str,
    cnb: bool,
) -> Vec<String> {
    let known = world.named::<Stack>(stack);
    let mut problems: Vec<String> = buildpacks
        .iter()
        .filter(|name| !cnb && !is_buildpack(world, name, Some(stack)))
        .map(|name| {
            let place = known.map(|_| format!(" for stack \"{stack}\""));
            format!(
                "Buildpack \"{name}\"{} must be an existing admin buildpack or a valid git URI",
                place.unwrap_or_default()
            )
        })
        .collect();
    if known.is_none() {
        problems.push("Stack must be an existing stack".into());
    }
    problems
}

/// Whether a string is the name of a buildpack for the stack, if one is given, or a
/// URL.
pub(crate) fn is_buildpack(world: &World, name: &str, stack: Option<&str>) -> bool {
    let fits = |buildpack: &Buildpack| {
        let own = buildpack.stack.as_deref();
        let of_stack = own.is_none() || stack.is_none() || own == stack;
        of_stack && buildpack.name == name && buildpack.lifecycle == BUILDPACK
    };
    name.contains("://") || is_ssh(name) || world.buildpacks.iter().any(fits)
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
