//! `cf-pusher plan`: shows what `converge` would change.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use cf_pusher::{Converger, Plan, SavedPlan};
use clap::Args;
use tokio_util::sync::CancellationToken;

use super::connect::Session;
use super::input::Bits;
use super::{CommandError, Common, Format, files, interrupt, output, record};

/// The maximum size of a plan, in bytes.
const MAX_PLAN: u64 = 256_000_000;

/// Show the changes that `converge` or `apply` would make
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cf-pusher plan --config scale-test.json
  cf-pusher plan -f shop.yml
  cf-pusher plan --config scale-test.json --out plan.json
  # in CI: 0 no changes, 2 changes, 1 every error
  cf-pusher plan --config scale-test.json --detailed-exitcode
  # a configuration that another program writes
  cf-pusher init - | cf-pusher plan --config - --mock")]
pub(super) struct PlanArgs {
    /// Exit with 0 if there are no changes, 2 if there are changes, and 1 on every error
    #[arg(long)]
    detailed_exitcode: bool,

    /// Write the plan to a file, for `--plan FILE` of `converge` and `apply`
    #[arg(long, value_name = "FILE", value_parser = files::output_file())]
    out: Option<PathBuf>,

    /// Also plan the deletion of resources that earlier runs created and the configuration
    /// or spec no longer declares
    #[arg(long, conflicts_with = "only")]
    prune: bool,

    /// Also list the resources that are up to date
    #[arg(long)]
    all: bool,

    #[command(flatten)]
    only: OnlyArgs,

    #[command(flatten)]
    common: Common,
}

/// The flag that selects groups.
#[derive(Debug, Args)]
pub(super) struct OnlyArgs {
    /// Select only the apps of this group, such as `tick`; may be repeated
    #[arg(long, value_name = "GROUP")]
    only: Vec<String>,
}

impl OnlyArgs {
    /// Selects the groups. Without any names, selects all.
    pub(super) fn select(&self, converger: Converger) -> Result<Converger, CommandError> {
        match self.only.as_slice() {
            [] => Ok(converger),
            groups => Ok(converger.only(groups)?),
        }
    }
}

pub(super) async fn run(args: PlanArgs, interrupt: &CancellationToken) -> Result<u8, CommandError> {
    if let Some(out) = &args.out {
        record::check_output("plan", out, &args.common.input.paths())?;
        files::check_folder(out)?;
    }
    let session = Session::open(&args.common, Bits::Required, interrupt).await?;
    let converger = args.only.select(session.converger()?)?.prune(args.prune);
    let plan = converger.plan().await?;
    session.connected.end_progress();
    if let Some(out) = args.out {
        let saved = converger.save(&plan).await?.to_json();
        interrupt::blocking(interrupt, move || write(&out, &saved)).await?;
    }
    print(&session, &plan, args.all)?;
    Ok(if args.detailed_exitcode && !plan.is_empty() {
        2
    } else {
        0
    })
}

/// Prints a plan.
pub(super) fn print(session: &Session, plan: &Plan, all: bool) -> Result<(), CommandError> {
    match session.connected.format {
        Format::Text => output::print(&text(session, plan, all))?,
        Format::Json => output::print_json(session, output::plan_json(plan))?,
    }
    Ok(())
}

fn write(path: &Path, saved: &str) -> Result<(), CommandError> {
    files::write_private(path, saved).map_err(|error| {
        let path = path.display();
        let failed = CommandError::usage(format!("writing the plan {path} failed: {error}"));
        match files::help_for_output(&error) {
            Some(help) => failed.help(help),
            None => failed,
        }
    })
}

/// The foundation, the resources that the apps use, and the changes.
fn text(session: &Session, plan: &Plan, all: bool) -> String {
    let client = &session.connected.client;
    let mut text = format!("api {} as {}\n", client.api(), client.user());
    for org in &plan.orgs {
        let _ = writeln!(text, "org {org}");
    }
    if let Some(facts) = session.input.facts() {
        let _ = writeln!(text, "{facts}");
    }
    text.push('\n');
    let _ = match all {
        true => write!(text, "{plan:#}"),
        false => write!(text, "{plan}"),
    };
    text
}

/// Reads a plan that `plan --out` wrote.
pub(super) fn read(path: &Path) -> Result<SavedPlan, CommandError> {
    let failed = |error: &dyn std::fmt::Display| {
        CommandError::usage(format!(
            "reading the plan {} failed: {error}",
            path.display()
        ))
        .help("write a plan with `cf-pusher plan --out FILE`")
    };
    let text = files::read(path, MAX_PLAN).map_err(|error| failed(&error))?;
    SavedPlan::parse(&text).map_err(|error| failed(&error))
}
