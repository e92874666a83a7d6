//! What is to be done about the org, quota, space and security group.

use super::{Action, Difference, FoundationPlan, FoundationStep};
use crate::capi::inventory::{Inventory, Rule};
use crate::desired::Desired;

pub(super) fn foundation(desired: &Desired, observed: &Inventory) -> Vec<FoundationPlan> {
    let quota_guid = observed.quota.as_ref().map(|quota| quota.guid.as_str());
    let mut quota = FoundationPlan::new("quota", &desired.names.quota, quota_guid.is_some());
    // The limits of one that is there are somebody's wish, and stay.
    if quota_guid.is_none() {
        quota.steps.push(FoundationStep::CreateQuota);
    }
    let mut org = FoundationPlan::new("org", &desired.names.org, observed.org.is_some());
    match &observed.org {
        None => org
            .steps
            .extend([FoundationStep::CreateOrg, FoundationStep::AssignQuota]),
        Some(found) if quota_guid.is_none() || found.quota.as_deref() != quota_guid => {
            let difference = Difference::new("quota", "another", &desired.names.quota);
            org.change(difference, FoundationStep::AssignQuota);
        }
        Some(_) => {}
    }
    let mut space = FoundationPlan::new("space", &desired.names.space, observed.space.is_some());
    if observed.space.is_none() {
        space.steps.push(FoundationStep::CreateSpace);
    }
    vec![quota, org, space, security_group(desired, observed)]
}

fn security_group(desired: &Desired, observed: &Inventory) -> FoundationPlan {
    let found = observed.security_group.as_ref();
    let name = &desired.names.security_group;
    let mut plan = FoundationPlan::new("security group", name, found.is_some());
    let Some(found) = found else {
        plan.steps.extend([
            FoundationStep::CreateSecurityGroup,
            FoundationStep::BindSecurityGroup,
        ]);
        return plan;
    };
    if sorted(&found.rules) != sorted(&desired.rules) {
        let old = match found.rules.len() {
            count if count == desired.rules.len() => "other rules".to_owned(),
            count => count.to_string(),
        };
        let difference = Difference::new("rules", old, desired.rules.len());
        plan.change(difference, FoundationStep::UpdateSecurityGroup);
    }
    let space = observed.space.as_ref();
    if !space.is_some_and(|space| found.spaces.contains(&space.guid)) {
        let difference = Difference::new("binding", "none", &desired.names.space);
        plan.change(difference, FoundationStep::BindSecurityGroup);
    }
    plan
}

fn sorted(rules: &[Rule]) -> Vec<&Rule> {
    let mut rules: Vec<&Rule> = rules.iter().collect();
    rules.sort();
    rules
}

impl FoundationPlan {
    fn new(kind: &'static str, name: &str, exists: bool) -> Self {
        Self {
            kind,
            name: name.to_owned(),
            action: if exists {
                Action::Unchanged
            } else {
                Action::Create
            },
            differences: Vec::new(),
            steps: Vec::new(),
        }
    }

    fn change(&mut self, difference: Difference, step: FoundationStep) {
        self.action = Action::Change;
        self.differences.push(difference);
        self.steps.push(step);
    }
}
