//! `cf-pusher apply`: creates, changes and deletes what a spec declares.

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::CommandError;
use super::converge::{self, ConvergeArgs};

/// Create, change and delete what a spec declares, and verify it
///
/// Does for a spec what `converge` does for a configuration: plans all orgs and spaces,
/// asks before it deletes, applies the differences, and verifies the result. A second run
/// changes nothing. If a run was interrupted, run the same command again.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cf-pusher apply -f fixtures/specs/shop.yml --mock
  cf-pusher apply -f foundation/ --vars-file prod.yml --var version=3
  cf-pusher plan -f foundation/ --out plan.json && cf-pusher apply -f foundation/ --plan plan.json
  cf-pusher apply -f foundation/ --prune --max-deletes 5
  cf-pusher apply -f shop.yml --only web --max-deletes 3 --format json
  cf-pusher spec --config scale-test.json | cf-pusher apply -f - --mock")]
pub(super) struct ApplyArgs {
    #[command(flatten)]
    converge: ConvergeArgs,
}

pub(super) async fn run(
    args: ApplyArgs,
    interrupt: &CancellationToken,
) -> Result<u8, CommandError> {
    converge::run(args.converge, interrupt).await
}
