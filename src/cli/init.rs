//! `cf-pusher init`: writes a starter configuration.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use cf_pusher::ScalingTest;

use super::{CommandError, output};

/// Write a starter configuration, with a comment for each key
///
/// An existing file is not overwritten.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cf-pusher init
  cf-pusher init - | cf-pusher plan --config - --mock")]
pub(super) struct InitArgs {
    /// Path of the file to write; `-` writes to standard output
    #[arg(value_name = "FILE", default_value = "scale-test.json")]
    file: PathBuf,
}

pub(super) fn run(args: InitArgs) -> Result<u8, CommandError> {
    let template = ScalingTest::template();
    if args.file.as_os_str() == "-" {
        output::print(template.trim_end())?;
        return Ok(0);
    }
    let path = args.file.display();
    create(&args.file, &template).map_err(|error| {
        let failed = CommandError::usage(format!("writing {path} failed: {error}"));
        match error.kind() {
            io::ErrorKind::AlreadyExists => failed.help("choose another name"),
            _ => failed,
        }
    })?;
    output::print(&format!("wrote {path}"))?;
    output::eprintln_line(&format!(
        "Show what it creates with `cf-pusher plan --config {path}`, and try it with `cf-pusher converge --config {path} --mock`."
    ));
    Ok(0)
}

/// Writes a new file, completely or not at all.
fn create(path: &Path, text: &str) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(text.as_bytes()).inspect_err(|_| {
        let _ = fs::remove_file(path);
    })
}
