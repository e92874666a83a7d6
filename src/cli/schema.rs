//! `cf-pusher schema`: prints the JSON Schema of the configuration.

use clap::Args;

use cf_pusher::ScalingTest;

use super::{CommandError, output};

/// Print the JSON Schema of the configuration, for editors and other programs
///
/// A configuration may name its schema in the key `$schema`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  cf-pusher schema > cf-pusher.schema.json")]
pub(super) struct SchemaArgs {}

pub(super) fn run(_: SchemaArgs) -> Result<u8, CommandError> {
    output::print(&format!("{:#}", ScalingTest::json_schema()))?;
    Ok(0)
}
