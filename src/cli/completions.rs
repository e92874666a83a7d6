//! `cf-pusher completions`: prints a completion script for a shell.

use clap::Args;
use clap_complete::Shell;

use super::{CommandError, output};

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cf-pusher completions bash > ~/.local/share/bash-completion/completions/cf-pusher
  cf-pusher completions zsh > ~/.zfunc/_cf-pusher
  cf-pusher completions fish > ~/.config/fish/completions/cf-pusher.fish")]
pub(super) struct CompletionsArgs {
    /// Name of the shell
    shell: Shell,
}

pub(super) fn run(args: CompletionsArgs) -> Result<u8, CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::command(), "cf-pusher", &mut script);
    output::print(String::from_utf8_lossy(&script).trim_end())?;
    Ok(0)
}
