//! `cf-pusher verify`: is the foundation as desired right now?

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::connect::{Apps, Session};
use super::{CommandError, Common, Format, output};
use crate::converge::Converger;
use crate::desired::Names;

/// Check that the foundation is as the configuration asks, right now
///
/// Lists all that is not: apps missing or too many, not started, not scaled or
/// not running as desired, routes not mapped, rules of the security group,
/// environment, droplets. Exits with 0 if there is nothing, else with 1.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  cf-pusher verify --config scale-test.json && run-the-scale-test")]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    common: Common,
}

pub(super) async fn run(
    args: VerifyArgs,
    interrupt: &CancellationToken,
) -> Result<u8, CommandError> {
    let session = Session::open(&args.common, Apps::Needed, interrupt).await?;
    let converger = Converger::new(&session.connected.client, &session.config, &session.sources);
    let drift = converger.verify().await?;
    match session.connected.format {
        Format::Json => output::print_json(&session, output::drift_json(&drift))?,
        Format::Text => {
            for difference in &drift {
                output::print(&difference.to_string())?;
            }
            let org = Names::of(&session.config).org;
            output::print(&match drift.len() {
                0 => format!("{org} is as desired"),
                1 => format!("{org} is not as desired: 1 difference"),
                count => format!("{org} is not as desired: {count} differences"),
            })?;
        }
    }
    Ok(u8::from(!drift.is_empty()))
}
