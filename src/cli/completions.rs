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
    output::print_document(script(args.shell).trim_end())?;
    Ok(0)
}

fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut super::command(), "cf-pusher", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    match shell {
        // In one of two places, clap_complete mistakes the hyphen in the name for the
        // beginning of a subcommand. Nothing would be completed after a subcommand.
        Shell::Bash => script.replace("cf__subcmd__pusher", "cf__pusher"),
        _ => script,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bash_completes_the_flags_of_all_subcommands() {
        let script = script(Shell::Bash);
        for subcommand in super::super::command().get_subcommands() {
            let name = format!("cf__pusher__subcmd__{}", subcommand.get_name());
            assert!(script.contains(&format!("cmd=\"{name}\"")), "{name}");
            assert!(script.contains(&format!(" {name})\n")), "{name}");
        }
    }
}
