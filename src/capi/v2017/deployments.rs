//! The API of 2017 had no deployments.

use super::missing;
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::{Deployment, NewDeployment};

const OPERATION: &str = "deploying an app";

pub(in crate::capi) async fn create(
    _client: &Client,
    _deployment: &NewDeployment<'_>,
) -> Result<String, Error> {
    Err(missing(OPERATION))
}

pub(in crate::capi) async fn get(_client: &Client, _deployment: &str) -> Result<Deployment, Error> {
    Err(missing(OPERATION))
}

pub(in crate::capi) async fn cancel(_client: &Client, _deployment: &str) -> Result<(), Error> {
    Err(missing(OPERATION))
}
