//! Determines which orgs and spaces are ours.

use std::collections::{BTreeSet, HashMap};

use futures::try_join;

use super::{Observed, ObservedOrg};
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::desired::Desired;

impl Observed {
    /// In 2017, orgs had no labels. An org is ours if it has our quota, or if all of its
    /// apps are ours. The spaces of such an org are also ours.
    pub(super) fn infer_ownership(&mut self, desired: &Desired) {
        for (id, wanted) in desired.orgs().iter().enumerate() {
            let spaces = desired.spaces().zip(&self.spaces);
            let mut apps = spaces
                .filter(|(placed, _)| placed.org_id == id)
                .flat_map(|(_, space)| &space.apps);
            let are_ours = apps.all(|app| app.ownership.managed);
            let quota = wanted.quota.as_ref().and_then(|name| self.quotas.get(name));
            let Some(ObservedOrg {
                org: Some(org),
                other_apps,
                ..
            }) = self.orgs.get_mut(id)
            else {
                continue;
            };
            let has_ours = quota.is_some_and(|it| org.quota.as_ref() == Some(&it.guid));
            let is_ours = has_ours || (are_ours && other_apps.is_empty());
            org.ownership.managed = is_ours;
            let spaces = desired.spaces().zip(&mut self.spaces);
            for (_, space) in spaces.filter(|(placed, _)| placed.org_id == id) {
                if let Some(space) = &mut space.space {
                    space.ownership.managed = is_ours;
                }
            }
        }
    }

    /// Records which orgs and spaces are ours, including those that are not desired but
    /// that a desired quota or security group applies to.
    pub(super) async fn find_managed(&mut self, client: &Client) -> Result<(), Error> {
        let orgs = self.orgs.iter().filter_map(|it| it.org.as_ref());
        let spaces = self.spaces.iter().filter_map(|it| it.space.as_ref());
        let known: HashMap<&str, bool> = orgs
            .map(|org| (org.guid.as_str(), org.ownership.managed))
            .chain(spaces.map(|space| (space.guid.as_str(), space.ownership.managed)))
            .collect();
        let quotas = self.quotas.values().flat_map(|quota| &quota.orgs);
        let other_orgs = unknown(quotas, &known);
        let groups = self.security_groups.values();
        let groups =
            groups.flat_map(|group| group.running_spaces.iter().chain(&group.staging_spaces));
        let other_spaces = unknown(groups, &known);
        let (orgs, spaces) = try_join!(
            client.orgs_by_guids(&other_orgs),
            client.spaces_by_guids(&other_spaces),
        )?;
        let orgs = orgs.into_iter().map(|org| (org.guid, org.ownership));
        let spaces = spaces
            .into_iter()
            .map(|space| (space.guid, space.ownership));
        let others = orgs.chain(spaces).filter(|(_, it)| it.managed);
        let known = known.iter().filter(|(_, managed)| **managed);
        self.managed = known
            .map(|(guid, _)| (*guid).to_owned())
            .chain(others.map(|(guid, _)| guid))
            .collect();
        Ok(())
    }
}

/// The GUIDs that are not in `known`, without duplicates and in order.
fn unknown<'a>(
    guids: impl Iterator<Item = &'a String>,
    known: &HashMap<&str, bool>,
) -> Vec<&'a str> {
    let guids = guids.map(String::as_str);
    let unknown: BTreeSet<&str> = guids.filter(|guid| !known.contains_key(guid)).collect();
    unknown.into_iter().collect()
}
