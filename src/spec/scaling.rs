//! The parameters of a scaling test, read from a JSON file and validated.
//!
//! The keys are the same as in the scaling tests of cf-networking-release, so their files
//! can be used without changes. All problems of a file are reported together, each with
//! its key, value, allowed values and line.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use secrecy::SecretString;
use serde_json::{Value, json};

use super::keys::Example::{Comment, Value as Set};
use super::keys::Kind::{Number, Prefix};
use super::keys::{self, Key, key};
use super::reader::{self, ConfigError};
use super::sources::{Source, Sources};
use crate::desired::{Desired, DesiredError, Group, Org, Rule, SecurityGroup, Space};

/// The longest name of an app without the prefix, to check the length of hosts.
const LONGEST_NAME: &str = "proxy-99999";

/// The maximum length of a label of a host name in DNS.
const MAX_LABEL: usize = 63;

/// The maximum length of a prefix. With it, no label of a host name is too long.
pub(super) const MAX_PREFIX: usize = MAX_LABEL - LONGEST_NAME.len();

/// The parameters of a scaling test, and the address of the foundation.
///
/// Every key is optional. Each field documents its default.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ScalingTest {
    /// `proxy_instances`: the number of instances of each proxy app. 0 to 10,000; default
    /// 1.
    pub proxy_instances: u32,
    /// `proxy_applications`: the number of proxy apps. 0 to 100,000; default 0.
    pub proxy_applications: u32,
    /// `test_app_instances`: the number of instances of each tick app. 0 to 10,000;
    /// default 1.
    pub test_app_instances: u32,
    /// `test_applications`: the number of tick apps. 0 to 100,000; default 0.
    pub test_applications: u32,
    /// `test_app_registry_ttl_seconds`: the time after which the registry drops a tick
    /// instance that no longer reports (`REGISTRY_TTL_SECONDS` in the environment of the
    /// tick apps). Seconds, 0 to 86,400; default 180.
    pub test_app_registry_ttl_seconds: u32,
    /// `policy_update_wait_seconds`: the time that [`Tester`](crate::scale_test::Tester)
    /// waits for network policies to take effect. Seconds, 0 to 86,400; default 10.
    pub policy_update_wait_seconds: u32,
    /// `extra_listen_ports`: the number of ports that each tick app listens on in
    /// addition to `$PORT`, starting at 7000 (`LISTEN_PORTS`, `START_PORT`). 0 to 1,000;
    /// default 0.
    pub extra_listen_ports: u32,
    /// `sample_percent`: the percentage of connections that
    /// [`Tester`](crate::scale_test::Tester) tries. 0 to 100, where 0 means all; default
    /// 100.
    pub sample_percent: u32,
    /// `prefix`: the beginning of the names of the org, space, quota, security group and
    /// apps. Letters, digits, `-` and `_`; default `scale-`.
    pub prefix: String,
    /// `concurrency`: the maximum number of requests in flight. 1 to 1,000; default 16.
    pub concurrency: u32,
    /// `asg_size`: the number of rules of the security group. 0 to 65,000; default 0.
    pub asg_size: u32,
    /// The address of the foundation, and the login.
    pub connection: Connection,
    /// Notes on keys that only the Go scaling suite uses.
    pub notes: Vec<String>,
}

/// The address of the foundation and the login, with the keys of the Go cf-pusher.
#[derive(Debug, Clone, Default)]
pub struct Connection {
    /// `api`: the Cloud Controller's URL, `https://` if it has no scheme.
    pub api: Option<String>,
    /// `admin_user`: the user name.
    pub admin_user: Option<String>,
    /// `admin_password`: the user's password.
    pub admin_password: Option<SecretString>,
    /// `apps_domain`: the domain of the apps' routes. The default is the foundation's
    /// first shared domain.
    pub apps_domain: Option<String>,
    /// `skip_ssl_validation`: accept any TLS certificate. Default false.
    pub skip_ssl_validation: bool,
}

impl Default for ScalingTest {
    fn default() -> Self {
        Self {
            proxy_instances: 1,
            proxy_applications: 0,
            test_app_instances: 1,
            test_applications: 0,
            test_app_registry_ttl_seconds: 180,
            policy_update_wait_seconds: 10,
            extra_listen_ports: 0,
            sample_percent: 100,
            prefix: "scale-".to_owned(),
            concurrency: 16,
            asg_size: 0,
            connection: Connection::default(),
            notes: Vec::new(),
        }
    }
}

/// Every key that is read.
pub(super) const KEYS: &[Key<ScalingTest>] = &[
    key(
        "prefix",
        "Prefix of the names of the org, space, quota, security group and apps",
        Prefix(|c| &mut c.prefix),
        Set("\"scale-\""),
    ),
    key(
        "test_applications",
        "Number of tick apps, which register themselves at the registry app",
        Number(0..=100_000, |c| &mut c.test_applications),
        Set("2"),
    ),
    key(
        "test_app_instances",
        "Instances of each tick app",
        Number(0..=10_000, |c| &mut c.test_app_instances),
        Set("1"),
    ),
    key(
        "proxy_applications",
        "Number of proxy apps, which call other apps",
        Number(0..=100_000, |c| &mut c.proxy_applications),
        Set("2"),
    ),
    key(
        "proxy_instances",
        "Instances of each proxy app",
        Number(0..=10_000, |c| &mut c.proxy_instances),
        Set("1"),
    ),
    key(
        "test_app_registry_ttl_seconds",
        "Seconds after which the registry forgets a tick instance that no longer reports",
        Number(0..=86_400, |c| &mut c.test_app_registry_ttl_seconds),
        Comment("180"),
    ),
    key(
        "extra_listen_ports",
        "Number of ports that each tick app listens on in addition to $PORT, starting at 7000",
        Number(0..=1_000, |c| &mut c.extra_listen_ports),
        Comment("0"),
    ),
    key(
        "asg_size",
        "Number of rules in the security group",
        Number(0..=65_000, |c| &mut c.asg_size),
        Set("0"),
    ),
    keys::concurrency(|c| &mut c.concurrency),
    key(
        "policy_update_wait_seconds",
        "Seconds that `test` waits for network policies to take effect",
        Number(0..=86_400, |c| &mut c.policy_update_wait_seconds),
        Comment("10"),
    ),
    key(
        "sample_percent",
        "Percentage of the connections that `test` tries; 0 means all",
        Number(0..=100, |c| &mut c.sample_percent),
        Comment("100"),
    ),
    keys::api(),
    keys::admin_user(),
    keys::admin_password(),
    keys::apps_domain(),
    keys::skip_ssl_validation(),
];

/// Keys of the Go scaling suite's configuration that cf-pusher does not need.
pub(super) const GO_SUITE_KEYS: &[&str] = &[
    "admin_secret",
    "default_security_groups",
    "dynamic_asgs_enabled",
    "internetless",
    "run_custom_iptables_compatibility_test",
    "run_experimental_outbound_conn_limit_test",
    "skip_icmp_tests",
    "skip_search_domain_tests",
    "skip_space_developer_policy_test",
    "use_http",
];

impl keys::HasConnection for ScalingTest {
    fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

impl ScalingTest {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], which names the file and every invalid key.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        Self::parse(&reader::text(path)?, &path.display().to_string())
    }

    /// Reads a configuration of at most 10 MB from a stream. `origin` names it in
    /// messages.
    ///
    /// # Errors
    ///
    /// The same as [`ScalingTest::read`].
    pub fn read_from(stream: impl Read, origin: &str) -> Result<Self, ConfigError> {
        Self::parse(&reader::text_of(stream, origin)?, origin)
    }

    /// Parses a file's text. `origin` names it in messages.
    ///
    /// ```
    /// let config = cf_pusher::ScalingTest::parse(r#"{"proxy_applications": 3}"#, "inline")?;
    /// assert_eq!(config.proxy_applications, 3);
    /// assert_eq!(config.prefix, "scale-");
    /// # Ok::<(), cf_pusher::ConfigError>(())
    /// ```
    ///
    /// # Errors
    /// The same errors as [`ScalingTest::read`].
    pub fn parse(text: &str, origin: &str) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        config.notes = reader::read(text, origin, KEYS, GO_SUITE_KEYS, &mut config)?;
        Ok(config)
    }

    /// The JSON Schema (draft 2020-12) of the configuration that
    /// [`ScalingTest::parse`] reads.
    pub fn json_schema() -> Value {
        keys::json_schema("Configuration of cf-pusher", KEYS, GO_SUITE_KEYS)
    }

    /// A starter configuration, with a comment for each key.
    pub fn template() -> String {
        keys::template(KEYS)
    }
}

/// The first of the tick apps' additional ports.
const START_PORT: u32 = 7000;

/// The environment variables that the parameters set. They are not secret.
const SHOWN_ENV: [&str; 5] = [
    "GOPACKAGENAME",
    "LISTEN_PORTS",
    "REGISTRY_BASE_URL",
    "REGISTRY_TTL_SECONDS",
    "START_PORT",
];

/// A kind of app of a scaling test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum GroupKind {
    /// The app that tick apps register with. A test has one.
    Registry,
    /// The apps that register themselves.
    Tick,
    /// The apps that call other apps.
    Proxy,
}

impl GroupKind {
    /// All kinds. Each kind precedes the kinds that need it.
    pub(super) const ALL: [Self; 3] = [Self::Registry, Self::Tick, Self::Proxy];

    /// The name of its folder, which is also a part of its apps' names.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Registry => "registry",
            Self::Tick => "tick",
            Self::Proxy => "proxy",
        }
    }
}

/// The names of a scaling test's resources, as the Go cf-pusher chose them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Names {
    /// `{prefix}org`
    pub org: String,
    /// `{prefix}space`
    pub space: String,
    /// `{prefix}quota`
    pub quota: String,
    /// `{prefix}asg`
    pub security_group: String,
    /// `{prefix}registry`
    pub registry: String,
    /// `{prefix}tick-0` and so on
    pub ticks: Vec<String>,
    /// `{prefix}proxy-0` and so on
    pub proxies: Vec<String>,
}

impl ScalingTest {
    /// The names of the scaling test's resources.
    pub fn names(&self) -> Names {
        let prefix = &self.prefix;
        let numbered = |kind: GroupKind, count: u32| {
            (0..count)
                .map(|i| format!("{prefix}{}-{i}", kind.name()))
                .collect()
        };
        Names {
            org: format!("{prefix}org"),
            space: format!("{prefix}space"),
            quota: format!("{prefix}quota"),
            security_group: format!("{prefix}asg"),
            registry: format!("{prefix}{}", GroupKind::Registry.name()),
            ticks: numbered(GroupKind::Tick, self.test_applications),
            proxies: numbered(GroupKind::Proxy, self.proxy_applications),
        }
    }

    /// The desired state, with the bits of `sources`.
    ///
    /// # Errors
    ///
    /// [`DesiredError`] if [`ScalingTest::parse`] does not allow a value.
    pub fn desired(&self, sources: &Sources) -> Result<Desired, DesiredError> {
        let names = self.names();
        let group = SecurityGroup::new(&names.security_group, rules(self.asg_size));
        let mut space = Space::new(&names.space).security_group(&names.security_group);
        for kind in self.kinds() {
            if let Some(source) = sources.get(kind) {
                space = space.group(self.group(kind, source, &names));
            }
        }
        let org = Org::new(&names.org).quota(&names.quota).space(space);
        let mut desired = Desired::builder(&self.prefix)
            .security_group(group)
            .org(org);
        if let Some(domain) = &self.connection.apps_domain {
            desired = desired.apps_domain(domain);
        }
        desired.build()
    }

    /// The kinds that have apps.
    pub(crate) fn kinds(&self) -> Vec<GroupKind> {
        let wanted = |kind: &GroupKind| match kind {
            GroupKind::Registry => true,
            GroupKind::Tick => self.test_applications > 0,
            GroupKind::Proxy => self.proxy_applications > 0,
        };
        GroupKind::ALL.into_iter().filter(wanted).collect()
    }

    fn group(&self, kind: GroupKind, source: &Source, names: &Names) -> Group {
        let (count, instances) = match kind {
            GroupKind::Registry => (1, 1),
            GroupKind::Tick => (self.test_applications, self.test_app_instances),
            GroupKind::Proxy => (self.proxy_applications, self.proxy_instances),
        };
        let name = match kind {
            GroupKind::Registry => names.registry.clone(),
            _ => format!("{}{}-{{i}}", self.prefix, kind.name()),
        };
        let route = format!("{}.{{apps_domain}}", host(&name));
        let entry = source.entry.clone().with_env(self.environment(kind, names));
        let entry = entry
            .with_routes(vec![route])
            .with("instances", json!(instances));
        let group = Group::new(name, entry, source.bits.clone());
        let shown = group.entry.env().keys();
        let shown = shown.filter(|name| SHOWN_ENV.contains(&name.as_str()));
        let shown: Vec<String> = shown.cloned().collect();
        group.count(count).shown_env(shown)
    }

    fn environment(&self, kind: GroupKind, names: &Names) -> BTreeMap<String, String> {
        let package = format!("example-apps/{}", kind.name());
        let mut env = BTreeMap::from([("GOPACKAGENAME".to_owned(), package)]);
        if kind == GroupKind::Tick {
            let registry = format!("http://{}.{{apps_domain}}", host(&names.registry));
            let numbers = [
                ("REGISTRY_TTL_SECONDS", self.test_app_registry_ttl_seconds),
                ("START_PORT", START_PORT),
                ("LISTEN_PORTS", self.extra_listen_ports),
            ];
            env.insert("REGISTRY_BASE_URL".to_owned(), registry);
            env.extend(numbers.map(|(name, number)| (name.to_owned(), number.to_string())));
        }
        env
    }
}

/// The host of an app's route. Hosts are case-insensitive.
fn host(app: &str) -> String {
    app.to_lowercase()
}

/// The rules of the security group: rule i allows TCP to `169.254.{i/254}.{i%254}` on
/// port i, starting with i = 1.
fn rules(size: u32) -> Vec<Rule> {
    (1..=size)
        .map(|i| Rule::tcp(format!("169.254.{}.{}", i / 254, i % 254), i.to_string()))
        .collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn parse(text: &str) -> Result<ScalingTest, ConfigError> {
        ScalingTest::parse(text, "test.json")
    }

    #[test]
    fn the_documented_parameters_are_read() {
        let text = include_str!("../../fixtures/configs/scale-test.json");
        let config = parse(text).unwrap();
        assert_eq!(config.notes, Vec::<String>::new());
        assert_eq!(config.proxy_applications, 100);
        assert_eq!(config.proxy_instances, 2);
        assert_eq!(config.test_applications, 100);
        assert_eq!(config.test_app_instances, 2);
        assert_eq!(config.test_app_registry_ttl_seconds, 180);
        assert_eq!(config.policy_update_wait_seconds, 10);
        assert_eq!(config.extra_listen_ports, 2);
        assert_eq!(config.sample_percent, 20);
        assert_eq!(config.prefix, "scale-");
        assert_eq!(config.concurrency, 20);
        assert_eq!(config.asg_size, 5);
    }

    #[test]
    fn every_problem_is_reported_with_its_line() {
        let text = "{\n\"test_applications\": \"ten\",\n\"concurrency\": 0,\n\"prefix\": \"-a b\",\n\"sample_percent\": 20.5,\n\"skip_ssl_validation\": 1,\n\"api\": \"\"\n}";
        insta::assert_snapshot!(parse(text).unwrap_err(), @r#"
        test.json:2: `test_applications` is "ten", must be a whole number from 0 to 100000
        test.json:3: `concurrency` is 0, must be a whole number from 1 to 1000
        test.json:4: `prefix` is "-a b", must be a string of at most 52 letters, digits, `-` and `_` that begins with a letter or digit
        test.json:5: `sample_percent` is 20.5, must be a whole number from 0 to 100
        test.json:6: `skip_ssl_validation` is 1, must be true or false
        test.json:7: `api` is "", must be a non-empty string
        "#);
    }

    #[test]
    fn a_repeated_key_is_an_error() {
        let text = "{\n\"asg_size\": 1,\n\"asg_size\": 2}";
        insta::assert_snapshot!(parse(text).unwrap_err(), @"test.json:3: `asg_size` is repeated, must be set only once");
    }

    #[test]
    fn comments_and_trailing_commas_do_not_change_lines() {
        let text = "// a test\n{\n  /* rules */ \"asg_size\": 2, // two\n}";
        assert_eq!(parse(text).unwrap().asg_size, 2);
        let text = "// a test\n{\n  /* a\n rule */ \"asg_size\": -2, // two\n}";
        insta::assert_snapshot!(parse(text).unwrap_err(), @"test.json:4: `asg_size` is -2, must be a whole number from 0 to 65000");
    }

    #[test]
    fn a_file_that_is_too_large_is_refused_before_it_is_read_completely() {
        let error = ScalingTest::read_from(std::io::repeat(b' '), "test").unwrap_err();
        insta::assert_snapshot!(error, @"reading the configuration test failed: larger than 10 MiB");
    }

    #[test]
    fn a_byte_order_mark_is_ignored() {
        assert_eq!(parse("\u{feff}{\"asg_size\": 2}").unwrap().asg_size, 2);
    }

    #[test]
    fn unknown_keys_are_errors_that_suggest_the_nearest_key() {
        let text = "{\n\"proxy_aplications\": 3,\n\"zebra\": 1,\n\"test_applicatons\": 100}";
        insta::assert_snapshot!(parse(text).unwrap_err(), @r"
        test.json:2: unknown key `proxy_aplications`, did you mean `proxy_applications`?
        test.json:3: unknown key `zebra`
        test.json:4: unknown key `test_applicatons`, did you mean `test_applications`?
        ");
    }

    #[test]
    fn keys_of_the_go_scaling_suite_are_accepted_with_a_note() {
        let config = parse(r#"{"admin_secret": "s", "internetless": true}"#).unwrap();
        insta::assert_snapshot!(config.notes.join("\n"), @r"
        test.json:1: `admin_secret` is only used by the Go scaling suite
        test.json:1: `internetless` is only used by the Go scaling suite
        ");
    }

    #[test]
    fn an_empty_prefix_is_refused() {
        let error = parse(r#"{"prefix": ""}"#).unwrap_err().to_string();
        assert!(
            error.contains("`prefix` is \"\", must be a string"),
            "{error}"
        );
    }

    #[test]
    fn a_password_is_never_shown() {
        let error = parse(r#"{"admin_password": ["hunter2"]}"#).unwrap_err();
        assert!(!error.to_string().contains("hunter2"));
        let config = parse(r#"{"admin_password": "hunter2"}"#).unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    #[rstest]
    #[case("", "EOF while parsing a value at line 1")]
    #[case("{\"a\": 1,,}", "at line 1, column 10")]
    #[case("{\"a\": 1 /* }", "at line 1, column 9")]
    #[case("[1]", "at line 1")]
    #[case("{\"a\": 1\n\"b\": 2}", "at line 2, column 1")]
    fn broken_json_is_located(#[case] text: &str, #[case] expected: &str) {
        let message = parse(text).unwrap_err().to_string();
        assert!(message.contains("test.json"), "{message}");
        assert!(message.contains(expected), "{message}");
    }

    #[rstest]
    #[case(r#"{"prefix": "a_b-1"}"#, "a_b-1")]
    fn prefixes(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(parse(text).unwrap().prefix, expected);
    }

    #[test]
    fn an_empty_configuration_is_valid() {
        let text = r#"{"proxy_applications": 0, "test_applications": 0, "test_app_instances": 0, "proxy_instances": 0, "asg_size": 0}"#;
        assert!(parse(text).is_ok());
    }

    #[test]
    fn names_are_the_same_as_in_the_go_cf_pusher() {
        let text = r#"{"prefix": "a-", "test_applications": 2, "proxy_applications": 1}"#;
        let names = parse(text).unwrap().names();
        assert_eq!(names.org, "a-org");
        assert_eq!(names.space, "a-space");
        assert_eq!(names.quota, "a-quota");
        assert_eq!(names.security_group, "a-asg");
        assert_eq!(names.registry, "a-registry");
        assert_eq!(names.ticks, ["a-tick-0", "a-tick-1"]);
        assert_eq!(names.proxies, ["a-proxy-0"]);
    }

    #[test]
    fn the_parameters_determine_the_groups() {
        let text = r#"{"test_applications": 3, "test_app_instances": 2, "proxy_applications": 1,
            "proxy_instances": 0, "test_app_registry_ttl_seconds": 42, "extra_listen_ports": 5}"#;
        let test = parse(text).unwrap();
        let desired = test.desired(&Sources::read(&test, None).unwrap()).unwrap();
        let groups = &desired.orgs()[0].spaces[0].groups;
        let sizes: Vec<_> = groups
            .iter()
            .map(|group| (group.name.as_str(), group.count, group.entry.instances()))
            .collect();
        assert_eq!(
            sizes,
            [
                ("scale-registry", 1, Some(1)),
                ("scale-tick-{i}", 3, Some(2)),
                ("scale-proxy-{i}", 1, Some(0))
            ]
        );
        assert_eq!(desired.app_count(), 5);
        let tick = groups[1]
            .entry
            .of_app("scale-tick-2", 2, "apps.example.com");
        insta::assert_json_snapshot!(tick, @r#"
        {
          "env": {
            "GOPACKAGENAME": "example-apps/tick",
            "LISTEN_PORTS": "5",
            "REGISTRY_BASE_URL": "http://scale-registry.apps.example.com",
            "REGISTRY_TTL_SECONDS": "42",
            "START_PORT": "7000"
          },
          "buildpacks": [
            "go_buildpack"
          ],
          "disk_quota": "32M",
          "instances": 2,
          "memory": "32M",
          "routes": [
            {
              "route": "scale-tick-2.apps.example.com"
            }
          ]
        }
        "#);
    }

    #[test]
    fn groups_without_apps_need_no_source() {
        let text = r#"{"proxy_applications": 0, "test_applications": 0}"#;
        assert_eq!(parse(text).unwrap().kinds(), [GroupKind::Registry]);
    }

    #[test]
    fn rules_are_numbered() {
        assert_eq!(rules(0), []);
        let rules = rules(255);
        assert_eq!(rules[0], Rule::tcp("169.254.0.1", "1"));
        assert_eq!(rules[253], Rule::tcp("169.254.1.0", "254"));
        assert_eq!(rules[254], Rule::tcp("169.254.1.1", "255"));
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = parse(&text);
        }

        #[test]
        fn no_value_panics(value in "(\\{|\\[|\"|[0-9]|-|e|\\.|,|:|\\]|\\}|a|\n)*") {
            let _ = parse(&format!("{{\"concurrency\": {value}, \"prefix\": {value}}}"));
        }
    }
}
