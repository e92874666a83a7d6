//! `cf-pusher destroy`: remove all that `converge` made.

use std::io::{self, BufRead, IsTerminal, Write};

use clap::Args;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::connect::{Apps, Session};
use super::{CommandError, Common, Format, INTERRUPTED, output};
use crate::capi::error::Error;
use crate::converge::{Converger, Destroyed};
use crate::desired::Names;

/// Delete the org, quota and security group of the configuration's prefix
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cf-pusher destroy --config scale-test.json
  cf-pusher destroy --config scale-test.json --yes")]
pub(super) struct DestroyArgs {
    #[command(flatten)]
    common: Common,

    /// Do not ask
    #[arg(short, long)]
    yes: bool,

    /// Delete the org even if it does not carry our label
    #[arg(long)]
    force: bool,
}

pub(super) async fn run(
    args: DestroyArgs,
    interrupt: &CancellationToken,
) -> Result<u8, CommandError> {
    let session = Session::open(&args.common, Apps::NotNeeded, interrupt).await?;
    let names = Names::of(&session.config);
    let question = format!(
        "Delete the org {} with all its apps, the quota {} and the security group {} on {}? [y/N] ",
        names.org,
        names.quota,
        names.security_group,
        session.connected.client.api()
    );
    let client = &session.connected.client;
    if !args.yes && !client.unless_interrupted(confirmed(question)).await?? {
        output::print("nothing deleted")?;
        return Ok(1);
    }
    let converger = Converger::new(&session.connected.client, &session.config, &session.sources);
    let destroyed = converger.destroy(args.force).await?;
    if destroyed.interrupted {
        output::complain(&format!("error: {}", Error::Interrupted));
    }
    match session.connected.format {
        Format::Json => {
            let Destroyed { names, interrupted } = &destroyed;
            let told = json!({"destroyed": names, "interrupted": interrupted});
            output::print_json(&session, told)?;
        }
        Format::Text if !destroyed.names.is_empty() => {
            output::print(&format!("deleted {}", destroyed.names.join(", ")))?;
        }
        Format::Text if destroyed.interrupted => output::print("nothing deleted for certain")?,
        Format::Text => output::print("there was nothing to delete")?,
    }
    Ok(match destroyed.interrupted {
        true => INTERRUPTED,
        false => 0,
    })
}

/// Asks on the terminal; where there is none, nobody can answer.
async fn confirmed(question: String) -> Result<bool, CommandError> {
    if !io::stdin().is_terminal() {
        return Err(CommandError::Usage(
            "destroy asks before it deletes, and there is no terminal to ask on; add --yes"
                .to_owned(),
        ));
    }
    let answer = tokio::task::spawn_blocking(move || {
        let mut terminal = io::stderr().lock();
        write!(terminal, "{question}")?;
        terminal.flush()?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        Ok::<_, io::Error>(answer)
    });
    let answer = answer.await.map_err(io::Error::other)??;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
