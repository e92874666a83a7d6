//! What `push` says of the apps in the end.

use serde_json::{Value, json};

use super::super::connect::Connected;
use crate::capi::processes::Process;
use crate::push::{Pushed, State};

/// The apps that were pushed, with their processes and instances.
pub(super) fn text(pushed: &[Pushed]) -> String {
    let states = pushed.iter().filter_map(|app| {
        let state = app.result.as_ref().ok()?;
        Some(app_text(&app.name, state))
    });
    let failed = pushed.iter().filter(|app| app.result.is_err()).count();
    let count = format!("apps: {} pushed, {failed} failed", pushed.len() - failed);
    states.chain([count]).collect::<Vec<_>>().join("\n\n")
}

fn app_text(name: &str, state: &State) -> String {
    let requested = if state.is_started {
        "started"
    } else {
        "stopped"
    };
    let mut lines = vec![
        format!("name:             {name}"),
        format!("requested state:  {requested}"),
    ];
    for process in &state.processes {
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
pub(super) fn json(connected: &Connected, pushed: &[Pushed]) -> Value {
    let apps = pushed.iter().filter_map(|app| {
        let state = app.result.as_ref().ok()?;
        Some(json!({
            "name": app.name,
            "guid": state.guid,
            "state": if state.is_started { "STARTED" } else { "STOPPED" },
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
    let mut run = json!(connected.counts.get());
    run["duration_ms"] = json!(connected.duration_ms());
    json!({
        "apps": apps.collect::<Vec<_>>(),
        "failures": failures.collect::<Vec<_>>(),
        "run": run,
    })
}
