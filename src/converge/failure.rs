//! Failed steps, one by one and grouped by cause.

use std::fmt;

use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

use super::target::Target;
use crate::capi::error::Error;
use crate::events::StepContext;

/// A step that failed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Failure {
    /// The resource that the step was for.
    pub target: Target,
    /// The step, such as `copying the droplet`.
    pub step: String,
    /// The cause.
    pub error: Error,
    /// The last lines of the log of an app whose instances crashed.
    pub log: Vec<String>,
}

impl Failure {
    pub(super) fn new(target: &Target, subject: &StepContext, error: Error) -> Self {
        Self::at(target.clone(), &subject.step, error)
    }

    /// A failure in a step.
    pub(super) fn at(target: Target, step: &str, error: Error) -> Self {
        Self {
            target,
            step: step.to_owned(),
            error,
            log: Vec::new(),
        }
    }

    /// Returns the same text for failures with the same cause: the step and the error,
    /// without names and GUIDs. For lost connections, the step does not matter.
    pub(super) fn cause_key(&self) -> String {
        let of_connection = match &self.error {
            Error::Unreachable { url, .. } => Some(format!("cannot reach {url}")),
            Error::NoResponse { .. } => Some("no response".to_owned()),
            _ => None,
        };
        of_connection.unwrap_or_else(|| {
            // If there are messages of the Cloud Controller, only these are compared,
            // because the URLs differ between resources.
            let errors = self.error.cc_errors().iter().map(ToString::to_string);
            let errors: Vec<String> = errors.collect();
            let error = match errors.is_empty() {
                true => self.error.without_request_id(),
                false => errors.join("; "),
            };
            let words = error.split_whitespace().map(|word| {
                let word = word.replace(self.target.name(), "NAME");
                let parts = word.split('/');
                let parts = parts.map(|part| if is_guid(part) { "GUID" } else { part });
                parts.collect::<Vec<_>>().join("/")
            });
            let words: Vec<String> = words.collect();
            format!("{}: {}", self.step, words.join(" "))
        })
    }
}

fn is_guid(text: &str) -> bool {
    text.len() == 36 && text.bytes().filter(|byte| *byte == b'-').count() == 4
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cause = self.error.cause();
        write!(f, "{}: {} failed: {cause}", self.target, self.step)
    }
}

/// Failures are equal if their messages are equal.
impl PartialEq for Failure {
    fn eq(&self, other: &Self) -> bool {
        let of = |it: &Self| (it.target.clone(), it.step.clone(), it.error.to_string());
        of(self) == of(other)
    }
}

impl Serialize for Failure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Failure", 4)?;
        fields.serialize_field("target", &self.target)?;
        fields.serialize_field("step", &self.step)?;
        fields.serialize_field("error", &self.error)?;
        match self.log.as_slice() {
            [] => fields.skip_field("log")?,
            log => fields.serialize_field("log", log)?,
        }
        fields.end()
    }
}

/// Apps and other resources that failed for the same reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FailureGroup {
    /// The failed apps and resources. Each is in exactly one group.
    pub targets: Vec<Target>,
    /// The step of the first target that failed.
    pub step: String,
    /// The first target's error.
    pub cause: String,
    /// The `X-Vcap-Request-Id` of the first target's request, which identifies it in the
    /// foundation's logs.
    pub request_id: Option<String>,
    /// The last lines of the log of the first target that has any.
    pub log: Vec<String>,
    /// The apps that did not converge because of these failures.
    pub blocked: Vec<Target>,
}

impl FailureGroup {
    pub(super) fn of(failure: &Failure) -> Self {
        Self {
            targets: vec![failure.target.clone()],
            step: failure.step.clone(),
            cause: failure.error.cause(),
            request_id: failure.error.request_id().map(str::to_owned),
            log: failure.log.clone(),
            blocked: Vec::new(),
        }
    }

    /// The group of an app without a failure.
    pub(super) fn unexplained(target: Target, reason: &str) -> Self {
        Self {
            targets: vec![target],
            step: "converging".to_owned(),
            cause: reason.to_owned(),
            request_id: None,
            log: Vec::new(),
            blocked: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, failure: &Failure) {
        self.targets.push(failure.target.clone());
        if self.log.is_empty() {
            self.log.clone_from(&failure.log);
        }
    }
}

/// Displays one line: the first target and the number of others, the step and the cause.
impl fmt::Display for FailureGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            targets,
            step,
            cause,
            ..
        } = self;
        if let Some(first) = targets.first() {
            write!(f, "{first}")?;
        }
        if targets.len() > 1 {
            write!(f, " and {} more", targets.len() - 1)?;
        }
        write!(f, ": {step} failed: {cause}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capi::error::CcError;

    #[test]
    fn a_failure_serializes_with_the_cloud_controllers_errors() {
        let failure = Failure {
            target: Target::App {
                org: "o".to_owned(),
                space: "s".to_owned(),
                name: "a".to_owned(),
            },
            step: "creating the app".to_owned(),
            log: Vec::new(),
            error: Error::Refused {
                method: "POST".to_owned(),
                path: "/v3/apps".to_owned(),
                status: 422,
                errors: vec![CcError {
                    code: 10008,
                    title: "CF-UnprocessableEntity".to_owned(),
                    detail: "no".to_owned(),
                }],
                request_id: Some("id".to_owned()),
                retry_after: None,
            },
        };
        insta::assert_json_snapshot!(failure);
    }
}
