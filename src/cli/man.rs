//! `cf-pusher man`: prints or writes manual pages.

use std::fs;
use std::io;
use std::path::PathBuf;

use clap::Args;
use clap_mangen::Man;

use super::{CommandError, output};

/// Print the manual page, or write one page for each subcommand
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cf-pusher man | man -l -
  cf-pusher man --out-dir ~/.local/share/man/man1")]
pub(super) struct ManArgs {
    /// Folder to write the pages to; it is created if needed
    #[arg(long, value_name = "DIR")]
    out_dir: Option<PathBuf>,
}

pub(super) fn run(args: ManArgs) -> Result<u8, CommandError> {
    let Some(folder) = args.out_dir else {
        let page = page(super::command())?;
        output::print_document(page.trim_end())?;
        return Ok(0);
    };
    let written = fs::create_dir_all(&folder)
        .and_then(|()| clap_mangen::generate_to(super::command(), &folder));
    written.map_err(|error| {
        let folder = folder.display();
        CommandError::usage(format!("writing manual pages to {folder} failed: {error}"))
    })?;
    Ok(0)
}

fn page(command: clap::Command) -> io::Result<String> {
    let mut page = Vec::new();
    Man::new(command).render(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}
