//! The cost table of requests: a time for one resource, for a list, and for each
//! resource on its page, by the type of the resource.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::api::router::{RouteMatch, Router};
use crate::serve::seed_file::plain;
use crate::world::durations;
use crate::world::settings::{Dialect, Timings, TimingsPatch};

const MEASURED: &str = include_str!("measured.yml");

/// The times of a foundation: of requests by the type of their resources, and of staging,
/// copies, starts and jobs.
///
/// ```
/// use mock_capi::{MockCapi, Profile};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // The times that the Cloud Controller's performance tests measured, with 20 workers.
/// MockCapi::builder().profile(Profile::measured()).workers(20);
/// // Half a millisecond for each app on a page; other requests take no time.
/// Profile::from_yaml("types: {apps: {each: 500us}}")?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Profile {
    name: Cow<'static, str>,
    file: ProfileFile,
}

/// The reason why a text is not a valid [`Profile`].
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidProfile(String);

/// The content of a profile.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ProfileFile {
    times: TimingsPatch,
    #[serde(skip_serializing_if = "Option::is_none")]
    workers: Option<usize>,
    default: Entry,
    types: BTreeMap<String, Entry>,
    operations: BTreeMap<String, Entry>,
}

/// Times of a type or an operation. A missing time has its default.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Entry {
    #[serde(with = "durations", skip_serializing_if = "Option::is_none")]
    one: Option<Duration>,
    #[serde(with = "durations", skip_serializing_if = "Option::is_none")]
    list: Option<Duration>,
    #[serde(with = "durations", skip_serializing_if = "Option::is_none")]
    each: Option<Duration>,
}

/// The cost of requests for a type of resources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cost {
    one: Duration,
    list: Duration,
    each: Duration,
}

impl Cost {
    fn with(self, entry: Entry) -> Self {
        Self {
            one: entry.one.unwrap_or(self.one),
            list: entry.list.unwrap_or(self.list),
            each: entry.each.unwrap_or(self.each),
        }
    }

    /// The time of a request. `listed` is the number of resources in its response.
    pub(super) fn of(self, listed: Option<usize>) -> Duration {
        match listed {
            None => self.one,
            Some(count) => {
                let count = u32::try_from(count).unwrap_or(u32::MAX);
                self.list.saturating_add(self.each.saturating_mul(count))
            }
        }
    }
}

impl Profile {
    /// The times that the Cloud Controller's own performance tests published in August
    /// 2026.
    pub fn measured() -> Self {
        // A test verifies that the file can be parsed.
        let file = serde_saphyr::from_str(MEASURED).unwrap_or_default();
        let name = "measured".into();
        Self { name, file }
    }

    /// Reads a profile.
    ///
    /// # Errors
    ///
    /// [`InvalidProfile`] if the text is empty or not YAML, has an unknown key, type or
    /// operation, or a time that is not valid.
    pub fn from_yaml(text: &str) -> Result<Self, InvalidProfile> {
        let file: Option<ProfileFile> = serde_saphyr::from_str(text)
            .map_err(|error| InvalidProfile(plain(&error.to_string())))?;
        let file = file.ok_or_else(|| InvalidProfile("it is empty".into()))?;
        file.check()?;
        let name = "file".into();
        Ok(Self { name, file })
    }

    /// Sets the times of staging, copies, starts and jobs.
    pub(crate) fn set_times(&self, timings: &mut Timings) -> Result<(), String> {
        timings.change(&self.file.times)
    }

    /// The number of workers, if the profile sets it.
    pub(crate) fn workers(&self) -> Option<usize> {
        self.file.workers
    }
}

impl ProfileFile {
    fn check(&self) -> Result<(), InvalidProfile> {
        Timings::default()
            .change(&self.times)
            .map_err(|problem| InvalidProfile(format!("times: {problem}")))?;
        let routers = [Dialect::V3, Dialect::Documented2017].map(Router::new);
        let keys: Vec<String> = routers.iter().flat_map(Router::keys).collect();
        let has_type = |name: &str| {
            let mut segments = keys.iter().flat_map(|key| key.split('/').skip(1));
            !name.starts_with(':') && segments.any(|segment| segment == name)
        };
        if let Some(name) = self.types.keys().find(|name| !has_type(name)) {
            return Err(InvalidProfile(format!(
                "types: the API has no resources of the type '{name}'"
            )));
        }
        let known = |operation: &&String| keys.iter().any(|key| is_same(key, operation));
        match self.operations.keys().find(|operation| !known(operation)) {
            Some(operation) => Err(InvalidProfile(format!(
                "operations: the API has no operation '{operation}', such as 'GET /v3/apps/:guid'"
            ))),
            None => Ok(()),
        }
    }

    /// The cost of an operation: its own, or that of the last type in its path.
    fn cost(&self, key: &str) -> Cost {
        let default = Cost::default().with(self.default);
        let mut operations = self.operations.iter();
        if let Some((_, entry)) = operations.find(|(operation, _)| is_same(key, operation)) {
            return default.with(*entry);
        }
        let mut segments = key.rsplit('/');
        let of_type = segments.find_map(|segment| self.types.get(segment));
        of_type.map_or(default, |entry| default.with(*entry))
    }
}

/// Whether two operations are the same, regardless of the names of their parameters.
fn is_same(one: &str, other: &str) -> bool {
    let unnamed = |segment: &str| match segment.starts_with(':') {
        true => ":".to_owned(),
        false => segment.to_owned(),
    };
    one.split('/')
        .map(unnamed)
        .eq(other.split('/').map(unnamed))
}

/// A profile by the operations of a dialect.
#[derive(Clone, Debug)]
pub(crate) struct CostTable {
    profile: Profile,
    costs: HashMap<String, Cost>,
}

impl CostTable {
    pub(crate) fn new(profile: Profile, router: &Router) -> Self {
        let keys = router.keys();
        let costs = keys.map(|key| {
            let cost = profile.file.cost(&key);
            (key, cost)
        });
        Self {
            costs: costs.collect(),
            profile,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.profile.name
    }

    pub(super) fn profile(&self) -> &ProfileFile {
        &self.profile.file
    }

    pub(super) fn of(&self, found: Option<&RouteMatch>) -> Cost {
        let cost = found.and_then(|found| self.costs.get(&found.route.key()));
        cost.copied()
            .unwrap_or_else(|| Cost::default().with(self.profile.file.default))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mean time of an operation in milliseconds.
    fn millis(profile: &Profile, method: &str, path: &str, listed: Option<usize>) -> u128 {
        let router = Router::new(Dialect::V3);
        let list = CostTable::new(profile.clone(), &router);
        let found = router.find(method, path);
        list.of(found.as_ref()).of(listed).as_millis()
    }

    #[test]
    fn the_measured_profile_has_the_published_times() {
        let read = Profile::from_yaml(MEASURED).unwrap();
        let profile = Profile::measured();
        assert_eq!(format!("{:?}", read.file), format!("{:?}", profile.file));
        for (path, of_50, of_500) in [
            ("/v3/organizations", 94, 267),
            ("/v3/roles", 133, 251),
            ("/v3/security_groups", 179, 1048),
            ("/v3/domains", 247, 2251),
        ] {
            for (count, published) in [(50, of_50), (500, of_500)] {
                let time = millis(&profile, "GET", path, Some(count));
                assert!(time.abs_diff(published) <= 3, "{path} {count}: {time}");
            }
        }
        for (method, path, time) in [
            ("GET", "/v3/apps/a", 57),
            ("POST", "/v3/organizations", 57),
            ("POST", "/v3/routes/a/destinations", 225),
            ("GET", "/v3/nothing", 57),
        ] {
            assert_eq!(
                millis(&profile, method, path, None),
                time,
                "{method} {path}"
            );
        }
        let mut timings = Timings::default();
        profile.set_times(&mut timings).unwrap();
        assert_eq!((timings.staging.as_secs(), timings.jitter), (30, 0.3));
    }

    #[test]
    fn a_list_has_the_price_of_the_last_type_in_its_path() {
        let profile =
            "default: {one: 1ms, list: 2ms}\ntypes: {apps: {each: 5ms}, droplets: {list: 7ms}}";
        let profile = Profile::from_yaml(profile).unwrap();
        for (path, listed, time) in [
            ("/v3/apps", Some(3), 17),
            ("/v3/apps/a", None, 1),
            ("/v3/apps/a/droplets", Some(3), 7),
            ("/v3/apps/a/features", Some(3), 17),
            ("/v3/spaces", Some(3), 2),
        ] {
            assert_eq!(millis(&profile, "GET", path, listed), time, "{path}");
        }
    }

    #[test]
    fn a_profile_that_could_not_have_an_effect_is_refused() {
        for (text, problem) in [
            ("latency: 1s", "unknown field"),
            (
                "types: {moons: {one: 1s}}",
                "types: the API has no resources of the type 'moons'",
            ),
            (
                "operations: {GET /v3/moons: {one: 1s}}",
                "operations: the API has no operation 'GET /v3/moons'",
            ),
            ("default: {one: soon}", "expected number"),
            ("times: {jitter: 2}", "times: jitter"),
            ("# times: {jitter: 2}\n", "it is empty"),
        ] {
            let error = Profile::from_yaml(text).unwrap_err().to_string();
            assert!(error.contains(problem), "{text}: {error}");
        }
    }
}
