//! The Cloud Controller, and all that knows its wire: URLs, JSON, HTTP, tokens.
//!
//! [`client`] sends, [`dialect`] says what, [`inventory`] is what comes back.
//! Nothing here knows of convergence.

#[allow(dead_code, reason = "its last users go with the next change")]
pub(crate) mod apps;
#[allow(dead_code, reason = "its users come with the next change")]
pub(crate) mod batch_poll;
#[allow(dead_code, reason = "its users come with the next change")]
mod chunks;
pub(crate) mod client;
#[allow(dead_code, reason = "its users come with the next change")]
pub(crate) mod deploy;
#[allow(dead_code, reason = "its last users go with the next change")]
pub(crate) mod deployments;
#[allow(dead_code, reason = "its last users go with the next change")]
pub(crate) mod dialect;
pub(crate) mod error;
#[allow(dead_code, reason = "its users come with the next change")]
pub(crate) mod halves;
pub(crate) mod inventory;
pub(crate) mod log_cache;
#[allow(dead_code, reason = "its users come with the next change")]
mod manifest_diffs;
#[allow(dead_code, reason = "its last users go with the next change")]
pub(crate) mod manifests;
#[allow(dead_code, reason = "its users come with the next change")]
pub(crate) mod model;
#[allow(dead_code, reason = "its users come with the next change")]
mod operations;
pub(crate) mod parallel;
pub(crate) mod poll;
#[allow(dead_code, reason = "its last users go with the next change")]
pub(crate) mod processes;
pub(crate) mod service_bindings;
pub(crate) mod transport;
#[allow(dead_code, reason = "its users come with the next change")]
mod v2017;
#[allow(dead_code, reason = "its users come with the next change")]
mod v3;
#[allow(dead_code, reason = "its last users go with the next change")]
pub(crate) mod waits;

pub(crate) use poll as wait;

/// An environment variable or option as text, as the app sees it.
fn text(value: serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    }
}

/// A value of a list in a query of v3: Cloud Controller splits the list at its
/// commas and decodes each value once more.
pub(crate) fn list_item(value: &str) -> String {
    encoded(&value.replace('%', "%25").replace(',', "%2C"))
}

/// A value as a query carries it.
pub(crate) fn encoded(value: &str) -> String {
    url::form_urlencoded::byte_serialize(value.as_bytes()).collect()
}
