//! The command line: flags to library calls to output and exit code.
//!
//! Exit codes: 0 as desired; 1 not as desired; 2 usage, configuration or
//! manifest error; 3 cannot reach or log in to the API; 130 interrupted.

mod cf_home;
mod connect;
mod converge;
mod destroy;
mod interrupt;
mod manifest;
mod output;
mod plan;
mod push;
mod record;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use tokio_util::sync::CancellationToken;

use crate::capi::dialect::Dialect;
use crate::capi::error::Error;
use crate::config::ConfigError;
use crate::converge::ConvergeError;
use crate::manifest::PrepareError;
use crate::push::source::SourceError;

/// Converges a Cloud Foundry org to many running apps: each kind of app is
/// staged once, every other app gets a copy of its droplet.
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
  # what would be done, where the cf CLI is logged in
  cf-pusher plan --config scale-test.json
  # on a foundation of your own
  CF_USERNAME=admin CF_PASSWORD=... cf-pusher converge --config scale-test.json --api api.example.com

Exit codes: 0 as desired; 1 not as desired; 2 usage, configuration or manifest error;
3 cannot reach or log in to the API; 130 interrupted.";

#[derive(Debug, Subcommand)]
enum Command {
    Converge(converge::ConvergeArgs),
    Plan(plan::PlanArgs),
    Verify(verify::VerifyArgs),
    Destroy(destroy::DestroyArgs),
    Push(push::PushArgs),
    Manifest(manifest::ManifestArgs),
}

/// What the subcommands about a configuration take.
#[derive(Debug, Args)]
struct Common {
    /// The scaling-test parameters, a JSON file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,

    /// A folder with one folder of bits for each group: registry, tick, proxy;
    /// else the bundled apps
    #[arg(long, value_name = "DIR", env = "APPS_DIR")]
    apps_dir: Option<PathBuf>,

    #[command(flatten)]
    foundation: Foundation,
}

/// What all subcommands that work on a foundation take.
#[derive(Debug, Args)]
#[command(next_help_heading = "The foundation")]
struct Foundation {
    /// The Cloud Controller's URL; else CF_API, else the configuration's `api`,
    /// else the target of the cf CLI
    #[arg(long, value_name = "URL")]
    api: Option<String>,

    /// Work on an embedded fake Cloud Controller instead of a foundation
    #[cfg(feature = "mock")]
    #[arg(long, conflicts_with = "api")]
    mock: bool,

    /// How to speak to the Cloud Controller
    #[arg(long, value_enum, default_value_t = DialectChoice::Auto)]
    dialect: DialectChoice,

    /// Accept any TLS certificate
    #[arg(long, env = "CF_SKIP_SSL_VALIDATION", value_parser = FalseyValueParser::new())]
    skip_ssl_validation: bool,

    /// How many requests may be in flight; else the configuration's
    /// `concurrency`, else 16
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    concurrency: Option<u32>,

    /// The longest that any one wait may take, such as `90s` or `15m`
    #[arg(long, value_name = "TIME", value_parser = timeout, default_value = "15m")]
    timeout: Duration,

    /// What to print on standard output
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,

    /// Say more: requests with -v, their details with -vv
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
}

impl Foundation {
    /// Whether it is an embedded fake one.
    fn is_mock(&self) -> bool {
        #[cfg(feature = "mock")]
        return self.mock;
        #[cfg(not(feature = "mock"))]
        return false;
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DialectChoice {
    /// As the Cloud Controller's version asks
    Auto,
    /// The API v3 of today
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
    /// For people
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

/// The exit code of who was interrupted.
const INTERRUPTED: u8 = 130;

/// Why a command ended without doing its work.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Manifest(#[from] PrepareError),
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Converge(#[from] ConvergeError),
    #[error("cannot write to standard output: {0}")]
    Output(#[from] std::io::Error),
}

impl From<Error> for CommandError {
    fn from(error: Error) -> Self {
        Self::Converge(error.into())
    }
}

impl CommandError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Source(_) | Self::Manifest(_) | Self::Usage(_) => 2,
            Self::Converge(ConvergeError::Api(error)) if error.is_connection() => 3,
            error if error.is_interrupted() => INTERRUPTED,
            Self::Converge(_) | Self::Output(_) => 1,
        }
    }

    fn is_interrupted(&self) -> bool {
        matches!(self, Self::Converge(ConvergeError::Api(error)) if error.is_interrupted())
    }
}

/// Runs the command that the process was called with.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => {
            output::complain(&one_line(&error));
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
            output::complain(&format!("error: cannot start: {error}"));
            return ExitCode::from(1);
        }
    };
    let interrupt = CancellationToken::new();
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = run(cli.command, &interrupt) => outcome,
            () = interrupt::heard_twice(&interrupt) => Err(Error::Interrupted.into()),
        }
    });
    // A prompt may still be reading; nothing waits for it.
    runtime.shutdown_background();
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            output::complain(&format!("error: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}

/// What is wrong with the command line: its first paragraph, as one line.
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
    fn a_wrong_command_line_is_told_in_one_line() {
        let parse = |line: &str| {
            let error = Cli::try_parse_from(line.split(' ')).unwrap_err();
            one_line(&error)
        };
        insta::assert_snapshot!(parse("cf-pusher push -i -1"), @"error: invalid value '-1' for '--instances <N>': must be a whole number, 0 or more");
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
