//! `cf-pusher manifest`: what `push` would apply.

use clap::Args;

use super::push::AppFlags;
use super::{CommandError, output};
use crate::manifest;

/// Print the manifest that `push` would apply, with all flags in it
///
/// Works offline: no API is contacted.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cf-pusher manifest dora -i 4 -m 64M
  cf-pusher manifest -f manifests/ --vars-file prod.yml --var host=dora")]
pub(super) struct ManifestArgs {
    #[command(flatten)]
    flags: AppFlags,
}

pub(super) fn run(args: ManifestArgs) -> Result<u8, CommandError> {
    let prepared = manifest::prepare(args.flags.overrides()?)?;
    output::print(prepared.manifest.render().trim_end())?;
    Ok(0)
}
