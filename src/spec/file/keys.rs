//! The keys of a spec. The reader, the checks, the JSON Schema and the documentation are
//! generated from this list.

use crate::desired::{ORG_ROLES, SPACE_ROLES};

/// A key of a map.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    pub(super) name: &'static str,
    /// The meaning of the key, as a sentence without a full stop.
    pub(super) about: &'static str,
    pub(super) kind: Kind,
    pub(super) is_required: bool,
}

/// The keys of a map. Other keys are not allowed.
pub(super) type Table = &'static [Key];

/// The values that a key allows.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// A string that is not empty, or a whole number.
    Text,
    /// A name, in which numbers replace the placeholders.
    Name,
    /// A number of repetitions.
    Count,
    /// The version of the format.
    Version,
    Flag,
    Choice(&'static [&'static str]),
    /// A whole number up to this maximum, or null for no limit.
    Limit(u64),
    /// A whole number of at least -1.
    Icmp,
    /// A regular expression.
    Pattern,
    /// A name or pattern of apps, optionally preceded by an org and a space. The numbers
    /// are the minimum and maximum of its parts.
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
    /// A list of maps. If `joins` is set, items with the same name in several files are
    /// joined.
    Entries {
        table: Table,
        joins: bool,
    },
    /// A list of maps, each with the keys of its `type`.
    Typed(&'static [(&'static str, Table)]),
    /// A list of entries like the `applications` of a manifest, with additional keys.
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

/// The maximum of most limits in the Cloud Controller.
const MAX_LIMIT: u64 = 2_147_483_647;

const TEXTS: Kind = Kind::List(&Kind::Text);
const COUNT: Key = key(
    "count",
    "The number of copies; `{i}` in the name is the index of each, from 0",
    Kind::Count,
);

/// The keys of a file.
pub(super) const ROOT: Table = &[
    required("version", "The version of the format", Kind::Version),
    required(
        "name",
        "The owner of all resources of the spec. Orgs, spaces and apps are labelled with it, so that one spec does not delete the apps of another. All files of a spec must have the same name",
        Kind::Text,
    ),
    key(
        "apps_domain",
        "Domain for `{apps_domain}` in routes and environment variables [default: the foundation's first shared domain]",
        Kind::Text,
    ),
    key("org_quotas", "Quotas for orgs", entries(ORG_QUOTA)),
    key(
        "security_groups",
        "Security groups for spaces",
        entries(SECURITY_GROUP),
    ),
    key("domains", "Domains shared with all orgs", TEXTS),
    key(
        "users",
        "Users: the name of an existing user, or `ORIGIN/NAME` to create a user of an identity provider such as `ldap`",
        TEXTS,
    ),
    key(
        "feature_flags",
        "Feature flags of the foundation to enable or disable, such as `diego_docker`",
        Kind::Flags,
    ),
    key(
        "protected",
        "Regular expressions for resources that cf-pusher never changes; they match the whole name of an org or app, or `org/space`",
        Kind::List(&Kind::Pattern),
    ),
    key(
        "network_policies",
        "Network policies between apps of any spaces",
        entries(POLICY_BETWEEN_SPACES),
    ),
    key("orgs", "Orgs and their spaces", joining(ORG)),
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
        Kind::Limit(MAX_LIMIT),
    ),
    key(
        "per_process_memory_in_mb",
        "Memory of one instance of a process",
        Kind::Limit(MAX_LIMIT),
    ),
    key(
        "total_instances",
        "Instances of all started processes",
        Kind::Limit(MAX_LIMIT),
    ),
    key(
        "per_app_tasks",
        "Running tasks of one app",
        Kind::Limit(MAX_LIMIT),
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
        "Whether paid service plans are allowed",
        Kind::Flag,
    ),
    key(
        "total_service_instances",
        "Managed service instances",
        Kind::Limit(MAX_LIMIT),
    ),
    key("total_service_keys", "Service keys", Kind::Limit(MAX_LIMIT)),
];

const LIMITS_OF_ROUTES: Table = &[
    key("total_routes", "Routes", Kind::Limit(MAX_LIMIT)),
    key(
        "total_reserved_ports",
        "Ports reserved by TCP routes",
        Kind::Limit(MAX_LIMIT),
    ),
];

const LIMITS_OF_DOMAINS: Table = &[key(
    "total_domains",
    "Private domains",
    Kind::Limit(MAX_LIMIT),
)];

const SECURITY_GROUP: Table = &[
    required("name", "The security group's name", Kind::Name),
    COUNT,
    key("rules", "Rules for allowed traffic", entries(RULE)),
    key(
        "globally_enabled",
        "Whether the group applies to all spaces",
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
    key("description", "Purpose of the rule", Kind::Text),
    key(
        "log",
        "Whether cells log the connections that it allows",
        Kind::Flag,
    ),
];

const NETWORK_POLICY: Table = &[
    required(
        "from",
        "The source apps, in this space: a name, or a pattern with `*` and `?`",
        Kind::Apps(1, 1),
    ),
    required(
        "to",
        "The destination apps: a name or pattern; `space/app` and `org/space/app` refer to other spaces",
        Kind::Apps(1, 3),
    ),
    PROTOCOL,
    PORTS,
];

const POLICY_BETWEEN_SPACES: Table = &[
    required(
        "from",
        "The source apps: `org/space/app`, each part a name or a pattern with `*` and `?`",
        Kind::Apps(3, 3),
    ),
    required(
        "to",
        "The destination apps, in the same form",
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
    "Labels and annotations, in addition to those of cf-pusher",
    Kind::Map(&[
        key("labels", "Labels", Kind::Texts),
        key("annotations", "Annotations", Kind::Texts),
    ]),
);

const ISOLATION_SEGMENT: Key = key(
    "isolation_segment",
    "Existing isolation segment for the apps. The org is entitled to it",
    Kind::Text,
);

const ORG: Table = &[
    required("name", "The org's name", Kind::Name),
    COUNT,
    key(
        "quota",
        "The org's quota. If the spec has `org_quotas`, it must be one of them",
        Kind::Name,
    ),
    key(
        "suspended",
        "Whether the org is suspended: its users cannot change anything",
        Kind::Flag,
    ),
    METADATA,
    key(
        "domains",
        "Private domains owned by the org",
        Kind::List(&Kind::Name),
    ),
    ISOLATION_SEGMENT,
    key(
        "roles",
        "Roles of users in the org; other roles are not changed",
        entries(ORG_ROLE),
    ),
    key(
        "space_quotas",
        "Quotas for the org's spaces",
        entries(SPACE_QUOTA),
    ),
    key(
        "spaces",
        "Spaces and their resources; other spaces are not changed",
        joining(SPACE),
    ),
];

const ROLE_USER: Key = required(
    "user",
    "The user name, or the ID of a UAA client",
    Kind::Name,
);
const ROLE_ORIGIN: Key = key(
    "origin",
    "The user's identity provider, such as `uaa` or `ldap`; needed if several have a user with that name",
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
        "Features of the space to enable or disable",
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
        "Roles of users in the space; other roles are not changed",
        entries(SPACE_ROLE),
    ),
    key(
        "service_instances",
        "Service instances",
        Kind::Typed(&[("user-provided", USER_PROVIDED), ("managed", MANAGED)]),
    ),
    key(
        "service_bindings",
        "Bindings of apps to service instances, in addition to the apps' `services`",
        entries(SERVICE_BINDING),
    ),
    key(
        "network_policies",
        "Network policies with apps of this space as the source",
        entries(NETWORK_POLICY),
    ),
    key(
        "apps",
        "Apps, with the keys of an application of `manifest.yml` and the keys below",
        Kind::AppEntries(APP),
    ),
];

const SERVICE_TYPES: Kind = Kind::Choice(&["user-provided", "managed"]);
const SERVICE_NAME: Key = required("name", "The service instance's name", Kind::Name);
const SERVICE_TYPE: Key = required("type", "The type of the service instance", SERVICE_TYPES);
const TAGS: Key = key("tags", "Tags, visible to apps in `VCAP_SERVICES`", TEXTS);

const USER_PROVIDED: Table = &[
    SERVICE_NAME,
    SERVICE_TYPE,
    key(
        "credentials",
        "Credentials for bound apps, visible in `VCAP_SERVICES`",
        Kind::Any,
    ),
    key(
        "syslog_drain_url",
        "URL that receives the logs of bound apps",
        Kind::Text,
    ),
    key(
        "route_service_url",
        "URL of the proxy for bound routes",
        Kind::Text,
    ),
    TAGS,
];

const MANAGED: Table = &[
    SERVICE_NAME,
    SERVICE_TYPE,
    required("offering", "The service offering", Kind::Text),
    required("plan", "The service plan", Kind::Text),
    key(
        "broker",
        "The service broker; needed if several brokers have that offering",
        Kind::Text,
    ),
    key(
        "parameters",
        "Parameters for the broker, sent when the instance is created",
        Kind::Any,
    ),
    TAGS,
];

const SERVICE_BINDING: Table = &[
    required(
        "app",
        "The apps: the `name` of an entry of `apps` exactly as written, the name of one app, or a pattern with `*` and `?`",
        Kind::Apps(1, 1),
    ),
    required("service_instance", "The service instance", Kind::Name),
    key("name", "The binding's name", Kind::Name),
    key(
        "parameters",
        "Parameters for the broker, sent when the binding is created",
        Kind::Any,
    ),
];

/// The keys of an app in addition to the keys of a manifest.
const APP: Table = &[
    COUNT,
    key(
        "state",
        "Whether the app is running [default: started]",
        Kind::Choice(&["started", "stopped"]),
    ),
    key(
        "ignore_changes",
        "Properties that an existing app keeps: its `state`, if the app has no bits; its `droplets`: unused packages and droplets, and an image that was never staged",
        Kind::List(&Kind::Choice(&["state", "droplets"])),
    ),
    key(
        "path",
        "The app's bits: a folder or an archive, relative to the file",
        Kind::Text,
    ),
    key(
        "droplet",
        "A droplet (.tgz), relative to the file, instead of bits",
        Kind::Text,
    ),
    key(
        "like",
        "Copy the droplet of this app: the `name` of an entry of the same space, or `space/app` or `org/space/app`",
        Kind::Text,
    ),
    key(
        "bundled",
        "A small app that cf-pusher contains, instead of bits",
        Kind::Choice(&["proxy", "registry", "tick"]),
    ),
];

/// The possible sources of an app's droplet. An entry has one of these keys.
pub(super) const BITS_KEYS: [&str; 5] = ["path", "droplet", "like", "bundled", "docker"];

/// The maximum value of a `count`.
pub(super) const MAX_COUNT: u32 = 100_000;
