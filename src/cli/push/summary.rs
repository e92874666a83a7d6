//! The summary at the end of `push`.

use serde_json::{Value, json};

use cf_pusher::Error;
use cf_pusher::push::{AppState, ProcessStatus, PushOutcome, PushResult, PushedApp};

use super::super::connect::Connected;
use super::super::{CommandError, INTERRUPTED, help, output};

/// The apps with their processes and instances, and the number of pushed apps.
pub(super) fn text(outcome: &PushOutcome) -> String {
    let apps = outcome.apps.iter().filter_map(pushed_text);
    let interrupted = outcome.count(PushResult::Interrupted);
    let mut count = format!(
        "apps: {} pushed, {} failed",
        outcome.count(PushResult::Pushed),
        outcome.count(PushResult::Failed)
    );
    if interrupted > 0 {
        count += &format!(", {interrupted} not done");
    }
    apps.chain([count]).collect::<Vec<_>>().join("\n\n")
}

/// The failure of an app.
pub(in super::super) struct Failure<'a> {
    /// The message, without help.
    pub(in super::super) text: String,
    pub(in super::super) app: &'a str,
    pub(in super::super) step: &'a str,
    pub(in super::super) error: &'a Error,
}

/// Prints the failures to standard error. It is called last, so that they are visible on
/// a terminal.
pub(in super::super) fn report_failures<'a>(
    failures: impl Iterator<Item = Failure<'a>>,
    is_interrupted: bool,
) {
    for failure in failures {
        output::eprintln_labelled_error(&failure.text);
        if let Some(help) = help::for_step(failure.step, failure.app, failure.error) {
            output::eprintln_help(&help);
        }
    }
    if is_interrupted {
        output::eprintln_error(&CommandError::from(Error::Interrupted));
    }
}

/// The exit code of a run. A connection that was lost during the run counts as a failed
/// connection.
pub(in super::super) fn exit_code<'a>(
    is_success: bool,
    is_interrupted: bool,
    mut errors: impl Iterator<Item = &'a Error>,
) -> u8 {
    match is_success {
        true => 0,
        false if is_interrupted => INTERRUPTED,
        false if errors.any(Error::is_connection) => 3,
        false => 1,
    }
}

/// The properties of an app that are shown.
pub(in super::super) struct AppView<'a> {
    pub(in super::super) name: &'a str,
    pub(in super::super) state: AppState,
    pub(in super::super) urls: &'a [String],
    pub(in super::super) deployment_paused: bool,
    pub(in super::super) processes: &'a [ProcessStatus],
}

fn pushed_text(app: &PushedApp) -> Option<String> {
    Some(app_text(&AppView {
        name: &app.name,
        state: app.state?,
        urls: &app.urls,
        deployment_paused: app.deployment_paused,
        processes: &app.processes,
    }))
}

/// An app with its processes and instances.
pub(in super::super) fn app_text(app: &AppView<'_>) -> String {
    let requested = match app.state {
        AppState::Started => "started",
        _ => "stopped",
    };
    let name = app.name;
    let mut lines = vec![
        format!("name:             {name}"),
        format!("requested state:  {requested}"),
    ];
    let urls = match app.urls.is_empty() {
        true => "none".to_owned(),
        false => app.urls.join(", "),
    };
    lines.push(format!("routes:           {urls}"));
    if app.deployment_paused {
        lines.push(format!(
            "deployment:       paused; continue with `cf continue-deployment {name}` or cancel with `cf cancel-deployment {name}`"
        ));
    }
    // A canary deployment leaves a web process without instances next to the new one.
    let is_shown =
        |process: &&ProcessStatus| !app.deployment_paused || process.desired_instances > 0;
    for process in app.processes.iter().filter(is_shown) {
        lines.push(String::new());
        lines.extend(process_text(process));
    }
    lines.join("\n")
}

fn process_text(process: &ProcessStatus) -> Vec<String> {
    let (memory, disk) = (size(process.memory_in_mb), size(process.disk_in_mb));
    let mut lines = vec![
        format!("type:             {}", process.process_type),
        format!(
            "instances:        {}/{}",
            process.running(),
            process.desired_instances
        ),
        format!("memory:           {memory}"),
        format!("disk:             {disk}"),
    ];
    if !process.instances.is_empty() {
        lines.push("      state      since".to_owned());
    }
    for instance in &process.instances {
        let details = instance.details.as_deref().unwrap_or_default();
        let since = instance.since.as_deref().unwrap_or_default();
        let state = instance.state.to_lowercase();
        let line = format!("#{:<4} {state:<10} {since:<20} {details}", instance.index);
        lines.push(line.trim_end().to_owned());
    }
    lines
}

/// A size in the notation of manifests.
fn size(megabytes: u64) -> String {
    match megabytes {
        gigabytes if gigabytes > 0 && gigabytes % 1024 == 0 => format!("{}G", gigabytes / 1024),
        megabytes => format!("{megabytes}M"),
    }
}

/// The outcome with the counts of requests.
pub(super) fn json(connected: &Connected, outcome: &PushOutcome) -> Value {
    let mut object = json!(outcome);
    object["run"] = run_json(connected);
    object
}

/// The counts of requests.
pub(in super::super) fn run_json(connected: &Connected) -> Value {
    let mut run = json!(connected.counts.get());
    run["duration_ms"] = json!(connected.duration_ms());
    run
}
