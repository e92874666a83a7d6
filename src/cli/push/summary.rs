//! What `push` says of the apps in the end.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::super::connect::Connected;
use crate::capi::processes::Process;
use crate::push::{Pushed, State};

/// The apps that were pushed, with their processes and instances.
pub(super) fn text(pushed: &[Pushed], routes: &HashMap<String, Vec<String>>) -> String {
    let states = pushed.iter().filter_map(|app| {
        let state = app.result.as_ref().ok()?;
        Some(app_text(&app.name, state, routes.get(&state.guid)))
    });
    let undone = pushed.iter().filter(|app| app.is_interrupted()).count();
    let failed = pushed.iter().filter(|app| app.result.is_err()).count() - undone;
    let mut count = format!(
        "apps: {} pushed, {failed} failed",
        pushed.len() - failed - undone
    );
    if undone > 0 {
        count += &format!(", {undone} not done");
    }
    states.chain([count]).collect::<Vec<_>>().join("\n\n")
}

fn app_text(name: &str, state: &State, routes: Option<&Vec<String>>) -> String {
    let requested = if state.is_started {
        "started"
    } else {
        "stopped"
    };
    let mut lines = vec![
        format!("name:             {name}"),
        format!("requested state:  {requested}"),
    ];
    if let Some(routes) = routes {
        lines.push(format!("routes:           {}", routes.join(", ")));
    }
    if state.is_paused {
        lines.push(format!(
            "deployment:       paused; go on with `cf continue-deployment {name}`, or back with `cf cancel-deployment {name}`"
        ));
    }
    // A deployment may leave web processes without instances beside the others.
    let is_shown = |process: &&Process| !state.is_paused || process.instances > 0;
    for process in state.processes.iter().filter(is_shown) {
        lines.push(String::new());
        lines.extend(process_text(process));
    }
    lines.join("\n")
}

fn process_text(process: &Process) -> Vec<String> {
    let (memory, disk) = (size(process.memory_in_mb), size(process.disk_in_mb));
    let mut lines = vec![
        format!("type:             {}", process.kind),
        format!(
            "instances:        {}/{}",
            process.running(),
            process.instances
        ),
        format!("memory:           {memory}"),
        format!("disk:             {disk}"),
    ];
    if !process.instances().is_empty() {
        lines.push("      state".to_owned());
    }
    for instance in process.instances() {
        let details = instance.details.as_deref().unwrap_or_default();
        let line = format!(
            "#{:<4} {:<10} {details}",
            instance.index,
            instance.state.to_lowercase()
        );
        lines.push(line.trim_end().to_owned());
    }
    lines
}

/// A size as manifests have it.
fn size(megabytes: u64) -> String {
    match megabytes {
        gigabytes if gigabytes > 0 && gigabytes % 1024 == 0 => format!("{}G", gigabytes / 1024),
        megabytes => format!("{megabytes}M"),
    }
}

/// The same for programs, and what it took.
pub(super) fn json(
    connected: &Connected,
    pushed: &[Pushed],
    routes: &HashMap<String, Vec<String>>,
) -> Value {
    let apps = pushed.iter().filter_map(|app| {
        let state = app.result.as_ref().ok()?;
        Some(json!({
            "name": app.name,
            "guid": state.guid,
            "state": if state.is_started { "STARTED" } else { "STOPPED" },
            "deployment_paused": state.is_paused,
            "routes": routes.get(&state.guid),
            "processes": state.processes,
        }))
    });
    let failures = pushed.iter().filter_map(|app| {
        let failure = app.result.as_ref().err()?;
        Some(json!({
            "app": failure.app,
            "step": failure.step,
            "error": failure.error.to_string(),
            "log": failure.log,
        }))
    });
    json!({
        "apps": apps.collect::<Vec<_>>(),
        "failures": failures.collect::<Vec<_>>(),
        "run": run_json(connected),
    })
}

/// What is told where it ended before there was an app to tell of.
pub(super) fn failed_json(connected: &Connected, error: &str) -> Value {
    json!({
        "apps": [],
        "failures": [{"error": error}],
        "run": run_json(connected),
    })
}

fn run_json(connected: &Connected) -> Value {
    let mut run = json!(connected.counts.get());
    run["duration_ms"] = json!(connected.duration_ms());
    run
}
