//! `cf-pusher test`: runs the scaling test on the apps of the configuration.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use cf_pusher::scale_test::{Context, MeasuredLatency, TestError, TestOutcome, Tester};
use cf_pusher::{Approval, Outcome, ScalingTest};
use clap::{ArgGroup, Args, ValueEnum};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::approval::ApprovalArgs;
use super::connect::{Session, path_variable};
use super::input::Input;
use super::record::RecordArgs;
use super::{CommandError, Format, Foundation, converge, flags, interrupt, output};

mod summary;

/// Test whether network policies take effect at scale
///
/// Proxy apps connect to tick apps: without network policies every connection must fail,
/// with policies it must succeed, and after their deletion it must fail again. The test
/// uses the apps that `converge` creates from the same configuration. It needs an admin,
/// or a user with the scope network.admin.
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("latency").args(["route_latency", "asg_latency"]).multiple(true),
    after_help = "\
Examples:
  cf-pusher test --setup --mock --config fixtures/configs/scale-test.json
  cf-pusher test --config scale-test.json --seed 7 --sample 5
  # where DNS does not resolve the domain of the apps
  cf-pusher test --config scale-test.json --router http://10.244.0.34
  cf-pusher test --config scale-test.json --context one-server --keep-policies
  cf-pusher test --config scale-test.json --format json --junit test.xml --report test.html
  cf-pusher test --config scale-test.json --route-latency --fail-above 5s"
)]
pub(super) struct TestArgs {
    /// Path to the configuration, a JSON file; `-` reads standard input
    #[arg(long, value_name = "FILE", display_order = 0)]
    config: PathBuf,

    /// Folder with the bits of each group: registry, tick, proxy [default: APPS_DIR, then
    /// bundled apps]
    #[arg(long, value_name = "DIR", requires = "setup")]
    apps_dir: Option<PathBuf>,

    /// Converge first: create, change and delete what the configuration asks for
    #[arg(long)]
    setup: bool,

    /// Seed of the samples; the same seed selects the same connections [default: random]
    #[arg(long, value_name = "N", conflicts_with = "latency", value_parser = flags::whole_number(0..=u64::MAX))]
    seed: Option<u64>,

    /// Percentage of the connections to try; less than 1 or more than 100 means all
    /// [default: `sample_percent` in the configuration, then 100]
    #[arg(
        long,
        value_name = "PERCENT",
        conflicts_with = "latency",
        value_parser = flags::whole_number(i32::MIN..=i32::MAX)
    )]
    sample: Option<i32>,

    /// Connections between apps to test
    #[arg(long, value_enum, default_value_t = ContextChoice::Both, conflicts_with = "latency")]
    context: ContextChoice,

    /// Send requests for apps to this URL, with the app's host in the header `Host`
    /// [default: http:// and the app's host]
    #[arg(long, value_name = "URL")]
    router: Option<String>,

    /// Do not delete the policies of the last context; the next test deletes them
    #[arg(long, conflicts_with = "latency")]
    keep_policies: bool,

    /// Time to keep the policies in place after the test
    #[arg(long, value_name = "TIME", value_parser = flags::wait, default_value = "30s", conflicts_with = "latency")]
    settle: Duration,

    /// Time for policies to take effect [default: `policy_update_wait_seconds` in the
    /// configuration, then 10s]
    #[arg(long, value_name = "TIME", value_parser = flags::wait, conflicts_with = "latency")]
    policy_wait: Option<Duration>,

    #[command(flatten)]
    approval: ApprovalArgs,

    #[command(flatten)]
    measurements: Measurements,

    #[command(flatten)]
    foundation: Foundation,

    #[command(flatten)]
    record: RecordArgs,
}

/// The flags that select a measurement instead of the test of policies.
#[derive(Debug, Args)]
#[command(next_help_heading = "Measurements")]
struct Measurements {
    /// Map routes, and measure the time until an app responds, instead of testing
    /// policies
    #[arg(long)]
    route_latency: bool,

    /// Bind and unbind a security group, and measure the time until an app's connection
    /// changes, instead of testing policies
    #[arg(long)]
    asg_latency: bool,

    /// Address that the security group allows; it must accept connections, and no other
    /// group may allow it [default: the first tick app, on its cell]
    #[arg(long, value_name = "IP:PORT", requires = "asg_latency", value_parser = address)]
    asg_target: Option<SocketAddr>,

    /// Number of measurements, 1 to 1000 [default: 10]
    #[arg(long, value_name = "N", requires = "latency", value_parser = flags::whole_number::<u32>(1..=1000))]
    repeat: Option<u32>,

    /// Fail if the 95th percentile is above this time
    #[arg(long, value_name = "TIME", requires = "latency", value_parser = flags::timeout)]
    fail_above: Option<Duration>,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "must be IP:PORT, such as 10.0.0.1:8080".to_owned())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ContextChoice {
    /// The first proxy app connects to all tick apps
    OneClient,
    /// All proxy apps connect to the first tick app
    OneServer,
    /// Both, one after the other
    Both,
}

impl ContextChoice {
    fn contexts(self) -> Vec<Context> {
        match self {
            Self::OneClient => vec![Context::OneClient],
            Self::OneServer => vec![Context::OneServer],
            Self::Both => Context::ALL.to_vec(),
        }
    }
}

pub(super) async fn run(args: TestArgs, interrupt: &CancellationToken) -> Result<u8, CommandError> {
    if let Some(flag) = args.approval.flag().filter(|_| !args.setup) {
        let text = format!("{flag} has no effect without --setup: a test deletes no apps");
        return Err(CommandError::usage(text).help("leave it out, or add --setup"));
    }
    let recordings = args.record.open(&[&args.config], interrupt).await?;
    let (config, apps_dir) = (args.config.clone(), apps_dir(&args));
    let reading = move || Input::of_config(&config, apps_dir.as_deref());
    let input = interrupt::blocking(interrupt, reading).await?;
    let test = match &input {
        Input::Scaling(test, _) => ScalingTest::clone(test),
        _ => return Err(no_scaling_test()),
    };
    let session = Session::of(input, &args.foundation, interrupt, recordings.sinks()).await?;
    let tester = tester(&args, &session, test);
    // The test is checked before anything is created.
    tester.check()?;
    let setup = match args.setup {
        true => Some(set_up(&args, &session).await?),
        false => None,
    };
    if let Some(outcome) = &setup {
        if !outcome.is_converged() {
            session.connected.end_progress();
            converge::report(&session, outcome)?;
            return Ok(converge::exit_code(outcome));
        }
        if session.connected.format == Format::Text {
            let took = session.connected.began.elapsed();
            let counts = session.connected.counts.get();
            output::print(&output::summary(outcome, &counts, took))?;
        }
    }
    let setup = setup.as_ref();
    if args.measurements.route_latency || args.measurements.asg_latency {
        return measure(&args.measurements, &session, &tester, setup).await;
    }
    let (tested, error) = match tester.run().await {
        Ok(tested) => {
            let error = tested.error.clone();
            (Some(tested), error)
        }
        // The setup is reported even if nothing was tested.
        Err(error) if setup.is_some() => (None, Some(error)),
        Err(error) => return Err(error.into()),
    };
    session.connected.end_progress();
    let error = error.map(CommandError::from);
    report(&session, setup, tested.as_ref(), error.as_ref())?;
    let is_ok = tested.is_some_and(|tested| tested.is_ok());
    Ok(error.map_or(u8::from(!is_ok), |error| error.exit_code()))
}

async fn set_up(args: &TestArgs, session: &Session) -> Result<Outcome, CommandError> {
    let approval: Approval = args.approval.approval(session.connected.client.api());
    Ok(session.converger()?.converge(approval).await?)
}

/// The folder with the bits of the apps, if they are to be set up.
fn apps_dir(args: &TestArgs) -> Option<PathBuf> {
    let given = args.apps_dir.clone();
    let apps_dir = given.or_else(|| path_variable("APPS_DIR"));
    apps_dir.filter(|_| args.setup)
}

fn no_scaling_test() -> CommandError {
    CommandError::usage("the configuration has no scaling test: it has no tick and proxy apps")
        .help("name a configuration with `test_applications` and `proxy_applications`")
}

fn tester(args: &TestArgs, session: &Session, test: ScalingTest) -> Tester {
    let mut tester = Tester::new(session.connected.client.clone(), test)
        .contexts(args.context.contexts())
        .settle(args.settle)
        .keep_policies(args.keep_policies);
    if let Some(seed) = args.seed {
        tester = tester.seed(seed);
    }
    if let Some(sample) = args.sample {
        tester = tester.sample_percent(sample);
    }
    if let Some(wait) = args.policy_wait {
        tester = tester.policy_wait(wait);
    }
    tester = session.connected.use_mock(tester);
    match &args.router {
        Some(router) => tester.router(router),
        None => tester,
    }
}

async fn measure(
    args: &Measurements,
    session: &Session,
    tester: &Tester,
    setup: Option<&Outcome>,
) -> Result<u8, CommandError> {
    const DEFAULT_REPEAT: u32 = 10;
    let repeat = args.repeat.unwrap_or(DEFAULT_REPEAT);
    let (measured, error) = latencies(args, tester, repeat).await;
    session.connected.end_progress();
    let error = match error.map(CommandError::from) {
        // There are no measurements to report.
        Some(error) if measured.is_empty() && setup.is_none() => return Err(error),
        error => error,
    };
    match session.connected.format {
        Format::Json => {
            let mut result = error
                .as_ref()
                .map_or_else(|| json!({}), CommandError::to_json);
            result["latencies"] = json!(measured);
            print_json(session, setup, result)?;
        }
        Format::Text => {
            for latency in measured.iter().filter(|it| it.latency_ms.count > 0) {
                output::print(&summary::latency(latency.name, &latency.latency_ms))?;
            }
        }
    }
    if let Some(error) = error {
        output::eprintln_error(&error);
        return Ok(error.exit_code());
    }
    let Some(limit) = args.fail_above else {
        return Ok(0);
    };
    let slow: Vec<&MeasuredLatency> = measured
        .iter()
        .filter(|it| it.latency_ms.p95 > limit.as_secs_f64() * 1e3)
        .collect();
    for latency in &slow {
        output::eprintln_labelled_error(&format!(
            "{}: the 95th percentile is {:.1} ms, must be at most {}",
            latency.name,
            latency.latency_ms.p95,
            humantime::format_duration(limit)
        ));
    }
    Ok(u8::from(!slow.is_empty()))
}

/// Runs the selected measurements until an error.
async fn latencies(
    args: &Measurements,
    tester: &Tester,
    repeat: u32,
) -> (Vec<MeasuredLatency>, Option<TestError>) {
    let mut measured: Vec<MeasuredLatency> = Vec::new();
    if args.route_latency {
        match tester.route_latency(repeat).await {
            Ok(routes) => measured.push(routes),
            Err(error) => return (measured, Some(error)),
        }
    }
    let error = |measured: &[MeasuredLatency]| measured.iter().find_map(|it| it.error.clone());
    if args.asg_latency && error(&measured).is_none() {
        let target = args.asg_target.map(|target| target.to_string());
        match tester.asg_latency(repeat, target.as_deref()).await {
            Ok(groups) => measured.extend(groups),
            Err(error) => return (measured, Some(error)),
        }
    }
    let error = error(&measured);
    (measured, error)
}

/// Prints the JSON object: the keys of the Go cf-pusher, the run of the setup, and the
/// result.
fn print_json(session: &Session, setup: Option<&Outcome>, result: Value) -> std::io::Result<()> {
    let mut object = match setup {
        Some(outcome) => output::run_json(session, outcome),
        None => json!({}),
    };
    if let (Some(object), Value::Object(result)) = (object.as_object_mut(), result) {
        object.extend(result);
    }
    output::print_json(session, object)
}

/// Prints the tested connections, then the failures, and finally the error that ended the
/// test early.
fn report(
    session: &Session,
    setup: Option<&Outcome>,
    tested: Option<&TestOutcome>,
    error: Option<&CommandError>,
) -> Result<(), CommandError> {
    match (session.connected.format, tested) {
        (Format::Json, _) => {
            let mut result = error.map_or_else(|| json!({}), CommandError::to_json);
            if let Some(tested) = tested {
                result["test"] = json!(tested);
            }
            print_json(session, setup, result)?;
        }
        (Format::Text, Some(tested)) => {
            let took = session.connected.began.elapsed();
            let is_fake = session.connected.is_fake();
            output::print(&summary::test(tested, is_fake, took))?;
        }
        (Format::Text, None) => {}
    }
    if let Some(tested) = tested {
        for failure in tested.failures() {
            output::eprintln_labelled_error(&failure);
        }
        if let Some(help) = summary::help(tested, setup.is_some()) {
            output::eprintln_help(&help);
        }
    }
    if let Some(error) = error {
        output::eprintln_error(error);
    }
    Ok(())
}
