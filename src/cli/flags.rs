//! Flags that several subcommands share.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, ValueEnum};

use cf_pusher::Dialect;

use super::variables::VariableFlags;

/// The flags of the subcommands that read a configuration or a spec.
#[derive(Debug, Args)]
pub(super) struct Common {
    #[command(flatten)]
    pub(super) input: InputFlags,

    #[command(flatten)]
    pub(super) foundation: Foundation,
}

/// The flags that select the desired state.
#[derive(Debug, Clone, Args)]
pub(super) struct InputFlags {
    #[command(flatten)]
    pub(super) files: InputFiles,

    #[command(flatten)]
    pub(super) variables: VariableFlags,

    /// Folder with the bits of each group of a configuration: registry, tick, proxy
    /// [default: APPS_DIR, then bundled apps]
    #[arg(long, value_name = "DIR", conflicts_with = "specs")]
    pub(super) apps_dir: Option<PathBuf>,
}

impl InputFlags {
    /// The files and folders that are read.
    pub(super) fn paths(&self) -> Vec<&PathBuf> {
        let InputFiles { specs, config } = &self.files;
        let paths = specs.iter().chain(config);
        paths.chain(self.variables.files()).collect()
    }
}

/// A configuration or the files of a spec.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
pub(super) struct InputFiles {
    /// Path to a spec (a YAML file) or to a folder of such files; `-` reads standard
    /// input. Repeat it to read one spec from several files
    #[arg(short = 'f', long = "file", value_name = "FILE", display_order = 0)]
    pub(super) specs: Vec<PathBuf>,

    /// Path to a configuration of a scaling test, a JSON file; `-` reads standard input
    #[arg(long, value_name = "FILE", display_order = 0)]
    pub(super) config: Option<PathBuf>,
}

/// The flags of the subcommands that connect to a foundation.
#[derive(Debug, Args)]
#[command(next_help_heading = "Foundation")]
pub(super) struct Foundation {
    /// URL of the Cloud Controller [default: CF_API, then `api` in the configuration,
    /// then the target of the cf CLI]
    #[arg(long, value_name = "URL")]
    pub(super) api: Option<String>,

    /// Use an embedded fake Cloud Controller instead of a foundation
    #[cfg(feature = "mock")]
    #[arg(long, conflicts_with = "api")]
    pub(super) mock: bool,

    /// Version of the Cloud Controller API
    #[arg(long, value_enum, default_value_t = DialectChoice::Auto)]
    pub(super) dialect: DialectChoice,

    /// Accept any TLS certificate
    #[arg(long, env = "CF_SKIP_SSL_VALIDATION", hide_env = true, value_parser = truth)]
    pub(super) skip_ssl_validation: bool,

    /// Trust the certificates in this file (PEM), in addition to those of the system or of
    /// SSL_CERT_FILE
    #[arg(long, value_name = "FILE")]
    pub(super) ca_cert: Option<PathBuf>,

    /// Maximum number of concurrent requests [default: `concurrency` in the
    /// configuration, then 16]
    #[arg(long, value_name = "N", value_parser = whole_number::<u32>(1..=1000))]
    pub(super) concurrency: Option<u32>,

    /// Timeout for each wait, such as `90s` or `15m`
    #[arg(long, value_name = "TIME", value_parser = timeout, default_value = "15m")]
    pub(super) timeout: Duration,

    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Text, help_heading = "Output")]
    pub(super) format: Format,

    /// Log requests (-v), and their details (-vv), to standard error
    #[arg(short, long, action = clap::ArgAction::Count, help_heading = "Output")]
    pub(super) verbose: u8,
}

impl Foundation {
    /// Whether the foundation is the embedded fake.
    pub(super) fn is_mock(&self) -> bool {
        #[cfg(feature = "mock")]
        return self.mock;
        #[cfg(not(feature = "mock"))]
        return false;
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum DialectChoice {
    /// Detected from the Cloud Controller's version
    Auto,
    /// The v3 API
    V3,
    /// The API as documented in 2017
    #[value(name = "2017")]
    Documented2017,
}

impl DialectChoice {
    pub(super) fn dialect(self) -> Option<Dialect> {
        match self {
            Self::Auto => None,
            Self::V3 => Some(Dialect::V3),
            Self::Documented2017 => Some(Dialect::Documented2017),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Human-readable text
    Text,
    /// One JSON object
    Json,
}

/// The maximum duration of a flag.
const MAX_DURATION: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A timeout.
pub(super) fn timeout(text: &str) -> Result<Duration, String> {
    let shortest = Duration::from_millis(1);
    time(text, shortest)
}

/// A duration that may be zero.
pub(super) fn wait(text: &str) -> Result<Duration, String> {
    time(text, Duration::ZERO)
}

fn time(text: &str, shortest: Duration) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).ok();
    let time = time.filter(|time| (shortest..=MAX_DURATION).contains(time));
    time.ok_or_else(|| {
        let from = humantime::format_duration(shortest);
        format!("must be a time with a unit, such as 90s or 15m, from {from} to 7days")
    })
}

/// Parses whole numbers in a range.
pub(super) fn whole_number<N>(
    range: RangeInclusive<N>,
) -> impl Fn(&str) -> Result<N, String> + Clone + Send + Sync + 'static
where
    N: FromStr + PartialOrd + Display + Clone + Send + Sync + 'static,
{
    move |text| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| {
            let (first, last) = (range.start(), range.end());
            format!("must be a whole number from {first} to {last}")
        })
    }
}

/// A value that is true or false. An empty value is false.
fn truth(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "y" | "t" | "on" | "1" => Ok(true),
        "false" | "no" | "n" | "f" | "off" | "0" | "" => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_have_bounds() {
        assert_eq!(timeout("90s"), Ok(Duration::from_secs(90)));
        assert!(timeout("0s").is_err());
        assert!(timeout("8days").is_err());
        assert_eq!(
            timeout("soon").unwrap_err(),
            "must be a time with a unit, such as 90s or 15m, from 1ms to 7days"
        );
        assert_eq!(wait("0s"), Ok(Duration::ZERO));
        assert!(wait("8days").is_err());
    }

    #[test]
    fn numbers_have_bounds() {
        let number = whole_number::<u32>(1..=10);
        assert_eq!(number("10"), Ok(10));
        for wrong in ["0", "11", "-1", "1.5", "ten", ""] {
            assert_eq!(
                number(wrong).unwrap_err(),
                "must be a whole number from 1 to 10"
            );
        }
    }

    #[test]
    fn a_variable_of_the_environment_is_true_or_false() {
        assert_eq!(truth("TRUE"), Ok(true));
        assert_eq!(truth(""), Ok(false));
        assert!(truth("maybe").is_err());
    }
}
