//! `cf-pusher verify`: checks the foundation against the configuration.

use std::time::Duration;

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::connect::Session;
use super::input::Bits;
use super::plan::OnlyArgs;
use super::{CommandError, Common, Format, output};

/// Check the foundation against the configuration or spec
///
/// Lists all drift: missing, unwanted, stopped or differently scaled apps, instances that
/// are not running, missing routes, and differences in security group rules, environment
/// and droplets. Exits with 0 without drift, and with 1 otherwise.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cf-pusher verify --config scale-test.json && run-the-scale-test
  cf-pusher verify -f shop.yml
  cf-pusher verify --config scale-test.json --wait 5m")]
pub(super) struct VerifyArgs {
    /// Wait up to TIME, such as `90s` or `5m`, for instances that are starting
    #[arg(long, value_name = "TIME", value_parser = super::flags::timeout)]
    wait: Option<Duration>,

    #[command(flatten)]
    only: OnlyArgs,

    #[command(flatten)]
    common: Common,
}

pub(super) async fn run(
    args: VerifyArgs,
    interrupt: &CancellationToken,
) -> Result<u8, CommandError> {
    let session = Session::open(&args.common, Bits::Required, interrupt).await?;
    let converger = args.only.select(session.converger()?)?;
    let drift = match args.wait {
        Some(wait) => converger.verify_within(wait).await?,
        None => converger.verify().await?,
    };
    session.connected.end_progress();
    match session.connected.format {
        Format::Json => output::print_json(&session, output::drift_json(&drift))?,
        Format::Text => {
            for difference in &drift {
                output::print(&difference.to_string())?;
            }
            let org = session.input.subject();
            output::print(&match drift.len() {
                0 => format!("{org} is up to date"),
                1 => format!("{org} has drift: 1 difference"),
                count => format!("{org} has drift: {count} differences"),
            })?;
        }
    }
    Ok(u8::from(!drift.is_empty()))
}
