//! `/v3/security_groups`

use serde::Deserialize;
use serde_json::{Value, json};

use super::{ToMany, into_all, list_by, list_items, to_many};
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::{Enabled, NewSecurityGroup, Rule, SecurityGroup};
use crate::capi::transport::Request;

#[derive(Deserialize)]
struct WireGroup {
    guid: String,
    name: String,
    rules: Vec<Rule>,
    #[serde(default)]
    globally_enabled: WireEnabled,
    relationships: Option<GroupRelationships>,
}

#[derive(Deserialize, Default)]
struct WireEnabled {
    #[serde(default)]
    running: bool,
    #[serde(default)]
    staging: bool,
}

#[derive(Deserialize, Default)]
struct GroupRelationships {
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
            globally_running: group.globally_enabled.running,
            globally_staging: group.globally_enabled.staging,
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

/// The security groups that apply to running apps of some spaces. A group that applies to
/// several spaces may be listed more than once.
pub(in crate::capi) async fn of_spaces(
    client: &Client,
    spaces: &[&str],
) -> Result<Vec<SecurityGroup>, Error> {
    let (list, filter) = ("/v3/security_groups", "running_space_guids");
    let groups = list_by::<WireGroup>(client, list, filter, spaces, "").await?;
    Ok(into_all(groups))
}

pub(in crate::capi) async fn staging_of_spaces(
    client: &Client,
    spaces: &[&str],
) -> Result<Vec<SecurityGroup>, Error> {
    let (list, filter) = ("/v3/security_groups", "staging_space_guids");
    let groups = list_by::<WireGroup>(client, list, filter, spaces, "").await?;
    Ok(into_all(groups))
}

pub(in crate::capi) async fn create(
    client: &Client,
    group: &NewSecurityGroup<'_>,
) -> Result<String, Error> {
    let mut body = json!({"name": group.name, "rules": group.rules});
    if group.enabled != Enabled::default() {
        body["globally_enabled"] = json!(group.enabled);
    }
    if !group.running_spaces.is_empty() {
        body["relationships"] = json!({"running_spaces": to_many(group.running_spaces)});
    }
    let request = Request::post("/v3/security_groups").json(body);
    client.create(&request).await
}

pub(in crate::capi) async fn update(
    client: &Client,
    group: &str,
    rules: &[Rule],
) -> Result<(), Error> {
    patch(client, group, json!({"rules": rules})).await
}

pub(in crate::capi) async fn enable(
    client: &Client,
    group: &str,
    enabled: Enabled,
) -> Result<(), Error> {
    patch(client, group, json!({"globally_enabled": enabled})).await
}

async fn patch(client: &Client, group: &str, body: Value) -> Result<(), Error> {
    let path = format!("/v3/security_groups/{group}");
    client.send(&Request::patch(path).json(body)).await?;
    Ok(())
}

pub(in crate::capi) async fn bind(
    client: &Client,
    group: &str,
    spaces: &[&str],
) -> Result<(), Error> {
    let path = format!("/v3/security_groups/{group}/relationships/running_spaces");
    let request = Request::post(path).json(to_many(spaces)).repeatable();
    client.send(&request).await?;
    Ok(())
}

pub(in crate::capi) async fn unbind(
    client: &Client,
    group: &str,
    space: &str,
) -> Result<(), Error> {
    let path = format!("/v3/security_groups/{group}/relationships/running_spaces/{space}");
    client.send(&Request::delete(path)).await?;
    Ok(())
}

pub(in crate::capi) async fn delete(client: &Client, what: &str, group: &str) -> Result<(), Error> {
    let request = Request::delete(format!("/v3/security_groups/{group}"));
    client.delete(what, &request).await
}
