//! Serves the fake: listens, applies faults and the rate limit, logs requests, and serves
//! `/_mock/`. [`crate::api`] implements the APIs.

pub(crate) mod adapter;
mod app_routes;
pub(crate) mod builder;
mod control;
pub(crate) mod controller;
pub(crate) mod core;
mod dispatcher;
pub(crate) mod embedded_broker;
pub(crate) mod faults;
pub(crate) mod front;
mod hosts;
pub(crate) mod mock_capi;
pub(crate) mod on_wiremock;
mod overview;
pub(crate) mod pace;
mod page;
pub(crate) mod rate_limit;
mod request_log;
mod seed_file;
pub(crate) mod seeds;
pub(crate) mod state;
mod stubs;
mod worlds;
