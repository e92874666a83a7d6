//! `cf-pusher push`: one app, or those of a manifest.

mod summary;

use clap::Args;
use secrecy::SecretString;

use super::connect::{self, Connected};
use super::{CommandError, Format, Foundation, cf_home, output};
use crate::capi::apps;
use crate::capi::dialect::Dialect;
use crate::config;
use crate::manifest::diff::Diff;
use crate::manifest::overrides::Overrides;
use crate::manifest::yaml::Value;
use crate::manifest::{self, Prepared, diff};
use crate::push::origin::{asks_password, origins};
use crate::push::{Pushed, Pusher};

/// How many requests are in flight where nobody says.
const CONCURRENCY: u32 = 16;

/// Push an app, or all apps of a manifest, beside each other
///
/// The manifest is changed as the flags say before it is applied, in one
/// request for all apps: what Cloud Controller refuses leaves nothing behind.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cf-pusher push dora -p build/dora -m 64M -i 3 --org o --space s
  cf-pusher push -f manifest.yml --dry-run
  cf-pusher push dora --strategy rolling --max-in-flight 2")]
pub(super) struct PushArgs {
    #[command(flatten)]
    flags: AppFlags,

    /// Only show what would change
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    place: Place,

    #[command(flatten)]
    foundation: Foundation,
}

/// Where the apps go.
#[derive(Debug, Args)]
struct Place {
    /// The org; else that which the cf CLI targets
    #[arg(long)]
    org: Option<String>,

    /// The space; else that which the cf CLI targets
    #[arg(long)]
    space: Option<String>,
}

/// The flags about the apps.
#[derive(Debug, Args)]
pub(super) struct AppFlags {
    #[command(flatten)]
    overrides: Overrides,

    /// Hide the values of environment variables where a difference is shown
    #[arg(long)]
    pub(super) redact_env: bool,
}

impl AppFlags {
    /// The flags, with what the environment adds.
    pub(super) fn overrides(&self) -> Result<Overrides, CommandError> {
        const CREDENTIALS: &str = "CF_CNB_REGISTRY_CREDS";
        let mut flags = self.overrides.clone();
        let given = std::env::var(CREDENTIALS).unwrap_or_default();
        if !given.is_empty() && given != "null" {
            let credentials: serde_json::Map<_, _> =
                serde_json::from_str(&given).map_err(|error| {
                    let at = (error.line(), error.column());
                    CommandError::Usage(format!(
                        "{CREDENTIALS} is no JSON object: line {}, column {}",
                        at.0, at.1
                    ))
                })?;
            flags.cnb_credentials = Some(Value::from(&serde_json::Value::Object(credentials)));
        }
        Ok(flags)
    }
}

pub(super) async fn run(args: PushArgs) -> Result<u8, CommandError> {
    let prepared = manifest::prepare(args.flags.overrides()?)?;
    let password = docker_password(&prepared)?;
    let origins = origins(&prepared, password.as_ref());
    let origins = origins.map_err(|error| CommandError::Usage(error.to_string()))?;
    let foundation = &args.foundation;
    let concurrency = foundation.concurrency.unwrap_or(CONCURRENCY);
    let nothing = config::Connection::default();
    let connected = Connected::open(foundation, &nothing, concurrency, []).await?;
    if connected.client.dialect() == Dialect::Documented2017 {
        return Err(CommandError::Usage(
            "push applies manifests, and a Cloud Controller as of 2017 knows none".to_owned(),
        ));
    }
    let space = args.place.space(&connected, foundation).await?;
    let pusher = Pusher::new(&connected.client, &prepared, &origins, &space);
    let difference = pusher.diff().await?;
    show(&connected, &prepared, &difference, &args)?;
    if args.dry_run {
        return Ok(0);
    }
    pusher.apply(&difference).await?;
    let pushed = pusher.push(&difference).await?;
    report(&connected, &pushed)?;
    Ok(exit_code(&pushed))
}

/// A password is asked for an image only where there is a user.
fn docker_password(prepared: &Prepared) -> Result<Option<SecretString>, CommandError> {
    const PASSWORD: &str = "CF_DOCKER_PASSWORD";
    let password = std::env::var(PASSWORD).ok().filter(|it| !it.is_empty());
    if asks_password(prepared) && password.is_none() {
        return Err(CommandError::Usage(format!(
            "the Docker image has a username and no password; set {PASSWORD}"
        )));
    }
    Ok(password.map(SecretString::from))
}

impl Place {
    /// The GUID of the space.
    async fn space(
        &self,
        connected: &Connected,
        foundation: &Foundation,
    ) -> Result<String, CommandError> {
        #[cfg(feature = "mock")]
        if foundation.mock {
            let org = self.org.as_deref().unwrap_or("org");
            let space = self.space.as_deref().unwrap_or("space");
            return Ok(apps::create_space(&connected.client, org, space).await?);
        }
        let client = &connected.client;
        if let (Some(org), Some(space)) = (&self.org, &self.space) {
            return Ok(apps::space(client, org, space).await?);
        }
        let login = cf_home::read().map_err(CommandError::Usage)?;
        let here = login.filter(|login| connect::same_api(client.api(), &login.api));
        let Some(login) = here else {
            return Err(CommandError::Usage(nowhere()));
        };
        match (&self.org, &self.space, login.org, login.space) {
            (None, None, Some(_), Some(space)) => Ok(space.guid),
            (None, Some(space), Some(org), _) => Ok(apps::space(client, &org.name, space).await?),
            _ => Err(CommandError::Usage(nowhere())),
        }
    }
}

fn nowhere() -> String {
    "no org and space given; use --org and --space, or target them with `cf target -o ORG -s SPACE`"
        .to_owned()
}

/// Shows what changes: on standard output, but for who wants JSON there.
fn show(
    connected: &Connected,
    prepared: &Prepared,
    difference: &Diff,
    args: &PushArgs,
) -> Result<(), CommandError> {
    let manifest = prepared.scaled.to_value();
    let lines = diff::lines(&manifest, difference, args.flags.redact_env);
    match connected.format {
        Format::Text => {
            if let Some(path) = prepared.manifest.path() {
                let path = path.display();
                output::print(&format!("the manifest {path}, and what changes:"))?;
            }
            output::print_diff(&lines)?;
            if args.dry_run && difference.is_empty() {
                output::print("nothing changes in the apps' properties")?;
            }
        }
        Format::Json if args.dry_run => {
            let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
            let changes = !difference.is_empty();
            let shown = serde_json::json!({"changes": changes, "diff": lines});
            output::print(&format!("{shown:#}"))?;
        }
        Format::Json => {}
    }
    Ok(())
}

fn report(connected: &Connected, pushed: &[Pushed]) -> Result<(), CommandError> {
    for failure in pushed.iter().filter_map(|it| it.result.as_ref().err()) {
        output::complain(&format!("error: {failure}"));
        for line in &failure.log {
            output::complain(&format!("{} | {line}", failure.app));
        }
        if let Some(advice) = failure.error.advice() {
            output::complain(&format!("advice: {advice}"));
        }
    }
    match connected.format {
        Format::Text => output::print(&summary::text(pushed))?,
        Format::Json => output::print(&format!("{:#}", summary::json(connected, pushed)))?,
    }
    Ok(())
}

/// A connection that was lost on the way is none, too.
fn exit_code(pushed: &[Pushed]) -> u8 {
    let mut failures = pushed.iter().filter_map(|it| it.result.as_ref().err());
    let failed = pushed.iter().any(|it| it.result.is_err());
    let lost = failures.any(|failure| failure.error.is_connection());
    match (failed, lost) {
        (false, _) => 0,
        (true, false) => 1,
        (true, true) => 3,
    }
}
