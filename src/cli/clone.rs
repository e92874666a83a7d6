//! `cf-pusher clone`: copies an app, once or many times, with its droplet.

use clap::Args;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use cf_pusher::clone::{CloneError, CloneOutcome, CloneResult, Cloner};
use cf_pusher::push::PushSpace;

use super::connect::Connected;
use super::flags::whole_number;
use super::place::{self, SelectedSpace};
use super::push::summary;
use super::{CommandError, Format, Foundation, help, output};

/// Copy an app, once or many times, with its droplet
///
/// A clone has all properties of its source: environment, processes, health checks,
/// sidecars, metadata, features and service bindings. The host of its routes is its own
/// name. Nothing is staged again. If a run was interrupted, run the same command again to
/// finish it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cf-pusher clone web web-blue --from-org o --from-space s
  cf-pusher clone web load --count 50 -i 1
  cf-pusher clone web 'load-{i}-test' --count 50
  cf-pusher clone web web -o other-org -s staging --no-services --no-start
  cf-pusher clone web load --count 3 --mock")]
pub(super) struct CloneArgs {
    /// Name of the app to copy
    #[arg(value_name = "APP")]
    app: String,

    /// Name of the clone; with --count, `{i}` stands for the number of each clone
    #[arg(value_name = "NEW")]
    new: String,

    /// Number of clones: NEW-0, NEW-1 and so on
    #[arg(long, value_name = "N", value_parser = whole_number::<u32>(1..=100_000))]
    count: Option<u32>,

    /// Number of instances of each clone [default: the same as APP]
    #[arg(short, long, value_name = "N", value_parser = whole_number(0..=u32::MAX))]
    instances: Option<u32>,

    /// Leave the clones stopped
    #[arg(long)]
    no_start: bool,

    /// Do not create routes for the clones
    #[arg(long)]
    no_routes: bool,

    /// Do not bind the clones to services
    #[arg(long)]
    no_services: bool,

    /// Org of the clones [default: the org of APP]
    #[arg(short, long)]
    org: Option<String>,

    /// Space of the clones [default: the space of APP]
    #[arg(short, long)]
    space: Option<String>,

    /// Org of APP [default: the target of the cf CLI]
    #[arg(long, value_name = "ORG")]
    from_org: Option<String>,

    /// Space of APP [default: the target of the cf CLI]
    #[arg(long, value_name = "SPACE")]
    from_space: Option<String>,

    #[command(flatten)]
    foundation: Foundation,
}

pub(super) async fn run(
    args: CloneArgs,
    interrupt: &CancellationToken,
) -> Result<u8, CommandError> {
    let connected = Connected::without_configuration(&args.foundation, interrupt, []).await?;
    let source = place::find(
        place::given(args.from_org.as_deref(), "CF_ORG").as_deref(),
        place::given(args.from_space.as_deref(), "CF_SPACE").as_deref(),
        "use --from-org and --from-space, or target them with `cf target -o ORG -s SPACE`",
        &connected,
    )?;
    connected.fake_app(&source.org_name, &source.space_name, &args.app);
    let (cloner, place) = args.cloner(&connected, source);
    announce(&connected, &args, &place);
    let outcome = cloner.run().await?;
    connected.end_progress();
    report(&connected, &outcome)?;
    let errors = outcome.failures.iter().map(|failure| &failure.error);
    let is_interrupted = outcome.is_interrupted();
    Ok(summary::exit_code(
        outcome.is_success(),
        is_interrupted,
        errors,
    ))
}

impl CloneArgs {
    /// The cloner for these arguments, and a description of the target space.
    fn cloner(&self, connected: &Connected, source: SelectedSpace) -> (Cloner, String) {
        let client = connected.client.clone();
        let mut place = source.place.clone();
        let mut cloner = Cloner::new(client, source.space, &self.app, &self.new);
        if self.org.is_some() || self.space.is_some() {
            let org = self.org.as_deref().unwrap_or(&source.org_name);
            let space = self.space.as_deref().unwrap_or(&source.space_name);
            place = format!("space {space} in org {org}");
            cloner = cloner.target(match connected.fake_space(org, space) {
                Some(guid) => PushSpace::guid(guid),
                None => PushSpace::named(org, space),
            });
        }
        if let Some(count) = self.count {
            cloner = cloner.count(count);
        }
        if let Some(instances) = self.instances {
            cloner = cloner.instances(instances);
        }
        if self.no_start {
            cloner = cloner.no_start();
        }
        if self.no_routes {
            cloner = cloner.no_routes();
        }
        if self.no_services {
            cloner = cloner.no_services();
        }
        (cloner, place)
    }
}

fn announce(connected: &Connected, args: &CloneArgs, place: &str) {
    let (app, api) = (&args.app, connected.client.api());
    let times = match args.count {
        None | Some(1) => String::new(),
        Some(count) => format!("{count} times "),
    };
    output::eprintln_line(&format!("cloning {app} {times}to {place} at {api}"));
}

fn report(connected: &Connected, outcome: &CloneOutcome) -> Result<(), CommandError> {
    match connected.format {
        Format::Text => output::print(&text(outcome))?,
        Format::Json => {
            let mut object = json!(outcome);
            object["run"] = summary::run_json(connected);
            output::print(&format!("{object:#}"))?;
        }
    }
    let failures = outcome.failures.iter().map(|failure| summary::Failure {
        text: failure.to_string(),
        app: &failure.app,
        step: failure.step,
        error: &failure.error,
    });
    summary::report_failures(failures, outcome.is_interrupted());
    Ok(())
}

/// The first clones with their processes, and the number of all clones.
fn text(outcome: &CloneOutcome) -> String {
    const MAX_SHOWN: usize = 10;
    let finished = outcome.apps.iter().filter_map(|app| {
        Some(summary::app_text(&summary::AppView {
            name: &app.name,
            state: app.state?,
            urls: &app.urls,
            deployment_paused: false,
            processes: &app.processes,
        }))
    });
    let mut parts: Vec<String> = finished.collect();
    let more = parts.len().saturating_sub(MAX_SHOWN);
    parts.truncate(MAX_SHOWN);
    if more > 0 {
        parts.push(format!("and {more} more"));
    }
    let mut count = format!(
        "clones: {} finished, {} failed",
        outcome.count(CloneResult::Cloned),
        outcome.count(CloneResult::Failed)
    );
    let interrupted = outcome.count(CloneResult::Interrupted);
    if interrupted > 0 {
        count += &format!(", {interrupted} not done");
    }
    parts.push(count);
    parts.join("\n\n")
}

/// The help for an error that prevents any clone.
pub(super) fn help_for(error: &CloneError) -> Option<String> {
    const NO_SUCH_SERVICE: i64 = 10010;
    let help = match error {
        CloneError::Api(error)
            if error
                .cc_errors()
                .iter()
                .any(|it| it.code == NO_SUCH_SERVICE) =>
        {
            "create or share services of the same names in the target space, or use --no-services"
        }
        CloneError::Api(error) => return help::for_error(error),
        CloneError::NoDroplet { .. } => {
            "stage the app first, or copy its properties only with --no-start"
        }
        CloneError::Exists { .. } => "choose another name, or delete these apps first",
        CloneError::SameName { .. } => "choose names that differ in more than upper and lower case",
        CloneError::Host { .. } => "choose another name, or use --no-routes",
        CloneError::RouteTaken { .. } => "choose another name, or use --no-routes",
        CloneError::NeedsV3 => "use a foundation with the v3 API",
        _ => return None,
    };
    Some(help.to_owned())
}
