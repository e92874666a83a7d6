//! Observes the resources of a desired state on the foundation.
//!
//! Most properties come from lists. Other properties, such as the environment, the start
//! command and health checks, are compared by the Cloud Controller itself (see
//! [`differences`]).

mod app;
mod arrange;
mod differences;
mod ownership;
mod prune;
mod supporting;
mod v2017;
mod v3;

use std::collections::{HashMap, HashSet};

use crate::capi::client::Client;
use crate::capi::dialect::Dialect;
use crate::capi::error::Error;
use crate::capi::model::{Domain, Org, OrgQuota, Ownership, Process, Route, SecurityGroup, Space};
use crate::capi::parallel;
use crate::converge::compare::EntryDifference;
use crate::desired::{Desired, PlacedSpace};

pub(crate) use app::App;
use app::web_by_app;
pub(crate) use prune::Surplus;
pub(crate) use supporting::{Service, SupportingResources};

/// The maximum number of apps whose instances are read by separate requests.
const MAX_PARALLEL_STATES: usize = 20;

/// The maximum number of apps whose instances are read by their GUIDs, which must fit
/// into one URL. For more apps, the instances of all apps are read, in a few pages.
const MAX_BY_GUID: usize = 100;

/// The existing resources of a desired state.
#[derive(Debug, Clone, Default)]
pub(crate) struct Observed {
    /// The quotas, by name.
    pub(crate) quotas: HashMap<String, OrgQuota>,
    /// The security groups, by name.
    pub(crate) security_groups: HashMap<String, SecurityGroup>,
    pub(crate) domains: Vec<Domain>,
    /// Whether the processes and ports of routes' destinations are known.
    pub(crate) knows_destinations: bool,
    /// Whether orgs and spaces can be labelled.
    pub(crate) has_labels: bool,
    /// The GUIDs of our orgs and spaces: the desired orgs and spaces, and others that a
    /// quota or security group applies to.
    pub(crate) managed: HashSet<String>,
    /// The supporting resources.
    pub(crate) supporting: SupportingResources,
    /// Our resources that are no longer desired, if they should be deleted.
    pub(crate) surplus: Surplus,
    /// In the order of the desired orgs.
    pub(crate) orgs: Vec<ObservedOrg>,
    /// In the order of all desired spaces.
    pub(crate) spaces: Vec<ObservedSpace>,
}

/// The state of a desired org.
#[derive(Debug, Clone, Default)]
pub(crate) struct ObservedOrg {
    pub(crate) org: Option<Org>,
    /// The domain of its apps. Empty if none is needed.
    pub(crate) apps_domain: String,
    /// The apps in its other spaces.
    pub(crate) other_apps: Vec<OtherApp>,
}

/// An app in a space that is not desired.
#[derive(Debug, Clone)]
pub(crate) struct OtherApp {
    pub(crate) name: String,
    /// The name of its space. Empty if unknown.
    pub(crate) space: String,
    /// Unknown in 2017.
    pub(crate) ownership: Ownership,
}

/// The state of a desired space.
#[derive(Debug, Clone, Default)]
pub(crate) struct ObservedSpace {
    pub(crate) space: Option<Space>,
    pub(crate) apps: Vec<App>,
    /// The differences of each desired app from its entry, by the app's name. Apps without
    /// differences are missing.
    pub(crate) differences: HashMap<String, Vec<EntryDifference>>,
    pub(crate) routes: Vec<Route>,
}

impl Observed {
    /// The domain of the apps of a space's org.
    pub(crate) fn apps_domain(&self, space: &PlacedSpace<'_>) -> &str {
        let org = self.orgs.get(space.org_id);
        org.map(|org| org.apps_domain.as_str()).unwrap_or_default()
    }
}

/// Adds our resources that are no longer desired.
pub(crate) async fn add_surplus(
    client: &Client,
    desired: &Desired,
    observed: &mut Observed,
) -> Result<(), Error> {
    observed.surplus = Box::pin(prune::observe(client, desired, observed)).await?;
    Ok(())
}

/// Observes the resources of a desired state. With `packages`, all packages are read,
/// even if annotated droplets make that unnecessary.
pub(crate) async fn observe(
    client: &Client,
    desired: &Desired,
    packages: bool,
) -> Result<Observed, Error> {
    match client.dialect() {
        Dialect::V3 => v3::observe(client, desired, packages).await,
        Dialect::Documented2017 => v2017::observe(client, desired, packages).await,
    }
}

/// Reads the instances of some apps again, or of all apps if that takes fewer requests.
pub(crate) async fn refresh_instances(
    client: &Client,
    observed: &mut Observed,
    starting: &[String],
) -> Result<(), Error> {
    let has_lists = client.dialect() == Dialect::V3;
    let only: Option<HashSet<&String>> =
        (has_lists && starting.len() <= MAX_BY_GUID).then(|| starting.iter().collect());
    let processes = match only {
        Some(_) => client.processes_of_apps(starting).await?,
        None => {
            let there = observed.space_guids();
            let there: Vec<&str> = there.iter().map(String::as_str).collect();
            let count = observed.spaces.iter().map(|space| space.apps.len()).sum();
            client.web_processes_of_spaces(&there, count).await?
        }
    };
    let webs = processes.into_iter().filter(|it| it.kind == "web");
    let mut webs = web_by_app(webs.collect());
    let apps = observed.spaces.iter_mut().flat_map(|space| &mut space.apps);
    for app in apps.filter(|app| only.as_ref().is_none_or(|only| only.contains(&app.guid))) {
        app.web = webs.remove(&app.guid);
    }
    if !has_lists {
        add_states(client, observed).await?;
    }
    Ok(())
}

/// Reads the states of the instances of some apps that do not all run. The summaries of
/// 2017 contain only the number of running instances.
async fn add_states(client: &Client, observed: &mut Observed) -> Result<(), Error> {
    let apps = observed.spaces.iter_mut().flat_map(|space| &mut space.apps);
    let webs = apps
        .filter(|app| app.started)
        .filter_map(|app| app.web.as_mut());
    let is_short = |web: &&mut Process| web.running() < web.instances as usize;
    let states = webs
        .filter(is_short)
        .take(MAX_PARALLEL_STATES)
        .map(|web| async {
            web.actual = client.instances(&web.guid).await?;
            Ok::<_, Error>(())
        });
    let states: Vec<_> = states.collect();
    parallel::run(parallel::PER_APP, states).await?;
    Ok(())
}

/// The names of the desired orgs, quotas and security groups.
struct Names<'d> {
    orgs: Vec<&'d str>,
    quotas: Vec<&'d str>,
    security_groups: Vec<&'d str>,
}

impl<'d> Names<'d> {
    fn of(desired: &'d Desired) -> Self {
        let groups = desired.security_groups().iter();
        Self {
            orgs: desired.orgs().iter().map(|org| org.name.as_str()).collect(),
            quotas: desired.quotas(),
            security_groups: groups.map(|group| group.name.as_str()).collect(),
        }
    }
}

impl Observed {
    /// The GUIDs of the desired spaces that exist.
    fn space_guids(&self) -> Vec<String> {
        let spaces = self.spaces.iter().filter_map(|space| space.space.as_ref());
        spaces.map(|space| space.guid.clone()).collect()
    }
}

/// Removes duplicates: a list that changes while it is read may contain a resource twice.
pub(super) fn unique<T>(resources: &mut Vec<T>, guid: impl Fn(&T) -> &str) {
    let mut seen = HashSet::new();
    resources.retain(|resource| seen.insert(guid(resource).to_owned()));
}

fn quotas_by_name(quotas: Vec<OrgQuota>) -> HashMap<String, OrgQuota> {
    let quotas = quotas.into_iter();
    quotas.map(|quota| (quota.name.clone(), quota)).collect()
}

fn groups_by_name(groups: Vec<SecurityGroup>) -> HashMap<String, SecurityGroup> {
    let groups = groups.into_iter();
    groups.map(|group| (group.name.clone(), group)).collect()
}
