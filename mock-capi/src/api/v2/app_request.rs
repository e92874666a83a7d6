//! The fields of a request that creates or changes an app.

use serde_json::{Map, Value};

use crate::api::error::CcError;
use crate::api::message::Fields;
use crate::api::shared::app_environment::environment_errors;
use crate::api::shared::lifecycle;
use crate::world::{CheckPatch, Scale, World, ruby};

/// The maximum disk size of an instance, in megabytes.
const MAX_DISK_MB: i64 = 2048;

const HEALTH_CHECKS: [&str; 4] = ["http", "none", "port", "process"];

/// The attributes of the process, which cannot be changed during a deployment.
const OF_PROCESS: [&str; 11] = [
    "production",
    "memory",
    "instances",
    "disk_quota",
    "state",
    "command",
    "health_check_type",
    "health_check_timeout",
    "health_check_http_endpoint",
    "diego",
    "ports",
];

/// The fields of a request for an app. `None` leaves a field unchanged.
pub(super) struct AppRequest<'b> {
    pub(super) name: Option<&'b str>,
    pub(super) environment: Option<&'b Map<String, Value>>,
    pub(super) enable_ssh: Option<bool>,
    pub(super) buildpacks: Option<Vec<String>>,
    pub(super) space: Option<&'b str>,
    pub(super) stack: Option<&'b str>,
    pub(super) docker_image: Option<&'b str>,
    pub(super) docker_username: Option<&'b str>,
    pub(super) command: Option<Option<String>>,
    pub(super) check: CheckPatch,
    pub(super) memory: Option<i64>,
    pub(super) instances: Option<i64>,
    pub(super) disk: Option<i64>,
    pub(super) state: Option<&'b str>,
    pub(super) v2: V2ProcessFields,
    /// Whether the request changes the process.
    pub(super) of_process: bool,
    /// The errors of the model.
    pub(super) errors: Vec<String>,
}

/// The fields of a process that only v2 has.
pub(super) struct V2ProcessFields {
    pub(super) production: Option<bool>,
    pub(super) console: Option<bool>,
    pub(super) debug: Option<String>,
    pub(super) diego: Option<bool>,
    pub(super) ports: Option<Vec<u16>>,
}

fn read_check(attributes: Fields<'_>, errors: &mut Vec<String>) -> CheckPatch {
    let kind = attributes.text("health_check_type");
    let known = kind.and_then(|kind| HEALTH_CHECKS.into_iter().find(|known| *known == kind));
    if kind.is_some() && known.is_none() {
        let kinds = HEALTH_CHECKS.join(", ");
        errors.push(format!("health_check_type must be one of {kinds}"));
    }
    let timeout = attributes.integer("health_check_timeout");
    if timeout.is_some_and(|timeout| timeout < 1) {
        errors.push("health_check_timeout less_than_one".into());
    }
    // Values that are too large are refused when the process is checked.
    let timeout = timeout.map(|timeout| u32::try_from(timeout).unwrap_or(u32::MAX));
    let endpoint = attributes.text("health_check_http_endpoint");
    CheckPatch {
        kind: known,
        timeout: timeout.map(Some),
        endpoint: endpoint.map(|endpoint| Some(endpoint.to_owned())),
        ..CheckPatch::default()
    }
}

/// The ports of an app. An empty list is the same as an absent list.
fn read_ports(attributes: Fields<'_>, errors: &mut Vec<String>) -> Option<Vec<u16>> {
    const MAX_PORTS: usize = 10;
    let ports = attributes.list("ports").filter(|ports| !ports.is_empty())?;
    if ports.len() > MAX_PORTS {
        errors.push(format!(
            "Process must have at most {MAX_PORTS} exposed ports."
        ));
        return None;
    }
    let port = |port: &Value| {
        let port = port.as_u64().and_then(|port| u16::try_from(port).ok());
        port.filter(|port| *port > 1023)
    };
    let ports: Option<Vec<u16>> = ports.iter().map(port).collect();
    if ports.is_none() {
        errors.push("Ports must be in the 1024-65535 range.".into());
    }
    ports
}

pub(super) fn invalid(reason: &str) -> CcError {
    let detail = format!("The app is invalid: {reason}");
    CcError::new(400, 100_001, "CF-AppInvalid", detail)
}

impl<'b> AppRequest<'b> {
    pub(super) fn read(attributes: Fields<'b>) -> Self {
        let mut errors = Vec::new();
        let environment = attributes.object("environment_json");
        if let Some(variables) = environment {
            let wrong = environment_errors(variables);
            errors.extend(wrong.map(|(_, reason)| {
                // The model prints the validator's arguments instead of the message.
                let reason = ruby::inspect_string(reason);
                format!("environment_variables {{:message=>{reason}}}")
            }));
        }
        let credentials = attributes.object("docker_credentials");
        let username = credentials.and_then(|credentials| credentials.get("username"));
        let disk = attributes.integer("disk_quota");
        if let Some(disk) = disk.filter(|disk| *disk > MAX_DISK_MB) {
            errors.push(format!(
                "disk_quota too much disk requested (requested {disk} MB - must be less than {MAX_DISK_MB} MB)"
            ));
        }
        if disk.is_some_and(|disk| disk < 1) {
            errors.push(
                "disk_quota too little disk requested (must be greater than zero)".to_owned(),
            );
        }
        let check = read_check(attributes, &mut errors);
        let ports = read_ports(attributes, &mut errors);
        // An empty string resets a value to its default.
        let unset_or = |name| {
            let text = attributes.text(name)?;
            Some((!text.is_empty()).then(|| text.to_owned()))
        };
        let (buildpack, command) = (unset_or("buildpack"), unset_or("command"));
        Self {
            name: attributes.text("name"),
            environment,
            enable_ssh: attributes.boolean("enable_ssh"),
            buildpacks: buildpack.map(|buildpack| buildpack.into_iter().collect()),
            space: attributes.text("space_guid"),
            stack: attributes.text("stack_guid"),
            docker_image: attributes.text("docker_image"),
            docker_username: username.and_then(Value::as_str),
            command,
            check,
            memory: attributes.integer("memory"),
            instances: attributes.integer("instances"),
            disk,
            state: attributes.text("state"),
            v2: V2ProcessFields {
                production: attributes.boolean("production"),
                console: attributes.boolean("console"),
                debug: attributes.text("debug").map(str::to_owned),
                diego: attributes.boolean("diego"),
                ports,
            },
            of_process: OF_PROCESS.iter().any(|name| attributes.has(name)),
            errors,
        }
    }

    /// Checks the request as the Cloud Controller's model does.
    pub(super) fn check(&self, world: &World) -> Result<(), CcError> {
        if self.memory.is_some_and(|memory| memory < 1) {
            let detail = "You have specified an invalid amount of memory for your application.";
            return Err(CcError::new(400, 100_006, "CF-AppMemoryInvalid", detail));
        }
        for (size, attribute) in [
            (self.memory, "memory"),
            (self.instances, "instances"),
            (self.disk, "disk_quota"),
        ] {
            if size.is_some_and(|size| size > i64::from(i32::MAX)) {
                return Err(invalid(&format!("{attribute} is too large")));
            }
        }
        if self.instances.is_some_and(|instances| instances < 0) {
            return Err(invalid("Number of instances less than 0"));
        }
        if self
            .state
            .is_some_and(|state| !["STARTED", "STOPPED"].contains(&state))
        {
            return Err(invalid("Invalid app state provided"));
        }
        let mut buildpacks = self.buildpacks.iter().flatten();
        if let Some(name) = buildpacks.find(|name| !lifecycle::is_buildpack(world, name, None)) {
            let reason = format!("Specified unknown buildpack name: \"{name}\"");
            return Err(invalid(&reason));
        }
        match self.errors.as_slice() {
            [] => Ok(()),
            errors => Err(invalid(&errors.join(", "))),
        }
    }

    /// The new sizes of a process.
    pub(super) fn scale(&self, current: Scale) -> Scale {
        let size = |asked: Option<i64>, current| {
            asked
                .and_then(|size| u32::try_from(size).ok())
                .unwrap_or(current)
        };
        Scale {
            instances: size(self.instances, current.instances),
            memory_mb: size(self.memory, current.memory_mb),
            disk_mb: size(self.disk, current.disk_mb),
            log_rate: current.log_rate,
        }
    }
}
