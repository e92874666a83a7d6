//! `cf-pusher push`: pushes one app, or all apps of a manifest.

pub(super) mod summary;

use std::time::Duration;

use clap::Args;
use tokio_util::sync::CancellationToken;

use cf_pusher::SecretString;
use cf_pusher::manifest::Manifest;
use cf_pusher::push::{Push, PushError, PushOutcome, PushPlan};

use super::app_flags::AppFlags;
use super::connect::{self, Connected};
use super::place::{self, SelectedSpace};
use super::{CommandError, Format, Foundation, help, interrupt, output};

/// The maximum timeout, the same as for `--timeout`.
const MAX_TIMEOUT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The environment variable with the password for Docker images.
const DOCKER_PASSWORD: &str = "CF_DOCKER_PASSWORD";

/// The environment variables with timeouts in minutes. The cf CLI has the same.
const STAGING_TIMEOUT: &str = "CF_STAGING_TIMEOUT";
const STARTUP_TIMEOUT: &str = "CF_STARTUP_TIMEOUT";

/// Push one app, or all apps of a manifest in parallel
///
/// Flags are applied to the manifest before it is sent, and one request applies it to all
/// apps. If the Cloud Controller refuses it, new apps and routes are deleted again.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cf-pusher push dora -p build/dora -m 64M -i 3 --org o --space s
  cf-pusher push -f manifest.yml --dry-run
  cf-pusher push dora --strategy rolling --max-in-flight 2")]
pub(super) struct PushArgs {
    #[command(flatten)]
    flags: AppFlags,

    /// Show the changes without making them
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    place: Place,

    #[command(flatten)]
    foundation: Foundation,
}

/// The space to push to.
#[derive(Debug, Args)]
struct Place {
    /// Org [default: the target of the cf CLI]
    #[arg(long)]
    org: Option<String>,

    /// Space [default: the target of the cf CLI]
    #[arg(long)]
    space: Option<String>,
}

pub(super) async fn run(args: PushArgs, interrupt: &CancellationToken) -> Result<u8, CommandError> {
    let timeouts = (minutes(STAGING_TIMEOUT)?, minutes(STARTUP_TIMEOUT)?);
    let overrides = args.flags.overrides()?;
    let flags = args.flags.clone();
    let manifest = interrupt::blocking(interrupt, move || flags.manifest()).await?;
    // The manifest is transformed before connecting, so that an invalid manifest is
    // reported offline.
    let transformed = manifest.clone().transform(&overrides)?;
    if !args.dry_run {
        transformed.check_paths()?;
    }
    let warnings = manifest.warnings().to_vec();
    let connected = Connected::without_configuration(&args.foundation, interrupt, warnings).await?;
    let org = place::given(args.place.org.as_deref(), "CF_ORG");
    let space = place::given(args.place.space.as_deref(), "CF_SPACE");
    let SelectedSpace { space, place, .. } = place::find(
        org.as_deref(),
        space.as_deref(),
        "use --org and --space, or target them with `cf target -o ORG -s SPACE`",
        &connected,
    )?;
    let push = Push::new(connected.client.clone(), space, manifest).overrides(overrides);
    let push = match connect::variable(DOCKER_PASSWORD) {
        Some(password) => push.docker_password(SecretString::from(password)),
        None => push,
    };
    let push = match timeouts.0 {
        Some(timeout) => push.staging_timeout(timeout),
        None => push,
    };
    let push = match timeouts.1 {
        Some(timeout) => push.startup_timeout(timeout),
        None => push,
    };
    execute(&push, &connected, &transformed, &place, &args).await
}

async fn execute(
    push: &Push,
    connected: &Connected,
    manifest: &Manifest,
    place: &str,
    args: &PushArgs,
) -> Result<u8, CommandError> {
    let plan = push.plan().await?;
    announce(connected, manifest, place);
    show(connected, manifest, &plan, args)?;
    if args.dry_run {
        return Ok(0);
    }
    let outcome = plan.apply().await?;
    connected.end_progress();
    report(connected, &outcome)?;
    let errors = outcome.failures.iter().map(|failure| &failure.error);
    let is_interrupted = outcome.is_interrupted();
    Ok(summary::exit_code(
        outcome.is_success(),
        is_interrupted,
        errors,
    ))
}

fn announce(connected: &Connected, manifest: &Manifest, place: &str) {
    let what = match manifest.applications() {
        [app] => app.name().to_owned(),
        apps => format!("{} apps", apps.len()),
    };
    let api = connected.client.api();
    output::eprintln_line(&format!("pushing {what} to {place} at {api}"));
}

/// Prints the changes to standard output, unless the format is JSON.
fn show(
    connected: &Connected,
    manifest: &Manifest,
    plan: &PushPlan,
    args: &PushArgs,
) -> Result<(), CommandError> {
    let lines = plan.diff().lines(plan.manifest(), args.flags.redact_env);
    match connected.format {
        Format::Text => {
            if let Some(path) = manifest.path() {
                let path = path.display();
                let changes = match plan.diff().is_empty() {
                    true => "without changes",
                    false => "with these changes",
                };
                output::print(&format!("Applying manifest {path} {changes}:"))?;
            }
            output::print_diff(&lines)?;
            if args.dry_run && plan.diff().is_empty() && manifest.path().is_none() {
                output::print("No changes to the apps' properties.")?;
            }
        }
        Format::Json if args.dry_run => {
            let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
            let changes = !plan.diff().is_empty();
            let shown = serde_json::json!({"changes": changes, "diff": lines});
            output::print(&format!("{shown:#}"))?;
        }
        Format::Json => {}
    }
    Ok(())
}

fn report(connected: &Connected, outcome: &PushOutcome) -> Result<(), CommandError> {
    match connected.format {
        Format::Text => output::print(&summary::text(outcome))?,
        Format::Json => output::print(&format!("{:#}", summary::json(connected, outcome)))?,
    }
    // The staging log has already been printed.
    let failures = outcome.failures.iter().map(|failure| summary::Failure {
        text: failure.to_string(),
        app: &failure.app,
        step: failure.step,
        error: &failure.error,
    });
    summary::report_failures(failures, outcome.is_interrupted());
    Ok(())
}

/// A number of minutes in an environment variable, if it is set.
fn minutes(variable: &str) -> Result<Option<Duration>, CommandError> {
    let Some(given) = connect::variable(variable) else {
        return Ok(None);
    };
    let minutes = given.trim().parse::<f64>().ok().filter(|it| *it > 0.0);
    let timeout = minutes.and_then(|it| Duration::try_from_secs_f64(it * 60.0).ok());
    match timeout.filter(|it| *it <= MAX_TIMEOUT) {
        Some(timeout) => Ok(Some(timeout)),
        None => Err(CommandError::usage(format!(
            "{variable} is \"{given}\", must be a number of minutes, such as 15"
        ))),
    }
}

/// The help for an error that prevents a push.
pub(super) fn help_for(error: &PushError) -> Option<String> {
    match error {
        PushError::MissingDockerPassword { .. } => Some(format!("set {DOCKER_PASSWORD}")),
        PushError::Api(error) => help::for_error(error),
        PushError::NeedsV3 => Some("use a foundation with the v3 API".to_owned()),
        _ => None,
    }
}
