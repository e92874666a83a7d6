//! Asks for the approval of deletions on the terminal, unless flags approve them.

use std::io::{self, IsTerminal};

use cf_pusher::{Approval, Deletions};
use clap::Args;

use super::flags::whole_number;
use super::screen;

/// The flags that approve deletions.
#[derive(Debug, Args)]
pub(super) struct ApprovalArgs {
    /// Delete without confirmation
    #[arg(short, long, visible_alias = "auto-approve")]
    yes: bool,

    /// Delete up to N apps and orgs without confirmation, and stop if there are more
    #[arg(long, value_name = "N", conflicts_with = "yes", value_parser = whole_number::<usize>(0..=1_000_000))]
    max_deletes: Option<usize>,
}

impl ApprovalArgs {
    /// The approving flag, if one was given.
    pub(super) fn flag(&self) -> Option<&'static str> {
        match self.max_deletes {
            _ if self.yes => Some("--yes"),
            Some(_) => Some("--max-deletes"),
            None => None,
        }
    }

    /// The approval that the flags give. Without flags, asks at the terminal.
    pub(super) fn approval(&self, api: &str) -> Approval {
        match self.max_deletes {
            _ if self.yes => Approval::All,
            Some(most) => Approval::MaxDeletes(most),
            // Unless both are terminals, nobody can see the question or answer it.
            None if io::stdin().is_terminal() && io::stderr().is_terminal() => {
                let api = api.to_owned();
                Approval::ask(move |deletions| ask(deletions, &api).unwrap_or(false))
            }
            None => Approval::None,
        }
    }
}

fn ask(deletions: &Deletions, api: &str) -> io::Result<bool> {
    let summary = deletions.summary();
    let question = format!("{deletions}\nDelete {summary} on {api}? [y/N] ");
    let answer = screen::ask(&question)?;
    Ok(is_yes(&answer))
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_approves() {
        for answer in ["y\n", "Y", " yes ", "YES\r\n"] {
            assert!(is_yes(answer), "{answer:?}");
        }
        for answer in ["", "\n", "n", "no", "yep", "y y"] {
            assert!(!is_yes(answer), "{answer:?}");
        }
    }
}
