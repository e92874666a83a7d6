//! Today's v3 API: sends the request of each operation and reads its response.

pub(super) mod apps;
pub(super) mod builds;
pub(super) mod deployments;
pub(super) mod domains;
pub(super) mod droplets;
pub(super) mod feature_flags;
pub(super) mod isolation_segments;
pub(super) mod jobs;
pub(super) mod manifests;
pub(super) mod organizations;
pub(super) mod packages;
mod pages;
pub(super) mod processes;
pub(super) mod quotas;
pub(super) mod resource_matches;
pub(super) mod roles;
pub(super) mod routes;
pub(super) mod security_groups;
pub(super) mod service_bindings;
pub(super) mod service_brokers;
pub(super) mod service_instances;
pub(super) mod service_plans;
pub(super) mod space_quotas;
pub(super) mod spaces;
pub(super) mod users;

use std::time::UNIX_EPOCH;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::{Value, json};

use super::chunks;
use super::client::Client;
use super::error::Error;
use super::model::{MANAGED_BY_LABEL, MANAGED_BY_VALUE, Ownership};
use pages::{MAX_PAGE_SIZE, Pages};

/// The lifecycle of most apps.
const BUILDPACK: &str = "buildpack";

/// Every resource of a list that is filtered by any number of values, in as few requests
/// as URLs allow. The values must be encoded. `rest` is the rest of the query, beginning
/// with `&`.
pub(super) async fn list_by<T: DeserializeOwned>(
    client: &Client,
    list: &str,
    filter: &str,
    values: &[impl AsRef<str>],
    rest: &str,
) -> Result<Vec<T>, Error> {
    list_of_all(client, list, filter, values, rest, 0).await
}

/// The same as [`list_by`], for a list of about `expected` resources.
async fn list_of_all<T: DeserializeOwned>(
    client: &Client,
    list: &str,
    filter: &str,
    values: &[impl AsRef<str>],
    rest: &str,
    expected: usize,
) -> Result<Vec<T>, Error> {
    let (resources, _) =
        list_including::<T, IgnoredAny>(client, list, filter, values, rest, expected).await?;
    Ok(resources)
}

/// The same as [`list_of_all`], with the `included` resources of each page.
async fn list_including<T: DeserializeOwned, I: DeserializeOwned>(
    client: &Client,
    list: &str,
    filter: &str,
    values: &[impl AsRef<str>],
    rest: &str,
    expected: usize,
) -> Result<(Vec<T>, Vec<I>), Error> {
    let (mut resources, mut included) = (Vec::new(), Vec::new());
    let lists = chunks::for_urls(values);
    let pages = Pages::of(list, expected / lists.len().max(1));
    for values in lists {
        let size = pages.size;
        let path = format!("{list}?{filter}={values}{rest}&per_page={size}");
        // Boxed, so that the futures of callers stay small.
        let listed = Box::pin(client.list_including::<T, I>(&path, pages.at_once));
        let (some, others) = listed.await?;
        resources.extend(some);
        included.extend(others);
    }
    Ok((resources, included))
}

/// Names in the form that [`list_by`] takes.
fn list_items(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| list_item(name)).collect()
}

/// Converts resources in the API's format to the model's types.
pub(super) fn into_all<W, R: From<W>>(resources: Vec<W>) -> Vec<R> {
    resources.into_iter().map(R::from).collect()
}

#[derive(Deserialize)]
pub(super) struct Guid {
    pub(super) guid: Option<String>,
}

/// A relationship to one other resource, or to none.
#[derive(Deserialize, Default)]
pub(super) struct ToOne {
    data: Option<Guid>,
}

impl ToOne {
    pub(super) fn guid(self) -> Option<String> {
        self.data?.guid
    }
}

/// A relationship to any number of other resources.
#[derive(Deserialize, Default)]
pub(super) struct ToMany {
    data: Vec<Guid>,
}

impl ToMany {
    pub(super) fn guids(self) -> Vec<String> {
        self.data.into_iter().filter_map(|it| it.guid).collect()
    }
}

/// The relationship of packages, droplets and processes.
#[derive(Deserialize)]
pub(super) struct AppRelationship {
    app: ToOne,
}

impl AppRelationship {
    pub(super) fn guid(self) -> String {
        self.app.guid().unwrap_or_default()
    }
}

/// The lifecycle of an app.
#[derive(Deserialize)]
pub(super) struct Lifecycle {
    #[serde(rename = "type", default)]
    kind: String,
    data: LifecycleData,
}

#[derive(Deserialize)]
struct LifecycleData {
    #[serde(default)]
    buildpacks: Vec<String>,
}

impl Lifecycle {
    /// The buildpacks. Empty if they are detected.
    pub(super) fn buildpacks(self) -> Vec<String> {
        self.data.buildpacks
    }
}

/// The labels and annotations that cf-pusher needs. Keeping all metadata of thousands of
/// apps, packages and droplets would need a lot of memory.
#[derive(Deserialize, Default)]
struct OurMetadata {
    #[serde(default)]
    labels: OurLabels,
    #[serde(default)]
    annotations: OurAnnotations,
}

#[derive(Deserialize, Default)]
struct OurLabels {
    #[serde(rename = "managed-by")]
    managed_by: Option<String>,
}

#[derive(Deserialize, Default)]
struct OurAnnotations {
    #[serde(rename = "cf-pusher-bits-sha256")]
    bits: Option<String>,
    #[serde(rename = "cf-pusher-prefix")]
    prefix: Option<String>,
    #[serde(rename = "cf-pusher-clone-of")]
    clone_of: Option<String>,
}

impl OurMetadata {
    fn ownership(self) -> Ownership {
        Ownership {
            managed: self.labels.managed_by.as_deref() == Some(MANAGED_BY_VALUE),
            owner: self.annotations.prefix,
        }
    }
}

/// A link to another resource.
#[derive(Deserialize)]
pub(super) struct Link {
    href: String,
}

impl Link {
    /// The GUID at its end.
    pub(super) fn guid(&self) -> Option<String> {
        let (_, last) = self.href.rsplit_once('/')?;
        Some(last.to_owned())
    }
}

/// Encodes a value for a list in a query. The Cloud Controller splits the list at its
/// commas and decodes each value a second time.
fn list_item(value: &str) -> String {
    encoded(&value.replace('%', "%25").replace(',', "%2C"))
}

/// A value, encoded for a query.
pub(super) fn encoded(value: &str) -> String {
    url::form_urlencoded::byte_serialize(value.as_bytes()).collect()
}

/// The filter for resources with our label.
fn managed_by_us() -> String {
    format!("label_selector={MANAGED_BY_LABEL}%3D{MANAGED_BY_VALUE}")
}

/// A relationship to one resource, for the body of a request.
fn to_one(guid: &str) -> Value {
    json!({"data": {"guid": guid}})
}

/// A relationship to several resources, for the body of a request.
fn to_many(guids: &[&str]) -> Value {
    let data: Vec<Value> = guids.iter().map(|guid| json!({"guid": guid})).collect();
    json!({ "data": data })
}

pub(super) fn lifecycle(buildpacks: &[String]) -> Value {
    json!({"type": BUILDPACK, "data": {"buildpacks": buildpacks}})
}

/// A time in nanoseconds since 1970.
pub(super) fn nanoseconds(time: &str) -> Option<i64> {
    let time = humantime::parse_rfc3339(time).ok()?;
    i64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_nanos()).ok()
}
