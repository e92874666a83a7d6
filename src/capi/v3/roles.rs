//! `/v3/roles`

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::json;

use super::users::WireUser;
use super::{ToOne, list_including, to_one};
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::{Role, User};
use crate::capi::transport::Request;

#[derive(Deserialize)]
struct WireRole {
    guid: String,
    #[serde(rename = "type")]
    kind: String,
    relationships: Related,
}

#[derive(Deserialize)]
struct Related {
    #[serde(default)]
    user: ToOne,
    #[serde(default)]
    organization: ToOne,
    #[serde(default)]
    space: ToOne,
}

/// The `included` resources of a page of roles.
#[derive(Deserialize)]
struct Included {
    #[serde(default)]
    users: Vec<WireUser>,
}

pub(in crate::capi) async fn of_orgs(client: &Client, orgs: &[&str]) -> Result<Vec<Role>, Error> {
    list(client, "organization_guids", orgs).await
}

pub(in crate::capi) async fn of_spaces(
    client: &Client,
    spaces: &[&str],
) -> Result<Vec<Role>, Error> {
    list(client, "space_guids", spaces).await
}

pub(in crate::capi) async fn of_users(client: &Client, users: &[&str]) -> Result<Vec<Role>, Error> {
    list(client, "user_guids", users).await
}

pub(in crate::capi) async fn delete(client: &Client, what: &str, role: &str) -> Result<(), Error> {
    let request = Request::delete(format!("/v3/roles/{role}"));
    client.delete(what, &request).await
}

async fn list(client: &Client, filter: &str, guids: &[&str]) -> Result<Vec<Role>, Error> {
    let list = "/v3/roles";
    let listed =
        list_including::<WireRole, Included>(client, list, filter, guids, "&include=user", 0);
    let (found, included) = listed.await?;
    let users = included.into_iter().flat_map(|page| page.users);
    let users = users.map(User::from).map(|user| (user.guid.clone(), user));
    let users: HashMap<String, User> = users.collect();
    let roles = found.into_iter().filter_map(|role| role.with_user(&users));
    Ok(roles.collect())
}

impl WireRole {
    fn with_user(self, users: &HashMap<String, User>) -> Option<Role> {
        let related = self.relationships;
        let guid = related.user.guid()?;
        let user = users.get(&guid);
        let place = related.organization.guid().or(related.space.guid())?;
        Some(Role {
            guid: self.guid,
            kind: self.kind,
            user: user.and_then(|user| user.name.clone()).unwrap_or(guid),
            origin: user.and_then(|user| user.origin.clone()),
            place,
        })
    }
}

/// Gives a user a role in an org or a space, depending on the role.
pub(in crate::capi) async fn create(
    client: &Client,
    kind: &str,
    user: &str,
    origin: Option<&str>,
    place: &str,
) -> Result<String, Error> {
    let mut data = json!({"username": user});
    if let Some(origin) = origin {
        data["origin"] = json!(origin);
    }
    let relationship = match kind.starts_with("organization_") {
        true => "organization",
        false => "space",
    };
    let relationships = json!({"user": {"data": data}, (relationship): to_one(place)});
    let body = json!({"type": kind, "relationships": relationships});
    client.create(&Request::post("/v3/roles").json(body)).await
}
