//! The `mock-capi` command: runs a fake Cloud Controller until it is interrupted.

use std::fmt::Display;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use mock_capi::{AnsweredRequest, Fault, Front, MockCapi, MockCapiBuilder, Profile};
use tempfile::NamedTempFile;

use self::arguments::{Arguments, warn_of_unknown_variables};
use self::shutdown::Shutdown;

mod arguments;
mod shutdown;

/// The mock allocates and frees hundreds of thousands of small objects.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Logs a request if `verbose` is set, or if the mock does not implement it, because the
/// client will then not work.
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
    // Standard error may be closed.
    let _ = writeln!(io::stderr(), "{method} {target} {status} {millis:.1} ms");
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    warn_of_unknown_variables();
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mock-capi: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    // Signals are handled before a client can know that the mock is running.
    let shutdown = Shutdown::listen(arguments.until_eof)?;
    let verbose = arguments.verbose;
    let mut builder = builder(&arguments)?
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

/// A mock with the arguments that are optional or may be repeated, except for times.
fn builder(arguments: &Arguments) -> Result<MockCapiBuilder, String> {
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
    for (name, ports) in &arguments.router_group {
        builder = builder.router_group(name, ports.clone());
    }
    Ok(builder)
}

/// The times in the arguments, which take precedence over those of a profile.
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

/// The measured profile, or the one in a file.
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
