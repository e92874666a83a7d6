//! Makes a foundation what is desired: observe, plan, apply, and again until there
//! is nothing to do and every instance runs.
//!
//! The foundation is the only state. Whatever a run leaves undone, the next
//! one observes and finishes.

mod apply;
pub(crate) mod approval;
mod bits;
mod compare;
mod destroy;
mod ended;
pub(crate) mod observe;
pub(crate) mod only;
pub(crate) mod outcome;
pub(crate) mod plan;
mod progress;
mod protect;
mod run;
pub(crate) mod saved;
mod supported;
pub(crate) mod target;
#[cfg(test)]
mod tests;
pub(crate) mod verify;
mod wait;

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::sync::OnceCell;

use approval::{Approval, Deletions};
use bits::GroupBits;
pub use bits::GroupBitsError;
pub use destroy::Destroyed;
use observe::Observed;
use only::Selection;
use outcome::Outcome;
use plan::{Plan, Workflow};
pub use protect::ProtectedTarget;
use run::Run;
use saved::SavedPlan;
use target::Target;
use verify::Drift;

use crate::capi::client::Client;
use crate::capi::dialect::Dialect;
use crate::capi::error::Error;
use crate::desired::{Desired, PlacedGroup};
use crate::events::Event;
use crate::manifest::entry::BY_REQUESTS;

/// How often the foundation is observed while it changes.
const MAX_OBSERVATIONS: usize = 3;

/// Why a run could not come to an outcome.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConvergeError {
    /// The foundation could not be worked with.
    #[error(transparent)]
    Api(#[from] Error),
    /// The bits of a group cannot be used.
    #[error("the bits of the group {group} cannot be used: {source}")]
    Bits {
        /// The group's name.
        group: String,
        /// Why.
        source: GroupBitsError,
    },
    /// The API of the foundation cannot give apps a property.
    #[error(
        "the group {group} cannot have `{property}`: the API of 2017 knows only memory, disk_quota, instances, env, command, buildpacks, health-check-* and routes"
    )]
    Property {
        /// The group's name.
        group: String,
        /// The property.
        property: String,
    },
    /// The desired state has what cannot be converged on this foundation.
    #[error("{subject} cannot have `{property}`: {reason}")]
    Unsupported {
        /// The resource, such as `the space prod`.
        subject: String,
        /// What it cannot have.
        property: &'static str,
        /// Why.
        reason: &'static str,
    },
    /// The run would touch what the desired state protects. No write was sent.
    #[error("converging failed: {}", protect::listed(protected))]
    Protected {
        /// The resources and the patterns that protect them.
        protected: Vec<ProtectedTarget>,
    },
    /// An org or space is not part of the desired state any more, and has what is not ours
    /// to delete. No write was sent.
    #[error(
        "deleting the {target} failed: it has {} that cf-pusher does not manage",
        counted(unmanaged)
    )]
    Occupied {
        /// The org or space.
        target: Target,
        /// The spaces, apps and service instances.
        unmanaged: Vec<Target>,
    },
    /// The org is not ours to delete.
    #[error(
        "deleting the org {org} failed: it is unmanaged (it has no label managed-by=cf-pusher)"
    )]
    NotOurs {
        /// Its name.
        org: String,
    },
    /// The org has apps or service instances that are not ours to delete.
    #[error(
        "deleting the org {org} failed: it has {} that cf-pusher does not manage",
        counted(unmanaged)
    )]
    HasUnmanaged {
        /// The org's name.
        org: String,
        /// The apps and service instances.
        unmanaged: Vec<Target>,
    },
    /// Resources have names of the desired state and are not ours. No write was sent.
    #[error("converging failed: {}", exist(targets))]
    Unmanaged {
        /// The resources.
        targets: Vec<Target>,
    },
    /// The plan that was to be followed does not fit any more. No write was sent.
    #[error("following the plan failed: it does not fit any more")]
    PlanChanged {
        /// What has changed, line by line.
        differences: Vec<String>,
    },
    /// A group was selected that is not part of the desired state.
    #[error("there is no group {group}: the groups are {}", known.join(", "))]
    UnknownGroup {
        /// The name that was given.
        group: String,
        /// The names of the groups.
        known: Vec<String>,
    },
    /// The run would delete more than was approved. It has sent no write.
    #[error("deleting {} failed: {}", deletions.summary(), not_approved(*most))]
    NotApproved {
        /// What the run would delete.
        deletions: Deletions,
        /// How many orgs and apps may be deleted, if a number was approved.
        most: Option<usize>,
    },
}

/// Such as `1 app and 2 service instances`.
fn counted(targets: &[Target]) -> String {
    let apps = targets.iter().filter(|target| target.is_app()).count();
    let is_space = |target: &&Target| matches!(target, Target::Space { .. });
    let spaces = targets.iter().filter(is_space).count();
    let count = |count: usize, name: &str| match count {
        0 => None,
        1 => Some(format!("1 {name}")),
        count => Some(format!("{count} {name}s")),
    };
    let services = count(targets.len() - apps - spaces, "service instance");
    let parts = [count(spaces, "space"), count(apps, "app"), services];
    let parts = parts.into_iter().flatten();
    parts.collect::<Vec<_>>().join(" and ")
}

fn exist(targets: &[Target]) -> String {
    match targets {
        [only] => format!("{only} exists and is unmanaged"),
        all => format!("{} resources exist and are unmanaged", all.len()),
    }
}

fn not_approved(most: Option<usize>) -> String {
    match most {
        Some(most) => format!("at most {most} deletions are approved"),
        None => "it is not approved".to_owned(),
    }
}

/// How many apps a manifest has, unless it is said otherwise.
pub(crate) const DEFAULT_BATCH: usize = 100;

/// Converges a foundation to a desired state.
///
/// It is cheap to clone, and can be moved to another task.
#[derive(Debug, Clone)]
pub struct Converger {
    client: Client,
    desired: Arc<Desired>,
    /// Read at the first use.
    bits: Arc<OnceCell<Vec<GroupBits>>>,
    workflow: Workflow,
    batch: usize,
    recreates: bool,
    forces: bool,
    adopts: bool,
    prunes: bool,
    /// The groups that it is about, if not all.
    only: Option<Arc<Selection>>,
    /// The plan that it must follow, if any.
    follows: Option<Arc<SavedPlan>>,
}

/// An observation, and the plan from it.
struct Seen {
    observed: Observed,
    plan: Plan,
}

impl Converger {
    /// What is desired, on the foundation of `client`.
    ///
    /// Apps are created by manifests of 100 each; in the dialect of 2017, which knows
    /// none, each by requests of its own.
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

    /// The same, each app by requests of its own.
    #[must_use]
    pub fn per_app(self) -> Self {
        let workflow = Workflow::PerApp;
        Self { workflow, ..self }
    }

    /// The same, with at most this many apps in a manifest, at least 1.
    #[must_use]
    pub fn batch(self, apps: usize) -> Self {
        let batch = apps.max(1);
        Self { batch, ..self }
    }

    /// The same; [`Converger::converge`] first deletes the orgs with all that is in
    /// them.
    #[must_use]
    pub fn recreate(self, recreates: bool) -> Self {
        Self { recreates, ..self }
    }

    /// The same; [`Converger::converge`] takes over orgs, spaces, apps, quotas and
    /// security groups that have names of the desired state and are not ours. It
    /// labels those that can have labels.
    #[must_use]
    pub fn adopt(self, adopts: bool) -> Self {
        Self { adopts, ..self }
    }

    /// The same; [`Converger::converge`] also deletes what carries our label and the owner
    /// of the desired state, and is not part of it any more: orgs and spaces with all that
    /// is in them, service instances, domains, and network policies between the apps.
    /// Quotas, security groups and roles carry no label, and stay. An org or space with
    /// anything that is not ours is refused by name: [`ConvergeError::Occupied`].
    ///
    /// The plan lists these deletions, and they need approval as those of apps do.
    #[must_use]
    pub fn prune(self, prunes: bool) -> Self {
        Self { prunes, ..self }
    }

    /// The same; [`Converger::destroy`] also deletes unmanaged resources: the orgs
    /// with the apps and service instances in them, the quotas and the security groups.
    #[must_use]
    pub fn force(self, forces: bool) -> Self {
        Self { forces, ..self }
    }

    /// The same, about some groups: the apps of others are neither changed nor
    /// deleted, and their drift is not reported. A group is named as in the desired
    /// state, without its `{i}`, or also without the owner's prefix.
    ///
    /// # Errors
    /// [`ConvergeError::UnknownGroup`].
    pub fn only<G: Into<String>>(
        self,
        groups: impl IntoIterator<Item = G>,
    ) -> Result<Self, ConvergeError> {
        let names: Vec<String> = groups.into_iter().map(Into::into).collect();
        let only = Some(Arc::new(Selection::of(&self.desired, &names)?));
        Ok(Self { only, ..self })
    }

    /// What [`Converger::converge`] would do. Changes nothing.
    ///
    /// # Errors
    /// If the foundation cannot be observed, bits cannot be read, the API of the
    /// foundation does not support a desired property, or the plan would touch what is
    /// [protected](Desired::protected).
    pub fn plan(&self) -> BoxFuture<'_, Result<Plan, ConvergeError>> {
        Box::pin(async move {
            let bits = self.prepare().await?;
            let Seen { observed, plan } = self.look(bits, false).await?;
            protect::check_plan(&self.desired, &plan)?;
            self.check_surplus(&observed)?;
            Ok(plan)
        })
    }

    /// All drift from the desired state. Changes nothing.
    ///
    /// # Errors
    /// As [`Converger::plan`].
    pub fn verify(&self) -> BoxFuture<'_, Result<Vec<Drift>, ConvergeError>> {
        Box::pin(async move {
            let bits = self.prepare().await?;
            let seen = self.look(bits, false).await?;
            Ok(self.drift_of(&seen.observed, &seen.plan))
        })
    }

    /// Applies the desired state, and waits until all instances run.
    ///
    /// `approval` says what may be deleted. A run that would delete more sends no
    /// write. A later round that would delete what the first plan did not list stops
    /// the run, and each such app is a failure.
    ///
    /// # Errors
    /// As [`Converger::plan`], [`ConvergeError::NotApproved`] and
    /// [`ConvergeError::Unmanaged`]. What fails for single apps is in the [`Outcome`].
    pub fn converge(&self, approval: Approval) -> BoxFuture<'_, Result<Outcome, ConvergeError>> {
        Box::pin(async move {
            let outcome = self.converge_all(approval).await;
            let (counts, error) = match &outcome {
                Ok(outcome) if outcome.interrupted => (outcome, Some("interrupted".to_owned())),
                Ok(outcome) => (outcome, None),
                Err(error) => (&Outcome::default(), Some(error.to_string())),
            };
            self.client.events().emit(Event::Ended {
                changed: counts.changed(),
                unchanged: counts.unchanged(),
                failed: counts.failed(),
                error,
                resources: ended::resources(counts),
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

    /// Observes the foundation and plans. Reads all packages with `packages`, or if the plan
    /// removes the annotations that make that unnecessary.
    async fn look(&self, bits: &[GroupBits], packages: bool) -> Result<Seen, Error> {
        let observed = self.observe(packages).await?;
        let plan = self.plan_of(bits, &observed);
        if packages || !plan.removes_bits_hash() {
            return Ok(Seen { observed, plan });
        }
        let observed = self.observe(true).await?;
        let plan = self.plan_of(bits, &observed);
        Ok(Seen { observed, plan })
    }

    fn plan_of(&self, bits: &[GroupBits], observed: &Observed) -> Plan {
        let hashes: Vec<String> = bits.iter().map(|bits| bits.sha256().to_owned()).collect();
        let mut plan = plan::plan(&self.desired, &hashes, observed, self.workflow);
        if let Some(only) = &self.only {
            only.keep_in_plan(&self.desired, &mut plan);
        }
        plan
    }

    /// The drift.
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
                // A listed resource may be deleted before the next request about it.
                Err(error) if error.is_conflict() && observations < MAX_OBSERVATIONS => {
                    observations += 1;
                }
                outcome => return outcome,
            }
        }
    }

    /// Refuses to delete orgs and spaces that contain unmanaged resources.
    fn check_surplus(&self, observed: &Observed) -> Result<(), ConvergeError> {
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
