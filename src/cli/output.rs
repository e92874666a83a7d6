//! What commands print on standard output.

use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use super::connect::Session;
use crate::config::Config;
use crate::converge::outcome::Outcome;
use crate::converge::plan::{Action, Plan};
use crate::converge::verify::Drift;
use crate::desired::Names;
use crate::manifest::diff::{Line, Mark};
use crate::report::RunCounts;

/// What the Go cf-pusher prints: what a scale test works with.
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

fn scale_group(config: &Config) -> ScaleGroup {
    let names = Names::of(config);
    ScaleGroup {
        org: names.org,
        space: names.space,
        tick_apps: names.ticks,
        tick_instances: config.test_app_instances,
        registry: names.registry,
        proxy_apps: names.proxies,
        proxy_instances: config.proxy_instances,
    }
}

/// Prints a line, or many. Who closes the output wants no more of it.
pub(super) fn print(text: &str) -> io::Result<()> {
    match writeln!(io::stdout().lock(), "{text}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}

/// Prints a difference: what is added in green and what is removed in red, if
/// it is a terminal that shows them.
pub(super) fn print_diff(lines: &[Line]) -> io::Result<()> {
    let shown = lines.iter().map(|line| {
        let text = line.to_string();
        match line.mark {
            Mark::Same => text,
            Mark::Added => console::style(text).green().to_string(),
            Mark::Removed => console::style(text).red().to_string(),
        }
    });
    print(&shown.collect::<Vec<_>>().join("\n"))
}

/// Says a line on standard error, if anybody listens there.
pub(super) fn complain(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Prints the one JSON object of a command: what the scale test works with,
/// and `extra`.
pub(super) fn print_json(session: &Session, extra: Value) -> io::Result<()> {
    let mut object = json!(scale_group(&session.config));
    if let (Some(object), Value::Object(extra)) = (object.as_object_mut(), extra) {
        object.extend(extra);
    }
    print(&format!("{object:#}"))
}

/// The outcome of a run and its counts, as `run` in JSON has them.
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
    let apps = outcome.changed() + outcome.unchanged() + outcome.failed();
    #[expect(clippy::cast_precision_loss, reason = "these are small counts")]
    let per_app = counts.requests as f64 / apps.max(1) as f64;
    // What was not begun did not fail.
    let undone = match outcome.interrupted {
        true => "not done",
        false => "failed",
    };
    format!(
        "apps: {} changed, {} unchanged, {} {undone}\n\
         requests: {} ({per_app:.2} per app), {} retries, {} rate limited\n\
         time: {:.1} s",
        outcome.changed(),
        outcome.unchanged(),
        outcome.failed(),
        counts.requests,
        counts.retries,
        counts.rate_limited,
        took.as_secs_f64(),
    )
}

/// A plan as JSON: every resource, and how many apps have which action.
pub(super) fn plan_json(plan: &Plan) -> Value {
    json!({"plan": {
        "resources": plan.resources,
        "create": plan.count(Action::Create),
        "change": plan.count(Action::Change),
        "delete": plan.count(Action::Delete),
        "unchanged": plan.count(Action::Unchanged),
    }})
}

/// What differs from the desired state, as JSON.
pub(super) fn drift_json(drift: &[Drift]) -> Value {
    json!({"drift": drift})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::converge::outcome::{AppOutcome, AppResult};

    fn outcome(changed: usize, unchanged: usize) -> Outcome {
        let app = |result: AppResult| AppOutcome::new("a", "o", "s", result);
        let mut outcome = Outcome::default();
        outcome.apps.extend(vec![app(AppResult::Created); changed]);
        outcome
            .apps
            .extend(vec![app(AppResult::Unchanged); unchanged]);
        outcome
    }

    #[test]
    fn a_run_is_summed_up() {
        let outcome = outcome(100, 101);
        let counts = RunCounts {
            requests: 412,
            retries: 3,
            rate_limited: 1,
            ..RunCounts::default()
        };
        insta::assert_snapshot!(summary(&outcome, &counts, Duration::from_millis(1234)), @r"
        apps: 100 changed, 101 unchanged, 0 failed
        requests: 412 (2.05 per app), 3 retries, 1 rate limited
        time: 1.2 s
        ");
    }

    #[test]
    fn a_scale_test_finds_the_keys_of_the_go_cf_pusher() {
        let text = r#"{"test_applications": 2, "proxy_applications": 1, "proxy_instances": 3}"#;
        let (config, _) = Config::parse(text, "test").unwrap();
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
