//! `cf-pusher manifest`: prints the manifest that `push` applies.

use clap::Args;

use super::app_flags::AppFlags;
use super::{CommandError, output};

/// Print the manifest that `push` would apply, with all flags applied to it
///
/// Works offline. Credentials of registries are shown as `<redacted>`. The path of an app
/// does not have to exist.
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
    let overrides = args.flags.overrides()?;
    let manifest = args.flags.manifest()?.transform(&overrides)?;
    for warning in manifest.warnings() {
        output::eprintln_line(&format!("warning: {warning}"));
    }
    let rendered = manifest.render_redacted(args.flags.redact_env);
    output::print_document(rendered.trim_end())?;
    Ok(0)
}
