//! Carries out the part of a plan that all apps need: org, quota, space and
//! security group, as much at once as there is no need to wait for.

use std::sync::Arc;

use futures::future::join_all;

use super::progress::Progress;
use super::{Failure, unknown};
use crate::capi::client::Client;
use crate::capi::error::Error;
use crate::capi::inventory::Inventory;
use crate::converge::plan::{Plan, ResourcePlan, Step};
use crate::converge::target::Target;
use crate::desired::Desired;
use crate::events::{Phase, StepContext};

/// Makes the org and what it needs, wave after wave; returns the space's GUID.
pub(super) async fn apply_foundation(
    client: &Client,
    desired: &Desired,
    observed: &Inventory,
    plan: &Plan,
) -> Result<String, Vec<Failure>> {
    let mut foundation = Foundation {
        client,
        desired,
        quota: observed.quota.as_ref().map(|it| it.guid.clone()),
        org: observed.org.as_ref().map(|it| it.guid.clone()),
        space: observed.space.as_ref().map(|it| it.guid.clone()),
        group: observed.security_group.as_ref().map(|it| it.guid.clone()),
    };
    let parts = plan.resources.iter().filter(|part| !part.target.is_app());
    let steps: Vec<(&ResourcePlan, &Step)> = parts
        .flat_map(|part| part.steps.iter().map(move |step| (part, step)))
        .collect();
    let progress = Progress::start(client, Phase::Foundation, steps.len());
    for wave in Step::WAVES {
        let of_wave = steps.iter().filter(|(_, step)| wave.contains(step));
        let taken = join_all(of_wave.map(|(part, step)| {
            let (foundation, progress) = (&foundation, &progress);
            async move {
                let subject = StepContext::new(part.target.to_string(), step.to_string());
                let taken = foundation.take(step);
                let outcome = client.events().step(Arc::clone(&subject), taken).await;
                let outcome = outcome.map_err(|error| Failure::new(&part.target, &subject, error));
                progress.advance();
                (*step, outcome)
            }
        }));
        let mut failures = Vec::new();
        for (step, outcome) in taken.await {
            match outcome {
                Ok(guid) => foundation.note(step, guid),
                Err(failure) => failures.push(failure),
            }
        }
        if !failures.is_empty() {
            return Err(failures);
        }
    }
    progress.end();
    foundation.space.ok_or_else(|| {
        vec![Failure {
            target: Target::Space {
                org: desired.names.org.clone(),
                name: desired.names.space.clone(),
            },
            step: "finding the space".to_owned(),
            error: unknown("space"),
        }]
    })
}

struct Foundation<'a> {
    client: &'a Client,
    desired: &'a Desired,
    quota: Option<String>,
    org: Option<String>,
    space: Option<String>,
    group: Option<String>,
}

impl Foundation<'_> {
    /// Takes a step; returns the GUID of what it made.
    async fn take(&self, step: &Step) -> Result<Option<String>, Error> {
        let dialect = self.client.dialect();
        let names = &self.desired.names;
        let prefix = &self.desired.prefix;
        let rules = &self.desired.rules;
        let known = |guid: &Option<String>, what| guid.clone().ok_or_else(|| unknown(what));
        let made = match step {
            Step::CreateQuota => dialect.create_quota(&names.quota),
            Step::CreateOrg => dialect.create_org(&names.org, prefix),
            Step::CreateSecurityGroup => {
                dialect.create_security_group(&names.security_group, rules)
            }
            Step::CreateSpace => {
                let org = known(&self.org, "org")?;
                dialect.create_space(&names.space, &org, prefix)
            }
            Step::AssignQuota => {
                let (quota, org) = (known(&self.quota, "quota")?, known(&self.org, "org")?);
                self.client
                    .send(&dialect.assign_quota(&quota, &org))
                    .await?;
                return Ok(None);
            }
            Step::UpdateSecurityGroup => {
                let group = known(&self.group, "security group")?;
                let request = dialect.update_security_group(&group, rules);
                self.client.send(&request).await?;
                return Ok(None);
            }
            Step::BindSecurityGroup => {
                let group = known(&self.group, "security group")?;
                let space = known(&self.space, "space")?;
                let request = dialect.bind_security_group(&group, &space);
                self.client.send(&request).await?;
                return Ok(None);
            }
            _ => return Ok(None),
        };
        self.client.create(&made).await.map(Some)
    }

    /// Keeps what a step made for those that follow.
    fn note(&mut self, step: &Step, guid: Option<String>) {
        match step {
            Step::CreateQuota => self.quota = guid,
            Step::CreateOrg => self.org = guid,
            Step::CreateSpace => self.space = guid,
            Step::CreateSecurityGroup => self.group = guid,
            _ => {}
        }
    }
}
