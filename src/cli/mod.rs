//! The command line: turns flags into calls of the library, and their results into
//! output and an exit code.
//!
//! Exit codes: 0 converged or up to date; 1 not converged, or drift; 2 usage,
//! configuration or manifest error; 3 connection or login failed; 130 interrupted.

mod app_flags;
mod approval;
mod cf_home;
mod connect;
mod converge;
mod destroy;
mod help;
mod interrupt;
mod manifest;
mod output;
mod plan;
mod progress;
mod push;
mod record;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use tokio_util::sync::CancellationToken;

use cf_pusher::manifest::{ManifestError, TransformError, VariablesError};
use cf_pusher::push::PushError;
use cf_pusher::{ConfigError, ConvergeError, Dialect, Error, SourceError};

/// Converge a Cloud Foundry org to many running apps
///
/// Each kind of app is staged once; all other apps get a copy of its droplet.
#[derive(Debug, Parser)]
#[command(name = "cf-pusher", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  # try it without a foundation
  cf-pusher converge --config fixtures/configs/scale-test.json --mock
  # show the changes, on the foundation that the cf CLI targets
  cf-pusher plan --config scale-test.json
  # on another foundation
  CF_USERNAME=admin CF_PASSWORD=... cf-pusher converge --config scale-test.json --api api.example.com

Exit codes: 0 converged or up to date; 1 not converged, or drift; 2 usage, configuration
or manifest error; 3 connection or login failed; 130 interrupted.";

#[derive(Debug, Subcommand)]
enum Command {
    Converge(converge::ConvergeArgs),
    Plan(plan::PlanArgs),
    Verify(verify::VerifyArgs),
    Destroy(destroy::DestroyArgs),
    Push(push::PushArgs),
    Manifest(manifest::ManifestArgs),
}

/// The flags of the subcommands that read a configuration.
#[derive(Debug, Args)]
struct Common {
    /// Path to the scaling-test parameters, a JSON file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,

    /// Folder with the bits of each group: registry, tick, proxy [default: bundled apps]
    #[arg(long, value_name = "DIR", env = "APPS_DIR")]
    apps_dir: Option<PathBuf>,

    #[command(flatten)]
    foundation: Foundation,
}

/// The flags of the subcommands that connect to a foundation.
#[derive(Debug, Args)]
#[command(next_help_heading = "Foundation")]
struct Foundation {
    /// URL of the Cloud Controller [default: CF_API, then `api` in the configuration,
    /// then the target of the cf CLI]
    #[arg(long, value_name = "URL")]
    api: Option<String>,

    /// Use an embedded fake Cloud Controller instead of a foundation
    #[cfg(feature = "mock")]
    #[arg(long, conflicts_with = "api")]
    mock: bool,

    /// Version of the Cloud Controller API
    #[arg(long, value_enum, default_value_t = DialectChoice::Auto)]
    dialect: DialectChoice,

    /// Accept any TLS certificate
    #[arg(long, env = "CF_SKIP_SSL_VALIDATION", value_parser = FalseyValueParser::new())]
    skip_ssl_validation: bool,

    /// Also trust the certificates in this file (PEM), beside those of the system or of
    /// SSL_CERT_FILE
    #[arg(long, value_name = "FILE", env = "CF_PUSHER_CA_CERT")]
    ca_cert: Option<PathBuf>,

    /// Maximum number of concurrent requests [default: `concurrency` in the
    /// configuration, then 16]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    concurrency: Option<u32>,

    /// Timeout for each wait, such as `90s` or `15m`
    #[arg(long, value_name = "TIME", value_parser = timeout, default_value = "15m")]
    timeout: Duration,

    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,

    /// Log requests (-v), and their details (-vv), to standard error
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
}

impl Foundation {
    /// Whether the foundation is the embedded fake.
    fn is_mock(&self) -> bool {
        #[cfg(feature = "mock")]
        return self.mock;
        #[cfg(not(feature = "mock"))]
        return false;
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DialectChoice {
    /// Detected from the Cloud Controller's version
    Auto,
    /// The v3 API
    V3,
    /// The API as documented in 2017
    #[value(name = "2017")]
    Documented2017,
}

impl DialectChoice {
    fn dialect(self) -> Option<Dialect> {
        match self {
            Self::Auto => None,
            Self::V3 => Some(Dialect::V3),
            Self::Documented2017 => Some(Dialect::Documented2017),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Human-readable text
    Text,
    /// One JSON object
    Json,
}

fn timeout(text: &str) -> Result<Duration, String> {
    let timeout = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if timeout.is_zero() || timeout > Duration::from_secs(7 * 24 * 60 * 60) {
        return Err("must be from 1ms to 7days".to_owned());
    }
    Ok(timeout)
}

/// The exit code after an interrupt.
const INTERRUPTED: u8 = 130;

/// Why a command ended without doing its work.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error("{}", app_flags::explain(.0).0)]
    Transform(#[source] TransformError),
    #[error(transparent)]
    Push(Box<PushError>),
    #[error("{message}")]
    Usage {
        message: String,
        help: Option<String>,
    },
    #[error(transparent)]
    Converge(Box<ConvergeError>),
    #[error("writing to standard output failed: {0}")]
    Output(#[from] std::io::Error),
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

impl CommandError {
    fn usage(message: impl Into<String>) -> Self {
        Self::Usage {
            message: message.into(),
            help: None,
        }
    }

    /// Adds what to do to a usage error.
    fn help(self, text: impl Into<String>) -> Self {
        match self {
            Self::Usage { message, .. } => Self::Usage {
                message,
                help: Some(text.into()),
            },
            other => other,
        }
    }

    /// What the error is about, one thing a line.
    fn details(&self) -> Vec<String> {
        match self {
            Self::Converge(error) => match error.as_ref() {
                ConvergeError::NotApproved { deletions, .. } => {
                    let lines = deletions.to_string();
                    lines.lines().map(str::to_owned).collect()
                }
                _ => Vec::new(),
            },
            _ => Vec::new(),
        }
    }

    /// What to do about the error.
    fn advice(&self) -> Option<String> {
        match self {
            Self::Usage { help, .. } => help.clone(),
            Self::Transform(error) => app_flags::explain(error).1.map(str::to_owned),
            Self::Manifest(ManifestError::Variables {
                source: VariablesError::Missing(_),
                ..
            }) => Some("set them with --var or --vars-file".to_owned()),
            Self::Push(error) => push::help_for(error),
            Self::Converge(error) => match error.as_ref() {
                ConvergeError::Api(error) => help::for_error(error),
                ConvergeError::NotOurs { .. } => {
                    Some("delete it with --force if you are sure".to_owned())
                }
                ConvergeError::NotApproved { .. } => {
                    Some("approve the deletions with --yes or --max-deletes N".to_owned())
                }
                _ => None,
            },
            Self::Config(ConfigError::Read { .. }) => Some("check the path in --config".to_owned()),
            Self::Source(SourceError::Missing { .. } | SourceError::NoFolder { .. }) => Some(
                "--apps-dir (APPS_DIR) must be a folder with one folder for each group".to_owned(),
            ),
            _ => None,
        }
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_)
            | Self::Source(_)
            | Self::Manifest(_)
            | Self::Transform(_)
            | Self::Push(_)
            | Self::Usage { .. } => 2,
            Self::Converge(error) => match error.as_ref() {
                ConvergeError::Bits { .. } | ConvergeError::Property { .. } => 2,
                ConvergeError::Api(error) if error.is_connection() => 3,
                ConvergeError::Api(error) if error.is_interrupted() => INTERRUPTED,
                _ => 1,
            },
            Self::Output(_) => 1,
        }
    }
}

/// Runs the command in the process's arguments.
pub(crate) fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => {
            output::eprintln_line(&one_line(&error));
            return ExitCode::from(2);
        }
        Err(help) => {
            let printed = output::print(help.render().to_string().trim_end());
            return ExitCode::from(u8::from(printed.is_err()));
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            output::eprintln_line(&format!("error: starting the runtime failed: {error}"));
            return ExitCode::from(1);
        }
    };
    let interrupt = CancellationToken::new();
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = run(cli.command, &interrupt) => outcome,
            () = interrupt::wait_for_second_signal(&interrupt) => Err(Error::Interrupted.into()),
        }
    });
    // A prompt may still read from the terminal; it is not waited for.
    runtime.shutdown_background();
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            output::eprintln_error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

/// The first paragraph of clap's message, as one line.
fn one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let lines = text.lines().take_while(|line| !line.is_empty());
    lines.map(str::trim).collect::<Vec<_>>().join(" ")
}

async fn run(command: Command, interrupt: &CancellationToken) -> Result<u8, CommandError> {
    match command {
        Command::Converge(args) => converge::run(args, interrupt).await,
        Command::Plan(args) => plan::run(args, interrupt).await,
        Command::Verify(args) => verify::run(args, interrupt).await,
        Command::Destroy(args) => destroy::run(args, interrupt).await,
        Command::Push(args) => push::run(args, interrupt).await,
        Command::Manifest(args) => manifest::run(args),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_usage_error_is_one_line() {
        let parse = |line: &str| {
            let error = Cli::try_parse_from(line.split(' ')).unwrap_err();
            one_line(&error)
        };
        insta::assert_snapshot!(parse("cf-pusher push -i -1"), @"error: invalid value '-1' for '--instances <N>': must be a whole number from 0 to 4294967295");
        insta::assert_snapshot!(parse("cf-pusher push -u bogus"), @"error: invalid value 'bogus' for '--health-check-type <TYPE>' [possible values: http, port, process]");
        insta::assert_snapshot!(parse("cf-pusher converge"), @"error: the following required arguments were not provided: --config <FILE>");
    }

    #[test]
    fn timeouts_have_bounds() {
        assert_eq!(timeout("90s"), Ok(Duration::from_secs(90)));
        assert!(timeout("0s").is_err());
        assert!(timeout("8days").is_err());
        assert!(timeout("soon").is_err());
    }
}
