//! What clients see of the mock, subject by subject.
//!
//! One program for all of them: each would link the same libraries again, which
//! takes longer than to run the tests.

// Helpers fail as tests do.
#![allow(clippy::panic, clippy::unwrap_used)]

#[path = "../browser/mod.rs"]
mod browser;
#[path = "../common/mod.rs"]
mod common;

mod adapters;
mod app_network;
mod architecture;
mod binary;
mod brokers;
mod connections;
mod data_plane;
mod deployments;
mod documented;
mod domains;
mod doors;
mod downloads;
mod errors;
mod events;
mod example_apps;
mod faults;
mod front;
mod garbage;
mod isolation_segments;
mod jobs;
mod life;
mod lists;
mod logs;
mod manifests;
mod network_policies;
mod of_2017;
mod operator;
mod operators;
mod overview;
mod pace;
mod page;
mod permissions;
mod quotas;
mod rate_limits;
mod resources;
mod revisions;
mod roles;
mod route_policies;
mod route_sharing;
mod services;
mod space_quotas;
mod state;
mod tasks;
mod testers;
mod uaa;
mod uaa_tokens;
mod uploads;
mod v2_apps;
mod v2_collections;
mod v2_services;
mod v2_today;
mod validation;
