//! Observes supporting resources: feature flags, users, roles, space quotas, isolation
//! segments, features of spaces, service instances and network policies. Reads only
//! resources that the desired state names, most of them in lists of all orgs or spaces.

use std::collections::{BTreeSet, HashMap, HashSet};

use futures::try_join;
use serde_json::{Map, Value};

use super::Observed;
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::model::{Role, ServiceInstance, ServicePlan, SpaceQuota, User};
use crate::capi::network_policies::NetworkPolicy;
use crate::capi::parallel;
use crate::desired::{self, Desired, ServiceKind};

/// The existing supporting resources of a desired state.
#[derive(Debug, Clone, Default)]
pub(crate) struct SupportingResources {
    /// Whether feature flags are enabled, by name. Empty unless the desired state or an
    /// app needs them.
    pub(crate) feature_flags: HashMap<String, bool>,
    /// The users that have a desired name.
    pub(crate) users: Vec<User>,
    /// Roles by the GUIDs of their orgs and spaces.
    pub(crate) roles: HashMap<String, Vec<Role>>,
    /// The quotas of spaces, by the GUID of their org and their name.
    pub(crate) space_quotas: HashMap<(String, String), SpaceQuota>,
    /// The isolation segments, by name.
    pub(crate) segments: HashMap<String, Segment>,
    /// The GUIDs of the isolation segments of orgs and spaces, by their GUIDs.
    pub(crate) isolation: HashMap<String, String>,
    /// Whether features of spaces are enabled, by the GUID of the space and their name.
    pub(crate) space_features: HashMap<(String, String), bool>,
    /// The service instances, by the GUID of their space and their name.
    pub(crate) services: HashMap<(String, String), Service>,
    /// The plans of the desired offerings.
    pub(crate) service_plans: Vec<ServicePlan>,
    /// The policies of the apps for which policies are desired.
    pub(crate) policies: BTreeSet<NetworkPolicy>,
}

/// An isolation segment.
#[derive(Debug, Clone, Default)]
pub(crate) struct Segment {
    pub(crate) guid: String,
    /// The GUIDs of the orgs that may use it.
    pub(crate) orgs: HashSet<String>,
}

/// A service instance.
#[derive(Debug, Clone, Default)]
pub(crate) struct Service {
    pub(crate) instance: ServiceInstance,
    /// Read only if credentials are desired.
    pub(crate) credentials: Option<Map<String, Value>>,
}

/// A service instance and the GUID of its space.
type DesiredService<'d> = (&'d str, &'d desired::ServiceInstance);

/// Observes supporting resources. `observed` has the orgs, spaces and apps.
pub(super) async fn observe(
    client: &Client,
    desired: &Desired,
    observed: &Observed,
) -> Result<SupportingResources, Error> {
    let (flags, users, roles, space_quotas, segments) = try_join!(
        feature_flags(client, desired),
        users(client, desired),
        roles(client, desired, observed),
        space_quotas(client, desired, observed),
        segments(client, desired),
    )?;
    let (isolation, space_features, services, service_plans, policies) = try_join!(
        isolation(client, desired, observed),
        space_features(client, desired, observed),
        services(client, desired, observed),
        service_plans(client, desired),
        policies(client, desired, observed),
    )?;
    Ok(SupportingResources {
        feature_flags: flags,
        users,
        roles,
        space_quotas,
        segments,
        isolation,
        space_features,
        services,
        service_plans,
        policies,
    })
}

async fn feature_flags(client: &Client, desired: &Desired) -> Result<HashMap<String, bool>, Error> {
    if desired.feature_flags().is_empty() && desired.needed_flags().next().is_none() {
        return Ok(HashMap::new());
    }
    let flags = client.feature_flags().await?.into_iter();
    Ok(flags.map(|flag| (flag.name, flag.enabled)).collect())
}

async fn users(client: &Client, desired: &Desired) -> Result<Vec<User>, Error> {
    let names = desired.users().iter();
    let names: Vec<&str> = names.map(|user| desired::user_and_origin(user).0).collect();
    match names.is_empty() {
        true => Ok(Vec::new()),
        false => client.users_named(&names).await,
    }
}

/// The roles in the orgs and spaces for which roles are desired. A role in a space
/// requires the roles of its org.
async fn roles(
    client: &Client,
    desired: &Desired,
    observed: &Observed,
) -> Result<HashMap<String, Vec<Role>>, Error> {
    let orgs = desired.orgs().iter().zip(&observed.orgs);
    let orgs = orgs.filter(|(org, _)| {
        !org.roles.is_empty() || org.spaces.iter().any(|space| !space.roles.is_empty())
    });
    let orgs: Vec<&str> = orgs
        .filter_map(|(_, found)| Some(found.org.as_ref()?.guid.as_str()))
        .collect();
    let spaces = placed_spaces(desired, observed, |space| !space.roles.is_empty());
    let spaces: Vec<&str> = spaces.map(|(guid, _)| guid).collect();
    let (of_orgs, of_spaces) = try_join!(
        unless_empty(&orgs, client.roles_of_orgs(&orgs)),
        unless_empty(&spaces, client.roles_of_spaces(&spaces)),
    )?;
    let mut roles: HashMap<String, Vec<Role>> = HashMap::new();
    for role in of_orgs.into_iter().chain(of_spaces) {
        roles.entry(role.place.clone()).or_default().push(role);
    }
    Ok(roles)
}

async fn space_quotas(
    client: &Client,
    desired: &Desired,
    observed: &Observed,
) -> Result<HashMap<(String, String), SpaceQuota>, Error> {
    let orgs = desired.orgs().iter().zip(&observed.orgs);
    let (mut guids, mut names) = (Vec::new(), BTreeSet::new());
    for (org, found) in orgs.filter(|(org, _)| !org.space_quotas.is_empty()) {
        names.extend(org.space_quotas.iter().map(|quota| quota.name.as_str()));
        guids.extend(found.org.as_ref().map(|org| org.guid.as_str()));
    }
    let names: Vec<&str> = names.into_iter().collect();
    let quotas = unless_empty(&guids, client.space_quotas_named(&guids, &names)).await?;
    let quotas = quotas.into_iter();
    Ok(quotas
        .map(|quota| ((quota.org.clone(), quota.name.clone()), quota))
        .collect())
}

/// The desired isolation segments. They must exist.
async fn segments(client: &Client, desired: &Desired) -> Result<HashMap<String, Segment>, Error> {
    let names = desired.isolation_segments();
    let found = unless_empty(&names, client.isolation_segments_named(&names)).await?;
    if let Some(missing) = names
        .iter()
        .find(|name| !found.iter().any(|segment| segment.name == **name))
    {
        return Err(Error::impossible(
            format!("using the isolation segment {missing}"),
            "the foundation has no isolation segment of that name",
        ));
    }
    let segments = found.into_iter().map(|segment| async move {
        let orgs = client.entitled_orgs(&segment.guid).await?;
        let orgs = orgs.into_iter().collect();
        let guid = segment.guid;
        Ok::<_, Error>((segment.name, Segment { guid, orgs }))
    });
    let segments: Vec<(String, Segment)> = parallel::run(parallel::PER_APP, segments).await?;
    Ok(segments.into_iter().collect())
}

/// The isolation segments of orgs and spaces. The API shows the spaces of a segment, but
/// not the orgs whose default it is.
async fn isolation(
    client: &Client,
    desired: &Desired,
    observed: &Observed,
) -> Result<HashMap<String, String>, Error> {
    let orgs = desired.orgs().iter().zip(&observed.orgs);
    let orgs = orgs.filter_map(|(org, found)| Some((org, found.org.as_ref()?.guid.as_str())));
    let orgs: Vec<(&desired::Org, &str)> = orgs.collect();
    let isolated = orgs
        .iter()
        .filter(|(org, _)| org.isolation_segment.is_some());
    let of_orgs = isolated.map(|(_, guid)| async move {
        let segment = client.isolation_of_org(guid).await?;
        Ok::<_, Error>(segment.map(|segment| ((*guid).to_owned(), segment)))
    });
    let with_spaces = orgs.iter().filter(|(org, _)| {
        let mut spaces = org.spaces.iter();
        spaces.any(|space| space.isolation_segment.is_some())
    });
    let with_spaces: Vec<&str> = with_spaces.map(|(_, guid)| *guid).collect();
    let of_spaces = async {
        let entitled = client.isolation_segments_of_orgs(&with_spaces);
        let segments = unless_empty(&with_spaces, entitled).await?;
        let segments = segments.into_iter().map(|segment| async move {
            let spaces = client.isolated_spaces(&segment.guid).await?.into_iter();
            let spaces = spaces.map(|space| (space, segment.guid.clone()));
            Ok::<_, Error>(spaces.collect::<Vec<_>>())
        });
        parallel::run(parallel::PER_APP, segments).await
    };
    let of_orgs = parallel::run(parallel::PER_APP, of_orgs);
    let (of_orgs, of_spaces) = try_join!(of_orgs, of_spaces)?;
    let of_orgs = of_orgs.into_iter().flatten();
    Ok(of_orgs.chain(of_spaces.into_iter().flatten()).collect())
}

async fn space_features(
    client: &Client,
    desired: &Desired,
    observed: &Observed,
) -> Result<HashMap<(String, String), bool>, Error> {
    let spaces = placed_spaces(desired, observed, |space| !space.features.is_empty());
    let features = spaces.flat_map(|(guid, space)| {
        let names = space.features.keys();
        names.map(move |name| (guid.to_owned(), name.clone()))
    });
    let features: Vec<(String, String)> = features.collect();
    let features = features.into_iter().map(|(space, name)| async move {
        let is_enabled = client.space_feature(&space, &name).await?;
        Ok::<_, Error>(((space, name), is_enabled))
    });
    let features: Vec<_> = parallel::run(parallel::PER_APP, features).await?;
    Ok(features.into_iter().collect())
}

async fn services(
    client: &Client,
    desired: &Desired,
    observed: &Observed,
) -> Result<HashMap<(String, String), Service>, Error> {
    let spaces = placed_spaces(desired, observed, |space| !space.services.is_empty());
    let spaces: Vec<(&str, &desired::Space)> = spaces.collect();
    let guids: Vec<&str> = spaces.iter().map(|(guid, _)| *guid).collect();
    let found = unless_empty(&guids, client.services_of_spaces(&guids)).await?;
    let wanted = spaces.iter().flat_map(|(guid, space)| {
        let services = space.services.iter();
        services.map(|service| ((*guid, service.name.as_str()), (*guid, service)))
    });
    let wanted: HashMap<(&str, &str), DesiredService<'_>> = wanted.collect();
    let services = found.into_iter().filter_map(|instance| {
        let key = (instance.space.as_str(), instance.name.as_str());
        let reads = needs_credentials(wanted.get(&key)?.1);
        Some((instance, reads))
    });
    let services: Vec<(ServiceInstance, bool)> = services.collect();
    let services = services.into_iter().map(|(instance, reads)| async move {
        let credentials = match reads && instance.plan.is_none() {
            true => Some(client.service_credentials(&instance.guid).await?),
            false => None,
        };
        let key = (instance.space.clone(), instance.name.clone());
        let service = Service {
            instance,
            credentials,
        };
        Ok::<_, Error>((key, service))
    });
    let services: Vec<_> = parallel::run(parallel::PER_APP, services).await?;
    Ok(services.into_iter().collect())
}

fn needs_credentials(service: &desired::ServiceInstance) -> bool {
    match &service.kind {
        ServiceKind::UserProvided { credentials, .. } => credentials.is_some(),
        ServiceKind::Managed { .. } => false,
    }
}

async fn service_plans(client: &Client, desired: &Desired) -> Result<Vec<ServicePlan>, Error> {
    let services = desired.spaces().flat_map(|placed| &placed.space.services);
    let offerings: BTreeSet<&str> = services
        .filter_map(|service| match &service.kind {
            ServiceKind::Managed { offering, .. } => Some(offering.as_str()),
            ServiceKind::UserProvided { .. } => None,
        })
        .collect();
    let offerings: Vec<&str> = offerings.into_iter().collect();
    unless_empty(&offerings, client.service_plans(&offerings)).await
}

/// The policies of the existing apps that should send traffic.
async fn policies(
    client: &Client,
    desired: &Desired,
    observed: &Observed,
) -> Result<BTreeSet<NetworkPolicy>, Error> {
    let mut senders: BTreeSet<&str> = BTreeSet::new();
    for (placed, space) in desired.spaces().zip(&observed.spaces) {
        for policy in &placed.space.network_policies {
            let apps = space.apps.iter();
            let apps = apps.filter(|app| desired::matches(&policy.from, &app.name));
            senders.extend(apps.map(|app| app.guid.as_str()));
        }
    }
    let senders: Vec<&str> = senders.into_iter().collect();
    match senders.is_empty() {
        true => Ok(BTreeSet::new()),
        false => client.network_policies(&senders).await,
    }
}

/// The GUIDs of the existing desired spaces that `is_wanted` selects.
fn placed_spaces<'o>(
    desired: &'o Desired,
    observed: &'o Observed,
    is_wanted: impl Fn(&desired::Space) -> bool + 'o,
) -> impl Iterator<Item = (&'o str, &'o desired::Space)> {
    let spaces = desired.spaces().zip(&observed.spaces);
    let spaces = spaces.filter(move |(placed, _)| is_wanted(placed.space));
    spaces.filter_map(|(placed, found)| Some((found.space.as_ref()?.guid.as_str(), placed.space)))
}

/// The result of a request about names or GUIDs. If there are none, no request is sent.
async fn unless_empty<T, N>(
    names: &[N],
    request: impl Future<Output = Result<Vec<T>, Error>>,
) -> Result<Vec<T>, Error> {
    match names.is_empty() {
        true => Ok(Vec::new()),
        false => request.await,
    }
}
