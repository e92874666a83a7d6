//! `cf-pusher destroy`: deletes what `converge` created.

use cf_pusher::{Destroyed, Error, Target};
use clap::Args;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::approval::ApprovalArgs;
use super::connect::Session;
use super::input::Bits;
use super::{CommandError, Common, Format, INTERRUPTED, output};

/// Delete the orgs, quotas and security groups of the configuration or spec
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cf-pusher destroy --config scale-test.json
  cf-pusher destroy -f shop.yml
  cf-pusher destroy --config scale-test.json --yes")]
pub(super) struct DestroyArgs {
    #[command(flatten)]
    approval: ApprovalArgs,

    /// Also delete what cf-pusher did not create: orgs with their apps and service
    /// instances, quotas and security groups
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    common: Common,
}

pub(super) async fn run(
    args: DestroyArgs,
    interrupt: &CancellationToken,
) -> Result<u8, CommandError> {
    let session = Session::open(&args.common, Bits::Optional, interrupt).await?;
    let approval = args.approval.approval(session.connected.client.api());
    let converger = session.converger()?;
    let destroyed = converger.force(args.force).destroy(approval).await?;
    session.connected.end_progress();
    let user = session.connected.client.user();
    for target in &destroyed.not_found {
        output::eprintln_line(&format!("{target}: not found, or not visible to {user}"));
    }
    for target in &destroyed.kept {
        output::eprintln_line(&format!("{target}: not deleted, because it is unmanaged"));
        output::eprintln_help("delete it with --force");
    }
    match session.connected.format {
        Format::Json => {
            let Destroyed {
                targets,
                interrupted,
                kept,
                not_found,
                ..
            } = &destroyed;
            let extra = json!({
                "destroyed": targets,
                "interrupted": interrupted,
                "kept": kept,
                "not_found": not_found,
            });
            output::print_json(&session, extra)?;
        }
        Format::Text if !destroyed.targets.is_empty() => {
            let names: Vec<&str> = destroyed.targets.iter().map(Target::name).collect();
            output::print(&format!("deleted {}", names.join(", ")))?;
        }
        Format::Text if destroyed.interrupted => {
            output::print("nothing deleted, or not confirmed by the Cloud Controller")?
        }
        Format::Text => {}
    }
    if destroyed.interrupted {
        output::eprintln_error(&CommandError::from(Error::Interrupted));
        return Ok(INTERRUPTED);
    }
    Ok(0)
}
