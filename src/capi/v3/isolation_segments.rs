//! `/v3/isolation_segments`

use serde::Deserialize;
use serde_json::json;

use super::{ToMany, ToOne, into_all, list_by, list_items, to_many, to_one};
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::IsolationSegment;
use crate::capi::transport::Request;

#[derive(Deserialize)]
struct WireSegment {
    guid: String,
    name: String,
}

impl From<WireSegment> for IsolationSegment {
    fn from(segment: WireSegment) -> Self {
        Self {
            guid: segment.guid,
            name: segment.name,
        }
    }
}

pub(in crate::capi) async fn named(
    client: &Client,
    names: &[&str],
) -> Result<Vec<IsolationSegment>, Error> {
    let (list, names) = ("/v3/isolation_segments", list_items(names));
    let segments = list_by::<WireSegment>(client, list, "names", &names, "").await?;
    Ok(into_all(segments))
}

/// The isolation segments that some orgs are entitled to.
pub(in crate::capi) async fn of_orgs(
    client: &Client,
    orgs: &[&str],
) -> Result<Vec<IsolationSegment>, Error> {
    let (list, filter) = ("/v3/isolation_segments", "organization_guids");
    let segments = list_by::<WireSegment>(client, list, filter, orgs, "").await?;
    Ok(into_all(segments))
}

/// The GUIDs of the orgs that are entitled to it.
pub(in crate::capi) async fn entitled_orgs(
    client: &Client,
    segment: &str,
) -> Result<Vec<String>, Error> {
    let path = format!("/v3/isolation_segments/{segment}/relationships/organizations");
    Ok(client.get::<ToMany>(&path).await?.guids())
}

pub(in crate::capi) async fn entitle(
    client: &Client,
    segment: &str,
    org: &str,
) -> Result<(), Error> {
    let path = format!("/v3/isolation_segments/{segment}/relationships/organizations");
    let request = Request::post(path).json(to_many(&[org])).repeatable();
    client.send(&request).await?;
    Ok(())
}

/// The GUID of the default isolation segment of an org.
pub(in crate::capi) async fn of_org(client: &Client, org: &str) -> Result<Option<String>, Error> {
    let path = format!("/v3/organizations/{org}/relationships/default_isolation_segment");
    Ok(client.get::<ToOne>(&path).await?.guid())
}

pub(in crate::capi) async fn set_of_org(
    client: &Client,
    org: &str,
    segment: &str,
) -> Result<(), Error> {
    let path = format!("/v3/organizations/{org}/relationships/default_isolation_segment");
    client
        .send(&Request::patch(path).json(to_one(segment)))
        .await?;
    Ok(())
}

/// The GUIDs of the spaces that are assigned to the isolation segment.
pub(in crate::capi) async fn spaces(client: &Client, segment: &str) -> Result<Vec<String>, Error> {
    let path = format!("/v3/isolation_segments/{segment}/relationships/spaces");
    Ok(client.get::<ToMany>(&path).await?.guids())
}

pub(in crate::capi) async fn set_of_space(
    client: &Client,
    space: &str,
    segment: &str,
) -> Result<(), Error> {
    let path = format!("/v3/spaces/{space}/relationships/isolation_segment");
    client
        .send(&Request::patch(path).json(json!(to_one(segment))))
        .await?;
    Ok(())
}
