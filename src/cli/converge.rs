//! `cf-pusher converge`: make it so.

use std::collections::BTreeSet;

use clap::{Args, ValueEnum};
use tokio_util::sync::CancellationToken;

use super::connect::{Apps, Session};
use super::record::RecordArgs;
use super::{CommandError, Common, Format, INTERRUPTED, output, plan};
use crate::capi::dialect::Dialect;
use crate::capi::error::Error;
use crate::converge::outcome::{Failure, Outcome};
use crate::converge::{ConvergeError, Converger, DEFAULT_BATCH};

/// Make the foundation as the configuration asks, and prove it
///
/// Only the difference is applied: a second run changes nothing, and a run that
/// was interrupted is finished by the next.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cf-pusher converge --config fixtures/configs/scale-test.json --mock
  cf-pusher converge --config scale-test.json --recreate
  cf-pusher converge --config scale-test.json --workflow per-app
  cf-pusher converge --config scale-test.json --format json > scale-group.json
  cf-pusher converge --config scale-test.json --mock --trace run.json --report run.html --har run.har")]
pub(super) struct ConvergeArgs {
    #[command(flatten)]
    common: Common,

    /// First delete the org with all that is in it
    #[arg(long)]
    recreate: bool,

    /// Only show what would be done, as `plan` does
    #[arg(long, conflicts_with = "recreate")]
    dry_run: bool,

    /// How apps are made; else as the dialect allows: by manifests in v3
    #[arg(long, value_enum, conflicts_with = "dry_run")]
    workflow: Option<WorkflowChoice>,

    /// How many apps one manifest has
    #[arg(long, value_name = "APPS", default_value_t = DEFAULT_BATCH,
        value_parser = batch, conflicts_with = "dry_run")]
    batch: usize,

    #[command(flatten)]
    record: RecordArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum WorkflowChoice {
    /// Many at once: created, scaled, routed and given their environment by a
    /// manifest, then each started by one deployment
    Manifest,
    /// Each by the requests that the document of 2017 describes
    PerApp,
}

fn batch(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(apps @ 1..=1000) => Ok(apps),
        _ => Err("must be a whole number from 1 to 1000".to_owned()),
    }
}

const NO_MANIFESTS: &str = "the API of 2017 applies no manifests to spaces; leave out --workflow, or give --workflow per-app";

pub(super) async fn run(
    args: ConvergeArgs,
    interrupt: &CancellationToken,
) -> Result<u8, CommandError> {
    if args.dry_run {
        return plan::show(&args.common, false, interrupt).await;
    }
    let recordings = args.record.open()?;
    let session =
        Session::recorded(&args.common, Apps::Needed, interrupt, recordings.sinks()).await?;
    let client = &session.connected.client;
    let converger = Converger::new(client, &session.config, &session.sources).batch(args.batch);
    let converger = match args.workflow {
        Some(WorkflowChoice::Manifest) if client.dialect() == Dialect::Documented2017 => {
            return Err(CommandError::Usage(NO_MANIFESTS.to_owned()));
        }
        Some(WorkflowChoice::PerApp) => converger.per_app(),
        Some(WorkflowChoice::Manifest) | None => converger,
    };
    let outcome = match make_it_so(&converger, args.recreate).await {
        Err(ConvergeError::Api(Error::Interrupted)) => Outcome {
            interrupted: true,
            ..Outcome::default()
        },
        outcome => outcome?,
    };
    report(&session, &outcome)?;
    Ok(exit_code(&outcome))
}

async fn make_it_so(converger: &Converger<'_>, recreate: bool) -> Result<Outcome, ConvergeError> {
    if recreate {
        converger.delete_org(false).await?;
    }
    converger.converge().await
}

/// A connection that was lost on the way is none, too.
fn exit_code(outcome: &Outcome) -> u8 {
    let lost = outcome.failures.iter().any(|it| it.error.is_connection());
    match outcome.is_converged() {
        true => 0,
        false if outcome.interrupted => INTERRUPTED,
        false if lost => 3,
        false => 1,
    }
}

fn report(session: &Session, outcome: &Outcome) -> Result<(), CommandError> {
    for line in complaints(outcome) {
        output::complain(&line);
    }
    if outcome.interrupted {
        output::complain(&format!("error: {}", Error::Interrupted));
    }
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
    Ok(())
}

/// What went wrong, and what to do. Where something could not be done, that is
/// all to say: what is missing for it follows from it.
fn complaints(outcome: &Outcome) -> Vec<String> {
    const MOST: usize = 20;
    let failures = &outcome.failures;
    if failures.is_empty() {
        let lines = outcome.drift.iter();
        let lines = lines.map(|drift| format!("drift: {drift}"));
        return at_most(MOST, lines.collect());
    }
    let mut lines = at_most(MOST, grouped(failures));
    let advice: BTreeSet<&str> = failures.iter().filter_map(Failure::advice).collect();
    lines.extend(advice.into_iter().map(|advice| format!("advice: {advice}")));
    if outcome.failed() > lines.len() && !outcome.interrupted {
        lines.push(format!(
            "{} apps are not as desired because of that; `cf-pusher verify` lists them",
            outcome.failed()
        ));
    }
    lines
}

/// A line for each failure, but one for those that differ in the app alone.
fn grouped(failures: &[Failure]) -> Vec<String> {
    let mut groups: Vec<(&Failure, usize)> = Vec::new();
    for failure in failures {
        match groups.iter_mut().find(|(first, _)| first.is_like(failure)) {
            Some((_, more)) => *more += 1,
            None => groups.push((failure, 0)),
        }
    }
    let line = |(failure, more): (&Failure, usize)| match more {
        0 => format!("error: {failure}"),
        more => format!("error: {failure} (and {more} more like it)"),
    };
    groups.into_iter().map(line).collect()
}

fn at_most(most: usize, mut lines: Vec<String>) -> Vec<String> {
    let more = lines.len().saturating_sub(most);
    lines.truncate(most);
    if more > 0 {
        lines.push(format!("and {more} more; `cf-pusher verify` lists them"));
    }
    lines
}
