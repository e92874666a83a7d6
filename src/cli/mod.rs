//! The command line, which turns flags into calls of the library, and their results into
//! output and an exit code.
//!
//! Exit codes: 0 converged or up to date; 1 not converged, drift, or a failed test; 2 usage,
//! configuration or manifest error; 3 connection or login failed; 130 interrupted.

mod app_flags;
mod apply;
mod approval;
mod cf_home;
mod clone;
mod completions;
mod connect;
mod converge;
mod destroy;
mod error;
mod export;
mod files;
mod flags;
mod help;
mod init;
mod input;
mod interrupt;
mod logging;
mod man;
mod manifest;
mod output;
mod place;
mod plan;
mod progress;
mod push;
mod record;
mod runtime;
mod schema;
mod screen;
mod spec;
mod test;
mod usage;
mod variables;
mod verify;

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use tokio_util::sync::CancellationToken;

use cf_pusher::Error;

use error::CommandError;
use flags::{Common, Format, Foundation};
use screen::ColorChoice;
use usage::Hints;

/// The version, with the commit that it was built from if that is known.
const VERSION: &str = env!("CF_PUSHER_VERSION");

/// Converge a Cloud Foundry foundation to declared orgs, spaces and running apps
///
/// Each kind of app is staged once. All other apps get a copy of its droplet.
#[derive(Debug, Parser)]
#[command(name = "cf-pusher", version = VERSION, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,

    /// When to use colors
    #[arg(
        long,
        value_name = "WHEN",
        value_enum,
        default_value_t,
        global = true,
        help_heading = "Output"
    )]
    color: ColorChoice,
}

const EXAMPLES: &str = "\
Examples:
  # try it without a foundation
  cf-pusher converge --config fixtures/configs/scale-test.json --mock
  # write a starter configuration, and show what it creates
  cf-pusher init scale-test.json
  cf-pusher plan --config scale-test.json
  # declare any orgs, spaces and apps in YAML
  cf-pusher apply -f fixtures/specs/shop.yml --mock
  # use a foundation other than the target of the cf CLI
  CF_USERNAME=admin CF_PASSWORD=... cf-pusher converge --config scale-test.json --api api.example.com

Exit codes:
  0    converged, or up to date
  1    not converged, or drift, or a failed test, or an app could not be pushed
  2    usage, configuration, spec or manifest error
  3    the foundation cannot be reached, or the login failed
  130  interrupted
  With `plan --detailed-exitcode`: 0 without changes, 2 with changes, 1 on every error";

/// The environment variables of all subcommands that connect to a foundation.
const ENVIRONMENT: &str = "\
Environment variables:
  CF_API                 URL of the Cloud Controller, like --api
  CF_USERNAME            User to log in as, with CF_PASSWORD
  CF_CLIENT_ID           OAuth client to log in as, with CF_CLIENT_SECRET
  CF_SKIP_SSL_VALIDATION Accept any TLS certificate, like --skip-ssl-validation
  CF_PUSHER_CA_CERT      File of trusted certificates, like --ca-cert
  SSL_CERT_FILE          File of trusted certificates, instead of the system's
  CF_HOME                Folder of the cf CLI's login [default: the home folder]
  HTTPS_PROXY, NO_PROXY  Proxy for requests, and hosts that do not need it
  NO_COLOR               No colors, like --color never
  RUST_LOG               Filter for logs, in addition to -v";

/// The environment variables of the subcommands that read a configuration or a spec.
const ENVIRONMENT_OF_CONFIG: &str = "
  APPS_DIR               Folder with the bits of each group, like --apps-dir";

/// The environment variables of `push`.
const ENVIRONMENT_OF_PUSH: &str = "
  CF_ORG, CF_SPACE       Org and space, like --org and --space
  CF_STAGING_TIMEOUT     Timeout for staging, in minutes
  CF_STARTUP_TIMEOUT     Timeout for the start of an app, in minutes
  CF_DOCKER_PASSWORD     Password for the registry of --docker-username
  CF_CNB_REGISTRY_CREDS  Credentials for registries of Cloud Native Buildpacks, as JSON";

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Online(Box<Online>),
    #[command(flatten)]
    Offline(Offline),
}

/// The subcommands that use a foundation. On a signal, their running requests finish.
#[derive(Debug, Subcommand)]
enum Online {
    Apply(apply::ApplyArgs),
    Converge(converge::ConvergeArgs),
    Plan(plan::PlanArgs),
    Verify(verify::VerifyArgs),
    Test(Box<test::TestArgs>),
    Destroy(destroy::DestroyArgs),
    Push(Box<push::PushArgs>),
    Clone(clone::CloneArgs),
    Export(export::ExportArgs),
}

/// The subcommands that do not use a foundation. A signal ends them.
#[derive(Debug, Subcommand)]
enum Offline {
    Manifest(Box<manifest::ManifestArgs>),
    Init(init::InitArgs),
    Spec(spec::SpecArgs),
    Schema(schema::SchemaArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

/// The environment variables of `clone`.
const ENVIRONMENT_OF_CLONE: &str = "
  CF_ORG, CF_SPACE       Org and space of APP, like --from-org and --from-space";

/// The exit code after an interrupt.
const INTERRUPTED: u8 = 130;

/// The command with its complete help.
fn command() -> clap::Command {
    let command = Cli::command().mut_subcommands(|command| command.mut_args(with_negative_numbers));
    let with_environment = |command: clap::Command, more: &str| {
        let examples = command.get_after_help().map(ToString::to_string);
        let examples = examples.unwrap_or_default();
        command.after_long_help(format!("{examples}\n\n{ENVIRONMENT}{more}"))
    };
    let all = format!("{ENVIRONMENT_OF_CONFIG}{ENVIRONMENT_OF_PUSH}");
    let command = with_environment(command, &all);
    let with_config = |command| with_environment(command, ENVIRONMENT_OF_CONFIG);
    command
        .mut_subcommand("apply", with_config)
        .mut_subcommand("converge", with_config)
        .mut_subcommand("plan", with_config)
        .mut_subcommand("verify", with_config)
        .mut_subcommand("test", with_config)
        .mut_subcommand("destroy", with_config)
        .mut_subcommand("push", |command| {
            with_environment(command, ENVIRONMENT_OF_PUSH)
        })
        .mut_subcommand("export", |command| with_environment(command, ""))
        .mut_subcommand("clone", |command| {
            with_environment(command, ENVIRONMENT_OF_CLONE)
        })
}

/// Treats `-1` as a value and not as a flag, so that the error names the allowed values.
fn with_negative_numbers(argument: clap::Arg) -> clap::Arg {
    match argument.get_action().takes_values() && !argument.is_positional() {
        true => argument.allow_negative_numbers(true),
        false => argument,
    }
}

/// Runs the command with the arguments of the process.
pub(crate) fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let hints = Hints::of(&arguments);
    screen::init(hints.color);
    let matches = command().try_get_matches_from(&arguments);
    let cli = match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) if usage::is_help(&error) => return usage::print_help(&error),
        Err(error) => return fail(&usage::explain(&error, &arguments), hints),
    };
    let outcome = match cli.command {
        Command::Online(command) => execute(*command),
        Command::Offline(command) => run_offline(command),
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => fail(&error, hints),
    }
}

/// Prints an error as text, and as JSON if that is the selected format.
fn fail(error: &CommandError, hints: Hints) -> ExitCode {
    output::eprintln_error(error);
    let mut code = error.exit_code();
    if hints.format == Format::Json && output::print(&format!("{:#}", error.to_json())).is_err() {
        code = 1;
    }
    ExitCode::from(if hints.detailed_exitcode { 1 } else { code })
}

fn execute(command: Online) -> Result<u8, CommandError> {
    let runtime = runtime::start()?;
    let interrupt = CancellationToken::new();
    // A separate task, so that a file that blocks it, such as a pipe, does not block
    // signals.
    let running = runtime.spawn({
        let interrupt = interrupt.clone();
        async move { run(command, &interrupt).await }
    });
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = running => outcome.unwrap_or_else(|error| Err(io::Error::other(error).into())),
            () = interrupt::wait_for_second_signal(&interrupt) => Err(Error::Interrupted.into()),
        }
    });
    progress::stop();
    // A prompt may still be reading from the terminal. The process does not wait for it.
    runtime.shutdown_background();
    outcome
}

async fn run(command: Online, interrupt: &CancellationToken) -> Result<u8, CommandError> {
    match command {
        Online::Apply(args) => apply::run(args, interrupt).await,
        Online::Converge(args) => converge::run(args, interrupt).await,
        Online::Plan(args) => plan::run(args, interrupt).await,
        Online::Verify(args) => verify::run(args, interrupt).await,
        Online::Test(args) => test::run(*args, interrupt).await,
        Online::Destroy(args) => destroy::run(args, interrupt).await,
        Online::Push(args) => push::run(*args, interrupt).await,
        Online::Clone(args) => clone::run(args, interrupt).await,
        Online::Export(args) => export::run(args, interrupt).await,
    }
}

fn run_offline(command: Offline) -> Result<u8, CommandError> {
    match command {
        Offline::Manifest(args) => manifest::run(*args),
        Offline::Init(args) => init::run(args),
        Offline::Spec(args) => spec::run(args),
        Offline::Schema(args) => schema::run(args),
        Offline::Completions(args) => completions::run(args),
        Offline::Man(args) => man::run(args),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }
}
