//! What is to be done about the org, quota, space and security group.

use super::{Action, Change, ResourcePlan, Step};
use crate::capi::inventory::{Inventory, Rule};
use crate::converge::target::Target;
use crate::desired::Desired;

pub(super) fn foundation(desired: &Desired, observed: &Inventory) -> Vec<ResourcePlan> {
    let quota_guid = observed.quota.as_ref().map(|quota| quota.guid.as_str());
    let mut quota = ResourcePlan::new(
        Target::Quota {
            name: desired.names.quota.clone(),
        },
        quota_guid.is_some(),
    );
    // The limits of one that is there are somebody's wish, and stay.
    if quota_guid.is_none() {
        quota.steps.push(Step::CreateQuota);
    }
    let mut org = ResourcePlan::new(
        Target::Org {
            name: desired.names.org.clone(),
        },
        observed.org.is_some(),
    );
    match &observed.org {
        None => org.steps.extend([Step::CreateOrg, Step::AssignQuota]),
        Some(found) if quota_guid.is_none() || found.quota.as_deref() != quota_guid => {
            let change = Change::new("quota", "another", &desired.names.quota);
            org.change(change, Step::AssignQuota);
        }
        Some(_) => {}
    }
    let mut space = ResourcePlan::new(
        Target::Space {
            org: desired.names.org.clone(),
            name: desired.names.space.clone(),
        },
        observed.space.is_some(),
    );
    if observed.space.is_none() {
        space.steps.push(Step::CreateSpace);
    }
    vec![quota, org, space, security_group(desired, observed)]
}

fn security_group(desired: &Desired, observed: &Inventory) -> ResourcePlan {
    let found = observed.security_group.as_ref();
    let name = desired.names.security_group.clone();
    let mut plan = ResourcePlan::new(Target::SecurityGroup { name }, found.is_some());
    let Some(found) = found else {
        plan.steps
            .extend([Step::CreateSecurityGroup, Step::BindSecurityGroup]);
        return plan;
    };
    if sorted(&found.rules) != sorted(&desired.rules) {
        let old = match found.rules.len() {
            count if count == desired.rules.len() => "other rules".to_owned(),
            count => count.to_string(),
        };
        let change = Change::new("rules", old, desired.rules.len());
        plan.change(change, Step::UpdateSecurityGroup);
    }
    let space = observed.space.as_ref();
    if !space.is_some_and(|space| found.spaces.contains(&space.guid)) {
        let change = Change::new("binding", "none", &desired.names.space);
        plan.change(change, Step::BindSecurityGroup);
    }
    plan
}

fn sorted(rules: &[Rule]) -> Vec<&Rule> {
    let mut rules: Vec<&Rule> = rules.iter().collect();
    rules.sort();
    rules
}

impl ResourcePlan {
    fn new(target: Target, exists: bool) -> Self {
        Self {
            target,
            action: if exists {
                Action::Unchanged
            } else {
                Action::Create
            },
            changes: Vec::new(),
            steps: Vec::new(),
            app: None,
        }
    }

    fn change(&mut self, change: Change, step: Step) {
        self.action = Action::Change;
        self.changes.push(change);
        self.steps.push(step);
    }
}
