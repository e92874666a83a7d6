//! Changes to a process other than its sizes.

use std::borrow::Cow;

use serde_json::Value;

use super::{CowStr, Guid, HealthCheck, Lifecycle, Process, World};
use crate::world::error::Error;
use crate::world::metadata::MetadataPatch;

/// The users that processes may run as. The first is the default.
const USERS: [&str; 2] = ["vcap", "ContainerUser"];
/// The user of apps whose image does not name another one.
const DOCKER_USER: &str = "root";
const MAX_TIMEOUT: u32 = 180;

/// A type of health check that the Cloud Controller's model refuses.
pub(crate) const NO_CHECK: &str = "";

/// A change of a health check. `None` leaves a field unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CheckPatch {
    pub(crate) kind: Option<&'static str>,
    pub(crate) timeout: Option<Option<u32>>,
    pub(crate) invocation_timeout: Option<Option<u32>>,
    pub(crate) interval: Option<Option<u32>>,
    pub(crate) endpoint: Option<Option<String>>,
}

impl CheckPatch {
    fn applied_to(self, check: &HealthCheck) -> HealthCheck {
        // Only HTTP checks have an endpoint, unless the request sets one.
        let endpoint = match (self.endpoint, self.kind) {
            (Some(endpoint), _) => endpoint,
            (None, Some(kind)) if kind != "http" => None,
            (None, _) => check.endpoint.clone(),
        };
        HealthCheck {
            kind: self
                .kind
                .map_or_else(|| check.kind.clone(), CowStr::Borrowed),
            timeout: self.timeout.unwrap_or(check.timeout),
            invocation_timeout: self.invocation_timeout.unwrap_or(check.invocation_timeout),
            interval: self.interval.unwrap_or(check.interval),
            endpoint,
        }
    }
}

/// A change of a process. `None` leaves a field unchanged.
#[derive(Clone, Debug, Default)]
pub(crate) struct ProcessPatch {
    pub(crate) command: Option<Option<String>>,
    pub(crate) user: Option<Option<String>>,
    pub(crate) health_check: CheckPatch,
    pub(crate) readiness_check: CheckPatch,
    pub(crate) metadata: MetadataPatch,
}

impl World {
    /// The user that runs a process or a task of an app, given the user that was chosen
    /// for it.
    pub(crate) fn user_of<'w>(&'w self, app: Guid, chosen: Option<&'w str>) -> &'w str {
        let app = self.apps.get(app);
        let is_docker = app.is_some_and(|app| app.lifecycle == Lifecycle::Docker);
        let default = if is_docker { DOCKER_USER } else { USERS[0] };
        chosen.unwrap_or(default)
    }

    /// The user's command, or else the detected one, or else an empty string.
    pub(crate) fn command_of<'w>(&'w self, process: &'w Process) -> Cow<'w, str> {
        let own = process.command.as_deref();
        if let Some(own) = own.filter(|command| !command.trim().is_empty()) {
            return own.into();
        }
        let droplet = self.apps.get(process.app).and_then(|app| app.droplet);
        let droplet = droplet.and_then(|droplet| self.droplets.get(droplet));
        let detected = droplet.and_then(|droplet| droplet.process_types.get(&process.kind));
        detected.and_then(Value::as_str).unwrap_or_default().into()
    }

    /// Changes a process. Fails if the result is invalid.
    pub(crate) fn update_process(&mut self, guid: Guid, patch: ProcessPatch) -> Result<(), Error> {
        let Some(process) = self.processes.get(guid) else {
            return Ok(());
        };
        let health_check = patch.health_check.applied_to(&process.health_check);
        let readiness_check = patch.readiness_check.applied_to(&process.readiness_check);
        let user = patch.user.unwrap_or_else(|| process.user.clone());
        let mut errors = check_errors("", &health_check);
        errors.extend(check_errors("readiness ", &readiness_check));
        errors.extend(user.as_deref().and_then(user_error));
        if !errors.is_empty() {
            return Err(Error::unprocessable(errors.join(", ")));
        }
        self.change_process(guid, |process| {
            if let Some(command) = patch.command {
                process.command = command;
            }
            process.user = user;
            process.health_check = health_check;
            process.readiness_check = readiness_check;
            process.base.metadata.apply(patch.metadata);
        });
        Ok(())
    }
}

/// The errors of the Cloud Controller's model for a check, with the names of database
/// columns.
fn check_errors(which: &str, check: &HealthCheck) -> Vec<String> {
    let column = which.replace(' ', "_");
    let mut errors = Vec::new();
    if check.kind == NO_CHECK {
        let none = if which.is_empty() { "none, " } else { "" };
        errors.push(format!(
            "{column}health_check_type must be one of http, {none}port, process"
        ));
    }
    if check.timeout.is_some_and(|timeout| timeout > MAX_TIMEOUT) {
        errors.push(format!(
            "{column}health_check_timeout Maximum exceeded: max {MAX_TIMEOUT}s"
        ));
    }
    if check.kind == "http" && check.endpoint.is_none() {
        errors.push(format!(
            "{column}health_check_http_endpoint HTTP {which}health check endpoint is not a valid URI path: "
        ));
    }
    errors
}

/// The reason why a process or a task cannot run as this user.
pub(super) fn user_error(user: &str) -> Option<String> {
    if user.trim().is_empty() || USERS.iter().any(|known| known.eq_ignore_ascii_case(user)) {
        return None;
    }
    let permitted: Vec<String> = USERS.iter().map(|user| format!("'{user}'")).collect();
    let permitted = permitted.join(", ");
    Some(format!(
        "user invalid (requested user '{user}' not allowed, permitted users are: {permitted})"
    ))
}
