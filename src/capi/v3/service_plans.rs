//! `/v3/service_plans`

use std::collections::HashMap;

use serde::Deserialize;

use super::{MAX_PAGE_SIZE, ToOne, list_item};
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::ServicePlan;

#[derive(Deserialize)]
struct WirePlan {
    guid: String,
    name: String,
    relationships: PlanRelationships,
}

#[derive(Deserialize)]
struct PlanRelationships {
    #[serde(default)]
    service_offering: ToOne,
}

/// The `included` resources of a page of plans.
#[derive(Deserialize)]
struct Included {
    #[serde(default)]
    service_offerings: Vec<Offering>,
    #[serde(default)]
    service_brokers: Vec<Broker>,
}

#[derive(Deserialize)]
struct Offering {
    guid: String,
    name: String,
    relationships: OfferingRelationships,
}

#[derive(Deserialize)]
struct OfferingRelationships {
    #[serde(default)]
    service_broker: ToOne,
}

#[derive(Deserialize)]
struct Broker {
    guid: String,
    name: String,
}

/// The plans of some offerings that are available to the user.
pub(in crate::capi) async fn of_offerings(
    client: &Client,
    offerings: &[&str],
) -> Result<Vec<ServicePlan>, Error> {
    let offerings: Vec<String> = offerings.iter().map(|name| list_item(name)).collect();
    list(client, "service_offering_names", &offerings).await
}

pub(in crate::capi) async fn by_guids(
    client: &Client,
    guids: &[&str],
) -> Result<Vec<ServicePlan>, Error> {
    list(client, "guids", guids).await
}

async fn list(
    client: &Client,
    filter: &str,
    values: &[impl AsRef<str>],
) -> Result<Vec<ServicePlan>, Error> {
    let mut plans = Vec::new();
    for values in super::chunks::for_urls(values) {
        let fields =
            "fields%5Bservice_offering.service_broker%5D=guid,name&include=service_offering";
        let path = format!("/v3/service_plans?{filter}={values}&{fields}&{MAX_PAGE_SIZE}");
        let (found, included) = client
            .list_including::<WirePlan, Included>(&path, 1)
            .await?;
        let mut offerings: HashMap<String, (String, Option<String>)> = HashMap::new();
        let mut brokers: HashMap<String, String> = HashMap::new();
        for page in included {
            brokers.extend(
                page.service_brokers
                    .into_iter()
                    .map(|it| (it.guid, it.name)),
            );
            offerings.extend(page.service_offerings.into_iter().map(|it| {
                let broker = it.relationships.service_broker.guid();
                (it.guid, (it.name, broker))
            }));
        }
        plans.extend(found.into_iter().filter_map(|plan| {
            let offering = plan.relationships.service_offering.guid()?;
            let (offering, broker) = offerings.get(&offering)?;
            let broker = broker.as_ref().and_then(|guid| brokers.get(guid));
            Some(ServicePlan {
                guid: plan.guid,
                name: plan.name,
                offering: offering.clone(),
                broker: broker.cloned().unwrap_or_default(),
            })
        }));
    }
    Ok(plans)
}
