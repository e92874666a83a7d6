//! What should exist: pure data, built from the parameters of a scaling test.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use crate::capi::inventory::{Rule, Scope};
use crate::config::Config;
use crate::converge::target::Target;
use crate::push::source::Sources;

/// The first of the tick apps' extra ports.
const START_PORT: u32 = 7000;

/// A kind of app: a prototype and its clones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum GroupKind {
    /// Where the tick apps register themselves. One app.
    Registry,
    /// The apps that register themselves.
    Tick,
    /// The apps that call others.
    Proxy,
}

impl GroupKind {
    /// All of them, in the order in which they are needed.
    pub(crate) const ALL: [Self; 3] = [Self::Registry, Self::Tick, Self::Proxy];

    /// Its name: its folder's, and part of its apps'.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Registry => "registry",
            Self::Tick => "tick",
            Self::Proxy => "proxy",
        }
    }

    fn go_package(self) -> String {
        format!("example-apps/{}", self.name())
    }
}

/// The names of all that one scaling test makes, as the Go cf-pusher gave them.
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
    /// `{prefix}tick-0` and on
    pub ticks: Vec<String>,
    /// `{prefix}proxy-0` and on
    pub proxies: Vec<String>,
}

impl Names {
    /// The names that a configuration asks for.
    pub fn of(config: &Config) -> Self {
        let prefix = &config.prefix;
        let numbered = |kind: GroupKind, count: u32| {
            (0..count)
                .map(|i| format!("{prefix}{}-{i}", kind.name()))
                .collect()
        };
        Self {
            org: format!("{prefix}org"),
            space: format!("{prefix}space"),
            quota: format!("{prefix}quota"),
            security_group: format!("{prefix}asg"),
            registry: format!("{prefix}{}", GroupKind::Registry.name()),
            ticks: numbered(GroupKind::Tick, config.test_applications),
            proxies: numbered(GroupKind::Proxy, config.proxy_applications),
        }
    }

    fn apps(&self, kind: GroupKind) -> Vec<String> {
        match kind {
            GroupKind::Registry => vec![self.registry.clone()],
            GroupKind::Tick => self.ticks.clone(),
            GroupKind::Proxy => self.proxies.clone(),
        }
    }

    /// What is to be looked at; with `routes`, the routes themselves too.
    pub(crate) fn scope(&self, apps_domain: Option<&str>, routes: bool) -> Scope {
        let apps = self.ticks.iter().chain(&self.proxies);
        Scope {
            apps: apps
                .chain([&self.registry])
                .cloned()
                .collect::<HashSet<_>>(),
            routes,
            org: self.org.clone(),
            space: self.space.clone(),
            quota: self.quota.clone(),
            security_group: self.security_group.clone(),
            apps_domain: apps_domain.map(str::to_owned),
        }
    }
}

/// All that should exist.
#[derive(Debug, Clone)]
pub(crate) struct Desired {
    pub(crate) prefix: String,
    pub(crate) names: Names,
    pub(crate) rules: Vec<Rule>,
    pub(crate) groups: Vec<Group>,
}

/// A prototype, the first app, and its clones, all alike.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) kind: GroupKind,
    pub(crate) apps: Vec<String>,
    pub(crate) instances: u32,
    /// `None`: as the foundation has it.
    pub(crate) memory_mb: Option<u64>,
    pub(crate) disk_mb: Option<u64>,
    pub(crate) env: Arc<BTreeMap<String, String>>,
    /// `None`: as the droplet has it.
    pub(crate) command: Option<String>,
    pub(crate) buildpacks: Vec<String>,
    /// The SHA-256 of the bits.
    pub(crate) bits: String,
}

impl Desired {
    /// What a configuration asks for, of apps whose routes are in `apps_domain`.
    pub(crate) fn new(config: &Config, sources: &Sources, apps_domain: &str) -> Self {
        let names = Names::of(config);
        let groups = GroupKind::ALL
            .into_iter()
            .filter_map(|kind| group(config, sources, &names, kind, apps_domain))
            .collect();
        Self {
            prefix: config.prefix.clone(),
            rules: rules(config.asg_size),
            names,
            groups,
        }
    }

    /// The app of that name.
    pub(crate) fn app(&self, name: &str) -> Target {
        Target::App {
            org: self.names.org.clone(),
            space: self.names.space.clone(),
            name: name.to_owned(),
        }
    }

    /// How many apps.
    pub(crate) fn app_count(&self) -> usize {
        self.groups.iter().map(|group| group.apps.len()).sum()
    }
}

/// A group with at least one app.
fn group(
    config: &Config,
    sources: &Sources,
    names: &Names,
    kind: GroupKind,
    apps_domain: &str,
) -> Option<Group> {
    let source = sources.get(kind)?;
    let manifest = &source.manifest;
    let mut env = manifest.env.clone();
    env.extend(environment(config, names, kind, apps_domain));
    Some(Group {
        kind,
        apps: names.apps(kind),
        instances: match kind {
            GroupKind::Registry => 1,
            GroupKind::Tick => config.test_app_instances,
            GroupKind::Proxy => config.proxy_instances,
        },
        memory_mb: manifest.memory_mb,
        disk_mb: manifest.disk_mb,
        env: Arc::new(env),
        command: manifest.command.clone(),
        buildpacks: manifest.buildpacks.clone(),
        bits: source.bits.sha256().to_owned(),
    })
}

/// The kinds that a configuration asks any app of.
pub(crate) fn kinds_of(config: &Config) -> Vec<GroupKind> {
    let wanted = |kind: &GroupKind| match kind {
        GroupKind::Registry => true,
        GroupKind::Tick => config.test_applications > 0,
        GroupKind::Proxy => config.proxy_applications > 0,
    };
    GroupKind::ALL.into_iter().filter(wanted).collect()
}

fn environment(
    config: &Config,
    names: &Names,
    kind: GroupKind,
    apps_domain: &str,
) -> BTreeMap<String, String> {
    let mut env = BTreeMap::from([("GOPACKAGENAME".to_owned(), kind.go_package())]);
    if kind == GroupKind::Tick {
        let registry = format!("http://{}.{apps_domain}", host(&names.registry));
        let ttl = config.test_app_registry_ttl_seconds;
        env.extend([
            ("REGISTRY_BASE_URL".to_owned(), registry),
            ("REGISTRY_TTL_SECONDS".to_owned(), ttl.to_string()),
            ("START_PORT".to_owned(), START_PORT.to_string()),
            (
                "LISTEN_PORTS".to_owned(),
                config.extra_listen_ports.to_string(),
            ),
        ]);
    }
    env
}

/// The host of an app's route. Hosts know no case.
pub(crate) fn host(app: &str) -> String {
    app.to_lowercase()
}

/// The rules of the security group: rule i allows TCP to
/// `169.254.{i/254}.{i%254}`, port i, with i from 1.
pub(crate) fn rules(size: u32) -> Vec<Rule> {
    (1..=size)
        .map(|i| Rule {
            protocol: "tcp".to_owned(),
            destination: format!("169.254.{}.{}", i / 254, i % 254),
            ports: Some(i.to_string()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        Config::parse(text, "test").unwrap().0
    }

    #[test]
    fn names_are_those_of_the_go_cf_pusher() {
        let names = Names::of(&config(
            r#"{"prefix": "a-", "test_applications": 2, "proxy_applications": 1}"#,
        ));
        assert_eq!(names.org, "a-org");
        assert_eq!(names.space, "a-space");
        assert_eq!(names.quota, "a-quota");
        assert_eq!(names.security_group, "a-asg");
        assert_eq!(names.registry, "a-registry");
        assert_eq!(names.ticks, ["a-tick-0", "a-tick-1"]);
        assert_eq!(names.proxies, ["a-proxy-0"]);
    }

    #[test]
    fn parameters_size_the_groups() {
        let config = config(
            r#"{"test_applications": 3, "test_app_instances": 2, "proxy_applications": 1,
                "proxy_instances": 0, "test_app_registry_ttl_seconds": 42, "extra_listen_ports": 5}"#,
        );
        let sources = Sources::bundled(&kinds_of(&config)).unwrap();
        let desired = Desired::new(&config, &sources, "apps.example.com");
        let sizes: Vec<_> = desired
            .groups
            .iter()
            .map(|group| (group.kind, group.apps.len(), group.instances))
            .collect();
        assert_eq!(
            sizes,
            [
                (GroupKind::Registry, 1, 1),
                (GroupKind::Tick, 3, 2),
                (GroupKind::Proxy, 1, 0)
            ]
        );
        assert_eq!(desired.app_count(), 5);
        insta::assert_json_snapshot!(desired.groups[1].env, @r#"
        {
          "GOPACKAGENAME": "example-apps/tick",
          "LISTEN_PORTS": "5",
          "REGISTRY_BASE_URL": "http://scale-registry.apps.example.com",
          "REGISTRY_TTL_SECONDS": "42",
          "START_PORT": "7000"
        }
        "#);
    }

    #[test]
    fn groups_without_apps_need_no_source() {
        let config = config(r#"{"proxy_applications": 0, "test_applications": 0}"#);
        assert_eq!(kinds_of(&config), [GroupKind::Registry]);
    }

    #[test]
    fn rules_are_numbered() {
        assert_eq!(rules(0), []);
        let rules = rules(255);
        let shown = |rule: &Rule| (rule.destination.clone(), rule.ports.clone().unwrap());
        assert_eq!(shown(&rules[0]), ("169.254.0.1".to_owned(), "1".to_owned()));
        assert_eq!(
            shown(&rules[253]),
            ("169.254.1.0".to_owned(), "254".to_owned())
        );
        assert_eq!(
            shown(&rules[254]),
            ("169.254.1.1".to_owned(), "255".to_owned())
        );
    }
}
