//! `/v3/security_groups`

use serde::Deserialize;
use serde_json::json;

use super::{ToMany, into_all, list_by, list_items, to_many};
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::{Rule, SecurityGroup};
use crate::capi::transport::Request;

#[derive(Deserialize)]
struct WireGroup {
    guid: String,
    name: String,
    rules: Vec<Rule>,
    #[serde(default)]
    globally_enabled: Enabled,
    relationships: Option<OfSpaces>,
}

#[derive(Deserialize, Default)]
struct Enabled {
    #[serde(default)]
    running: bool,
    #[serde(default)]
    staging: bool,
}

#[derive(Deserialize, Default)]
struct OfSpaces {
    #[serde(default)]
    running_spaces: ToMany,
    #[serde(default)]
    staging_spaces: ToMany,
}

impl From<WireGroup> for SecurityGroup {
    fn from(group: WireGroup) -> Self {
        let related = group.relationships.unwrap_or_default();
        Self {
            guid: group.guid,
            name: group.name,
            rules: group.rules,
            running_spaces: related.running_spaces.guids(),
            staging_spaces: related.staging_spaces.guids(),
            is_global: group.globally_enabled.running || group.globally_enabled.staging,
        }
    }
}

pub(in crate::capi) async fn named(
    client: &Client,
    names: &[&str],
) -> Result<Vec<SecurityGroup>, Error> {
    let (list, names) = ("/v3/security_groups", list_items(names));
    let groups = list_by::<WireGroup>(client, list, "names", &names, "").await?;
    Ok(into_all(groups))
}

pub(in crate::capi) async fn create(
    client: &Client,
    name: &str,
    rules: &[Rule],
    running_spaces: &[&str],
) -> Result<String, Error> {
    let mut body = json!({"name": name, "rules": rules});
    if !running_spaces.is_empty() {
        body["relationships"] = json!({"running_spaces": to_many(running_spaces)});
    }
    let request = Request::post("/v3/security_groups").json(body);
    client.create(&request).await
}

pub(in crate::capi) async fn update(
    client: &Client,
    group: &str,
    rules: &[Rule],
) -> Result<(), Error> {
    let path = format!("/v3/security_groups/{group}");
    let request = Request::patch(path).json(json!({"rules": rules}));
    client.send(&request).await?;
    Ok(())
}

pub(in crate::capi) async fn bind(client: &Client, group: &str, space: &str) -> Result<(), Error> {
    let path = format!("/v3/security_groups/{group}/relationships/running_spaces");
    let request = Request::post(path).json(to_many(&[space])).repeatable();
    client.send(&request).await?;
    Ok(())
}

pub(in crate::capi) async fn delete(client: &Client, what: &str, group: &str) -> Result<(), Error> {
    let request = Request::delete(format!("/v3/security_groups/{group}"));
    client.delete(what, &request).await
}
