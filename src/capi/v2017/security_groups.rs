//! `/v2/security_groups`

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use super::{MAX_PAGE_SIZE, V2, missing};
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::{Enabled, NewSecurityGroup, Rule, SecurityGroup};
use crate::capi::parallel;
use crate::capi::transport::Request;

/// An operation that would need other requests in 2017. They are not sent.
const ENABLING: &str = "enabling a security group globally";

#[derive(Deserialize)]
struct WireGroup {
    rules: Vec<Rule>,
    #[serde(default)]
    running_default: bool,
    #[serde(default)]
    staging_default: bool,
}

pub(in crate::capi) async fn named(
    client: &Client,
    names: &[&str],
) -> Result<Vec<SecurityGroup>, Error> {
    let groups = super::named::<WireGroup>(client, "/v2/security_groups?", names).await?;
    let groups = groups.into_iter().map(|(name, group)| async move {
        let guid = group.metadata.guid;
        let running_spaces = spaces(client, &guid).await?;
        Ok::<_, Error>(SecurityGroup {
            guid,
            name,
            globally_running: group.entity.running_default,
            globally_staging: group.entity.staging_default,
            rules: group.entity.rules,
            running_spaces,
            staging_spaces: Vec::new(),
        })
    });
    parallel::run(parallel::PER_APP, groups).await
}

async fn spaces(client: &Client, group: &str) -> Result<Vec<String>, Error> {
    let path = format!("/v2/security_groups/{group}/spaces?{MAX_PAGE_SIZE}");
    let spaces: Vec<V2<IgnoredAny>> = client.list(&path).await?;
    let spaces = spaces.into_iter();
    Ok(spaces.map(|space| space.metadata.guid).collect())
}

pub(in crate::capi) async fn create(
    client: &Client,
    group: &NewSecurityGroup<'_>,
) -> Result<String, Error> {
    if group.enabled != Enabled::default() {
        return Err(missing(ENABLING));
    }
    let mut body = json!({"name": group.name, "rules": group.rules});
    if !group.running_spaces.is_empty() {
        body["space_guids"] = json!(group.running_spaces);
    }
    let request = Request::post("/v2/security_groups").json(body);
    client.create(&request).await
}

pub(in crate::capi) async fn enable(
    _client: &Client,
    _group: &str,
    _enabled: Enabled,
) -> Result<(), Error> {
    Err(missing(ENABLING))
}

pub(in crate::capi) async fn update(
    client: &Client,
    group: &str,
    rules: &[Rule],
) -> Result<(), Error> {
    let path = format!("/v2/security_groups/{group}");
    let request = Request::put(path).json(json!({"rules": rules}));
    client.send(&request).await?;
    Ok(())
}

pub(in crate::capi) async fn bind(
    client: &Client,
    group: &str,
    spaces: &[&str],
) -> Result<(), Error> {
    for space in spaces {
        let request = Request::put(format!("/v2/security_groups/{group}/spaces/{space}"));
        client.send(&request).await?;
    }
    Ok(())
}

pub(in crate::capi) async fn unbind(
    client: &Client,
    group: &str,
    space: &str,
) -> Result<(), Error> {
    let request = Request::delete(format!("/v2/security_groups/{group}/spaces/{space}"));
    client.send(&request).await?;
    Ok(())
}

pub(in crate::capi) async fn delete(client: &Client, what: &str, group: &str) -> Result<(), Error> {
    let request = Request::delete(format!("/v2/security_groups/{group}"));
    client.delete(what, &request).await
}
