//! Deletes the resources of a desired state.

use std::collections::HashSet;
use std::convert::Infallible;
use std::time::Duration;

use futures::future::BoxFuture;
use serde::Serialize;

use super::approval::{Approval, Deletions};
use super::observe::Observed;
use super::progress::Progress;
use super::target::Target;
use super::{ConvergeError, Converger, protect};
use crate::capi::error::Error;
use crate::capi::model::Org;
use crate::desired::{Group, user_and_origin};
use crate::events::{Phase, StepContext};

/// The time between two counts of an org's remaining apps.
const COUNT_INTERVAL: Duration = Duration::from_secs(2);

/// The result of a deletion.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Destroyed {
    /// The deleted orgs, quotas and security groups.
    pub targets: Vec<Target>,
    /// Whether it was interrupted before everything was deleted.
    pub interrupted: bool,
    /// Unmanaged quotas and security groups, which were not deleted.
    pub kept: Vec<Target>,
    /// Orgs that do not exist, or that the user cannot see.
    pub not_found: Vec<Target>,
}

/// A quota, security group, domain or user that exists.
struct GlobalResource {
    target: Target,
    guid: String,
    is_ours: bool,
}

impl Converger {
    /// Deletes the orgs with everything in them, their quotas, the security groups, the
    /// shared domains, and the users that cf-pusher created. Feature flags are not
    /// changed.
    ///
    /// # Errors
    ///
    /// [`ConvergeError::NotOurs`] for an org without our label and
    /// [`ConvergeError::HasUnmanaged`] for an org with unmanaged apps or service
    /// instances, unless the deletion is [forced](Converger::force), and
    /// [`ConvergeError::NotApproved`] or [`ConvergeError::Declined`]. After these errors,
    /// nothing was deleted.
    pub fn destroy(&self, approval: Approval) -> BoxFuture<'_, Result<Destroyed, ConvergeError>> {
        Box::pin(async move {
            let mut destroyed = Destroyed::default();
            match self.destroy_all(&approval, &mut destroyed).await {
                Err(ConvergeError::Api(Error::Interrupted)) => destroyed.interrupted = true,
                outcome => outcome?,
            }
            Ok(destroyed)
        })
    }

    async fn destroy_all(
        &self,
        approval: &Approval,
        destroyed: &mut Destroyed,
    ) -> Result<(), ConvergeError> {
        let observed = self.observe(false).await?;
        let orgs = self.desired.orgs().iter().zip(&observed.orgs);
        let missing = orgs.filter(|(_, found)| found.org.is_none());
        let missing = missing.map(|(org, _)| Target::Org {
            name: org.name.clone(),
        });
        destroyed.not_found.extend(missing);
        let mut deletions = self.orgs_to_delete(&observed).await?;
        let global = self.global_resources(&observed).into_iter();
        let (global, kept): (Vec<_>, Vec<_>) = global.partition(|it| it.is_ours || self.forces);
        destroyed.kept = kept.into_iter().map(|it| it.target).collect();
        let targets = global.iter().map(|it| it.target.clone());
        deletions.targets.extend(targets);
        protect::check(&self.desired, deletions.targets.iter())?;
        self.approve(approval, &deletions).await?;
        let deleting = self.start_deletions(&observed, global.len());
        self.delete_orgs(&observed, &deleting, &mut destroyed.targets)
            .await?;
        for GlobalResource { target, guid, .. } in global {
            match self.delete_global(&target, &guid).await {
                Ok(()) => {
                    destroyed.targets.push(target);
                    deleting.advance(true);
                }
                // A user who cannot see the org may see its quota, but not the orgs that
                // have the quota.
                Err(error) if error.is_forbidden() && !destroyed.not_found.is_empty() => {
                    destroyed.kept.push(target);
                }
                Err(error) => return Err(error.into()),
            }
        }
        deleting.end();
        Ok(())
    }

    /// Deletes a quota, security group, domain or user.
    async fn delete_global(&self, target: &Target, guid: &str) -> Result<(), Error> {
        let what = format!("deleting the {target}");
        let phase = Some(Phase::Deletions);
        let context = StepContext::in_phase(phase, target.to_string(), "deleting");
        let delete = async {
            match target {
                Target::Quota { .. } => self.client.delete_quota(&what, guid).await,
                Target::Domain { .. } => self.client.delete_domain(&what, guid).await,
                Target::User { .. } => self.client.delete_user(&what, guid).await,
                _ => self.client.delete_security_group(&what, guid).await,
            }
        };
        self.client.events().step(context, delete).await
    }

    /// The existing orgs, with the apps and service instances in them.
    pub(super) async fn orgs_to_delete(
        &self,
        observed: &Observed,
    ) -> Result<Deletions, ConvergeError> {
        let orgs = observed.orgs.iter().filter_map(|org| org.org.as_ref());
        let guids: Vec<&str> = orgs.map(|org| org.guid.as_str()).collect();
        let services = self.client.services_of_orgs(&guids).await?;
        let owner = self.desired.owner();
        let mut deletions = Deletions::default();
        for (id, found) in observed.orgs.iter().enumerate() {
            let Some(org) = &found.org else { continue };
            if !self.forces && !org.ownership.is_of(self.desired.owner()) {
                let org = org.name.clone();
                return Err(ConvergeError::NotOurs { org });
            }
            let app = |space: &str, name: &str| Target::App {
                org: org.name.clone(),
                space: space.to_owned(),
                name: name.to_owned(),
            };
            // The resources in the org, and whether they are managed.
            let mut content: Vec<(Target, bool)> = Vec::new();
            let spaces = self.desired.spaces().zip(&observed.spaces);
            for (placed, space) in spaces.filter(|(placed, _)| placed.org_id == id) {
                let names = placed.space.groups.iter().flat_map(Group::app_names);
                let names: HashSet<String> = names.collect();
                content.extend(space.apps.iter().map(|it| {
                    let is_leftover = it.is_unlabelled_and_empty() && names.contains(&it.name);
                    let is_ours = it.ownership.is_of(owner) || is_leftover;
                    (app(&placed.space.name, &it.name), is_ours)
                }));
            }
            let others = found.other_apps.iter();
            content.extend(others.map(|it| (app(&it.space, &it.name), it.ownership.is_of(owner))));
            let space_name = |guid: &str| {
                let mut found = observed.spaces.iter().filter_map(|it| it.space.as_ref());
                let found = found.find(|space| space.guid == guid);
                found.map(|space| space.name.clone()).unwrap_or_default()
            };
            let services = services.iter().filter(|it| it.org == org.guid);
            content.extend(services.map(|service| {
                let (org, name) = (org.name.clone(), service.name.clone());
                let space = space_name(&service.space);
                let is_ours = service.ownership.is_of(owner);
                (Target::ServiceInstance { org, space, name }, is_ours)
            }));
            let unmanaged = content.iter().filter(|(_, is_ours)| !is_ours);
            let unmanaged: Vec<Target> = unmanaged.map(|(target, _)| target.clone()).collect();
            if !self.forces && !unmanaged.is_empty() {
                let org = org.name.clone();
                return Err(ConvergeError::HasUnmanaged { org, unmanaged });
            }
            let name = org.name.clone();
            deletions.targets.push(Target::Org { name });
            let content = content.into_iter().map(|(target, _)| target);
            deletions.targets.extend(content);
        }
        Ok(deletions)
    }

    /// The existing quotas, security groups, shared domains and users.
    fn global_resources(&self, observed: &Observed) -> Vec<GlobalResource> {
        let quotas = self.desired.quotas().into_iter().filter_map(|name| {
            let quota = observed.quotas.get(name)?;
            let name = name.to_owned();
            Some(GlobalResource {
                target: Target::Quota { name },
                guid: quota.guid.clone(),
                is_ours: observed.is_our_quota(quota, self.desired.limits_of(&quota.name)),
            })
        });
        let groups = self.desired.security_groups().iter().filter_map(|group| {
            let found = observed.security_groups.get(&group.name)?;
            let name = group.name.clone();
            Some(GlobalResource {
                target: Target::SecurityGroup { name },
                guid: found.guid.clone(),
                is_ours: observed.is_our_group(found, group, self.desired.owner()),
            })
        });
        let owner = self.desired.owner();
        let domains = self.desired.domains().iter().filter_map(|name| {
            let mut domains = observed.domains.iter();
            let found = domains.find(|domain| domain.name == *name)?;
            let name = name.clone();
            Some(GlobalResource {
                target: Target::Domain { name },
                guid: found.guid.clone(),
                is_ours: found.ownership.is_of(owner),
            })
        });
        // Users may have roles that are not declared here, so only users that we created
        // are deleted.
        let users = self.desired.users().iter().filter_map(|text| {
            let (name, origin) = user_and_origin(text);
            let mut users = observed.supporting.users.iter();
            let found = users.find(|user| {
                user.ownership.managed
                    && user.ownership.is_of(owner)
                    && user.name.as_deref() == Some(name)
                    && user.origin.as_deref() == origin
            })?;
            Some(GlobalResource {
                target: Target::User { name: text.clone() },
                guid: found.guid.clone(),
                is_ours: true,
            })
        });
        quotas.chain(groups).chain(domains).chain(users).collect()
    }

    /// Starts to show the deletion of the orgs that exist with their apps, and of `others`.
    pub(super) fn start_deletions(&self, observed: &Observed, others: usize) -> Progress<'_> {
        let orgs = self.orgs_with_app_counts(observed);
        let in_orgs: usize = orgs.iter().map(|(_, apps)| 1 + apps).sum();
        Progress::start(&self.client, Phase::Deletions, in_orgs + others)
    }

    /// The orgs that exist, each with the number of its apps.
    fn orgs_with_app_counts<'o>(&self, observed: &'o Observed) -> Vec<(&'o Org, usize)> {
        let orgs = observed.orgs.iter().enumerate();
        let orgs = orgs.filter_map(|(id, found)| Some((found.org.as_ref()?, id)));
        orgs.map(|(org, id)| (org, self.app_count(observed, id)))
            .collect()
    }

    /// Deletes the existing orgs.
    pub(super) async fn delete_orgs(
        &self,
        observed: &Observed,
        deleting: &Progress<'_>,
        destroyed: &mut Vec<Target>,
    ) -> Result<(), ConvergeError> {
        let orgs = self.orgs_with_app_counts(observed);
        let mut done = 0;
        for (org, apps) in orgs {
            let name = org.name.clone();
            let target = Target::Org { name };
            let what = format!("deleting the {target}");
            let phase = Some(Phase::Deletions);
            let context = StepContext::in_phase(phase, target.to_string(), "deleting");
            let delete = self.client.delete_org(&what, &org.guid);
            tokio::select! {
                deleted = self.client.events().step(context, delete) => deleted?,
                never = self.count_deleted(&org.guid, apps, done, deleting) => match never {},
            }
            done += apps + 1;
            deleting.reach(done);
            destroyed.push(target);
        }
        Ok(())
    }

    /// Reports the number of deleted apps of an org, in addition to `before`.
    async fn count_deleted(
        &self,
        org: &str,
        apps: usize,
        before: usize,
        deleting: &Progress<'_>,
    ) -> Infallible {
        loop {
            if self.client.pause(COUNT_INTERVAL).await.is_err() {
                return std::future::pending().await;
            }
            // The deletion itself reports the error.
            if let Ok(left) = self.client.app_count_of_org(org).await {
                deleting.reach(before + apps.saturating_sub(left));
            }
        }
    }

    /// The number of apps in an org.
    fn app_count(&self, observed: &Observed, org_id: usize) -> usize {
        let spaces = self.desired.spaces().zip(&observed.spaces);
        let of_org = spaces.filter(|(placed, _)| placed.org_id == org_id);
        let others = observed.orgs.get(org_id);
        of_org.map(|(_, space)| space.apps.len()).sum::<usize>()
            + others.map_or(0, |org| org.other_apps.len())
    }

    /// Asks for approval, if there is anything to delete.
    pub(super) async fn approve(
        &self,
        approval: &Approval,
        deletions: &Deletions,
    ) -> Result<(), ConvergeError> {
        if deletions.is_empty() {
            return Ok(());
        }
        let deletions = deletions.clone();
        match approval {
            Approval::All => Ok(()),
            Approval::MaxDeletes(most) if deletions.count() <= *most => Ok(()),
            Approval::MaxDeletes(most) => Err(ConvergeError::NotApproved {
                deletions,
                most: Some(*most),
            }),
            Approval::None => Err(ConvergeError::NotApproved {
                deletions,
                most: None,
            }),
            Approval::Ask(question) => {
                let (question, asked) = (question.clone(), deletions.clone());
                let answer = tokio::task::spawn_blocking(move || question(&asked));
                // A question that panics counts as declined.
                match self.client.unless_interrupted(answer).await? {
                    Ok(true) => Ok(()),
                    Ok(false) | Err(_) => Err(ConvergeError::Declined { deletions }),
                }
            }
        }
    }
}
