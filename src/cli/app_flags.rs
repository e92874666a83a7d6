//! The flags of `push` and `manifest` that describe apps, and their conversion to a
//! manifest and overrides.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::{Map, Value};

use cf_pusher::manifest::{
    HealthCheckType, Manifest, OverrideField, Overrides, Redacted, Strategy, TransformError,
};

use super::CommandError;
use super::connect;
use super::flags::whole_number;
use super::variables::{VariableFlags, existing};

/// The environment variable with credentials for registries of Cloud Native
/// Buildpacks.
const CNB_CREDENTIALS: &str = "CF_CNB_REGISTRY_CREDS";

/// The flags that describe apps. A flag that overrides the manifest has the same name as
/// its field in [`Overrides`].
#[derive(Debug, Clone, Default, Args)]
#[command(args_override_self = true, next_help_heading = "App options")]
pub(super) struct AppFlags {
    /// App names: select apps of the manifest; a single name renames its only app
    #[arg(value_name = "APP")]
    apps: Vec<String>,

    /// Path to a manifest, or to a folder with a manifest.yml or manifest.yaml
    #[arg(short = 'f', long, value_name = "PATH", value_parser = existing)]
    manifest: Option<PathBuf>,

    /// Ignore a manifest in the working directory
    #[arg(long, conflicts_with_all = ["manifest", "vars", "vars_files"])]
    no_manifest: bool,

    #[command(flatten)]
    variables: VariableFlags,

    /// Number of instances
    #[arg(short, long, value_name = "N", value_parser = whole_number(0..=u32::MAX))]
    instances: Option<u32>,

    /// Memory limit per instance, such as 256M or 1G
    #[arg(short, long, value_name = "SIZE")]
    memory: Option<String>,

    /// Disk limit per instance, such as 256M or 1G
    #[arg(short = 'k', long, value_name = "SIZE")]
    disk: Option<String>,

    /// Log rate limit per second, such as 16K; -1 means unlimited
    #[arg(short, long, value_name = "SIZE", allow_hyphen_values = true)]
    log_rate_limit: Option<String>,

    /// Start command; `null` or `default` resets it to the buildpack's command
    #[arg(short = 'c', long, value_name = "COMMAND", allow_hyphen_values = true)]
    start_command: Option<String>,

    /// Environment variable, repeatable
    #[arg(long, value_name = "NAME=VALUE", value_parser = env)]
    env: Vec<(String, String)>,

    /// Buildpack name or URL, repeatable; `null` or `default` restores detection
    #[arg(short, long = "buildpack", value_name = "BUILDPACK")]
    buildpacks: Vec<String>,

    /// Stack, such as cflinuxfs4
    #[arg(short, long)]
    stack: Option<String>,

    /// Type of health check
    #[arg(short = 'u', long, value_name = "TYPE", value_enum, ignore_case = true)]
    health_check_type: Option<HealthCheckChoice>,

    /// Path for an HTTP health check
    #[arg(long, value_name = "PATH")]
    endpoint: Option<String>,

    /// Time in seconds for an instance to become healthy
    #[arg(short = 't', long, value_name = "SECONDS", value_parser = whole_number(1..=u32::MAX))]
    app_start_timeout: Option<u32>,

    /// Docker image to run instead of bits
    #[arg(short = 'o', long, value_name = "IMAGE")]
    docker_image: Option<String>,

    /// User for the image's registry; CF_DOCKER_PASSWORD has the password
    #[arg(long, value_name = "USER")]
    docker_username: Option<String>,

    /// Path to a droplet file to run instead of staging bits
    #[arg(long, value_name = "FILE", value_parser = existing_absolute)]
    droplet: Option<PathBuf>,

    /// Path to the app's folder, or to a zip, jar or war file
    #[arg(short, long, value_name = "PATH", value_parser = absolute)]
    path: Option<PathBuf>,

    /// Do not map routes, and unmap existing routes
    #[arg(long)]
    no_route: bool,

    /// Create a route with random words
    #[arg(long)]
    random_route: bool,

    /// Stage the app without starting it or mapping routes
    #[arg(long)]
    task: bool,

    /// Neither stage nor start the app
    #[arg(long)]
    no_start: bool,

    /// Wait only for the first instance of the web process
    #[arg(long)]
    no_wait: bool,

    /// Deployment strategy
    #[arg(long, value_enum, ignore_case = true)]
    strategy: Option<StrategyChoice>,

    /// Number of instances to replace at a time; requires --strategy
    #[arg(long, value_name = "N", value_parser = whole_number(1..=u32::MAX))]
    max_in_flight: Option<u32>,

    /// Steps of a canary in percent, such as 20,40,60; requires --strategy canary
    #[arg(long, value_name = "STEPS", value_delimiter = ',', value_parser = whole_number::<u32>(1..=100))]
    instance_steps: Vec<u32>,

    /// Lifecycle of the app: buildpack, docker or cnb
    #[arg(long, value_parser = lifecycle)]
    lifecycle: Option<String>,

    /// Hide the values of environment variables in the diff, or in the manifest
    #[arg(long)]
    pub(super) redact_env: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum HealthCheckChoice {
    /// The instance responds to an HTTP request
    Http,
    /// The instance accepts TCP connections
    Port,
    /// The instance's process exists
    Process,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StrategyChoice {
    /// Replace all instances, a few at a time
    Rolling,
    /// Replace one instance, and pause until the deployment is continued
    Canary,
    /// The same as without the flag
    #[value(name = "null", alias = "")]
    Unset,
}

impl AppFlags {
    /// The manifest that the flags name, or the manifest of the working directory, with
    /// variables interpolated.
    pub(super) fn manifest(&self) -> Result<Manifest, CommandError> {
        let variables = self.variables.variables()?;
        let without = || match self.apps.as_slice() {
            [] => Ok(Manifest::for_app("")),
            [name] => Ok(Manifest::for_app(name)),
            _ => Err(CommandError::usage("several APP arguments need a manifest")
                .help("select a manifest with --manifest, or push one app")),
        };
        if self.no_manifest {
            return without();
        }
        let Some(given) = &self.manifest else {
            let here = std::env::current_dir()?;
            return match Manifest::locate(&here)? {
                Some(file) => Ok(Manifest::read(&file, &variables)?),
                None => without(),
            };
        };
        let Some(file) = Manifest::locate(given)? else {
            let message = format!("{} has no manifest.yml", given.display());
            return Err(CommandError::usage(message)
                .help("select a manifest with --manifest, or use --no-manifest"));
        };
        // A link in the given folder is followed, as the cf CLI does.
        let file = Manifest::locate(&file)?.unwrap_or(file);
        Ok(Manifest::read(&file, &variables)?)
    }

    /// The changes to the manifest. A flag with an empty value counts as missing.
    pub(super) fn overrides(&self) -> Result<Overrides, CommandError> {
        let text = |flag: &Option<String>| flag.clone().filter(|value| !value.is_empty());
        let mut overrides = Overrides::default();
        let apps = self.apps.iter().filter(|name| !name.is_empty());
        overrides.apps = apps.cloned().collect();
        overrides.env.extend(self.env.iter().cloned());
        overrides.instances = self.instances;
        overrides.memory = text(&self.memory);
        overrides.disk = text(&self.disk);
        overrides.log_rate_limit = text(&self.log_rate_limit);
        overrides.start_command = text(&self.start_command);
        overrides.buildpacks.clone_from(&self.buildpacks);
        overrides.stack = text(&self.stack);
        overrides.health_check_type = self.health_check_type.map(|choice| match choice {
            HealthCheckChoice::Http => HealthCheckType::Http,
            HealthCheckChoice::Port => HealthCheckType::Port,
            HealthCheckChoice::Process => HealthCheckType::Process,
        });
        overrides.endpoint = text(&self.endpoint);
        overrides.app_start_timeout = self.app_start_timeout;
        overrides.docker_image.clone_from(&self.docker_image);
        overrides.docker_username = text(&self.docker_username);
        overrides.droplet.clone_from(&self.droplet);
        overrides.path.clone_from(&self.path);
        overrides.no_route = self.no_route;
        overrides.random_route = self.random_route;
        overrides.task = self.task;
        overrides.no_start = self.no_start;
        overrides.no_wait = self.no_wait;
        overrides.strategy = self.strategy()?;
        overrides.lifecycle = text(&self.lifecycle);
        overrides.cnb_credentials = cnb_credentials()?;
        overrides.validate()?;
        Ok(overrides)
    }

    fn strategy(&self) -> Result<Option<Strategy>, CommandError> {
        let max_in_flight = self.max_in_flight;
        let steps = !self.instance_steps.is_empty();
        let conflict = |message: &str| Err(CommandError::usage(message));
        match self.strategy {
            Some(StrategyChoice::Rolling) if steps => {
                conflict("--instance-steps and --strategy rolling cannot be used together")
            }
            Some(StrategyChoice::Rolling) => Ok(Some(Strategy::Rolling { max_in_flight })),
            Some(StrategyChoice::Canary) => Ok(Some(Strategy::Canary {
                max_in_flight,
                instance_steps: self.instance_steps.clone(),
            })),
            Some(StrategyChoice::Unset) | None if steps => {
                conflict("--instance-steps requires --strategy canary")
            }
            Some(StrategyChoice::Unset) | None if max_in_flight.is_some() => {
                conflict("--max-in-flight requires --strategy")
            }
            Some(StrategyChoice::Unset) | None => Ok(None),
        }
    }
}

fn cnb_credentials() -> Result<Option<Redacted<Map<String, Value>>>, CommandError> {
    let given = connect::variable(CNB_CREDENTIALS).filter(|given| given != "null");
    let Some(given) = given else {
        return Ok(None);
    };
    let credentials: Map<String, Value> = serde_json::from_str(&given).map_err(|error| {
        // The error's own text is not printed, because it may quote a credential.
        let (line, column) = (error.line(), error.column());
        CommandError::usage(format!(
            "{CNB_CREDENTIALS} is not a JSON object: line {line}, column {column}"
        ))
    })?;
    Ok(Some(credentials.into()))
}

/// Describes an error about overrides with the names of flags, and the help for it.
pub(super) fn explain(error: &TransformError) -> (String, Option<&'static str>) {
    match error {
        TransformError::Conflict { field, other } => {
            let (flag, other) = (flag(*field), flag_of_other(*field, *other));
            (format!("{flag} and {other} cannot be used together"), None)
        }
        TransformError::Requires { field, other } => {
            (format!("{} requires {}", flag(*field), flag(*other)), None)
        }
        TransformError::InvalidValue { field, reason } => (
            format!("invalid value for {}: {reason}", flag(*field)),
            None,
        ),
        TransformError::SeveralApps { field, apps } => {
            let flag = short_flag(*field);
            (
                format!("{flag} needs a single APP argument: {apps} apps are selected"),
                None,
            )
        }
        TransformError::ManifestConflict {
            field,
            property,
            value,
        } => {
            let value = value.as_ref().map(|it| format!(" ({it})"));
            let value = value.unwrap_or_default();
            let flag = flag(*field);
            (
                format!("{flag} cannot be used with `{property}` in the manifest{value}"),
                None,
            )
        }
        TransformError::NoName => (
            error.to_string(),
            Some("add an APP argument, or a `name` in the manifest"),
        ),
        TransformError::UnnamedApp => {
            (error.to_string(), Some("add a `name` to every application"))
        }
        TransformError::DuplicateApp { .. } => {
            (error.to_string(), Some("rename or remove one of them"))
        }
        other => (other.to_string(), None),
    }
}

/// The second flag of a conflict: the same flag with another value, or another flag.
fn flag_of_other(field: OverrideField, other: OverrideField) -> String {
    match field.name == other.name {
        true => format!("another {}", flag(other)),
        false => flag(other),
    }
}

/// The flag for a field, such as `--lifecycle docker`.
fn flag(field: OverrideField) -> String {
    let long = argument(field).and_then(|it| it.get_long().map(|long| format!("--{long}")));
    let flag = long.unwrap_or_else(|| CNB_CREDENTIALS.to_owned());
    match field.value {
        Some(value) => format!("{flag} {value}"),
        None => flag,
    }
}

/// The short flag for a field if there is one, such as `-i`.
fn short_flag(field: OverrideField) -> String {
    match argument(field).and_then(|it| it.get_short()) {
        Some(short) => format!("-{short}"),
        None => flag(field),
    }
}

fn argument(field: OverrideField) -> Option<clap::Arg> {
    let command = AppFlags::augment_args(clap::Command::new("push"));
    let mut arguments = command.get_arguments();
    arguments.find(|it| it.get_id() == field.name).cloned()
}

/// A variable with a value that may be empty.
fn env(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("must be NAME=VALUE".to_owned()),
    }
}

/// A lifecycle. An empty value counts as missing.
fn lifecycle(text: &str) -> Result<String, String> {
    match text {
        "" | "buildpack" | "docker" | "cnb" => Ok(text.to_owned()),
        _ => Err("must be buildpack, docker or cnb".to_owned()),
    }
}

/// A path that does not have to exist yet.
fn absolute(path: &str) -> Result<PathBuf, String> {
    std::path::absolute(path).map_err(|error| error.to_string())
}

fn existing_absolute(path: &str) -> Result<PathBuf, String> {
    std::path::absolute(existing(path)?).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::FromArgMatches;
    use rstest::rstest;

    use super::*;

    /// The overrides of a command line, or the error that the command prints.
    fn overrides(line: &str) -> Result<Overrides, String> {
        let command = AppFlags::augment_args(clap::Command::new("push").no_binary_name(true));
        let parsed = command.try_get_matches_from(line.split_whitespace());
        let parsed = parsed.and_then(|flags| AppFlags::from_arg_matches(&flags));
        let flags = parsed.map_err(|error| error.to_string())?;
        flags.overrides().map_err(|error| error.to_string())
    }

    #[rstest]
    #[case(
        "--lifecycle docker -s s",
        "--lifecycle docker and --stack cannot be used together"
    )]
    #[case("--docker-username u", "--docker-username requires --docker-image")]
    #[case("-o i -b b", "--buildpack and --docker-image cannot be used together")]
    #[case("-u http", "--health-check-type http requires --endpoint")]
    #[case(
        "--no-start --strategy rolling",
        "--no-start and --strategy rolling cannot be used together"
    )]
    #[case(
        "-b null -b x",
        "--buildpack null and another --buildpack cannot be used together"
    )]
    #[case("--max-in-flight 2", "--max-in-flight requires --strategy")]
    #[case("--instance-steps 1,2", "--instance-steps requires --strategy canary")]
    #[case(
        "--instance-steps 1,2 --strategy rolling",
        "--instance-steps and --strategy rolling cannot be used together"
    )]
    #[case(
        "--strategy rolling -m 1x",
        "invalid value for --memory: invalid size \"1x\", must be a number with a unit, such as 512M or 2G"
    )]
    #[case(
        "-o Upper",
        "invalid value for --docker-image: invalid Docker image \"Upper\", must be [REGISTRY/]NAME[:TAG][@DIGEST] with the name in lower case"
    )]
    fn mutually_exclusive_flags_are_refused(#[case] line: &str, #[case] expected: &str) {
        assert_eq!(overrides(line).unwrap_err(), expected);
    }

    #[rstest]
    #[case("-i -1")]
    #[case("-i x")]
    #[case("-t 0")]
    #[case("-u bogus")]
    #[case("--strategy bogus")]
    #[case("--max-in-flight 0 --strategy rolling")]
    #[case("--instance-steps 1,x --strategy canary")]
    #[case("--instance-steps 20,101 --strategy canary")]
    #[case("--instance-steps 40,20 --strategy canary")]
    #[case("--lifecycle kpack")]
    #[case("--no-manifest -f .")]
    #[case("--no-manifest --vars-file .")]
    #[case("--no-manifest --var a=b")]
    #[case("--var =x")]
    #[case("--var x=")]
    #[case("-m 64")]
    #[case("--env A")]
    #[case("--env =x")]
    fn invalid_values_are_refused(#[case] line: &str) {
        assert!(overrides(line).is_err());
    }

    #[rstest]
    #[case(
        "app -i 0 -m 1G -k 1G -l -1 -c null -b a -b b -s s -t 1 -u PORT -p . --strategy ROLLING"
    )]
    #[case("-u http --endpoint /health")]
    #[case("--strategy canary --instance-steps 20,40 --max-in-flight 3 -i 2 -m 64M -l 1K")]
    #[case("-i 1 -i 2")]
    fn valid_flags_are_accepted(#[case] line: &str) {
        overrides(line).unwrap();
    }

    #[test]
    fn the_last_value_is_used_and_an_empty_value_is_ignored() {
        assert_eq!(overrides("-i 1 -i 2").unwrap().instances, Some(2));
        assert_eq!(overrides("--memory=").unwrap().memory, None);
        assert_eq!(overrides("--strategy=").unwrap().strategy, None);
        assert_eq!(overrides("--strategy null").unwrap().strategy, None);
        let variables = overrides("--env A=1 --env A=2 --env B=").unwrap().env;
        assert_eq!(
            (variables["A"].as_str(), variables["B"].as_str()),
            ("2", "")
        );
        assert_eq!(overrides("one two").unwrap().apps, ["one", "two"]);
    }

    #[test]
    fn several_apps_need_an_app_argument() {
        let manifest = Manifest::parse("applications: [{name: a}, {name: b}]", "test").unwrap();
        let error = manifest.transform(&overrides("-i 2").unwrap()).unwrap_err();
        let (message, _) = explain(&error);
        assert_eq!(
            message,
            "-i needs a single APP argument: 2 apps are selected"
        );
    }
}
