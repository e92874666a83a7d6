//! Deletes what a desired state has created.

use serde::Serialize;

use super::approval::{Approval, Deletions};
use super::observe::Observed;
use super::target::Target;
use super::{ConvergeError, Converger};
use crate::capi::error::Error;

/// What a deletion deleted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Destroyed {
    /// What is gone now: orgs, quotas, security groups.
    pub targets: Vec<Target>,
    /// Whether it was interrupted before all was deleted.
    pub interrupted: bool,
}

impl Converger {
    /// Deletes the orgs with all that is in them, their quotas and the security
    /// groups.
    ///
    /// # Errors
    /// [`ConvergeError::NotOurs`] for an org without our label, unless it is
    /// [forced](Converger::force), and [`ConvergeError::NotApproved`]. Nothing is
    /// deleted then.
    pub async fn destroy(&self, approval: Approval) -> Result<Destroyed, ConvergeError> {
        let mut destroyed = Destroyed::default();
        match self.destroy_all(&approval, &mut destroyed.targets).await {
            Err(ConvergeError::Api(Error::Interrupted)) => destroyed.interrupted = true,
            outcome => outcome?,
        }
        Ok(destroyed)
    }

    async fn destroy_all(
        &self,
        approval: &Approval,
        destroyed: &mut Vec<Target>,
    ) -> Result<(), ConvergeError> {
        let observed = self.observe(false).await?;
        let mut deletions = self.orgs_to_delete(&observed)?;
        let beside = self.to_delete_beside_orgs(&observed);
        let targets = beside.iter().map(|(target, _)| target.clone());
        deletions.targets.extend(targets);
        self.approve(approval, &deletions).await?;
        self.delete_orgs(&observed, destroyed).await?;
        for (target, guid) in beside {
            let what = format!("deleting the {target}");
            match target {
                Target::Quota { .. } => self.client.delete_quota(&what, &guid).await?,
                _ => self.client.delete_security_group(&what, &guid).await?,
            }
            destroyed.push(target);
        }
        Ok(())
    }

    /// The orgs that exist and the apps in them.
    pub(super) fn orgs_to_delete(&self, observed: &Observed) -> Result<Deletions, ConvergeError> {
        let mut deletions = Deletions::default();
        for (id, found) in observed.orgs.iter().enumerate() {
            let Some(org) = &found.org else { continue };
            if !self.forces && !org.ownership.is_of(self.desired.owner()) {
                let org = org.name.clone();
                return Err(ConvergeError::NotOurs { org });
            }
            let name = org.name.clone();
            deletions.targets.push(Target::Org { name });
            let app = |space: &str, name: &str| Target::App {
                org: org.name.clone(),
                space: space.to_owned(),
                name: name.to_owned(),
            };
            let spaces = self.desired.spaces().zip(&observed.spaces);
            for (placed, space) in spaces.filter(|(placed, _)| placed.org_id == id) {
                let apps = space.apps.iter();
                let apps = apps.map(|it| app(&placed.space.name, &it.name));
                deletions.targets.extend(apps);
            }
            let others = found.other_apps.iter();
            let others = others.map(|it| app(&it.space, &it.name));
            deletions.targets.extend(others);
        }
        Ok(deletions)
    }

    /// The quotas and security groups that exist, with their GUIDs.
    fn to_delete_beside_orgs(&self, observed: &Observed) -> Vec<(Target, String)> {
        let quotas = self.desired.quotas().into_iter().filter_map(|name| {
            let guid = observed.quotas.get(name)?.clone();
            let name = name.to_owned();
            Some((Target::Quota { name }, guid))
        });
        let groups = self.desired.security_groups().iter().filter_map(|group| {
            let guid = observed.security_groups.get(&group.name)?.guid.clone();
            let name = group.name.clone();
            Some((Target::SecurityGroup { name }, guid))
        });
        quotas.chain(groups).collect()
    }

    /// Deletes the orgs that exist.
    pub(super) async fn delete_orgs(
        &self,
        observed: &Observed,
        destroyed: &mut Vec<Target>,
    ) -> Result<(), ConvergeError> {
        for org in observed.orgs.iter().filter_map(|org| org.org.as_ref()) {
            let what = format!("deleting the org {}", org.name);
            self.client.delete_org(&what, &org.guid).await?;
            let name = org.name.clone();
            destroyed.push(Target::Org { name });
        }
        Ok(())
    }

    /// Has deletions approved, if there are any.
    pub(super) async fn approve(
        &self,
        approval: &Approval,
        deletions: &Deletions,
    ) -> Result<(), ConvergeError> {
        let count = deletions.count();
        let is_approved = deletions.is_empty()
            || match approval {
                Approval::None => false,
                Approval::MaxDeletes(most) => count <= *most,
                Approval::All => true,
                Approval::Ask(question) => {
                    let (question, asked) = (question.clone(), deletions.clone());
                    let answer = tokio::task::spawn_blocking(move || question(&asked));
                    // A question that panics was not answered.
                    let answer = self.client.unless_interrupted(answer).await?;
                    answer.unwrap_or(false)
                }
            };
        if is_approved {
            return Ok(());
        }
        Err(ConvergeError::NotApproved {
            deletions: deletions.clone(),
            most: match approval {
                Approval::MaxDeletes(most) => Some(*most),
                _ => None,
            },
        })
    }
}
