//! `cf-pusher push`: one app, or those of a manifest.

mod summary;

use std::collections::{HashMap, HashSet};
use std::fmt;

use clap::Args;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use super::cf_home::{self, Targeted};
use super::connect::{self, Connected};
use super::{CommandError, Format, Foundation, INTERRUPTED, output};
use crate::capi::apps;
use crate::capi::dialect::Dialect;
use crate::capi::error::Error;
use crate::config;
use crate::manifest::diff::Diff;
use crate::manifest::overrides::Overrides;
use crate::manifest::yaml::Value;
use crate::manifest::{self, Prepared, diff};
use crate::push::origin::{Origin, asks_password, origins};
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

    /// Hide the values of environment variables in the difference that push shows
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

pub(super) async fn run(args: PushArgs, interrupt: &CancellationToken) -> Result<u8, CommandError> {
    let prepared = manifest::prepare(args.flags.overrides()?)?;
    check_names(&prepared)?;
    let origins = match args.dry_run {
        true => Vec::new(),
        false => tokio::select! {
            origins = read_origins(&prepared) => origins?,
            () = interrupt.cancelled() => return Err(Error::Interrupted.into()),
        },
    };
    let foundation = &args.foundation;
    let concurrency = foundation.concurrency.unwrap_or(CONCURRENCY);
    let nothing = config::Connection::default();
    let connected =
        Connected::open(foundation, &nothing, concurrency, interrupt, [], Vec::new()).await?;
    if connected.client.dialect() == Dialect::Documented2017 {
        return Err(CommandError::Usage(
            "push applies manifests, and a Cloud Controller as of 2017 knows none".to_owned(),
        ));
    }
    let target = args.place.find(&connected, foundation).await?;
    announce(&connected, &prepared, &target);
    let pusher = Pusher::new(&connected.client, &prepared, &origins, &target.guid);
    let outcome = push(&pusher, &connected, &prepared, &args).await;
    if let (Err(error), Format::Json) = (&outcome, connected.format) {
        let json = summary::failed_json(&connected, &error.to_string());
        output::print(&format!("{json:#}"))?;
    }
    outcome
}

async fn push(
    pusher: &Pusher<'_>,
    connected: &Connected,
    prepared: &Prepared,
    args: &PushArgs,
) -> Result<u8, CommandError> {
    let difference = pusher.diff().await?;
    show(connected, prepared, &difference, args)?;
    if args.dry_run {
        return Ok(0);
    }
    pusher.apply(&difference).await?;
    let pushed = pusher.push(&difference).await?;
    // Who pushes again knows the routes, unless they are random.
    let routes = match !difference.new_apps().is_empty() || prepared.flags.random_route {
        true => match pusher.routes(&pushed).await {
            Err(Error::Interrupted) => HashMap::new(),
            routes => routes?,
        },
        false => HashMap::new(),
    };
    report(connected, &pushed, &routes)?;
    Ok(exit_code(&pushed))
}

/// Reads the bits beside what else goes on, so that an interrupt is heard.
async fn read_origins(prepared: &Prepared) -> Result<Vec<Origin>, CommandError> {
    let password = docker_password(prepared)?;
    let prepared = prepared.clone();
    let read = tokio::task::spawn_blocking(move || origins(&prepared, password.as_ref()));
    let read = read.await.map_err(|error| error.to_string());
    let read = read.and_then(|read| read.map_err(|error| error.to_string()));
    read.map_err(CommandError::Usage)
}

/// Two apps of one name would be pushed over each other.
fn check_names(prepared: &Prepared) -> Result<(), CommandError> {
    let mut seen = HashSet::new();
    let mut apps = prepared.manifest.applications().iter();
    match apps.find(|app| !seen.insert(app.name())) {
        None => Ok(()),
        Some(app) => Err(CommandError::Usage(format!(
            "the manifest has the app {} twice; keep one of them",
            app.name()
        ))),
    }
}

fn announce(connected: &Connected, prepared: &Prepared, target: &Target) {
    let apps = prepared.manifest.applications();
    let what = match apps {
        [app] => app.name().to_owned(),
        apps => format!("{} apps", apps.len()),
    };
    let api = connected.client.api();
    output::complain(&format!("pushing {what} to {target} at {api}"));
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

/// A space that was found.
struct Target {
    guid: String,
    org: String,
    space: String,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the space {} of the org {}", self.space, self.org)
    }
}

impl Place {
    async fn find(
        &self,
        connected: &Connected,
        foundation: &Foundation,
    ) -> Result<Target, CommandError> {
        let client = &connected.client;
        if foundation.is_mock() {
            let org = self.org.as_deref().unwrap_or("org").to_owned();
            let space = self.space.as_deref().unwrap_or("space").to_owned();
            let guid = apps::create_space(client, &org, &space).await?;
            return Ok(Target { guid, org, space });
        }
        let (org, space) = match (&self.org, &self.space) {
            (Some(org), Some(space)) => (org.clone(), space.clone()),
            (org, space) => {
                let (its_org, its_space) = targeted(client.api())?;
                match (org, space, its_org, its_space) {
                    (None, None, Some(org), Some(space)) => {
                        return Ok(Target {
                            guid: space.guid,
                            org: org.name,
                            space: space.name,
                        });
                    }
                    (None, Some(space), Some(org), _) => (org.name, space.clone()),
                    _ => return Err(CommandError::Usage(nowhere())),
                }
            }
        };
        let guid = apps::space(client, &org, &space).await?;
        Ok(Target { guid, org, space })
    }
}

/// The org and space that the cf CLI targets on this foundation.
fn targeted(api: &str) -> Result<(Option<Targeted>, Option<Targeted>), CommandError> {
    let login = cf_home::read().map_err(CommandError::Usage)?;
    let login = login.filter(|login| connect::same_api(api, &login.api));
    Ok(login.map_or((None, None), |login| (login.org, login.space)))
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

fn report(
    connected: &Connected,
    pushed: &[Pushed],
    routes: &HashMap<String, Vec<String>>,
) -> Result<(), CommandError> {
    let failures = pushed.iter().filter_map(|it| it.result.as_ref().err());
    for failure in failures.filter(|it| !it.error.is_interrupted()) {
        output::complain(&format!("error: {failure}"));
        for line in &failure.log {
            output::complain(&format!("{} | {line}", failure.app));
        }
        if let Some(advice) = failure.error.advice() {
            output::complain(&format!("advice: {advice}"));
        }
    }
    if pushed.iter().any(Pushed::is_interrupted) {
        output::complain(&format!("error: {}", Error::Interrupted));
    }
    match connected.format {
        Format::Text => output::print(&summary::text(pushed, routes))?,
        Format::Json => output::print(&format!("{:#}", summary::json(connected, pushed, routes)))?,
    }
    Ok(())
}

/// A connection that was lost on the way is none, too.
fn exit_code(pushed: &[Pushed]) -> u8 {
    let mut failures = pushed.iter().filter_map(|it| it.result.as_ref().err());
    let failed = pushed.iter().any(|it| it.result.is_err());
    let lost = failures.any(|failure| failure.error.is_connection());
    if pushed.iter().any(Pushed::is_interrupted) {
        return INTERRUPTED;
    }
    match (failed, lost) {
        (false, _) => 0,
        (true, false) => 1,
        (true, true) => 3,
    }
}
