//! The Cloud Controller's API. No other module uses its URLs, JSON or tokens.
//!
//! [`operations`] has every operation that cf-pusher uses, and [`model`] the resources;
//! [`v3`] and [`v2017`] implement the operations in each dialect. [`client`] and
//! [`transport`] send requests, and [`poll`] and [`batch_poll`] wait for results.
//! [`network_policies`] is the API of the policy server. None of it depends on
//! convergence or pushes.

pub(crate) mod batch_poll;
mod cc_error;
mod chunks;
pub(crate) mod client;
pub(crate) mod deploy;
pub(crate) mod dialect;
pub(crate) mod error;
pub(crate) mod halves;
pub(crate) mod log_cache;
pub(crate) mod model;
pub(crate) mod network_policies;
mod operations;
pub(crate) mod parallel;
pub(crate) mod poll;
pub(crate) mod transport;
mod v2017;
mod v3;

/// An environment variable or option as text, as the app sees it.
fn text(value: serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    }
}
