//! Assigns listed resources to the desired orgs and spaces.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::App;
use super::differences::names_in;
use super::{Observed, ObservedOrg, ObservedSpace, OtherApp};
use crate::capi::error::Error;
use crate::capi::model::{Org, Space};
use crate::desired::Desired;

impl Observed {
    /// Whether the droplets of all desired apps have the hash of their bits.
    pub(super) fn account_for_packages(&self, desired: &Desired) -> bool {
        let mut spaces = desired.spaces().zip(&self.spaces);
        spaces.all(|(placed, space)| {
            let names: HashSet<String> = names_in(&placed).collect();
            let owner = desired.owner();
            // An app that looks like a leftover of ours has no package.
            let is_ours = |app: &&App| names.contains(&app.name) || app.may_be_leftover_of(owner);
            let mut apps = space.apps.iter().filter(is_ours);
            apps.all(App::accounts_for_packages)
        })
    }

    /// Assigns the resources to the desired orgs and spaces.
    pub(super) fn arrange(
        &mut self,
        desired: &Desired,
        orgs: Vec<Org>,
        spaces: Vec<Space>,
        apps: Vec<App>,
    ) -> Result<(), Error> {
        for wanted in desired.orgs() {
            let org = orgs.iter().find(|org| org.name == wanted.name).cloned();
            let apps_domain = match desired.needs_apps_domain() || desired.apps_domain().is_some() {
                true => self.domain_of(desired, org.as_ref())?,
                false => String::new(),
            };
            self.orgs.push(ObservedOrg {
                org,
                apps_domain,
                other_apps: Vec::new(),
            });
        }
        let mut by_space: BTreeMap<String, Vec<App>> = BTreeMap::new();
        for app in apps {
            by_space.entry(app.space.clone()).or_default().push(app);
        }
        let by_guid: HashMap<&str, &Space> = spaces
            .iter()
            .map(|space| (space.guid.as_str(), space))
            .collect();
        for placed in desired.spaces() {
            let org = self
                .orgs
                .get(placed.org_id)
                .and_then(|org| org.org.as_ref());
            let space = org.and_then(|org| {
                let mut spaces = spaces.iter();
                spaces.find(|space| space.org == org.guid && space.name == placed.space.name)
            });
            let apps = space.and_then(|space| by_space.remove(&space.guid));
            self.spaces.push(ObservedSpace {
                space: space.cloned(),
                apps: apps.unwrap_or_default(),
                ..ObservedSpace::default()
            });
        }
        for (space, apps) in by_space {
            let space = by_guid.get(space.as_str());
            let org = space.map(|space| space.org.as_str());
            let only = self.orgs.len() == 1;
            let mut orgs = self.orgs.iter_mut();
            let org = orgs.find(|it| only || it.org.as_ref().map(|org| org.guid.as_str()) == org);
            if let Some(org) = org {
                let space = space.map(|space| space.name.as_str()).unwrap_or_default();
                org.other_apps.extend(apps.into_iter().map(|app| OtherApp {
                    name: app.name,
                    space: space.to_owned(),
                    ownership: app.ownership,
                }));
            }
        }
        Ok(())
    }

    /// The domain of the apps of an org: the desired domain, the first shared domain, or
    /// the org's private domain.
    fn domain_of(&self, desired: &Desired, org: Option<&Org>) -> Result<String, Error> {
        // A desired domain may not exist yet.
        if let Some(name) = desired
            .apps_domain()
            .filter(|name| desired.has_domain(name))
        {
            return Ok(name.to_owned());
        }
        let org = org.map(|org| org.guid.as_str());
        let mut domains = self.domains.iter();
        let found = match desired.apps_domain() {
            Some(name) => domains.find(|domain| domain.name == name),
            None => {
                let apps = self.domains.iter().filter(|domain| domain.is_for_apps);
                let mut shared = apps.clone().filter(|domain| domain.owner.is_none());
                let mut own = apps.filter(|domain| org.is_some() && domain.owner.as_deref() == org);
                shared.next().or_else(|| own.next())
            }
        };
        let found = found.ok_or_else(|| no_domain(desired.apps_domain()))?;
        Ok(found.name.clone())
    }
}

fn no_domain(name: Option<&str>) -> Error {
    let reason = match name {
        Some(name) => format!("the foundation has no domain {name}"),
        None => "the foundation has no shared domain".to_owned(),
    };
    Error::impossible("finding the domain of the apps' routes", reason)
}
