//! `cf-pusher spec`: prints the spec of a configuration or a preset.

use std::path::PathBuf;

use clap::{ArgGroup, Args, ValueEnum};

use cf_pusher::{Preset, SpecFile};

use super::input::Input;
use super::{CommandError, output};

/// Print the spec of a configuration or a preset, or an example
///
/// The spec of a configuration declares exactly the resources that `converge` creates for
/// it.
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("source").args(["config", "preset"]).required(true),
    after_help = "\
Examples:
  cf-pusher spec --config scale-test.json > scale-test.yml
  cf-pusher spec --config scale-test.json | cf-pusher plan -f - --mock
  cf-pusher spec --preset cedar > cedar.yml"
)]
pub(super) struct SpecArgs {
    /// Path to a configuration, a JSON file; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Kind of test to print a spec for
    #[arg(long, value_name = "NAME", value_enum)]
    preset: Option<PresetChoice>,

    /// Folder with the bits of each group of a configuration: registry, tick, proxy
    /// [default: bundled apps]
    #[arg(long, value_name = "DIR", requires = "config")]
    apps_dir: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PresetChoice {
    /// The mix of apps of Diego's tests with 250,000 instances
    Cedar,
}

pub(super) fn run(args: SpecArgs) -> Result<u8, CommandError> {
    let text = match (args.preset, args.config) {
        (Some(PresetChoice::Cedar), _) => Preset::Cedar.text().to_owned(),
        (None, Some(config)) => {
            // The spec may be written to another folder, so the path must be absolute.
            let apps_dir = args.apps_dir.map(std::path::absolute).transpose()?;
            let input = Input::of_config(&config, apps_dir.as_deref())?;
            for warning in input.warnings(false) {
                output::eprintln_line(&format!("warning: {warning}"));
            }
            SpecFile::render(&input.desired()?)
        }
        (None, None) => return Err(CommandError::usage("--config or --preset is required")),
    };
    output::print_document(text.trim_end())?;
    Ok(0)
}
