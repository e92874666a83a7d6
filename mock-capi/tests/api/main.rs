//! The tests of the mock's APIs, with a file for each topic.
//!
//! They are one program, because linking many would take longer than running the tests.

// Helpers fail like tests.
#![allow(clippy::panic, clippy::unwrap_used)]

#[path = "../browser/mod.rs"]
mod browser;
#[path = "../common/mod.rs"]
mod common;

mod adapters;
mod app_lifecycle;
mod app_network;
mod architecture;
mod binary;
mod brokers;
mod buildpacks;
mod connections;
mod data_plane;
mod deployments;
mod documented;
mod domains;
mod downloads;
mod errors;
mod events;
mod example_apps;
mod faults;
mod front;
mod garbage;
mod isolation_segments;
mod jobs;
mod lists;
mod logs;
mod manifests;
mod mock_endpoints;
mod network_policies;
mod of_2017;
mod overview;
mod pace;
mod page;
mod permissions;
mod platform_settings;
mod quotas;
mod rate_limits;
mod resources;
mod revisions;
mod roles;
mod route_policies;
mod route_sharing;
mod router_groups;
mod services;
mod space_quotas;
mod state;
mod tasks;
mod testers;
mod uaa;
mod uaa_tokens;
mod uploads;
mod v2_apps;
mod v2_brokers;
mod v2_collections;
mod v2_events;
mod v2_services;
mod v2_today;
mod validation;
