//! The arguments of the command, which are also read from environment variables.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{Arg, CommandFactory, Parser};
use mock_capi::Dialect;

const EXAMPLES: &str = r#"Examples:
  Listen on the default port; log in as admin with the password admin:
    mock-capi
  Respond as slowly as a real foundation:
    mock-capi --latency 20ms --staging-time 3s --copy-time 500ms --start-time 2s
  Add users whose roles determine what they may see and change:
    mock-capi --add-user dev:secret --add-user auditor:secret
  Serve the API of 2017 on a free port, which is printed first:
    mock-capi --listen 127.0.0.1:0 --dialect 2017
  Lose about every fifth response, the same ones in each run:
    mock-capi --seed 7
    curl -X PUT http://127.0.0.1:8181/_mock/faults \
        -d '[{"fault": "drop_after", "path": "/v3/*", "probability": 0.2}]'
  Keep resources and logins from one run to the next:
    mock-capi --state world.json
  Start with the resources of a file:
    mock-capi --listen localhost:8181 --seed-file seed.yml
  Show the requests and the resources, and start again:
    curl http://127.0.0.1:8181/_mock/stats
    curl http://127.0.0.1:8181/_mock/state
    curl -X POST http://127.0.0.1:8181/_mock/reset"#;

/// Run a fake Cloud Controller: fast, stateful and faithful to the v3 API
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES, allow_negative_numbers = true)]
pub(super) struct Arguments {
    /// Address to listen on, such as localhost:8181; port 0 selects a free port
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8181", value_parser = resolve, env = "MOCK_CAPI_LISTEN")]
    pub(super) listen: SocketAddr,
    /// API version: v3 (today's) or 2017 (v2 and the v3 of that time)
    #[arg(long, default_value = "v3", env = "MOCK_CAPI_DIALECT")]
    pub(super) dialect: Dialect,
    /// Name of the administrator
    #[arg(
        long,
        default_value = "admin",
        value_parser = NonEmptyStringValueParser::new(),
        env = "MOCK_CAPI_USER"
    )]
    pub(super) user: String,
    /// Password of the administrator
    #[arg(
        long,
        default_value = "admin",
        env = "MOCK_CAPI_PASSWORD",
        hide_env_values = true
    )]
    pub(super) password: String,
    /// An additional user, who is not an administrator; may be repeated
    #[arg(long, value_name = "NAME:PASSWORD", value_parser = parse_user, env = "MOCK_CAPI_ADD_USER", hide_env_values = true, value_delimiter = ',')]
    pub(super) add_user: Vec<(String, String)>,
    /// An OAuth client with its own credentials, which acts as an administrator
    #[arg(long, value_name = "ID:SECRET", value_parser = parse_user, env = "MOCK_CAPI_CLIENT", hide_env_values = true)]
    pub(super) client: Option<(String, String)>,
    /// Name of the shared domain in a new world
    #[arg(
        long,
        value_name = "NAME",
        default_value = "apps.mock.test",
        value_parser = parse_domain,
        env = "MOCK_CAPI_APPS_DOMAIN"
    )]
    pub(super) apps_domain: String,
    /// Time by which each response is delayed
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, env = "MOCK_CAPI_LATENCY")]
    pub(super) latency: Option<Duration>,
    /// Duration of a build
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, env = "MOCK_CAPI_STAGING_TIME")]
    pub(super) staging_time: Option<Duration>,
    /// Duration of a droplet copy
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, env = "MOCK_CAPI_COPY_TIME")]
    pub(super) copy_time: Option<Duration>,
    /// Time that an instance takes to start
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, env = "MOCK_CAPI_START_TIME")]
    pub(super) start_time: Option<Duration>,
    /// Duration of a job
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, env = "MOCK_CAPI_JOB_TIME")]
    pub(super) job_time: Option<Duration>,
    /// Duration of a task
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, env = "MOCK_CAPI_TASK_TIME")]
    pub(super) task_time: Option<Duration>,
    /// Time until a network policy affects connections between apps
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, env = "MOCK_CAPI_POLICY_TIME")]
    pub(super) policy_time: Option<Duration>,
    /// Time until a security group affects connections of apps
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, env = "MOCK_CAPI_ASG_TIME")]
    pub(super) asg_time: Option<Duration>,
    /// Fraction, from 0 to 1, by which these times vary at random
    #[arg(long, value_name = "FRACTION", value_parser = read_fraction, env = "MOCK_CAPI_JITTER")]
    pub(super) jitter: Option<f64>,
    /// Response times of a foundation: `measured`, or a YAML file; other flags for times
    /// take precedence
    #[arg(long, value_name = "measured|FILE", env = "MOCK_CAPI_PROFILE")]
    pub(super) profile: Option<PathBuf>,
    /// Maximum number of requests that are served at once; others queue [default: no
    /// limit]
    #[arg(long, value_name = "COUNT", value_parser = read_count::<NonZeroUsize>, env = "MOCK_CAPI_WORKERS")]
    pub(super) workers: Option<NonZeroUsize>,
    /// Lifetime of access tokens
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = humantime::parse_duration, env = "MOCK_CAPI_TOKEN_LIFETIME")]
    pub(super) token_lifetime: Duration,
    /// Seed for GUIDs, jitter, random routes and faults, so that runs can be repeated
    #[arg(long, value_name = "NUMBER", value_parser = read_count::<u64>, env = "MOCK_CAPI_SEED")]
    pub(super) seed: Option<u64>,
    /// Maximum number of requests of a user in a period, such as 2000/1h
    #[arg(long, value_name = "REQUESTS/TIME", value_parser = read_rate_limit, env = "MOCK_CAPI_RATE_LIMIT")]
    pub(super) rate_limit: Option<(u64, Duration)>,
    /// Maximum number of requests of an administrator in that period [default: the same
    /// as for users]
    #[arg(
        long,
        value_name = "REQUESTS",
        value_parser = read_count::<u64>,
        requires = "rate_limit",
        env = "MOCK_CAPI_ADMIN_RATE_LIMIT"
    )]
    pub(super) admin_rate_limit: Option<u64>,
    /// Load the state from this file if it exists, and save it there on shutdown
    #[arg(long, value_name = "FILE", env = "MOCK_CAPI_STATE")]
    pub(super) state: Option<PathBuf>,
    /// YAML file with orgs, spaces, apps, users, quotas and security groups to start with
    #[arg(long, value_name = "FILE", env = "MOCK_CAPI_SEED_FILE")]
    pub(super) seed_file: Option<PathBuf>,
    /// Maximum number of audit events, and of usage events of each kind, to keep
    #[arg(
        long,
        value_name = "NUMBER",
        value_parser = read_count::<usize>,
        default_value_t = 200_000,
        env = "MOCK_CAPI_KEEP_EVENTS"
    )]
    pub(super) keep_events: usize,
    /// Maximum number of requests to keep for /_mock/requests, with 64 KiB of each body
    #[arg(
        long,
        value_name = "NUMBER",
        value_parser = read_count::<usize>,
        default_value_t = 1000,
        env = "MOCK_CAPI_KEEP_REQUESTS"
    )]
    pub(super) keep_requests: usize,
    /// Disable the v2 API, as most foundations do today
    #[arg(long, env = "MOCK_CAPI_NO_V2")]
    pub(super) no_v2: bool,
    /// Serve HTTPS with a self-signed certificate, and print its path
    #[arg(long, env = "MOCK_CAPI_TLS")]
    pub(super) tls: bool,
    /// File to write the certificate of --tls to [default: a new temporary file]
    #[arg(
        long,
        value_name = "FILE",
        env = "MOCK_CAPI_CERTIFICATE",
        requires = "tls"
    )]
    pub(super) certificate: Option<PathBuf>,
    /// Additional host name for which /_mock/ is served; may be repeated
    #[arg(
        long,
        value_name = "NAME",
        value_parser = parse_host,
        env = "MOCK_CAPI_ALLOW_HOST",
        value_delimiter = ','
    )]
    pub(super) allow_host: Vec<String>,
    /// Range of ports for the worlds that POST /_mock/worlds starts [default: any free
    /// ports]
    #[arg(long, value_name = "FIRST-LAST", value_parser = read_ports, env = "MOCK_CAPI_WORLD_PORTS")]
    pub(super) world_ports: Option<RangeInclusive<u16>>,
    /// Start a service broker with these plans inside the mock; may be repeated
    #[arg(long, value_name = "NAME:PLAN,PLAN", value_parser = parse_broker, env = "MOCK_CAPI_BROKER", value_delimiter = ';')]
    pub(super) broker: Vec<(String, Vec<String>)>,
    /// Time after which a request to a service broker times out
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration, env = "MOCK_CAPI_BROKER_TIMEOUT")]
    pub(super) broker_timeout: Duration,
    /// Time between two polls of a service broker's operation
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = humantime::parse_duration, env = "MOCK_CAPI_BROKER_POLL_INTERVAL")]
    pub(super) broker_poll_interval: Duration,
    /// Maximum number of bindings between an app and a service instance, from 1 to 5
    #[arg(long, value_name = "COUNT", default_value = "1", value_parser = clap::value_parser!(u8).range(1..=5), env = "MOCK_CAPI_BINDINGS_PER_APP")]
    pub(super) bindings_per_app: u8,
    /// Accept security group rules for IPv6 and ICMPv6
    #[arg(long, env = "MOCK_CAPI_ENABLE_IPV6")]
    pub(super) enable_ipv6: bool,
    /// Let the deletion of a service instance wait until its bindings are deleted
    #[arg(long, env = "MOCK_CAPI_RECURSIVE_DELETE")]
    pub(super) recursive_delete: bool,
    /// A router group for TCP routes with its ports, such as default-tcp:1024-1123; may be
    /// repeated
    #[arg(long, value_name = "NAME:FIRST-LAST", value_parser = parse_router_group, env = "MOCK_CAPI_ROUTER_GROUP", value_delimiter = ',')]
    pub(super) router_group: Vec<(String, RangeInclusive<u16>)>,
    /// Exit when standard input ends, so that a killed test leaves no mock behind
    #[arg(long, env = "MOCK_CAPI_UNTIL_EOF")]
    pub(super) until_eof: bool,
    /// Log all requests to standard error, not only those that are not implemented
    #[arg(short, long, env = "MOCK_CAPI_VERBOSE")]
    pub(super) verbose: bool,
    /// JSON file with faults, in the format of PUT /_mock/faults
    #[arg(long, value_name = "FILE", env = "MOCK_CAPI_FAULTS")]
    pub(super) faults: Option<PathBuf>,
}

/// Variables that do not belong to a flag: test programs find the command with the first,
/// and Kubernetes sets the others for a service with the name of the command.
const OTHER_VARIABLES: [&str; 3] = ["MOCK_CAPI_BIN", "MOCK_CAPI_PORT", "MOCK_CAPI_SERVICE_"];

/// Warns about variables that look like flags but are not, such as misspelled ones.
pub(super) fn warn_of_unknown_variables() {
    let command = Arguments::command();
    let flags: Vec<&OsStr> = command.get_arguments().filter_map(Arg::get_env).collect();
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let is_other = OTHER_VARIABLES.iter().any(|other| text.starts_with(other));
        if text.starts_with("MOCK_CAPI_") && !is_other && !flags.contains(&name.as_os_str()) {
            // Standard error may be closed.
            let _ = writeln!(
                io::stderr(),
                "mock-capi: warning: {text} is not the variable of a flag: see --help"
            );
        }
    }
}

/// The first address of a host name, preferably IPv4.
fn resolve(text: &str) -> Result<SocketAddr, String> {
    let port = text.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
    if !matches!(port, Some(Ok(_))) {
        return Err("must be a host and a port up to 65535, such as localhost:8181".into());
    }
    let addresses = text.to_socket_addrs().map_err(|error| error.to_string())?;
    let addresses: Vec<SocketAddr> = addresses.collect();
    let preferred = addresses.iter().find(|address| address.is_ipv4());
    let address = preferred.or_else(|| addresses.first()).copied();
    address.ok_or_else(|| format!("{text} has no address"))
}

fn read_ports(text: &str) -> Result<RangeInclusive<u16>, String> {
    let ports = text.split_once('-').and_then(|(first, last)| {
        let (first, last) = (first.parse::<u16>().ok()?, last.parse::<u16>().ok()?);
        (first > 0 && first <= last).then_some(first..=last)
    });
    ports.ok_or_else(|| "must be the first and the last port, such as 8200-8299".into())
}

fn read_rate_limit(text: &str) -> Result<(u64, Duration), String> {
    let limit = text.split_once('/').and_then(|(requests, window)| {
        let window = humantime::parse_duration(window).ok()?;
        let window = (!window.is_zero()).then_some(window)?;
        Some((requests.parse().ok()?, window))
    });
    limit.ok_or_else(|| "must be a number of requests and a period, such as 2000/1h".into())
}

fn read_count<T: FromStr>(text: &str) -> Result<T, &'static str> {
    let is_number = text.parse::<u128>().is_ok();
    text.parse().map_err(|_| match is_number {
        true => "the number is out of range",
        false => "must be a whole number",
    })
}

fn read_fraction(text: &str) -> Result<f64, String> {
    let share = text.parse().ok();
    let share = share.filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "must be a number from 0 to 1".into())
}

fn parse_broker(text: &str) -> Result<(String, Vec<String>), &'static str> {
    let (name, plans) = text.split_once(':').unwrap_or((text, "default"));
    let plans: Vec<String> = plans.split(',').map(str::to_owned).collect();
    if name.is_empty() || plans.iter().any(String::is_empty) {
        return Err("must be a name and plans, such as mysql:small,large");
    }
    Ok((name.into(), plans))
}

fn parse_router_group(text: &str) -> Result<(String, RangeInclusive<u16>), String> {
    let named = text.split_once(':').filter(|(name, _)| !name.is_empty());
    let (name, ports) = named.ok_or("must be a name and ports, such as default-tcp:1024-1123")?;
    Ok((name.to_owned(), read_ports(ports)?))
}

fn parse_user(text: &str) -> Result<(String, String), &'static str> {
    let named = text.split_once(':').filter(|(name, _)| !name.is_empty());
    let (name, password) = named.ok_or("must be a name and a secret, separated by ':'")?;
    Ok((name.into(), password.into()))
}

/// A host name, without a port.
fn parse_host(text: &str) -> Result<String, &'static str> {
    let is_label = |label: &str| {
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        !label.is_empty() && label.chars().all(is_part)
    };
    if text.split('.').all(is_label) {
        Ok(text.into())
    } else {
        Err("must be a host name of letters, digits, '-', '_' and '.', without a port")
    }
}

fn parse_domain(text: &str) -> Result<String, &'static str> {
    match parse_host(text)? {
        domain if domain.contains('.') => Ok(domain),
        _ => Err("must be a domain with at least two parts, such as apps.mock.test"),
    }
}
