//! Changes that `push` makes to a manifest, and the combinations that are not allowed.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value};

use super::entry::REDACTED;
use super::size;
use super::transform::TransformError;

/// Changes to the apps of a manifest, and how `push` starts the apps.
///
/// Each field has the meaning of the option of `cf push` with the same name. A field that
/// is `None`, empty or `false` changes nothing. All fields except [`apps`](Self::apps)
/// apply to only one app, so a manifest with several apps also needs `apps`.
///
/// [`Manifest::transform`](super::Manifest::transform) validates the overrides.
///
/// ```
/// use cf_pusher::manifest::{Manifest, Overrides};
///
/// let mut overrides = Overrides::default();
/// overrides.instances = Some(4);
/// overrides.memory = Some("64M".to_owned());
///
/// let manifest = Manifest::parse("applications: [{name: dora}]", "inline")?;
/// let manifest = manifest.transform(&overrides)?;
/// assert!(manifest.render().contains("instances: 4"));
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[cfg_attr(test, derive(serde::Deserialize), serde(default))]
#[non_exhaustive]
pub struct Overrides {
    /// The names of the apps to select from several. A single name renames the only app
    /// of a manifest.
    pub apps: Vec<String>,
    /// The number of instances.
    pub instances: Option<u32>,
    /// The memory of an instance, with a unit: `256M`, `1G`.
    pub memory: Option<String>,
    /// The disk space of an instance, with a unit: `256M`, `1G`.
    pub disk: Option<String>,
    /// The log rate limit in bytes per second, with a unit: `16K`. `-1` removes
    /// the limit.
    pub log_rate_limit: Option<String>,
    /// The start command. `null` or `default` resets it to the buildpack's command.
    pub start_command: Option<String>,
    /// Names or URLs of buildpacks. A single `null` or `default` restores
    /// buildpack detection.
    pub buildpacks: Vec<String>,
    /// The stack, such as `cflinuxfs4`.
    pub stack: Option<String>,
    /// The type of the health check.
    pub health_check_type: Option<HealthCheckType>,
    /// The path of an HTTP health check.
    pub endpoint: Option<String>,
    /// The time that an instance may take to become healthy, in seconds, at least 1.
    pub app_start_timeout: Option<u32>,
    /// A Docker image to run instead of bits: `[REGISTRY/]NAME[:TAG][@DIGEST]`.
    pub docker_image: Option<String>,
    /// The user for the image's registry.
    pub docker_username: Option<String>,
    /// A droplet file to run instead of staging bits.
    pub droplet: Option<PathBuf>,
    /// The app's bits: a folder, or a zip, jar or war file.
    pub path: Option<PathBuf>,
    /// Map no routes, and unmap existing routes.
    pub no_route: bool,
    /// Create a route with random words.
    pub random_route: bool,
    /// Stage the app without starting it, and map no routes.
    pub task: bool,
    /// Neither stage nor start the app.
    pub no_start: bool,
    /// Wait for the first instance of the web process only.
    pub no_wait: bool,
    /// The strategy of the deployment that replaces running instances. `None` restarts
    /// the app.
    pub strategy: Option<Strategy>,
    /// The app's lifecycle: `buildpack`, `docker` or `cnb`.
    pub lifecycle: Option<String>,
    /// Credentials for registries of Cloud Native Buildpacks.
    pub cnb_credentials: Option<Redacted<Map<String, Value>>>,
    /// Environment variables.
    pub env: Redacted<BTreeMap<String, String>>,
}

/// A value that [`fmt::Debug`] does not show, because it may be secret.
#[derive(Clone, Default, PartialEq, Eq)]
#[cfg_attr(test, derive(serde::Deserialize), serde(transparent))]
pub struct Redacted<T>(T);

impl<T> From<T> for Redacted<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T> Deref for Redacted<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Redacted<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T> fmt::Debug for Redacted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

/// The type of an instance's health check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum HealthCheckType {
    /// The instance answers an HTTP request with 200.
    Http,
    /// The instance accepts TCP connections on its port.
    Port,
    /// The process of the instance exists.
    Process,
}

impl HealthCheckType {
    /// The type as manifests spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Port => "port",
            Self::Process => "process",
        }
    }
}

/// The strategy of a deployment, which replaces the running instances of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(test, derive(serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Strategy {
    /// Replaces all instances, a few at a time.
    Rolling {
        /// The number of instances that are replaced at a time, at least 1. The Cloud
        /// Controller's default is 1.
        max_in_flight: Option<u32>,
    },
    /// Replaces one instance, and pauses until the deployment is continued.
    Canary {
        /// The number of instances that are replaced at a time, at least 1. The Cloud
        /// Controller's default is 1.
        max_in_flight: Option<u32>,
        /// The steps of the canary, in percent of the instances, such as
        /// `[20, 40, 60]`.
        instance_steps: Vec<u32>,
    },
}

impl Strategy {
    /// The strategy as the Cloud Controller spells it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Rolling { .. } => "rolling",
            Self::Canary { .. } => "canary",
        }
    }

    pub(crate) fn max_in_flight(&self) -> Option<u32> {
        match self {
            Self::Rolling { max_in_flight } | Self::Canary { max_in_flight, .. } => *max_in_flight,
        }
    }

    pub(crate) fn instance_steps(&self) -> &[u32] {
        match self {
            Self::Rolling { .. } => &[],
            Self::Canary { instance_steps, .. } => instance_steps,
        }
    }
}

/// A field of [`Overrides`] or of its [`Strategy`], with its value if only that value
/// matters.
///
/// Displays as `docker_image` or `lifecycle: docker`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct OverrideField {
    /// The name of the field.
    pub name: &'static str,
    /// The value. `None` if any value matters.
    pub value: Option<&'static str>,
}

impl OverrideField {
    pub(super) const fn any(name: &'static str) -> Self {
        Self { name, value: None }
    }

    const fn of(name: &'static str, value: &'static str) -> Self {
        Self {
            name,
            value: Some(value),
        }
    }
}

impl fmt::Display for OverrideField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value {
            None => write!(f, "{}", self.name),
            Some(value) => write!(f, "{}: {value}", self.name),
        }
    }
}

impl Overrides {
    /// Checks that the overrides can be combined, and each value.
    ///
    /// # Errors
    /// [`TransformError::Conflict`], [`TransformError::Requires`] or
    /// [`TransformError::InvalidValue`], for the first field that is wrong.
    pub fn validate(&self) -> Result<(), TransformError> {
        let conflicts = self.lifecycle_conflicts().into_iter();
        let mut conflicts = conflicts.chain(self.start_conflicts());
        let conflict = conflicts.find(|(found, ..)| *found);
        if let Some((_, field, other)) = conflict {
            return Err(TransformError::Conflict { field, other });
        }
        let required = self.requirements().into_iter().find(|(found, ..)| *found);
        if let Some((_, field, other)) = required {
            return Err(TransformError::Requires { field, other });
        }
        self.validate_values()
    }

    /// Fields that say how the app is made, and exclude each other.
    fn lifecycle_conflicts(&self) -> [(bool, OverrideField, OverrideField); 13] {
        const IMAGE: OverrideField = OverrideField::any("docker_image");
        const USERNAME: OverrideField = OverrideField::any("docker_username");
        const BUILDPACKS: OverrideField = OverrideField::any("buildpacks");
        const STACK: OverrideField = OverrideField::any("stack");
        const DROPLET: OverrideField = OverrideField::any("droplet");
        const PATH: OverrideField = OverrideField::any("path");
        const BUILDPACK_LIFECYCLE: OverrideField = OverrideField::of("lifecycle", "buildpack");
        const DOCKER_LIFECYCLE: OverrideField = OverrideField::of("lifecycle", "docker");
        const CNB_LIFECYCLE: OverrideField = OverrideField::of("lifecycle", "cnb");
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
        [
            (buildpack && image, BUILDPACK_LIFECYCLE, IMAGE),
            (buildpack && username, BUILDPACK_LIFECYCLE, USERNAME),
            (docker && buildpacks, DOCKER_LIFECYCLE, BUILDPACKS),
            (docker && stack, DOCKER_LIFECYCLE, STACK),
            (docker && droplet, DOCKER_LIFECYCLE, DROPLET),
            (cnb && image, CNB_LIFECYCLE, IMAGE),
            (cnb && username, CNB_LIFECYCLE, USERNAME),
            (image && buildpacks, BUILDPACKS, IMAGE),
            (image && path, IMAGE, PATH),
            (image && stack, STACK, IMAGE),
            (droplet && image, DROPLET, IMAGE),
            (droplet && username, DROPLET, USERNAME),
            (droplet && path, DROPLET, PATH),
        ]
    }

    /// Fields that say how the app is started and reached, and values of one field, that
    /// exclude each other.
    fn start_conflicts(&self) -> [(bool, OverrideField, OverrideField); 7] {
        const BUILDPACKS: OverrideField = OverrideField::any("buildpacks");
        const NO_START: OverrideField = OverrideField::any("no_start");
        const TASK: OverrideField = OverrideField::any("task");
        let strategy = self.strategy.as_ref().map(Strategy::name);
        let deployed = strategy.is_some();
        let strategy = match strategy {
            Some(name) => OverrideField::of("strategy", name),
            None => OverrideField::any("strategy"),
        };
        [
            (self.no_start && deployed, NO_START, strategy),
            (self.task && deployed, TASK, strategy),
            (
                self.no_start && self.no_wait,
                NO_START,
                OverrideField::any("no_wait"),
            ),
            (
                self.no_route && self.random_route,
                OverrideField::any("no_route"),
                OverrideField::any("random_route"),
            ),
            (
                self.buildpacks.len() > 1 && self.resets("null"),
                OverrideField::of("buildpacks", "null"),
                BUILDPACKS,
            ),
            (
                self.buildpacks.len() > 1 && self.resets("default"),
                OverrideField::of("buildpacks", "default"),
                BUILDPACKS,
            ),
            (
                self.endpoint.is_some()
                    && self
                        .health_check_type
                        .is_some_and(|kind| kind != HealthCheckType::Http),
                OverrideField::any("endpoint"),
                match self.health_check_type {
                    Some(kind) => OverrideField::of("health_check_type", kind.name()),
                    None => OverrideField::any("health_check_type"),
                },
            ),
        ]
    }

    fn requirements(&self) -> [(bool, OverrideField, OverrideField); 2] {
        let http = self.health_check_type == Some(HealthCheckType::Http);
        [
            (
                self.docker_username.is_some() && self.docker_image.is_none(),
                OverrideField::any("docker_username"),
                OverrideField::any("docker_image"),
            ),
            (
                http && self.endpoint.is_none(),
                OverrideField::of("health_check_type", "http"),
                OverrideField::any("endpoint"),
            ),
        ]
    }

    fn validate_values(&self) -> Result<(), TransformError> {
        let invalid = |name| {
            move |reason: String| TransformError::InvalidValue {
                field: OverrideField::any(name),
                reason,
            }
        };
        if self.app_start_timeout == Some(0) {
            return Err(invalid("app_start_timeout")(
                "must be at least 1".to_owned(),
            ));
        }
        if let Some(image) = &self.docker_image
            && !is_image(image)
        {
            return Err(invalid("docker_image")(format!(
                "invalid Docker image \"{image}\", must be [REGISTRY/]NAME[:TAG][@DIGEST] with the name in lower case"
            )));
        }
        let max_in_flight = self.strategy.as_ref().and_then(Strategy::max_in_flight);
        if max_in_flight == Some(0) {
            return Err(invalid("max_in_flight")("must be at least 1".to_owned()));
        }
        let steps = self
            .strategy
            .as_ref()
            .map_or(&[][..], Strategy::instance_steps);
        let is_percentage = |step: &u32| (1..=100).contains(step);
        if !steps.iter().all(is_percentage) || !steps.is_sorted() {
            return Err(invalid("instance_steps")(
                "must be percentages from 1 to 100 in ascending order, such as 20,40,60".to_owned(),
            ));
        }
        let size = |name| move |error: size::SizeError| invalid(name)(error.to_string());
        self.memory_mb().map_err(size("memory"))?;
        self.disk_mb().map_err(size("disk"))?;
        let log_rate_limit = self.log_rate_limit_bps();
        log_rate_limit.map_err(size("log_rate_limit"))?;
        Ok(())
    }

    fn resets(&self, word: &str) -> bool {
        self.buildpacks.iter().any(|buildpack| buildpack == word)
    }

    /// Whether `buildpacks` restores buildpack detection.
    pub(super) fn resets_buildpacks(&self) -> bool {
        self.resets("null") || self.resets("default")
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

/// `[REGISTRY/]NAME[:TAG][@DIGEST]`, as the distribution project defines it.
const DOCKER_IMAGE: &str = r"(?x)\A
    (?:(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*
       |\[[0-9A-Fa-f:]+\])(?::[0-9]+)?/)?
    [a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*
    (?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?
    (?:@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9A-Fa-f]{32,})?
    \z";

/// Whether a text names a Docker image.
pub(crate) fn is_image(text: &str) -> bool {
    IMAGES.is_match(text)
}

#[expect(clippy::expect_used, reason = "the pattern is constant")]
static IMAGES: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(DOCKER_IMAGE).expect("the pattern of images is a regex"));

#[cfg(test)]
impl Overrides {
    /// Overrides from the content of a YAML map, such as `instances: 4`.
    pub(super) fn of(fields: &str) -> Self {
        let value = super::yaml::Value::parse(&format!("{{{fields}}}")).unwrap();
        serde_json::from_value(serde_json::to_value(value).unwrap()).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(
        "lifecycle: buildpack, docker_image: i",
        "lifecycle: buildpack and docker_image cannot be combined"
    )]
    #[case(
        "lifecycle: docker, buildpacks: [b]",
        "lifecycle: docker and buildpacks cannot be combined"
    )]
    #[case(
        "lifecycle: docker, stack: s",
        "lifecycle: docker and stack cannot be combined"
    )]
    #[case(
        "lifecycle: docker, droplet: d",
        "lifecycle: docker and droplet cannot be combined"
    )]
    #[case(
        "lifecycle: cnb, docker_image: i",
        "lifecycle: cnb and docker_image cannot be combined"
    )]
    #[case(
        "lifecycle: cnb, docker_username: u",
        "lifecycle: cnb and docker_username cannot be combined"
    )]
    #[case("docker_username: u", "docker_username requires docker_image")]
    #[case(
        "docker_image: i, buildpacks: [b]",
        "buildpacks and docker_image cannot be combined"
    )]
    #[case("docker_image: i, path: p", "docker_image and path cannot be combined")]
    #[case(
        "docker_image: i, stack: s",
        "stack and docker_image cannot be combined"
    )]
    #[case("health_check_type: http", "health_check_type: http requires endpoint")]
    #[case(
        "health_check_type: port, endpoint: /up",
        "endpoint and health_check_type: port cannot be combined"
    )]
    #[case(
        "droplet: d, docker_image: i",
        "droplet and docker_image cannot be combined"
    )]
    #[case("droplet: d, path: p", "droplet and path cannot be combined")]
    #[case(
        "no_start: true, strategy: {rolling: {}}",
        "no_start and strategy: rolling cannot be combined"
    )]
    #[case(
        "no_start: true, strategy: {canary: {instance_steps: []}}",
        "no_start and strategy: canary cannot be combined"
    )]
    #[case(
        "task: true, strategy: {rolling: {}}",
        "task and strategy: rolling cannot be combined"
    )]
    #[case(
        "no_start: true, no_wait: true",
        "no_start and no_wait cannot be combined"
    )]
    #[case(
        "no_route: true, random_route: true",
        "no_route and random_route cannot be combined"
    )]
    #[case(
        "buildpacks: ['null', x]",
        "buildpacks: null and buildpacks cannot be combined"
    )]
    #[case(
        "strategy: {rolling: {max_in_flight: 0}}",
        "max_in_flight: must be at least 1"
    )]
    #[case("app_start_timeout: 0", "app_start_timeout: must be at least 1")]
    #[case(
        "memory: '64'",
        "memory: invalid size \"64\", must be a number with a unit, such as 512M or 2G"
    )]
    #[case(
        "disk: 1x",
        "disk: invalid size \"1x\", must be a number with a unit, such as 512M or 2G"
    )]
    #[case(
        "strategy: {rolling: {}}, memory: 1x",
        "memory: invalid size \"1x\", must be a number with a unit, such as 512M or 2G"
    )]
    fn invalid_overrides_are_refused(#[case] fields: &str, #[case] expected: &str) {
        let error = Overrides::of(fields).validate().unwrap_err();
        assert_eq!(error.to_string(), expected);
    }

    #[rstest]
    #[case("Upper")]
    #[case(":tag")]
    #[case("a b")]
    fn invalid_docker_images_are_refused(#[case] image: &str) {
        let error = Overrides::of(&format!("docker_image: '{image}'")).validate();
        let error = error.unwrap_err().to_string();
        let expected = format!("invalid Docker image \"{image}\"");
        assert!(error.contains(&expected), "{error}");
    }

    #[rstest]
    #[case(
        "apps: [a], env: {A: b}, instances: 0, memory: 1G, disk: 1G, log_rate_limit: '-1', start_command: 'null', buildpacks: [a, b], stack: s, app_start_timeout: 1, health_check_type: port, path: p, strategy: {rolling: {}}"
    )]
    #[case("health_check_type: http, endpoint: /health")]
    #[case("docker_image: 'registry.example.com:5000/a/b_c:v1.2', docker_username: u")]
    #[case(
        "strategy: {canary: {instance_steps: [20, 40], max_in_flight: 3}}, instances: 2, memory: 64M, log_rate_limit: 1K"
    )]
    fn valid_overrides_are_accepted(#[case] fields: &str) {
        Overrides::of(fields).validate().unwrap();
    }

    #[test]
    fn secrets_are_not_shown_for_debugging() {
        let overrides = Overrides::of("env: {A: hunter2}, cnb_credentials: {r: hunter2}");
        let shown = format!("{overrides:?}");
        assert!(
            !shown.contains("hunter2") && shown.contains("<redacted>"),
            "{shown}"
        );
    }
}
