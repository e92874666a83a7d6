//! The integration tests, in one program, with a file for each feature.
//!
//! tests/live.rs is a separate program, because it needs a foundation.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by that"
)]

mod approval;
mod architecture;
mod book;
mod cli;
mod client;
mod clone;
mod command_line;
mod concurrent_change;
mod connections;
mod converge;
mod declared;
mod documented;
mod entries;
mod examples;
mod export;
mod failures;
mod faults;
mod foundation_scripts;
mod images;
mod interrupt;
mod killed;
mod library;
mod plan_file;
mod push;
mod push_manifest;
mod push_refused;
mod push_wait;
mod random_drift;
mod random_faults;
mod random_specs;
mod recordings;
mod scale_test;
mod spec;
mod support;
mod terminal;
mod troubleshooting;
mod two_runs;
mod unmanaged;
