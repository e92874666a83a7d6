//! The API of 2017: v2 and an early v3. It has the same operations as [`super::v3`],
//! except for operations that did not exist.
//!
//! Environment variables of the apps replace the labels and annotations of today's API.

pub(super) mod apps;
pub(super) mod builds;
pub(super) mod deployments;
pub(super) mod domains;
pub(super) mod droplets;
pub(super) mod jobs;
pub(super) mod manifests;
pub(super) mod organizations;
pub(super) mod packages;
pub(super) mod processes;
pub(super) mod quotas;
pub(super) mod resource_matches;
pub(super) mod routes;
pub(super) mod security_groups;
pub(super) mod service_bindings;
pub(super) mod service_instances;
pub(super) mod spaces;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::client::Client;
use super::error::Error;
use super::parallel;
use super::v3::{Link, encoded};

/// The maximum size of a page in v2.
const MAX_PAGE_SIZE: &str = "results-per-page=100";

/// A resource of v2.
#[derive(Deserialize)]
struct V2<T> {
    metadata: V2Metadata,
    entity: T,
}

#[derive(Deserialize)]
struct V2Metadata {
    guid: String,
}

/// The links of a resource of the early v3, which had no relationships.
#[derive(Deserialize)]
struct Links {
    #[serde(flatten)]
    by_name: BTreeMap<String, Option<Link>>,
}

impl Links {
    /// The GUID at the end of a link.
    fn guid(&self, name: &str) -> Option<String> {
        self.by_name.get(name)?.as_ref()?.guid()
    }
}

/// The resources of v2 with one of these names, together with the names. Each name is a
/// separate request. `list` is the path and the query up to the name.
async fn named<T: DeserializeOwned>(
    client: &Client,
    list: &str,
    names: &[&str],
) -> Result<Vec<(String, V2<T>)>, Error> {
    let requests = names.iter().map(|name| {
        let path = format!("{list}q=name:{}", encoded(name));
        async move { client.find::<V2<T>>(&path).await }
    });
    let found = parallel::run(parallel::PER_APP, requests).await?;
    let found = names.iter().zip(found);
    Ok(found
        .filter_map(|(name, resource)| Some(((*name).to_owned(), resource?)))
        .collect())
}

/// The error of an operation that was added after 2017.
fn missing(operation: &'static str) -> Error {
    Error::NotInDialect { operation }
}
