//! Steps of jobs for instances.

use serde_json::{Map, Value};

use super::{NextRun, Run, text, timed_out, too_late, unable};
use crate::api::error::CcError;
use crate::api::osb::reply::{
    self, BrokerError, BrokerErrorKind, BrokerOperation, BrokerReply, Progress,
};
use crate::world::metadata::MetadataPatch;
use crate::world::{
    BrokerTask, Guid, InstanceChange, Kind, Managed, Operation, OperationState, ServiceInstance,
    ServiceOffering, Step,
};

impl Run<'_> {
    pub(super) fn set_managed(&mut self, instance: Guid, change: impl FnOnce(&mut Managed)) {
        self.world
            .update_row(instance, |instance: &mut ServiceInstance| {
                if let Some(managed) = &mut instance.managed {
                    change(managed);
                }
            });
    }

    pub(super) fn keep_dashboard(&mut self, instance: Guid, body: &Map<String, Value>) {
        let url = body.get("dashboard_url").and_then(Value::as_str);
        let url = url.map(str::to_owned);
        let metadata = body.get("metadata").filter(|it| it.is_object()).cloned();
        self.set_managed(instance, |managed| {
            managed.dashboard_url = url.or(managed.dashboard_url.take());
            managed.broker_metadata = metadata.or(managed.broker_metadata.take());
        });
    }

    pub(super) fn remove_orphan(
        &mut self,
        error: &BrokerError,
        instance: Guid,
        binding: Option<Guid>,
    ) {
        let plan = self.world.service_instances.get(instance);
        if let Some(plan) = plan
            .and_then(ServiceInstance::plan)
            .filter(|_| error.leaves_orphan)
        {
            self.world.ask_for(BrokerTask::RemoveOrphan {
                plan,
                instance,
                binding,
            });
        }
    }

    pub(super) fn provision(
        &mut self,
        instance: Guid,
        reply: &BrokerReply,
    ) -> Result<NextRun, CcError> {
        let accepted = match reply::read(BrokerOperation::Provision, reply) {
            Ok(accepted) => accepted,
            Err(error) => {
                self.remove_orphan(&error, instance, None);
                let operation = self.failed("create", Some(error.message.clone()));
                self.world.set_instance_operation(instance, operation);
                return Err(self.refusal("provision", &error));
            }
        };
        self.keep_dashboard(instance, &accepted.body);
        if self.is_awaited() {
            self.world.record_service_usage(instance, "CREATED");
        }
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
    pub(super) fn begin(&mut self, instance: Guid, kind: &'static str, body: &Map<String, Value>) {
        let operation = Operation {
            description: (kind != "delete").then(String::new),
            broker_operation: text(body, "operation"),
            ..self.operation(kind, OperationState::InProgress)
        };
        self.world.set_instance_operation(instance, operation);
    }

    /// Records that an instance was created or changed.
    pub(super) fn complete_instance(&mut self, instance: Guid, change: Option<InstanceChange>) {
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
        let before = self.world.service_instances.get(instance);
        let renamed = before.zip(change.name.as_ref());
        let renamed = renamed.is_some_and(|(before, name)| before.name != *name);
        let moved = change
            .plan
            .is_some_and(|plan| before.and_then(ServiceInstance::plan) != Some(plan));
        let info = change
            .plan
            .and_then(|plan| self.world.service_plans.get(plan))
            .map(|plan| plan.catalog.maintenance_info.clone());
        self.world
            .update_row(instance, |instance: &mut ServiceInstance| {
                instance.rename(change.name, change.tags);
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
        if renamed || moved {
            self.world.record_service_usage(instance, "UPDATED");
        }
    }

    pub(super) fn update(
        &mut self,
        instance: Guid,
        change: InstanceChange,
        reply: &BrokerReply,
    ) -> Result<NextRun, CcError> {
        let accepted = match reply::read(BrokerOperation::Update, reply) {
            Ok(accepted) => accepted,
            Err(error) => {
                let operation = self.failed("update", Some(error.message.clone()));
                self.world.set_instance_operation(instance, operation);
                return Err(self.refusal("update", &error));
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

    pub(super) fn deprovision(
        &mut self,
        instance: Guid,
        reply: &BrokerReply,
    ) -> Result<NextRun, CcError> {
        let accepted = match reply::read(BrokerOperation::Deprovision, reply) {
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

    pub(super) fn fail_deprovision(&mut self, instance: Guid, error: &BrokerError) -> CcError {
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
                match self.is_awaited() {
                    true => (error.for_client(), text),
                    false => (unable("delete", &text), text),
                }
            }
        };
        let operation = self.failed("delete", Some(text));
        self.world.set_instance_operation(instance, operation);
        failure
    }

    pub(super) fn poll_instance(
        &mut self,
        instance: Guid,
        change: Option<InstanceChange>,
        reply: &BrokerReply,
    ) -> Result<NextRun, CcError> {
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
                    return Ok(self.then(Step::ReadInstance(instance, change), NextRun::Now));
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

    pub(super) fn offering_of(&self, instance: Guid) -> Option<&ServiceOffering> {
        let plan = self.world.service_instances.get(instance)?.plan()?;
        self.world.offering_of(self.world.service_plans.get(plan)?)
    }

    /// The maximum duration of an operation on an instance, in seconds, if its plan sets
    /// one.
    pub(super) fn max_duration(&self, instance: Guid) -> Option<u64> {
        let plan = self.world.service_instances.get(instance)?.plan()?;
        self.world
            .service_plans
            .get(plan)?
            .catalog
            .maximum_polling_duration
    }

    /// Fails an operation that exceeds its maximum duration.
    pub(super) fn check_time(&mut self, instance: Guid) -> Result<(), CcError> {
        if !self
            .world
            .is_work_late(self.job, self.max_duration(instance))
        {
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
            self.world.ask_for(BrokerTask::RemoveOrphan {
                plan,
                instance,
                binding: None,
            });
        }
        Err(timed_out())
    }
}
