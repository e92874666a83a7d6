//! `/v3/users`

use serde::Deserialize;
use serde_json::json;

use super::{MAX_PAGE_SIZE, OurMetadata, into_all, list_by, list_items, managed_by_us};
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::{Metadata, User};
use crate::capi::transport::Request;

#[derive(Deserialize)]
pub(super) struct WireUser {
    guid: String,
    username: Option<String>,
    origin: Option<String>,
    #[serde(default)]
    metadata: OurMetadata,
}

impl From<WireUser> for User {
    fn from(user: WireUser) -> Self {
        Self {
            guid: user.guid,
            name: user.username,
            origin: user.origin,
            ownership: user.metadata.ownership(),
        }
    }
}

/// The users with these names, of all identity providers.
pub(in crate::capi) async fn named(client: &Client, names: &[&str]) -> Result<Vec<User>, Error> {
    let names = list_items(names);
    let users = list_by::<WireUser>(client, "/v3/users", "usernames", &names, "").await?;
    Ok(into_all(users))
}

/// The users with our label.
pub(in crate::capi) async fn managed(client: &Client) -> Result<Vec<User>, Error> {
    let path = format!("/v3/users?{}&{MAX_PAGE_SIZE}", managed_by_us());
    let users = client.list::<WireUser>(&path).await?;
    Ok(into_all(users))
}

/// A user of an identity provider other than the UAA itself.
pub(in crate::capi) async fn create(
    client: &Client,
    name: &str,
    origin: &str,
    metadata: &Metadata,
) -> Result<String, Error> {
    let body = json!({"username": name, "origin": origin, "metadata": metadata});
    client.create(&Request::post("/v3/users").json(body)).await
}

pub(in crate::capi) async fn delete(client: &Client, what: &str, user: &str) -> Result<(), Error> {
    let request = Request::delete(format!("/v3/users/{user}"));
    client.delete(what, &request).await
}
