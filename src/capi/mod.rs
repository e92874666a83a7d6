//! The Cloud Controller, and all that knows its wire: URLs, JSON, HTTP, tokens.
//!
//! [`client`] sends, [`dialect`] says what, [`inventory`] is what comes back.
//! Nothing here knows of convergence.

pub(crate) mod apps;
pub(crate) mod client;
pub(crate) mod deployments;
pub(crate) mod dialect;
pub(crate) mod error;
pub(crate) mod inventory;
pub(crate) mod log_cache;
pub(crate) mod manifests;
mod parallel;
pub(crate) mod processes;
pub(crate) mod transport;
pub(crate) mod wait;
pub(crate) mod waits;

/// A value of a list in a query of v3: Cloud Controller splits the list at its
/// commas and decodes each value once more.
pub(crate) fn list_item(value: &str) -> String {
    encoded(&value.replace('%', "%25").replace(',', "%2C"))
}

/// A value as a query carries it.
pub(crate) fn encoded(value: &str) -> String {
    url::form_urlencoded::byte_serialize(value.as_bytes()).collect()
}
