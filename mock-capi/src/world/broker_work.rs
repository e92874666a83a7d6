//! The work of jobs with service brokers. The world stores the remaining steps of each
//! job and lists the jobs that continue. The server sends the requests to brokers while
//! it is not processing another request.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::delete::Kind;
use super::error::Failure;
use super::events::Actor;
use super::{
    CowStr, Field, Guid, Job, RouteBinding, Row, Selection, ServiceBinding, ServiceInstance, World,
};
use crate::world::clock::{Timestamp, exact};

/// The maximum duration of a broker's operation, unless the plan sets another one.
const MAX_POLLING: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The last operation of a broker on a resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Operation {
    /// `create`, `update` or `delete`.
    pub(crate) kind: CowStr,
    pub(crate) state: OperationState,
    pub(crate) description: Option<String>,
    /// The broker's identifier of the operation.
    pub(crate) broker_operation: Option<String>,
    pub(crate) at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum OperationState {
    Initial,
    InProgress,
    Succeeded,
    Failed,
}

impl OperationState {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Initial => "initial",
            Self::InProgress => "in progress",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        }
    }
}

impl Operation {
    pub(crate) fn new(kind: &'static str, state: OperationState, at: Timestamp) -> Self {
        Self {
            kind: kind.into(),
            state,
            description: None,
            broker_operation: None,
            at,
        }
    }

    /// Whether the operation is still in progress.
    pub(crate) fn is_pending(&self) -> bool {
        matches!(
            self.state,
            OperationState::Initial | OperationState::InProgress
        )
    }

    pub(crate) fn is(&self, kind: &str, state: OperationState) -> bool {
        self.kind == kind && self.state == state
    }
}

/// A binding of any kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum BindingRef {
    Credential(Guid),
    Route(Guid),
}

impl BindingRef {
    pub(crate) fn guid(self) -> Guid {
        match self {
            Self::Credential(guid) | Self::Route(guid) => guid,
        }
    }
}

/// A change of a managed instance. `None` leaves a field unchanged.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct InstanceChange {
    pub(crate) name: Option<String>,
    pub(crate) tags: Option<Vec<String>>,
    pub(crate) plan: Option<Guid>,
    pub(crate) parameters: Option<Value>,
    pub(crate) maintenance_info: Option<Value>,
    /// The metadata of the request.
    pub(crate) metadata: Option<Value>,
}

/// A change of a broker. `None` leaves a field unchanged.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct BrokerChange {
    pub(crate) name: Option<String>,
    pub(crate) url: Option<String>,
    pub(crate) login: Option<(String, String)>,
    pub(crate) metadata: Option<Value>,
}

/// A step of a job.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Step {
    /// Read the catalog of a new broker.
    ReadCatalog(Guid),
    /// Read the catalog of a changed broker, whose previous state this contains.
    UpdateBroker(Guid, BrokerChange, super::BrokerState),
    Provision(Guid, Option<Value>),
    Update(Guid, InstanceChange),
    Deprovision(Guid),
    /// Poll the last operation of an instance.
    PollInstance(Guid, Option<InstanceChange>),
    /// Read an instance that the broker has created or changed.
    ReadInstance(Guid, Option<InstanceChange>),
    Bind(BindingRef, Option<Value>),
    Unbind(BindingRef),
    PollBinding(BindingRef),
    ReadBinding(BindingRef),
    /// Delete a resource that no broker knows.
    Delete(Kind, Guid),
}

/// The remaining steps of a job.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Work {
    /// In reverse order: the last element is the next step.
    pub(crate) steps: Vec<Step>,
    /// The user on whose behalf the job runs.
    pub(crate) actor: Arc<Actor>,
    /// The request, for the event at the end.
    pub(crate) request: Value,
    #[serde(with = "exact")]
    pub(crate) began: Timestamp,
    /// Whether the job waits for an asynchronous operation of a broker.
    pub(crate) polls: bool,
    /// The client of v2 that waits for the job.
    #[serde(default)]
    pub(crate) client: Option<WaitingClient>,
}

/// A client that waits until its job ends, or until a broker continues asynchronously.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct WaitingClient {
    /// Whether a broker may continue asynchronously.
    pub(crate) accepts_incomplete: bool,
}

/// A request that is sent to a broker after the current request is answered.
#[derive(Clone, Debug)]
pub(crate) enum BrokerTask {
    /// Continue a job.
    ContinueJob(Guid),
    /// Carry out a job that a client waits for.
    AwaitJob {
        job: Guid,
        /// The path of the resource in the response.
        shows: String,
    },
    /// Remove an instance that the broker of a plan may have created although the
    /// request failed.
    RemoveOrphan {
        plan: Guid,
        instance: Guid,
        binding: Option<Guid>,
    },
    /// Read the parameters of an instance or a binding for a waiting client.
    ReadParameters {
        instance: Guid,
        binding: Option<Guid>,
    },
}

impl World {
    /// Starts a job that carries out these steps in order.
    pub(crate) fn start_work(
        &mut self,
        operation: &str,
        of: Guid,
        mut steps: Vec<Step>,
        request: Value,
    ) -> Guid {
        steps.reverse();
        let work = Work {
            steps,
            actor: self.actor.clone(),
            request,
            began: self.now,
            polls: false,
            client: None,
        };
        let job = self.schedule(operation.into(), Some(of), None, None);
        self.jobs.update(job, |job| job.work = Some(Box::new(work)));
        self.broker_tasks.push(BrokerTask::ContinueJob(job));
        job
    }

    /// Starts a job that the client of the latest request waits for. The response
    /// contains the resource at the path `shows`.
    pub(crate) fn start_awaited_work(
        &mut self,
        operation: &str,
        steps: Vec<Step>,
        (of, shows): (Guid, String),
        request: Value,
        client: WaitingClient,
    ) {
        let job = self.start_work(operation, of, steps, request);
        self.jobs.update(job, |job| {
            if let Some(work) = &mut job.work {
                work.client = Some(client);
            }
        });
        self.broker_tasks.pop();
        self.broker_tasks.push(BrokerTask::AwaitJob { job, shows });
    }

    /// The requests to brokers that are needed before a resource can be deleted.
    pub(crate) fn broker_steps(&self, kind: Kind, guid: Guid) -> Vec<Step> {
        let spaces = match kind {
            Kind::App => {
                let bindings = self.bindings_of(guid).into_iter();
                let managed = bindings.filter(|binding| binding.operation.is_some());
                let managed = managed.map(|it| Step::Unbind(BindingRef::Credential(it.guid())));
                return managed.collect();
            }
            Kind::Route => {
                let binding = self.route_binding_of(guid);
                let managed = binding.filter(|binding| binding.operation.is_some());
                let managed = managed.map(|it| Step::Unbind(BindingRef::Route(it.guid())));
                return managed.into_iter().collect();
            }
            Kind::Space => vec![guid],
            Kind::Org => self.spaces_of(vec![guid]),
            _ => return Vec::new(),
        };
        let in_spaces = Selection::all().any_guid(Field::Space, spaces);
        let instances = self.service_instances.select(&in_spaces).into_iter();
        let managed = instances.filter(|instance| instance.managed.is_some());
        let steps = managed.flat_map(|instance| {
            let guid = instance.guid();
            let bindings = self.all_bindings_of(guid).into_iter().map(Step::Unbind);
            bindings.chain([Step::Deprovision(guid)])
        });
        steps.collect()
    }

    /// Adds a task that belongs to no job.
    pub(crate) fn ask_for(&mut self, task: BrokerTask) {
        self.broker_tasks.push(task);
    }

    /// Takes the task that the client of the latest request waits for.
    pub(crate) fn take_awaited(&mut self) -> Option<BrokerTask> {
        self.broker_tasks.pop_if(|task| {
            matches!(
                task,
                BrokerTask::ReadParameters { .. } | BrokerTask::AwaitJob { .. }
            )
        })
    }

    /// Takes the tasks that were added since the last call.
    pub(crate) fn take_broker_tasks(&mut self) -> Vec<BrokerTask> {
        std::mem::take(&mut self.broker_tasks)
    }

    /// Continues all jobs of a loaded world.
    pub(super) fn resume_work(&mut self) {
        let jobs = self.jobs.iter().filter(|job| job.work.is_some());
        self.broker_tasks = jobs
            .map(|job| BrokerTask::ContinueJob(job.guid()))
            .collect();
    }

    pub(crate) fn step_of(&self, job: Guid) -> Option<&Step> {
        self.jobs.get(job)?.work.as_ref()?.steps.last()
    }

    pub(crate) fn work_of(&self, job: Guid) -> Option<&Work> {
        self.jobs.get(job)?.work.as_deref()
    }

    /// Continues with the next step of a job, or ends the job.
    pub(crate) fn finish_step(&mut self, job: Guid) {
        self.replace_step(job, None);
    }

    /// Replaces the step that is done.
    pub(crate) fn replace_step(&mut self, job: Guid, next: Option<Step>) {
        let now = self.now;
        self.jobs.update(job, |job| {
            if let Some(work) = &mut job.work {
                work.steps.pop();
                work.polls |= next.is_some();
                work.steps.extend(next);
                if work.steps.is_empty() {
                    job.end_work(now, None);
                }
            }
        });
    }

    /// Ends a job with a failure.
    pub(crate) fn fail_work(&mut self, job: Guid, failure: Failure) {
        let now = self.now;
        self.jobs
            .update(job, |job| job.end_work(now, Some(failure)));
    }

    pub(crate) fn warn_of(&mut self, job: Guid, warning: String) {
        self.jobs.update(job, |job| job.warnings.push(warning));
    }

    /// Whether a job has polled a broker for longer than `longest` seconds, so that it
    /// gives up.
    pub(crate) fn is_work_late(&self, job: Guid, longest: Option<u64>) -> bool {
        let longest = longest.map_or(MAX_POLLING, Duration::from_secs);
        let longest = longest.min(MAX_POLLING);
        self.work_of(job)
            .is_some_and(|work| work.began.plus(longest) < self.now)
    }

    /// Makes the user of a job the actor of events until the next request.
    pub(crate) fn act_for(&mut self, job: Guid) {
        if let Some(actor) = self.work_of(job).map(|work| work.actor.clone()) {
            self.actor = actor;
        }
    }

    /// The request that started a job.
    pub(crate) fn request_of(&self, job: Guid) -> Value {
        let work = self.work_of(job);
        work.map_or(Value::Null, |work| work.request.clone())
    }

    /// The last operation of a managed instance.
    pub(crate) fn operation_of_instance(&self, instance: Guid) -> Option<&Operation> {
        let managed = self.service_instances.get(instance)?.managed.as_ref()?;
        Some(&managed.operation)
    }

    pub(crate) fn set_instance_operation(&mut self, instance: Guid, operation: Operation) {
        self.update_row(instance, |instance: &mut ServiceInstance| {
            if let Some(managed) = &mut instance.managed {
                managed.operation = operation;
            }
        });
    }

    pub(crate) fn operation_of_binding(&self, binding: BindingRef) -> Option<&Operation> {
        match binding {
            BindingRef::Credential(guid) => self.service_bindings.get(guid)?.operation.as_ref(),
            BindingRef::Route(guid) => self.route_bindings.get(guid)?.operation.as_ref(),
        }
    }

    pub(crate) fn set_binding_operation(&mut self, binding: BindingRef, operation: Operation) {
        match binding {
            BindingRef::Credential(guid) => {
                self.update_row(guid, |binding: &mut ServiceBinding| {
                    binding.operation = Some(operation);
                })
            }
            BindingRef::Route(guid) => self.update_row(guid, |binding: &mut RouteBinding| {
                binding.operation = Some(operation);
            }),
        }
    }

    /// The instance of a binding.
    pub(crate) fn instance_of(&self, binding: BindingRef) -> Option<&ServiceInstance> {
        let instance = match binding {
            BindingRef::Credential(guid) => self.service_bindings.get(guid)?.instance,
            BindingRef::Route(guid) => self.route_bindings.get(guid)?.instance,
        };
        self.service_instances.get(instance)
    }
}

impl Job {
    fn end_work(&mut self, now: Timestamp, failure: Option<Failure>) {
        self.work = None;
        self.failure = failure;
        self.ready_at = self.ready_at.max(now);
    }
}
