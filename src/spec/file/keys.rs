//! The keys of a spec: the one list by which it is read, checked, described as a JSON
//! Schema, and documented.

use crate::desired::{ORG_ROLES, SPACE_ROLES};

/// A key of a map.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    pub(super) name: &'static str,
    /// What the key means, as a sentence without a full stop.
    pub(super) about: &'static str,
    pub(super) kind: Kind,
    pub(super) is_required: bool,
}

/// The keys of a map, which has no others.
pub(super) type Table = &'static [Key];

/// The values that a key allows.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// A string that is not empty, or a whole number.
    Text,
    /// A name. Numbers replace the placeholders in it.
    Name,
    /// How many there are.
    Count,
    /// The version of the format.
    Version,
    Flag,
    Choice(&'static [&'static str]),
    /// A whole number, or null for no limit.
    Limit(u64),
    /// A whole number from -1 on.
    Icmp,
    /// A regular expression.
    Pattern,
    /// A name or pattern of apps, with an org and a space before it: at least so many
    /// parts, and at most.
    Apps(usize, usize),
    /// One port or a range of ports.
    Ports,
    /// Any map.
    Any,
    /// A map of flags.
    Flags,
    /// A map of strings.
    Texts,
    Map(Table),
    List(&'static Kind),
    /// A list of maps. Those of one name in several files are one, if `joins`.
    Entries {
        table: Table,
        joins: bool,
    },
    /// A list of maps, each with the keys of its `type`.
    Typed(&'static [(&'static str, Table)]),
    /// A list of entries as in the `applications` of a manifest, with more keys.
    AppEntries(Table),
}

const fn key(name: &'static str, about: &'static str, kind: Kind) -> Key {
    Key {
        name,
        about,
        kind,
        is_required: false,
    }
}

const fn required(name: &'static str, about: &'static str, kind: Kind) -> Key {
    Key {
        is_required: true,
        ..key(name, about, kind)
    }
}

/// The largest number that the Cloud Controller stores for most limits.
const MOST: u64 = 2_147_483_647;

const TEXTS: Kind = Kind::List(&Kind::Text);
const COUNT: Key = key(
    "count",
    "How many there are; `{i}` in the name is the number of each, from 0",
    Kind::Count,
);

/// The keys of a file.
pub(super) const ROOT: Table = &[
    required("version", "The version of the format", Kind::Version),
    required(
        "name",
        "Who is responsible for what the spec creates; it marks orgs, spaces and apps, so that one spec does not delete the apps of another. All files of a spec have the same",
        Kind::Text,
    ),
    key(
        "apps_domain",
        "Domain for `{apps_domain}` in routes and environment variables [default: the foundation's first shared domain]",
        Kind::Text,
    ),
    key(
        "org_quotas",
        "Quotas that orgs may have",
        entries(ORG_QUOTA),
    ),
    key(
        "security_groups",
        "Security groups that spaces may have",
        entries(SECURITY_GROUP),
    ),
    key("domains", "Domains that all orgs share", TEXTS),
    key(
        "users",
        "Users that the Cloud Controller should know: the name of one who exists, or `ORIGIN/NAME` to create one of an identity provider such as `ldap`",
        TEXTS,
    ),
    key(
        "feature_flags",
        "Features of the foundation that are enabled or disabled, such as `diego_docker`",
        Kind::Flags,
    ),
    key(
        "protected",
        "Regular expressions for what no run touches: the whole name of an org or app, or `org/space`",
        Kind::List(&Kind::Pattern),
    ),
    key(
        "network_policies",
        "Policies for traffic between apps of any spaces",
        entries(POLICY_BETWEEN_SPACES),
    ),
    key("orgs", "Orgs and what is in them", joining(ORG)),
];

const fn entries(table: Table) -> Kind {
    Kind::Entries {
        table,
        joins: false,
    }
}

const fn joining(table: Table) -> Kind {
    Kind::Entries { table, joins: true }
}

const QUOTA_NAME: Key = required("name", "The quota's name", Kind::Name);
const APP_LIMITS: Key = key("apps", "Limits of apps", Kind::Map(LIMITS_OF_APPS));
const SERVICE_LIMITS: Key = key(
    "services",
    "Limits of services",
    Kind::Map(LIMITS_OF_SERVICES),
);
const ROUTE_LIMITS: Key = key("routes", "Limits of routes", Kind::Map(LIMITS_OF_ROUTES));

const ORG_QUOTA: Table = &[
    QUOTA_NAME,
    APP_LIMITS,
    SERVICE_LIMITS,
    ROUTE_LIMITS,
    key("domains", "Limits of domains", Kind::Map(LIMITS_OF_DOMAINS)),
];

const SPACE_QUOTA: Table = &[QUOTA_NAME, APP_LIMITS, SERVICE_LIMITS, ROUTE_LIMITS];

const LIMITS_OF_APPS: Table = &[
    key(
        "total_memory_in_mb",
        "Memory of all started processes and running tasks",
        Kind::Limit(MOST),
    ),
    key(
        "per_process_memory_in_mb",
        "Memory of one instance of a process",
        Kind::Limit(MOST),
    ),
    key(
        "total_instances",
        "Instances of all started processes",
        Kind::Limit(MOST),
    ),
    key(
        "per_app_tasks",
        "Running tasks of one app",
        Kind::Limit(MOST),
    ),
    key(
        "log_rate_limit_in_bytes_per_second",
        "Log rate of all started processes and running tasks",
        Kind::Limit(9_223_372_036_854_775_807),
    ),
];

const LIMITS_OF_SERVICES: Table = &[
    key(
        "paid_services_allowed",
        "Whether service plans may cost something",
        Kind::Flag,
    ),
    key(
        "total_service_instances",
        "Managed service instances",
        Kind::Limit(MOST),
    ),
    key("total_service_keys", "Service keys", Kind::Limit(MOST)),
];

const LIMITS_OF_ROUTES: Table = &[
    key("total_routes", "Routes", Kind::Limit(MOST)),
    key(
        "total_reserved_ports",
        "Ports that TCP routes reserve",
        Kind::Limit(MOST),
    ),
];

const LIMITS_OF_DOMAINS: Table = &[key("total_domains", "Private domains", Kind::Limit(MOST))];

const SECURITY_GROUP: Table = &[
    required("name", "The security group's name", Kind::Name),
    COUNT,
    key("rules", "What traffic it allows", entries(RULE)),
    key(
        "globally_enabled",
        "Whether it applies to all spaces",
        Kind::Map(GLOBALLY_ENABLED),
    ),
];

const GLOBALLY_ENABLED: Table = &[
    key("running", "For running apps", Kind::Flag),
    key("staging", "For apps that are being staged", Kind::Flag),
];

const RULE: Table = &[
    required(
        "protocol",
        "The protocol",
        Kind::Choice(&["tcp", "udp", "icmp", "icmpv6", "all"]),
    ),
    required(
        "destination",
        "An address, a range of addresses, or a CIDR block",
        Kind::Text,
    ),
    key(
        "ports",
        "Ports for `tcp` and `udp`, such as `443`, `80,443` or `8000-9000`",
        Kind::Text,
    ),
    key("type", "Type of ICMP messages; -1 for all", Kind::Icmp),
    key("code", "Code of ICMP messages; -1 for all", Kind::Icmp),
    key("description", "What the rule is for", Kind::Text),
    key(
        "log",
        "Whether cells log the connections that it allows",
        Kind::Flag,
    ),
];

const NETWORK_POLICY: Table = &[
    required(
        "from",
        "The apps of the space that may send: a name, or a pattern with `*` and `?`",
        Kind::Apps(1, 1),
    ),
    required(
        "to",
        "The apps that may receive: a name or pattern; `space/app` and `org/space/app` reach other spaces",
        Kind::Apps(1, 3),
    ),
    PROTOCOL,
    PORTS,
];

const POLICY_BETWEEN_SPACES: Table = &[
    required(
        "from",
        "The apps that may send: `org/space/app`, each part a name or a pattern with `*` and `?`",
        Kind::Apps(3, 3),
    ),
    required(
        "to",
        "The apps that may receive, in the same way",
        Kind::Apps(3, 3),
    ),
    PROTOCOL,
    PORTS,
];

const PROTOCOL: Key = key(
    "protocol",
    "The protocol [default: tcp]",
    Kind::Choice(&["tcp", "udp"]),
);

const PORTS: Key = key(
    "ports",
    "A port, or a range such as `7000-7010` [default: 8080]",
    Kind::Ports,
);

const METADATA: Key = key(
    "metadata",
    "Labels and annotations beside those of cf-pusher",
    Kind::Map(&[
        key("labels", "Labels", Kind::Texts),
        key("annotations", "Annotations", Kind::Texts),
    ]),
);

const ISOLATION_SEGMENT: Key = key(
    "isolation_segment",
    "Isolation segment of the foundation that the apps run in. The org becomes entitled to it",
    Kind::Text,
);

const ORG: Table = &[
    required("name", "The org's name", Kind::Name),
    COUNT,
    key(
        "quota",
        "The org's quota. If the spec has `org_quotas`, one of them",
        Kind::Name,
    ),
    key(
        "suspended",
        "Whether the org's users may change nothing",
        Kind::Flag,
    ),
    METADATA,
    key(
        "domains",
        "Private domains that the org owns",
        Kind::List(&Kind::Name),
    ),
    ISOLATION_SEGMENT,
    key(
        "roles",
        "Roles of users in the org; others are left alone",
        entries(ORG_ROLE),
    ),
    key(
        "space_quotas",
        "Quotas that the org's spaces may have",
        entries(SPACE_QUOTA),
    ),
    key(
        "spaces",
        "Spaces and what is in them; others are left alone",
        joining(SPACE),
    ),
];

const ROLE_USER: Key = required(
    "user",
    "The user's name, or the ID of a UAA client",
    Kind::Name,
);
const ROLE_ORIGIN: Key = key(
    "origin",
    "The user's identity provider, such as `uaa` or `ldap`, if several have a user of that name",
    Kind::Text,
);

const ORG_ROLE: Table = &[
    required("type", "The role", Kind::Choice(&ORG_ROLES)),
    ROLE_USER,
    ROLE_ORIGIN,
];

const SPACE_ROLE: Table = &[
    required("type", "The role", Kind::Choice(&SPACE_ROLES)),
    ROLE_USER,
    ROLE_ORIGIN,
];

const SPACE: Table = &[
    required("name", "The space's name", Kind::Name),
    COUNT,
    key(
        "quota",
        "The space's quota, one of the org's `space_quotas`",
        Kind::Name,
    ),
    key(
        "features",
        "Features of the space that are enabled or disabled",
        Kind::Map(&[key("ssh", "Whether users may use `cf ssh`", Kind::Flag)]),
    ),
    key(
        "security_groups",
        "Security groups of the spec that apply to the space's running apps: names, or patterns with `*` and `?`",
        Kind::List(&Kind::Name),
    ),
    ISOLATION_SEGMENT,
    METADATA,
    key(
        "roles",
        "Roles of users in the space; others are left alone",
        entries(SPACE_ROLE),
    ),
    key(
        "service_instances",
        "Service instances",
        Kind::Typed(&[("user-provided", USER_PROVIDED), ("managed", MANAGED)]),
    ),
    key(
        "service_bindings",
        "Bindings of apps to service instances, beside those of the apps' `services`",
        entries(SERVICE_BINDING),
    ),
    key(
        "network_policies",
        "Policies for traffic that the space's apps send",
        entries(NETWORK_POLICY),
    ),
    key(
        "apps",
        "Apps: each has the keys of an application of `manifest.yml`, and these",
        Kind::AppEntries(APP),
    ),
];

const SERVICE_TYPES: Kind = Kind::Choice(&["user-provided", "managed"]);
const SERVICE_NAME: Key = required("name", "The service instance's name", Kind::Name);
const SERVICE_TYPE: Key = required("type", "What it is an instance of", SERVICE_TYPES);
const TAGS: Key = key("tags", "Tags, which apps see in `VCAP_SERVICES`", TEXTS);

const USER_PROVIDED: Table = &[
    SERVICE_NAME,
    SERVICE_TYPE,
    key(
        "credentials",
        "What bound apps get in `VCAP_SERVICES`",
        Kind::Any,
    ),
    key(
        "syslog_drain_url",
        "Where the logs of bound apps are sent",
        Kind::Text,
    ),
    key("route_service_url", "The proxy of bound routes", Kind::Text),
    TAGS,
];

const MANAGED: Table = &[
    SERVICE_NAME,
    SERVICE_TYPE,
    required("offering", "The service offering", Kind::Text),
    required("plan", "The service plan", Kind::Text),
    key(
        "broker",
        "The service broker, if several have that offering",
        Kind::Text,
    ),
    key(
        "parameters",
        "What the broker gets when the instance is created",
        Kind::Any,
    ),
    TAGS,
];

const SERVICE_BINDING: Table = &[
    required(
        "app",
        "The app: the `name` of an entry of `apps`, as it is written there",
        Kind::Text,
    ),
    required("service_instance", "The service instance", Kind::Name),
    key("name", "The binding's name", Kind::Name),
    key(
        "parameters",
        "What the broker gets when the binding is created",
        Kind::Any,
    ),
];

/// The keys of an app beside those of a manifest. Its name is one of a manifest.
const APP: Table = &[
    COUNT,
    key(
        "state",
        "Whether the app runs [default: started]",
        Kind::Choice(&["started", "stopped"]),
    ),
    key(
        "path",
        "The app's bits: a folder or an archive, relative to the file",
        Kind::Text,
    ),
    key(
        "droplet",
        "A droplet (.tgz), relative to the file, in place of bits",
        Kind::Text,
    ),
    key(
        "like",
        "Another app whose droplet this one gets a copy of: the `name` of an entry of the same space, or `space/app` or `org/space/app`",
        Kind::Text,
    ),
    key(
        "bundled",
        "A small app that cf-pusher brings along, in place of bits",
        Kind::Choice(&["proxy", "registry", "tick"]),
    ),
];

/// Where an app's droplet may come from. An entry has one of these keys.
pub(super) const BITS_KEYS: [&str; 4] = ["path", "droplet", "like", "bundled"];

/// The most of one thing that a `count` may ask for.
pub(super) const MOST_COUNT: u32 = 100_000;
