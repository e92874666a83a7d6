//! Continues jobs after a broker has responded, or without a request.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::catalog::{self, Known};
use super::reply::{self, Ask, BrokerError, BrokerErrorKind, BrokerReply, Progress};
use crate::api::error::CcError;
use crate::world::metadata::MetadataPatch;
use crate::world::settings::Settings;
use crate::world::{
    BindingRef, BrokerChange, BrokerState, Errand, Guid, InstanceChange, Kind, Managed, Operation,
    OperationState, RouteBinding, Row, ServiceBinding, ServiceBroker, ServiceInstance,
    ServiceOffering, Step, World,
};

/// When a job continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Now,
    After(Duration),
    /// The job is done.
    Never,
}

/// Continues a job with the response of a broker, or without one.
pub(crate) fn go_on(
    world: &mut World,
    settings: &Settings,
    job: Guid,
    reply: Option<&BrokerReply>,
) -> Next {
    let Some(step) = world.step_of(job).cloned() else {
        return Next::Never;
    };
    world.act_for(job);
    let mut run = Run {
        world,
        settings,
        job,
    };
    match run.take(step, reply) {
        Ok(next) => next,
        Err(error) => {
            world.fail_work(job, error.into());
            Next::Never
        }
    }
}

/// A job that continues.
struct Run<'w> {
    world: &'w mut World,
    settings: &'w Settings,
    job: Guid,
}

fn unable(verb: &str, why: &str) -> CcError {
    let detail = format!("{verb} could not be completed: {why}");
    CcError::new(400, 10009, "CF-UnableToPerform", detail)
}

impl Run<'_> {
    fn take(&mut self, step: Step, reply: Option<&BrokerReply>) -> Result<Next, CcError> {
        match (step, reply) {
            (Step::Delete(kind, guid), _) => {
                self.world.delete(kind, guid);
                Ok(self.done())
            }
            (Step::UpdateBroker(broker, change, before), reply) => {
                self.update_broker(broker, change, before, reply)
            }
            (Step::ReadCatalog(broker), Some(reply)) => self.read_catalog(broker, reply),
            (Step::Provision(instance, _), Some(reply)) => self.provision(instance, reply),
            (Step::Update(instance, change), Some(reply)) => self.update(instance, change, reply),
            (Step::Deprovision(instance), Some(reply)) => self.deprovision(instance, reply),
            (Step::PollInstance(instance, change), Some(reply)) => {
                self.poll_instance(instance, change, reply)
            }
            (Step::ReadInstance(instance, change), Some(reply)) => {
                if let Ok(body) = reply::read_parameters(reply) {
                    self.keep_dashboard(instance, &body);
                }
                self.complete_instance(instance, change);
                Ok(self.done())
            }
            (Step::Bind(binding, _), Some(reply)) => self.bind(binding, reply),
            (Step::Unbind(binding), Some(reply)) => self.unbind(binding, reply),
            (Step::Unbind(binding), None) => {
                // The binding has no broker.
                self.world.unbind_service(binding);
                Ok(self.done())
            }
            (Step::PollBinding(binding), Some(reply)) => self.poll_binding(binding, reply),
            (Step::ReadBinding(binding), Some(reply)) => self.read_binding(binding, reply),
            // The resource was deleted.
            (_, None) => Ok(self.done()),
        }
    }

    fn done(&mut self) -> Next {
        self.world.finish_step(self.job);
        match self.world.step_of(self.job) {
            Some(_) => Next::Now,
            None => Next::Never,
        }
    }

    fn then(&mut self, step: Step, next: Next) -> Next {
        self.world.replace_step(self.job, Some(step));
        next
    }

    /// Polls again later, not before the broker's `Retry-After`.
    fn later(&self, reply: Option<&BrokerReply>) -> Next {
        let wanted = match reply {
            Some(BrokerReply::Answer { retry_after, .. }) => *retry_after,
            _ => None,
        };
        let wanted = wanted.map_or(Duration::ZERO, Duration::from_secs);
        Next::After(self.settings.broker_poll_interval.max(wanted))
    }

    fn operation(&self, kind: &'static str, state: OperationState) -> Operation {
        Operation::new(kind, state, self.world.now())
    }

    fn failed(&self, kind: &'static str, why: Option<String>) -> Operation {
        Operation {
            description: why,
            ..self.operation(kind, OperationState::Failed)
        }
    }

    /// Whether further steps of the job follow.
    fn is_part(&self) -> bool {
        let work = self.world.work_of(self.job);
        work.is_some_and(|work| work.steps.len() > 1)
    }

    // Steps about brokers.

    fn read_catalog(&mut self, broker: Guid, reply: &BrokerReply) -> Result<Next, CcError> {
        let taken = self.take_catalog(broker, reply);
        let state = match taken {
            Ok(()) => BrokerState::Available,
            Err(_) => BrokerState::SynchronizationFailed,
        };
        self.set_state(broker, state);
        taken.map(|()| self.done())
    }

    fn set_state(&mut self, broker: Guid, state: BrokerState) {
        let brokers = &mut self.world.service_brokers;
        brokers.update(broker, |broker| broker.state = state);
    }

    fn take_catalog(&mut self, broker: Guid, reply: &BrokerReply) -> Result<(), CcError> {
        let accepted = reply::read(Ask::Catalog, reply).map_err(|error| match error.kind {
            BrokerErrorKind::Malformed => CcError::new(
                502,
                270_021,
                "CF-ServiceBrokerRequestMalformed",
                "The service broker returned an invalid response: expected valid JSON object in body. Please check that the URL points to a valid service broker.",
            ),
            BrokerErrorKind::Rejected => CcError::new(
                502,
                270_020,
                "CF-ServiceBrokerRequestRejected",
                format!(
                    "The service broker rejected the request. Status Code: {}. Please check that the URL points to a valid service broker.",
                    error.answered
                ),
            ),
            _ => error.for_client(),
        })?;
        let known: Vec<Known> = self
            .world
            .offerings_of(broker)
            .into_iter()
            .map(|offering: &ServiceOffering| Known {
                id: offering.catalog.id.clone(),
                name: offering.catalog.name.clone(),
                is_removable: {
                    let plans = self.world.plans_of(offering.guid());
                    let mut plans = plans.iter();
                    !plans.any(|plan| self.world.has_instances_of_plan(plan.guid()))
                },
            })
            .collect();
        let entries = catalog::read(&accepted.body, &known).map_err(|problems| {
            let detail = format!("Service broker catalog is invalid: {problems}");
            CcError::new(502, 270_012, "CF-ServiceBrokerCatalogInvalid", detail)
        })?;
        let inactive = self.world.take_catalog(broker, entries);
        if !inactive.is_empty() {
            let broker = self.world.service_brokers.get(broker);
            let url = broker.map_or("", |broker| &broker.url);
            let warning = inactive_plans(url, &inactive);
            self.world.warn_of(self.job, warning);
        }
        Ok(())
    }

    fn update_broker(
        &mut self,
        broker: Guid,
        change: BrokerChange,
        before: BrokerState,
        reply: Option<&BrokerReply>,
    ) -> Result<Next, CcError> {
        if self.world.service_brokers.get(broker).is_none() {
            return Err(CcError::new(
                422,
                270_011,
                "CF-ServiceBrokerGone",
                "The service broker was removed before the synchronization completed",
            ));
        }
        if let Some(reply) = reply
            && let Err(error) = self.take_catalog(broker, reply)
        {
            self.set_state(broker, before);
            return Err(error);
        }
        let patch = change.metadata.as_ref();
        let patch = patch.map(|patch| MetadataPatch::read(patch, &mut Vec::new()));
        self.world.touch(broker, |broker: &mut ServiceBroker| {
            if let Some(name) = change.name {
                broker.name = name;
            }
            if let Some(url) = change.url {
                broker.url = url;
            }
            if let Some((username, password)) = change.login {
                (broker.username, broker.password) = (username, password);
            }
            if let Some(patch) = patch {
                broker.base.metadata.apply(patch);
            }
            broker.state = BrokerState::Available;
        });
        Ok(self.done())
    }

    // Steps about instances.

    fn set_managed(&mut self, instance: Guid, change: impl FnOnce(&mut Managed)) {
        self.world
            .touch(instance, |instance: &mut ServiceInstance| {
                if let Some(managed) = &mut instance.managed {
                    change(managed);
                }
            });
    }

    fn keep_dashboard(&mut self, instance: Guid, body: &Map<String, Value>) {
        let url = body.get("dashboard_url").and_then(Value::as_str);
        let url = url.map(str::to_owned);
        let metadata = body.get("metadata").filter(|it| it.is_object()).cloned();
        self.set_managed(instance, |managed| {
            managed.dashboard_url = url.or(managed.dashboard_url.take());
            managed.broker_metadata = metadata.or(managed.broker_metadata.take());
        });
    }

    fn remove_orphan(&mut self, error: &BrokerError, instance: Guid, binding: Option<Guid>) {
        let plan = self.world.service_instances.get(instance);
        if let Some(plan) = plan
            .and_then(ServiceInstance::plan)
            .filter(|_| error.leaves_orphan)
        {
            self.world.ask_for(Errand::RemoveOrphan {
                plan,
                instance,
                binding,
            });
        }
    }

    fn provision(&mut self, instance: Guid, reply: &BrokerReply) -> Result<Next, CcError> {
        let accepted = match reply::read(Ask::Provision, reply) {
            Ok(accepted) => accepted,
            Err(error) => {
                self.remove_orphan(&error, instance, None);
                let operation = self.failed("create", Some(error.message.clone()));
                self.world.set_instance_operation(instance, operation);
                return Err(unable("provision", &error.message));
            }
        };
        self.keep_dashboard(instance, &accepted.body);
        if !accepted.pending {
            self.complete_instance(instance, None);
            return Ok(self.done());
        }
        self.begin(instance, "create", &accepted.body);
        let request = self.world.request_of(self.job);
        self.world
            .record_instance(instance, "start_create", request);
        Ok(self.then(Step::PollInstance(instance, None), self.later(Some(reply))))
    }

    /// Records that a broker has begun an operation.
    fn begin(&mut self, instance: Guid, kind: &'static str, body: &Map<String, Value>) {
        let operation = Operation {
            description: (kind != "delete").then(String::new),
            broker_operation: text(body, "operation"),
            ..self.operation(kind, OperationState::InProgress)
        };
        self.world.set_instance_operation(instance, operation);
    }

    /// Records that an instance was created or changed.
    fn complete_instance(&mut self, instance: Guid, change: Option<InstanceChange>) {
        let request = self.world.request_of(self.job);
        let Some(change) = change else {
            let operation = Operation {
                description: Some(String::new()),
                ..self.operation("create", OperationState::Succeeded)
            };
            self.world.set_instance_operation(instance, operation);
            self.world.record_instance(instance, "create", request);
            return;
        };
        let operation = Operation {
            description: Some(String::new()),
            ..self.operation("update", OperationState::Succeeded)
        };
        let patch = change.metadata.as_ref();
        let patch = patch.map(|patch| MetadataPatch::read(patch, &mut Vec::new()));
        let info = change
            .plan
            .and_then(|plan| self.world.service_plans.get(plan))
            .map(|plan| plan.catalog.maintenance_info.clone());
        self.world
            .touch(instance, |instance: &mut ServiceInstance| {
                if let Some(name) = change.name {
                    instance.name = name;
                }
                if let Some(tags) = change.tags {
                    instance.tags = tags;
                }
                if let Some(patch) = patch {
                    instance.base.metadata.apply(patch);
                }
                if let Some(managed) = &mut instance.managed {
                    if let Some(plan) = change.plan {
                        managed.plan = plan;
                    }
                    if let Some(info) = info {
                        managed.maintenance_info = info;
                    }
                    if let Some(Value::Object(info)) = change.maintenance_info {
                        managed.maintenance_info = Some(info);
                    }
                    managed.operation = operation;
                }
            });
        self.world.record_instance(instance, "update", request);
        self.world.record_service_usage(instance, "UPDATED");
    }

    fn update(
        &mut self,
        instance: Guid,
        change: InstanceChange,
        reply: &BrokerReply,
    ) -> Result<Next, CcError> {
        let accepted = match reply::read(Ask::Update, reply) {
            Ok(accepted) => accepted,
            Err(error) => {
                let operation = self.failed("update", Some(error.message.clone()));
                self.world.set_instance_operation(instance, operation);
                return Err(unable("update", &error.message));
            }
        };
        self.keep_dashboard(instance, &accepted.body);
        if !accepted.pending {
            self.complete_instance(instance, Some(change));
            return Ok(self.done());
        }
        self.begin(instance, "update", &accepted.body);
        let request = self.world.request_of(self.job);
        self.world
            .record_instance(instance, "start_update", request);
        let step = Step::PollInstance(instance, Some(change));
        Ok(self.then(step, self.later(Some(reply))))
    }

    fn deprovision(&mut self, instance: Guid, reply: &BrokerReply) -> Result<Next, CcError> {
        let accepted = match reply::read(Ask::Deprovision, reply) {
            Ok(accepted) => accepted,
            Err(error) => return Err(self.fail_deprovision(instance, &error)),
        };
        if !accepted.pending {
            self.world.delete(Kind::ServiceInstance, instance);
            return Ok(self.done());
        }
        self.begin(instance, "delete", &accepted.body);
        self.world
            .record_instance(instance, "start_delete", Value::Null);
        Ok(self.then(Step::PollInstance(instance, None), self.later(Some(reply))))
    }

    fn fail_deprovision(&mut self, instance: Guid, error: &BrokerError) -> CcError {
        let name = self.world.service_instances.get(instance);
        let name = name.map_or_else(String::new, |instance| instance.name.clone());
        let (failure, text) = match error.kind {
            BrokerErrorKind::Conflict => {
                let text = format!(
                    "The service broker reported an error during deprovisioning: {}",
                    error.message
                );
                let title = "CF-ServiceInstanceDeprovisionFailed";
                (CcError::new(409, 60_011, title, text.clone()), text)
            }
            BrokerErrorKind::Concurrency => {
                let text = format!("An operation for service instance {name} is in progress.");
                let title = "CF-AsyncServiceInstanceOperationInProgress";
                (CcError::new(409, 60_016, title, text.clone()), text)
            }
            _ => {
                let text = format!("Service instance {name}: {}", error.message);
                (unable("delete", &text), text)
            }
        };
        let operation = self.failed("delete", Some(text));
        self.world.set_instance_operation(instance, operation);
        failure
    }

    fn poll_instance(
        &mut self,
        instance: Guid,
        change: Option<InstanceChange>,
        reply: &BrokerReply,
    ) -> Result<Next, CcError> {
        let kind = self.world.operation_of_instance(instance);
        let kind = kind.map_or("create", |operation| match operation.kind.as_ref() {
            "update" => "update",
            "delete" => "delete",
            _ => "create",
        });
        let (progress, description) =
            reply::read_progress(reply).unwrap_or((Progress::Pending, None));
        match (progress, kind) {
            (Progress::Succeeded | Progress::Gone, "delete") => {
                self.world.delete(Kind::ServiceInstance, instance);
                Ok(self.done())
            }
            (Progress::Pending | Progress::Gone, _) => {
                self.check_time(instance)?;
                let mut operation = self.operation(kind, OperationState::InProgress);
                operation.description = description;
                operation.broker_operation = self
                    .world
                    .operation_of_instance(instance)
                    .and_then(|it| it.broker_operation.clone());
                self.world.set_instance_operation(instance, operation);
                Ok(self.later(Some(reply)))
            }
            (Progress::Succeeded, _) => {
                if self
                    .offering_of(instance)
                    .is_some_and(|it| it.catalog.instances_retrievable)
                {
                    return Ok(self.then(Step::ReadInstance(instance, change), Next::Now));
                }
                self.complete_instance(instance, change);
                Ok(self.done())
            }
            (Progress::Failed, _) => {
                let why = description.clone().unwrap_or_default();
                let operation = self.failed(kind, description);
                self.world.set_instance_operation(instance, operation);
                let verb = match kind {
                    "create" => "create managed",
                    kind => kind,
                };
                Err(unable(verb, &why))
            }
        }
    }

    fn offering_of(&self, instance: Guid) -> Option<&ServiceOffering> {
        let plan = self.world.service_instances.get(instance)?.plan()?;
        self.world.offering_of(self.world.service_plans.get(plan)?)
    }

    /// The longest operation on an instance in seconds, if its plan sets it.
    fn longest(&self, instance: Guid) -> Option<u64> {
        let plan = self.world.service_instances.get(instance)?.plan()?;
        self.world
            .service_plans
            .get(plan)?
            .catalog
            .maximum_polling_duration
    }

    /// Fails an operation that takes too long.
    fn check_time(&mut self, instance: Guid) -> Result<(), CcError> {
        if !self.world.is_work_late(self.job, self.longest(instance)) {
            return Ok(());
        }
        let kind = self.world.operation_of_instance(instance);
        let (kind, verb) = match kind.map(|operation| operation.kind.as_ref()) {
            Some("update") => ("update", "update"),
            Some("delete") => ("delete", "deprovision"),
            _ => ("create", "provision"),
        };
        let operation = self.failed(kind, Some(too_late(verb)));
        self.world.set_instance_operation(instance, operation);
        let plan = self
            .world
            .service_instances
            .get(instance)
            .and_then(ServiceInstance::plan);
        if let Some(plan) = plan.filter(|_| kind == "create") {
            self.world.ask_for(Errand::RemoveOrphan {
                plan,
                instance,
                binding: None,
            });
        }
        Err(timed_out())
    }

    // Steps about bindings.

    fn bind(&mut self, binding: BindingRef, reply: &BrokerReply) -> Result<Next, CcError> {
        const NOT_RETRIEVABLE: &str =
            "The broker responded asynchronously but does not support fetching binding data";
        let Some(instance) = self.world.instance_of(binding).map(Row::guid) else {
            return Ok(self.done());
        };
        let offering = self.offering_of(instance).map(|offering| &offering.catalog);
        let requires = offering.map(|it| it.requires.clone()).unwrap_or_default();
        let retrievable = offering.is_some_and(|it| it.bindings_retrievable);
        let accepted = match reply::read(Ask::Bind(&requires), reply) {
            Ok(accepted) => accepted,
            Err(error) => {
                self.remove_orphan(&error, instance, Some(binding.guid()));
                let operation = self.failed("create", Some(error.message.clone()));
                self.world.set_binding_operation(binding, operation);
                return Err(unable("bind", &error.message));
            }
        };
        if !accepted.pending {
            self.complete_binding(binding, &accepted.body);
            return Ok(self.done());
        }
        if !retrievable {
            let operation = self.failed("create", Some(NOT_RETRIEVABLE.into()));
            self.world.set_binding_operation(binding, operation);
            let detail = format!("The service binding is invalid: {NOT_RETRIEVABLE}");
            return Err(CcError::new(
                400,
                90_001,
                "CF-ServiceBindingInvalid",
                detail,
            ));
        }
        self.begin_binding(binding, "create", &accepted.body);
        let data = json!({"request": self.world.request_of(self.job)});
        self.world.record_binding(binding, "start_create", data);
        Ok(self.then(Step::PollBinding(binding), self.later(Some(reply))))
    }

    fn begin_binding(
        &mut self,
        binding: BindingRef,
        kind: &'static str,
        body: &Map<String, Value>,
    ) {
        let operation = Operation {
            broker_operation: text(body, "operation"),
            ..self.operation(kind, OperationState::InProgress)
        };
        self.world.set_binding_operation(binding, operation);
    }

    fn complete_binding(&mut self, binding: BindingRef, body: &Map<String, Value>) {
        match binding {
            BindingRef::Credential(guid) => {
                let is_app = |binding: &ServiceBinding| binding.app.is_some();
                self.world.touch(guid, |binding: &mut ServiceBinding| {
                    binding.credentials =
                        body.get("credentials").filter(|it| !it.is_null()).cloned();
                    if is_app(binding) {
                        binding.syslog_drain_url = text(body, "syslog_drain_url");
                        binding.volume_mounts = body.get("volume_mounts").cloned();
                    }
                });
            }
            BindingRef::Route(guid) => self.world.touch(guid, |binding: &mut RouteBinding| {
                binding.route_service_url = text(body, "route_service_url");
            }),
        }
        let operation = self.operation("create", OperationState::Succeeded);
        self.world.set_binding_operation(binding, operation);
        let request = self.world.request_of(self.job);
        self.world.record_bound(binding, request, false);
    }

    fn unbind(&mut self, binding: BindingRef, reply: &BrokerReply) -> Result<Next, CcError> {
        let accepted = match reply::read(Ask::Unbind, reply) {
            Ok(accepted) => accepted,
            Err(error) => return Err(self.fail_unbind(binding, &error)),
        };
        if !accepted.pending {
            self.world.unbind_service(binding);
            return Ok(self.done());
        }
        self.begin_binding(binding, "delete", &accepted.body);
        let data = self.world.binding_data(binding);
        self.world.record_binding(binding, "start_delete", data);
        if !self.is_part() || self.settings.recursive_delete {
            return Ok(self.then(Step::PollBinding(binding), self.later(Some(reply))));
        }
        // The binding continues in its own job, and the job that needs its deletion
        // fails.
        let steps = vec![Step::PollBinding(binding)];
        let operation = match binding {
            BindingRef::Credential(_) => "service_bindings.delete",
            BindingRef::Route(_) => "service_route_bindings.delete",
        };
        let guid = binding.guid();
        self.world.start_work(operation, guid, steps, Value::Null);
        let why = self.in_progress(binding);
        Err(self.fail_whole(binding, &why))
    }

    /// The error for a binding whose deletion is still in progress.
    fn in_progress(&self, binding: BindingRef) -> String {
        let instance = self.world.instance_of(binding);
        let instance = instance.map_or("", |instance| &instance.name);
        let app = match binding {
            BindingRef::Credential(guid) => self.world.service_bindings.get(guid),
            BindingRef::Route(_) => None,
        };
        let app = app.and_then(|binding| self.world.apps.get(binding.app?));
        match app {
            Some(app) => format!(
                "An operation for the service binding between app {} and service instance {instance} is in progress.",
                app.name
            ),
            None => format!(
                "An operation for a service binding of service instance {instance} is in progress."
            ),
        }
    }

    fn fail_unbind(&mut self, binding: BindingRef, error: &BrokerError) -> CcError {
        let name = self.world.instance_of(binding);
        let name = name.map_or("", |instance| &instance.name);
        let why = match error.kind {
            BrokerErrorKind::Concurrency => {
                "The service broker rejected the request due to an operation being in progress for the service binding.".to_owned()
            }
            _ => format!(
                "Service broker failed to delete service binding for instance {name}: {}",
                error.message
            ),
        };
        if error.kind != BrokerErrorKind::Concurrency {
            let operation = self.failed("delete", Some(why.clone()));
            self.world.set_binding_operation(binding, operation);
        }
        match self.is_part() {
            true => self.fail_whole(binding, &why),
            false => unable("unbind", &why),
        }
    }

    /// Fails a job of which the binding is only a part.
    fn fail_whole(&mut self, binding: BindingRef, why: &str) -> CcError {
        let steps = self
            .world
            .work_of(self.job)
            .map(|work| work.steps.as_slice());
        let of_instance = steps
            .unwrap_or_default()
            .iter()
            .find_map(|step| match step {
                Step::Deprovision(instance) => Some(*instance),
                _ => None,
            });
        let own = self.world.instance_of(binding).map(Row::guid);
        if let Some(instance) = of_instance.filter(|instance| Some(*instance) == own) {
            let operation = self.failed("delete", Some(why.to_owned()));
            self.world.set_instance_operation(instance, operation);
        }
        unable("delete", why)
    }

    fn poll_binding(&mut self, binding: BindingRef, reply: &BrokerReply) -> Result<Next, CcError> {
        const FAILED: &str = "VCAP::CloudController::V3::LastOperationFailedState";
        let deletes = self.world.operation_of_binding(binding);
        let deletes = deletes.is_some_and(|operation| operation.kind == "delete");
        let kind = if deletes { "delete" } else { "create" };
        let (progress, description) =
            reply::read_progress(reply).unwrap_or((Progress::Pending, None));
        match progress {
            Progress::Succeeded | Progress::Gone if deletes => {
                self.world.unbind_service(binding);
                Ok(self.done())
            }
            Progress::Succeeded => Ok(self.then(Step::ReadBinding(binding), Next::Now)),
            Progress::Failed => {
                let operation = self.failed(kind, description);
                self.world.set_binding_operation(binding, operation);
                Err(unable(kind, FAILED))
            }
            Progress::Pending | Progress::Gone => {
                let instance = self.world.instance_of(binding).map(Row::guid);
                let longest = instance.and_then(|instance| self.longest(instance));
                if self.world.is_work_late(self.job, longest) {
                    let verb = if deletes { "unbind" } else { "bind" };
                    let operation = self.failed(kind, Some(too_late(verb)));
                    self.world.set_binding_operation(binding, operation);
                    return Err(timed_out());
                }
                let mut operation = self.operation(kind, OperationState::InProgress);
                operation.description = description;
                operation.broker_operation = self
                    .world
                    .operation_of_binding(binding)
                    .and_then(|it| it.broker_operation.clone());
                self.world.set_binding_operation(binding, operation);
                Ok(self.later(Some(reply)))
            }
        }
    }

    fn read_binding(&mut self, binding: BindingRef, reply: &BrokerReply) -> Result<Next, CcError> {
        match reply::read_parameters(reply) {
            Ok(body) => {
                self.complete_binding(binding, &body);
                Ok(self.done())
            }
            Err(error) => {
                let operation = self.failed("create", Some(error.message.clone()));
                self.world.set_binding_operation(binding, operation);
                Err(unable("bind", &error.message))
            }
        }
    }
}

fn text(body: &Map<String, Value>, key: &str) -> Option<String> {
    body.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn too_late(verb: &str) -> String {
    format!("Service Broker failed to {verb} within the required time.")
}

fn timed_out() -> CcError {
    CcError::new(
        524,
        290_006,
        "CF-JobTimeout",
        "The job execution has timed out.",
    )
}

/// The warning about plans with instances that are no longer in a catalog.
fn inactive_plans(url: &str, plans: &[(String, String)]) -> String {
    let mut warning = format!(
        "Warning: Service plans are missing from the broker's catalog ({url}/v2/catalog) but can not be removed from Cloud Foundry while instances exist. The plans have been deactivated to prevent users from attempting to provision new instances of these plans. The broker should continue to support bind, unbind, and delete for existing instances; if these operations fail contact your broker provider.\n"
    );
    let mut offerings: Vec<&String> = plans.iter().map(|(offering, _)| offering).collect();
    offerings.dedup();
    for offering in offerings {
        let of_offering = plans.iter().filter(|(other, _)| other == offering);
        let names: Vec<&str> = of_offering.map(|(_, plan)| plan.as_str()).collect();
        warning += &format!(
            "\nService Offering: {offering}\nPlans deactivated: {}\n",
            names.join(", ")
        );
    }
    warning
}
