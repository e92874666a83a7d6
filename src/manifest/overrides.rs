//! The flags of `push` that say something of the app, and which of them
//! cannot stand together.

use std::path::PathBuf;
use std::sync::LazyLock;

use clap::{Args, ValueEnum};
use regex::Regex;

use super::size;
use super::yaml::Value;

/// What flags say of an app, over what its manifest says.
#[derive(Debug, Clone, Default, Args)]
#[command(args_override_self = true, next_help_heading = "The app")]
pub(crate) struct Overrides {
    /// The app: picks one of the manifest's, or names the only one
    #[arg(value_name = "APP")]
    pub(crate) app: Option<String>,

    /// The manifest, or a folder that has a manifest.yml or manifest.yaml
    #[arg(short = 'f', long, value_name = "PATH", value_parser = existing)]
    pub(crate) manifest: Option<PathBuf>,

    /// Ignore a manifest in the working directory
    #[arg(long)]
    pub(crate) no_manifest: bool,

    /// A variable for the manifest's ((NAME)); the value is YAML
    #[arg(long = "var", value_name = "NAME=VALUE")]
    pub(crate) vars: Vec<String>,

    /// A YAML file of variables; later ones win, and --var over all
    #[arg(long = "vars-file", value_name = "FILE", value_parser = existing)]
    pub(crate) vars_files: Vec<PathBuf>,

    /// How many instances
    #[arg(short, long, value_name = "N", allow_negative_numbers = true, value_parser = count)]
    pub(crate) instances: Option<i64>,

    /// Memory of an instance, such as 256M or 1G
    #[arg(short, long, value_name = "SIZE")]
    pub(crate) memory: Option<String>,

    /// Disk of an instance, such as 256M or 1G
    #[arg(short = 'k', long, value_name = "SIZE")]
    pub(crate) disk: Option<String>,

    /// Log bytes a second, such as 16K; -1 is without limit
    #[arg(short, long, value_name = "SIZE", allow_hyphen_values = true)]
    pub(crate) log_rate_limit: Option<String>,

    /// The start command; `null` or `default` resets it to the buildpack's
    #[arg(short = 'c', long, value_name = "COMMAND", allow_hyphen_values = true)]
    pub(crate) start_command: Option<String>,

    /// A buildpack's name or URL, once for each; `null` or `default` for those that fit
    #[arg(short, long = "buildpack", value_name = "BUILDPACK")]
    pub(crate) buildpacks: Vec<String>,

    /// The stack, such as cflinuxfs4
    #[arg(short, long)]
    pub(crate) stack: Option<String>,

    /// How health is checked
    #[arg(short = 'u', long, value_name = "TYPE", value_enum, ignore_case = true)]
    pub(crate) health_check_type: Option<HealthCheckType>,

    /// The path that an HTTP health check asks for
    #[arg(long, value_name = "PATH")]
    pub(crate) endpoint: Option<String>,

    /// Seconds that an instance may take until it is healthy
    #[arg(short = 't', long, value_name = "SECONDS", allow_negative_numbers = true, value_parser = seconds)]
    pub(crate) app_start_timeout: Option<i64>,

    /// A Docker image instead of bits
    #[arg(short = 'o', long, value_name = "IMAGE", value_parser = docker_image)]
    pub(crate) docker_image: Option<String>,

    /// The user of the image's registry; the password is in CF_DOCKER_PASSWORD
    #[arg(long, value_name = "USER")]
    pub(crate) docker_username: Option<String>,

    /// A droplet, made by an earlier staging, instead of bits
    #[arg(long, value_name = "FILE", value_parser = existing_absolute)]
    pub(crate) droplet: Option<PathBuf>,

    /// The app's folder, or a zip, jar or war of it
    #[arg(short, long, value_name = "PATH", value_parser = existing_absolute)]
    pub(crate) path: Option<PathBuf>,

    /// Map no route, and unmap those that are
    #[arg(long)]
    pub(crate) no_route: bool,

    /// Make a route with random words
    #[arg(long)]
    pub(crate) random_route: bool,

    /// An app that only runs tasks: staged, not started, without a route
    #[arg(long)]
    pub(crate) task: bool,

    /// Neither stage nor start
    #[arg(long)]
    pub(crate) no_start: bool,

    /// Wait for the first instance of the web process only
    #[arg(long)]
    pub(crate) no_wait: bool,

    /// Replace the instances bit by bit
    #[arg(long, value_enum, ignore_case = true)]
    pub(crate) strategy: Option<Strategy>,

    /// How many instances may be replaced at a time; with --strategy
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) max_in_flight: Option<i64>,

    /// Percentages of a canary's steps, such as 20,40,60; with --strategy canary
    #[arg(long, value_name = "STEPS", value_delimiter = ',')]
    pub(crate) instance_steps: Vec<i64>,

    /// How the app is built: buildpack, docker or cnb
    #[arg(long)]
    pub(crate) lifecycle: Option<String>,

    /// Credentials of registries of Cloud Native Buildpacks, from CF_CNB_REGISTRY_CREDS
    #[arg(skip)]
    pub(crate) cnb_credentials: Option<Value>,
}

/// How an instance shows that it is healthy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum HealthCheckType {
    /// It answers HTTP
    Http,
    /// It listens
    Port,
    /// It runs
    Process,
}

impl HealthCheckType {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Port => "port",
            Self::Process => "process",
        }
    }
}

/// How the instances of an app that runs are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Strategy {
    /// One after the other
    Rolling,
    /// One first, and the others when it is told to go on
    Canary,
    /// As if the flag was not given
    #[value(name = "", hide = true)]
    Unset,
}

impl Strategy {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rolling => "rolling",
            Self::Canary => "canary",
            Self::Unset => "",
        }
    }
}

/// Flags that cannot be used so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FlagError {
    #[error("{0} and {1} cannot be used together")]
    Conflict(&'static str, &'static str),
    #[error("{0} needs {1}")]
    Requires(&'static str, &'static str),
    #[error("{0}: {1}")]
    Value(&'static str, String),
}

const BUILDPACK: &str = "--buildpack, -b";
const IMAGE: &str = "--docker-image, -o";
const USERNAME: &str = "--docker-username";
const STACK: &str = "--stack, -s";
const DROPLET: &str = "--droplet";
const PATH: &str = "--path, -p";

impl Overrides {
    /// Flags whose value is empty are as if they were not given.
    fn without_empty(mut self) -> Self {
        for flag in [
            &mut self.app,
            &mut self.memory,
            &mut self.disk,
            &mut self.log_rate_limit,
            &mut self.start_command,
            &mut self.stack,
            &mut self.endpoint,
            &mut self.docker_username,
            &mut self.lifecycle,
        ] {
            flag.take_if(|value| value.is_empty());
        }
        self.strategy
            .take_if(|strategy| *strategy == Strategy::Unset);
        self
    }

    /// The flags, if they can stand together.
    pub(crate) fn checked(self) -> Result<Self, FlagError> {
        let flags = self.without_empty();
        let conflict = flags.conflicts().into_iter().find(|(found, ..)| *found);
        if let Some((_, one, other)) = conflict {
            return Err(FlagError::Conflict(one, other));
        }
        let required = flags.requirements().into_iter().find(|(found, ..)| *found);
        if let Some((_, flag, other)) = required {
            return Err(FlagError::Requires(flag, other));
        }
        flags.check_values()?;
        Ok(flags)
    }

    fn conflicts(&self) -> [(bool, &'static str, &'static str); 24] {
        let lifecycle = |name: &str| self.lifecycle.as_deref() == Some(name);
        let (buildpack, docker, cnb) = (
            lifecycle("buildpack"),
            lifecycle("docker"),
            lifecycle("cnb"),
        );
        let image = self.docker_image.is_some();
        let username = self.docker_username.is_some();
        let buildpacks = !self.buildpacks.is_empty();
        let stack = self.stack.is_some();
        let droplet = self.droplet.is_some();
        let path = self.path.is_some();
        let no_manifest = self.no_manifest;
        let rolling = self.strategy == Some(Strategy::Rolling);
        let canary = self.strategy == Some(Strategy::Canary);
        [
            (buildpack && image, "--lifecycle buildpack", IMAGE),
            (buildpack && username, "--lifecycle buildpack", USERNAME),
            (docker && buildpacks, "--lifecycle docker", BUILDPACK),
            (docker && stack, "--lifecycle docker", STACK),
            (docker && droplet, "--lifecycle docker", DROPLET),
            (cnb && image, "--lifecycle cnb", IMAGE),
            (cnb && username, "--lifecycle cnb", USERNAME),
            (image && buildpacks, BUILDPACK, IMAGE),
            (image && path, IMAGE, PATH),
            (image && stack, STACK, IMAGE),
            (
                no_manifest && self.manifest.is_some(),
                "--no-manifest",
                "--manifest, -f",
            ),
            (
                no_manifest && !self.vars_files.is_empty(),
                "--no-manifest",
                "--vars-file",
            ),
            (
                no_manifest && !self.vars.is_empty(),
                "--no-manifest",
                "--var",
            ),
            (droplet && image, DROPLET, IMAGE),
            (droplet && username, DROPLET, USERNAME),
            (droplet && path, DROPLET, PATH),
            (self.no_start && rolling, "--no-start", "--strategy rolling"),
            (self.task && rolling, "--task", "--strategy rolling"),
            (self.no_start && canary, "--no-start", "--strategy canary"),
            (self.task && canary, "--task", "--strategy canary"),
            (self.no_start && self.no_wait, "--no-start", "--no-wait"),
            (
                self.no_route && self.random_route,
                "--no-route",
                "--random-route",
            ),
            (
                self.buildpacks.len() > 1 && self.resets_buildpacks(),
                "--buildpack null or default",
                "other buildpacks",
            ),
            (
                !self.instance_steps.is_empty() && rolling,
                "--instance-steps",
                "--strategy rolling",
            ),
        ]
    }

    fn requirements(&self) -> [(bool, &'static str, &'static str); 4] {
        let http = self.health_check_type == Some(HealthCheckType::Http);
        let none = self.strategy.is_none();
        [
            (
                self.docker_username.is_some() && self.docker_image.is_none(),
                USERNAME,
                IMAGE,
            ),
            (
                http && self.endpoint.is_none(),
                "--health-check-type http, -u http",
                "--endpoint",
            ),
            (
                none && self.max_in_flight.is_some(),
                "--max-in-flight",
                "--strategy",
            ),
            (
                none && !self.instance_steps.is_empty(),
                "--instance-steps",
                "--strategy canary",
            ),
        ]
    }

    fn check_values(&self) -> Result<(), FlagError> {
        if self.max_in_flight.is_some_and(|most| most < 1) {
            let reason = "must be 1 or more".to_owned();
            return Err(FlagError::Value("--max-in-flight", reason));
        }
        if self.strategy.is_none() {
            return Ok(());
        }
        // A deployment takes them as numbers, so they must be understood here.
        let told = |flag| move |error: size::SizeError| FlagError::Value(flag, error.to_string());
        self.memory_mb().map_err(told("--memory, -m"))?;
        self.disk_mb().map_err(told("--disk, -k"))?;
        let log_rate_limit = self.log_rate_limit_bps();
        log_rate_limit.map_err(told("--log-rate-limit, -l"))?;
        Ok(())
    }

    /// Whether a buildpack resets the list to those that Cloud Controller finds fit.
    pub(crate) fn resets_buildpacks(&self) -> bool {
        let mut buildpacks = self.buildpacks.iter();
        buildpacks.any(|buildpack| matches!(buildpack.as_str(), "null" | "default"))
    }

    pub(crate) fn memory_mb(&self) -> Result<Option<u64>, size::SizeError> {
        self.memory.as_deref().map(size::megabytes).transpose()
    }

    pub(crate) fn disk_mb(&self) -> Result<Option<u64>, size::SizeError> {
        self.disk.as_deref().map(size::megabytes).transpose()
    }

    pub(crate) fn log_rate_limit_bps(&self) -> Result<Option<i64>, size::SizeError> {
        let limit = self.log_rate_limit.as_deref();
        limit.map(size::log_rate_limit).transpose()
    }
}

fn count(text: &str) -> Result<i64, String> {
    let number = text.parse().ok().filter(|number| *number >= 0);
    number.ok_or_else(|| "must be a whole number, 0 or more".to_owned())
}

fn seconds(text: &str) -> Result<i64, String> {
    let number = text.parse().ok().filter(|number| *number >= 1);
    number.ok_or_else(|| "must be a whole number, 1 or more".to_owned())
}

/// A path to something that is there.
fn existing(path: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(path);
    match path.metadata() {
        Ok(_) => Ok(path),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err("there is no such file or folder".to_owned())
        }
        Err(error) => Err(error.to_string()),
    }
}

fn existing_absolute(path: &str) -> Result<PathBuf, String> {
    std::path::absolute(existing(path)?).map_err(|error| error.to_string())
}

/// `[REGISTRY/]NAME[:TAG][@DIGEST]`, as the distribution project defines it.
const DOCKER_IMAGE: &str = r"(?x)\A
    (?:(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*
       |\[[0-9A-Fa-f:]+\])(?::[0-9]+)?/)?
    [a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*
    (?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?
    (?:@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9A-Fa-f]{32,})?
    \z";

#[expect(clippy::expect_used, reason = "the pattern is constant")]
static IMAGES: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(DOCKER_IMAGE).expect("the pattern of images is a regex"));

fn docker_image(image: &str) -> Result<String, String> {
    if IMAGES.is_match(image) {
        return Ok(image.to_owned());
    }
    Err(
        "no Docker image is named so: [REGISTRY/]NAME[:TAG][@DIGEST], the name in lower case"
            .to_owned(),
    )
}

#[cfg(test)]
use clap::FromArgMatches;

#[cfg(test)]
impl Overrides {
    /// The flags of a command line.
    pub(super) fn of(line: &str) -> Result<Self, String> {
        let command = Self::augment_args(clap::Command::new("push").no_binary_name(true));
        let parsed = command.try_get_matches_from(line.split_whitespace());
        let parsed = parsed.and_then(|flags| Self::from_arg_matches(&flags));
        let flags = parsed.map_err(|error| error.to_string())?;
        flags.checked().map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(
        "--lifecycle buildpack -o i",
        "--lifecycle buildpack and --docker-image, -o cannot be used together"
    )]
    #[case(
        "--lifecycle docker -b b",
        "--lifecycle docker and --buildpack, -b cannot be used together"
    )]
    #[case(
        "--lifecycle docker -s s",
        "--lifecycle docker and --stack, -s cannot be used together"
    )]
    #[case(
        "--lifecycle docker --droplet .",
        "--lifecycle docker and --droplet cannot be used together"
    )]
    #[case(
        "--lifecycle cnb -o i",
        "--lifecycle cnb and --docker-image, -o cannot be used together"
    )]
    #[case(
        "--lifecycle cnb --docker-username u",
        "--lifecycle cnb and --docker-username cannot be used together"
    )]
    #[case("--docker-username u", "--docker-username needs --docker-image, -o")]
    #[case(
        "-o i -b b",
        "--buildpack, -b and --docker-image, -o cannot be used together"
    )]
    #[case(
        "-o i -p .",
        "--docker-image, -o and --path, -p cannot be used together"
    )]
    #[case(
        "-o i -s s",
        "--stack, -s and --docker-image, -o cannot be used together"
    )]
    #[case(
        "--no-manifest -f .",
        "--no-manifest and --manifest, -f cannot be used together"
    )]
    #[case(
        "--no-manifest --vars-file .",
        "--no-manifest and --vars-file cannot be used together"
    )]
    #[case(
        "--no-manifest --var a=b",
        "--no-manifest and --var cannot be used together"
    )]
    #[case("-u http", "--health-check-type http, -u http needs --endpoint")]
    #[case(
        "--droplet . -o i",
        "--droplet and --docker-image, -o cannot be used together"
    )]
    #[case("--droplet . -p .", "--droplet and --path, -p cannot be used together")]
    #[case(
        "--no-start --strategy rolling",
        "--no-start and --strategy rolling cannot be used together"
    )]
    #[case(
        "--no-start --strategy canary",
        "--no-start and --strategy canary cannot be used together"
    )]
    #[case(
        "--task --strategy rolling",
        "--task and --strategy rolling cannot be used together"
    )]
    #[case(
        "--no-start --no-wait",
        "--no-start and --no-wait cannot be used together"
    )]
    #[case(
        "--no-route --random-route",
        "--no-route and --random-route cannot be used together"
    )]
    #[case(
        "-b null -b x",
        "--buildpack null or default and other buildpacks cannot be used together"
    )]
    #[case("--max-in-flight 2", "--max-in-flight needs --strategy")]
    #[case(
        "--max-in-flight 0 --strategy rolling",
        "--max-in-flight: must be 1 or more"
    )]
    #[case("--instance-steps 1,2", "--instance-steps needs --strategy canary")]
    #[case(
        "--instance-steps 1,2 --strategy rolling",
        "--instance-steps and --strategy rolling cannot be used together"
    )]
    #[case(
        "--strategy rolling -m 1x",
        "--memory, -m: 1x is no size: it must be a number with a unit, such as 512M or 2G"
    )]
    fn flags_that_do_not_fit_are_refused(#[case] flags: &str, #[case] expected: &str) {
        assert_eq!(Overrides::of(flags).unwrap_err(), expected);
    }

    #[rstest]
    #[case("-i -1")]
    #[case("-i x")]
    #[case("-t 0")]
    #[case("-u bogus")]
    #[case("-o Upper")]
    #[case("-o :tag")]
    #[case("--strategy bogus")]
    #[case("--instance-steps 1,x --strategy canary")]
    #[case("-p /no/such/folder")]
    #[case("one two")]
    fn values_that_make_no_sense_are_refused(#[case] flags: &str) {
        assert!(Overrides::of(flags).is_err());
    }

    #[rstest]
    #[case(
        "app -i 0 -m 1G -k 1G -l -1 -c null -b a -b b -s s -t 1 -u PORT -p . --strategy ROLLING"
    )]
    #[case("-u http --endpoint /health")]
    #[case("-o registry.example.com:5000/a/b_c:v1.2 --docker-username u")]
    #[case("--strategy canary --instance-steps 20,40 --max-in-flight 3 -i 2 -m 64M -l 1K")]
    #[case("-i 1 -i 2")]
    #[case("-m 1x")]
    fn other_flags_are_taken(#[case] flags: &str) {
        Overrides::of(flags).unwrap();
    }

    #[test]
    fn the_last_of_a_flag_counts_and_an_empty_one_does_not() {
        assert_eq!(Overrides::of("-i 1 -i 2").unwrap().instances, Some(2));
        assert_eq!(Overrides::of("--memory=").unwrap().memory, None);
        assert_eq!(Overrides::of("--strategy=").unwrap().strategy, None);
    }
}
