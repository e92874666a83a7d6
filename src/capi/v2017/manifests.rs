//! The API of 2017 had no manifests.

use super::missing;
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::DiffEntry;
use crate::capi::transport::Replay;

pub(in crate::capi) async fn apply(
    _client: &Client,
    _what: &str,
    _space: &str,
    _manifest: &str,
    _replay: Replay,
) -> Result<(), Error> {
    Err(missing("applying a manifest"))
}

pub(in crate::capi) async fn diff(
    _client: &Client,
    _space: &str,
    _manifest: &str,
    _replay: Replay,
) -> Result<Vec<DiffEntry>, Error> {
    Err(missing("comparing a manifest"))
}

pub(in crate::capi) async fn of_app(_client: &Client, _app: &str) -> Result<String, Error> {
    Err(missing("reading the manifest of an app"))
}
