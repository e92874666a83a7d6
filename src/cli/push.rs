//! `cf-pusher push`: one app, or those of a manifest.

use clap::Args;

use super::CommandError;
use crate::manifest::overrides::Overrides;
use crate::manifest::yaml::Value;

/// The flags about the apps.
#[derive(Debug, Args)]
pub(super) struct AppFlags {
    #[command(flatten)]
    overrides: Overrides,

    /// Hide the values of environment variables where a difference is shown
    #[arg(long)]
    pub(super) redact_env: bool,
}

impl AppFlags {
    /// The flags, with what the environment adds.
    pub(super) fn overrides(&self) -> Result<Overrides, CommandError> {
        const CREDENTIALS: &str = "CF_CNB_REGISTRY_CREDS";
        let mut flags = self.overrides.clone();
        let given = std::env::var(CREDENTIALS).unwrap_or_default();
        if !given.is_empty() {
            let credentials: serde_json::Map<_, _> =
                serde_json::from_str(&given).map_err(|error| {
                    let at = (error.line(), error.column());
                    CommandError::Usage(format!(
                        "{CREDENTIALS} is no JSON object: line {}, column {}",
                        at.0, at.1
                    ))
                })?;
            flags.cnb_credentials = Some(Value::from(&serde_json::Value::Object(credentials)));
        }
        Ok(flags)
    }
}
