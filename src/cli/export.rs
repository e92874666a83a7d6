//! `cf-pusher export`: writes a spec of the existing resources of an org.

use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use cf_pusher::export::{Export, ExportError, Exporter};

use super::connect::Connected;
use super::push::summary;
use super::{CommandError, Format, Foundation, files, help, interrupt, output};

/// Write a spec of the existing resources of an org
///
/// `cf-pusher apply -f` reads the spec. Values that look secret are written as variables,
/// `((name))`, which are listed at the end. Without --bits, `apply` keeps running apps
/// running, and creates them stopped elsewhere.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cf-pusher export --org my-org -o my-org.yml
  cf-pusher export --org my-org --space prod --bits droplets -o prod.yml
  cf-pusher export --org my-org --no-values
  cf-pusher export --org my-org --as-seed -o seed.yml && mock-capi --seed-file seed.yml")]
pub(super) struct ExportArgs {
    /// The org
    #[arg(long, env = "CF_ORG", hide_env = true, value_parser = NonEmptyStringValueParser::new())]
    org: String,

    /// Export only this space
    #[arg(long)]
    space: Option<String>,

    /// Download the apps' droplets to this folder, so that the spec can rebuild the apps
    #[arg(long, value_name = "DIR", conflicts_with = "as_seed")]
    bits: Option<PathBuf>,

    /// Write all values of environment variables as variables, not only those that look
    /// secret
    #[arg(long, conflicts_with = "as_seed")]
    no_values: bool,

    /// Write a seed file of mock-capi, with made-up values in place of secrets
    #[arg(long)]
    as_seed: bool,

    /// Write to this file [default: standard output]
    #[arg(short, long, value_name = "FILE", value_parser = files::output_file())]
    output: Option<PathBuf>,

    /// Replace the file of --output if it exists
    #[arg(long, requires = "output")]
    force: bool,

    #[command(flatten)]
    foundation: Foundation,
}

pub(super) async fn run(
    args: ExportArgs,
    interrupt: &CancellationToken,
) -> Result<u8, CommandError> {
    if let Some(file) = &args.output
        && file.is_file()
        && !args.force
    {
        let message = format!("{} exists", file.display());
        let help = "use --force to replace it, or name another file with --output";
        return Err(CommandError::usage(message).help(help));
    }
    if let Some(file) = &args.output {
        files::check_folder(file)?;
    }
    let connected = Connected::without_configuration(&args.foundation, interrupt, []).await?;
    let fake_space = args.space.as_deref().unwrap_or("space");
    connected.fake_app(&args.org, fake_space, "app");
    let export = args.exporter(&connected).run().await?;
    connected.end_progress();
    if let Some(file) = args.output.clone() {
        let text = export.text.clone();
        let writing = move || {
            let written = write(&file, &text);
            written.map_err(|source| CommandError::from(ExportError::File { file, source }))
        };
        interrupt::blocking(interrupt, writing).await?;
    }
    report(&connected, &args, &export)?;
    Ok(0)
}

impl ExportArgs {
    fn exporter(&self, connected: &Connected) -> Exporter {
        let mut exporter = Exporter::new(connected.client.clone(), &self.org);
        if let Some(space) = &self.space {
            exporter = exporter.space(space);
        }
        if let Some(folder) = &self.bits {
            let in_spec = in_spec(folder, self.output.as_deref());
            exporter = exporter.bits(folder, in_spec);
        }
        if self.no_values {
            exporter = exporter.no_values();
        }
        if self.as_seed {
            exporter = exporter.as_seed();
        }
        exporter
    }
}

/// Writes a file completely or not at all. A pipe or a device is written to directly.
fn write(file: &Path, text: &str) -> std::io::Result<()> {
    if file.exists() && !file.is_file() {
        return std::fs::write(file, text);
    }
    // A link is followed to its target.
    let file = std::fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
    let mut part = file.clone().into_os_string();
    part.push(".part");
    let written = std::fs::write(&part, text).and_then(|()| std::fs::rename(&part, &file));
    if written.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    written
}

/// The path of a folder in a spec, which is relative to the spec if the folder is next to
/// it or below it.
fn in_spec(folder: &Path, spec: Option<&Path>) -> PathBuf {
    let beside = spec.and_then(Path::parent).unwrap_or(Path::new(""));
    match folder.strip_prefix(beside) {
        Ok(relative) if folder.is_relative() == relative.is_relative() || spec.is_some() => {
            relative.to_owned()
        }
        _ => std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned()),
    }
}

fn report(connected: &Connected, args: &ExportArgs, export: &Export) -> Result<(), CommandError> {
    match (connected.format, &args.output) {
        (Format::Json, file) => {
            let names = export.variables.iter().map(|it| &it.name);
            let object = json!({
                "file": file,
                "text": export.text,
                "variables": names.collect::<Vec<_>>(),
                "droplets": export.droplets,
                "warnings": export.warnings,
                "run": summary::run_json(connected),
            });
            output::print(&format!("{object:#}"))?;
        }
        (Format::Text, None) => output::print_document(export.text.trim_end())?,
        (Format::Text, Some(file)) => output::print(&format!("wrote {}", file.display()))?,
    }
    for warning in &export.warnings {
        output::eprintln_line(&format!("warning: not exported: {warning}"));
    }
    if !export.variables.is_empty() {
        let names: Vec<&str> = export.variables.iter().map(|it| it.name.as_str()).collect();
        output::eprintln_line(&format!("variables to set: {}", names.join(", ")));
    }
    Ok(())
}

/// The help for an error of an export.
pub(super) fn help_for(error: &ExportError) -> Option<String> {
    match error {
        ExportError::Api(error) => help::for_error(error),
        ExportError::Droplet { source, .. } => help::for_error(source),
        ExportError::NeedsV3 => Some("use a foundation with the v3 API".to_owned()),
        ExportError::Forbidden { .. } => Some(
            "an export shows the environment of apps: use a user with the role space_developer in each space, or export a single space with --space".to_owned(),
        ),
        ExportError::Checksum { .. } => Some("export again".to_owned()),
        ExportError::File { .. } => Some("check the path and its permissions".to_owned()),
        _ => None,
    }
}
