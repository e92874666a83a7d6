//! `cf-pusher plan`: shows what `converge` would change.

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::connect::{Apps, Session};
use super::{CommandError, Common, Format, output};

/// Show the changes that `converge` would make
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cf-pusher plan --config scale-test.json
  # in CI: 0 no changes, 2 changes, 1 every error
  cf-pusher plan --config scale-test.json --detailed-exitcode
  # a configuration that another program writes
  cf-pusher init - | cf-pusher plan --config - --mock")]
pub(super) struct PlanArgs {
    /// Exit with 0 if there are no changes, 2 if there are changes, and 1 on every error
    #[arg(long)]
    detailed_exitcode: bool,

    #[command(flatten)]
    common: Common,
}

pub(super) async fn run(args: PlanArgs, interrupt: &CancellationToken) -> Result<u8, CommandError> {
    show(&args.common, args.detailed_exitcode, interrupt).await
}

pub(super) async fn show(
    common: &Common,
    detailed_exitcode: bool,
    interrupt: &CancellationToken,
) -> Result<u8, CommandError> {
    let session = Session::open(common, Apps::Needed, interrupt).await?;
    let converger = session.converger()?;
    let plan = converger.plan().await?;
    session.connected.end_progress();
    match session.connected.format {
        Format::Text => output::print(&plan.to_string())?,
        Format::Json => output::print_json(&session, output::plan_json(&plan))?,
    }
    Ok(if detailed_exitcode && !plan.is_empty() {
        2
    } else {
        0
    })
}
