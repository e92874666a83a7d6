//! `cf-pusher destroy`: deletes what `converge` created.

use std::io::{self, BufRead, IsTerminal, Write};

use cf_pusher::{Destroyed, Error, Target};
use clap::Args;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::connect::{Apps, Session};
use super::{CommandError, Common, Format, INTERRUPTED, output};

/// Delete the org, quota and security group of the configuration
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cf-pusher destroy --config scale-test.json
  cf-pusher destroy --config scale-test.json --yes")]
pub(super) struct DestroyArgs {
    #[command(flatten)]
    common: Common,

    /// Delete without confirmation
    #[arg(short, long)]
    yes: bool,

    /// Delete the org even if cf-pusher did not create it
    #[arg(long)]
    force: bool,
}

pub(super) async fn run(
    args: DestroyArgs,
    interrupt: &CancellationToken,
) -> Result<u8, CommandError> {
    let session = Session::open(&args.common, Apps::NotNeeded, interrupt).await?;
    let names = session.config.names();
    let question = format!(
        "Delete the org {} with all its apps, the quota {} and the security group {} on {}? [y/N] ",
        names.org,
        names.quota,
        names.security_group,
        session.connected.client.api()
    );
    if !args.yes {
        let confirmed = tokio::select! {
            confirmed = confirm(question) => confirmed?,
            () = interrupt.cancelled() => return Err(Error::Interrupted.into()),
        };
        if !confirmed {
            output::print("nothing deleted")?;
            return Ok(1);
        }
    }
    let converger = session.converger()?;
    let destroyed = converger.destroy(args.force).await?;
    if destroyed.interrupted {
        output::eprintln_error(&CommandError::from(Error::Interrupted));
    }
    match session.connected.format {
        Format::Json => {
            let Destroyed {
                targets,
                interrupted,
                ..
            } = &destroyed;
            let extra = json!({"destroyed": targets, "interrupted": interrupted});
            output::print_json(&session, extra)?;
        }
        Format::Text if !destroyed.targets.is_empty() => {
            let names: Vec<&str> = destroyed.targets.iter().map(Target::name).collect();
            output::print(&format!("deleted {}", names.join(", ")))?;
        }
        Format::Text if destroyed.interrupted => {
            output::print("nothing deleted, or not confirmed by the Cloud Controller")?
        }
        Format::Text => output::print("nothing to delete")?,
    }
    Ok(match destroyed.interrupted {
        true => INTERRUPTED,
        false => 0,
    })
}

/// Asks for confirmation on the terminal.
async fn confirm(question: String) -> Result<bool, CommandError> {
    if !io::stdin().is_terminal() {
        return Err(
            CommandError::usage("deleting needs a confirmation, and there is no terminal")
                .help("confirm with --yes"),
        );
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
