//! `cf-pusher schema`: prints the JSON Schema of a configuration or a spec.

use clap::{Args, ValueEnum};

use cf_pusher::{Multispace, ScalingTest, SpecFile};

use super::{CommandError, output};

/// Print the JSON Schema of a configuration or a spec, for editors and other programs
///
/// A configuration names its schema in the key `$schema`, and a spec in a comment such as
/// `# yaml-language-server: $schema=cf-pusher.spec.json`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cf-pusher schema > cf-pusher.schema.json
  cf-pusher schema spec > cf-pusher.spec.json")]
pub(super) struct SchemaArgs {
    /// Format to describe
    #[arg(value_name = "FORMAT", value_enum, default_value_t = Schema::Config)]
    of: Schema,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Schema {
    /// The configuration of a scaling test
    Config,
    /// The configuration of a test with many spaces
    Multispace,
    /// The spec
    Spec,
}

pub(super) fn run(args: SchemaArgs) -> Result<u8, CommandError> {
    let schema = match args.of {
        Schema::Config => ScalingTest::json_schema(),
        Schema::Multispace => Multispace::json_schema(),
        Schema::Spec => SpecFile::json_schema(),
    };
    output::print(&format!("{schema:#}"))?;
    Ok(0)
}
