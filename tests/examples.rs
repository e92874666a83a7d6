//! Runs the programs in examples/, which assert their own results.

use std::process::ExitCode;

#[path = "../examples/converge_org.rs"]
mod converge_org;
#[path = "../examples/follow_events.rs"]
mod follow_events;
#[path = "../examples/gate_on_drift.rs"]
mod gate_on_drift;
#[path = "../examples/push_manifest.rs"]
mod push_manifest;
#[path = "../examples/three_spaces.rs"]
mod three_spaces;

#[test]
fn converge_org_runs() {
    converge_org::main().unwrap();
}

#[test]
fn follow_events_runs() {
    follow_events::main().unwrap();
}

#[test]
fn gate_on_drift_passes_without_drift() {
    let code = gate_on_drift::main().unwrap();
    assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::SUCCESS));
}

#[tokio::test]
async fn gate_on_drift_finds_a_missing_app() {
    let drift = gate_on_drift::drift(r#"{"proxy_applications": 3}"#);
    assert!(!drift.await.unwrap().is_empty());
}

#[test]
fn push_manifest_runs() {
    push_manifest::main().unwrap();
}

#[test]
fn three_spaces_runs() {
    three_spaces::main().unwrap();
}
