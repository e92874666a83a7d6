//! Runs the programs in examples/, which assert their own results.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by that"
)]

#[path = "../examples/converge_org.rs"]
mod converge_org;
#[path = "../examples/follow_events.rs"]
mod follow_events;
#[path = "../examples/gate_on_drift.rs"]
mod gate_on_drift;
#[path = "../examples/push_manifest.rs"]
mod push_manifest;

#[test]
fn converge_org_runs() {
    converge_org::main().unwrap();
}

#[test]
fn follow_events_runs() {
    follow_events::main().unwrap();
}

#[test]
fn gate_on_drift_runs() {
    gate_on_drift::main().unwrap();
}

#[test]
fn push_manifest_runs() {
    push_manifest::main().unwrap();
}
