//! The `mock-capi` command: a fake Cloud Controller until it is interrupted.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use mock_capi::{Dialect, MockCapi};
use tokio::signal::unix::{SignalKind, signal};

const EXAMPLES: &str = "\
Examples:
  Listen on the default port, log in as admin/admin:
    mock-capi
  Take time, as a real foundation does:
    mock-capi --latency 20ms --staging-time 3s --copy-time 500ms --start-time 2s
  Speak the API of 2017 on a free port (the first line printed says which):
    mock-capi --listen 127.0.0.1:0 --dialect 2017
  See what was asked and what there is, and start over:
    curl http://127.0.0.1:8181/_mock/stats
    curl http://127.0.0.1:8181/_mock/state
    curl -X POST http://127.0.0.1:8181/_mock/reset";

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
    /// Name of the shared domain
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
    let mock = MockCapi::builder()
        .listen(arguments.listen)
        .dialect(arguments.dialect)
        .user(&arguments.user, &arguments.password)
        .apps_domain(&arguments.apps_domain)
        .latency(arguments.latency)
        .staging_time(arguments.staging_time)
        .copy_time(arguments.copy_time)
        .start_time(arguments.start_time)
        .job_time(arguments.job_time)
        .start()
        .await?;
    announce(&mock)?;
    tokio::select! {
        _ = interrupted.recv() => {}
        _ = terminated.recv() => {}
    }
    Ok(())
}

fn announce(mock: &MockCapi) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "mock-capi listening on {}", mock.uri())?;
    out.flush()
}
