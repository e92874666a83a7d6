//! `/v3/feature_flags`

use serde_json::json;

use super::{MAX_PAGE_SIZE, encoded};
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::FeatureFlag;
use crate::capi::transport::Request;

pub(in crate::capi) async fn all(client: &Client) -> Result<Vec<FeatureFlag>, Error> {
    client
        .list(&format!("/v3/feature_flags?{MAX_PAGE_SIZE}"))
        .await
}

pub(in crate::capi) async fn set(
    client: &Client,
    name: &str,
    is_enabled: bool,
) -> Result<(), Error> {
    let path = format!("/v3/feature_flags/{}", encoded(name));
    let request = Request::patch(path).json(json!({"enabled": is_enabled}));
    client.send(&request).await?;
    Ok(())
}
