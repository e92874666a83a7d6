//! `cf-pusher converge`: creates, changes and deletes what the configuration asks for.

use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;

use cf_pusher::{ConvergeError, Dialect, Error, FailureGroup, Outcome, Target};
use clap::{Args, ValueEnum};
use tokio_util::sync::CancellationToken;

use super::approval::ApprovalArgs;
use super::connect::Session;
use super::flags::whole_number;
use super::input::Bits;
use super::record::RecordArgs;
use super::{CommandError, Common, Format, INTERRUPTED, help, interrupt, output, plan};

/// Create, change and delete what the configuration asks for, and verify it
///
/// Only differences are applied: a second run changes nothing. If a run was interrupted,
/// run the same command again. A run that deletes apps or an org asks first, or needs
/// --yes or --max-deletes. `apply` does the same for a spec.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cf-pusher converge --config fixtures/configs/scale-test.json --mock
  cf-pusher converge --config scale-test.json --max-deletes 10
  cf-pusher converge --config scale-test.json --recreate
  cf-pusher converge --config scale-test.json --workflow per-app
  cf-pusher converge --config scale-test.json --format json > scale-group.json
  cf-pusher converge --config scale-test.json --mock --trace run.json --report run.html --har run.har --junit run.xml")]
pub(super) struct ConvergeArgs {
    /// Delete the orgs with everything in them first
    #[arg(long)]
    recreate: bool,

    /// Take over unmanaged orgs, spaces, apps, quotas and security groups that have the
    /// same names
    #[arg(long, conflicts_with = "dry_run")]
    adopt: bool,

    /// Also delete resources that earlier runs created and the configuration or spec no
    /// longer declares
    #[arg(long, conflicts_with = "only")]
    prune: bool,

    /// Show the changes without making them, as `plan` does
    #[arg(long, conflicts_with_all = ["recreate", "trace", "report", "har", "junit"])]
    dry_run: bool,

    /// How apps are created [default: manifest; per-app with --dialect 2017]
    #[arg(long, value_enum, conflicts_with = "dry_run")]
    workflow: Option<WorkflowChoice>,

    /// Number of apps per manifest, 1 to 1000 [default: 100]
    #[arg(long, value_name = "APPS", value_parser = whole_number::<usize>(1..=1000), conflicts_with = "dry_run")]
    batch: Option<usize>,

    /// Follow a plan that `plan --out FILE` wrote, and stop before the first write if the
    /// plan has changed
    #[arg(long, value_name = "FILE", conflicts_with_all = ["dry_run", "recreate"])]
    plan: Option<PathBuf>,

    #[command(flatten)]
    only: plan::OnlyArgs,

    #[command(flatten)]
    approval: ApprovalArgs,

    #[command(flatten)]
    common: Common,

    #[command(flatten)]
    record: RecordArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum WorkflowChoice {
    /// Apply manifests of many apps, then start each app with a deployment
    Manifest,
    /// Send separate requests for each app, as in the API of 2017
    PerApp,
}

impl ConvergeArgs {
    /// The files that the command reads.
    fn inputs(&self) -> Vec<&PathBuf> {
        let inputs = self.common.input.paths().into_iter();
        inputs.chain(&self.plan).collect()
    }
}

pub(super) async fn run(
    args: ConvergeArgs,
    interrupt: &CancellationToken,
) -> Result<u8, CommandError> {
    if args.dry_run {
        let session = Session::open(&args.common, Bits::Required, interrupt).await?;
        let converger = args.only.select(session.converger()?)?.prune(args.prune);
        let plan = converger.plan().await?;
        session.connected.end_progress();
        plan::print(&session, &plan, false)?;
        return Ok(0);
    }
    let follows = match args.plan.clone() {
        Some(path) => Some(interrupt::blocking(interrupt, move || plan::read(&path)).await?),
        None => None,
    };
    if args.batch.is_some() && args.workflow == Some(WorkflowChoice::PerApp) {
        return Err(batch_without_manifests());
    }
    let recordings = args.record.open(&args.inputs(), interrupt).await?;
    let session =
        Session::recorded(&args.common, Bits::Required, interrupt, recordings.sinks()).await?;
    let client = &session.connected.client;
    if args.batch.is_some() && client.dialect() == Dialect::Documented2017 {
        return Err(batch_without_manifests());
    }
    let converger = args.only.select(session.converger()?)?;
    let converger = match follows {
        Some(plan) => converger.follow(plan),
        None => converger,
    };
    let converger = match args.batch {
        Some(batch) => converger.batch(batch),
        None => converger,
    };
    let converger = match args.workflow {
        Some(WorkflowChoice::Manifest) if client.dialect() == Dialect::Documented2017 => {
            return Err(
                CommandError::usage("the API of 2017 cannot apply manifests to spaces")
                    .help("use --workflow per-app"),
            );
        }
        Some(WorkflowChoice::PerApp) => converger.per_app(),
        Some(WorkflowChoice::Manifest) | None => converger,
    };
    let approval = args.approval.approval(client.api());
    let converger = converger.recreate(args.recreate).adopt(args.adopt);
    let converger = converger.prune(args.prune);
    let outcome = match converger.converge(approval).await {
        Err(ConvergeError::Api(Error::Interrupted)) => {
            let mut outcome = Outcome::default();
            outcome.interrupted = true;
            outcome
        }
        outcome => outcome?,
    };
    session.connected.end_progress();
    report(&session, &outcome)?;
    Ok(exit_code(&outcome))
}

fn batch_without_manifests() -> CommandError {
    CommandError::usage("--batch has no effect: apps are created without manifests")
        .help("leave out --batch, or use --workflow manifest")
}

pub(super) fn exit_code(outcome: &Outcome) -> u8 {
    // A connection that was lost during the run counts as a failed connection.
    let lost = outcome.failures.iter().any(|it| it.error.is_connection());
    match outcome.is_converged() {
        true => 0,
        false if outcome.interrupted => INTERRUPTED,
        false if lost => 3,
        false => 1,
    }
}

pub(super) fn report(session: &Session, outcome: &Outcome) -> Result<(), CommandError> {
    match session.connected.format {
        Format::Json => output::print_json(session, output::run_json(session, outcome))?,
        Format::Text => {
            let took = session.connected.began.elapsed();
            output::print(&output::summary(
                outcome,
                &session.connected.counts.get(),
                took,
            ))?;
        }
    }
    // The problems are printed last, so that they are visible on the screen.
    for line in problems(outcome) {
        match line.split_once(": ") {
            Some(("error", text)) => output::eprintln_labelled_error(text),
            Some(("help", text)) => output::eprintln_help(text),
            _ => output::eprintln_line(&line),
        }
    }
    if outcome.interrupted {
        output::eprintln_error(&CommandError::from(Error::Interrupted));
    }
    Ok(())
}

/// The failures with help. If there are none, the drift.
fn problems(outcome: &Outcome) -> Vec<String> {
    const MOST: usize = 20;
    let failures = &outcome.failures;
    if failures.is_empty() {
        let drift = outcome.drift.iter();
        let lines = drift.map(|drift| format!("drift: {drift}"));
        return at_most(MOST, lines.collect());
    }
    let mut lines: Vec<String> = Vec::new();
    for group in outcome.failure_groups() {
        lines.extend(describe(&group));
    }
    // One target represents all targets that failed in the same way.
    let mut advised = HashSet::new();
    let firsts = failures.iter().filter(|failure| {
        let kind = std::mem::discriminant(&failure.error);
        advised.insert((failure.step.as_str(), kind))
    });
    let help: BTreeSet<String> = firsts
        .filter_map(|failure| help::for_step(&failure.step, failure.target.name(), &failure.error))
        .collect();
    lines.extend(help.into_iter().map(|help| format!("help: {help}")));
    lines
}

/// A failure, its log, and the other apps that it affects.
fn describe(group: &FailureGroup) -> Vec<String> {
    let mut lines = vec![format!("error: {group}")];
    lines.extend(group.log.iter().map(|line| format!("  | {line}")));
    if group.targets.len() > 1 {
        lines.push(format!("  failed: {}", names(&group.targets)));
    }
    if !group.blocked.is_empty() {
        let count = match group.blocked.len() {
            1 => "1 app".to_owned(),
            count => format!("{count} apps"),
        };
        let names = names(&group.blocked);
        lines.push(format!(
            "  {count} did not converge because of that: {names}"
        ));
    }
    lines
}

/// The names of targets. Names that differ only in a number are joined.
fn names(targets: &[Target]) -> String {
    Target::ranges(targets).join(", ")
}

fn at_most(max: usize, mut lines: Vec<String>) -> Vec<String> {
    let more = lines.len().saturating_sub(max);
    lines.truncate(max);
    if more > 0 {
        lines.push(format!(
            "and {more} more; run `cf-pusher verify` to list them"
        ));
    }
    lines
}
