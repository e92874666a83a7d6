//! The `mock-capi` command: a fake Cloud Controller until it is interrupted.

use std::fmt::Display;
use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use mock_capi::{Dialect, Fault, Front, MockCapi};
use tokio::signal::unix::{SignalKind, signal};

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
  See what was asked and what there is, and start over:
    curl http://127.0.0.1:8181/_mock/stats
    curl http://127.0.0.1:8181/_mock/state
    curl -X POST http://127.0.0.1:8181/_mock/reset"#;

/// A fake Cloud Controller: light, stateful and true to the v3 API
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
struct Arguments {
    /// Address to listen on; port 0 is any free port
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8181")]
    listen: SocketAddr,
    /// API to speak: v3 (today's) or 2017 (v2, and the v3 of that time)
    #[arg(long, default_value = "v3")]
    dialect: Dialect,
    /// Name of the administrator
    #[arg(long, default_value = "admin")]
    user: String,
    /// Password of the administrator
    #[arg(long, default_value = "admin")]
    password: String,
    /// A further user, who is no administrator; may be given more than once
    #[arg(long, value_name = "NAME:PASSWORD", value_parser = parse_user)]
    add_user: Vec<(String, String)>,
    /// Name of the shared domain in a new world
    #[arg(long, value_name = "NAME", default_value = "apps.mock.test")]
    apps_domain: String,
    /// How long each answer is held back
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = humantime::parse_duration)]
    latency: Duration,
    /// How long a build takes
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = humantime::parse_duration)]
    staging_time: Duration,
    /// How long the copying of a droplet takes
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = humantime::parse_duration)]
    copy_time: Duration,
    /// How long an instance takes to start
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = humantime::parse_duration)]
    start_time: Duration,
    /// How long a job takes
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = humantime::parse_duration)]
    job_time: Duration,
    /// How long a task runs
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = humantime::parse_duration)]
    task_time: Duration,
    /// By how much, from 0 to 1, each of these times may be longer or shorter
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = read_share)]
    jitter: f64,
    /// How long an access token is good
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = humantime::parse_duration)]
    token_lifetime: Duration,
    /// Repeat a run: GUIDs, jitter, random routes and faults come from this number
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// How many requests a user may make in a window of time, such as 2000/1h
    #[arg(long, value_name = "REQUESTS/TIME", value_parser = read_rate_limit)]
    rate_limit: Option<(u64, Duration)>,
    /// Go on with the world in this file, and save it there on shutdown
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// What goes wrong: a JSON file as PUT /_mock/faults takes it
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
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
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let mut builder = MockCapi::builder();
    if let Some(seed) = arguments.seed {
        builder = builder.seed(seed);
    }
    if let Some((requests, window)) = arguments.rate_limit {
        builder = builder.rate_limit(requests, window);
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
    let mock = builder
        .front()
        .listen(arguments.listen)
        .dialect(arguments.dialect)
        .user(&arguments.user, &arguments.password)
        .apps_domain(&arguments.apps_domain)
        .latency(arguments.latency)
        .staging_time(arguments.staging_time)
        .copy_time(arguments.copy_time)
        .start_time(arguments.start_time)
        .job_time(arguments.job_time)
        .task_time(arguments.task_time)
        .token_lifetime(arguments.token_lifetime)
        .jitter(arguments.jitter)
        .start()
        .await?;
    announce(&mock)?;
    tokio::select! {
        _ = interrupted.recv() => {}
        _ = terminated.recv() => {}
    }
    if let Some(file) = &arguments.state {
        mock.save_state(file)?;
    }
    Ok(())
}

fn read_faults(file: &Path) -> Result<Vec<Fault>, String> {
    let explain =
        |error: &dyn Display| format!("cannot read faults from {}: {error}", file.display());
    let text = fs::read_to_string(file).map_err(|error| explain(&error))?;
    Fault::list_from_json(&text).map_err(|error| explain(&error))
}

fn parse_user(text: &str) -> Result<(String, String), &'static str> {
    let (name, password) = text.split_once(':').ok_or("no ':' before a password")?;
    Ok((name.into(), password.into()))
}

fn announce(mock: &MockCapi<Front>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "mock-capi listening on {}", mock.uri())?;
    out.flush()
}
