//! The `mock-capi` command: a fake Cloud Controller until it is interrupted.

use std::fmt::Display;
use std::fs;
use std::io::{self, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use mock_capi::{AnsweredRequest, Dialect, Fault, Front, MockCapi, MockCapiBuilder, Profile};
use tempfile::NamedTempFile;

use self::shutdown::Shutdown;

mod shutdown;

/// Hundreds of thousands of small things come and go.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const EXAMPLES: &str = r#"Examples:
  Listen on the default port, log in as admin/admin:
    mock-capi
  Take time, as a real foundation does:
    mock-capi --latency 20ms --staging-time 3s --copy-time 500ms --start-time 2s
  Have users whose roles say what they see and do:
    mock-capi --add-user dev:secret --add-user auditor:secret
  Speak the API of 2017 on a free port (the first line printed says which):
    mock-capi --listen 127.0.0.1:0 --dialect 2017
  Let things go wrong, the same each time: every fifth request or so gets lost:
    mock-capi --seed 7
    curl -X PUT http://127.0.0.1:8181/_mock/faults \
        -d '[{"fault": "drop_after", "path": "/v3/*", "probability": 0.2}]'
  Keep what is created, and logins, from one run to the next:
    mock-capi --state world.json
  Start from a world that is written by hand:
    mock-capi --listen localhost:8181 --seed-file seed.yml
  See what was asked and what there is, and start over:
    curl http://127.0.0.1:8181/_mock/stats
    curl http://127.0.0.1:8181/_mock/state
    curl -X POST http://127.0.0.1:8181/_mock/reset"#;

/// A fake Cloud Controller: light, stateful and true to the v3 API
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
struct Arguments {
    /// Address to listen on, such as localhost:8181; port 0 is any free port
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8181", value_parser = resolve, env = "MOCK_CAPI_LISTEN")]
    listen: SocketAddr,
    /// API to speak: v3 (today's) or 2017 (v2, and the v3 of that time)
    #[arg(long, default_value = "v3", env = "MOCK_CAPI_DIALECT")]
    dialect: Dialect,
    /// Name of the administrator
    #[arg(long, default_value = "admin", env = "MOCK_CAPI_USER")]
    user: String,
    /// Password of the administrator
    #[arg(
        long,
        default_value = "admin",
        env = "MOCK_CAPI_PASSWORD",
        hide_env_values = true
    )]
    password: String,
    /// A further user, who is no administrator; may be given more than once
    #[arg(long, value_name = "NAME:PASSWORD", value_parser = parse_user, env = "MOCK_CAPI_ADD_USER", hide_env_values = true, value_delimiter = ',')]
    add_user: Vec<(String, String)>,
    /// A client that logs in with its own credentials, as an administrator
    #[arg(long, value_name = "ID:SECRET", value_parser = parse_user, env = "MOCK_CAPI_CLIENT", hide_env_values = true)]
    client: Option<(String, String)>,
    /// Name of the shared domain in a new world
    #[arg(
        long,
        value_name = "NAME",
        default_value = "apps.mock.test",
        env = "MOCK_CAPI_APPS_DOMAIN"
    )]
    apps_domain: String,
    /// How long each answer is held back
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, env = "MOCK_CAPI_LATENCY")]
    latency: Option<Duration>,
    /// How long a build takes
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, env = "MOCK_CAPI_STAGING_TIME")]
    staging_time: Option<Duration>,
    /// How long the copying of a droplet takes
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, env = "MOCK_CAPI_COPY_TIME")]
    copy_time: Option<Duration>,
    /// How long an instance takes to start
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, env = "MOCK_CAPI_START_TIME")]
    start_time: Option<Duration>,
    /// How long a job takes
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, env = "MOCK_CAPI_JOB_TIME")]
    job_time: Option<Duration>,
    /// How long a task runs
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, env = "MOCK_CAPI_TASK_TIME")]
    task_time: Option<Duration>,
    /// How long a network policy takes to have an effect on connections between apps
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, env = "MOCK_CAPI_POLICY_TIME")]
    policy_time: Option<Duration>,
    /// How long a security group takes to have an effect on connections of apps
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, env = "MOCK_CAPI_ASG_TIME")]
    asg_time: Option<Duration>,
    /// By how much, from 0 to 1, each of these times may be longer or shorter
    #[arg(long, value_name = "SHARE", value_parser = read_share, env = "MOCK_CAPI_JITTER")]
    jitter: Option<f64>,
    /// Take as long as a foundation: `measured`, or a YAML file; times of other flags go before it
    #[arg(long, value_name = "measured|FILE", env = "MOCK_CAPI_PROFILE")]
    profile: Option<PathBuf>,
    /// How many requests are served at once, others queue; without it, all
    #[arg(long, value_name = "COUNT", env = "MOCK_CAPI_WORKERS")]
    workers: Option<NonZeroUsize>,
    /// How long an access token is good
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = humantime::parse_duration, env = "MOCK_CAPI_TOKEN_LIFETIME")]
    token_lifetime: Duration,
    /// Repeat a run: GUIDs, jitter, random routes and faults come from this number
    #[arg(long, value_name = "NUMBER", env = "MOCK_CAPI_SEED")]
    seed: Option<u64>,
    /// How many requests a user may make in a window of time, such as 2000/1h
    #[arg(long, value_name = "REQUESTS/TIME", value_parser = read_rate_limit, env = "MOCK_CAPI_RATE_LIMIT")]
    rate_limit: Option<(u64, Duration)>,
    /// How many requests administrators may make in that time, unless as many as everyone
    #[arg(
        long,
        value_name = "REQUESTS",
        requires = "rate_limit",
        env = "MOCK_CAPI_ADMIN_RATE_LIMIT"
    )]
    admin_rate_limit: Option<u64>,
    /// Go on with the world in this file, and save it there on shutdown
    #[arg(long, value_name = "FILE", env = "MOCK_CAPI_STATE")]
    state: Option<PathBuf>,
    /// Orgs, spaces, apps, users, quotas and security groups to start with, in YAML
    #[arg(long, value_name = "FILE", env = "MOCK_CAPI_SEED_FILE")]
    seed_file: Option<PathBuf>,
    /// How many audit events, and usage events of each kind, are kept
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 200_000,
        env = "MOCK_CAPI_KEEP_EVENTS"
    )]
    keep_events: usize,
    /// How many requests are kept for /_mock/requests, with 64 KiB of each body
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 1000,
        env = "MOCK_CAPI_KEEP_REQUESTS"
    )]
    keep_requests: usize,
    /// Switch the v2 API off, as foundations have it today
    #[arg(long, env = "MOCK_CAPI_NO_V2")]
    no_v2: bool,
    /// Speak TLS with a self-signed certificate, and print where that is
    #[arg(long, env = "MOCK_CAPI_TLS")]
    tls: bool,
    /// Where to write the certificate of --tls; without it, to a new temporary file
    #[arg(
        long,
        value_name = "FILE",
        env = "MOCK_CAPI_CERTIFICATE",
        requires = "tls"
    )]
    certificate: Option<PathBuf>,
    /// A further host name that may be asked for /_mock; may be given more than once
    #[arg(
        long,
        value_name = "NAME",
        env = "MOCK_CAPI_ALLOW_HOST",
        value_delimiter = ','
    )]
    allow_host: Vec<String>,
    /// Ports for the worlds that POST /_mock/worlds starts; without it, any free ones
    #[arg(long, value_name = "FIRST-LAST", value_parser = read_ports, env = "MOCK_CAPI_WORLD_PORTS")]
    world_ports: Option<RangeInclusive<u16>>,
    /// A service broker that runs inside, with its plans; may be given more than once
    #[arg(long, value_name = "NAME:PLAN,PLAN", value_parser = parse_broker, env = "MOCK_CAPI_BROKER", value_delimiter = ';')]
    broker: Vec<(String, Vec<String>)>,
    /// How long a service broker may take to answer
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = humantime::parse_duration, env = "MOCK_CAPI_BROKER_TIMEOUT")]
    broker_timeout: Duration,
    /// After which time a service broker is asked again how far it is
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = humantime::parse_duration, env = "MOCK_CAPI_BROKER_POLL_INTERVAL")]
    broker_poll_interval: Duration,
    /// How many bindings an app and a service instance may have, from 1 to 5
    #[arg(long, value_name = "COUNT", default_value = "1", value_parser = clap::value_parser!(u8).range(1..=5), env = "MOCK_CAPI_BINDINGS_PER_APP")]
    bindings_per_app: u8,
    /// Take security group rules of IPv6 and ICMPv6
    #[arg(long, env = "MOCK_CAPI_ENABLE_IPV6")]
    enable_ipv6: bool,
    /// Let the deletion of a service instance wait for bindings that take time to delete
    #[arg(long, env = "MOCK_CAPI_RECURSIVE_DELETE")]
    recursive_delete: bool,
    /// End when standard input ends, so that a test that is killed leaves no mock behind
    #[arg(long, env = "MOCK_CAPI_UNTIL_EOF")]
    until_eof: bool,
    /// Log a line per request to standard error; without it, only those that are not implemented
    #[arg(short, long, env = "MOCK_CAPI_VERBOSE")]
    verbose: bool,
    /// What goes wrong: a JSON file as PUT /_mock/faults takes it
    #[arg(long, value_name = "FILE", env = "MOCK_CAPI_FAULTS")]
    faults: Option<PathBuf>,
}

/// The first address that a host name has, of IPv4 if it has one.
fn resolve(text: &str) -> Result<SocketAddr, String> {
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
    ports.ok_or_else(|| "a range of ports is its first and its last, such as 8200-8299".into())
}

/// A line per request if that is wanted, and in any case one for what is not
/// implemented: the client will not work.
fn log(request: AnsweredRequest<'_>, verbose: bool) {
    if !verbose && request.status != Some(501) {
        return;
    }
    let AnsweredRequest {
        method,
        target,
        status,
        took,
        ..
    } = request;
    let status = status.map_or_else(|| "dropped".into(), |status| status.to_string());
    let millis = took.as_secs_f64() * 1000.0;
    // Who reads the log may be gone; the mock goes on.
    let _ = writeln!(io::stderr(), "{method} {target} {status} {millis:.1} ms");
}

fn read_rate_limit(text: &str) -> Result<(u64, Duration), String> {
    let limit = text.split_once('/').and_then(|(requests, window)| {
        let window = humantime::parse_duration(window).ok()?;
        let window = (!window.is_zero()).then_some(window)?;
        Some((requests.parse().ok()?, window))
    });
    limit.ok_or_else(|| "a rate limit is a number of requests and a time, such as 2000/1h".into())
}

fn read_share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok();
    let share = share.filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "a share is a number from 0 to 1".into())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mock-capi: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    // Signals count from before anyone can know that the mock is there.
    let shutdown = Shutdown::listen(arguments.until_eof)?;
    let mut builder = MockCapi::builder();
    if let Some(seed) = arguments.seed {
        builder = builder.seed(seed);
    }
    if let Some((requests, window)) = arguments.rate_limit {
        builder = builder.rate_limit(requests, window);
    }
    if let Some(requests) = arguments.admin_rate_limit {
        builder = builder.admin_rate_limit(requests);
    }
    if let Some(file) = &arguments.faults {
        builder = builder.faults(read_faults(file)?);
    }
    for (name, password) in &arguments.add_user {
        builder = builder.add_user(name, password);
    }
    if let Some(file) = &arguments.state {
        builder = builder.state_file(file);
    }
    if let Some(file) = &arguments.seed_file {
        builder = builder.seed_file(file);
    }
    if let Some((id, secret)) = &arguments.client {
        builder = builder.client(id, secret);
    }
    if arguments.no_v2 {
        builder = builder.disable_v2();
    }
    for name in &arguments.allow_host {
        builder = builder.allow_host(name);
    }
    for (name, plans) in &arguments.broker {
        let plans: Vec<&str> = plans.iter().map(String::as_str).collect();
        builder = builder.broker(name, &plans);
    }
    if arguments.enable_ipv6 {
        builder = builder.enable_ipv6();
    }
    if arguments.recursive_delete {
        builder = builder.enable_recursive_delete();
    }
    let verbose = arguments.verbose;
    let mut builder = builder
        .on_request(move |request| log(request, verbose))
        .front();
    if arguments.tls {
        builder = builder.tls();
    }
    let mock = with_times(builder, &arguments)?
        .worlds(arguments.world_ports)
        .listen(arguments.listen)
        .dialect(arguments.dialect)
        .user(&arguments.user, &arguments.password)
        .apps_domain(&arguments.apps_domain)
        .token_lifetime(arguments.token_lifetime)
        .keep_events(arguments.keep_events)
        .keep_requests(arguments.keep_requests)
        .bindings_per_app(arguments.bindings_per_app.into())
        .broker_timeout(arguments.broker_timeout)
        .broker_poll_interval(arguments.broker_poll_interval)
        .start()
        .await?;
    let certificate = match mock.certificate() {
        Some(certificate) => Some(CertificateFile::write(certificate, arguments.certificate)?),
        None => None,
    };
    announce(&mock, certificate.as_ref())?;
    shutdown.wait().await;
    if let Some(file) = &arguments.state {
        mock.save_state(file)?;
    }
    Ok(())
}

/// The times that the arguments say, which go before those of a profile.
fn with_times(
    mut builder: MockCapiBuilder<Front>,
    arguments: &Arguments,
) -> Result<MockCapiBuilder<Front>, String> {
    if let Some(profile) = &arguments.profile {
        builder = builder.profile(read_profile(profile)?);
    }
    if let Some(count) = arguments.workers {
        builder = builder.workers(count.get());
    }
    if let Some(jitter) = arguments.jitter {
        builder = builder.jitter(jitter);
    }
    type Set = fn(MockCapiBuilder<Front>, Duration) -> MockCapiBuilder<Front>;
    let times: [(Option<Duration>, Set); 8] = [
        (arguments.latency, MockCapiBuilder::latency),
        (arguments.staging_time, MockCapiBuilder::staging_time),
        (arguments.copy_time, MockCapiBuilder::copy_time),
        (arguments.start_time, MockCapiBuilder::start_time),
        (arguments.job_time, MockCapiBuilder::job_time),
        (arguments.task_time, MockCapiBuilder::task_time),
        (arguments.policy_time, MockCapiBuilder::policy_time),
        (arguments.asg_time, MockCapiBuilder::asg_time),
    ];
    for (time, set) in times {
        if let Some(time) = time {
            builder = set(builder, time);
        }
    }
    Ok(builder)
}

/// The measured profile, or that of a file.
fn read_profile(file: &Path) -> Result<Profile, String> {
    if file == Path::new("measured") {
        return Ok(Profile::measured());
    }
    let explain =
        |error: &dyn Display| format!("cannot read the profile {}: {error}", file.display());
    let text = fs::read_to_string(file).map_err(|error| explain(&error))?;
    Profile::from_yaml(&text).map_err(|error| explain(&error))
}

fn read_faults(file: &Path) -> Result<Vec<Fault>, String> {
    let explain =
        |error: &dyn Display| format!("cannot read faults from {}: {error}", file.display());
    let text = fs::read_to_string(file).map_err(|error| explain(&error))?;
    Fault::list_from_json(&text).map_err(|error| explain(&error))
}

fn parse_broker(text: &str) -> Result<(String, Vec<String>), &'static str> {
    let (name, plans) = text.split_once(':').unwrap_or((text, "default"));
    let plans: Vec<String> = plans.split(',').map(str::to_owned).collect();
    if name.is_empty() || plans.iter().any(String::is_empty) {
        return Err("a broker is its name and its plans, such as mysql:small,large");
    }
    Ok((name.into(), plans))
}

fn parse_user(text: &str) -> Result<(String, String), &'static str> {
    let (name, password) = text.split_once(':').ok_or("no ':' before a password")?;
    Ok((name.into(), password.into()))
}

/// The certificate that clients have to trust. A temporary file is removed when
/// the mock ends.
enum CertificateFile {
    Chosen(PathBuf),
    Temporary(NamedTempFile),
}

impl CertificateFile {
    fn write(certificate: &str, file: Option<PathBuf>) -> Result<Self, String> {
        let written = match file {
            Some(path) => match fs::write(&path, certificate) {
                Ok(()) => Ok(Self::Chosen(path)),
                Err(error) => Err(format!("{}: {error}", path.display())),
            },
            None => Self::write_temporary(certificate).map_err(|error| error.to_string()),
        };
        written.map_err(|cause| format!("cannot write the certificate: {cause}"))
    }

    fn write_temporary(certificate: &str) -> io::Result<Self> {
        let mut name = tempfile::Builder::new();
        let mut file = name.prefix("mock-capi-").suffix(".pem").tempfile()?;
        file.write_all(certificate.as_bytes())?;
        Ok(Self::Temporary(file))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Chosen(path) => path,
            Self::Temporary(file) => file.path(),
        }
    }
}

fn announce(mock: &MockCapi<Front>, certificate: Option<&CertificateFile>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "mock-capi listening on {}", mock.uri())?;
    if let Some(certificate) = certificate {
        let path = certificate.path().display();
        writeln!(out, "mock-capi certificate in {path}")?;
    }
    out.flush()
}
