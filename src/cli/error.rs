//! The error that ends a command: message, help and exit code.

use serde_json::{Value, json};

use cf_pusher::clone::CloneError;
use cf_pusher::export::ExportError;
use cf_pusher::manifest::{ManifestError, TransformError, VariablesError};
use cf_pusher::push::PushError;
use cf_pusher::scale_test::TestError;
use cf_pusher::{
    ConfigError, ConvergeError, Error, SourceError, SpecError, SpecProblemReason, Target,
};

use super::{INTERRUPTED, app_flags, clone, export, help, push};

/// The error that ends a command.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("{}", spec_message(.0))]
    Spec(#[from] SpecError),
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error("{}", app_flags::explain(.0).0)]
    Transform(#[source] TransformError),
    #[error(transparent)]
    Push(Box<PushError>),
    #[error(transparent)]
    Clone(Box<CloneError>),
    #[error(transparent)]
    Export(Box<ExportError>),
    #[error("{message}")]
    Usage {
        message: String,
        help: Option<String>,
    },
    #[error(transparent)]
    Converge(Box<ConvergeError>),
    #[error(transparent)]
    Test(Box<TestError>),
    #[error("writing to standard output failed: {0}")]
    Output(#[from] std::io::Error),
    #[error("starting threads failed: {source}")]
    Threads { source: std::io::Error },
}

impl From<Error> for CommandError {
    fn from(error: Error) -> Self {
        Self::Converge(Box::new(error.into()))
    }
}

impl From<ConvergeError> for CommandError {
    fn from(error: ConvergeError) -> Self {
        Self::Converge(Box::new(error))
    }
}

impl From<TestError> for CommandError {
    fn from(error: TestError) -> Self {
        match error {
            TestError::Api(error) => error.into(),
            other => Self::Test(Box::new(other)),
        }
    }
}

impl From<TransformError> for CommandError {
    fn from(error: TransformError) -> Self {
        Self::Transform(error)
    }
}

impl From<PushError> for CommandError {
    fn from(error: PushError) -> Self {
        match error {
            PushError::Api(error) => error.into(),
            PushError::Manifest(error) => error.into(),
            PushError::Transform(error) => error.into(),
            other => Self::Push(Box::new(other)),
        }
    }
}

impl From<ExportError> for CommandError {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Api(error) => error.into(),
            ExportError::Droplet { source, .. }
                if source.is_connection() || source.is_interrupted() =>
            {
                (*source).into()
            }
            other => Self::Export(Box::new(other)),
        }
    }
}

impl From<CloneError> for CommandError {
    fn from(error: CloneError) -> Self {
        Self::Clone(Box::new(error))
    }
}

impl CommandError {
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::Usage {
            message: message.into(),
            help: None,
        }
    }

    /// Adds help to a usage error.
    pub(super) fn help(self, text: impl Into<String>) -> Self {
        match self {
            Self::Usage { message, .. } => Self::Usage {
                message,
                help: Some(text.into()),
            },
            other => other,
        }
    }

    /// The items that the error concerns, one on each line.
    pub(super) fn details(&self) -> Vec<String> {
        match self {
            Self::Converge(error) => match error.as_ref() {
                ConvergeError::NotApproved { deletions, .. } => {
                    let lines = deletions.to_string();
                    lines.lines().map(str::to_owned).collect()
                }
                ConvergeError::HasUnmanaged { unmanaged, .. }
                | ConvergeError::Occupied { unmanaged, .. } => listed(unmanaged),
                ConvergeError::PlanChanged { differences } => {
                    let lines = differences.iter();
                    lines.map(|line| format!("- {line}")).collect()
                }
                ConvergeError::Unmanaged { targets } if targets.len() > 1 => listed(targets),
                _ => Vec::new(),
            },
            Self::Spec(SpecError::Invalid { problems }) if problems.len() > 1 => {
                problems.iter().map(ToString::to_string).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The help for the error.
    pub(super) fn advice(&self) -> Option<String> {
        match self {
            Self::Usage { help, .. } => help.clone(),
            Self::Transform(error) => app_flags::explain(error).1.map(str::to_owned),
            Self::Manifest(ManifestError::Variables {
                source: VariablesError::Missing(_),
                ..
            }) => Some("set them with --var or --vars-file".to_owned()),
            Self::Push(error) => push::help_for(error),
            Self::Clone(error) => clone::help_for(error),
            Self::Export(error) => export::help_for(error),
            Self::Converge(error) => match error.as_ref() {
                ConvergeError::Api(error) => help::for_error(error),
                ConvergeError::NotOurs { .. } => {
                    Some("delete it with --force if you are sure".to_owned())
                }
                ConvergeError::HasUnmanaged { .. } => {
                    Some("delete the org and everything in it with --force".to_owned())
                }
                ConvergeError::PlanChanged { .. } => {
                    Some("make a new plan with `cf-pusher plan --out FILE`".to_owned())
                }
                ConvergeError::Unmanaged { .. } => Some(
                    "take it over with --adopt, or choose other names (in a configuration: another prefix)"
                        .to_owned(),
                ),
                ConvergeError::Protected { .. } => Some(
                    "leave it out of the desired state, or take its pattern out of `protected`"
                        .to_owned(),
                ),
                ConvergeError::Occupied { .. } => Some(
                    "delete or move its contents, or declare the org or space again".to_owned(),
                ),
                ConvergeError::UnknownFeatureFlag { .. } => {
                    Some("correct its name in `feature_flags`, or remove it".to_owned())
                }
                ConvergeError::NotApproved { .. } => {
                    Some("approve the deletions with --yes or --max-deletes N".to_owned())
                }
                _ => None,
            },
            Self::Test(error) => help::for_test(error),
            Self::Config(error) => Some(for_config(error).to_owned()),
            Self::Spec(SpecError::Invalid { problems }) => {
                let reasons: Vec<_> = problems.iter().map(|it| it.reason()).collect();
                for_problems(&reasons).map(str::to_owned)
            }
            Self::Spec(SpecError::Read { .. } | SpecError::NoFiles { .. }) => {
                Some("check the path in -f".to_owned())
            }
            Self::Threads { source } => Some(help::for_threads(source).to_owned()),
            Self::Source(
                SourceError::Missing { .. }
                | SourceError::NoFolder { .. }
                | SourceError::NotAFolder { .. },
            ) => Some(
                "--apps-dir (APPS_DIR) must be a folder with one folder for each group".to_owned(),
            ),
            _ => None,
        }
    }

    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_)
            | Self::Spec(_)
            | Self::Source(_)
            | Self::Manifest(_)
            | Self::Transform(_)
            | Self::Push(_)
            | Self::Usage { .. } => 2,
            Self::Converge(error) => match error.as_ref() {
                ConvergeError::Bits { .. }
                | ConvergeError::Property { .. }
                | ConvergeError::Unsupported { .. }
                | ConvergeError::UnknownFeatureFlag { .. }
                | ConvergeError::UnknownGroup { .. } => 2,
                ConvergeError::Api(Error::Certificates { .. } | Error::InvalidApi { .. }) => 2,
                ConvergeError::Api(error) if error.is_connection() => 3,
                ConvergeError::Api(error) if error.is_interrupted() => INTERRUPTED,
                _ => 1,
            },
            Self::Clone(error) => match error.as_ref() {
                CloneError::Api(error) if error.is_connection() => 3,
                CloneError::Api(error) if error.is_interrupted() => INTERRUPTED,
                CloneError::SameName { .. } | CloneError::Host { .. } | CloneError::NeedsV3 => 2,
                _ => 1,
            },
            Self::Test(error) if error.is_connection() => 3,
            Self::Test(error) if error.is_usage() => 2,
            Self::Export(_) | Self::Test(_) | Self::Output(_) | Self::Threads { .. } => 1,
        }
    }

    /// The name of the kind of error, for programs.
    fn kind(&self) -> &'static str {
        match (self.exit_code(), self) {
            (_, Self::Config(_)) => "configuration",
            (_, Self::Spec(_)) => "spec",
            (_, Self::Source(_) | Self::Push(_)) => "bits",
            (_, Self::Manifest(_) | Self::Transform(_)) => "manifest",
            (_, Self::Output(_) | Self::Threads { .. }) => "system",
            (2, _) => "usage",
            (3, _) => "connection",
            (INTERRUPTED, _) => "interrupted",
            _ => "foundation",
        }
    }

    /// The error as JSON.
    pub(super) fn to_json(&self) -> Value {
        let mut error = json!({
            "kind": self.kind(),
            "message": self.to_string(),
            "help": self.advice(),
        });
        let details = self.details();
        if !details.is_empty() {
            error["details"] = json!(details);
        }
        json!({"error": error})
    }
}

/// The help for a configuration that cannot be used.
fn for_config(error: &ConfigError) -> &'static str {
    match error {
        ConfigError::Read { .. } => {
            "check the path in --config, or write a starter configuration with `cf-pusher init`"
        }
        ConfigError::Syntax { .. } => "`cf-pusher init -` prints a valid configuration",
        _ => "see `cf-pusher schema` for all keys and their values",
    }
}

/// The help for the problems of a spec, if their messages do not already contain it.
fn for_problems(reasons: &[&SpecProblemReason]) -> Option<&'static str> {
    use SpecProblemReason as Reason;
    let has = |is_so: fn(&Reason) -> bool| reasons.iter().any(|reason| is_so(reason));
    if has(|it| matches!(it, Reason::Variable(_))) {
        return Some("set variables with --var or --vars-file");
    }
    if has(|it| {
        matches!(
            it,
            Reason::UnknownKey { .. } | Reason::Missing { .. } | Reason::Value { .. }
        )
    }) {
        return Some("see `cf-pusher schema spec` for all keys and their values");
    }
    None
}

/// The message of a single problem. Several problems are listed below it.
fn spec_message(error: &SpecError) -> String {
    match error {
        SpecError::Invalid { problems } if problems.len() > 1 => {
            format!("the spec has {} problems", problems.len())
        }
        other => other.to_string(),
    }
}

fn listed(targets: &[Target]) -> Vec<String> {
    targets.iter().map(|target| format!("- {target}")).collect()
}
