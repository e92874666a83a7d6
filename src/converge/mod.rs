//! Converges a foundation to a desired state: observes, plans and applies, until there is
//! nothing to do and all instances run.
//!
//! The foundation is the only state. The next run observes and finishes the work of an
//! interrupted run.

mod app_records;
mod apply;
pub(crate) mod approval;
mod bits;
mod compare;
mod destroy;
mod end_event;
mod error;
pub(crate) mod failure;
pub(crate) mod observe;
pub(crate) mod outcome;
pub(crate) mod plan;
mod progress;
mod protect;
mod run;
pub(crate) mod saved_plan;
pub(crate) mod selection;
mod supported;
pub(crate) mod target;
#[cfg(test)]
mod tests;
pub(crate) mod verify;
mod wait;

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::sync::OnceCell;

use crate::capi::client::Client;
use crate::capi::dialect::Dialect;
use crate::capi::error::Error;
use crate::desired::{Desired, PlacedGroup};
use crate::events::Event;
use crate::manifest::entry::BY_REQUESTS;
use approval::Approval;
use bits::GroupBits;
use observe::Observed;
use outcome::Outcome;
use plan::{Plan, Workflow};
use run::Run;
use saved_plan::SavedPlan;
use selection::Selection;
use verify::Drift;

pub use bits::GroupBitsError;
pub use destroy::Destroyed;
pub use error::ConvergeError;
pub use protect::ProtectedTarget;

/// The number of observations while the foundation changes.
const MAX_OBSERVATIONS: usize = 3;

/// The default number of apps in a manifest.
pub(crate) const DEFAULT_BATCH: usize = 100;

/// Converges a foundation to a desired state.
///
/// A converger is cheap to clone, and can be moved to another task.
#[derive(Debug, Clone)]
pub struct Converger {
    client: Client,
    desired: Arc<Desired>,
    /// Set when the bits are read for the first time.
    bits: Arc<OnceCell<Vec<GroupBits>>>,
    workflow: Workflow,
    batch: usize,
    recreates: bool,
    forces: bool,
    adopts: bool,
    prunes: bool,
    /// The selected groups. `None` selects all.
    only: Option<Arc<Selection>>,
    /// The plan to follow, if any.
    follows: Option<Arc<SavedPlan>>,
}

/// An observation and the resulting plan.
struct ObservedPlan {
    observed: Observed,
    plan: Plan,
}

impl Converger {
    /// Creates a converger that converges a foundation to `desired`.
    ///
    /// Apps are created by manifests with up to 100 apps each. The API of 2017 has no
    /// manifests, so each app is created by separate requests there.
    pub fn new(client: Client, desired: Desired) -> Self {
        Self {
            workflow: match client.dialect() {
                Dialect::V3 => Workflow::Manifest,
                Dialect::Documented2017 => Workflow::PerApp,
            },
            client,
            desired: Arc::new(desired),
            bits: Arc::default(),
            batch: DEFAULT_BATCH,
            recreates: false,
            forces: false,
            adopts: false,
            prunes: false,
            only: None,
            follows: None,
        }
    }

    /// Creates each app by separate requests instead of manifests.
    #[must_use]
    pub fn per_app(self) -> Self {
        let workflow = Workflow::PerApp;
        Self { workflow, ..self }
    }

    /// Limits the number of apps in a manifest, at least 1.
    #[must_use]
    pub fn batch(self, apps: usize) -> Self {
        let batch = apps.max(1);
        Self { batch, ..self }
    }

    /// Makes [`Converger::converge`] delete the orgs with everything in them first.
    #[must_use]
    pub fn recreate(self, recreates: bool) -> Self {
        Self { recreates, ..self }
    }

    /// Makes [`Converger::converge`] take over unmanaged orgs, spaces, apps, quotas and
    /// security groups that have the names of desired ones. Resources that can have
    /// labels get ours.
    #[must_use]
    pub fn adopt(self, adopts: bool) -> Self {
        Self { adopts, ..self }
    }

    /// Makes [`Converger::converge`] also delete resources that have our label and the
    /// owner of the desired state, but are no longer part of it: orgs and spaces with
    /// everything in them, service instances, domains and users. An org or space with
    /// unmanaged resources is not deleted. The error is [`ConvergeError::Occupied`].
    ///
    /// A resource that cannot have a label is deleted if everything that it belongs to is
    /// managed: network policies and routes of managed apps, roles of managed users in
    /// managed orgs and spaces, quotas whose orgs or spaces are deleted or get another
    /// quota in this run, and security groups of managed spaces. A desired security group
    /// is unbound from managed spaces that do not list it. Feature flags, and resources
    /// that do not belong to any other resource, are kept.
    ///
    /// The plan lists these deletions, and they need approval like the deletions of apps.
    #[must_use]
    pub fn prune(self, prunes: bool) -> Self {
        Self { prunes, ..self }
    }

    /// Makes [`Converger::destroy`] also delete unmanaged resources: the orgs with the
    /// apps and service instances in them, the quotas and the security groups.
    #[must_use]
    pub fn force(self, forces: bool) -> Self {
        Self { forces, ..self }
    }

    /// Restricts the run to some groups. Apps of other groups are neither changed nor
    /// deleted, and their drift is not reported. The name of a group is its name in the
    /// desired state without `{i}`, with or without the owner's prefix.
    ///
    /// # Errors
    ///
    /// [`ConvergeError::UnknownGroup`] if the desired state has no group of that name.
    pub fn only<G: Into<String>>(
        self,
        groups: impl IntoIterator<Item = G>,
    ) -> Result<Self, ConvergeError> {
        let names: Vec<String> = groups.into_iter().map(Into::into).collect();
        let only = Some(Arc::new(Selection::of(&self.desired, &names)?));
        Ok(Self { only, ..self })
    }

    /// The changes that [`Converger::converge`] would make. Sends no writes.
    ///
    /// # Errors
    ///
    /// An error if the foundation cannot be observed, bits cannot be read, the API of the
    /// foundation does not support a desired property, or the plan would change
    /// [protected](Desired::protected) resources.
    pub fn plan(&self) -> BoxFuture<'_, Result<Plan, ConvergeError>> {
        Box::pin(async move {
            let bits = self.prepare().await?;
            let ObservedPlan { observed, plan } = self.observe_and_plan(bits, false).await?;
            protect::check_plan(&self.desired, &plan)?;
            self.check_observed(&observed)?;
            Ok(plan)
        })
    }

    /// All drift from the desired state. Sends no writes.
    ///
    /// # Errors
    ///
    /// The same errors as [`Converger::plan`].
    pub fn verify(&self) -> BoxFuture<'_, Result<Vec<Drift>, ConvergeError>> {
        Box::pin(async move {
            let bits = self.prepare().await?;
            let seen = self.observe_and_plan(bits, false).await?;
            Ok(self.drift_of(&seen.observed, &seen.plan))
        })
    }

    /// Applies the desired state, and waits until all instances run.
    ///
    /// `approval` decides about deletions. A run that would delete more than approved
    /// sends no write. If a later round would delete apps that the first plan did not
    /// list, the run stops, and each such app is a failure.
    ///
    /// # Errors
    ///
    /// The errors of [`Converger::plan`], [`ConvergeError::NotApproved`],
    /// [`ConvergeError::Declined`] and [`ConvergeError::Unmanaged`]. Failures of single
    /// apps are in the [`Outcome`].
    pub fn converge(&self, approval: Approval) -> BoxFuture<'_, Result<Outcome, ConvergeError>> {
        Box::pin(async move {
            let outcome = self.converge_all(approval).await;
            let (counts, error) = match &outcome {
                Ok(outcome) if outcome.interrupted => (outcome, Some("interrupted".to_owned())),
                Ok(outcome) => (outcome, None),
                Err(error) => (&Outcome::default(), Some(error.to_string())),
            };
            self.client.events().emit(Event::ConvergeEnded {
                changed: counts.changed(),
                unchanged: counts.unchanged(),
                failed: counts.failed(),
                error,
                resources: end_event::resources(counts),
            });
            outcome
        })
    }

    async fn converge_all(&self, approval: Approval) -> Result<Outcome, ConvergeError> {
        let bits = self.prepare().await?;
        Run::new(self, bits, approval).outcome().await
    }

    /// Reads the bits once, and refuses properties that the foundation does not support.
    async fn prepare(&self) -> Result<&[GroupBits], ConvergeError> {
        supported::check(&self.desired, self.client.dialect())?;
        if self.client.dialect() == Dialect::Documented2017 {
            check_properties(&self.desired)?;
        }
        let bits = self.bits.get_or_try_init(|| bits::read(&self.desired));
        Ok(bits.await?)
    }

    /// Observes the foundation and plans. Reads all packages if `packages` is set, or if
    /// the plan removes the annotations without which packages must be read.
    async fn observe_and_plan(
        &self,
        bits: &[GroupBits],
        packages: bool,
    ) -> Result<ObservedPlan, Error> {
        let observed = self.observe(packages).await?;
        let plan = self.plan_of(bits, &observed);
        if packages || !plan.removes_bits_hash() {
            return Ok(ObservedPlan { observed, plan });
        }
        let observed = self.observe(true).await?;
        let plan = self.plan_of(bits, &observed);
        Ok(ObservedPlan { observed, plan })
    }

    fn plan_of(&self, bits: &[GroupBits], observed: &Observed) -> Plan {
        let hashes: Vec<String> = bits.iter().map(|bits| bits.sha256().to_owned()).collect();
        let mut plan = plan::plan(&self.desired, &hashes, observed, self.workflow);
        if let Some(only) = &self.only {
            only.keep_in_plan(&self.desired, &mut plan);
        }
        plan
    }

    /// The drift from the desired state.
    fn drift_of(&self, observed: &Observed, plan: &Plan) -> Vec<Drift> {
        let mut drift = verify::verify(&self.desired, observed, plan);
        if let Some(only) = &self.only {
            only.keep_in_drift(&self.desired, plan, &mut drift);
        }
        drift
    }

    async fn observe_once(&self, packages: bool) -> Result<Observed, Error> {
        let (client, desired) = (&self.client, &self.desired);
        let mut observed = observe::observe(client, desired, packages).await?;
        if self.prunes {
            observe::add_surplus(client, desired, &mut observed).await?;
        }
        Ok(observed)
    }

    async fn observe(&self, packages: bool) -> Result<Observed, Error> {
        let mut observations = 1;
        loop {
            match self.observe_once(packages).await {
                // A listed resource may be deleted before the next request reads it.
                Err(error) if error.is_conflict() && observations < MAX_OBSERVATIONS => {
                    observations += 1;
                }
                outcome => return outcome,
            }
        }
    }

    /// Refuses properties that the foundation would refuse, and deletions of orgs and
    /// spaces that contain unmanaged resources.
    fn check_observed(&self, observed: &Observed) -> Result<(), ConvergeError> {
        supported::check_observed(&self.desired, observed)?;
        let surplus = observed.surplus.resources.iter();
        let mut occupied = surplus.filter(|resource| !resource.unmanaged.is_empty());
        match occupied.next() {
            None => Ok(()),
            Some(resource) => Err(ConvergeError::Occupied {
                target: resource.target.clone(),
                unmanaged: resource.unmanaged.clone(),
            }),
        }
    }
}

/// Refuses properties that the API of 2017 does not support.
fn check_properties(desired: &Desired) -> Result<(), ConvergeError> {
    for PlacedGroup { group, .. } in desired.groups() {
        let is_known = |property: &&str| {
            BY_REQUESTS.contains(property) || ["env", "routes"].contains(property)
        };
        let refused = |property: &str| ConvergeError::Property {
            group: group.name.clone(),
            property: property.to_owned(),
        };
        let mut properties = group.entry.properties();
        if let Some(property) = properties.find(|property| !is_known(property)) {
            return Err(refused(property));
        }
        let has_more = group.entry.beyond_requests().is_some();
        if has_more {
            return Err(refused("routes with protocol or options"));
        }
    }
    Ok(())
}
