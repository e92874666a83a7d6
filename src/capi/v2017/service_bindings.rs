//! cf-pusher does not manage bindings to services in the API of 2017.

use super::missing;
use crate::capi::client::Client;
use crate::capi::error::Error;

pub(in crate::capi) async fn unbind(
    _client: &Client,
    _what: &str,
    _app: &str,
    _services: &[&str],
) -> Result<(), Error> {
    Err(missing("unbinding a service"))
}
