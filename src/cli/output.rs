//! Prints the output of the commands.

use std::io;
use std::time::Duration;

use console::style;
use serde::Serialize;
use serde_json::{Value, json};

use cf_pusher::manifest::{DiffLine, DiffMark};
use cf_pusher::{Action, Drift, Outcome, Plan, RunCounts, ScalingTest};

use super::connect::Session;
use super::{CommandError, screen};

/// The keys that the Go cf-pusher prints, for scale tests.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct ScaleGroup {
    org: String,
    space: String,
    tick_apps: Vec<String>,
    tick_instances: u32,
    registry: String,
    proxy_apps: Vec<String>,
    proxy_instances: u32,
}

#[derive(Debug, Serialize)]
struct Run<'a> {
    changed: usize,
    unchanged: usize,
    failed: usize,
    #[serde(flatten)]
    counts: &'a RunCounts,
    duration_ms: u64,
}

/// The keys that scaling tests use to find their apps.
pub(super) fn scale_group(config: &ScalingTest) -> Value {
    let names = config.names();
    json!(ScaleGroup {
        org: names.org,
        space: names.space,
        tick_apps: names.ticks,
        tick_instances: config.test_app_instances,
        registry: names.registry,
        proxy_apps: names.proxies,
        proxy_instances: config.proxy_instances,
    })
}

/// Prints lines to standard output. A closed pipe is not an error.
pub(super) fn print(text: &str) -> io::Result<()> {
    screen::print(text)
}

/// Prints a document, such as a manifest, unchanged.
pub(super) fn print_document(text: &str) -> io::Result<()> {
    screen::print_unchanged(text)
}

/// Prints a diff, with added lines in green and removed lines in red if standard
/// output is a terminal.
pub(super) fn print_diff(lines: &[DiffLine]) -> io::Result<()> {
    let shown = lines.iter().map(|line| {
        let text = line.to_string();
        let text = screen::visible(&text);
        match line.mark {
            DiffMark::Same => text.into_owned(),
            DiffMark::Added => style(text).green().to_string(),
            DiffMark::Removed => style(text).red().to_string(),
        }
    });
    screen::print_unchanged(&shown.collect::<Vec<_>>().join("\n"))
}

/// Prints an error and its help to standard error.
pub(super) fn eprintln_error(error: &CommandError) {
    eprintln_labelled_error(&error.to_string());
    for line in error.details() {
        eprintln_line(&line);
    }
    if let Some(help) = error.advice() {
        eprintln_help(&help);
    }
}

/// Prints an error without its help to standard error.
pub(super) fn eprintln_labelled_error(error: &str) {
    let label = style("error:").for_stderr().red().bold();
    screen::styled_line(&format!("{label} {}", screen::visible(error)));
}

/// Prints the help for an error to standard error.
pub(super) fn eprintln_help(help: &str) {
    let label = style("help:").for_stderr().cyan();
    screen::styled_line(&format!("{label} {}", screen::visible(help)));
}

/// Prints a line to standard error. A closed pipe is not an error.
pub(super) fn eprintln_line(line: &str) {
    screen::line(line);
}

/// Prints the JSON object of a command: a description of the input, with the keys of the
/// Go cf-pusher for a scaling test, and `extra`.
pub(super) fn print_json(session: &Session, extra: Value) -> io::Result<()> {
    let mut object = session.input.head();
    if let (Some(object), Value::Object(extra)) = (object.as_object_mut(), extra) {
        object.extend(extra);
    }
    print(&format!("{object:#}"))
}

/// The outcome of a run and its counts: the value of `run` in JSON.
pub(super) fn run_json(session: &Session, outcome: &Outcome) -> Value {
    let run = json!(Run {
        changed: outcome.changed(),
        unchanged: outcome.unchanged(),
        failed: outcome.failed(),
        counts: &session.connected.counts.get(),
        duration_ms: session.connected.duration_ms(),
    });
    let mut object = json!(outcome);
    if let (Some(object), Value::Object(run)) = (object.as_object_mut(), run) {
        object.extend(run);
    }
    json!({"run": object})
}

/// The closing lines of a run.
pub(super) fn summary(outcome: &Outcome, counts: &RunCounts, took: Duration) -> String {
    let (changed, unchanged) = (outcome.changed(), outcome.unchanged());
    let failed = outcome.failed();
    let apps = changed + unchanged + failed;
    let first = match (outcome.interrupted, apps) {
        (true, 0) => "interrupted before the first change".to_owned(),
        // Resources that were not started did not fail.
        (true, _) => format!("{changed} changed, {unchanged} unchanged, {failed} not done"),
        (false, _) => format!("{changed} changed, {unchanged} unchanged, {failed} failed"),
    };
    #[expect(clippy::cast_precision_loss, reason = "these are small counts")]
    let per_app = match apps {
        0 => String::new(),
        apps => format!(" ({:.2} per app)", counts.requests as f64 / apps as f64),
    };
    format!(
        "apps: {first}\n\
         requests: {}{per_app}, {}, {} rate limited\n\
         {}time: {:.1} s",
        counts.requests,
        counted(counts.retries, "retry", "retries"),
        counts.rate_limited,
        server_time(counts),
        took.as_secs_f64(),
    )
}

/// A number with its noun, such as `1 retry` or `2 retries`.
pub(super) fn counted(count: u64, one: &str, several: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {several}"),
    }
}

/// A line about the time that the foundation reports for its work, and the most expensive
/// endpoints.
fn server_time(counts: &RunCounts) -> String {
    let most = counts
        .server_ms_by_endpoint
        .iter()
        .max_by_key(|(_, ms)| **ms);
    let (Some(all), Some((endpoint, most))) = (counts.server_ms(), most) else {
        return String::new();
    };
    let seconds = |ms: u64| Duration::from_millis(ms).as_secs_f64();
    format!(
        "server time: {:.1} s, of which {endpoint} {:.1} s\n",
        seconds(all),
        seconds(*most)
    )
}

/// A plan as JSON: every resource, and the number of apps for each action.
pub(super) fn plan_json(plan: &Plan) -> Value {
    json!({"plan": {
        "orgs": plan.orgs,
        "resources": plan.resources,
        "create": plan.count(Action::Create),
        "change": plan.count(Action::Change),
        "delete": plan.count(Action::Delete),
        "unchanged": plan.count(Action::Unchanged),
    }})
}

/// The drift as JSON.
pub(super) fn drift_json(drift: &[Drift]) -> Value {
    json!({"drift": drift})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_shows_counts_and_duration() {
        let mut outcome = Outcome::default();
        let mut counts = RunCounts::default();
        (counts.requests, counts.retries, counts.rate_limited) = (412, 3, 1);
        insta::assert_snapshot!(summary(&outcome, &counts, Duration::from_millis(1234)), @r"
        apps: 0 changed, 0 unchanged, 0 failed
        requests: 412, 3 retries, 1 rate limited
        time: 1.2 s
        ");
        counts.server_ms_by_endpoint = [("GET /v3/apps", 400), ("POST /v3/deployments", 6000)]
            .map(|(endpoint, ms)| (endpoint.to_owned(), ms))
            .into();
        outcome.interrupted = true;
        insta::assert_snapshot!(summary(&outcome, &counts, Duration::from_millis(1234)), @r"
        apps: interrupted before the first change
        requests: 412, 3 retries, 1 rate limited
        server time: 6.4 s, of which POST /v3/deployments 6.0 s
        time: 1.2 s
        ");
    }

    #[test]
    fn a_scale_test_finds_the_keys_of_the_go_cf_pusher() {
        let text = r#"{"test_applications": 2, "proxy_applications": 1, "proxy_instances": 3}"#;
        let config = ScalingTest::parse(text, "test").unwrap();
        insta::assert_json_snapshot!(scale_group(&config), @r#"
        {
          "org": "scale-org",
          "space": "scale-space",
          "tick-apps": [
            "scale-tick-0",
            "scale-tick-1"
          ],
          "tick-instances": 1,
          "registry": "scale-registry",
          "proxy-apps": [
            "scale-proxy-0"
          ],
          "proxy-instances": 3
        }
        "#);
    }
}
