//! The parameters of a test with many spaces and security groups, in the JSON file of the
//! Go multispace-pusher of cf-networking-release.
//!
//! The names are the same as in the Go program. The ports of the rules are consecutive
//! from group to group, and start again at 1 after 65,535, so that they are the same in
//! every run.

use std::io::Read;
use std::path::Path;

use serde_json::{Value, json};

use super::keys::Example::{Comment, Value as Set};
use super::keys::Kind::{Flag, Number, Prefix};
use super::keys::{self, Key, key};
use super::reader::{self, ConfigError};
use super::scaling::{Connection, GroupKind};
use super::sources::{SourceError, Sources};
use crate::desired::{Desired, DesiredError, Group, Org, Rule, SecurityGroup, Space};

/// The maximum number of rules in all security groups.
const MAX_RULES: u64 = 5_000_000;

/// The highest port of a rule.
const HIGHEST_PORT: u64 = 65_535;

/// The memory and the disk of apps whose manifest does not set them.
const SIZE: &str = "32M";

/// The parameters of a test with many spaces, and the address of the foundation.
///
/// ```
/// use cf_pusher::Multispace;
///
/// let text = r#"{"prefix": "asg-", "global_asgs": 1, "asg_size": 10,
///     "total_spaces": 3, "spaces_with_one_asg": 2, "how_many_asgs_is_many": 5,
///     "apps_per_space": 4}"#;
/// let test = Multispace::parse(text, "inline")?;
/// let desired = test.desired(&test.sources(None)?)?;
/// assert_eq!(desired.app_count(), 12);
/// assert_eq!(desired.orgs()[0].spaces[2].name, "asg-space-2");
/// assert_eq!(test.rules_on_cells(), 4 * (20 + 20 + 60));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Multispace {
    /// `global_asgs`: the number of security groups that apply to all running apps. 0 to
    /// 10,000; default 0.
    pub global_asgs: u32,
    /// `total_spaces`: the number of spaces. 0 to 10,000; default 0.
    pub total_spaces: u32,
    /// `spaces_with_one_asg`: the number of spaces, starting with the first, that have a
    /// security group of their own. At most `total_spaces`; default 0.
    pub spaces_with_one_asg: u32,
    /// `how_many_asgs_is_many`: the number of security groups that all other spaces
    /// share. 0 to 10,000; default 0.
    pub how_many_asgs_is_many: u32,
    /// `apps_per_space`: the number of apps of each space. 0 to 10,000; default 0.
    pub apps_per_space: u32,
    /// `app_instances_per_app`: the number of instances of each app. 0 to 10,000; default
    /// 1.
    pub app_instances_per_app: u32,
    /// `apps_per_org`: the number of apps in an org, a multiple of `apps_per_space`. The
    /// spaces are distributed to as many orgs as necessary. 0, the default, puts all
    /// spaces into one org.
    pub apps_per_org: u32,
    /// `skip_asg_creation`: create no security groups. Default false.
    pub skip_asg_creation: bool,
    /// `asg_size`: the number of rules of each security group. 0 to 65,000; default 0.
    pub asg_size: u32,
    /// `prefix`: the beginning of all names. A `-` at its end is ignored. Default
    /// `scale-asg`.
    pub prefix: String,
    /// `concurrency`: the maximum number of requests in flight. 1 to 1,000; default 16.
    pub concurrency: u32,
    /// The address of the foundation, and the login.
    pub connection: Connection,
    /// Notes on ignored keys of the file.
    pub notes: Vec<String>,
}

impl Default for Multispace {
    fn default() -> Self {
        Self {
            global_asgs: 0,
            total_spaces: 0,
            spaces_with_one_asg: 0,
            how_many_asgs_is_many: 0,
            apps_per_space: 0,
            app_instances_per_app: 1,
            apps_per_org: 0,
            skip_asg_creation: false,
            asg_size: 0,
            prefix: "scale-asg".to_owned(),
            concurrency: 16,
            connection: Connection::default(),
            notes: Vec::new(),
        }
    }
}

/// The keys that only this configuration has.
const OWN_KEYS: [&str; 8] = [
    "global_asgs",
    "total_spaces",
    "spaces_with_one_asg",
    "how_many_asgs_is_many",
    "apps_per_space",
    "app_instances_per_app",
    "apps_per_org",
    "skip_asg_creation",
];

/// The other keys of the Go programs' configurations.
const UNUSED_KEYS: &[&str] = &[
    "admin_secret",
    "default_security_groups",
    "dynamic_asgs_enabled",
    "extra_listen_ports",
    "internetless",
    "policy_update_wait_seconds",
    "proxy_applications",
    "proxy_instances",
    "rule_count_for_space_specific_asgs",
    "run_custom_iptables_compatibility_test",
    "run_experimental_outbound_conn_limit_test",
    "sample_percent",
    "skip_icmp_tests",
    "skip_search_domain_tests",
    "skip_space_developer_policy_test",
    "test_app_instances",
    "test_app_registry_ttl_seconds",
    "test_applications",
    "use_http",
];

/// Every key that is read.
const KEYS: &[Key<Multispace>] = &[
    key(
        "prefix",
        "Prefix of all names; a `-` at its end is ignored",
        Prefix(|c| &mut c.prefix),
        Set("\"scale-asg\""),
    ),
    key(
        "global_asgs",
        "Number of security groups that apply to all running apps",
        Number(0..=10_000, |c| &mut c.global_asgs),
        Set("1"),
    ),
    key(
        "total_spaces",
        "Number of spaces",
        Number(0..=10_000, |c| &mut c.total_spaces),
        Set("2"),
    ),
    key(
        "spaces_with_one_asg",
        "Number of spaces with a security group of their own",
        Number(0..=10_000, |c| &mut c.spaces_with_one_asg),
        Set("1"),
    ),
    key(
        "how_many_asgs_is_many",
        "Number of security groups that all other spaces share",
        Number(0..=10_000, |c| &mut c.how_many_asgs_is_many),
        Set("2"),
    ),
    key(
        "apps_per_space",
        "Number of apps of each space",
        Number(0..=10_000, |c| &mut c.apps_per_space),
        Set("1"),
    ),
    key(
        "app_instances_per_app",
        "Instances of each app",
        Number(0..=10_000, |c| &mut c.app_instances_per_app),
        Set("1"),
    ),
    key(
        "apps_per_org",
        "Number of apps of each org, a multiple of apps_per_space; 0 for one org",
        Number(0..=1_000_000, |c| &mut c.apps_per_org),
        Comment("0"),
    ),
    key(
        "skip_asg_creation",
        "Create no security groups",
        Flag(|c| &mut c.skip_asg_creation),
        Comment("false"),
    ),
    key(
        "asg_size",
        "Number of rules of each security group",
        Number(0..=65_000, |c| &mut c.asg_size),
        Set("10"),
    ),
    keys::concurrency(|c| &mut c.concurrency),
    keys::api(),
    keys::admin_user(),
    keys::admin_password(),
    keys::apps_domain(),
    keys::skip_ssl_validation(),
];

impl keys::HasConnection for Multispace {
    fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

impl Multispace {
    /// Whether a text has a key that only this configuration has.
    pub(super) fn is_recognized(text: &str) -> bool {
        reader::has_key(text, &OWN_KEYS)
    }

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
    /// The same as [`Multispace::read`].
    pub fn read_from(stream: impl Read, origin: &str) -> Result<Self, ConfigError> {
        Self::parse(&reader::text_of(stream, origin)?, origin)
    }

    /// Parses the text of a file. `origin` names it in messages.
    ///
    /// # Errors
    ///
    /// The same as [`Multispace::read`].
    pub fn parse(text: &str, origin: &str) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        config.notes = reader::read(text, origin, KEYS, UNUSED_KEYS, &mut config)?;
        let length = config.prefix.trim_end_matches('-').len();
        config.prefix.truncate(length);
        let refuse = |key: &str, value: u32, allowed: String| {
            Err(reader::refuse(text, origin, key, value, allowed))
        };
        let (one, total) = (config.spaces_with_one_asg, config.total_spaces);
        if one > total {
            let allowed = format!("at most `total_spaces`, which is {total}");
            return refuse("spaces_with_one_asg", one, allowed);
        }
        let (of_org, of_space) = (config.apps_per_org, config.apps_per_space);
        if of_org > 0 && (of_space == 0 || of_org % of_space != 0) {
            let allowed = format!("a multiple of `apps_per_space`, which is {of_space}");
            return refuse("apps_per_org", of_org, allowed);
        }
        if config.rule_count() > MAX_RULES {
            let allowed =
                format!("small enough that all groups together have at most {MAX_RULES} rules");
            return refuse("asg_size", config.asg_size, allowed);
        }
        Ok(config)
    }

    /// The JSON Schema (draft 2020-12) of the configuration.
    pub fn json_schema() -> Value {
        let title = "Configuration of cf-pusher with many spaces";
        keys::json_schema(title, KEYS, UNUSED_KEYS)
    }

    /// The bits and the manifest of the apps, from the folder `proxy` in `apps_dir`, or
    /// from the bundled proxy.
    ///
    /// # Errors
    /// [`SourceError`], which names the folder.
    pub fn sources(&self, apps_dir: Option<&Path>) -> Result<Sources, SourceError> {
        Sources::of_kinds(&[GroupKind::Proxy], apps_dir)
    }

    /// The names of the orgs.
    pub fn orgs(&self) -> Vec<String> {
        let prefix = &self.prefix;
        match self.spaces_per_org() {
            None => vec![format!("{prefix}-org")],
            Some(spaces) => {
                let orgs = self.total_spaces.div_ceil(spaces).max(1);
                (0..orgs).map(|k| format!("{prefix}-org-{k}")).collect()
            }
        }
    }

    /// The number of security group rules on the cells. For each app instance, the rules
    /// of the global groups and of its space's groups are counted.
    pub fn rules_on_cells(&self) -> u64 {
        if self.skip_asg_creation {
            return 0;
        }
        let instances = u64::from(self.apps_per_space) * u64::from(self.app_instances_per_app);
        let (one, total) = (self.spaces_with_one_asg, self.total_spaces);
        let groups = u64::from(self.global_asgs) * u64::from(total)
            + u64::from(one)
            + u64::from(total.saturating_sub(one)) * u64::from(self.how_many_asgs_is_many);
        groups
            .saturating_mul(u64::from(self.asg_size))
            .saturating_mul(instances)
    }

    /// The desired state, with the bits of `sources`. The first app is staged, and all
    /// other apps get a copy of its droplet.
    ///
    /// # Errors
    ///
    /// [`DesiredError`] if a name is too long for a host.
    pub fn desired(&self, sources: &Sources) -> Result<Desired, DesiredError> {
        let prefix = &self.prefix;
        let mut desired = Desired::builder(format!("{prefix}-"));
        if let Some(domain) = &self.connection.apps_domain {
            desired = desired.apps_domain(domain);
        }
        for group in self.security_groups() {
            desired = desired.security_group(group);
        }
        let names = self.orgs();
        let of_org = self.spaces_per_org().unwrap_or(self.total_spaces);
        let mut spaces = 0..self.total_spaces;
        for name in &names {
            let mut org = Org::new(name).quota(format!("{prefix}-quota"));
            for i in spaces
                .by_ref()
                .take(usize::try_from(of_org).unwrap_or(usize::MAX))
            {
                org = org.space(self.space(i, sources, &names));
            }
            desired = desired.org(org);
        }
        desired.build()
    }

    fn spaces_per_org(&self) -> Option<u32> {
        self.apps_per_org
            .checked_div(self.apps_per_space)
            .filter(|it| *it > 0)
    }

    fn space(&self, i: u32, sources: &Sources, orgs: &[String]) -> Space {
        let prefix = &self.prefix;
        let name = |i: u32| format!("{prefix}-space-{i}");
        let app = |i: u32| format!("{prefix}-app-{i}-{{i}}");
        let mut space = Space::new(name(i));
        for group in self.groups_of(i) {
            space = space.security_group(group);
        }
        let source = sources.get(GroupKind::Proxy);
        let Some(source) = source.filter(|_| self.apps_per_space > 0) else {
            return space;
        };
        let route = format!("{}.{{apps_domain}}", app(i).to_lowercase());
        let mut entry = source.entry.clone().with_routes(vec![route]);
        entry = entry.with("instances", json!(self.app_instances_per_app));
        for property in ["memory", "disk_quota"] {
            if entry.get(property).is_none() {
                entry = entry.with(property, json!(SIZE));
            }
        }
        let group = match (i, orgs.first()) {
            (1.., Some(first)) => {
                let like = format!("{first}/{}/{}", name(0), app(0));
                Group::copy_of(app(i), entry, like)
            }
            _ => Group::new(app(i), entry, source.bits.clone()),
        };
        space.group(group.count(self.apps_per_space))
    }

    /// The names of the security groups of a space.
    fn groups_of(&self, space: u32) -> Vec<String> {
        let prefix = &self.prefix;
        match space < self.spaces_with_one_asg {
            _ if self.skip_asg_creation => Vec::new(),
            true => vec![format!("{prefix}-space-{space}-asg")],
            false => (0..self.how_many_asgs_is_many)
                .map(|k| format!("{prefix}-many-{k}-asg"))
                .collect(),
        }
    }

    fn group_count(&self) -> u64 {
        match self.skip_asg_creation {
            true => 0,
            false => {
                u64::from(self.global_asgs)
                    + u64::from(self.how_many_asgs_is_many)
                    + u64::from(self.spaces_with_one_asg)
            }
        }
    }

    fn rule_count(&self) -> u64 {
        self.group_count() * u64::from(self.asg_size)
    }

    fn security_groups(&self) -> Vec<SecurityGroup> {
        if self.skip_asg_creation {
            return Vec::new();
        }
        let prefix = &self.prefix;
        let global = (0..self.global_asgs).map(|k| (format!("{prefix}-global-{k}-asg"), true));
        let many = (0..self.how_many_asgs_is_many).map(|k| format!("{prefix}-many-{k}-asg"));
        let own = (0..self.spaces_with_one_asg).map(|i| format!("{prefix}-space-{i}-asg"));
        let names = global.chain(many.chain(own).map(|name| (name, false)));
        let groups = names.zip(0_u64..).map(|((name, is_global), place)| {
            let group = SecurityGroup::new(name, rules(place, self.asg_size));
            match is_global {
                true => group.globally_running(true),
                false => group,
            }
        });
        groups.collect()
    }
}

/// The rules of the group at a position: rule i allows TCP to `169.254.{i/254}.{i%254}`,
/// starting with i = 1. The ports continue after those of the previous group.
fn rules(place: u64, size: u32) -> Vec<Rule> {
    let first = place * u64::from(size);
    let rules = (1..=size).map(|i| {
        let port = (first + u64::from(i) - 1) % HIGHEST_PORT + 1;
        let destination = format!("169.254.{}.{}", i / 254, i % 254);
        Rule::tcp(destination, port.to_string())
    });
    rules.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Multispace {
        Multispace::parse(text, "test.json").unwrap()
    }

    fn desired(test: &Multispace) -> Desired {
        test.desired(&test.sources(None).unwrap()).unwrap()
    }

    const SMALL: &str = r#"{"prefix": "p-", "global_asgs": 1, "total_spaces": 3,
        "spaces_with_one_asg": 1, "how_many_asgs_is_many": 2, "apps_per_space": 2,
        "asg_size": 3}"#;

    #[test]
    fn names_are_the_same_as_in_the_go_multispace_pusher() {
        let desired = desired(&parse(SMALL));
        let org = &desired.orgs()[0];
        assert_eq!(
            (org.name.as_str(), org.quota.as_deref()),
            ("p-org", Some("p-quota"))
        );
        let spaces: Vec<_> = org.spaces.iter().map(|it| it.name.as_str()).collect();
        assert_eq!(spaces, ["p-space-0", "p-space-1", "p-space-2"]);
        assert_eq!(org.spaces[0].security_groups, ["p-space-0-asg"]);
        assert_eq!(
            org.spaces[2].security_groups,
            ["p-many-0-asg", "p-many-1-asg"]
        );
        let apps: Vec<String> = org.spaces[2].groups[0].app_names().collect();
        assert_eq!(apps, ["p-app-2-0", "p-app-2-1"]);
        let entry = &org.spaces[2].groups[0].entry;
        assert_eq!((entry.memory_mb(), entry.disk_mb()), (Some(32), Some(32)));
        let groups = desired.security_groups().iter();
        let groups: Vec<_> = groups
            .map(|it| (it.name.as_str(), it.globally_enabled.running))
            .collect();
        assert_eq!(
            groups,
            [
                ("p-global-0-asg", Some(true)),
                ("p-many-0-asg", None),
                ("p-many-1-asg", None),
                ("p-space-0-asg", None)
            ]
        );
    }

    #[test]
    fn ports_continue_from_group_to_group_and_wrap_at_65535() {
        let ports = |rules: &[Rule]| -> Vec<String> {
            rules.iter().filter_map(|rule| rule.ports.clone()).collect()
        };
        assert_eq!(ports(&rules(1, 3)), ["4", "5", "6"]);
        assert_eq!(ports(&rules(65_534, 2)), ["65534", "65535"]);
        assert_eq!(ports(&rules(21_845, 3)), ["1", "2", "3"]);
        assert_eq!(rules(2, 300)[253], Rule::tcp("169.254.1.0", "854"));
    }

    #[test]
    fn one_app_is_staged_for_all_spaces() {
        let desired = desired(&parse(SMALL));
        let groups = desired.groups().map(|it| it.group.like.clone());
        let likes: Vec<Option<String>> = groups.collect();
        let like = Some("p-org/p-space-0/p-app-0-{i}".to_owned());
        assert_eq!(likes, [None, like.clone(), like]);
    }

    #[test]
    fn spaces_are_distributed_to_orgs() {
        let test = parse(
            r#"{"total_spaces": 100, "apps_per_space": 10, "apps_per_org": 10,
            "app_instances_per_app": 2}"#,
        );
        let desired = desired(&test);
        assert_eq!((desired.orgs().len(), desired.app_count()), (100, 1_000));
        assert_eq!(desired.orgs()[99].name, "scale-asg-org-99");
        assert_eq!(desired.orgs()[99].spaces[0].name, "scale-asg-space-99");
        assert_eq!(desired.orgs()[99].spaces.len(), 1);
        let test = parse(r#"{"total_spaces": 5, "apps_per_space": 10, "apps_per_org": 20}"#);
        let spaces = test.desired(&test.sources(None).unwrap()).unwrap();
        let spaces: Vec<usize> = spaces.orgs().iter().map(|org| org.spaces.len()).collect();
        assert_eq!(spaces, [2, 2, 1]);
    }

    #[test]
    fn rules_reach_a_cell_with_each_instance() {
        assert_eq!(parse(SMALL).rules_on_cells(), 2 * 3 * (2 + 3 + 3));
        let skipped = SMALL.replacen('{', r#"{"skip_asg_creation": true, "#, 1);
        let skipped = parse(&skipped);
        assert_eq!(skipped.rules_on_cells(), 0);
        assert_eq!(desired(&skipped).security_groups(), []);
    }

    #[test]
    fn contradictory_values_are_refused_with_their_line() {
        let refused = |text: &str| {
            Multispace::parse(text, "test.json")
                .unwrap_err()
                .to_string()
        };
        insta::assert_snapshot!(
            [
                refused("{\"total_spaces\": 1,\n\"spaces_with_one_asg\": 2}"),
                refused("{\"total_spaces\": 1,\n\"apps_per_space\": 4,\n\"apps_per_org\": 10}"),
                refused("{\"asg_size\": 65000,\n\"global_asgs\": 10000}"),
                refused("{\"total_space\": 1}"),
            ]
            .join("\n"),
            @"
        test.json:2: `spaces_with_one_asg` is 2, must be at most `total_spaces`, which is 1
        test.json:3: `apps_per_org` is 10, must be a multiple of `apps_per_space`, which is 4
        test.json:1: `asg_size` is 65000, must be small enough that all groups together have at most 5000000 rules
        test.json:1: unknown key `total_space`, did you mean `total_spaces`?
        "
        );
    }

    #[test]
    fn a_configuration_is_recognized_by_its_keys() {
        assert!(Multispace::is_recognized(SMALL));
        assert!(!Multispace::is_recognized(r#"{"proxy_applications": 3}"#));
        assert!(!Multispace::is_recognized("["));
        for key in OWN_KEYS {
            assert!(KEYS.iter().any(|known| known.name == key), "{key}");
        }
    }

    #[test]
    fn the_schema_is_a_schema() {
        let schema = Multispace::json_schema();
        assert!(jsonschema::meta::is_valid(&schema));
        let text: Value = serde_json::from_str(SMALL).unwrap();
        assert!(jsonschema::is_valid(&schema, &text));
    }
}
